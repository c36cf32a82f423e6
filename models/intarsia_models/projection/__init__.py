"""Projection: from a real picture to the latent whose picture is nearest to it."""

from intarsia_models.projection.calibration import most_likely, project
from intarsia_models.projection.class_guess import guess_class
from intarsia_models.projection.fit import fit_of
from intarsia_models.projection.projection import Projection, Step

__all__ = [
    "Projection",
    "Step",
    "fit_of",
    "guess_class",
    "most_likely",
    "project",
]
