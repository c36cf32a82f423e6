"""Blending weights as layers with masks that an editor composites to the same picture, and as
colours.

The collage is the mix of K templates by weights that sum to 1. An editor puts layers *over* each
other instead, so the mask of layer k says how much of it there is among itself and what lies below:

    mask_k = A_k / (A_1 + ... + A_k)

and the layers with these masks, bottom first, give the same mix. Source: Jetchev et al. 2019
(arXiv:1910.07236), set pooling; the masks are ours, Porter and Duff's *over* solved for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.floating[Any]]
TemplateRows = Callable[[int, int], Array]
"""(top, bottom) to the rows top to bottom - 1 of all templates on the whole canvas, in their own
places: (K, 3, bottom - top, W) in [-1, 1]."""
Tick = Callable[[], None]

BAND = 1 << 22
"""Numbers of one kind held at a time: rows are taken in bands of about this size."""
LEAST_SHARE = 1 / 255


@dataclass(frozen=True)
class WeightLayer:
    """One template as a layer with a mask, cut to where the mask is not empty."""

    index: int
    """Which template, 0 to K - 1."""
    offset: tuple[int, int]
    """(x, y) of its top left corner on the canvas."""
    colour: Array
    """(h, w, 3) uint8 or uint16, the template itself: nothing is cut out of it."""
    alpha: Array
    """(h, w), same type: how much of the layer is seen, the editable mask."""
    share: float
    """Of the mosaic's area that it fills, in (0, 1]."""


def weight_layers(
    weights: Array,
    templates: Array | TemplateRows,
    *,
    coverage: Array | None = None,
    depth: int = 8,
    least_share: float = LEAST_SHARE,
    rounds: bool = False,
    tick: Tick | None = None,
) -> list[WeightLayer]:
    """Layers that, put over each other bottom first, give the collage.

    Args:
        weights: (K, H, W), each at least 0, summing to 1 at every pixel; float16 or wider, may be
            an `np.memmap`.
        templates: (K, 3, H, W) in [-1, 1], as they were mixed (warped, if they were), or a function
            that gives bands of rows of them.
        coverage: (H, W) in [0, 1], how much of the collage is there at all, for example a selection
            with soft edges; None: all of it. The composited layers then have this alpha.
        depth: 8 or 16 bits for colours and masks.
        least_share: The smallest weights at a pixel are left out as long as they sum to at most
            this; without it every mask covers the whole canvas. 0 keeps all.
        rounds: Whether the editor rounds to ``depth`` bits after each layer (Krita does with
            8 bits; GIMP 3 computes in floats). It matters where many templates mix softly: the
            wrong answer then costs up to 5 levels, the right one 2, rarely 3.
        tick: Called for every band; may raise to stop.

    Returns:
        Bottom layer first, those that nothing is seen of left out. Colours and masks together take
        at most 4 K H W bytes (8 with 16 bits), less for templates that fill only a part.

    Raises:
        ValueError: A shape, a depth or ``least_share`` is wrong.

    Convention: editors must blend in the numbers as they are stored (Krita does; GIMP with the
    *perceptual* blend and composite space), not in linear light.
    Source: the module's formula. Ours: rounded masks are steered. Whatever rounding has done to the
    colours below is taken into account in the next mask, which differs from the formula by at most
    one level, so that errors do not add up over the layers.
    """
    rows = _checked(weights, templates, coverage, least_share)
    full = _full(depth)
    count, height, width = weights.shape
    masks = np.zeros((count, height, width), full.dtype)
    filled = np.zeros(count)
    for top, bottom in _bands(height, width * count, tick):
        shares = kept_weights(weights[:, top:bottom], least_share)
        cover = np.ones((bottom - top, width), np.float32)
        if coverage is not None:
            cover = np.clip(np.asarray(coverage[top:bottom], np.float32), 0, 1)
        colours = (np.asarray(rows(top, bottom), np.float32) + 1) / 2
        wanted = _collage(np.asarray(weights[:, top:bottom], np.float32), colours)
        masks[:, top:bottom] = _masks(shares, colours, wanted, cover, int(full), rounds)
        filled += shares.sum((1, 2), dtype=np.float64)
    boxes = {k: box for k in range(count) if (box := _box(masks[k])) is not None}
    colours = _colours(rows, boxes, (height, width * count), full, tick)
    return [
        WeightLayer(
            k, (box[2], box[0]), colours[k], _cut(masks[k], box), filled[k] / (height * width)
        )
        for k, box in boxes.items()
    ]


