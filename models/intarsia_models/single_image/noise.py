"""What a single-image model is fed: fixed noise to rebuild its picture, fresh noise for
everything else."""

import torch
from torch import Tensor

from intarsia_models.single_image.augmentation import augment_colours_and_holes, shuffle_patches
from intarsia_models.single_image.settings import TaskSettings

Shape = tuple[int, int, int]


def gaussian(shape: Shape, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """(1, c, h, w) N(0, 1) on the device of ``generator``."""
    return torch.randn((1, *shape), generator=generator, device=generator.device, dtype=dtype)


def reconstruction_noise(
    settings: TaskSettings, stage: int, shape: Shape, coarsest: Tensor, generator: torch.Generator
) -> Tensor:
    """The fixed noise of a stage, from which the training picture is rebuilt.

    Args:
        settings: Of the task.
        stage: Which stage.
        shape: (c, h, w) of its noise.
        coarsest: (1, 3, h, w) in [-1, 1], the training picture at stage 0.
        generator: Source of randomness; its device is the result's.

    Returns:
        (1, c, h, w).

    Source: the public code: the picture itself at stage 0 where the paper says so
    (arXiv:2003.11512, section 3.2), noise that stays the same at the others, of which the paper
    does not speak.
    """
    if stage > 0 or settings.reconstruction_input == "noise":
        return gaussian(shape, generator, coarsest.dtype)
    if settings.reconstruction_input == "image":
        return coarsest.clone()
    return coarsest + settings.input_noise * gaussian(shape, generator, coarsest.dtype)


def adversarial_input(
    settings: TaskSettings,
    shape: Shape,
    coarsest: Tensor,
    generator: torch.Generator,
    choices: torch.Generator,
) -> Tensor:
    """One draw of what stage 0 is fed in adversarial training.

    Args:
        settings: Of the task.
        shape: (3, h, w).
        coarsest: (1, 3, h, w) in [-1, 1] on the CPU, the training picture at stage 0.
        generator: Source of noise; its device is the result's.
        choices: Source of the random choices of augmentations, on the CPU.

    Returns:
        (1, 3, h, w).
    """
    if settings.adversarial_input == "noise":
        return gaussian(shape, generator, coarsest.dtype)
    if settings.adversarial_input == "augmented_image":
        image01 = augment_colours_and_holes((coarsest + 1) / 2, choices)
    else:
        image01 = shuffle_patches((coarsest + 1) / 2, choices)
    picture = (image01 * 2 - 1).to(generator.device, non_blocking=True)
    if settings.input_noise > 0:
        picture = picture + settings.input_noise * gaussian(shape, generator, picture.dtype)
    return picture
