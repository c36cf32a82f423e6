"""What each operation on one picture makes, run directly with trainings of a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operation_runs import (
    as_picture,
    box_area,
    direct_context,
    painting,
    run_directly,
    shown,
)
from picture_runs import (
    HEIGHT,
    WIDTH,
    learn_and_run,
    learnt_picture,
    moved_piece,
    pasted_over,
    sizes_of,
)
from PIL import Image
from short_picture_trainings import short_settings

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.pixels import Layer, Outcome, Picture


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intarsia_daemon.learnt_pictures.quality_settings", short_settings)


@pytest.fixture(name="home", scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One store for all tests that only need some model: each kind is learnt once."""
    yield tmp_path_factory.mktemp("home")


# --- retarget -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "size"),
    [
        ({"size": "wide"}, (2 * WIDTH, HEIGHT)),
        ({"size": "high"}, (WIDTH, 2 * HEIGHT)),
        ({"size": "both"}, (2 * WIDTH, 2 * HEIGHT)),
        ({"size": "exact", "width": 61, "height": 29}, (61, 29)),
        ({"size": "exact", "width": 80}, (80, HEIGHT)),
    ],
)
def test_the_size_is_the_one_that_was_asked_for(
    home: Path, more: dict[str, Any], size: tuple[int, int]
) -> None:
    made, _ = learn_and_run(home, "retarget", **more)
    assert sizes_of(made) == [size]
    arranged, _ = learn_and_run(home, "retarget", keep_layout=False, **more)
    assert not np.array_equal(made.layers[0].array, arranged.layers[0].array)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"size": "exact"}, "the picture's own size"),
        ({"size": "exact", "width": 9 * WIDTH}, "9.0 times as wide"),
        ({"size": "exact", "height": 5}, "48|32 x 3 pixels at the model's size"),
    ],
)
def test_a_size_that_cannot_be_made_is_a_sentence(
    home: Path, more: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence) as told:
        learn_and_run(home, "retarget", **more)
    assert told.value.remedy


@pytest.mark.parametrize("dtype", ["u8", "u16", "f32"])
def test_extending_into_selected_canvas_keeps_the_pictures_own_pixels(
    home: Path, dtype: str
) -> None:
    picture = replace(learnt_picture(dtype), x=10, y=20)
    area = box_area(
        picture, -12, -6, 30, HEIGHT + 10
    )  # left, above, below, and some of the picture
    made, _ = learn_and_run(home, "retarget", picture, area=area)
    layer = made.layers[0]
    assert (layer.x, layer.y) == (-2, 14) and sizes_of(made) == [(WIDTH + 12, HEIGHT + 16)]
    own = layer.array[6 : 6 + HEIGHT, 12 : 12 + WIDTH]
    tolerance = 1e-6 if dtype == "f32" else 0
    assert np.abs(own.astype(np.float64) - picture.array).max() <= tolerance
    alpha = layer.array[..., 3] > 0
    assert alpha[:, :42].all() and not alpha[:6, 42:].any() and not alpha[42:, 42:].any()
    new = layer.array[:, :12, :3].astype(float)
    assert new.std() > 0


def test_a_frame_of_another_colour_does_not_tint_what_is_new(home: Path) -> None:
    plain, framed = learnt_picture(), learnt_picture().array.copy()
    framed[:, -1, :3] = 255
    area = box_area(plain, WIDTH, 0, 2 * WIDTH, HEIGHT)
    means = []
    for picture in (plain, Picture(framed, name="Framed")):
        made, _ = learn_and_run(home, "retarget", picture, area=area)
        means.append(made.layers[0].array[:, WIDTH + 12 :, :3].mean())
    assert abs(means[0] - means[1]) < 12


@pytest.mark.parametrize(
    ("box", "sentence"),
    [
        ((4, 4, 20, 20), "lies on the picture"),
        ((-900, 0, -1, HEIGHT), "times as wide"),
    ],
)
def test_an_area_that_cannot_be_extended_into_is_a_sentence(
    home: Path, box: tuple[int, int, int, int], sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence) as told:
        learn_and_run(home, "retarget", area=box_area(learnt_picture(), *box))
    assert told.value.remedy


def test_an_empty_area_is_refused_before_anything_is_learnt(tmp_path: Path) -> None:
    area = replace(box_area(learnt_picture(), 0, 0, 5, 5), array=np.zeros((5, 5), np.uint8))
    with pytest.raises(InvalidRequest, match="extend into is empty"):
        learn_and_run(tmp_path, "retarget", area=area)


# --- retouch --------------------------------------------------------------------------------------


