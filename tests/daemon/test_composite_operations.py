"""Composite, Complete and Adapt, run directly on a small generator with a regressor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from operation_runs import box_area, direct_context, painting, run_directly, shown
from small_generators import install_small_generator, small_generator

from intarsia_client.errors import InvalidRequest
from intarsia_daemon import piece_classes
from intarsia_daemon.context import Cancelled, Context
from intarsia_daemon.messages import Working
from intarsia_daemon.operation import find_operation
from intarsia_daemon.operations import composite as composite_operation
from intarsia_daemon.pixels import Area, Outcome, Picture
from intarsia_daemon.real_pictures import whole_crop
from intarsia_daemon.rough_pieces import gathered, small_piece
from intarsia_models.families.sngan.networks import SNGANGenerator
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.latent_composition.collages import paste

REGRESSOR = True
"""See conftest."""
LEMON, LIME, APPLE, PLUM = range(4)
LEVEL = 1.01 / 255


@pytest.fixture(name="generator", scope="module")
def _generator(home: Path) -> SNGANGenerator:
    return small_generator(regressor=True)


def _part(left: int, top: int, right: int, bottom: int, *, name: str = "", seed: int = 3):
    whole = painting(64, 64, seed=seed)
    return Picture(whole.array[top:bottom, left:right].copy(), left, top, name)


def _pieces() -> list[Picture]:
    """A rough collage with holes: 64 x 64, apart from the right end."""
    return [
        _part(0, 0, 64, 24, name="Sky"),
        _part(0, 30, 30, 64, name="Plum tree", seed=5),
        _part(40, 20, 64, 50, name="Thing", seed=6),
    ]


def _unit(outcome: Outcome) -> np.ndarray:
    return outcome.layers[0].array[..., :3].astype(np.float64) / 255


# --- composite ------------------------------------------------------------------------------------


def test_one_pass_is_what_regressor_and_generator_say(
    context: Context, generator: SNGANGenerator
) -> None:
    rough = gathered(_pieces())
    crop = whole_crop(rough.canvas, 32)
    collage = paste([small_piece(crop, piece) for piece in rough.pieces])
    assert generator.regressor is not None
    with torch.inference_mode():
        z = generator.regressor(collage.image, collage.known)
        expected = generator.synthesize(z, torch.tensor([LIME])).clamp(-1, 1)
    result = run_directly(
        context,
        "composite",
        {"pieces": _pieces()},
        class_name="lime",
        classes="one",
        detail="model",
    )
    layer = result.layers[0]
    assert (layer.x, layer.y, layer.array.shape) == (0, 0, (64, 64, 4))
    enlarged = crop.enlarged((expected + 1) / 2, crop.window)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(_unit(result), enlarged, atol=LEVEL)
    assert (layer.array[..., 3] == 255).all() and result.notes == []
    assert result.metrics["known"] == pytest.approx(float(collage.known.mean()))


def test_every_piece_has_the_class_of_its_name_or_the_one_that_is_read(
    context: Context, generator: SNGANGenerator
) -> None:
    pieces = [
        Picture(piece.array, piece.x, piece.y, name)
        for piece, name in zip(_pieces(), ("Lime copy", "plum", "apple 2"), strict=True)
    ]
    rough = gathered(pieces)
    crop = whole_crop(rough.canvas, 32)
    collage = paste([small_piece(crop, piece) for piece in rough.pieces])
    assert generator.regressor is not None
    areas = dict(zip((LIME, PLUM, APPLE), collage.shares.split(1), strict=True))
    with torch.inference_mode():
        z = generator.regressor(collage.image, collage.known)
        maps = ClassMaps.from_areas({k: a.clamp(0, 1) for k, a in areas.items()}, LEMON)
        expected = generator.synthesize(z, torch.tensor([LEMON]), class_weights=maps)
    given: dict[str, Any] = {"class_name": "lemon", "detail": "model"}
    result = run_directly(context, "composite", {"pieces": pieces}, **given)
    small = crop.enlarged((expected.clamp(-1, 1) + 1) / 2, crop.window)[0].permute(1, 2, 0)
    np.testing.assert_allclose(_unit(result), small.numpy(), atol=LEVEL)
    assert result.notes == []
    read = run_directly(context, "composite", {"pieces": _pieces()}, **given)
    assert read.notes and "Sky for" in read.notes[0] and "Thing for" in read.notes[0]
    assert "Plum tree" not in read.notes[0]


def test_one_class_for_all_is_told(context: Context) -> None:
    result = run_directly(context, "composite", {"pieces": _pieces()}, classes="one")
    assert result.notes[0].startswith("The collage was taken for '")


def test_refining_brings_the_picture_nearer_and_tells_how_far_it_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.held_pictures.PREVIEW_EVERY_S", 0.0)
    sent: list[Working] = []

    def note(message: object) -> None:
        if isinstance(message, Working):
            sent.append(message)

    context = direct_context(home, send=note)
    plain = run_directly(context, "composite", {"pieces": _pieces()})
    done = run_directly(context, "composite", {"pieces": _pieces()}, refine=60)
    context.flush()
    assert done.metrics["difference"] < 0.96 * plain.metrics["difference"]
    refining = [message for message in sent if message.stage.startswith("Bringing")]
    assert refining and all(message.total == 60 for message in refining)
    assert any(message.preview is not None for message in refining)
    few = run_directly(context, "composite", {"pieces": _pieces()}, refine=4, method="lbfgs")
    assert few.metrics["difference"] < plain.metrics["difference"]


def test_what_stays_while_pieces_move_is_not_computed_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back, front = painting(64, 64, seed=41), painting(16, 16, x=8, y=8, seed=42)
    passes = {"read": 0, "background": 0}
    real = {"read": piece_classes.read, "background": composite_operation.encode}

    def counted(name: str):
        def run(*arguments: Any, **settings: Any) -> Any:
            passes[name] += 1
            return real[name](*arguments, **settings)

        return run

    monkeypatch.setattr(piece_classes, "read", counted("read"))
    monkeypatch.setattr(composite_operation, "encode", counted("background"))
    layers = []
    for x in (8, 30, 8):
        moved = Picture(front.array, x, 8, "Front")
        given = {"pieces": [back, moved]}
        result = run_directly(direct_context(home), "composite", given, detail="background")
        layers.append(result.layers[0].array)
    assert passes == {"read": 1, "background": 1}
    np.testing.assert_array_equal(layers[0], layers[2])
    assert np.abs(layers[0].astype(int) - layers[1]).max() > 10


def test_refining_can_be_cancelled(context: Context) -> None:
    context.send = lambda message: context.control.cancel()
    with pytest.raises(Cancelled):
        run_directly(context, "composite", {"pieces": _pieces()}, refine=1000)


def test_the_same_recipe_gives_the_same_bits(home: Path) -> None:
    one, again = (
        run_directly(direct_context(home, seed=4), "composite", {"pieces": _pieces()}, refine=3)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.layers[0].array, again.layers[0].array)
    assert one.model == again.model and one.metrics == again.metrics


def test_an_area_is_kept_exactly(context: Context) -> None:
    pieces = _pieces()
    keep = Area(np.full((10, 20), 255, np.uint8), 4, 34)
    result = run_directly(context, "composite", {"pieces": pieces, "keep": keep})
    kept = result.layers[0].array[34:44, 4:24, :3]
    np.testing.assert_array_equal(kept, pieces[1].array[4:14, 4:24, :3])


def test_a_model_without_classes_composes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("small_generators.TEACHING_STEPS", 1)
    install_small_generator(tmp_path, classes=False, regressor=True)
    context = direct_context(tmp_path)
    result = run_directly(context, "composite", {"pieces": _pieces()}, detail="background")
    assert result.layers[0].array.shape == (64, 64, 4) and result.notes == []
    with pytest.raises(InvalidRequest, match="has no classes"):
        run_directly(context, "composite", {"pieces": _pieces()}, class_name="lime")


def test_one_piece_alone_and_an_empty_one_beside_it_will_do(context: Context) -> None:
    empty = Picture(np.zeros((4, 4, 4), np.uint8), 60, 60, "Sketch")
    result = run_directly(context, "composite", {"pieces": [painting(40, 40), empty]})
    assert result.layers[0].array.shape == (64, 64, 4)
    assert "left out: 'Sketch'" in result.notes[0]


@pytest.mark.parametrize(
    ("pieces", "settings", "message", "remedy"),
    [
        ([Picture(np.zeros((8, 8, 4), np.uint8))], {}, "no visible pixels", "visible"),
        ([painting()], {"class_name": "pear"}, "has no class 'pear'", "lemon"),
        ([painting()], {"model": "nothing"}, "no model 'nothing'", "sngan"),
        ([painting()], {"softness": 26.0}, "softness must lie", ""),
    ],
)
def test_bad_values_are_refused_with_what_to_do(
    context: Context, pieces: list[Picture], settings: dict[str, Any], message: str, remedy: str
) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        run_directly(context, "composite", {"pieces": pieces}, **settings)
    assert remedy in caught.value.remedy


def test_a_group_without_pieces_is_refused_by_the_declaration() -> None:
    with pytest.raises(InvalidRequest, match="needs the input 'pieces'") as caught:
        find_operation("composite").declaration.check([], {})
    assert "group" in caught.value.remedy


@pytest.mark.parametrize("operation", ["composite", "complete", "adapt"])
def test_a_model_without_a_regressor_is_refused_with_how_to_get_one(
    tmp_path: Path, operation: str
) -> None:
    model = install_small_generator(tmp_path)
    context = direct_context(tmp_path)
    inputs: dict[str, Any] = {"picture": painting()}
    if operation == "composite":
        inputs = {"pieces": _pieces()}
    if operation == "complete":
        inputs["area"] = box_area(painting(), 4, 4, 8, 8)
    for chosen in ("", model):
        with pytest.raises(InvalidRequest, match="regressor, the network that reads") as caught:
            run_directly(context, operation, inputs, model=chosen)
        assert "intarsia train regressor" in caught.value.remedy


def test_composite_is_live_and_estimates_grow_with_the_steps(context: Context) -> None:
    registered = find_operation("composite")
    assert registered.declaration.live and registered.estimate is not None
    values = registered.declaration.check(["pieces"], {})
    one = registered.estimate(values, {}, context)
    many = registered.estimate({**values, "refine": 500}, {}, context)
    assert one.seconds < 2 < many.seconds and not many.trains
    fit = find_operation("adapt").estimate
    assert fit is not None
    short, long = (fit({"model": "", "steps": steps}, {}, context) for steps in (10, 1000))
    assert short.seconds < long.seconds


# --- complete -------------------------------------------------------------------------------------


def _holed(dtype: str = "u8") -> Picture:
    picture = painting(48, 60, x=3, y=-5, dtype=dtype)
    picture.array[10:30, 20:40, 3] = 0
    return picture


@pytest.mark.parametrize("dtype", ["u8", "u16", "f32"])
@pytest.mark.parametrize("edge", ["poisson", "model"])
def test_what_is_missing_is_filled_and_the_rest_stays_to_the_sample(
    context: Context, dtype: str, edge: str
) -> None:
    picture = _holed(dtype)
    result = run_directly(context, "complete", {"picture": picture}, edge=edge, refine=2)
    layer = result.layers[0]
    assert layer.array.dtype == picture.array.dtype
    before = (
        painting(48, 60, dtype=dtype).array[..., :3] / {"u8": 255, "u16": 65535, "f32": 1}[dtype]
    )
    after = shown(picture, layer)
    hole = np.zeros((48, 60), bool)
    hole[10:30, 20:40] = True
    np.testing.assert_array_equal(after[~hole], before[~hole])
    filled = layer.array[..., 3] > 0
    assert filled.sum() == 400 and np.abs(after - before)[hole].mean() > 0.01


def test_an_area_is_made_anew_and_other_transparent_places_stay(context: Context) -> None:
    picture = _holed()
    area = box_area(picture, 2, 2, 10, 8)
    result = run_directly(context, "complete", {"picture": picture, "area": area}, refine=0)
    layer = result.layers[0]
    assert (layer.array[..., 3] > 0).sum() == 8 * 6
    after, before = shown(picture, layer), picture.array[..., :3] / 255
    outside = np.ones((48, 60), bool)
    outside[2:8, 2:10] = False
    np.testing.assert_array_equal(after[outside], before[outside])


def test_seamless_edges_meet_what_is_around(context: Context) -> None:
    picture = painting(48, 48)
    picture.array[..., :3] = (200, 40, 40)
    area = box_area(picture, 12, 12, 30, 30)
    steps = []
    for edge in ("poisson", "model"):
        result = run_directly(
            context, "complete", {"picture": picture, "area": area}, edge=edge, refine=0
        )
        after = shown(picture, result.layers[0])
        steps.append(np.abs(after[12, 12:30] - after[11, 12:30]).mean())
    assert steps[0] < 0.5 * steps[1]


def test_a_margin_and_an_area_beyond_the_edge_make_the_picture_larger(context: Context) -> None:
    picture = painting(40, 60, x=10, y=20)
    wide = run_directly(context, "complete", {"picture": picture}, margin=10.0, refine=0).layers[0]
    assert (wide.x, wide.y, wide.array.shape) == (4, 14, (52, 72, 4))
    assert (wide.array[..., 3] > 0).sum() == 52 * 72 - 40 * 60
    area = Area(np.full((10, 20), 255, np.uint8), 65, 30)  # 5 columns inside
    part = run_directly(context, "complete", {"picture": picture, "area": area}, refine=0).layers[0]
    assert part.x + part.array.shape[1] == 85
    assert (part.array[..., 3] > 0).sum() == 200


def test_variants_differ_by_seed_and_come_back_by_it(home: Path) -> None:
    given: dict[str, Any] = {"variants": 3, "refine": 3, "variety": 1.0}
    one, again, other = (
        run_directly(direct_context(home, seed=seed), "complete", {"picture": _holed()}, **given)
        for seed in (5, 5, 6)
    )
    assert [layer.name for layer in one.layers] == [f"Painting completed {n}" for n in (1, 2, 3)]
    arrays = [layer.array for layer in one.layers]
    assert all(np.abs(arrays[0].astype(int) - array).max() > 3 for array in arrays[1:])
    for first, second in zip(one.layers, again.layers, strict=True):
        np.testing.assert_array_equal(first.array, second.array)
    shifted = other.layers[0].array.astype(int) - one.layers[1].array
    assert np.abs(shifted).max() <= 1  # the second of seed 5 is the first of seed 6
    few = run_directly(
        direct_context(home), "complete", {"picture": _holed()}, variants=3, variety=0.0
    )
    assert len(few.layers) == 1 and "Without variety" in few.notes[-1]
    at_once = run_directly(direct_context(home), "complete", {"picture": _holed()}, variants=2)
    assert len(at_once.layers) == 2


def test_nothing_missing_and_nothing_left_are_refused(context: Context) -> None:
    picture = painting(20, 20)
    with pytest.raises(InvalidRequest, match="Nothing is missing in the picture 'Painting'"):
        run_directly(context, "complete", {"picture": picture})
    with pytest.raises(InvalidRequest, match="would be left to go by"):
        run_directly(
            context, "complete", {"picture": picture, "area": box_area(picture, 0, 0, 20, 20)}
        )
    far = Area(np.full((4, 4), 255, np.uint8), 300_000, 300_000)
    with pytest.raises(InvalidRequest, match="around everything that was given"):
        run_directly(context, "complete", {"picture": picture, "area": far})


# --- adapt ----------------------------------------------------------------------------------------


def test_an_adapted_model_holds_the_picture_better_and_edits_find_it(context: Context) -> None:
    picture = painting(50, 70)
    result = run_directly(context, "adapt", {"picture": picture}, steps=60)
    assert result.metrics["after"] < 0.95 * result.metrics["before"]
    layer = result.layers[0]
    assert layer.array.shape == picture.array.shape and "more closely now" in result.notes[-1]
    assert result.model is not None
    edits = {
        "composite": {"pieces": [picture, _part(0, 0, 20, 20)]},
        "complete": {"picture": picture, "area": box_area(picture, 5, 5, 20, 20)},
    }
    for name, inputs in edits.items():
        done = run_directly(context, name, inputs, refine=0)
        assert done.notes[0] == "The model was adapted to 'Painting' before; that is used."
        assert done.model == result.model
        off = run_directly(context, name, inputs, refine=0, adapted="off")
        assert off.model is not None and "adapted" not in off.model
        assert np.abs(done.layers[0].array.astype(int) - off.layers[0].array).max() > 0


def test_adapting_tells_how_far_it_is_and_can_be_cancelled(home: Path) -> None:
    sent: list[Any] = []
    context = direct_context(home, send=sent.append)
    picture = painting(50, 70, seed=31)

    def cancel(message: object) -> None:
        sent.append(message)
        context.control.cancel()

    context.send = cancel
    with pytest.raises(Cancelled):
        run_directly(context, "adapt", {"picture": picture}, steps=1000)
    assert sent[0].stage == "Adapting the model to the picture" and sent[0].total == 1000
    done = run_directly(direct_context(home), "composite", {"pieces": [picture]})
    assert done.model is not None and "adapted" not in done.model
