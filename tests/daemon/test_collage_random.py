"""Random collages, run directly on a small generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from operation_runs import box_area, direct_context, painting, run_directly, shown

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.contact_sheets import contact_sheet
from intarsia_daemon.context import Context
from intarsia_daemon.drawn_collages import sources_of
from intarsia_daemon.pixels import Layer, Picture
from intarsia_models.latent_composition.random_collages import random_parts

REGRESSOR = True
"""See conftest."""
PLACE = (12, -7)


@pytest.fixture(name="pictures", scope="module")
def _pictures() -> list[Picture]:
    """Four paintings of 64 px at one place, one of them elsewhere and larger."""
    found = [painting(64, 64, x=PLACE[0], y=PLACE[1], seed=seed) for seed in range(3)]
    found.append(painting(128, 128, x=400, y=80, seed=9))
    return [Picture(p.array, p.x, p.y, f"P{number}") for number, p in enumerate(found)]


def _on_first(layer: Layer) -> np.ndarray:
    """(64, 64, 4): the layer on the first picture's square."""
    canvas = np.zeros((64, 64, 4), np.uint8)
    top, left = layer.y - PLACE[1], layer.x - PLACE[0]
    height, width = layer.array.shape[:2]
    canvas[top : top + height, left : left + width] = layer.array
    return canvas


def test_pieces_are_parts_of_the_pictures_at_their_places(
    context: Context, pictures: list[Picture]
) -> None:
    layers = run_directly(context, "collage_random", {"pictures": pictures}, output="pieces").layers
    sources = sources_of(pictures, [], 32)
    drawn = random_parts(sources.images, 0)
    assert len(layers) == len(drawn) == 4
    for layer, part in zip(layers, drawn, strict=True):
        source = pictures[part.picture]
        assert layer.name.endswith(f" of {source.name}")
        piece = _on_first(layer)
        wanted = torch.nn.functional.interpolate(part.area, (64, 64))[0, 0].numpy() > 0.5
        solid = piece[..., 3] == 255
        assert (solid == wanted).mean() > 0.95
        if source.array.shape[0] == 64:  # not resized: the picture's own pixels
            np.testing.assert_array_equal(piece[solid][:, :3], source.array[solid][:, :3])


def test_the_seed_is_the_collage(home: Path, pictures: list[Picture]) -> None:
    runs = [
        run_directly(
            direct_context(home, seed=seed),
            "collage_random",
            {"pictures": pictures},
            output="pieces",
        ).layers
        for seed in (5, 5, 6)
    ]
    assert [layer.name for layer in runs[0]] == [layer.name for layer in runs[1]]
    np.testing.assert_array_equal(_on_first(runs[0][0]), _on_first(runs[1][0]))
    assert [(x.x, x.y, x.array.shape) for x in runs[0]] != [
        (x.x, x.y, x.array.shape) for x in runs[2]
    ]


def test_the_composite_lies_over_the_pieces_and_is_what_composite_makes(
    context: Context, pictures: list[Picture]
) -> None:
    result = run_directly(context, "collage_random", {"pictures": pictures}, count=3)
    *pieces, composite = result.layers
    assert len(pieces) == 3 and composite.name == "Composite"
    assert (composite.x, composite.y, composite.array.shape) == (*PLACE, (64, 64, 4))
    again = run_directly(
        context,
        "composite",
        {
            "pieces": [
                Picture(_on_first(layer), *PLACE, layer.name.rpartition(" ")[2]) for layer in pieces
            ]
        },
    )
    np.testing.assert_array_equal(again.layers[0].array, composite.array)
    assert result.metrics["known"] == pytest.approx(again.metrics["known"])


