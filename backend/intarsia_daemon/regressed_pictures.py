"""Pictures as a model's regressor reads them: one pass, no search.

What lies beyond a picture, and what of it is transparent, is unknown to the regressor. A picture
that the model itself made is not read but known (`intarsia_daemon.latent_store`), and comes back
exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Context
from intarsia_daemon.generator_models import LoadedModel, class_tensor, find_class
from intarsia_daemon.held_pictures import Holder, Projecting, class_of
from intarsia_daemon.latent_store import Latent as StoredLatent
from intarsia_daemon.pixels import Picture
from intarsia_daemon.real_pictures import Crop
from intarsia_daemon.rough_pieces import small_piece
from intarsia_models.latent_composition.collages import Collage, Piece, paste
from intarsia_models.latent_composition.latents import Latent, decode, encode, regressor_of
from intarsia_models.latent_composition.regressor import MaskedRegressor
from intarsia_models.projection import guess_class


@dataclass(frozen=True, eq=False)
class RegressedPicture:
    """A picture in a model."""

    crop: Crop
    image: Tensor
    """(1, 3, R, R) in [-1, 1] on the model's device; mid-grey where nothing is known."""
    known: Tensor
    """(1, 1, R, R) in [0, 1], 1 = known."""
    latent: Latent
    reconstruction: Tensor
    """(1, 3, R, R): what the model makes of the latent."""
    generated: bool
    """Whether the model made the picture, so that the latent is its own."""
    notes: tuple[str, ...] = ()

    @property
    def class_id(self) -> int | None:
        """The class it is taken for; None without classes."""
        return class_of(StoredLatent(self.latent.z, self.latent.y))

    @property
    def error(self) -> float:
        """Mean absolute difference of the reconstruction where the picture is known, in [0, 2]."""
        apart = (self.reconstruction.clamp(-1, 1) - self.image).abs().mean(1, keepdim=True)
        return float((apart * self.known).sum() / self.known.sum().clamp_min(1e-6))


@torch.inference_mode()
def regressed(
    model: LoadedModel,
    context: Context,
    crop: Crop,
    *,
    source_class: str = "",
    above: Picture | None = None,
    read: bool = False,
    regressor: MaskedRegressor | None = None,
) -> RegressedPicture:
    """Read a picture.

    Args:
        model: With a regressor.
        context: The running operation's.
        crop: What the model sees of it.
        source_class: What it shows; empty: read from it.
        above: Something that lies over it, and counts as a part of it.
        read: Read it also where the model made it.
        regressor: An adapted one; None: the model's own.

    Raises:
        InvalidRequest: Nothing is visible, or the model has no such class.
    """
    pieces = [small_piece(crop, item) for item in (crop.picture, above) if item is not None]
    seen = paste([Piece(p.colours.to(model.device), p.alpha.to(model.device)) for p in pieces])
    _check_visible(seen, crop)
    label = class_tensor(model, find_class(model, source_class)) if source_class else None
    read = read or above is not None or label is not None
    own = None if read else _own_latent(model, context, crop)
    notes: list[str] = []
    if own is None:
        latent, guessed = _read(model, context, seen, label, regressor)
        if guessed:
            name = model.generator.label_of(int(latent.y[0])) if latent.y is not None else ""
            notes.append(
                f"{_called(crop.picture)} was taken for {name!r}; choose what it shows if that is "
                "wrong."
            )
    else:
        latent = own
    made = decode(model.generator, latent)
    return RegressedPicture(
        crop, seen.image, seen.known, latent, made, own is not None, tuple(notes)
    )


def _read(
    model: LoadedModel,
    context: Context,
    seen: Collage,
    label: Tensor | None,
    regressor: MaskedRegressor | None,
) -> tuple[Latent, bool]:
    """The latent, and whether its class was found by reading."""
    generator = model.generator
    network = regressor_of(generator, regressor)
    needed = bool(generator.num_classes) and label is None
    if needed and not network.settings.num_classes and network.settings.latent == "z":
        ranked = guess_class(generator, seen.image, tick=context.tick)
        label = class_tensor(model, ranked[0][0])
    latent = encode(generator, seen.image, seen.known, label, regressor=regressor)
    return latent, needed and latent.y is not None


def _own_latent(model: LoadedModel, context: Context, crop: Crop) -> Latent | None:
    """The latent of a picture that the model made, in the regressor's space; None for others."""
    height, width = crop.picture.array.shape[:2]
    if height != width or crop.side != width:
        return None
    held = Holder(model, context, Projecting()).known(crop)
    if held is None or held.latent.truncation_psi != 1.0:
        return None
    found = held.latent
    if regressor_of(model.generator).settings.latent == "z":
        return None if found.z is None else _moved(Latent(found.z, None, found.y), model)
    styles = found.w_plus
    if styles is None:
        arguments = found.arguments(str(model.device))
        styles = model.generator.encode_latent(**arguments).w_plus
    return _moved(Latent(None, styles.detach().float(), found.y), model)


def _moved(latent: Latent, model: LoadedModel) -> Latent:
    """On the model's device."""
    y = None if latent.y is None else latent.y.to(model.device)
    return replace(latent.replaced(latent.values.to(model.device)), y=y)


def _check_visible(seen: Collage, crop: Crop) -> None:
    if not bool((seen.known > 0).any()):
        raise InvalidRequest(
            f"{_called(crop.picture)} is transparent where it is looked at.",
            value=crop.picture.name,
            remedy="Choose the layer that shows the picture, or an area on visible pixels.",
        )


def _called(picture: Picture) -> str:
    return f"The picture {picture.name!r}" if picture.name else "The picture"
