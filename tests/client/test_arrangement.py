"""What the flat list of a result's layers becomes in a document."""

from __future__ import annotations

from typing import Any

from intarsia_client.arrangement import Animation, Group, Still, arranged, face, numbers_of
from intarsia_client.schema import ResultLayer


def layer(**facts: Any) -> ResultLayer:
    channels = 1 if "mask_of" in facts else 4
    return ResultLayer("", 1, 1, channels, bytes(channels), **facts)


def test_plain_layers_stay_in_their_order() -> None:
    assert arranged([layer(), layer()]) == [Still(0), Still(1)]


def test_a_mask_is_no_layer_but_belongs_to_one_wherever_it_stands() -> None:
    layers = [layer(group="M"), layer(group="M"), layer(mask_of=0), layer(), layer(mask_of=1)]
    assert arranged(layers) == [Group("M", [Still(0, 2), Still(1, 4)]), Still(3)]


def test_two_groups_lie_above_each_other_in_the_order_of_their_first_layers() -> None:
    found = arranged([layer(), layer(group="A"), layer(group="A"), layer(group="B")])
    assert found == [Still(0), Group("A", [Still(1), Still(2)]), Group("B", [Still(3)])]
    assert list(numbers_of(found)) == [0, 1, 2, 3]


def test_pictures_with_a_duration_are_one_animation_until_something_stands_still() -> None:
    moving = layer(duration_ms=40.0)
    assert arranged([moving, moving, layer(), moving]) == [
        Animation((0, 1)),
        Still(2),
        Animation((3,)),
    ]


def test_a_mask_of_a_layer_that_is_not_there_is_left_out() -> None:
    assert arranged([layer(), layer(mask_of=7)]) == [Still(0)]


def test_the_topmost_layer_with_colours_stands_for_a_result() -> None:
    placement = ResultLayer("Placement", 1, 1, 1, b"a")
    picture, more = layer(), layer()
    assert face([placement, picture]) is picture
    assert face([picture, more, layer(mask_of=1)]) is more
    assert face([placement]) is placement
    first, second = layer(duration_ms=5.0), layer(duration_ms=5.0)
    assert face([first, second]) is first
