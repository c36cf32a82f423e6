"""StyleGAN2, with and without classes, from NVIDIA's and rosinality's files.

Source: Karras et al. 2020, arXiv:1912.04958 and arXiv:2006.06676.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from intarsia_models.families.stylegan2 import nvidia_files, rosinality_files
from intarsia_models.families.stylegan2.generator import StyleGAN2Generator
from intarsia_models.families.stylegan2.settings import GeneratorSettings
from intarsia_models.foreign_files import ForeignFile
from intarsia_models.foreign_files.tensor_group import readable
from intarsia_models.generators.families import Converted, Family

_READERS = (nvidia_files, rosinality_files)


def recognises(file: ForeignFile) -> bool:
    """Whether it holds a StyleGAN2 generator in one of the layouts."""
    return any(reader.recognises(file) for reader in _READERS)


def read(file: ForeignFile) -> Converted:
    """The generator, and the discriminator where the file has one.

    Raises:
        UnreadableModel: Something is missing or of an unknown kind.
    """
    with readable(file):
        return next(reader for reader in _READERS if reader.recognises(file)).read(file)


def build(settings: dict[str, Any], tensors: Mapping[str, Tensor]) -> StyleGAN2Generator:
    """A generator from our own form.

    Args:
        settings: `StyleGAN2Generator.settings`.
        tensors: By our names, ``generator.…`` and ``discriminator.…``.

    Raises:
        RuntimeError: A tensor is missing, unknown or of another shape.
    """
    with torch.device("meta"):  # nothing is allocated for sizes that no tensor has
        generator = StyleGAN2Generator(GeneratorSettings.from_dict(settings))
    own = {name.removeprefix("generator."): tensor for name, tensor in tensors.items()}
    generator.load_state_dict(own, strict=True, assign=True)
    return generator.eval()


FAMILY = Family(
    name=StyleGAN2Generator.family,
    paper="Karras et al. 2020, arXiv:1912.04958",
    formats=(
        "StyleGAN2-ADA network snapshots of NVIDIA (.pkl)",
        "StyleGAN2 of rosinality/stylegan2-pytorch (.pt)",
    ),
    recognises=recognises,
    read=read,
    build=build,
    read_companion=rosinality_files.read_companion,
)