def test_retouching_changes_nothing_far_from_the_pieces(home: Path) -> None:
    picture = replace(learnt_picture(), x=-4, y=6)
    made, _ = learn_and_run(home, "retouch", picture, grow=4.0, softness=2.0)
    [layer] = made.layers
    piece = moved_piece(picture)
    pasted = shown(picture, Layer(piece.name, piece.array, piece.x, piece.y))
    after = shown(replace(picture, array=pasted_over(picture, piece)), layer)
    difference = np.abs(after - pasted).max(axis=2)
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[10:22, 24:36] = True
    assert difference[inside].max() > 1 / 255
    assert difference[:4].max() == 0 and difference[:, :10].max() == 0
    assert layer.name == "Retouched Piece"


def test_outlines_finer_than_the_model_do_not_stay_behind(home: Path) -> None:
    """A flat piece on another flat ground, five times as large as the model."""
    array = np.full((160, 160, 4), 255, np.uint8)
    array[..., :3] = painting(160, 160).array[..., :3] // 8 + 60
    piece = np.full((80, 80, 4), 255, np.uint8)
    piece[..., :3] = 190
    picture, element = Picture(array), Picture(piece, 40, 40, "Flat")
    inputs = {"picture": picture, "element": element}
    [layer] = run_directly(
        direct_context(home, lane="training"), "retouch", inputs, grow=10.0
    ).layers
    after = shown(replace(picture, array=pasted_over(picture, element)), layer)

    def step(rows: np.ndarray) -> float:
        """From one pixel to the next across the piece's left edge."""
        return float(np.abs(rows[60:100, 40] - rows[60:100, 39]).mean())

    pasted = pasted_over(picture, element)[..., :3] / 255
    assert step(after) < 0.2 * step(pasted)


def test_strength_zero_shows_the_pieces_as_they_are(home: Path) -> None:
    picture = learnt_picture()
    made, _ = learn_and_run(home, "retouch", strength=0.0)
    pasted = pasted_over(picture, moved_piece(picture))
    after = shown(replace(picture, array=pasted), made.layers[0])
    np.testing.assert_allclose(after * 255, pasted[..., :3], atol=0.51)


def test_fitting_to_the_pieces_trains_further_and_is_kept(home: Path) -> None:
    plain, _ = learn_and_run(home, "retouch")
    fitted, context = learn_and_run(home, "retouch", fine_tune=True)
    assert context.seconds["fine-tune"] > 0 and fitted.model != plain.model
    again, context = learn_and_run(home, "retouch", fine_tune=True, seed=5)
    assert "fine-tune" not in context.seconds and again.model == fitted.model


def test_how_far_the_model_may_depart_is_a_choice(home: Path) -> None:
    made = [
        learn_and_run(home, "retouch", freedom=freedom)[0].layers[0].array.tobytes()
        for freedom in ("most", "some", "little")
    ]
    assert len(set(made)) == 3


def test_pieces_outside_the_picture_are_a_sentence(home: Path) -> None:
    picture = learnt_picture()
    inputs = {"picture": picture, "element": replace(moved_piece(picture), x=400)}
    with pytest.raises(InvalidRequest, match="'Piece' has no visible pixels inside the picture"):
        run_directly(direct_context(home), "retouch", inputs)


# --- animate --------------------------------------------------------------------------------------


def test_frames_are_layers_in_order_with_how_to_play_them(home: Path) -> None:
    made, _ = learn_and_run(home, "animate", frames=5)
    assert [layer.name for layer in made.layers] == [
        f"Painting, frame {index:03d}" for index in range(1, 6)
    ]
    assert sizes_of(made) == [(WIDTH, HEIGHT)] * 5
    assert len({layer.array.tobytes() for layer in made.layers}) == 5
    assert any("Krita:" in note and "GIMP:" in note for note in made.notes)


def test_frames_keep_detail_that_is_finer_than_the_model(home: Path) -> None:
    picture = painting(3 * HEIGHT, 3 * WIDTH, dtype="f32")
    sharp, _ = learn_and_run(home, "animate", picture, frames=3, from_picture=True)
    away = [float(np.abs(layer.array - picture.array).max()) for layer in sharp.layers]
    assert away[0] < 1e-4 and min(away[1:]) > 10 * away[0]

    def grain(outcome: Outcome) -> float:
        return float(np.abs(np.diff(outcome.layers[1].array[..., :3], axis=1)).mean())

    soft, _ = learn_and_run(home, "animate", picture, frames=3, keep_detail=False)
    everything, _ = learn_and_run(home, "animate", picture, frames=3, moves="everything")
    assert grain(sharp) > 2 * grain(soft) and grain(sharp) > 2 * grain(everything)


