"""A refined mosaic that keeps the colours of its collage."""

from __future__ import annotations

import numpy as np
import pytest

from intarsia_models.mosaic import colour_keeping
from intarsia_models.mosaic.colour_keeping import with_colours_of


def _random(height: int, width: int, reach: float, seed: int) -> np.ndarray:
    source = np.random.default_rng(seed)
    return source.uniform(-reach, reach, (3, height, width)).astype(np.float32)


def test_greys_are_those_of_the_picture_and_colours_those_of_the_collage() -> None:
    collage, picture = _random(9, 7, 0.4, 0), _random(9, 7, 0.4, 1)
    made = with_colours_of(collage, picture)
    np.testing.assert_allclose(made.mean(0), picture.mean(0), atol=1e-6)
    np.testing.assert_allclose(made - made.mean(0), collage - collage.mean(0), atol=1e-6)


def test_grey_templates_stay_grey_whatever_the_refinement_paints() -> None:
    grey = np.repeat(_random(8, 8, 1.0, 2)[:1], 3, axis=0)
    made = with_colours_of(grey, _random(8, 8, 1.0, 3))
    assert np.ptp(made, axis=0).max() < 1e-6 and np.abs(made).max() <= 1.0


def test_large_mosaics_are_changed_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    collage, picture = _random(33, 5, 0.9, 4), _random(33, 5, 0.9, 5)
    whole = with_colours_of(collage, picture)
    monkeypatch.setattr(colour_keeping, "ROWS", 8)
    np.testing.assert_array_equal(with_colours_of(collage, picture), whole)


def test_collage_and_picture_have_one_size() -> None:
    with pytest.raises(ValueError, match=r"\(3, 4, 5\) and \(3, 5, 4\)"):
        with_colours_of(_random(4, 5, 1.0, 0), _random(5, 4, 1.0, 0))
