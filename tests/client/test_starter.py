"""Starting the engine: apart from us, with a clean environment, and when it does not start."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support import FAKES, ROOT

from intarsia_client import endpoint, starter
from intarsia_client.client import Client
from intarsia_client.endpoint import Endpoint, write_engine_file
from intarsia_client.errors import EngineMissing, EngineUnreachable

ENGINE = """
import json, os, sys
sys.path[:0] = {path!r}
from pathlib import Path
from scripted_engine import ScriptedEngine
home = Path(os.environ["INTARSIA_HOME"])
Path(home / "environment.json").write_text(json.dumps(dict(os.environ)))
with ScriptedEngine(home) as engine:
    engine.on("shutdown", lambda engine, visit: (visit.reply("done"), engine._stop.set()))
    engine._thread.join()
"""


@pytest.fixture
def script(home: Path, tmp_path: Path) -> Callable[[str], None]:
    """Let this code be the engine of ``home``."""

    def write(code: str) -> None:
        path = tmp_path / "engine.py"
        path.write_text(textwrap.dedent(code), "utf-8")
        write_engine_file([sys.executable, str(path)], home)

    return write


@pytest.fixture
def engine(script: Callable[[str], None]) -> None:
    """A scripted engine can be started in ``home``."""
    script(ENGINE.format(path=[str(FAKES), str(ROOT), str(ROOT / "backend")]))


@pytest.fixture(autouse=True)
def clean_up() -> Iterator[None]:
    before = list(starter._started)
    yield
    for child in starter._started:
        if child not in before:
            child.kill()
            child.wait()
    starter._started[:] = before


def test_the_engine_is_started_once_and_stays_when_the_client_leaves(home: Path, engine: None):
    starter._started.clear()
    with Client.connect(timeout_s=60) as client:
        boot = client.welcome["boot"]
    with Client.connect(timeout_s=60) as client:
        assert client.welcome["boot"] == boot
        client.shutdown()
    assert len(starter._started) == 1


def test_an_engine_that_died_is_started_again_on_the_next_request(home: Path, engine: None):
    with Client.connect(timeout_s=60) as client:
        boot = client.welcome["boot"]
        process = starter._started[-1]
        process.send_signal(signal.SIGKILL)  # on purpose not waited for: it stays as a zombie
        assert client.jobs() == []
        assert client.welcome["boot"] != boot


def test_without_start_no_engine_is_started(home: Path, engine: None):
    started = len(starter._started)
    with pytest.raises(EngineUnreachable, match="not running"):
        Client.connect(start=False)
    assert len(starter._started) == started


def test_what_the_editor_set_for_itself_does_not_reach_the_engine(
    home: Path, engine: None, monkeypatch: pytest.MonkeyPatch
):
    for name in ("PYTHONHOME", "LD_LIBRARY_PATH", "QT_PLUGIN_PATH", "GI_TYPELIB_PATH", "GIMP3_X"):
        monkeypatch.setenv(name, "/editor")
    monkeypatch.setenv("MY_OWN", "kept")
    starter.start_engine(home_folder=home)
    text = (home / "environment.json").read_text("utf-8")
    assert "/editor" not in text
    assert '"MY_OWN": "kept"' in text
    assert '"PYTHONSAFEPATH": "1"' in text


@pytest.mark.skipif(os.name != "posix", reason="sessions are POSIX")
def test_the_engine_is_in_a_session_of_its_own(home: Path, engine: None):
    found = starter.start_engine(home_folder=home)
    assert os.getsid(found.pid) == found.pid != os.getsid(0)


def test_an_engine_that_ends_at_once_shows_its_last_words(
    home: Path, script: Callable[[str], None]
):
    script("import sys; sys.exit('torch is broken')")
    with pytest.raises(
        EngineUnreachable, match=r"ended right after its start .exit code 1"
    ) as caught:
        starter.start_engine(timeout_s=60)
    assert caught.value.value == "torch is broken"
    assert "start.log" in caught.value.remedy
    assert (caught.value.action or {})["do"] == "log"


def test_an_engine_that_never_answers_is_given_up(home: Path, script: Callable[[str], None]):
    script("import time; time.sleep(600)")
    with pytest.raises(EngineUnreachable, match=r"did not answer within 0.5 s"):
        starter.start_engine(timeout_s=0.5)


def test_an_engine_that_lost_the_race_leads_to_the_winner(
    home: Path, script: Callable[[str], None], engine: None
):
    """The first start finds the lock taken (75); the winner shows up meanwhile."""
    path = [str(FAKES), str(ROOT), str(ROOT / "backend")]
    race = """
    import os, sys
    flag = os.path.join(os.environ["INTARSIA_HOME"], "raced")
    if not os.path.exists(flag):
        open(flag, "w").close()
        sys.exit(75)
    """
    script(textwrap.dedent(race) + ENGINE.format(path=path))
    assert starter.start_engine(home_folder=home).boot


def test_several_clients_at_once_find_one_engine(home: Path, script: Callable[[str], None]):
    path = [str(FAKES), str(ROOT), str(ROOT / "backend")]
    lock = """
    import fcntl, os, sys
    handle = open(os.path.join(os.environ["INTARSIA_HOME"], "lock"), "w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(75)
    """
    script(textwrap.dedent(lock) + ENGINE.format(path=path))
    boots: list[str] = []

    def meet() -> None:
        with Client.connect(timeout_s=60) as client:
            boots.append(client.welcome["boot"])

    threads = [threading.Thread(target=meet) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(boots) == 3
    assert len(set(boots)) == 1


def test_an_engine_that_is_not_installed_is_explained(home: Path):
    with pytest.raises(EngineMissing, match="pip install intarsia"):
        Client.connect(timeout_s=5)


def test_a_program_that_cannot_be_run_is_explained(home: Path, tmp_path: Path):
    program = tmp_path / "not-a-program"
    program.write_text("x", "utf-8")
    program.chmod(0o600)
    write_engine_file([str(program)], home)
    with pytest.raises(EngineMissing, match=r"could not be started with .*not-a-program"):
        starter.start_engine()


def test_inside_flatpak_the_one_command_is_told(
    home: Path, engine: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(endpoint, "sandboxed", lambda: True)
    with pytest.raises(EngineUnreachable, match='Open a terminal, type "intarsia serve"') as caught:
        Client.connect(timeout_s=5)
    assert caught.value.value == "intarsia serve"
    with pytest.raises(EngineUnreachable, match="not running"):
        Endpoint.read()


def test_starting_keeps_no_zombies(home: Path, script: Callable[[str], None]):
    script("")
    starter._started.clear()
    for _ in range(3):
        with pytest.raises(EngineUnreachable, match="exit code 0"):
            starter.start_engine(timeout_s=60)
    assert len(starter._started) == 1
