"""What all tests inside Krita share: the scenes are played once, then the tests look at them.

A module has its own fixture ``krita``, prepared with its pictures and models, and names its
``SCENES`` and, where they take long, ``LIMIT_S``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.editors.krita_session import Krita
from tests.support import running_engine

from intarsia_client.client import Client

LIMIT_S = 900


@pytest.fixture(scope="module")
def findings(krita: Krita, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the module's scenes found, by their names."""
    module = request.module
    return krita.play(module.SCENES, limit_s=getattr(module, "LIMIT_S", LIMIT_S))


@pytest.fixture
def seen(findings: dict[str, Any]) -> Callable[[str], Any]:
    """What a scene saw, by its name."""

    def look(name: str) -> Any:
        assert "traceback" not in findings[name], findings[name]["traceback"]
        return findings[name]

    return look


@pytest.fixture(scope="module")
def engine(krita: Krita, findings: dict[str, Any]) -> Iterator[Client]:
    """An engine with the home of the one that Krita started, and with no editor."""
    with (
        running_engine(krita.for_engine()),
        Client.connect(start=False, home_folder=krita.engine_home) as client,
    ):
        yield client
