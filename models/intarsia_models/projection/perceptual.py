"""LPIPS, the learned perceptual distance, with backbones from files that are already there.

The heads come with the ``lpips`` package; the backbones (networks trained on ImageNet) do not, and
nothing is ever downloaded here: they are read from a named file or from torch's own cache of
downloads, as data.

Source: Zhang et al. 2018, arXiv:1801.03924, eq. 1 (version 0.1 of the weights).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lpips
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import open_foreign
from intarsia_models.generators.generator import Generator
from intarsia_models.projection.distances import (
    PIXEL_WEIGHT,
    Distance,
    distance_to,
    squared_difference,
)

Net = Literal["vgg", "alex", "squeeze"]
LARGEST_SIDE = 256
"""Pictures are averaged down to this before they are compared, as the backbones see objects of that
scale (Karras et al. 2020, arXiv:1912.04958, appendix D)."""
SMALLEST_SIDE = 64
"""Pictures are enlarged to this, as the backbones halve the size several times."""


@dataclass(frozen=True)
class Backbone:
    """A network of torchvision that LPIPS can look with."""

    net: Net
    file: str
    """As torch calls its download; the digits start the file's SHA-256."""

    @property
    def address(self) -> str:
        """Where it can be downloaded by hand."""
        return f"https://download.pytorch.org/models/{self.file}"


BACKBONES = (
    Backbone("vgg", "vgg16-397923af.pth"),
    Backbone("alex", "alexnet-owt-7be5be79.pth"),
    Backbone("squeeze", "squeezenet1_1-b8a52dc0.pth"),
)
"""The best for projections first."""


