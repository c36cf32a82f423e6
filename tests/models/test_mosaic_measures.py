"""Figures about mosaics, against numbers by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from intarsia_models.mosaic.measures import (
    content_correlation,
    content_distance,
    nearest_patch_distance,
    weight_figures,
)


def test_hard_weights_have_no_entropy_and_soft_ones_all_of_it() -> None:
    hard = np.zeros((4, 10, 10), np.float16)
    hard[0, :5], hard[1, 5:] = 1, 1
    found = weight_figures(hard)
    assert found.entropy == pytest.approx(0.0, abs=1e-5)
    assert found.largest == pytest.approx(0.5)
    assert found.used == pytest.approx(2.0)
    # one border of 10 pixels among 90 pairs: two templates change there
    assert found.variation == pytest.approx(2 * 10 / 90, rel=1e-5)
    soft = weight_figures(np.full((4, 10, 10), 0.25, np.float32))
    assert soft.entropy == pytest.approx(math.log(4), rel=1e-5)
    assert soft.used == pytest.approx(4.0)
    assert soft.variation == 0


def test_content_distance_is_in_grey_levels() -> None:
    content = torch.zeros(1, 3, 20, 20)
    assert content_distance(content, content) == 0
    assert content_distance(content + 10 / 127.5, content) == pytest.approx(10, rel=1e-4)
    colour = content.clone()
    colour[:, 0], colour[:, 2] = 0.3, -0.3  # the same grey
    assert content_distance(colour, content) == pytest.approx(0, abs=1e-4)


def test_content_correlation_is_blind_to_contrast() -> None:
    content = torch.linspace(-1, 1, 30).expand(1, 3, 30, 30)
    assert content_correlation(content * 0.1 + 0.4, content) == pytest.approx(1, abs=1e-4)
    assert content_correlation(-content, content) == pytest.approx(-1, abs=1e-4)
    assert content_correlation(torch.zeros_like(content), content) == 0


def test_copied_patches_are_found_wherever_they_are() -> None:
    source = torch.Generator().manual_seed(0)
    templates = [torch.rand(3, 40, 30 + 5 * n, generator=source) * 2 - 1 for n in range(3)]
    mosaic = torch.cat([templates[1][:, 7:27], templates[1][:, 11:31].flip(-1)], 1)[None]
    copied = nearest_patch_distance(mosaic[:, :, :20], templates, patch=8, queries=30)
    mirrored = nearest_patch_distance(mosaic[:, :, 20:], templates, patch=8, queries=30)
    assert max(copied, mirrored) < 0.5
    other = torch.rand(1, 3, 40, 40, generator=source) * 2 - 1
    assert nearest_patch_distance(other, templates, patch=8, queries=30) > 40


def test_the_nearest_patch_is_that_of_a_plain_search() -> None:
    source = torch.Generator().manual_seed(1)
    template = torch.rand(3, 9, 10, generator=source) * 2 - 1
    picture = torch.rand(1, 3, 4, 4, generator=source) * 2 - 1
    places = [
        seen[:, y : y + 4, x : x + 4]
        for seen in (template, template.flip(-1))
        for y in range(6)
        for x in range(7)
    ]
    by_hand = min(float((place - picture[0]).square().mean().sqrt()) for place in places)
    found = nearest_patch_distance(picture, [template], patch=4, queries=2)
    assert found == pytest.approx(by_hand * 127.5, rel=1e-4)
    with pytest.raises(ValueError, match="at least as large as a patch"):
        nearest_patch_distance(picture, [template], patch=5)
