"""Rough collages in a Krita made for tests, and an operation that makes a picture of one."""

from __future__ import annotations

import krita
from krita import BLUE, GREEN, RED

from intarsia_client.schema import Input, Operation, Scalar, Whole

JOIN = Operation(
    "join",
    "Join",
    "Join the pieces",
    "Join rough pieces.",
    (
        Input("pieces", "templates", "Pieces", "Rough pieces."),
        Input("keep", "area", "Keep", "What stays.", required=False),
    ),
    (
        Scalar("detail", "Detail", "How much.", 0.0, 1.0, 0.5),
        Whole("steps", "Steps", "How many.", 0, 10, 0),
    ),
    live=True,
)


def collage(space: tuple[str, str, str] | None = None) -> krita.Document:
    """12 x 8: a "Paper", and above it the active group "Collage" of three pieces."""
    made = krita.Document(12, 8, space)
    made.layer("Paper").fill(BLUE, 0, 0, 12, 8)
    group = made.layer("Collage", kind="grouplayer")
    made.layer("Ground", group).fill(GREEN, 0, 4, 6, 3)
    made.layer("House", group).fill(RED, 2, 1, 3, 4)
    made.layer("Sun", group).fill((1.0, 1.0, 0.0, 0.5), 8, 0, 2, 2)
    made.active = group
    return made


def group_of(made: krita.Document) -> krita.Node:
    """The group of a `collage`."""
    return made.root.children[1]
