"""What else of a picture moves when one part of it changes, and how independent parts are.

Source: Chai et al. 2021, arXiv:2103.10426, section 4.4: a part is replaced by that of N other
pictures, and the standard deviation of the model's pictures is taken at every position. The public
code does not have it. Deviations: donors are drawn from the generator or given; the deviation is
averaged over the channels before parts are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.latents import check_area, check_picture, decode, encode
from intarsia_models.latent_composition.regressor import MaskedRegressor
from intarsia_models.projection.projection import Tick

REPLACEMENTS = 20
"""N, as in the paper."""
BATCH = 10


@dataclass(frozen=True, eq=False)
class Independence:
    """How parts of one picture move each other."""

    variations: dict[str, Tensor]
    """sigma_c by part, (1, 1, R, R): the deviation when that part is replaced; 0: it stays."""
    shares: dict[str, Tensor]
    """v_c by part, (1, 1, R, R) in [0, 1]: of all parts' deviations at a place, that of this part;
    they sum to 1 wherever anything moves."""
    scores: dict[str, float]
    """s_c by part: how much it moves outside of itself, the mean of (1 - m_c) v_c; lower means more
    independent."""

    @property
    def mean_score(self) -> float:
        """Over the parts."""
        return sum(self.scores.values()) / len(self.scores)


@torch.inference_mode()
def influence_map(
    generator: Generator,
    image: Tensor,
    area: Tensor,
    *,
    replacements: int = REPLACEMENTS,
    seed: int = 0,
    donors: Tensor | None = None,
    y: Tensor | None = None,
    regressor: MaskedRegressor | None = None,
    tick: Tick | None = None,
) -> Tensor:
    """Where the picture moves when an area of it changes.

    Args:
        generator: With a regressor.
        image: (1, 3, R, R) in [-1, 1].
        area: (1, 1, R, R) in [0, 1], 1 where it is replaced.
        replacements: How many other pictures' pixels are put there.
        seed: Of the latents of those pictures.
        donors: (N, 3, R, R): take the pixels from these instead.
        y: (1,) or (1, K): the picture's class, kept for all; None: as read from the picture.
        regressor: An adapted one; None: the generator's own.
        tick: Called between batches; may raise to cancel.

    Returns:
        (1, 1, R, R): the standard deviation over the replacements, mean of the channels, in units
        of the model's range [-1, 1]; exactly 0 where nothing moves.

    Raises:
        ModelsError: There is no regressor.
        ValueError: A shape or a range does not fit.
    """
    check_picture(generator, image)
    check_area(area, image)
    label = _label(generator, image, y, regressor)
    if donors is None:
        donors = drawn_donors(generator, replacements, seed, label)
    check_picture(generator, donors)
    mean, spread, count = torch.zeros_like(image), torch.zeros_like(image), 0
    for part in donors.split(BATCH):
        if tick is not None:
            tick()
        pasted = image + area * (part - image)
        given = None if label is None else label.expand(len(part), *label.shape[1:])
        made = decode(generator, encode(generator, pasted, None, given, regressor=regressor))
        for row in made.split(1):  # Welford 1962: exact 0 where all are alike
            count += 1
            change = row - mean
            mean = mean + change / count
            spread = spread + change * (row - mean)
    return (spread / max(count, 1)).clamp_min(0).sqrt().mean(1, keepdim=True)


def independence(
    generator: Generator,
    image: Tensor,
    parts: Mapping[str, Tensor],
    *,
    replacements: int = REPLACEMENTS,
    seed: int = 0,
    donors: Tensor | None = None,
    y: Tensor | None = None,
    regressor: MaskedRegressor | None = None,
    tick: Tick | None = None,
) -> Independence:
    """How much each part of a picture moves the others.

    The same donors are used for all parts. The paper's table is the mean of the scores over 100
    pictures.

    Args:
        generator: As `influence_map`.
        image: As `influence_map`.
        parts: Areas by name, (1, 1, R, R) each in [0, 1]; at least two.
        replacements: As `influence_map`.
        seed: As `influence_map`.
        donors: As `influence_map`.
        y: As `influence_map`.
        regressor: As `influence_map`.
        tick: As `influence_map`.

    Raises:
        ModelsError: There is no regressor.
        ValueError: There are fewer than two parts, or a shape or a range does not fit.
    """
    if len(parts) < 2:
        raise ValueError(f"Parts are compared with each other: give two or more, got {len(parts)}.")
    with torch.inference_mode():
        label = _label(generator, image, y, regressor)
        if donors is None:
            donors = drawn_donors(generator, replacements, seed, label)
    variations = {
        name: influence_map(
            generator, image, area, donors=donors, y=label, regressor=regressor, tick=tick
        )
        for name, area in parts.items()
    }
    shares = shares_of(variations)
    scores = {name: float(((1 - parts[name]) * shares[name]).mean()) for name in parts}
    return Independence(variations, shares, scores)


def shares_of(variations: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """v_c of sigma_c: each part's deviation over that of all, 0 where nothing moves."""
    total = torch.stack(list(variations.values())).sum(0)
    moves = total > 0
    safe = torch.where(moves, total, torch.ones_like(total))
    return {name: torch.where(moves, part / safe, 0.0) for name, part in variations.items()}


@torch.inference_mode()
def drawn_donors(generator: Generator, count: int, seed: int, y: Tensor | None) -> Tensor:
    """(count, 3, R, R): the generator's own pictures of a class."""
    if count < 2:
        raise ValueError(f"A deviation needs at least 2 replacements, got {count}.")
    made = []
    for z in generator.sample_z(count, seed).split(BATCH):
        label = None if y is None else y.expand(len(z), *y.shape[1:])
        made.append(generator.synthesize(z, label).clamp(-1, 1))
    return torch.cat(made)


def _label(
    generator: Generator, image: Tensor, y: Tensor | None, regressor: MaskedRegressor | None
) -> Tensor | None:
    if y is not None or not generator.num_classes:
        return y
    return encode(generator, image, regressor=regressor).y
