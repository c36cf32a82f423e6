"""New pictures from a trained model: variations of its picture, at any size."""

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.resampling import resize_tensor
from intarsia_models.single_image.critic import Tick
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.pyramid import Size
from intarsia_models.single_image.settings import FROM_NOISE, LEAST_SIZE

BATCH_BYTES = 256 << 20
"""Features of the finest stage that are made at once."""


def variations(
    model: TrainedModel,
    count: int = 1,
    *,
    size: Size | None = None,
    seed: int = 0,
    start_stage: int = 0,
    tick: Tick | None = None,
) -> Tensor:
    """Pictures that look like the training picture and are not it.

    Args:
        model: Of the task "generation", "retarget" or "animation".
        count: How many.
        size: (height, width) of the pictures, any aspect, at least 11 px a side; by default the
            model's own. "retarget" is the task that was trained for other sizes; the other two
            do them as well, with livelier borders.
        seed: Picture i is drawn from ``seed + i`` alone, on every device alike.
        start_stage: Stages below it keep the training picture: 0 varies all of it, 1 keeps the
            layout, higher ones keep ever finer detail.
        tick: Called between pictures; may wait, or raise to stop.

    Returns:
        (count, 3, H, W) in [-1, 1] on the model's device.

    Raises:
        ValueError: Wrong task, count, size or stage.

    Source: arXiv:2003.11512, section 4.1; sizes of the stages as in the public code (in
    proportion, rounded down).
    """
    require_task(model, FROM_NOISE, "Variations")
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}.")
    check_start_stage(model, start_stage)
    sizes = sizes_for(model, size)
    settings = model.settings
    height, width = sizes[-1]
    each = settings.channels * height * width * model.real.element_size()
    at_once = max(1, min(count, BATCH_BYTES // each))
    pictures = []
    for first in range(0, count, at_once):
        if tick is not None:
            tick()
        seeds = range(seed + first, seed + min(first + at_once, count))
        drawn = [mixed_noises(model, sizes, one, start_stage) for one in seeds]
        noises = [torch.cat(of_stage) for of_stage in zip(*drawn, strict=True)]
        pictures.append(synthesized(model, noises, sizes))
    return torch.cat(pictures)


def retarget(model: TrainedModel, size: Size, *, seed: int = 0, keep_layout: bool = True) -> Tensor:
    """The training picture at another size or aspect, with its textures at their own scale.

    Args:
        model: As for `variations`.
        size: (height, width), at least 11 px a side; twice as wide is ``(h, 2 * w)`` of
            ``model.sizes[-1]``.
        seed: Of the noise.
        keep_layout: Start from the training picture, stretched: things keep their places.
            Otherwise from noise, as published: things are arranged anew.

    Returns:
        (1, 3, *size) in [-1, 1].

    Raises:
        ValueError: Wrong task or size.

    Source: arXiv:2003.11512, section 4.1 and appendix. Deviation: with ``keep_layout`` the
    coarsest stage is given the picture instead of noise.
    """
    start = 1 if keep_layout and model.settings.reconstruction_input == "image" else 0
    return variations(model, size=size, seed=seed, start_stage=start)


def sizes_for(model: TrainedModel, size: Size | None) -> list[Size]:
    """(height, width) of every stage for pictures of a size.

    Raises:
        ValueError: The size is too small.
    """
    if size is None or tuple(size) == model.sizes[-1]:
        return list(model.sizes)
    height, width = (int(side) for side in size)
    if min(height, width) < LEAST_SIZE:
        raise ValueError(f"size must be at least {LEAST_SIZE} px a side, got {width} x {height}.")
    own_height, own_width = model.sizes[-1]
    inner = [
        (max(1, h * height // own_height), max(1, w * width // own_width))
        for h, w in model.sizes[:-1]
    ]
    return [*inner, (height, width)]


def own_scale(model: TrainedModel, height: int, width: int) -> Size:
    """(height, width) of another picture's aspect, as long as the model's longer side.

    Args:
        model: The model.
        height: Rows of the other picture.
        width: Columns of it.
    """
    scale = max(model.sizes[-1]) / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def fresh_noises(model: TrainedModel, sizes: list[Size], seed: int) -> list[Tensor]:
    """One draw of N(0, 1) for every stage: (1, c, h, w) each, on the model's device."""
    source = torch.Generator().manual_seed(seed)
    shapes = model.generator.noise_shapes(sizes)
    return [torch.randn((1, *shape), generator=source).to(model.real) for shape in shapes]


def fixed_noises(model: TrainedModel, sizes: list[Size]) -> list[Tensor]:
    """What the training picture is rebuilt from, for pictures of any size.

    Convention: the picture at stage 0 is resized; noise is continued by mirroring, so that it
    stays noise.
    """
    if sizes == model.sizes:
        return list(model.fixed_noises)
    shapes = model.generator.noise_shapes(sizes)
    return [
        resized_picture(noise, shape[1:])
        if n == 0 and model.settings.reconstruction_input != "noise"
        else _mirrored(noise, shape[1:])
        for n, (noise, shape) in enumerate(zip(model.fixed_noises, shapes, strict=True))
    ]


def mixed_noises(
    model: TrainedModel, sizes: list[Size], seed: int, start_stage: int
) -> list[Tensor]:
    """`fixed_noises` below ``start_stage``, `fresh_noises` from there on."""
    fresh = fresh_noises(model, sizes, seed)
    if start_stage == 0:
        return fresh
    return [*fixed_noises(model, sizes)[:start_stage], *fresh[start_stage:]]


def synthesized(model: TrainedModel, noises: list[Tensor], sizes: list[Size]) -> Tensor:
    """(B, 3, H, W) in [-1, 1]; batch norm as in training, and grey where the picture is."""
    made = model.generator.synthesize(noises, sizes, batch_statistics=True)
    return model.in_own_colours(made)


def resized_picture(picture: Tensor, size: Size) -> Tensor:
    """(1, 3, *size), values beyond [-1, 1] (noise on the picture) kept."""
    if tuple(picture.shape[-2:]) == tuple(size):
        return picture
    if float(picture.abs().max()) <= 1:
        return resize_tensor(picture, *size, through_8_bits=False)
    return F.interpolate(picture, size, mode="bicubic", antialias=True)


def require_task(model: TrainedModel, tasks: tuple[str, ...], what: str) -> None:
    """Refuse a model that was trained for something else.

    Raises:
        ValueError: Naming the tasks that would do.
    """
    if model.settings.task not in tasks:
        raise ValueError(
            f"{what} need a model of the task {' or '.join(tasks)}, got one of the task "
            f"{model.settings.task}. Train one for this picture."
        )


def check_start_stage(model: TrainedModel, start_stage: int) -> None:
    """Refuse a stage that the model does not have.

    Raises:
        ValueError: Naming the range.
    """
    if not 0 <= start_stage < len(model.sizes):
        raise ValueError(f"start_stage must lie in [0, {len(model.sizes) - 1}], got {start_stage}.")


def _mirrored(noise: Tensor, size: Size) -> Tensor:
    """Cut to a size, or continued by mirroring."""
    for axis, length in zip((-2, -1), size, strict=True):
        old = noise.shape[axis]
        order = torch.arange(length, device=noise.device) % (2 * old)
        order = torch.where(order < old, order, 2 * old - 1 - order)
        noise = noise.index_select(axis, order)
    return noise
