"""Checks of what a generator is given: latents, labels and names of layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from intarsia_models.generators.generator import Generator
    from intarsia_models.latent_composition.regressor import MaskedRegressor


def check_latent(generator: Generator, z: Tensor | None, w_plus: Tensor | None) -> None:
    """Exactly one of z (B, z_dim) and w_plus, and the latter only where there are styles.

    Raises:
        ValueError: Otherwise.
    """
    if (z is None) == (w_plus is None):
        raise ValueError("Give either z or w_plus.")
    if w_plus is not None and "w_plus" not in generator.capabilities:
        raise ValueError(f"{generator.family} has no styles: give z, not w_plus.")
    if z is not None and (z.ndim != 2 or z.shape[1] != generator.z_dim):
        raise ValueError(f"z must be (B, {generator.z_dim}), got {tuple(z.shape)}.")


def check_label(generator: Generator, y: Tensor | None, *, with_styles: bool) -> None:
    """Class ids (B,) or rows (B, K) where there are classes, None elsewhere.

    Args:
        generator: Says how many classes there are.
        y: The label.
        with_styles: Styles hold the class already; a label is not needed then.

    Raises:
        ValueError: Otherwise.
    """
    count = generator.num_classes
    if count == 0:
        if y is not None:
            raise ValueError(f"This {generator.family} has no classes, yet y was given.")
    elif y is None:
        if not with_styles:
            raise ValueError(f"y is needed: a class from 0 to {count - 1}.")
    elif y.is_floating_point():
        if y.ndim != 2 or y.shape[1] != count:
            raise ValueError(f"y must be (B, {count}) rows, got {tuple(y.shape)}.")
    elif y.ndim != 1 or bool(((y < 0) | (y >= count)).any()):
        raise ValueError(f"y must be (B,) classes from 0 to {count - 1}, got {y.tolist()}.")


def check_regressor(generator: Generator, regressor: MaskedRegressor) -> None:
    """It finds latents that the generator takes, and tells its classes apart or none.

    Raises:
        ValueError: Otherwise.
    """
    found = regressor.settings
    if found.latent == "w_plus":
        if "w_plus" not in generator.capabilities:
            raise ValueError(f"{generator.family} has no styles, yet the regressor finds w_plus.")
        wanted = tuple(generator.style_shape())
    else:
        wanted = (1, generator.z_dim)
    if (found.vectors, found.dims) != wanted:
        raise ValueError(
            f"The regressor finds {found.vectors} x {found.dims} numbers, the generator takes "
            f"{wanted[0]} x {wanted[1]}."
        )
    if found.num_classes not in (0, generator.num_classes):
        raise ValueError(
            f"The regressor tells {found.num_classes} classes apart, the generator has "
            f"{generator.num_classes}."
        )


def check_names(names: Iterable[str], known: set[str], what: str) -> None:
    """Every name is known.

    Raises:
        ValueError: One is not; the message lists those there are.
    """
    for name in names:
        if name not in known:
            raise ValueError(f"There is no {what} {name!r}; there are: {sorted(known)}.")
