"""Mosaics as an operation, run directly with small models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_mosaics
from operation_runs import box_area, direct_context, painting, run_directly
from PIL import Image

from intarsia_client.errors import InvalidRequest
from intarsia_daemon import mosaic_parameters
from intarsia_daemon.context import Cancelled, Context, TrainingRequired
from intarsia_daemon.messages import Working
from intarsia_daemon.mosaic_models import STAGE
from intarsia_daemon.mosaic_parameters import Wishes
from intarsia_daemon.operation import find_operation
from intarsia_daemon.outcome_checks import check_outcome
from intarsia_daemon.pixels import Layer, Outcome, Picture
from intarsia_models.mosaic.adjustment import Adjustment


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic_parameters, "mosaic_settings", small_mosaics.small_settings)
    monkeypatch.setattr(mosaic_parameters, "mosaic_training", small_mosaics.brief_training)


def _templates(count: int = 3, side: int = 20) -> list[Picture]:
    """Grainy pictures, each of a colour of its own."""
    random = np.random.default_rng(5)
    found = []
    for number in range(count):
        base = random.integers(30, 226, 3)
        array = np.full((side, side + number, 4), 255, np.uint8)
        grain = random.integers(-25, 25, array.shape[:2])[..., None]
        array[..., :3] = np.clip(base + grain, 0, 255)
        found.append(Picture(array, 3 * number, 0, f"Colour {number}"))
    return found


def _training(home: Path, **more) -> Context:
    return direct_context(home, lane="training", **more)


def composited(layers: list[Layer], like: Layer) -> np.ndarray:
    """(H, W, 3) float: layers over each other by their masks, on the rectangle of ``like``."""
    found = np.zeros((*like.array.shape[:2], 3))
    masks = {item.mask_of: item for item in layers if item.mask_of is not None}
    for index, layer in enumerate(layers):
        if layer.mask_of is not None:
            continue
        height, width = layer.array.shape[:2]
        top, left = layer.y - like.y, layer.x - like.x
        part = found[top : top + height, left : left + width]
        alpha = masks[index].array[..., None] / 255.0
        part += alpha * (layer.array[..., :3] - part)
    return found


def _run(context: Context, inputs: dict, **parameters) -> Outcome:
    result = run_directly(context, "mosaic", inputs, **{"count": 3, **parameters})
    check_outcome("mosaic", result)
    return result


def test_a_picture_becomes_a_mosaic_in_a_place_of_its_own(tmp_path: Path) -> None:
    small_mosaics.install_small_mosaic(tmp_path)
    guide = painting(40, 50, x=7, y=-3)
    result = _run(direct_context(tmp_path), {"picture": guide, "templates": _templates()})
    (layer,) = result.layers
    assert (layer.x, layer.y, layer.array.shape) == (7, -3, (40, 50, 4))
    assert layer.name == "Mosaic of Painting" and (layer.array[..., 3] == 255).all()
    assert any("never saw these templates" in note for note in result.notes)
    again = _run(direct_context(tmp_path), {"picture": guide, "templates": _templates()})
    np.testing.assert_array_equal(again.layers[0].array, layer.array)
    other = _run(direct_context(tmp_path, seed=1), {"picture": guide, "templates": _templates()})
    assert (other.layers[0].array != layer.array).any() and other.model == result.model


def test_layers_with_masks_over_each_other_are_the_collage(tmp_path: Path) -> None:
    small_mosaics.install_small_mosaic(tmp_path)
    inputs = {"picture": painting(40, 50, x=7, y=-3), "templates": _templates(6)}
    (collage,) = _run(direct_context(tmp_path), inputs, count=6, gives="collage").layers
    result = _run(direct_context(tmp_path), inputs, count=6, gives="layers", color_map=True)
    assert result.layers[0].name == "Template map" and not result.layers[0].group
    group = result.layers[1:]
    assert {layer.group for layer in group if layer.mask_of is None} == {"Mosaic of Painting"}
    assert len({layer.name for layer in group}) > 2
    masks = [layer for layer in result.layers if layer.mask_of is not None]
    assert all(mask.array.min() < mask.array.max() for mask in masks[1:])
    shifted = [
        layer if layer.mask_of is None else Layer("", layer.array, mask_of=layer.mask_of - 1)
        for layer in group
    ]
    error = np.abs(composited(shifted, collage) - collage.array[..., :3])
    assert error.max() <= 2.0 and error.mean() < 0.5


def test_the_layers_keep_sixteen_bits(tmp_path: Path) -> None:
    small_mosaics.install_small_mosaic(tmp_path)
    inputs = {"picture": painting(24, 24, dtype="u16"), "templates": _templates()}
    result = _run(direct_context(tmp_path), inputs, gives="layers")
    assert {layer.array.dtype for layer in result.layers} == {np.dtype(np.uint16)}
    picture = _run(direct_context(tmp_path), inputs).layers[0]
    assert picture.array.dtype == np.uint16


def test_it_keeps_to_the_area_and_to_what_is_visible(tmp_path: Path) -> None:
    small_mosaics.install_small_mosaic(tmp_path)
    guide = painting(40, 50)
    array = guide.array.copy()
    array[:, :10, 3] = 0
    cut = Picture(array, 0, 0, "Cut")
    area = box_area(guide, 4, 5, 30, 25)
    (layer,) = _run(
        direct_context(tmp_path), {"picture": cut, "area": area, "templates": _templates()}
    ).layers
    assert (layer.x, layer.y, layer.array.shape) == (10, 5, (20, 20, 4))
    (whole,) = _run(direct_context(tmp_path), {"picture": cut, "templates": _templates()}).layers
    assert (whole.x, whole.array.shape[1]) == (10, 40)


def test_without_a_guide_templates_are_learnt_to_be_arranged_freely(tmp_path: Path) -> None:
    small_mosaics.install_small_mosaic(tmp_path)  # guided: of no use here
    with pytest.raises(TrainingRequired):
        _run(direct_context(tmp_path), {"templates": _templates()})
    result = _run(_training(tmp_path), {"templates": _templates()}, width=30, height=18)
    (layer,) = result.layers
    assert (layer.name, layer.array.shape) == ("Mosaic", (18, 30, 4))
    again = direct_context(tmp_path)
    free = _run(again, {"picture": painting(20, 22, x=5), "templates": _templates()}, follow=False)
    assert free.model == result.model and "train" not in again.seconds
    assert (free.layers[0].x, free.layers[0].array.shape) == (5, (20, 22, 4))
    area = box_area(painting(60, 60), 10, 20, 40, 40)
    (placed,) = _run(direct_context(tmp_path), {"area": area, "templates": _templates()}).layers
    assert (placed.x, placed.y, placed.array.shape) == (10, 20, (20, 30, 4))


def test_templates_are_learnt_once_and_serve_other_guides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.context.INTERVAL_S", 0.0)
    sent: list[Working] = []
    context = _training(tmp_path, send=sent.append)
    inputs = {"picture": painting(40, 50), "templates": _templates()}
    result = _run(context, inputs)
    told = [m for m in sent if isinstance(m, Working) and m.stage == STAGE]
    assert told[-1].step == 3 and told[-1].preview is not None
    assert result.model is not None
    card = context.models.card(result.model["id"])
    assert card.title == "Mosaic of Colour 0, Colour 1, Colour 2"
    assert set(card.capabilities) == {"mosaic", "guided"} and card.task == "mosaic"
    edit = direct_context(tmp_path, seed=4)
    other = _run(edit, {"picture": painting(30, 30, seed=9), "templates": _templates()})
    assert other.model == result.model and "train" not in edit.seconds
    with pytest.raises(TrainingRequired):
        _run(direct_context(tmp_path), {**inputs, "templates": _templates(4)})
    with pytest.raises(TrainingRequired):
        _run(direct_context(tmp_path), inputs, learn="these", segments="large")
    same = direct_context(tmp_path)
    assert _run(same, inputs, learn="these").model == result.model
    with pytest.raises(TrainingRequired):
        _run(direct_context(tmp_path), inputs, learn="new")


def test_a_stopped_training_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intarsia_daemon.generator_trainings.CHECKPOINT_EVERY_S", 0.0)
    monkeypatch.setattr("intarsia_daemon.context.INTERVAL_S", 0.0)
    context = _training(tmp_path)
    inputs = {"picture": painting(32, 32), "templates": _templates()}

    def stop(message: object) -> None:
        if isinstance(message, Working) and message.stage == STAGE and message.step >= 2:
            context.control.cancel()

    context.send = stop
    with pytest.raises(Cancelled):
        _run(context, inputs)
    assert not context.models.list()
    steps: list[int] = []

    def note(message: object) -> None:
        if isinstance(message, Working) and message.stage == STAGE:
            steps.append(message.step)

    later = _training(tmp_path, send=note)
    _run(later, inputs)
    assert steps[0] > 1 and steps[-1] == 3 and len(later.models.list()) == 1


def test_a_folder_holds_the_templates(tmp_path: Path) -> None:
    small_mosaics.install_small_mosaic(tmp_path)
    folder = tmp_path / "Fruit"
    folder.mkdir()
    for number, item in enumerate(_templates()):
        Image.fromarray(item.array).save(folder / f"{number}.png")
    Image.fromarray(np.zeros((9, 9, 4), np.uint8)).save(folder / "nothing.png")
    result = _run(
        direct_context(tmp_path),
        {"picture": painting(24, 24)},
        pictures=str(folder),
        gives="layers",
    )
    assert {layer.name for layer in result.layers} <= {"0", "1", "2"}
    assert any("Left out" in note and "nothing.png" in note for note in result.notes)


@pytest.mark.parametrize(
    ("style", "gives"), [("fixed_memory", "layers"), ("parametric", "picture")]
)
def test_other_methods_know_their_own_templates_only(
    tmp_path: Path, style: str, gives: str
) -> None:
    inputs = {"picture": painting(24, 24), "templates": _templates()}
    result = _run(_training(tmp_path), inputs, style=style, gives=gives)
    assert result.layers[0].array.shape[2] == 4
    known = direct_context(tmp_path, seed=3)
    again = _run(known, inputs, style=style, gives=gives)
    assert again.model == result.model and "train" not in known.seconds
    with pytest.raises(TrainingRequired):
        _run(direct_context(tmp_path), {**inputs, "templates": _templates(4)}, style=style)


def test_what_cannot_be_made_is_refused_beforehand(tmp_path: Path) -> None:
    guide, own = painting(24, 24), _templates()
    context = direct_context(tmp_path)
    with pytest.raises(InvalidRequest, match="no templates"):
        _run(context, {"picture": guide})
    with pytest.raises(InvalidRequest, match="No template shows anything: Template 1"):
        _run(context, {"picture": guide, "templates": [Picture(np.zeros((9, 9, 4), np.uint8))]})
    with pytest.raises(InvalidRequest, match="neither layers nor a map"):
        _run(context, {"picture": guide, "templates": own}, style="parametric", gives="layers")
    with pytest.raises(InvalidRequest, match="MiB"):
        _run(context, {"templates": own}, gives="layers", count=64, width=4000, height=3000)
    with pytest.raises(InvalidRequest, match=r"20000 x 10000 pixels.*16384 wide"):
        _run(context, {"templates": own}, width=20_000, height=10_000)
    with pytest.raises(InvalidRequest, match="8 pixels a side"):
        _run(context, {"picture": painting(4, 40), "templates": own})
    guided = small_mosaics.install_small_mosaic(tmp_path)
    with pytest.raises(InvalidRequest, match="needs a guide"):
        _run(context, {"templates": own}, model=guided)
    free = small_mosaics.install_small_mosaic(tmp_path, guided=False)
    with pytest.raises(InvalidRequest, match="follows no guide"):
        _run(context, {"picture": guide, "templates": own}, model=free)
    assert len(_run(context, {"templates": own}, model=free, width=16, height=16).layers) == 1


def test_how_long_it_takes_is_said_beforehand(tmp_path: Path) -> None:
    found = find_operation("mosaic")
    context = direct_context(tmp_path)
    assert found.estimate is not None
    parameters = found.declaration.check(["picture"], {})
    unknown = found.estimate(parameters, {"picture": (400, 300)}, context)
    small_mosaics.install_small_mosaic(tmp_path)
    known = found.estimate(parameters, {"picture": (400, 300)}, context)
    assert unknown.trains and not known.trains and unknown.seconds > known.seconds > 0
    larger = found.estimate(parameters, {"picture": (800, 600)}, context)
    assert larger.seconds == pytest.approx(4 * known.seconds)


def test_choices_are_weights_for_learning_and_adjustments_afterwards() -> None:
    usual = {"quality": "draft", "guided": True, "count": 8, "fidelity": "medium"}
    plain = Wishes(**usual, segments="medium", edges="medium", variety="free")
    strong = Wishes(**usual, segments="large", edges="hard", variety="even")
    learnt, wanted = plain.training(), strong.training()
    assert wanted.tv_weight == 10 * learnt.tv_weight == 100
    assert wanted.entropy_weight > learnt.entropy_weight and wanted.max_weight > 0
    assert not plain.differ(learnt.to_card()) and strong.differ(learnt.to_card())
    assert plain.adjustment(learnt.to_card(), 3.0) == (Adjustment(), 0.0)
    adjustment, evenness = strong.adjustment(learnt.to_card(), 3.0)
    assert adjustment.sharpness == 4 and adjustment.smoothing > 0 and evenness == 1.0
    assert strong.adjustment(learnt.to_card(), 50.0)[0].sharpness == 1, "hard enough"
    assert strong.adjustment(wanted.to_card(), 3.0) == (Adjustment(), 0.0)
    assert plain.adjustment(wanted.to_card(), 8.0)[0].sharpness == 0.5
    softer = replace(plain, edges="soft")
    assert softer.adjustment(learnt.to_card(), 10.0)[0].sharpness == 0.25
    assert softer.adjustment(learnt.to_card(), 2.0)[0].sharpness == 1, "soft enough"
    assert not softer.differ(softer.training().to_card())
    ours = {**learnt.to_card(), "entropy_weight": 0.12}  # of a ready model that yet cuts hard
    assert softer.differ(ours) and softer.adjustment(ours, 10.0)[0].sharpness == 0.25
    closer = replace(plain, fidelity="close").adjustment(learnt.to_card(), 3.0)[0]
    assert closer.fidelity > 3 and closer.sharpness == 1


def test_more_variety_brings_the_shares_of_templates_closer(tmp_path: Path) -> None:
    small_mosaics.install_small_mosaic(tmp_path)
    inputs = {"picture": painting(40, 50), "templates": _templates(3)}

    def largest(variety: str) -> float:
        layers = _run(direct_context(tmp_path), inputs, variety=variety, color_map=True).layers
        colours = layers[0].array[..., :3].reshape(-1, 3)
        counts = np.unique(colours // 32, axis=0, return_counts=True)[1]
        return counts.max() / counts.sum()

    assert largest("even") < largest("free")
