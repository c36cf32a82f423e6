"""Small pixels for the live preview, and how changes of the document are noticed."""

from __future__ import annotations

from typing import Any

import krita
import pytest
from krita import BLUE, GREEN, RED
from krita_collages import JOIN

from intarsia_client.schema import Pixels
from intarsia_krita.situation import look

from qt_binding import QtGui  # isort: skip (a skip where there is no Qt)
from intarsia_krita import small_pixels  # isort: skip
from intarsia_krita.follower import Follower  # isort: skip

assert QtGui
WHITE = (1.0, 1.0, 1.0, 1.0)


def collage(space: tuple[str, str, str] | None = None) -> krita.Document:
    """24 x 16: the active group "Collage" of two pieces."""
    made = krita.Document(24, 16, space)
    group = made.layer("Collage", kind="grouplayer")
    made.layer("Ground", group).fill(GREEN, 0, 8, 24, 8)
    made.layer("House", group).fill(RED, 5, 2, 6, 10)
    made.active = group
    return made


def group_of(made: krita.Document) -> krita.Node:
    return made.root.children[0]


def small(made: krita.Document, side: int = 12) -> list[Pixels]:
    """Every input, read at once."""
    sources = look(made, JOIN).sources
    number = small_pixels.divisor((s.bounds for s in sources), side)
    found = []
    for source in sources:
        reading = small_pixels.read_small(made, source, number, {})
        while True:
            try:
                next(reading)
            except StopIteration as end:
                found.append(end.value)
                break
    return found


def rgba(pixels: Pixels, x: int, y: int) -> tuple[int, ...]:
    begin = pixels.channels * ((y - pixels.y) * pixels.width + x - pixels.x)
    return tuple(bytes(pixels.data)[begin : begin + pixels.channels])


@pytest.mark.parametrize(
    ("places", "number"),
    [
        ([(0, 0, 512, 100)], 1),
        ([(0, 0, 513, 100)], 2),
        ([(1, 0, 1023, 10)], 2),
        ([(1, 0, 1024, 10)], 3),  # on the grid of 2 it would be 513 wide
        ([(10, 10, 20, 20), (2000, 5, 48, 3000)], 6),
    ],
)
def test_everything_together_fits_into_512_pixels(
    places: list[tuple[int, int, int, int]], number: int
) -> None:
    assert small_pixels.divisor(places) == number
    assert max(small_pixels.cells(small_pixels.around(places), number)[2:]) <= 512


def test_small_pieces_lie_on_one_grid_and_are_means_of_squares() -> None:
    ground, house = small(collage())
    assert (ground.x, ground.y, ground.width, ground.height) == (0, 4, 12, 4)
    assert (house.x, house.y, house.width, house.height) == (2, 1, 4, 5)
    assert rgba(ground, 0, 4) == (0, 255, 0, 255)
    assert rgba(house, 3, 2) == (255, 0, 0, 255)
    red, *_, alpha = rgba(house, 2, 2)  # half of that square is empty: the colour stays
    assert (red, alpha) == (255, pytest.approx(128, abs=1))


def test_nothing_is_made_smaller_that_fits_already() -> None:
    ground, house = small(collage(), side=512)
    assert (house.x, house.y, house.width, house.height) == (5, 2, 6, 10)
    assert bytes(house.data) == bytes([255, 0, 0, 255]) * 60 and ground.width == 24


def test_opacity_selection_and_depth_are_in_the_small_pixels() -> None:
    made = collage(("RGBA", "U16", krita.SRGB))
    group_of(made).children[1].setOpacity(51)
    selection = krita.Selection()
    selection.select(4, 4, 4, 4, 200)
    made.setSelection(selection)
    _, house, keep = small(made)
    assert house.dtype == "u8" and rgba(house, 3, 2) == (255, 0, 0, 51)
    assert (keep.x, keep.y, keep.width, keep.height, keep.channels) == (2, 2, 2, 2, 1)
    assert bytes(keep.data) == bytes([200]) * 4


