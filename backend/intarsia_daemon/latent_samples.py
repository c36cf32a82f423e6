"""The random latents of a seed."""

from __future__ import annotations

import torch

from intarsia_daemon.generator_models import LoadedModel
from intarsia_daemon.latent_store import Latent

MOST = 16
"""Pictures of one seed."""
WIDEST = 2.5
"""Where z is cut off at full variety times this; as in the public demo of Neural Collage."""


def sampled(
    model: LoadedModel, seed: int, wanted: int | None, truncation: float = 1.0
) -> list[Latent]:
    """The `MOST` latents of a seed, so that each is the same however many are used.

    Args:
        model: Loaded.
        seed: Of latents and of classes.
        wanted: The class; None: any, drawn by the seed.
        truncation: Variety, in [0, 1].
    """
    generator = model.generator
    by_psi = "truncation" in generator.capabilities
    bound = None if by_psi or truncation >= 1 else max(WIDEST * truncation, 1e-3)
    if bound is not None and bound < 0.1:  # as good as one value: drawing again would take long
        z = generator.sample_z(MOST, seed).clamp(-bound, bound)
    else:
        z = generator.sample_z(MOST, seed, truncation=bound)
    classes: list[int | None] = [wanted] * MOST
    if wanted is None and generator.num_classes:
        drawn = torch.Generator().manual_seed(seed)
        classes = list(torch.randint(generator.num_classes, (MOST,), generator=drawn).tolist())
    return [
        Latent(
            z[index : index + 1].cpu(),
            None if class_id is None else torch.tensor([class_id]),
            truncation_psi=truncation if by_psi else 1.0,
            generated=True,
        )
        for index, class_id in enumerate(classes)
    ]
