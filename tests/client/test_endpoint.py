"""The home folder, and which files are trusted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from intarsia_client import endpoint
from intarsia_client.endpoint import Endpoint, read_engine_command, write_engine_file
from intarsia_client.errors import (
    EngineMissing,
    EngineNotRunning,
    EngineRefused,
    EngineUnreachable,
)

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
GOOD = {
    "protocol": [1, 3],
    "host": "127.0.0.1",
    "control": 5001,
    "bulk": 5002,
    "pid": os.getpid(),
    "boot": "b",
    "token": "t",
    "version": "0.1.0",
    "from_the_future": True,
}


def write(home: Path, text: str, mode: int = 0o600) -> Path:
    (home / "run").mkdir(mode=0o700, exist_ok=True)
    path = home / "run" / "endpoint.json"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("platform", "place"),
    [
        ("linux", ".local/share/intarsia"),
        ("darwin", "Library/Application Support/Intarsia"),
        ("win32", "AppData/Local/Intarsia"),
    ],
)
def test_the_home_follows_the_home_directory_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, place: str
):
    monkeypatch.delenv("INTARSIA_HOME", raising=False)
    monkeypatch.delenv("SNAP_REAL_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere")
    monkeypatch.setattr(endpoint.sys, "platform", platform)
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: tmp_path))
    assert endpoint.home() == tmp_path / place


def test_the_variable_wins_and_a_snap_uses_the_real_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.delenv("INTARSIA_HOME", raising=False)
    monkeypatch.setenv("SNAP_REAL_HOME", str(tmp_path))
    assert tmp_path in endpoint.home().parents
    monkeypatch.setenv("INTARSIA_HOME", str(tmp_path / "mine"))
    assert endpoint.home() == tmp_path / "mine"


def test_an_endpoint_is_read_and_unknown_fields_are_ignored(home: Path):
    write(home, json.dumps(GOOD))
    found = Endpoint.read()
    assert (found.host, found.control, found.bulk, found.token) == ("127.0.0.1", 5001, 5002, "t")
    assert found.protocol == (1, 3)
    assert Endpoint.read(home) == found


def test_no_file_means_that_no_engine_runs(home: Path):
    with pytest.raises(EngineNotRunning, match=r"not running.*intarsia serve") as caught:
        Endpoint.read()
    assert caught.value.action == {"label": "Start the engine", "do": "start"}


def test_the_file_of_a_dead_engine_means_that_none_runs(home: Path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    write(home, json.dumps(dict(GOOD, pid=dead.pid)))
    with pytest.raises(EngineNotRunning, match=f"ended unexpectedly .process {dead.pid}"):
        Endpoint.read()


def test_an_engine_elsewhere_or_seen_from_a_sandbox_has_no_process_here(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    write(home, json.dumps(dict(GOOD, pid=0)))
    assert Endpoint.read().pid == 0
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    write(home, json.dumps(dict(GOOD, pid=dead.pid)))
    monkeypatch.setattr(endpoint, "sandboxed", lambda: True)
    assert Endpoint.read().pid == dead.pid


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_can_read_or_write_is_not_trusted(home: Path, mode: int):
    path = write(home, json.dumps(GOOD), mode)
    with pytest.raises(EngineRefused, match=f"open to others .mode {mode:o}.*chmod 600"):
        Endpoint.read()
    path.chmod(0o600)
    assert Endpoint.read().token == "t"


@posix
@pytest.mark.skipif(os.name == "posix" and os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_is_not_trusted(home: Path):
    os.chown(write(home, json.dumps(GOOD)), 12345, -1)
    with pytest.raises(EngineRefused, match="owner 12345"):
        Endpoint.read()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "\udcff", "{}"]
    + [json.dumps({k: v for k, v in GOOD.items() if k != gone}) for gone in ("token", "bulk")]
    + [json.dumps(dict(GOOD, **change)) for change in ({"control": "x"}, {"protocol": 1})],
)
def test_a_broken_file_is_named(home: Path, text: str):
    path = write(home, "{}")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(EngineUnreachable, match=r"endpoint\.json"):
        Endpoint.read()


@pytest.mark.parametrize(("major", "side"), [(0, "Update the engine"), (2, "Update this plug-in")])
def test_another_major_version_names_both_and_the_older_one(home: Path, major: int, side: str):
    write(home, json.dumps(dict(GOOD, protocol=[major, 4])))
    with pytest.raises(EngineRefused, match=rf"speaks protocol {major}\.4.*1\.0.*{side}") as caught:
        Endpoint.read()
    assert caught.value.code == "UNSUPPORTED_VERSION"


def test_the_command_survives_the_file_which_is_private(tmp_path: Path):
    home = tmp_path / "new"
    command = [sys.executable, "-m", "intarsia_daemon", "serve"]
    write_engine_file(command, home)
    assert read_engine_command(home) == command
    if os.name == "posix":
        assert (home / "engine.json").stat().st_mode & 0o777 == 0o600
        assert home.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in home.iterdir()] == ["engine.json"]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "not installed for this user.*pip install intarsia"),
        ({"command": ["/no/such/python", "-m", "intarsia_daemon"]}, "no longer at /no/such/python"),
        ({"command": []}, "no command"),
        ({"command": "rm -rf"}, "no command"),
        ({"command": [1]}, "no command"),
        ([], "broken"),
    ],
)
def test_a_missing_engine_is_explained(home: Path, content: Any, match: str):
    if content is not None:
        (home / "engine.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(EngineMissing, match=match):
        read_engine_command()


@posix
def test_a_command_that_others_could_have_written_is_not_run(home: Path):
    write_engine_file([sys.executable])
    (home / "engine.json").chmod(0o622)
    with pytest.raises(EngineRefused, match="open to others"):
        read_engine_command()