def kept_weights(weights: Array, least_share: float = LEAST_SHARE) -> Floats:
    """The weights without the smallest, which sum to at most ``least_share``; again summing to 1.

    Args:
        weights: (K, h, w) that sum to 1 over K.
        least_share: In [0, 1).
    """
    shares = np.asarray(weights, np.float32)
    if least_share > 0:
        bound = np.full(shares.shape[1:], least_share / len(shares), np.float32)
        for halvings in reversed(range(math.ceil(math.log2(len(shares))))):  # the last is widest
            wider = np.float32(least_share / 2**halvings)
            sum_below = np.where(shares < wider, shares, 0).sum(0)
            bound = np.where(sum_below <= least_share, np.maximum(bound, wider), bound)
        shares = np.where(shares < bound, np.float32(0), shares)
    total = shares.sum(0, keepdims=True)
    return shares / np.maximum(total, np.float32(1e-12))


def composited(layers: Sequence[WeightLayer], size: tuple[int, int]) -> Floats:
    """What an editor shows of the layers alone: one over the other, from the first on.

    Args:
        layers: Bottom first.
        size: (height, width) of the canvas.

    Returns:
        (H, W, 4) in [0, 1]: RGB with straight alpha; black where nothing is.
    """
    shown = np.zeros((*size, 4), np.float32)
    for layer in layers:
        full = np.iinfo(layer.colour.dtype).max
        (x, y), (h, w) = layer.offset, layer.alpha.shape
        place = shown[y : y + h, x : x + w]
        alpha = (layer.alpha.astype(np.float32) / full)[..., None]
        solid = np.concatenate(
            (layer.colour.astype(np.float32) / full, np.ones((h, w, 1), np.float32)), -1
        )
        place += alpha * (solid - place)
    shown[..., :3] /= np.maximum(shown[..., 3:], 1e-12)
    return shown


def colour_map(weights: Array, *, seed: int = 0, tick: Tick | None = None) -> NDArray[np.uint8]:
    """The weights as a picture: a colour for each template, mixed as the templates are.

    Args:
        weights: (K, H, W) that sum to 1 over K, may be an `np.memmap`.
        seed: Of the order of colours.
        tick: Called for every band of rows; may raise to stop.

    Returns:
        (H, W, 3) uint8.
    """
    count, height, width = weights.shape
    palette = distinct_colours(count, seed=seed).astype(np.float32)
    shown = np.empty((height, width, 3), np.uint8)
    for top, bottom in _bands(height, width * count, tick):
        part = np.asarray(weights[:, top:bottom], np.float32)
        shown[top:bottom] = np.rint(np.clip(np.einsum("khw,kc->hwc", part, palette), 0, 255))
    return shown


