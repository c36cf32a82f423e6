"""Results with frames and with several layers: what Amount shows, and what it never touches."""

from __future__ import annotations

import krita
import pytest
from krita import two_layers

from intarsia_client.schema import Operation, Result, ResultLayer
from intarsia_krita import recipes
from intarsia_krita.delivery import deliver, note_amount, scrub, take_back
from intarsia_krita.session import Outcome, Work

CHANGE = Operation("change", "Change", "Change", "", (), ())
AMOUNTS = (0.0, 0.5, 1.0)


def pixel(level: int) -> bytes:
    return bytes([level, 0, 0, 255])


def layer(name: str, level: int, x: int = 2, amount: float | None = None, of: int | None = None):
    return ResultLayer(name, 1, 1, 4, pixel(level), x=x, y=1, amount=amount, frame_of=of)


def framed(count: int = 1) -> Result:
    """Layers at the full amount, each with frames at 0, 0.5 and 1: red 0, 100 and 200."""
    layers = tuple(layer(f"L{n}", 200, 2 + n, 1.0) for n in range(count))
    frames = tuple(layer("", round(200 * a), 2 + n, a, n) for n in range(count) for a in AMOUNTS)
    return Result(layers, {"operation": "change", "parameters": {"amount": 1.0}}, frames=frames)


def delivered(made: krita.Document, result: Result) -> Outcome:
    element = made.root.children[1].uniqueId().toString()
    return deliver(made, Work("j", CHANGE, "doc", "a.kra", element), result)[0]


def red(node: krita.Node, x: int = 2) -> int:
    return node.pixelData(x, 1, 1, 1)[2]


def test_amount_shows_the_nearest_frame_and_makes_no_undo_step() -> None:
    made = two_layers()
    before = [(n.name(), dict(n.pixels)) for n in made.topLevelNodes()]
    outcome = delivered(made, framed())
    node = made.topLevelNodes()[-1]
    assert (red(node), outcome.amount, len(made.undo_steps)) == (200, 1.0, 1)
    for amount, shown in ((0.55, 100), (0.1, 0), (0.0, 0), (0.9, 200)):
        scrub(made, outcome, amount)
        assert (red(node), outcome.amount) == (shown, amount)
    assert len(made.undo_steps) == 1 and made.modified
    assert [(n.name(), dict(n.pixels)) for n in made.topLevelNodes()[:2]] == before
    made.undo()
    assert [n.name() for n in made.topLevelNodes()] == ["Paper", "Thing"]


def test_a_frame_that_shows_already_is_not_written_again() -> None:
    made = two_layers()
    outcome = delivered(made, framed())
    node = made.topLevelNodes()[-1]
    writes = node.writes
    for amount in (0.99, 0.8, 0.76):
        scrub(made, outcome, amount)
    assert node.writes == writes


def test_a_layer_that_was_painted_on_or_moved_keeps_what_it_has() -> None:
    made = two_layers()
    outcome = delivered(made, framed())
    node = made.topLevelNodes()[-1]
    node.pixels[(2, 1)] = (0.0, 1.0, 0.0, 1.0)
    scrub(made, outcome, 0.0)
    assert node.pixels[(2, 1)] == (0.0, 1.0, 0.0, 1.0)
    assert outcome.by_hand


def test_a_layer_that_is_gone_is_no_trouble() -> None:
    made = two_layers()
    outcome = delivered(made, framed())
    made.undo()
    scrub(made, outcome, 0.0)
    assert not outcome.by_hand


def test_every_layer_of_a_result_follows_its_own_frames() -> None:
    made = two_layers()
    outcome = delivered(made, framed(2))
    group = made.topLevelNodes()[-1]
    one, two = group.childNodes()
    assert (group.name(), len(made.undo_steps)) == ("Change", 1)
    scrub(made, outcome, 0.5)
    assert (red(one, 2), red(two, 3)) == (100, 100)
    take_back(made, outcome)
    assert [n.name() for n in made.topLevelNodes()] == ["Paper", "Thing"]
    assert recipes.all_recipes(made) == {}


def test_a_layer_between_two_frames_can_be_shown_again() -> None:
    result = framed()
    made = two_layers()
    main = layer("L", 150, amount=0.75)
    outcome = delivered(made, Result((main,), result.recipe, frames=result.frames))
    node = made.topLevelNodes()[-1]
    assert outcome.amount == 0.75
    scrub(made, outcome, 0.0)
    scrub(made, outcome, 0.75)
    assert red(node) == 150


@pytest.mark.parametrize("frame", [layer("", 9, 3, 0.5, 0), layer("", 9, 2, 0.5, 4)])
def test_a_frame_of_another_place_or_of_no_layer_is_left_out(frame: ResultLayer) -> None:
    result = Result((layer("L", 200),), {}, frames=(frame,))
    assert delivered(two_layers(), result).frames == {}


def test_the_amount_that_shows_is_in_the_recipe() -> None:
    made = two_layers()
    outcome = delivered(made, framed())
    scrub(made, outcome, 0.5)
    note_amount(made, outcome, "amount")
    recipe = recipes.recipe_of(made, made.topLevelNodes()[-1]) or {}
    assert recipe["parameters"] == {"amount": 0.5}
    assert outcome.result.recipe["parameters"] == {"amount": 1.0}


def test_a_result_with_no_layers_changes_nothing() -> None:
    made = two_layers()
    outcome = delivered(made, Result((), {"operation": "change"}, notes=("Learnt.",)))
    assert made.undo_steps == [] and outcome.remarks() == ["Learnt."]
    take_back(made, outcome)
    assert [n.name() for n in made.topLevelNodes()] == ["Paper", "Thing"]
