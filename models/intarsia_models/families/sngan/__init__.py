"""SNGAN-projection: generator, discriminator, encoder and auxiliary networks.

Sources: Miyato & Koyama 2018, arXiv:1802.05637; Suzuki et al. 2018, arXiv:1811.10153.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from intarsia_models.families.sngan.chainer_files import read, read_companion, recognises
from intarsia_models.families.sngan.networks import (
    AuxiliarySettings,
    DiscriminatorSettings,
    EncoderSettings,
    GeneratorSettings,
    SNGANAuxiliary,
    SNGANDiscriminator,
    SNGANEncoder,
    SNGANGenerator,
)
from intarsia_models.generators.families import ROLES, Family


def build(settings: dict[str, Any], tensors: Mapping[str, Tensor]) -> SNGANGenerator:
    """A generator with all networks that its settings name, from our own form.

    Args:
        settings: `SNGANGenerator.settings`.
        tensors: By our names, ``generator.…``, ``discriminator.…``, ….

    Raises:
        RuntimeError: A tensor is missing, unknown or of another shape.
    """
    sizes = {key: value for key, value in settings.items() if key not in ROLES}
    with torch.device("meta"):  # nothing is allocated for sizes that no tensor has
        generator = SNGANGenerator(GeneratorSettings(**_tuples(sizes)), seed=None)
        if "discriminator" in settings:
            chosen = DiscriminatorSettings(**_tuples(settings["discriminator"]))
            generator.discriminator = SNGANDiscriminator(chosen, seed=None)
        if "encoder" in settings:
            encoder = EncoderSettings(**_tuples(settings["encoder"]))
            generator.encoder = SNGANEncoder(encoder, seed=None)
        if "auxiliary" in settings:
            auxiliary = AuxiliarySettings(**settings["auxiliary"])
            generator.auxiliary = SNGANAuxiliary(auxiliary, seed=None)
    own = {name.removeprefix("generator."): tensor for name, tensor in tensors.items()}
    generator.load_state_dict(own, strict=True, assign=True)
    return generator.eval()


def _tuples(sizes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in sizes.items()}


FAMILY = Family(
    name=SNGANGenerator.family,
    paper="Miyato & Koyama 2018, arXiv:1802.05637",
    formats=("SNGAN-projection and Neural Collage generators of Chainer (.npz)",),
    recognises=recognises,
    read=read,
    build=build,
    read_companion=read_companion,
)