@pytest.mark.parametrize("depth", ["U8", "U16", "F32"])
@pytest.mark.parametrize("side", [512, 12, 6])
def test_what_must_be_converted_is_taken_from_the_middle_of_each_square(
    depth: str, side: int
) -> None:
    made = collage(("RGBA", depth, krita.LINEAR))
    house = group_of(made).children[1]
    house.pixels = {(x, y): (0.5, x / 23, y / 15, 1.0) for x in range(24) for y in range(16)}
    _, found = small(made, side)
    number = 24 // found.width
    for x, y in ((1, 1), (found.width - 1, found.height - 1)):
        middle = (x * number + number // 2, y * number + number // 2)
        linear = house.pixels[middle][:3]
        wanted = [round(255 * krita._to_srgb(value)) for value in linear]
        assert list(rgba(found, x, y)[:3]) == pytest.approx(wanted, abs=2)
        assert rgba(found, x, y)[3] == 255


def test_a_piece_that_krita_must_compose_is_small_too() -> None:
    made = collage()
    house = group_of(made).children[1]
    shade = made.layer("Shade", group_of(made))
    shade.fill(BLUE, 0, 2, 24, 2)
    shade.setInheritAlpha(True)
    made.active = group_of(made)
    _, found = small(made)
    assert (found.x, found.y, found.width, found.height) == (2, 1, 4, 5)
    assert rgba(found, 3, 1) == (0, 0, 255, 255) and rgba(found, 3, 3) == (255, 0, 0, 255)
    assert house.writes == 0


def test_a_band_at_a_time_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    made = collage()
    monkeypatch.setattr(small_pixels, "BAND", 24)
    ground = look(made, JOIN).sources[0]
    prints: dict[Any, int] = {}
    reading = small_pixels.read_small(made, ground, 2, prints)
    steps = 0
    while True:
        try:
            next(reading)
            steps += 1
        except StopIteration as end:
            assert end.value.height == 4 and len(end.value.data) == 4 * 12 * 4
            break
    assert steps == len(prints) == 4  # each one row of the small picture


# --- following ------------------------------------------------------------------------------------


def follow(follower: Follower, made: krita.Document) -> bool:
    """One look, then read all; whether something had changed."""
    changed = follower.look(look(made, JOIN).sources)
    while not follower.work(0.0):
        pass
    return changed


def settled(made: krita.Document) -> Follower:
    follower = Follower(made)
    assert follow(follower, made)
    assert not any(follow(follower, made) for _ in range(5))
    return follower


def move(made: krita.Document, name: str, by: int) -> None:
    (node,) = [n for n in group_of(made).children if n.name() == name]
    node.pixels = {(x + by, y): p for (x, y), p in node.pixels.items()}


def test_as_long_as_nothing_happens_nothing_is_read_again() -> None:
    made = collage()
    follower = settled(made)
    before = follower.pixels()
    follow(follower, made)
    assert [id(one) for one in before] == [id(one) for one in follower.pixels()]


@pytest.mark.parametrize("what", ["moved", "painted", "faded", "hidden", "new", "order", "mask"])
def test_every_change_of_a_piece_is_noticed_at_the_next_look(what: str) -> None:
    made = collage()
    group = group_of(made)
    house = group.children[1]
    mask = made.layer("Hole", house, "transparencymask")
    mask.fill(WHITE, 0, 0, 24, 16)
    made.active = group
    follower = settled(made)
    before = follower.pixels()
    if what == "moved":
        move(made, "House", 3)
    elif what == "painted":
        house.pixels[(6, 6)] = BLUE
    elif what == "faded":
        house.setOpacity(90)
    elif what == "hidden":
        house.setVisible(False)
    elif what == "new":
        made.layer("Sun", group).fill(WHITE, 20, 0, 3, 3)
        made.active = group
    elif what == "order":
        group.children.reverse()
    else:
        mask.fill((0.0,) * 4, 5, 2, 2, 2)
    assert follow(follower, made)
    assert follower.pixels() != before
    assert not follow(follower, made)


def test_what_no_thumbnail_shows_is_found_by_the_pixels_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a filter mask whose settings were changed."""
    made = collage()
    same = made.root.thumbnail(8, 8)
    monkeypatch.setattr(krita.Node, "thumbnail", lambda self, w, h: same)
    follower = settled(made)
    group_of(made).children[1].pixels[(6, 6)] = BLUE
    assert any(follow(follower, made) for _ in range(4))  # each band in its turn


def test_only_what_changed_is_read_again() -> None:
    made = collage()
    follower = settled(made)
    ground, house = follower.pixels()
    move(made, "House", 2)
    assert follow(follower, made)
    assert follower.pixels()[0] is ground and follower.pixels()[1].x == house.x + 2


def test_a_reading_is_finished_although_the_artist_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made = collage()
    follower = settled(made)
    monkeypatch.setattr(small_pixels, "BAND", 1)
    seen = set()
    for number in range(60):  # one band of some ten after each move
        move(made, "House", 1 if number % 2 else -1)
        follower.look(look(made, JOIN).sources)
        follower.work(-1.0)
        seen.add(follower.pixels()[1].x)
    assert len(seen) > 1


def test_what_krita_must_compose_is_read_only_when_the_hand_rests() -> None:
    made = collage()
    house = group_of(made).children[1]
    house.style = "a shadow"
    follower = settled(made)
    copies, before = len(made.clones), follower.pixels()
    house.pixels[(6, 6)] = BLUE
    assert follower.look(look(made, JOIN).sources)
    assert follower.work(1.0, rests=False)  # there is nothing else to do
    assert len(made.clones) == copies and not follower.is_current
    assert follower.work(1.0, rests=True) and follower.is_current
    assert len(made.clones) > copies and follower.pixels() != before


def test_an_area_that_is_selected_or_changed_is_noticed() -> None:
    made = collage()
    follower = settled(made)
    selection = krita.Selection()
    selection.select(2, 2, 4, 4, 255)
    made.setSelection(selection)
    assert follow(follower, made) and len(follower.pixels()) == 3
    selection.select(2, 2, 4, 4, 99)  # the same place
    assert any(follow(follower, made) for _ in range(6))
    assert set(bytes(follower.pixels()[2].data)) == {99}
