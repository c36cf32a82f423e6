"""Fixtures for the client's tests: a home of its own and small declarations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from intarsia_client.client import Client
from intarsia_client.schema import (
    Choice,
    Input,
    Operation,
    Option,
    Pixels,
    Scalar,
    Toggle,
    Whole,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("INTARSIA_HOME", str(folder))
    return folder


@pytest.fixture
def operation() -> Operation:
    """One input of each need and one parameter of each kind."""
    return Operation(
        id="soften",
        title="Soften",
        verb="Soften the element",
        summary="Make it softer.",
        inputs=(
            Input("picture", "picture", "Picture", "Choose the picture."),
            Input("area", "area", "Area", "Select where.", required=False),
            Input("samples", "templates", "Samples", "Choose some.", required=False),
        ),
        parameters=(
            Scalar("strength", "Strength", "How much.", 0.0, 1.0, 0.5),
            Whole("rounds", "Rounds", "How often.", 1, 9, 3, unit="x"),
            Choice(
                "edge", "Edge", "How.", (Option("soft", "Soft"), Option("hard", "Hard")), "soft"
            ),
            Toggle("tiled", "Tiled", "Whether.", False),
        ),
        version=2,
    )


@pytest.fixture
def picture() -> Pixels:
    return Pixels("picture", 3, 2, 4, bytes(range(24)), name="Sky")


@pytest.fixture
def connect(home: Path) -> Iterator[Callable[..., Client]]:
    """Clients of the engine in ``home`` that never start one; closed at the end."""
    clients: list[Client] = []

    def make(**options: object) -> Client:
        options.setdefault("start", False)
        options.setdefault("timeout_s", 10.0)
        clients.append(Client.connect(app="test", **options))  # type: ignore[arg-type]
        return clients[-1]

    yield make
    for client in clients:
        client.close()
