"""StyleGAN (the first), from rosinality's files.

Source: Karras et al. 2019, arXiv:1812.04948.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from intarsia_models.families.stylegan1 import rosinality_files
from intarsia_models.families.stylegan1.generator import StyleGAN1Generator, StyleGAN1Settings
from intarsia_models.foreign_files import ForeignFile
from intarsia_models.foreign_files.tensor_group import readable
from intarsia_models.generators.families import Converted, Family


def read(file: ForeignFile) -> Converted:
    """The running average of the generator where there is one.

    Raises:
        UnreadableModel: A tensor is missing or does not fit.
    """
    with readable(file):
        return rosinality_files.read(file)


def build(settings: dict[str, Any], tensors: Mapping[str, Tensor]) -> StyleGAN1Generator:
    """A generator from our own form.

    Args:
        settings: `StyleGAN1Generator.settings`; with fewer blocks than there are tensors, the
            network as it was when only those had grown.
        tensors: By our names, ``generator.…``.

    Raises:
        RuntimeError: A tensor is missing or of another shape.
    """
    with torch.device("meta"):  # nothing is allocated for sizes that no tensor has
        generator = StyleGAN1Generator(StyleGAN1Settings.from_dict(settings))
    own = {name.removeprefix("generator."): tensor for name, tensor in tensors.items()}
    own = {name: own[name] for name in generator.state_dict() if name in own}
    generator.load_state_dict(own, strict=True, assign=True)
    return generator.eval()


FAMILY = Family(
    name=StyleGAN1Generator.family,
    paper="Karras et al. 2019, arXiv:1812.04948",
    formats=("StyleGAN of rosinality/style-based-gan-pytorch (.model)",),
    recognises=rosinality_files.recognises,
    read=read,
    build=build,
)
