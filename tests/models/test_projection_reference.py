"""Projection against values of the public Neural Collage code."""

import pytest
import torch
from tests.models.sngan_reference import COLLAGE, Case, collage_generator, largest_difference
from torch import Tensor

from intarsia_models.families.sngan.networks import SNGANAuxiliary
from intarsia_models.projection import project
from intarsia_models.projection.descent import descend
from intarsia_models.projection.distances import DiscriminatorDistance
from intarsia_models.projection.request import RATES

SPACES = [("noaux", "z"), ("aux", "extended")]
LOSSES = 1e-3
GRADIENT = 1e-6
TRAJECTORY = 0.02
"""Adam amplifies rounding where the gradient is near zero."""


class Watched:
    """The reference's projection, with what it goes through written down."""

    def __init__(self, name: str) -> None:
        self.case = Case(COLLAGE)
        self.generator = collage_generator()
        assert self.generator.discriminator is not None and self.generator.encoder is not None
        assert isinstance(self.generator.auxiliary, SNGANAuxiliary)
        self.extended = name == "aux"
        self.auxiliary = self.generator.auxiliary
        self.distance = DiscriminatorDistance(self.generator.discriminator, self.case["enc.x"])
        z = self.generator.encoder(self.case["enc.x"], self.case["enc.y"]).detach()
        self.start = self.auxiliary.extend(z).detach() if self.extended else z
        self.latents: list[Tensor] = []
        self.terms: list[list[float]] = []

    def evaluate(self, variable: Tensor) -> tuple[Tensor, Tensor]:
        self.latents.append(variable.detach().clone())
        z = self.auxiliary.reduce(variable) if self.extended else variable
        picture = self.generator.synthesize(z, self.case["enc.y"])
        cosine, pixels = self.distance.terms(picture)
        loss = self.distance(picture)
        pixel_part = self.distance.pixel_weight * pixels
        self.terms.append([value.item() for value in (cosine, pixel_part, loss)])
        return loss, picture


@pytest.mark.parametrize(("name", "space"), SPACES)
def test_the_first_gradient_is_that_of_the_public_code(name, space):
    watched = Watched(name)
    variable = watched.start.clone().requires_grad_(True)
    loss, _ = watched.evaluate(variable)
    (gradient,) = torch.autograd.grad(loss.sum(), [variable])
    stored = watched.case[f"project.{name}.grad_at_start"]
    assert largest_difference(gradient, stored) < GRADIENT


@pytest.mark.parametrize(("name", "space"), SPACES)
def test_losses_and_trajectory_are_those_of_the_public_code(name, space):
    watched = Watched(name)
    stored = watched.case[f"project.{name}.losses_cos_pixel_total"]
    descend(watched.start, watched.evaluate, steps=len(stored), lr=RATES[space])
    ours = torch.tensor(watched.terms[: len(stored)])
    assert largest_difference(ours, stored) < LOSSES
    trajectory = watched.case[f"project.{name}.trajectory"]
    assert largest_difference(torch.cat(watched.latents), trajectory) < TRAJECTORY


@pytest.mark.parametrize(("name", "space"), SPACES)
def test_project_starts_at_the_encoder_and_takes_the_public_steps(name, space):
    case, generator = Case(COLLAGE), collage_generator()
    stored = case[f"project.{name}.losses_cos_pixel_total"]
    found = project(generator, case["enc.x"], case["enc.y"], steps=len(stored), space=space)
    assert (found.start, found.space, found.distance) == ("encoder", space, "discriminator")
    assert largest_difference(torch.tensor(found.losses[:-1]), stored[:, 2]) < LOSSES
    assert found.loss == min(found.losses)
    again = generator.synthesize(found.z, found.y)
    assert largest_difference(again, found.reconstruction) < 1e-5


def test_the_extended_space_is_taken_where_there_are_auxiliary_networks():
    case, generator = Case(COLLAGE), collage_generator()
    found = project(generator, case["enc.x"], case["enc.y"], steps=0)
    assert found.space == "extended" and found.zeta is not None
    assert largest_difference(found.zeta, case["project.aux.trajectory"][:1]) < 1e-4
