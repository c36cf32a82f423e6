"""From areas on a picture to the class maps of a generator.

Source: the public demo of Suzuki et al. 2018 (arXiv:1811.10153) softens every class's area with a
Gaussian and gives the picture's own class what the others leave. Deviation: the softness is counted
in the picture's pixels, so that the crop's size does not change it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.generator_models import LoadedModel, find_class
from intarsia_daemon.pixels import Area, Picture
from intarsia_daemon.real_pictures import Crop, coverage_on
from intarsia_models.generators.class_maps import ClassMaps


def named_areas(areas: Sequence[Area], classes: Mapping[str, str]) -> list[tuple[Area, str]]:
    """Every area with the class that its name is bound to.

    Args:
        areas: Named by colour labels, or otherwise; names may repeat.
        classes: Class by area's name, in any case.

    Raises:
        InvalidRequest: A name in ``classes`` belongs to no area.
    """
    bound = {name.casefold(): wanted for name, wanted in classes.items()}
    found = [(area, bound[key]) for area in areas if (key := area.name.casefold()) in bound]
    there = {area.name.casefold() for area in areas}
    for name in classes:
        if name.casefold() not in there:
            names = ", ".join(dict.fromkeys(area.name for area in areas)) or "none"
            raise InvalidRequest(
                f"The class {classes[name]!r} is for the area {name!r}, which is not there.",
                value=name,
                remedy=f"Areas that are there: {names}. Give a layer or area that name, or leave "
                "it out.",
            )
    return found


def coverages_by_class(
    model: LoadedModel, picture: Picture, areas: Sequence[tuple[Area, str]]
) -> dict[int, np.ndarray]:
    """Class id to (H, W) float32 coverage on the picture; areas of one class are united.

    Raises:
        InvalidRequest: The model has no such class, or an area covers nothing.
    """
    found: dict[int, np.ndarray] = {}
    for area, wanted in areas:
        index, coverage = find_class(model, wanted), coverage_on(picture, area)
        found[index] = np.maximum(found[index], coverage) if index in found else coverage
    return found


def softened(crop: Crop, coverage: np.ndarray | None, softness: float) -> Tensor:
    """(1, 1, R, R) in [0, 1]: an area as the model gets it.

    Args:
        crop: What the model sees.
        coverage: (H, W) on the picture's rectangle; None: everywhere.
        softness: Standard deviation in pixels of the picture.
    """
    size = crop.resolution
    if coverage is None:
        return torch.ones(1, 1, size, size)
    small = crop.small_coverage(coverage)
    sigma = softness * size / crop.side
    if sigma <= 0:
        return small
    soft = ndimage.gaussian_filter(small[0, 0].numpy(), sigma, mode="nearest", truncate=4.0)
    return torch.from_numpy(soft)[None, None].clamp(0, 1)


def class_maps(
    crop: Crop, coverages: Mapping[int, np.ndarray | None], base: int, softness: float
) -> ClassMaps:
    """The maps of an edit; arguments as `softened`, by class id."""
    areas = {index: softened(crop, area, softness) for index, area in coverages.items()}
    return ClassMaps.from_areas(areas, base)


def united(coverages: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """All areas together; None (everywhere) if one of them is everywhere."""
    whole: np.ndarray | None = None
    for coverage in coverages:
        if coverage is None:
            return None
        whole = coverage if whole is None else np.maximum(whole, coverage)
    return whole
