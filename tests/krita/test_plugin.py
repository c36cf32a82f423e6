"""Importing the plug-in: what it registers, and what it says when a part is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import krita
import pytest

from intarsia_krita.broken import explain

ROOT = Path(__file__).resolve().parents[2]
FAKES = ROOT / "tests" / "fakes"
PLUGIN = ROOT / "krita_plugin" / "intarsia_krita"
_LOAD = """
import krita, sys, intarsia_krita
factory, = krita.Krita.factories
print(factory.name, factory.panel.__name__, sorted(
    m for m in sys.modules if m.split(".")[0] in ("numpy", "torch", "zmq", "intarsia_daemon")))
"""

_SOME_QT = """
class _Any(type):
    def __getattr__(cls, name):
        return Any
class Any(metaclass=_Any):
    def __init__(self, *a, **k):
        pass
def __getattr__(name):
    return Any
"""


def load(*places: Path) -> str:
    """Import the plug-in in a fresh interpreter that sees only these places."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _LOAD],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (FAKES, *places)))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_part_that_is_missing_still_registers_a_panel_that_says_so() -> None:
    assert load(PLUGIN.parent).startswith("intarsia BrokenPanel []")


@pytest.mark.skipif(sys.version_info < (3, 10), reason="the installer needs Python 3.10")
def test_as_installed_it_finds_its_client_and_registers_the_panel(tmp_path: Path) -> None:
    from intarsia_daemon.plugins import plugin_files

    for name, data in plugin_files("krita").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    qt = tmp_path / "PyQt5"
    qt.mkdir()
    for name in ("__init__", "QtCore", "QtGui", "QtWidgets"):
        (qt / f"{name}.py").write_text(_SOME_QT)
    assert load(tmp_path).startswith("intarsia IntarsiaDocker []")


def test_the_sentence_names_the_missing_part_and_the_command() -> None:
    text = explain(ModuleNotFoundError("no", name="intarsia_client.wire"))
    assert "intarsia_client.wire" in text and "intarsia plugins install krita" in text
    assert "ValueError: odd" in explain(ValueError("odd"))


def test_the_entry_for_krita_names_the_package_and_its_manual() -> None:
    entry = (PLUGIN.parent / "intarsia_krita.desktop").read_text("utf-8")
    assert "X-KDE-Library=intarsia_krita" in entry
    manual = entry.split("X-Krita-Manual=")[1].splitlines()[0]
    assert (PLUGIN / manual).is_file()


def test_registering_names_the_docker_once() -> None:
    import intarsia_krita

    assert [f.name for f in krita.Krita.factories] == [intarsia_krita.DOCKER_ID]
