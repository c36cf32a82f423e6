"""A home of its own for every test, a way to call the command line, and an engine to talk to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import engine_environment, running_engine

from intarsia_daemon.cli import application, models


@dataclass(frozen=True)
class Called:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout; fails if there is more or less."""
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """INTARSIA_HOME and HOME in a temporary folder; returns the latter."""
    folder = tmp_path_factory.mktemp("user")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("INTARSIA_HOME", str(folder / "intarsia"))
    monkeypatch.delenv("GIMP3_DIRECTORY", raising=False)
    return folder


@pytest.fixture
def no_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No model ships, whatever does: a folder to put packs into."""
    folder = tmp_path / "packs"
    monkeypatch.setattr(models, "packs_folder", lambda: folder)
    return folder


@pytest.fixture
def intarsia(capsys: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    """Call the command line in this process."""

    def call(*arguments: object) -> Called:
        code = application.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Called(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="package")
def engine_variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an engine that runs as long as this folder's tests."""
    environment = engine_environment(tmp_path_factory.mktemp("engine"))
    with running_engine(environment):
        yield environment


@pytest.fixture
def engine(engine_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Let this test's command line find the running engine."""
    for name in ("INTARSIA_HOME", "INTARSIA_EXTRA_OPERATIONS", "INTARSIA_EXTRA_CATALOG"):
        monkeypatch.setenv(name, engine_variables[name])
    return engine_variables


@pytest.fixture
def process(engine_variables: dict[str, str]) -> Callable[..., subprocess.Popen[str]]:
    """Start the command line as a process of its own, beside the running engine."""

    def start(*arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "intarsia_daemon", *(str(a) for a in arguments)],
            env=engine_variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