def distinct_colours(count: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """(count, 3) colours as different as they can be, in random order.

    Of a grid of colours, each next one is the farthest from those taken (Gonzalez 1985) in CIE Lab,
    where distances are about those that are seen.
    """
    from skimage.color import rgb2lab

    steps = max(9, math.ceil(count ** (1 / 3)) + 4)
    line = np.linspace(0.1, 0.95, steps)
    grid = np.stack(np.meshgrid(line, line, line), -1).reshape(-1, 3)
    lab = rgb2lab(grid[None])[0]
    rng = np.random.default_rng(seed)
    taken = [int(rng.integers(len(grid)))]
    away = np.linalg.norm(lab - lab[taken[0]], axis=1)
    while len(taken) < count:
        taken.append(int(away.argmax()))
        away = np.minimum(away, np.linalg.norm(lab - lab[taken[-1]], axis=1))
    return np.rint(grid[rng.permutation(taken)] * 255).astype(np.uint8)


def _masks(
    shares: Floats, colours: Floats, wanted: Floats, cover: Floats, full: int, rounds: bool
) -> Array:
    """(K, h, w) whole numbers up to ``full``; see `weight_layers`.

    What is shown so far is kept as RGB times alpha, and alpha; a mask moves it towards the layer's
    colour. The best step along that line to where it should be now is the mask.
    """
    colours = np.rint(colours.clip(0, 1) * full) / np.float32(full)  # as they will be stored
    drift = wanted - _collage(shares, colours)  # of leaving out weights and of rounding colours
    masks = np.zeros(shares.shape, np.uint16 if full > 255 else np.uint8)
    shown = np.zeros((4, *cover.shape), np.float32)
    ideal = np.zeros_like(shown)  # the same sum with exact masks
    below = 1 - cover  # the weight of all that lies under the next layer
    for k in range(len(shares)):
        own = shares[k] * cover
        below = below + own
        exact = own / np.maximum(below, np.float32(1e-12))
        solid = np.concatenate((colours[k] + drift, np.ones_like(cover)[None]))
        ideal += exact * (solid - ideal)
        solid[:3] = colours[k]
        way = solid - shown
        length = (way * way).sum(0)
        steered = ((ideal - shown) * way).sum(0) / np.maximum(length, np.float32(1e-6))
        level = np.float32(1 / full)
        mask = np.rint(steered.clip(exact - level, exact + level).clip(0, 1) * full)
        mask = np.where(own > 0, mask, 0)
        mask = np.where((exact >= 1) & (own > 0), full, mask)  # nothing shows through
        masks[k] = mask
        shown += mask.astype(np.float32) * level * way
        if rounds:
            shown = np.rint(shown * full) * level
    return masks


def _collage(shares: Floats, colours: Floats) -> Floats:
    """(3, h, w): the mix in [0, 1]."""
    return np.einsum("khw,kchw->chw", shares, colours)


def _colours(
    rows: TemplateRows,
    boxes: dict[int, tuple[int, int, int, int]],
    size: tuple[int, int],
    full: Any,
    tick: Tick | None,
) -> dict[int, Array]:
    """The templates' pixels within their boxes."""
    found = {
        k: np.empty((bottom - top, right - left, 3), full.dtype)
        for k, (top, bottom, left, right) in boxes.items()
    }
    for first, last in _bands(*size, tick):
        part = np.asarray(rows(first, last), np.float32)
        for k, (top, bottom, left, right) in boxes.items():
            begin, end = max(first, top), min(last, bottom)
            if begin < end:
                pixels = part[k, :, begin - first : end - first, left:right].clip(-1, 1)
                levels = np.rint((pixels + 1) / 2 * np.float32(full))
                found[k][begin - top : end - top] = levels.transpose(1, 2, 0)
    return found


def _box(mask: Array) -> tuple[int, int, int, int] | None:
    """(top, bottom, left, right) of what is not 0; None where all is."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _cut(mask: Array, box: tuple[int, int, int, int]) -> Array:
    top, bottom, left, right = box
    return mask[top:bottom, left:right].copy()


def _bands(height: int, per_row: int, tick: Tick | None) -> Iterator[tuple[int, int]]:
    rows = max(1, BAND // per_row)
    for top in range(0, height, rows):
        if tick is not None:
            tick()
        yield top, min(height, top + rows)


def _full(depth: int) -> Any:
    if depth not in (8, 16):
        raise ValueError(f"depth must be 8 or 16 bits, got {depth}.")
    return np.uint8(255) if depth == 8 else np.uint16(65535)


def _checked(
    weights: Array, templates: Array | TemplateRows, coverage: Array | None, least_share: float
) -> TemplateRows:
    if weights.ndim != 3:
        raise ValueError(f"weights must be (K, H, W), got shape {weights.shape}.")
    count, height, width = weights.shape
    if coverage is not None and coverage.shape != (height, width):
        raise ValueError(f"coverage must be {(height, width)}, got shape {coverage.shape}.")
    if not 0 <= least_share < 1:
        raise ValueError(f"least_share must lie in [0, 1), got {least_share}.")
    if callable(templates):
        return templates
    if templates.shape != (count, 3, height, width):
        raise ValueError(
            f"templates must be {(count, 3, height, width)} as the weights are, got shape "
            f"{templates.shape}."
        )
    held = templates
    return lambda top, bottom: held[:, :, top:bottom]
