"""What tests of operations share: an engine's home with a small generator, and a context in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from operation_runs import direct_context
from small_generators import install_small_generator

from intarsia_daemon.context import Context


@pytest.fixture(name="home", scope="module")
def _home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One per module; the generator has a regressor where the module says ``REGRESSOR = True``."""
    home = tmp_path_factory.mktemp("home")
    install_small_generator(home, regressor=getattr(request.module, "REGRESSOR", False))
    return home


@pytest.fixture(name="context")
def _context(home: Path) -> Context:
    """A fresh one, in which no model was adapted."""
    for file in (home / "adapted").glob("*"):
        file.unlink()
    return direct_context(home)
