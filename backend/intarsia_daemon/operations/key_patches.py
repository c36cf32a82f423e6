"""Find the parts of a picture that tell most of it, and cut them out."""

from __future__ import annotations

from intarsia_client.schema import Choice, Input, Option
from intarsia_daemon import picture_parts as shared
from intarsia_daemon.context import Context
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Area, Layer, Outcome, Picture


@operation(
    title="Key patches",
    verb="Cut out the key patches",
    group="Collages",
    inputs=(
        Input("picture", "picture", "Picture", "Whose parts are looked for."),
        Input(
            "area",
            "area",
            "Area",
            "Where parts are looked for; without it everywhere.",
            required=False,
        ),
    ),
    parameters=(
        shared.COUNT,
        Choice(
            "sizes",
            "Sizes",
            "How large the parts are.",
            (
                Option("usual", "A quarter to two fifths", "Of the picture's side, as published."),
                Option("wide", "A fifth to a half", "For pictures with small and large parts."),
                Option("own", "As below", "The smallest and the largest side of your choice."),
            ),
            default="usual",
        ),
        shared.LEAST,
        shared.MOST,
        shared.OVERLAP,
    ),
)
def key_patches(
    picture: Picture,
    area: Area | None,
    count: int,
    sizes: str,
    least: float,
    most: float,
    overlap: float,
    context: Context,
) -> Outcome:
    """Find the parts that tell most of a picture, and cut each out into a layer of its own.

    Assemble makes a whole of them again, or of them and others. Source: Lee et al. 2018,
    arXiv:1703.10730; what is looked for: `intarsia_models.key_patches.objectness`.
    """
    sides = {"usual": (25.0, 40.0), "wide": (20.0, 50.0), "own": (least, most)}[sizes]
    rule = shared.box_rule(*sides, overlap)
    with context.phase("find"):
        context.progress("Looking for parts", 0, 1)
        found = shared.key_parts(picture, count, rule, area=area)
    name = picture.name or "Picture"
    layers = [
        Layer(
            f"{name}, key patch {number}",
            part.piece.array,
            part.piece.x,
            part.piece.y,
            group=f"Key patches of {name}",
        )
        for number, part in enumerate(found, 1)
    ]
    notes = []
    if len(found) < count:
        notes.append(f"Only {len(found)} parts of these sizes fit beside each other.")
    scores = {f"score_{n}": part.patch.score for n, part in enumerate(found, 1)}
    return Outcome(layers[::-1], metrics=scores, notes=notes)  # the best on top
