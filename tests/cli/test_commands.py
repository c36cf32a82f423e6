"""The commands that need no engine, the exit codes, and that --json is one object."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Called
from tests.cli.sample_files import opaque, save_png
from tests.support import ROOT

from intarsia_client import catalog
from intarsia_client.endpoint import home, read_engine_command
from intarsia_client.errors import (
    EngineUnreachable,
    IntarsiaError,
    InvalidRequest,
    JobCancelled,
    JobFailed,
)
from intarsia_client.schema import ModelRef, Operation
from intarsia_client.version import __version__
from intarsia_daemon import doctor
from intarsia_daemon.cli import application, exit_codes
from intarsia_daemon.cli.models import named_models, store, titled_model
from intarsia_daemon.documents.limits import reject
from intarsia_daemon.model_store import ModelStore

Intarsia = Callable[..., Called]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobFailed("x"), 1),
        (IntarsiaError("x", code="DISK_FULL"), 1),
        (InvalidRequest("x"), 2),
        (reject("x"), 2),
        (EngineUnreachable("x"), 3),
        (JobCancelled("x"), 4),
    ],
)
def test_errors_have_their_exit_codes(error: IntarsiaError, code: int) -> None:
    assert exit_codes.of(error) == code


def test_the_documented_exit_codes_are_the_real_ones() -> None:
    page = (ROOT / "docs/command-line.md").read_text("utf-8")
    table = {int(c): text for c, text in re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)}

    assert table == exit_codes.MEANINGS


def test_every_command_is_there_and_documented(intarsia: Intarsia) -> None:
    page = (ROOT / "docs/command-line.md").read_text("utf-8")

    for name in application.COMMANDS:
        assert f"`intarsia {name}" in page, name
        assert intarsia(name, "--help").code == 0, name


def test_without_arguments_the_commands_are_shown(intarsia: Intarsia) -> None:
    called = intarsia()

    assert called.code == 2
    assert "operations" in called.out + called.err


def test_the_version_is_told(intarsia: Intarsia) -> None:
    assert __version__ in intarsia("--version").out


def test_unknown_commands_and_options_are_wrong_use(intarsia: Intarsia) -> None:
    assert intarsia("paint").code == 2
    assert "No such command 'paint'" in intarsia("paint").err
    assert intarsia("operations", "--nope").code == 2


def test_every_command_tells_the_editors_how_to_start_the_engine(intarsia: Intarsia) -> None:
    intarsia("operations")

    assert read_engine_command() == [sys.executable, "-m", "intarsia_daemon", "serve"]


def test_the_routers_command_loads_nothing_heavy() -> None:
    code = (
        "import sys; from intarsia_daemon.cli import application\n"
        "application.application.get_command(None, 'serve')\n"
        "heavy = {'torch', 'numpy', 'PIL', 'rich'} & set(sys.modules); assert not heavy, heavy\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


# --- operations -----------------------------------------------------------------------------------


def test_operations_are_listed_and_described(intarsia: Intarsia) -> None:
    listed, described = intarsia("operations"), intarsia("operations", "blend")

    assert [line.split("\t")[0] for line in listed.out.splitlines()] == list(catalog.operations())
    assert "method = poisson" in described.out
    assert "poisson | feather | hard" in described.out
    assert "live" not in described.out
    assert "show it live" in intarsia("operations", "composite").out


def test_operations_json_is_one_object(intarsia: Intarsia) -> None:
    listed = intarsia("operations", "--json").json
    one = intarsia("operations", "blend", "--json").json

    assert [item["id"] for item in listed["operations"]] == list(catalog.operations())
    assert one == json.loads(json.dumps(catalog.operation("blend").to_dict()))


def test_errors_are_one_object_too(intarsia: Intarsia) -> None:
    called = intarsia("operations", "bland", "--json")
    usage = intarsia("operations", "--nope", "--json")

    assert called.code == usage.code == 2
    assert called.json["error"]["code"] == "UNSUPPORTED_OPERATION"
    assert "There are: blend" in called.json["error"]["remedy"]
    assert usage.json["error"]["code"] == "BAD_REQUEST"
    assert called.err == ""


# --- run, as far as it goes without an engine -----------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bland"], "no operation named 'bland'"),
        ([], "No operation is named"),
        (["blend", "--input", "picture"], "not of the form ROLE=FILE"),
        (["blend", "--input", "pic=p.png"], "no input named 'pic'"),
        (["blend", "--input", "picture=p.png"], "needs the input 'element'"),
        (["blend", *("--set", "feather=900")], r"feather must lie in \[0, 200\] px, got 900"),
        (["blend", *("--set", "feather=soft")], "feather must be a number, got 'soft'"),
        (["blend", *("--set", "feather")], "not of the form NAME=VALUE"),
        (["blend", *("--set", "nope=1")], "no parameter named 'nope'"),
        (["blend", "IN", *("--seed", "-1")], "is not in the range"),
        (["blend", "IN", *("--place", "element=4")], "not of the form ROLE=X,Y"),
        (["blend", "IN", *("--place", "area=4,5")], "which is no given input"),
        (["blend", "IN", "OUT=o.jpg"], "must be a .png or an .ora"),
        (["blend", "IN", "OUT=p.png"], "is also an input"),
        (["blend", *("--input", "picture=gone.png", "--input", "element=p.png")], "no such file"),
        (
            ["blend", *("--input", "picture=p.png#Sky", "--input", "element=p.png")],
            "no layer named",
        ),
    ],
)
def test_run_checks_everything_before_the_engine_is_started(
    intarsia: Intarsia,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_png(tmp_path / "p.png", opaque(4, 4))
    inputs = ["--input", "picture=p.png", "--input", "element=p.png"]
    out, words = "o.png", []
    for word in arguments:
        if word == "IN":
            words += inputs
        elif word.startswith("OUT="):
            out = word[4:]
        else:
            words.append(word)

    called = intarsia("run", *words, "--out", out)

    assert called.code == 2
    assert re.search(said, called.err)
    assert not (home() / "run").exists(), "no engine was started"


def test_an_engine_that_cannot_be_started_is_exit_code_3(
    intarsia: Intarsia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "remember_how_to_start", lambda: None)
    picture = save_png(tmp_path / "p.png", opaque(4, 4))

    called = intarsia(
        "run", "blend", f"--input=picture={picture}", f"--input=element={picture}",
        "--out", tmp_path / "o.png", "--json",
    )  # fmt: skip

    assert called.code == 3
    assert "not installed" in called.json["error"]["what"]
    assert not (tmp_path / "o.png").exists()


def test_jobs_and_stop_start_no_engine(intarsia: Intarsia) -> None:
    assert intarsia("jobs").out == "No engine is running, so there are no jobs.\n"
    assert intarsia("jobs", "--json").json == {"running": False, "jobs": []}
    assert intarsia("stop").out == "No engine is running.\n"
    assert intarsia("jobs", "cancel", "abc").code == 3
    assert not (home() / "run").exists()


# --- models ---------------------------------------------------------------------------------------


def a_model(folder: Path, title: str = "A picture", *, source: str = "") -> str:
    def write(place: Path) -> None:
        (place / "weights.safetensors").write_bytes(os.urandom(100))

    card = {"family": "single-image", "task": "harmonization", "title": title}
    return ModelStore(folder).add(write, {**card, "source_hash": source or title})


@pytest.mark.usefixtures("no_packs")
def test_models_are_listed_shown_and_removed(intarsia: Intarsia) -> None:
    assert intarsia("models", "list").out == "There are no models yet.\n"
    name = a_model(home() / "models")

    assert intarsia("models", "list", "--json").json["models"][0]["id"] == name
    assert intarsia("models", "show", name[:16], "--json").json["title"] == "A picture"
    assert intarsia("models", "remove", name).code == 0
    assert intarsia("models", "list", "--json").json == {"models": []}


def test_unknown_models_are_answered_with_those_there_are(intarsia: Intarsia) -> None:
    name = a_model(home() / "models")

    called = intarsia("models", "show", "nope")

    assert called.code == 2
    assert name in called.err


@pytest.mark.usefixtures("no_packs")
def test_damaged_models_are_found(intarsia: Intarsia) -> None:
    name = a_model(home() / "models")
    assert intarsia("models", "verify").code == 0
    weights = home() / "models" / name / "model" / "weights.safetensors"
    weights.write_bytes(bytes(100))

    called = intarsia("models", "verify", "--json")

    assert called.code == 1
    assert "has changed" in called.json["models"][name]


def test_a_model_is_imported_only_whole(intarsia: Intarsia, tmp_path: Path) -> None:
    name = a_model(tmp_path / "elsewhere", "Imported")
    folder = tmp_path / "elsewhere" / name

    assert intarsia("models", "import", folder).code == 0
    assert intarsia("models", "show", name, "--json").json["title"] == "Imported"
    (folder / "model" / "weights.safetensors").write_bytes(bytes(100))
    assert intarsia("models", "import", folder).code == 1
    assert intarsia("models", "import", tmp_path).code == 2


def test_an_exported_model_can_be_imported_again(intarsia: Intarsia, tmp_path: Path) -> None:
    name = a_model(home() / "models", "Sky")
    folder = tmp_path / "for a friend"
    assert intarsia("models", "export", "Sky", folder, "--json").json == {
        "id": name,
        "folder": str(folder),
    }
    assert intarsia("models", "export", name[:16], folder).code == 2  # nothing is replaced
    assert intarsia("models", "remove", name).code == 0
    assert intarsia("models", "import", folder).code == 0
    assert intarsia("models", "show", name, "--json").json["title"] == "Sky"
    assert intarsia("models", "export", "nobody", tmp_path / "new").code == 2


def test_models_that_ship_are_listed_as_such_and_stay(
    intarsia: Intarsia, no_packs: Path, tmp_path: Path
) -> None:
    name = a_model(tmp_path / "maker", "Shipped")
    no_packs.mkdir()
    (tmp_path / "maker" / name).rename(no_packs / "fruit")

    assert "Shipped" in intarsia("models", "list").out
    assert intarsia("models", "list").out.rstrip().endswith("shipped")
    shown = intarsia("models", "show", "fruit", "--json").json
    assert shown["folder"] == str(no_packs / "fruit") and shown["shipped"] is True
    assert intarsia("models", "verify").out == "fruit is whole.\n"
    refused = intarsia("models", "remove", "fruit")
    assert refused.code == 2 and "cannot be removed" in refused.err


@pytest.mark.usefixtures("no_packs")
def test_models_in_parameters_are_named_by_beginning_or_title(tmp_path: Path) -> None:
    first, second = (a_model(home() / "models", title) for title in ("One", "Two"))
    operation = Operation("x", "X", "X", "X.", (), (ModelRef("model", "M", "M."),))

    for text in ("One", first, first[:20]):
        assert named_models(operation, {"model": text})["model"] == first
    assert named_models(operation, {"model": ""})["model"] == ""
    assert named_models(operation, {"model": "elsewhere"})["model"] == "elsewhere"
    with pytest.raises(InvalidRequest, match="Several models are meant") as caught:
        named_models(operation, {"model": "single-image"})
    assert first in caught.value.remedy and second in caught.value.remedy


@pytest.mark.usefixtures("no_packs")
def test_a_model_is_named_by_its_name_or_by_its_title_among_several() -> None:
    for source in ("one", "other"):
        a_model(home() / "models", "Fruit", source=source)
    titles = {item["title"]: item["id"] for item in store().list()}
    assert len(titles) == 2
    for title, name in titles.items():
        assert title.startswith("Fruit (") and titled_model(title) == name
    with pytest.raises(InvalidRequest, match="Several models are meant"):
        titled_model("Fruit")


def test_a_file_that_is_no_model_is_refused_in_a_sentence(
    intarsia: Intarsia, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("hello")

    assert "no_such does not exist" in intarsia("models", "import", tmp_path / "no_such").err
    assert intarsia("models", "import", tmp_path, "--labels", tmp_path / "gone.txt").code == 2
    called = intarsia("models", "import", tmp_path / "notes.txt", "--json")
    assert called.code in (1, 2) and "notes.txt" in called.json["error"]["what"]


def test_the_formats_that_can_be_imported_are_listed(intarsia: Intarsia) -> None:
    assert "sngan-projection" in intarsia("models", "formats").out
    assert "biggan" in intarsia("models", "formats", "--json").json["formats"]


# --- doctor ---------------------------------------------------------------------------------------


def test_doctor_finds_a_fresh_home_in_order(intarsia: Intarsia) -> None:
    called = intarsia("doctor", "--json")

    found = {item["subject"]: item["state"] for item in called.json["findings"]}
    assert called.code == 0
    assert called.json["broken"] is False
    assert found["versions"] == found["starting"] == found["engine"] == "ok"


def test_doctor_says_whether_a_model_can_make_pictures_of_collages(
    intarsia: Intarsia, no_packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "packs_folder", lambda: no_packs)

    def told() -> dict[str, str]:
        findings = intarsia("doctor", "--json").json["findings"]
        return next(item for item in findings if item["subject"] == "models")

    assert told()["state"] == "note" and "intarsia train regressor" in told()["remedy"]
    card = {
        "family": "sngan-projection",
        "task": "generator",
        "title": "Rooms",
        "settings_hash": "1",
        "capabilities": ["regressor"],
    }
    ModelStore(home() / "models").add(lambda folder: (folder / "a.txt").write_text("x"), card)
    assert told()["state"] == "ok" and "collages: Rooms" in told()["text"]


def test_doctor_finds_a_home_that_others_can_read(intarsia: Intarsia) -> None:
    home().mkdir(mode=0o700, parents=True)
    home().chmod(0o755)

    called = intarsia("doctor")

    assert called.code == 1
    assert "Others can look into" in called.out
    assert "chmod 700" in called.out


def test_doctor_finds_an_engine_that_is_gone_or_open_to_others(intarsia: Intarsia) -> None:
    run = home() / "run"
    home().mkdir(mode=0o700)
    run.mkdir(mode=0o700)
    endpoint = run / "endpoint.json"
    content = {
        "host": "127.0.0.1", "control": 1, "bulk": 2, "token": "t", "boot": "b",
        "pid": os.getpid(), "protocol": [1, 0], "version": "0",
    }  # fmt: skip
    endpoint.write_text(json.dumps(content))
    endpoint.chmod(0o644)
    assert "is open to others" in intarsia("doctor").out
    endpoint.chmod(0o600)

    called = intarsia("doctor", "--json")

    broken = [item for item in called.json["findings"] if item["state"] == "broken"]
    assert called.code == 1
    assert [item["subject"] for item in broken] == ["engine"]
    assert f"Process {os.getpid()} should be the engine" in broken[0]["text"]


def test_doctor_finds_plug_ins_that_do_not_work(intarsia: Intarsia, own_home: Path) -> None:
    intarsia("plugins", "install", "gimp")
    assert intarsia("doctor").code == 0
    for script in own_home.rglob("intarsia_gimp.py"):
        script.chmod(0o644)

    called = intarsia("doctor")

    assert called.code == 1
    assert "intarsia plugins install gimp" in called.out


def test_doctor_notes_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ROOM_BYTES", 10**18)

    disk = next(finding for finding in doctor.examine() if finding.subject == "disk")

    assert (disk.state, disk.remedy[:9]) == ("note", "Make room")


# --- generated files ------------------------------------------------------------------------------


GENERATED = (
    "backend/intarsia_client/catalog.json",
    "backend/intarsia_client/packs.json",
    "docs/operations.md",
)


def generate(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "tools/generate.py", *(str(a) for a in arguments)],
        capture_output=True,
        text=True,
    )


def test_the_generated_files_fit_the_declarations() -> None:
    done = generate("--check")

    assert done.returncode == 0, done.stderr


def test_stale_generated_files_are_found_and_written_anew(tmp_path: Path) -> None:
    stale = generate("--check", "--root", tmp_path)
    assert stale.returncode == 1
    assert 'run "make docs"' in stale.stderr
    assert list(tmp_path.iterdir()) == [], "--check only looks"

    assert generate("--root", tmp_path).returncode == 0
    for name in GENERATED:
        assert (tmp_path / name).read_text("utf-8") == (ROOT / name).read_text("utf-8")


def test_shipped_models_are_packaged_with_their_class_names(tmp_path: Path) -> None:
    def write(place: Path) -> None:
        (place / "weights.safetensors").write_bytes(b"weights")
        facts = {"labels": ["lemon", "lime"], "num_classes": 2, "resolution": 32}
        (place / "card.json").write_text(json.dumps({**facts, "capabilities": ["classes"]}))

    card = {"family": "sngan-projection", "task": "generator", "title": "Fruit"}
    name = ModelStore(tmp_path / "maker").add(write, card)
    (tmp_path / "packs").mkdir()
    (tmp_path / "maker" / name).rename(tmp_path / "packs" / "fruit")

    assert generate("--root", tmp_path, "--packs", tmp_path / "packs").returncode == 0
    packs = json.loads((tmp_path / "backend/intarsia_client/packs.json").read_text("utf-8"))
    assert packs == {
        "packs": [
            {
                "id": "fruit",
                "title": "Fruit",
                "family": "sngan-projection",
                "task": "generator",
                "resolution": 32,
                "num_classes": 2,
                "capabilities": ["classes"],
                "labels": ["lemon", "lime"],
            }
        ]
    }
    (tmp_path / "packs" / "fruit" / "model" / "weights.safetensors").write_bytes(b"Weights")
    damaged = generate("--check", "--root", tmp_path, "--packs", tmp_path / "packs")
    assert damaged.returncode != 0 and "has changed" in damaged.stderr