class PerceptualMetric(nn.Module):
    """LPIPS between pictures, or between one picture and many with its features kept.

    Args:
        net: Which backbone.
        backbone: Its tensors by torchvision's names (``features.0.weight``, …).
        heads: Weights of the layers by the package's names (``lin0.model.1.weight``, …); None:
            those of the package.

    Raises:
        UnreadableModel: The tensors are not those of the backbone.
    """

    def __init__(
        self, net: Net, backbone: dict[str, Tensor], heads: dict[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.net: Net = net
        self.network = _network(net, backbone, _package_heads(net) if heads is None else heads)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Features of every layer with unit length per position, (B, C, h, w) each.

        Args:
            pictures: (B, 3, H, W) in [-1, 1].
        """
        seen = self.network.net(self.network.scaling_layer(pictures))
        return [lpips.normalize_tensor(part) for part in seen]

    def between(self, features: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """(B,) distances of pictures from their features; 0 for the same picture."""
        return sum(self.by_layer(features, others), torch.zeros(()).to(features[0]))

    def by_layer(self, features: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
        """(B,) of every layer; `between` is their sum."""
        pairs = zip(self.network.lins, features, others, strict=True)
        return [head((a - b).square()).mean((1, 2, 3)) for head, a, b in pairs]

    def forward(self, pictures: Tensor, others: Tensor) -> Tensor:
        """(B,) distances of pictures, each (B, 3, H, W) in [-1, 1]."""
        return self.between(self.features(pictures), self.features(others))


class PerceptualDistance(Distance):
    """LPIPS + pixel_weight * MSE; 0 for the same picture, about 1 for unrelated ones."""

    name = "perceptual"

    def __init__(
        self, metric: PerceptualMetric, target: Tensor, pixel_weight: float = PIXEL_WEIGHT
    ) -> None:
        self.metric = metric
        self.target = target
        self.pixel_weight = pixel_weight
        with torch.no_grad():
            self.features = metric.features(_sized(target))

    def __call__(self, generated: Tensor) -> Tensor:
        """See `Distance`."""
        distance = self.metric.between(self.metric.features(_sized(generated)), self.features)
        return distance + self.pixel_weight * squared_difference(generated, self.target)


def best_distance(
    target: Tensor,
    generator: Generator,
    pixel_weight: float = PIXEL_WEIGHT,
    metric: PerceptualMetric | Literal["auto"] | None = "auto",
) -> Distance:
    """LPIPS where a backbone of it is here, else the discriminator's, else pixels over scales.

    Args:
        target: (1, 3, R, R) in [-1, 1].
        generator: With or without a discriminator.
        pixel_weight: Of the mean squared difference, which every distance has.
        metric: LPIPS; "auto": loaded where there is a backbone; None: not used.
    """
    if metric == "auto":
        metric = None if find_backbone() is None else load_metric()
    if metric is None:
        return distance_to(target, generator, pixel_weight)
    return PerceptualDistance(metric.to(target.device), target, pixel_weight)


def find_backbone(
    net: Net | None = None, *, folder: str | Path | None = None
) -> tuple[Backbone, Path] | None:
    """A backbone that lies on this machine.

    Args:
        net: Which; None: the best of those there are.
        folder: Where to look; None: torch's cache (``torch.hub.get_dir()/checkpoints``).
    """
    place = _cache() if folder is None else Path(folder)
    for backbone in BACKBONES:
        if net in (None, backbone.net) and (place / backbone.file).is_file():
            return backbone, place / backbone.file
    return None


def load_metric(
    net: Net | None = None, *, file: str | Path | None = None, folder: str | Path | None = None
) -> PerceptualMetric:
    """LPIPS with a backbone from this machine.

    Args:
        net: Which; None: the best of those there are, or what the file's name says.
        file: The backbone's file; None: looked for.
        folder: See `find_backbone`.

    Raises:
        UnreadableModel: There is none (the message says which file to put where), or the file is
            damaged or another network.
    """
    if file is None:
        found = find_backbone(net, folder=folder)
        if found is None:
            raise UnreadableModel("LPIPS has no backbone here.", how_to_add(net, folder=folder))
        backbone, path = found
    else:
        path = Path(file)
        backbone = _named(net, path)
    read = open_foreign(path)
    digits = re.search(r"-([0-9a-f]{8,})$", path.stem)
    if digits is not None and not read.sha256.startswith(digits.group(1)):
        raise UnreadableModel(f"{path} is damaged: its SHA-256 is {read.sha256}.", "Get it again.")
    return PerceptualMetric(backbone.net, read.tensors)


def how_to_add(net: Net | None = None, *, folder: str | Path | None = None) -> str:
    """A sentence on which file to put where."""
    backbone = next(b for b in BACKBONES if net in (None, b.net))
    place = (_cache() if folder is None else Path(folder)) / backbone.file
    return f"Download {backbone.address} and save it as {place}."


def _cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _named(net: Net | None, path: Path) -> Backbone:
    for backbone in BACKBONES:
        stem = backbone.file.split("-")[0]
        if backbone.net == net or (net is None and path.name.startswith(stem)):
            return backbone
    raise UnreadableModel(
        f"{path} does not tell which backbone it is.",
        f"Name one of {', '.join(b.net for b in BACKBONES)}.",
    )


def _package_heads(net: Net) -> dict[str, Tensor]:
    folder = Path(lpips.__file__).parent / "weights" / "v0.1"
    return open_foreign(folder / f"{net}.pth").tensors


def _network(net: Net, backbone: dict[str, Tensor], heads: dict[str, Tensor]) -> Any:
    """The package's network with these tensors; no weights are made up or fetched on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package uses torchvision's older arguments
        with torch.device("meta"):
            network = lpips.LPIPS(pretrained=False, net=net, pnet_rand=True, verbose=False)
    network.scaling_layer = lpips.ScalingLayer()
    tensors = {}
    for name in network.net.state_dict():
        source = "features." + name.split(".", 1)[1]
        if source not in backbone:
            raise UnreadableModel(f"The backbone has no tensor {source}: it is no {net} network.")
        tensors[f"net.{name}"] = backbone[source].float()
    tensors |= {name: tensor.float() for name, tensor in heads.items()}
    try:
        network.load_state_dict(tensors, strict=False, assign=True)
    except RuntimeError as error:
        raise UnreadableModel(f"The backbone is no {net} network: {error}") from error
    lacking = sorted(n for n, t in network.state_dict().items() if t.is_meta)
    if lacking:
        raise UnreadableModel(f"The heads of LPIPS lack {', '.join(lacking)}.")
    return network.eval().requires_grad_(False)


def _sized(pictures: Tensor) -> Tensor:
    """Pictures at a size that the backbones are for."""
    side = pictures.shape[-1]
    if side < SMALLEST_SIDE:
        size = (SMALLEST_SIDE, SMALLEST_SIDE)
        return interpolate(pictures, size, mode="bilinear", align_corners=False)
    return avg_pool2d(pictures, side // LARGEST_SIDE) if side > LARGEST_SIDE else pictures
