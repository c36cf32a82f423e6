"""The panel in a Krita made for tests, for the tests that have a Qt to draw it with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import krita
import pytest
from krita_collages import JOIN

from intarsia_client import catalog


@pytest.fixture
def document() -> Iterator[krita.Document]:
    """8 x 6: blue "Paper" and on it a red "Thing" of 2 x 2 at (2, 1), which is active."""
    made = krita.Document(8, 6)
    made.layer("Paper").fill(krita.BLUE, 0, 0, 8, 6)
    made.layer("Thing").fill(krita.RED, 2, 1, 2, 2)
    made.path = "/home/painter/night.kra"
    krita.Krita.active, krita.Krita.open_documents = made, [made]
    krita.Krita.settings.clear()
    yield made
    krita.Krita.active, krita.Krita.open_documents = None, []


@pytest.fixture
def docker(document: krita.Document, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The docker, 240 pixels wide, with four operations more than the release has."""
    import krita_panel
    from qt_binding import application

    monkeypatch.setenv("INTARSIA_HOME", str(tmp_path))
    from intarsia_krita import docker as module

    extra = {
        one.id: one for one in (krita_panel.CHANGE, krita_panel.LEARN, krita_panel.TEACH, JOIN)
    }
    operations = {**catalog.operations(), **extra}
    monkeypatch.setattr(catalog, "operations", lambda: operations)
    monkeypatch.setattr(catalog, "packs", lambda: krita_panel.PACKS, raising=False)
    monkeypatch.setattr(module, "Jobs", krita_panel.RecordedJobs)
    made = module.IntarsiaDocker()
    made.panel.form.choose("blend")
    made.resize(240, 700)
    made.show()
    application.processEvents()
    return made
