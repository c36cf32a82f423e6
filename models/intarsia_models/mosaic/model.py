"""A trained mosaic: composes pictures, is saved and loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from intarsia_models.checkpoints import read_bundle, write_bundle
from intarsia_models.errors import UnreadableModel
from intarsia_models.mosaic.networks import RefinementUNet, SetOutput, SetUNet, initialize
from intarsia_models.mosaic.pooling import normalized, pooled, warped
from intarsia_models.mosaic.settings import MosaicSettings

FAMILY = "mosaic"
FORMAT = 1


class Mosaic(NamedTuple):
    """What is composed."""

    picture: Tensor
    """(B, 3, H, W) in [-1, 1]: the result, refined where the model refines."""
    collage: Tensor
    """(B, 3, H, W): before that, copied and pasted only."""
    weights: Tensor | None
    """(B, K, H, W), summing to 1 over the templates; None where there are none."""


class Weights(NamedTuple):
    """How much of which template is taken where."""

    weights: Tensor
    """(B, K, H, W), summing to 1 over K."""
    theta: Tensor | None
    """See `SetOutput.theta`."""


class MosaicNetwork(nn.Module, ABC):
    """The generator of one style."""

    settings: MosaicSettings

    @abstractmethod
    def compose(
        self,
        content: Tensor | None,
        templates: Tensor,
        present: Tensor | None = None,
        *,
        noise: Tensor | None = None,
    ) -> Mosaic:
        """One pass, with gradients.

        Args:
            content: (B, 3, H, W) in [-1, 1], or None for unguided networks; H and W multiples of
                ``settings.multiple``.
            templates: (B, K, 3, H, W) in [-1, 1].
            present: (B, K) bool: templates that are there; None: all.
            noise: (B, ``settings.noise_channels``, H, W) from N(0, 1), where it takes some.
        """


class MagicNetwork(MosaicNetwork):
    """Weights for any templates, the collage, and its refinement."""

    def __init__(self, settings: MosaicSettings) -> None:
        super().__init__()
        self.settings = settings
        self.set_network = SetUNet(settings)
        self.refinement = RefinementUNet(settings) if settings.refine else None

    def output(
        self, content: Tensor | None, templates: Tensor, present: Tensor | None = None
    ) -> SetOutput:
        """Logits and warps; arguments as of `compose`."""
        return self.set_network(templates, content, present)

    def compose(
        self,
        content: Tensor | None,
        templates: Tensor,
        present: Tensor | None = None,
        *,
        noise: Tensor | None = None,
    ) -> Mosaic:
        """See `MosaicNetwork.compose`."""
        found = self.output(content, templates, present)
        weights = normalized(found.logits)
        collage = pooled(weights, warped(templates, found.theta, self.settings.warp))
        picture = collage if self.refinement is None else self.refinement(collage)
        return Mosaic(picture, collage, weights)


def build_network(settings: MosaicSettings, *, seed: int | None = 0) -> MosaicNetwork:
    """The generator of a style.

    Args:
        settings: All sizes.
        seed: Of fresh weights; None leaves them for whoever loads some.
    """
    if settings.style == "magic":
        network: MosaicNetwork = MagicNetwork(settings)
    else:
        from intarsia_models.mosaic.baselines import baseline_network

        network = baseline_network(settings)
    if seed is not None:
        initialize(network, seed)
    return network.to(memory_format=torch.channels_last)


class MosaicModel:
    """A generator that is ready to compose."""

    def __init__(self, network: MosaicNetwork, card: Mapping[str, Any] | None = None) -> None:
        """Take a network; it is put into eval mode and gets no gradients.

        Args:
            network: Trained.
            card: More plain JSON values on its origin, kept when it is saved.
        """
        self.network = network.eval().requires_grad_(False)
        self.origin = dict(card or {})

    @property
    def settings(self) -> MosaicSettings:
        """Of its networks."""
        return self.network.settings

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.network.parameters()).device

    def to(self, device: str | torch.device) -> MosaicModel:
        """Move it, in place."""
        self.network.to(device)
        return self

    @torch.no_grad()
    def weights(
        self, content: Tensor | None, templates: Tensor, present: Tensor | None = None
    ) -> Weights:
        """Weights A, and warps where the model warps.

        Args:
            content: (B, 3, H, W) in [-1, 1], or None for an unguided model.
            templates: (B, K, 3, H, W) in [-1, 1], any K and any size.
            present: (B, K) bool, see `MosaicNetwork.compose`.

        Raises:
            ValueError: The shapes do not fit, a content is missing or not wanted, or the model has
                no weights of templates.
        """
        network = self.network
        if not isinstance(network, MagicNetwork):
            raise ValueError(f"A mosaic of the style {self.settings.style!r} has no such weights.")
        self._check(content, templates)
        size = templates.shape[-2:]
        found = network.output(*self._padded(content, templates), present)
        theta = found.theta
        if theta is not None and theta.ndim == 5:
            theta = theta[..., : size[0], : size[1]]
        return Weights(normalized(found.logits[..., : size[0], : size[1]]), theta)

    @torch.no_grad()
    def compose(
        self,
        content: Tensor | None,
        templates: Tensor,
        present: Tensor | None = None,
        *,
        noise: Tensor | None = None,
    ) -> Mosaic:
        """A mosaic in one pass; sizes that the networks do not take are mirrored at the right and
        at the bottom. Large ones: see `rendering`.

        Args:
            content: See `weights`.
            templates: See `weights`.
            present: See `weights`.
            noise: (B, ``settings.noise_channels``, H, W), for a style that takes noise.

        Raises:
            ValueError: See `weights`.
        """
        self._check(content, templates)
        height, width = templates.shape[-2:]
        content, padded = self._padded(content, templates)
        if noise is not None:
            noise = self._fitted(noise)
        made = self.network.compose(content, padded, present, noise=noise)
        weights = made.weights
        return Mosaic(
            made.picture[..., :height, :width],
            made.collage[..., :height, :width],
            None if weights is None else weights[..., :height, :width],
        )

    def card(self) -> dict[str, Any]:
        """What the model is, as plain JSON values."""
        return {
            **self.origin,
            "family": FAMILY,
            "format": FORMAT,
            "task": "mosaic",
            "settings": self.settings.to_card(),
        }

    def save(
        self,
        folder: str | Path,
        *,
        extra: Mapping[str, Any] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Write it as a bundle (see `checkpoints`).

        Args:
            folder: Replaced where it exists.
            extra: More for the card.
            dtype: torch.float16 halves the size.

        Raises:
            OSError: The disk is full or the folder cannot be written.
        """
        tensors = {name: t.to(dtype) for name, t in self.network.state_dict().items()}
        write_bundle(Path(folder), tensors, {**(extra or {}), **self.card()})

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> MosaicModel:
        """Read a saved model.

        Args:
            folder: What `save` wrote.
            device: Where to put it.

        Raises:
            UnreadableModel: It is no mosaic, or was written by a newer version.
            DamagedCheckpoint: Its bytes have changed.
        """
        bundle = read_bundle(Path(folder))
        card = dict(bundle.card)
        if card.get("family") != FAMILY:
            raise UnreadableModel(
                f"{folder} holds a model of family {card.get('family')!r}, not {FAMILY!r}."
            )
        if card.get("format", 0) > FORMAT:
            raise UnreadableModel(
                f"{folder} was written by a newer version: format {card['format']}, and this one "
                f"reads up to {FORMAT}.",
                "Update this software.",
            )
        try:
            network = build_network(MosaicSettings.from_card(card["settings"]), seed=None)
            network.load_state_dict({name: t.float() for name, t in bundle.tensors.items()})
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UnreadableModel(f"{folder} is not a whole mosaic: {error}") from error
        return cls(network, card).to(device)

    def _check(self, content: Tensor | None, templates: Tensor) -> None:
        if templates.ndim != 5 or templates.shape[2] != 3:
            raise ValueError(f"templates must be (B, K, 3, H, W), got {tuple(templates.shape)}.")
        if (content is None) == self.settings.guided:
            raise ValueError(
                "This mosaic follows a content picture: give one."
                if self.settings.guided
                else "This mosaic was trained without contents and cannot follow one."
            )
        wanted = (templates.shape[0], 3, *templates.shape[-2:])
        if content is not None and tuple(content.shape) != wanted:
            raise ValueError(f"content must be {wanted}, got {tuple(content.shape)}.")

    def _padded(self, content: Tensor | None, templates: Tensor) -> tuple[Tensor | None, Tensor]:
        fitted = self._fitted(templates.flatten(0, 1)).unflatten(0, templates.shape[:2])
        return None if content is None else self._fitted(content), fitted

    def _fitted(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) on the device, mirrored up to the next multiple."""
        multiple = self.settings.multiple
        height, width = pictures.shape[-2:]
        places = [_mirrored(side, -(-side // multiple) * multiple) for side in (height, width)]
        made = pictures.to(self.device, torch.float32)
        if places[0].numel() == height and places[1].numel() == width:
            return made
        return made[..., places[0][:, None].to(self.device), places[1].to(self.device)]


def _mirrored(side: int, wanted: int) -> Tensor:
    """Positions 0 … side - 1 and on, mirrored, ``wanted`` of them."""
    at = torch.arange(wanted).remainder(2 * side)
    return torch.minimum(at, 2 * side - 1 - at)
