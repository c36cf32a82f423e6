"""Weights as layers with masks: the stack is the collage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from intarsia_models.mosaic.weight_layers import (
    WeightLayer,
    colour_map,
    composited,
    distinct_colours,
    kept_weights,
    weight_layers,
)

Array = NDArray[Any]
SIZE = (40, 56)


def soft_weights(count: int, hardness: float, seed: int = 0) -> Array:
    """(count, *SIZE) float32 in segments of some pixels; hard or soft."""
    rng = np.random.default_rng(seed)
    logits = np.stack([gaussian_filter(rng.normal(size=SIZE), 4) for _ in range(count)])
    logits *= hardness / logits.std()
    weights = np.exp(logits - logits.max(0))
    return (weights / weights.sum(0)).astype(np.float32)


def random_templates(count: int) -> Array:
    shape = (count, 3, *SIZE)
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


def collage(weights: Array, templates: Array) -> Array:
    """(H, W, 3) in [0, 1], in double precision."""
    mixed = np.einsum("khw,kchw->hwc", weights.astype(np.float64), templates.astype(np.float64))
    return (mixed + 1) / 2


def rounding_editor(layers: list[WeightLayer]) -> Array:
    """(H, W, 3) of 255: an editor that rounds to 8 bits after every layer."""
    shown = np.zeros((*SIZE, 3))
    for layer in layers:
        (x, y), (h, w) = layer.offset, layer.alpha.shape
        place = shown[y : y + h, x : x + w]
        alpha = layer.alpha[..., None] / 255.0
        place[:] = np.rint(place + alpha * (layer.colour - place))
    return shown


@pytest.mark.parametrize("count", [1, 2, 12, 50])
@pytest.mark.parametrize("hardness", [1.0, 8.0])
def test_layers_over_each_other_are_the_collage(count: int, hardness: float) -> None:
    weights, templates = soft_weights(count, hardness), random_templates(count)
    shown = composited(weight_layers(weights, templates), SIZE)
    away = np.abs(shown[..., :3] - collage(weights, templates)) * 255
    assert away.max() <= 2
    assert np.quantile(away, 0.99) <= 1
    np.testing.assert_allclose(shown[..., 3], 1, atol=1e-6)


@pytest.mark.parametrize("hardness", [2.0, 8.0])
def test_an_editor_that_rounds_every_layer_shows_the_collage_too(hardness: float) -> None:
    weights, templates = soft_weights(12, hardness), random_templates(12)
    shown = rounding_editor(weight_layers(weights, templates, rounds=True))
    assert np.abs(shown - np.rint(collage(weights, templates) * 255)).max() <= 2


def test_sixteen_bits_are_finer() -> None:
    weights, templates = soft_weights(12, 2.0), random_templates(12)
    layers = weight_layers(weights, templates, depth=16, least_share=0)
    assert layers[0].colour.dtype == layers[0].alpha.dtype == np.uint16
    shown = composited(layers, SIZE)[..., :3]
    assert np.abs(shown - collage(weights, templates)).max() * 255 < 0.02


def test_masks_are_the_share_among_what_lies_below() -> None:
    """Two pixels by hand: weights 0.5, 0.25, 0.25 and 0, 1, 0."""
    weights = np.array([[[0.5, 0.0]], [[0.25, 1.0]], [[0.25, 0.0]]], np.float32)
    colours = np.random.default_rng(0).uniform(-1, 1, (3, 3, 1, 1)).astype(np.float32)
    templates = np.broadcast_to(colours, (3, 3, 1, 2))
    first, second, third = weight_layers(weights, templates, depth=16)
    assert first.alpha.tolist() == [[65535]]
    np.testing.assert_allclose(second.alpha / 65535, [[1 / 3, 1.0]], atol=2 / 65535)
    np.testing.assert_allclose(third.alpha / 65535, [[1 / 4]], atol=2 / 65535)
    assert [layer.share for layer in (first, second, third)] == pytest.approx([0.25, 0.625, 0.125])


def test_layers_are_cut_to_their_boxes_and_empty_ones_left_out() -> None:
    weights = np.zeros((3, *SIZE), np.float32)
    weights[0, :, :30] = weights[2, :, 30:] = 1
    templates = random_templates(3)
    left, right = weight_layers(weights, templates)
    assert [left.index, right.index] == [0, 2]
    assert [left.offset, right.offset] == [(0, 0), (30, 0)]
    assert right.colour.shape == (SIZE[0], SIZE[1] - 30, 3)
    pixels = np.rint((templates[2, :, :, 30:] + 1) / 2 * 255).transpose(1, 2, 0)
    np.testing.assert_array_equal(right.colour, pixels)


def test_the_stack_has_the_alpha_of_the_area() -> None:
    weights, templates = soft_weights(5, 3.0), random_templates(5)
    coverage = gaussian_filter(np.random.default_rng(2).random(SIZE), 5) * 2 - 0.5
    coverage = coverage.clip(0, 1).astype(np.float32)
    coverage[:, :8], coverage[:, -8:] = 0, 1
    layers = weight_layers(weights, templates, coverage=coverage)
    shown = composited(layers, SIZE)
    assert np.abs(shown[..., 3] - coverage).max() * 255 <= 1.5
    premultiplied = shown[..., :3] * shown[..., 3:]
    wanted = collage(weights, templates) * coverage[..., None]
    assert np.abs(premultiplied - wanted).max() * 255 <= 2
    assert min(layer.offset[0] for layer in layers) >= 8


def test_bands_of_rows_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, templates = soft_weights(4, 3.0), random_templates(4)
    whole = weight_layers(weights, templates)
    asked: list[tuple[int, int]] = []

    def rows(top: int, bottom: int) -> Array:
        asked.append((top, bottom))
        return templates[:, :, top:bottom]

    monkeypatch.setattr("intarsia_models.mosaic.weight_layers.BAND", 4 * SIZE[1] * 7)
    ticks: list[int] = []
    parts = weight_layers(weights, rows, tick=lambda: ticks.append(1))
    assert max(bottom - top for top, bottom in asked) == 7
    assert len(ticks) == len(asked)
    for one, other in zip(whole, parts, strict=True):
        assert one.offset == other.offset
        np.testing.assert_array_equal(one.alpha, other.alpha)
        np.testing.assert_array_equal(one.colour, other.colour)


def test_what_is_left_out_is_small_and_the_rest_sums_to_one() -> None:
    weights = soft_weights(30, 4.0)
    kept = kept_weights(weights, 0.02)
    left_out = np.where(kept == 0, weights, 0).sum(0)
    assert left_out.max() <= 0.02 + 1e-6
    assert (kept == 0).mean() > 0.3
    np.testing.assert_allclose(kept.sum(0), 1, atol=1e-5)


def test_the_colour_map_mixes_distinct_colours() -> None:
    palette = distinct_colours(40, seed=3)
    apart = np.abs(palette[:, None].astype(int) - palette[None]).max(-1) + 255 * np.eye(40)
    assert apart.min() >= 20
    assert (distinct_colours(40, seed=3) == palette).all()
    assert (distinct_colours(40, seed=4) != palette).any()
    weights = np.zeros((2, 1, 3), np.float32)
    weights[0, 0], weights[1, 0] = (1, 0, 0.5), (0, 1, 0.5)
    first, second = distinct_colours(2).astype(float)
    wanted = np.stack([first, second, np.rint((first + second) / 2)])
    assert np.abs(colour_map(weights)[0] - wanted).max() <= 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"weights": np.ones((2, 3))}, "weights must be"),
        ({"templates": np.zeros((2, 3, 4, 4))}, "templates must be"),
        ({"coverage": np.ones((2, 2))}, "coverage must be"),
        ({"depth": 32}, "depth must be 8 or 16"),
        ({"least_share": 1.0}, "least_share must lie in"),
    ],
)
def test_wrong_input_is_refused(changed: dict[str, Any], said: str) -> None:
    good: dict[str, Any] = {
        "weights": np.full((2, 4, 5), 0.5, np.float32),
        "templates": np.zeros((2, 3, 4, 5), np.float32),
    }
    given = {**good, **changed}
    with pytest.raises(ValueError, match=said):
        weight_layers(given.pop("weights"), given.pop("templates"), **given)
