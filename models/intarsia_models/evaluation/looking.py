"""What pictures are looked at with when sets of them are compared.

Inception and VGG where their weights lie on this machine (nothing is ever downloaded), else the
project's own classifier. A figure is only worth something together with the name of what looked.

Sources: Heusel et al. 2017, arXiv:1706.08500, with the network of the original release, whose
average pools leave out the border and whose last block has a maximum pool; Naeem et al. 2020,
arXiv:2002.09797, on the second 4096 of VGG-16 before its ReLU, as in the public code of
arXiv:2103.10426.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from intarsia_models.errors import UnreadableModel
from intarsia_models.evaluation.classifier import Classifier
from intarsia_models.foreign_files import open_foreign

INCEPTION_FILES = (
    "weights-inception-2015-12-05-6726825d.pth",
    "pt_inception-2015-12-05-6726825d.pth",
)
"""As torch-fidelity and pytorch-fid call the same weights; the digits start the SHA-256."""
VGG_FILE = "vgg16-397923af.pth"
BATCH = 32


@dataclass(frozen=True)
class Look:
    """A way to see pictures as numbers."""

    name: str
    """For people, with the number of features."""
    features: Callable[[Tensor], Tensor]
    """(B, 3, R, R) in [-1, 1] to (B, F)."""

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> Tensor:
        """(N, F) float64 of any number of pictures."""
        parts = [self.features(part.clamp(-1, 1)).double() for part in pictures.split(BATCH)]
        return torch.cat(parts)


def best_looks(classifier: Classifier, *, folder: Path | None = None) -> tuple[Look, Look]:
    """What to compute the Fréchet distance and density and coverage with.

    Args:
        classifier: The project's own, for where nothing else is there.
        folder: Where weights may lie; None: torch's cache of downloads.

    Raises:
        UnreadableModel: A file is there and is not what its name says.
    """
    place = Path(torch.hub.get_dir()) / "checkpoints" if folder is None else folder
    own = classifier_look(classifier)
    inception = next((place / name for name in INCEPTION_FILES if (place / name).is_file()), None)
    first = own if inception is None else inception_look(inception)
    second = vgg_look(place / VGG_FILE) if (place / VGG_FILE).is_file() else own
    return first, second


def classifier_look(classifier: Classifier) -> Look:
    """The means over space of the classifier's last features."""
    count = classifier.output.in_features // 2
    return Look(
        f"{count} features of the project's own classifier",
        lambda x: classifier.body(x).mean((2, 3)),
    )


def inception_look(file: Path) -> Look:
    """The 2048 pooled features of the original release's Inception.

    Raises:
        UnreadableModel: The file is damaged or another network.
    """
    tensors = _checked(file, "6726825d")
    network = inception_network()
    own = network.state_dict()
    network.load_state_dict(_fitting(file, tensors, own))
    network.eval().requires_grad_(False)

    def features(x: Tensor) -> Tensor:
        return network(interpolate(x, (299, 299), mode="bilinear", align_corners=False))

    return Look("2048 features of Inception (2015-12-05)", features)


def vgg_look(file: Path) -> Look:
    """The second 4096 of VGG-16, before the ReLU.

    Raises:
        UnreadableModel: The file is damaged or another network.
    """
    from torchvision.models import vgg16

    tensors = _checked(file, "397923af")
    network = vgg16(weights=None)
    network.load_state_dict(_fitting(file, tensors, network.state_dict()))
    network.eval().requires_grad_(False)
    head = network.classifier[:4]
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

    def features(x: Tensor) -> Tensor:
        sized = interpolate(x, (256, 256), mode="bilinear", align_corners=False)
        seen = network.features(((sized + 1) / 2 - mean) / deviation)
        return head(network.avgpool(seen).flatten(1))

    return Look("4096 features of VGG-16", features)


def inception_network() -> nn.Module:
    """torchvision's Inception v3 with the original release's pools and without its last layer."""
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    for name, block in network.named_children():
        if name.startswith("Mixed") and hasattr(block, "branch_pool"):
            _pooled(block, _maximum if name == "Mixed_7c" else _inner_average)
    network.fc = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    network.dropout = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    return network


def _inner_average(x: Tensor) -> Tensor:
    return avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _maximum(x: Tensor) -> Tensor:
    return max_pool2d(x, 3, stride=1, padding=1)


def _pooled(block: Any, pool: Callable[[Tensor], Tensor]) -> None:
    """Let a block's branch of pools use another pool; its other branches stay torchvision's."""
    theirs = block._forward  # the branches' results, that of the pools last

    def forward(x: Tensor) -> list[Tensor]:
        return [*theirs(x)[:-1], block.branch_pool(pool(x))]

    block._forward = forward


def _checked(file: Path, digits: str) -> dict[str, Tensor]:
    read = open_foreign(file)
    if not read.sha256.startswith(digits):
        raise UnreadableModel(f"{file} is damaged: its SHA-256 is {read.sha256}.", "Get it again.")
    return read.tensors


def _fitting(file: Path, tensors: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that the network has; counters may be missing."""
    lacking = [name for name in own if name not in tensors and "num_batches" not in name]
    if lacking:
        raise UnreadableModel(f"{file} is another network: it has no {lacking[0]}.")
    return {name: tensors.get(name, tensor) for name, tensor in own.items()}
