"""The client in an editor's interpreter, old or new, with nothing but msgpack's Python files."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import msgpack
import pytest
from scripted_engine import ScriptedEngine, Visit
from tests.support import ROOT

from intarsia_client import wire
from intarsia_client.schema import Operation, ResultLayer

SCRIPT = """
import json, sys
sys.path[:0] = sys.argv[1:3]
declaration, steps = json.loads(sys.argv[3]), []
from intarsia_client import catalog, latest, wording
from intarsia_client.client import Client
from intarsia_client.errors import InvalidRequest, JobFailed
from intarsia_client.schema import Operation, Pixels
assert sys.modules["msgpack"].Packer.__module__ == "msgpack.fallback"
catalog.operations()
operation = Operation.from_dict(declaration)
with Client.connect(app="thin", start=False, timeout_s=20) as client:
    picture = Pixels("picture", 512, 512, 4, bytearray(range(256)) * 4096)
    area = Pixels("area", 512, 512, 1, bytes(512 * 512))
    job = client.submit(operation, [picture, area], {"rounds": 2}, seed=5, label="Größe – 画")
    result = job.wait(
        on_progress=lambda progress: steps.append(wording.progress_line(progress)),
        on_event=lambda kind, header: steps.append(kind),
        should_cancel=lambda: False,
    )
    (layer,) = result.layers
    assert bytes(layer.data) == bytes(picture.data), "the layer came back changed"
    steps += [layer.name, result.recipe["label"]]
    shown = []
    live = latest.LatestOnly(
        lambda rounds: client.submit(operation, [picture, area], {"rounds": rounds}),
        on_result=lambda rounds, result: shown.append((rounds, len(result.layers))),
        on_error=lambda rounds, error: shown.append((rounds, repr(error))),
    )
    live.request(3)
    assert live.wait_idle(20.0) and shown == [(3, 1)], shown
    steps.append(client.estimate(operation, {}, [picture])["text"])
    try:
        client.submit(operation, [picture], {"rounds": 99})
    except InvalidRequest as error:
        steps.append(wording.error_text(error)[0])
    try:
        client.submit(operation, [picture], {"tiled": True}).wait()
    except JobFailed as error:
        steps.append(error.what)
heavy = {"numpy", "torch", "zmq", "msgspec", "intarsia_daemon", "intarsia_models"}
print(json.dumps({"steps": steps, "python": list(sys.version_info[:2]),
                  "heavy": sorted(heavy & set(sys.modules)),
                  "compiled": sorted(n for n in sys.modules if n.startswith("msgpack._"))}))
"""


def interpreter(version: str) -> str | None:
    """A Python of that version: on the path, or among pyenv's."""
    found = [shutil.which(f"python{version}")]
    found += map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")))
    for candidate in filter(None, found):
        asked = subprocess.run(
            [candidate, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
        )
        if asked.stdout.strip() == version:
            return candidate
    return None


@pytest.fixture
def pure_msgpack(tmp_path: Path) -> Path:
    """A folder with msgpack's Python files and nothing compiled, as the installer makes it."""
    source = Path(msgpack.__file__).parent
    target = tmp_path / "vendored"
    (target / "msgpack").mkdir(parents=True)
    for file in source.glob("*.py"):
        shutil.copy(file, target / "msgpack")
    return target


@pytest.mark.parametrize("version", ["3.8", "3.10", "3.13"])
def test_an_editors_python_runs_a_whole_job_with_nothing_compiled(
    version: str, home: Path, pure_msgpack: Path, operation: Operation
):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")

    def run(engine: ScriptedEngine, visit: Visit) -> None:
        job = engine.accept(visit)
        name, header = job.header["job"], job.header
        if header["parameters"]["tiled"]:
            engine.event(name, "failed", code="OPERATION_FAILED", what="Cannot tile this.")
            return
        (area,) = (d for d in header["inputs"] if d["input"] == "area")
        assert area["encoding"] == "zlib"
        assert wire.inflate(wire.check_buffer(area, job.frames[1]), job.frames[1]) == bytes(512**2)
        engine.event(name, "started", lane="edit")
        engine.progress(name, stage="Softening", step=1, total=2, seconds_left=3)
        recipe = {"label": header["label"]}
        engine.finish(name, [ResultLayer("Weich", 512, 512, 4, job.frames[0])], recipe=recipe)

    with ScriptedEngine(home, heartbeat_ms=100) as engine:
        engine.on("submit", run)
        engine.on("estimate", lambda engine, visit: visit.reply("done", text="about 4 min"))
        declaration = json.dumps(operation.to_dict())
        command = [python, "-I", "-S", "-W", "error", "-c", SCRIPT]
        done = subprocess.run(
            [*command, str(ROOT / "backend"), str(pure_msgpack), declaration],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["python"] == [int(part) for part in version.split(".")]
    assert said["heavy"] == []
    assert said["compiled"] == []
    assert said["steps"] == [
        "started",
        "Softening – 50 % – 3 s left",
        "finished",
        "Weich",
        "Größe – 画",
        "about 4 min",
        "rounds must lie in [1, 9] x, got 99.",
        "Cannot tile this.",
    ]
