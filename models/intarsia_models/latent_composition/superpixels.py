"""Parts found without labels: superpixels that move together belong together.

Sources: Chai et al. 2021, arXiv:2103.10426, section 4.4 and figure 8c (the variation of single
superpixels); Achanta et al. 2012, "SLIC superpixels", by scikit-image. Grouping them by their
variation maps is ours: average linkage on one minus the correlation of the maps over superpixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from skimage.segmentation import slic
from torch import Tensor

from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.influence import (
    REPLACEMENTS,
    drawn_donors,
    influence_map,
)
from intarsia_models.latent_composition.latents import check_picture, encode
from intarsia_models.latent_composition.regressor import MaskedRegressor
from intarsia_models.projection.projection import Tick


@dataclass(frozen=True, eq=False)
class Discovery:
    """A picture taken apart by what moves together."""

    superpixels: Tensor
    """(R, R) int64 from 0."""
    variations: Tensor
    """(n, 1, R, R): what moves when each superpixel is replaced."""
    parts: Tensor
    """(R, R) int64 from 0, the largest part first."""

    def areas(self) -> list[Tensor]:
        """(1, 1, R, R) in {0, 1} by part."""
        count = int(self.parts.max()) + 1
        return [(self.parts == index).float()[None, None] for index in range(count)]


def superpixel_labels(image: Tensor, count: int = 40, *, compactness: float = 10.0) -> Tensor:
    """(R, R) int64 from 0: connected places of like colour.

    Args:
        image: (1, 3, R, R) in [-1, 1].
        count: About how many.
        compactness: Of SLIC: higher makes squarer ones.

    Raises:
        ValueError: The count is below 1, or it is no picture.
    """
    if count < 1:
        raise ValueError(f"count must be 1 or more, got {count}.")
    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise ValueError(f"image must be (1, 3, R, R), got {tuple(image.shape)}.")
    pixels = ((image[0].clamp(-1, 1) + 1) / 2).permute(1, 2, 0).double().cpu().numpy()
    labels = slic(pixels, n_segments=count, compactness=compactness, start_label=0)
    _, dense = np.unique(labels, return_inverse=True)
    return torch.from_numpy(dense.reshape(labels.shape).astype(np.int64))


def discover_parts(
    generator: Generator,
    image: Tensor,
    *,
    count: int = 40,
    parts: int | None = None,
    threshold: float = 0.5,
    compactness: float = 10.0,
    replacements: int = REPLACEMENTS,
    seed: int = 0,
    donors: Tensor | None = None,
    y: Tensor | None = None,
    regressor: MaskedRegressor | None = None,
    tick: Tick | None = None,
) -> Discovery:
    """Find parts as groups of superpixels whose replacement moves the same places.

    Args:
        generator: With a regressor.
        image: (1, 3, R, R) in [-1, 1].
        count: About how many superpixels.
        parts: How many parts are wanted at most; None: by the threshold.
        threshold: Groups are joined while one minus the correlation of their maps is below it.
        compactness: Of the superpixels.
        replacements: Per superpixel.
        seed: As `influence.influence_map`.
        donors: As there.
        y: As there.
        regressor: As there.
        tick: As there.

    Raises:
        ModelsError: There is no regressor.
        ValueError: A shape or an option does not fit.
    """
    check_picture(generator, image)
    if parts is not None and parts < 1:
        raise ValueError(f"parts must be 1 or more, got {parts}.")
    labels = superpixel_labels(image, count, compactness=compactness)
    number = int(labels.max()) + 1
    with torch.inference_mode():
        if y is None and generator.num_classes:
            y = encode(generator, image, regressor=regressor).y
        if donors is None:
            donors = drawn_donors(generator, replacements, seed, y)
    maps = [
        influence_map(
            generator,
            image,
            (labels == index).to(image)[None, None],
            donors=donors,
            y=y,
            regressor=regressor,
            tick=tick,
        )
        for index in range(number)
    ]
    variations = torch.cat(maps)
    groups = _grouped(_by_superpixel(variations, labels), parts, threshold)
    return Discovery(labels, variations, _by_size(torch.from_numpy(groups)[labels]))


def _by_superpixel(variations: Tensor, labels: Tensor) -> np.ndarray:
    """(n, n): how much superpixel j moves on average when i is replaced."""
    number = len(variations)
    sums = torch.zeros(number, number, dtype=torch.float64)
    flat = labels.flatten()
    sums.index_add_(1, flat, variations.flatten(1).double().cpu())
    return (sums / torch.bincount(flat, minlength=number)).numpy()


def _grouped(table: np.ndarray, parts: int | None, threshold: float) -> np.ndarray:
    """(n,) group of every superpixel, from 0."""
    if len(table) == 1:
        return np.zeros(1, np.int64)
    centred = table - table.mean(1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1)
    moves = norms > 1e-9
    unit = centred / np.where(moves, norms, 1)[:, None]
    distances = 1 - np.clip(unit @ unit.T, -1, 1)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), method="average")
    if parts is None:
        return fcluster(tree, threshold, criterion="distance").astype(np.int64) - 1
    return fcluster(tree, parts, criterion="maxclust").astype(np.int64) - 1


def _by_size(labels: Tensor) -> Tensor:
    """Numbers from 0, the largest area first."""
    order = torch.bincount(labels.flatten()).argsort(descending=True, stable=True)
    numbers = torch.empty_like(order)
    numbers[order] = torch.arange(len(order))
    return numbers[labels]
