"""What a regressor's training makes small, besides the squared difference of the pictures.

Source: Chai et al. 2021, arXiv:2103.10426, eq. 3, 9 and 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.errors import ModelsError
from intarsia_models.generators.generator import Generator
from intarsia_models.projection.distances import DiscriminatorDistance, PixelDistance
from intarsia_models.projection.perceptual import (
    PerceptualDistance,
    find_backbone,
    how_to_add,
    load_metric,
)

Look = Literal["auto", "vgg", "discriminator", "pixels"]
LOOKS: tuple[Look, ...] = ("auto", "vgg", "discriminator", "pixels")
"""How pictures are compared beyond their pixels."""
Compare = Callable[[Tensor, Tensor], Tensor]
"""(made, wanted), (B, 3, R, R) in [-1, 1] each, to (B,) distances from 0."""


def latent_loss(found: Tensor, wanted: Tensor, metric: Literal["mse", "cosine"] = "mse") -> Tensor:
    """How far latents are from those that made the pictures, a scalar.

    Args:
        found: (B, z_dim), or (B, L, w_dim).
        wanted: Of the same shape.
        metric: "mse": the mean square of all numbers (eq. 10). "cosine": 1 - cosine (eq. 9), for
            generators that norm their latent, whose length makes no difference.
    """
    if metric == "cosine":
        return 1.0 - F.cosine_similarity(found, wanted, dim=-1).mean()
    return F.mse_loss(found, wanted)


class Resemblance:
    """How alike pictures look: LPIPS where its backbone lies on this machine, else the features of
    the generator's discriminator, else pixels at several sizes."""

    def __init__(self, generator: Generator, look: Look = "auto") -> None:
        """Choose what to compare with.

        Args:
            generator: Its discriminator may be used; its device is where pictures will be.
            look: "auto" takes the best there is: "vgg", "discriminator", "pixels".

        Raises:
            ModelsError: What was asked for is not there; the message says what to do.
        """
        device = next(generator.parameters()).device
        self.name: Literal["vgg", "discriminator", "pixels"] = "pixels"
        self.note = ""
        """What a user could add for better results; empty where nothing is missing."""
        if look == "vgg" or (look == "auto" and find_backbone("vgg") is not None):
            metric = load_metric("vgg").to(device)  # says which file is missing
            self.name, self._metric = "vgg", metric
        elif look == "discriminator" or (look == "auto" and generator.discriminator is not None):
            if generator.discriminator is None:
                raise ModelsError("This model has no discriminator to compare pictures with.")
            self.name, self._critic = "discriminator", generator.discriminator
        if self.name != "vgg":
            self.note = f"Pictures are compared by {self.told}. {how_to_add('vgg')}"

    @property
    def told(self) -> str:
        """For people and cards."""
        return {
            "vgg": "LPIPS with VGG",
            "discriminator": "the features of the model's discriminator",
            "pixels": "pixels at several sizes",
        }[self.name]

    def __call__(self, made: Tensor, wanted: Tensor) -> Tensor:
        """(B,) distances, 0 for the same picture; arguments as `Compare`."""
        if self.name == "vgg":
            return PerceptualDistance(self._metric, wanted, 0.0)(made)
        if self.name == "discriminator":
            with torch.no_grad():
                target = DiscriminatorDistance(self._critic, wanted, 0.0)
            return 1.0 + target(made)
        return PixelDistance(wanted, 0.0)(made)
