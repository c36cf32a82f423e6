"""Reference values of the public SNGAN-projection and Neural Collage code, if they are at hand."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import reference_data
from torch import Tensor

from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import load_generator

COLLAGE = "02_collage_chainer_sngan"
CIFAR = "05_sngan_projection_chainer/cifar32_conditional"
IMAGENET = "05_sngan_projection_chainer/imagenet128"


def folder(case: str) -> Path:
    """The folder of a case; skips the test where there is none."""
    root = reference_data()
    found = None if root is None else root / "golden" / case
    if found is None or not found.is_dir():
        pytest.skip("the reference values of the public SNGAN-projection code are not here")
    return found


@functools.cache
def _arrays(place: Path) -> dict[str, np.ndarray]:
    with np.load(place / "io.npz") as stored:
        return {name: stored[name] for name in stored}


class Case:
    """One folder's arrays as tensors."""

    def __init__(self, case: str) -> None:
        self.folder = folder(case)
        self.arrays = _arrays(self.folder)

    def __getitem__(self, name: str) -> Tensor:
        """Floats as float32, whole numbers as int64."""
        tensor = torch.from_numpy(self.arrays[name])
        return tensor.float() if tensor.is_floating_point() else tensor.long()

    def maps(self, name: str) -> Tensor:
        """(B, H, W, K) arrays as (B, K, H, W)."""
        return self[name].permute(0, 3, 1, 2).contiguous()

    def meta(self) -> Any:
        """What the case says of itself."""
        return json.loads(str(self.arrays.get("meta.json", self.arrays.get("meta_json"))))

    def file(self, start: str) -> Path:
        """The one file whose name starts so."""
        (found,) = self.folder.glob(f"{start}*.npz")
        return found


@functools.cache
def collage_generator() -> Generator:
    """The generator of the Neural Collage case with everything that belongs to it."""
    case = Case(COLLAGE)
    return load_generator(
        case.file("ResNetGenerator"),
        discriminator=case.file("SNResNetProjectionDiscriminator"),
        encoder=case.file("ResNetEncoder"),
        auxiliary=case.file("ResNetAuxABGenerator"),
    )


def largest_difference(one: Tensor, other: Tensor) -> float:
    """Over all elements; the shapes must be equal."""
    assert one.shape == other.shape
    return float((one - other).abs().max())