def test_a_file_holds_the_frames_and_the_document_the_first(home: Path, tmp_path: Path) -> None:
    made, _ = learn_and_run(
        home, "animate", frames=4, fps=20, output="file", format="apng", folder=str(tmp_path)
    )
    assert [layer.name for layer in made.layers] == ["Painting, frame 001"]
    place = tmp_path / "Painting animated.png"
    assert f"The animation is in {place}." in made.notes
    with Image.open(place) as file:
        assert getattr(file, "n_frames", 1) == 4 and file.info["duration"] == 50
        seen = np.asarray(file.convert("RGB"))
    np.testing.assert_array_equal(seen, made.layers[0].array[..., :3])
    both, _ = learn_and_run(home, "animate", frames=4, output="both", folder=str(tmp_path))
    assert len(both.layers) == 4 and (tmp_path / "Painting animated.gif").exists()
    assert place.exists()


@pytest.mark.parametrize("dtype", ["u16", "f32"])
def test_files_of_deep_pictures_show_the_same_colours(
    home: Path, tmp_path: Path, dtype: str
) -> None:
    made, _ = learn_and_run(
        home,
        "animate",
        learnt_picture(dtype),
        frames=2,
        output="both",
        format="apng",
        folder=str(tmp_path),
    )
    full = 65535 if dtype == "u16" else 1
    with Image.open(tmp_path / "Painting animated.png") as file:
        seen = np.asarray(file.convert("RGB")).astype(float)
    np.testing.assert_allclose(seen, made.layers[0].array[..., :3] / full * 255.0, atol=0.51)


def test_file_problems_are_told_before_anything_is_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequest, match="is no folder"):
        learn_and_run(tmp_path, "animate", output="file")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InvalidRequest, match="ffmpeg"):
        learn_and_run(tmp_path, "animate", output="file", format="mp4", folder=str(tmp_path))


def test_movement_grows_with_its_strength(home: Path) -> None:
    def spread(strength: str) -> float:
        made, _ = learn_and_run(home, "animate", frames=6, strength=strength, moves="everything")
        return float(np.stack([layer.array[..., :3] for layer in made.layers]).std(0).mean())

    assert spread("weak") < spread("strong")


def test_many_large_frames_stay_small_and_say_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.operations.animate.LARGEST_ENLARGED", 1000)
    made, _ = learn_and_run(home, "animate", frames=2)
    assert sizes_of(made) == [(32, 24)] * 2
    assert any("frames are small" in note for note in made.notes)


# --- enlarge, repaint -----------------------------------------------------------------------------


def test_enlarging_adds_detail_and_shrinks_back_to_the_picture(home: Path) -> None:
    picture = learnt_picture()
    made, _ = learn_and_run(home, "enlarge", factor=2.0)
    assert sizes_of(made) == [(2 * WIDTH, 2 * HEIGHT)]
    again = as_picture(made.layers[0])
    small = np.asarray(
        Image.fromarray(again.array[..., :3]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    )
    assert np.abs(small.astype(int) - picture.array[..., :3]).mean() < 3
    free, _ = learn_and_run(home, "enlarge", factor=2.0, faithful=False)
    assert not np.array_equal(free.layers[0].array, made.layers[0].array)


def test_a_picture_too_large_to_enlarge_is_a_sentence_and_a_part_of_it_is_not(home: Path) -> None:
    picture = painting(420, 400)
    with pytest.raises(InvalidRequest, match=r"400 x 420 pixels.*up to 400") as told:
        learn_and_run(home, "enlarge", picture)
    assert "Select the part" in (told.value.remedy or "")
    made, _ = learn_and_run(
        home, "enlarge", picture, area=box_area(picture, 50, 60, 80, 90), factor=1.5
    )
    assert sizes_of(made) == [(45, 45)] and (made.layers[0].x, made.layers[0].y) == (50, 60)


def test_a_painting_becomes_pictures_of_its_own_size(home: Path) -> None:
    made, _ = learn_and_run(home, "repaint", count=2)
    assert sizes_of(made) == [(30, 40)] * 2
    assert {(layer.x, layer.y) for layer in made.layers} == {(100, 50)}
    assert [layer.name for layer in made.layers] == [
        "Sketch as Painting, 1",
        "Sketch as Painting, 2",
    ]
    closely, _ = learn_and_run(home, "repaint", follows="closely")
    loosely, _ = learn_and_run(home, "repaint", follows="loosely")
    assert not np.array_equal(closely.layers[0].array, loosely.layers[0].array)