def test_named_parts_come_from_pictures_that_show_them(
    context: Context, pictures: list[Picture]
) -> None:
    below = box_area(pictures[0], 0, 32, 64, 64, "ground")  # over the first three
    above = box_area(pictures[3], 0, 0, 128, 64, "sky")  # over the large one alone
    given = {"pictures": pictures, "areas": [below, above]}
    layers = run_directly(context, "collage_random", given, output="pieces").layers
    assert len(layers) == 2 and layers[1].name == "Piece 2 of P3"
    ground, sky = (_on_first(layer)[..., 3] for layer in layers)
    assert (ground[34:] == 255).all() and (ground[:30] == 0).all()
    assert (sky[:30] == 255).all() and (sky[34:] == 0).all()
    boxes = run_directly(context, "collage_random", given, output="pieces", parts="rectangles")
    assert boxes.notes == ["The parts by name were not used."]


def test_a_subject_stands_over_a_whole_picture(context: Context) -> None:
    plain = np.full((64, 64, 4), 255, np.uint8)
    plain[..., :3] = (200, 205, 210)
    pictures = []
    for number, colour in enumerate([(200, 20, 20), (20, 160, 30)]):
        array = plain.copy()
        rows, columns = np.mgrid[:64, :64]
        array[np.hypot(rows - 32, columns - 32) < 15, :3] = colour
        pictures.append(Picture(array, 0, 0, f"ball {number}"))
    given = {"pictures": pictures}
    back, front = run_directly(
        context, "collage_random", given, output="pieces", parts="saliency"
    ).layers
    assert (back.array[..., 3] == 255).all() and back.array.shape == (64, 64, 4)
    covered = np.zeros((64, 64), bool)
    height, width = front.array.shape[:2]
    covered[front.y : front.y + height, front.x : front.x + width] = front.array[..., 3] > 127
    assert covered[32, 32] and not covered[4, 4] and 0.08 < covered.mean() < 0.35
    with pytest.raises(InvalidRequest, match="subject that stands out") as caught:
        flat = [Picture(plain, 0, 0, name) for name in ("one", "two")]
        run_directly(context, "collage_random", {"pictures": flat}, parts="saliency")
    assert "rectangles" in caught.value.remedy


def test_a_sheet_shows_each_collage_beside_its_composite(
    home: Path, pictures: list[Picture]
) -> None:
    context = direct_context(home, seed=3)
    [sheet] = run_directly(
        context, "collage_random", {"pictures": pictures}, output="sheet", collages=5
    ).layers
    expected = contact_sheet("", [torch.zeros(1, 3, 32, 32)] * 10, [""] * 10, columns=8)
    assert sheet.array.shape == expected.array.shape and (sheet.x, sheet.y) == PLACE
    alone = run_directly(
        direct_context(home, seed=4), "collage_random", {"pictures": pictures}, output="sheet",
        collages=1,
    ).layers[0]  # fmt: skip
    tile = np.s_[6:102, :, :]
    np.testing.assert_array_equal(
        sheet.array[tile][:, 6 + 2 * 102 : 6 + 2 * 102 + 96], alone.array[tile][:, 6:102]
    )


def test_too_few_pictures_and_parts_that_are_nowhere_are_refused(
    context: Context, pictures: list[Picture]
) -> None:
    with pytest.raises(InvalidRequest, match="two pictures or more, 1 is given"):
        run_directly(context, "collage_random", {"pictures": pictures[:1]})
    with pytest.raises(InvalidRequest, match="No parts are given by name"):
        run_directly(context, "collage_random", {"pictures": pictures}, parts="areas")
    beside = box_area(pictures[0], 2000, 0, 2010, 10, "sky")
    with pytest.raises(InvalidRequest, match="'sky' lies on none of the pictures"):
        run_directly(context, "collage_random", {"pictures": pictures, "areas": [beside]})
    clear = Picture(np.zeros((40, 40, 4), np.uint8), 0, 0, "Clear")
    with pytest.raises(InvalidRequest, match="no visible pixels"):
        run_directly(context, "collage_random", {"pictures": [pictures[0], clear]})


def test_deep_pictures_keep_their_depth(context: Context) -> None:
    pictures = [painting(40, 60, dtype="u16", seed=seed) for seed in (1, 2)]
    result = run_directly(context, "collage_random", {"pictures": pictures}, count=2)
    assert all(layer.array.dtype == np.uint16 for layer in result.layers)
    assert shown(pictures[0], result.layers[-1]).shape == (40, 60, 3)
