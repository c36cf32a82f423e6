"""From a picture, or what is known of it, to a latent in one pass, and back.

Source: Chai et al. 2021, arXiv:2103.10426 (latent composition), eq. 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intarsia_models.errors import ModelsError
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.regressor import MaskedRegressor, Reading


@dataclass(frozen=True, eq=False)
class Latent:
    """What a generator makes a picture of: z, or styles, and a class where there are classes."""

    z: Tensor | None
    """(B, z_dim); None where there are styles."""
    w_plus: Tensor | None
    """(B, layers, w_dim); None where there is z."""
    y: Tensor | None = None
    """(B,) class ids or (B, K) rows summing to 1; None without classes."""
    one_length: bool = False
    """All latents of the regressor that it comes from have one length; so should what is made of
    several."""

    def __post_init__(self) -> None:
        if (self.z is None) == (self.w_plus is None):
            raise ValueError("A latent holds either z or w_plus.")

    @property
    def values(self) -> Tensor:
        """z, or the styles."""
        if self.z is not None:
            return self.z
        assert self.w_plus is not None
        return self.w_plus

    @property
    def batch(self) -> int:
        """For how many pictures."""
        return self.values.shape[0]

    def replaced(self, values: Tensor, y: Tensor | None = None) -> Latent:
        """Other values in the same space.

        Args:
            values: Of the shape of z or of the styles; the batch may differ from a label's of 1.
            y: Another label; None keeps this one.
        """
        changed = replace(self, z=values) if self.z is not None else replace(self, w_plus=values)
        return changed if y is None else replace(changed, y=y)

    def rows(self, chosen: slice) -> Latent:
        """Some of the batch."""
        y = None if self.y is None else self.y[chosen]
        return self.replaced(self.values[chosen], y)

    def detached(self) -> Latent:
        """Copies that a later descent can take gradients from, whatever made these."""
        y = None if self.y is None else self.y.detach().clone()
        return self.replaced(self.values.detach().clone(), y)


def regressor_of(generator: Generator, regressor: MaskedRegressor | None = None) -> MaskedRegressor:
    """The given regressor, else the generator's own.

    Raises:
        ModelsError: There is neither.
    """
    found = generator.regressor if regressor is None else regressor
    if found is None:
        raise ModelsError(
            f"This {generator.family} has no regressor, the network that reads a collage.",
            'Train one ("intarsia train regressor") or import one with the model.',
        )
    return found


def read(
    generator: Generator,
    x: Tensor,
    known: Tensor | None = None,
    *,
    regressor: MaskedRegressor | None = None,
) -> Reading:
    """One pass of the regressor, at the generator's precision.

    Args:
        generator: The one the regressor was trained for.
        x: (B, 3, R, R) in [-1, 1], R the generator's resolution; what is unknown may hold anything.
        known: (B, 1, R, R) or (1, 1, R, R) in [0, 1], 1 = known; None: everything is.
        regressor: An adapted one; None: the generator's own.

    Raises:
        ModelsError: There is no regressor.
        ValueError: A shape or a range does not fit.
    """
    network = regressor_of(generator, regressor)
    check_picture(generator, x)
    half = generator.half_precision and x.is_cuda
    with torch.autocast(x.device.type, dtype=torch.float16, enabled=half):
        return network.read(x, known)


def encode(
    generator: Generator,
    x: Tensor,
    known: Tensor | None = None,
    y: Tensor | None = None,
    *,
    regressor: MaskedRegressor | None = None,
) -> Latent:
    """E(x, known): the latent of pictures or collages, in one pass.

    Gradients flow unless the caller forbids them.

    Args:
        generator: The one the regressor was trained for.
        x: As `read`.
        known: As `read`.
        y: (B,) class ids or (B, K) rows; None: the likeliest class as the generator's own regressor
            reads it, since one that was adapted to a picture may have forgotten classes.
        regressor: An adapted one; None: the generator's own.

    Raises:
        ModelsError: There is no regressor.
        ValueError: A shape or a range does not fit, or the class is needed: neither given nor read.
    """
    reading = read(generator, x, known, regressor=regressor)
    network = regressor_of(generator, regressor)
    values = reading.latent.float()
    if generator.num_classes and y is None:
        adapted = regressor is not None and generator.regressor is not None
        y = likeliest(read(generator, x, known) if adapted else reading)
        if y is None and network.settings.latent != "w_plus":
            raise ValueError(
                f"y is needed, a class from 0 to {generator.num_classes - 1}: "
                "this regressor reads none."
            )
    if network.settings.latent == "w_plus":
        return Latent(None, values, y)
    return Latent(values, None, y, network.settings.typical_length)


def likeliest(reading: Reading) -> Tensor | None:
    """(B,): the classes that a reading thinks of first; None where it reads none."""
    logits = reading.class_logits
    return None if logits is None else logits.detach().argmax(1)


def decode(
    generator: Generator, latent: Latent, *, class_weights: Tensor | ClassMaps | None = None
) -> Tensor:
    """G(latent).

    Args:
        generator: Its latents are of this kind.
        latent: Of `encode`, or made from such.
        class_weights: Which class rules where; see `Generator.synthesize`.

    Returns:
        (B, 3, R, R).
    """
    y = latent.y
    if y is not None and y.shape[0] != latent.batch:
        y = y.expand(latent.batch, *y.shape[1:])
    return generator.synthesize(latent.z, y, w_plus=latent.w_plus, class_weights=class_weights)


def at_length(values: Tensor, wanted: Tensor) -> Tensor:
    """Latents (B, n) scaled to lengths (B,), for regressors whose latents all have one.

    Sums and mixtures of latents are shorter or longer than random ones, which a ProGAN does not
    see, as it norms them itself; other generators make worse pictures of them.
    """
    return values * (wanted / lengths(values).clamp_min(1e-8)).view(-1, *(1,) * (values.ndim - 1))


def lengths(values: Tensor) -> Tensor:
    """(B,) of latents."""
    return values.flatten(1).norm(dim=1)


def label_rows(y: Tensor, num_classes: int) -> Tensor:
    """(B, K) rows of ids or rows, for mixing."""
    if y.is_floating_point():
        return y
    return torch.nn.functional.one_hot(y, num_classes).float()


def check_picture(generator: Generator, x: Tensor) -> None:
    """(B, 3, R, R) in floats.

    Raises:
        ValueError: Otherwise.
    """
    side = generator.resolution
    if x.ndim != 4 or tuple(x.shape[1:]) != (3, side, side) or not x.is_floating_point():
        raise ValueError(
            f"Pictures must be (B, 3, {side}, {side}) floats in [-1, 1], "
            f"got {tuple(x.shape)} {x.dtype}."
        )


def check_area(area: Tensor, x: Tensor) -> None:
    """(B, 1, R, R) or (1, 1, R, R) in [0, 1] beside pictures (B, 3, R, R).

    Raises:
        ValueError: Otherwise.
    """
    wanted = (x.shape[0], 1, *x.shape[2:])
    if tuple(area.shape) not in (wanted, (1, *wanted[1:])):
        raise ValueError(f"Areas must be {wanted}, got {tuple(area.shape)}.")
    if not bool(((area >= 0) & (area <= 1)).all()):  # also refuses nan
        raise ValueError("Areas must lie in [0, 1].")
