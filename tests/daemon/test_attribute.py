"""Transfer an attribute, run directly on a small generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from operation_runs import as_picture, box_area, direct_context, painting, run_directly, shown
from small_generators import install_small_generator, small_generator

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Context
from intarsia_daemon.pixels import Picture

REGRESSOR = True
"""See conftest."""
LEVEL = 1.01 / 255
WHOLE = {"softness": 0.0, "frames": 0}


@pytest.fixture(name="made", scope="module")
def _made(home: Path) -> list[Picture]:
    result = run_directly(direct_context(home), "generate", count=3, class_name="apple")
    return [as_picture(layer) for layer in result.layers]


def _tensor(picture: Picture) -> torch.Tensor:
    return torch.from_numpy(picture.array[..., :3].astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[
        None
    ]


def _unit(picture: torch.Tensor) -> np.ndarray:
    return ((picture.clamp(-1, 1)[0].permute(1, 2, 0) + 1) / 2).numpy()


def _inputs(made: list[Picture]) -> dict[str, Picture]:
    return {"picture": made[0], "before": made[1], "after": made[2]}


def test_the_latent_moves_by_the_examples_difference(context: Context, made: list[Picture]) -> None:
    result = run_directly(context, "attribute", _inputs(made), strength=0.5, **WHOLE)
    generator = small_generator(regressor=True)
    assert generator.regressor is not None
    z = generator.sample_z(16, 0)[:1]  # the model made the picture: its own latent is known
    before, after = (generator.regressor(_tensor(item)) for item in made[1:])
    expected = generator.synthesize(z + 0.5 * (after - before), torch.tensor([2]))
    np.testing.assert_allclose(shown(made[0], result.layers[0]), _unit(expected), atol=LEVEL)
    assert result.metrics["reconstruction_error"] < 0.01 and result.metrics["change"] > 0


def test_strength_0_changes_nothing_and_below_0_is_the_opposite(
    context: Context, made: list[Picture]
) -> None:
    still = run_directly(context, "attribute", _inputs(made), strength=0.0, **WHOLE).layers[0]
    np.testing.assert_array_equal(still.array, made[0].array)
    turned = {"picture": made[0], "before": made[2], "after": made[1]}
    one = run_directly(context, "attribute", _inputs(made), strength=-1.0, **WHOLE).layers[0]
    other = run_directly(context, "attribute", turned, strength=1.0, **WHOLE).layers[0]
    np.testing.assert_allclose(one.array.astype(int), other.array.astype(int), atol=1)


def test_the_amount_has_frames_from_nothing_to_the_whole_change(
    context: Context, made: list[Picture]
) -> None:
    result = run_directly(context, "attribute", _inputs(made), frames=3, amount=0.25, softness=0.0)
    assert result.layers[0].amount == 0.25
    assert [frame.amount for frame in result.frames] == [0.0, 0.5, 1.0]
    np.testing.assert_array_equal(result.frames[0].array, made[0].array)
    whole = run_directly(context, "attribute", _inputs(made), **WHOLE).layers[0]
    np.testing.assert_allclose(result.frames[2].array.astype(int), whole.array.astype(int), atol=1)
    assert whole.amount is None


def test_a_photograph_keeps_its_detail_and_what_lies_outside_the_area(context: Context) -> None:
    photograph, plain = painting(60, 90, x=7, y=-3, dtype="u16"), painting(40, 40, seed=5)
    edited = Picture(plain.array.copy(), 0, 0, "Edited")
    edited.array[10:30, 10:30, :3] = (250, 240, 20)
    area = box_area(photograph, 20, 10, 70, 50)
    result = run_directly(
        context,
        "attribute",
        {"picture": photograph, "area": area, "before": plain, "after": edited},
        softness=2.0,
        frames=0,
    )
    layer = result.layers[0]
    assert layer.array.dtype == np.uint16 and layer.name == "Painting changed as Edited"
    before, after = photograph.array[..., :3] / 65535, shown(photograph, layer)
    np.testing.assert_array_equal(after[:, :13], before[:, :13])
    np.testing.assert_array_equal(after[57:], before[57:])
    change = after - before
    assert np.abs(change[10:50, 20:70]).mean() > 0.002
    grain = np.diff(change[20:40, 30:60], axis=1)  # what is added is smooth: the detail stays
    assert np.abs(grain).mean() < np.abs(np.diff(before[20:40, 30:60], axis=1)).mean()
    assert any("was taken for" in note for note in result.notes)


def test_a_rough_paste_alone_is_an_example(context: Context, made: list[Picture]) -> None:
    patch = np.zeros((32, 32, 4), np.uint8)
    patch[8:20, 8:20] = (255, 250, 30, 255)
    pasted = made[1].array.copy()
    pasted[8:20, 8:20] = (255, 250, 30, 255)
    runs = [
        run_directly(
            context,
            "attribute",
            {"picture": made[0], "before": made[1], "after": Picture(array, 0, 0, "Patch")},
            **WHOLE,
        ).layers[0]
        for array in (patch, pasted)
    ]
    np.testing.assert_array_equal(runs[0].array, runs[1].array)
    assert (runs[0].array != made[0].array).any()


def test_the_class_comes_along_only_where_it_is_wanted(home: Path) -> None:
    context = direct_context(home)
    apple, lime = (
        as_picture(run_directly(context, "generate", count=1, class_name=name).layers[0])
        for name in ("apple", "lime")
    )
    photograph = painting(32, 32, seed=8)
    given = {"picture": photograph, "before": apple, "after": lime}
    settings = {"source_class": "plum", "detail": "model", **WHOLE}
    kept = run_directly(context, "attribute", given, **settings)
    moved = run_directly(context, "attribute", given, with_class=True, **settings)
    generator = small_generator(regressor=True)
    assert generator.regressor is not None
    reading = generator.regressor.read(torch.cat([_tensor(apple), _tensor(lime)]))
    assert reading.class_logits is not None and reading.class_logits.argmax(1).tolist() == [2, 1]
    z = generator.regressor(_tensor(photograph))
    z = z + reading.latent[1:] - reading.latent[:1]
    plum = generator.synthesize(z, torch.tensor([3]))
    np.testing.assert_allclose(shown(photograph, kept.layers[0]), _unit(plum), atol=LEVEL)
    both = generator.synthesize(z, torch.tensor([[0.0, 0.5, 0.0, 0.5]]))  # plum and lime
    np.testing.assert_allclose(shown(photograph, moved.layers[0]), _unit(both), atol=LEVEL)


def test_the_same_example_twice_is_refused(context: Context, made: list[Picture]) -> None:
    elsewhere = Picture(made[1].array.copy(), 300, 200, "Copy")
    for twin in (made[1], elsewhere):
        given = {"picture": made[0], "before": made[1], "after": twin}
        with pytest.raises(InvalidRequest, match="Both examples show the same picture") as caught:
            run_directly(context, "attribute", given)
        assert "without the change" in caught.value.remedy


def test_an_area_beside_the_picture_is_refused(context: Context, made: list[Picture]) -> None:
    given = {**_inputs(made), "area": box_area(made[0], 500, 500, 510, 510)}
    with pytest.raises(InvalidRequest, match="covers nothing of the picture"):
        run_directly(context, "attribute", given)


@pytest.mark.parametrize("operation", ["attribute", "mix", "influence"])
def test_a_model_without_a_regressor_is_refused_with_what_adds_one(
    tmp_path: Path, made: list[Picture], operation: str
) -> None:
    model = install_small_generator(tmp_path)
    context = direct_context(tmp_path)
    given = {"picture": made[0]}
    if operation == "attribute":
        given = _inputs(made)
    if operation == "mix":
        given["reference"] = made[1]
    with pytest.raises(InvalidRequest, match="'Small fruit' has no regressor") as caught:
        run_directly(context, operation, given, model=model)
    assert "intarsia train regressor" in caught.value.remedy


def test_what_the_model_was_adapted_to_is_used(home: Path) -> None:
    context = direct_context(home)
    photograph, plain = painting(48, 48, seed=21), painting(40, 40, seed=5)
    given = {"picture": photograph, "before": plain, "after": painting(40, 40, seed=6)}
    first = run_directly(context, "attribute", given, **WHOLE)
    _adapt(context, photograph)
    fitted = run_directly(context, "attribute", given, **WHOLE)
    assert fitted.metrics["reconstruction_error"] < first.metrics["reconstruction_error"]
    assert fitted.model is not None and "adapted" in fitted.model
    assert any("adapted to" in note for note in fitted.notes)
    without = run_directly(context, "attribute", given, adapted="off", **WHOLE)
    assert without.metrics == first.metrics and "adapted" not in (without.model or {})


def _adapt(context: Context, picture: Picture) -> None:
    """As the operation of that name does, with a rate that shows in a few steps."""
    from intarsia_daemon.adapted_regressors import AdaptedRegressors
    from intarsia_daemon.generator_models import loaded_model
    from intarsia_daemon.real_pictures import whole_crop
    from intarsia_models.latent_composition.adaptation import adapt

    with loaded_model(context, "", capability="regressor") as loaded:
        target = whole_crop(picture, 32).target()
        adapted = adapt(loaded.generator, target, steps=20, rate=1e-3)
        assert adapted.after < adapted.before
        AdaptedRegressors(context, loaded).keep(picture, adapted)
