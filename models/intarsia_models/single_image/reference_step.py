"""The training step written plainly with automatic differentiation.

It is the definition that the closed form (`critic`) is held against, and the step for activations
that are not piecewise linear with a fixed slope.
"""

import torch
from torch import Tensor

from intarsia_models.single_image.critic import CriticLosses, Tick
from intarsia_models.single_image.networks import Discriminator


def critic_gradients(
    discriminator: Discriminator,
    real: Tensor,
    fake: Tensor,
    epsilon: Tensor,
    *,
    penalty_weight: float,
    tick: Tick,
) -> CriticLosses:
    """As `critic.critic_gradients`, for any activation."""
    discriminator.zero_grad()
    tick()
    real_score = discriminator(real).mean()
    fake_score = discriminator(fake.detach()).mean()
    tick()
    between = (epsilon * real + (1 - epsilon) * fake.detach()).to(real.dtype).requires_grad_()
    scores = discriminator(between).sum()
    (gradient,) = torch.autograd.grad(scores, between, create_graph=True)
    penalty = penalty_weight * (gradient.norm(2, dim=1) - 1).square().mean()
    tick()
    (fake_score - real_score + penalty).backward()
    return CriticLosses(real_score.detach(), fake_score.detach(), penalty.detach())


def score_gradient(
    discriminator: Discriminator, picture: Tensor, *, tick: Tick
) -> tuple[Tensor, Tensor]:
    """As `critic.score_gradient`, for any activation."""
    tick()
    leaf = picture.detach().requires_grad_()
    score = discriminator(leaf).mean()
    (gradient,) = torch.autograd.grad(score, leaf)
    return score.detach(), gradient
