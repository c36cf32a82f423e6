"""Pictures of an animation become one animated layer, and the document plays them."""

from __future__ import annotations

from collections.abc import Iterator

import krita
import pytest
from krita import two_layers

from intarsia_client.schema import ResultLayer
from intarsia_krita import animations, placement


@pytest.fixture(autouse=True)
def files() -> Iterator[None]:
    yield
    krita.Krita.files.clear()
    krita.Krita.writes_files = True


def frames(count: int, duration_ms: float = 100.0) -> list[ResultLayer]:
    return [
        ResultLayer(f"Sea, frame {n}", 1, 1, 4, bytes([n, 0, 0, 255]), x=2, duration_ms=duration_ms)
        for n in range(count)
    ]


def test_an_animation_is_one_layer_with_a_key_frame_for_each_picture_and_one_undo() -> None:
    made = two_layers()
    arrives = placement.make(made, frames(3), "Animate")
    placement.place(made, arrives.root, None)
    node = made.topLevelNodes()[-1]
    assert (node.name(), node.type(), node.animated()) == ("Sea, animated", "paintlayer", True)
    assert [t for t in range(9) if node.hasKeyframeAtTime(t)] == [0, 1, 2]
    assert [node.pixelDataAtTime(2, 0, 1, 1, t)[2] for t in range(3)] == [0, 1, 2]
    assert len(made.undo_steps) == 1 and arrives.nodes == {0: arrives.root}
    assert (made.fps, made.range, made.played, made.time) == (10, (0, 2), (0, 2), 0)
    assert all(document.closed for document in krita.Krita.scratch[-3:])


def test_a_document_that_moves_already_keeps_its_pace_and_the_pictures_keep_theirs() -> None:
    made = two_layers()
    made.layer("Bird").enableAnimation()
    made.fps, made.range = 24, (0, 4)
    placement.make(made, frames(4), "Animate")
    assert (made.fps, made.range) == (24, (0, 9))
    made.range = (0, 100)
    placement.make(made, frames(4), "Animate")
    assert made.range == (0, 100)


@pytest.mark.parametrize(
    ("durations_ms", "fps", "times"),
    [
        ([100.0, 100.0], 10, [0, 1, 2]),
        ([1000 / 24] * 3, 24, [0, 1, 2, 3]),
        ([400.0, 400.0], 5, [0, 2, 4]),
        ([2500.0], 2, [0, 5]),
        ([100.0, 300.0], 10, [0, 1, 4]),
        ([1.0, 1.0], 60, [0, 1, 2]),
    ],
)
def test_pictures_show_as_long_as_they_should(
    durations_ms: list[float], fps: int, times: list[int]
) -> None:
    assert animations.frames_per_second(durations_ms) == fps
    assert animations.key_times(durations_ms, fps) == times


def test_where_krita_cannot_the_pictures_are_layers_that_say_how_long_they_show() -> None:
    krita.Krita.writes_files = False
    root = placement.make(two_layers(), frames(2), "Animate").root
    assert (root.name(), root.type()) == ("Sea, animated", "grouplayer")
    names = [node.name() for node in root.childNodes()]
    assert names == ["Sea, frame 0 (100ms)", "Sea, frame 1 (100ms)"]


def test_an_animation_beside_a_still_layer_stands_in_a_group_with_it() -> None:
    still = ResultLayer("Sheet", 1, 1, 4, bytes(4))
    arrives = placement.make(two_layers(), [still, *frames(2)], "Animate")
    assert [n.name() for n in arrives.root.childNodes()] == ["Sheet", "Sea, animated"]
    assert sorted(arrives.nodes) == [0, 1]
