"""How diverse a model's pictures are, and how alike their patches are to the picture's."""

import functools
import re
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from scipy import linalg
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import open_foreign

INCEPTION_FILE = "inception_v3_google-0cc3c7bd.pth"
"""As torch calls its download; the digits start the file's SHA-256."""
PATCH = 5
"""Side of the patches of `PatchFeatures`."""
SCALES = (1, 2, 4)


class Features(Protocol):
    """Describes every place of a picture."""

    name: str
    """For tables, so that figures of different features are not mixed up."""

    def __call__(self, picture: Tensor) -> Tensor:
        """(1, 3, H, W) in [-1, 1] -> (places, dimensions)."""
        ...


def diversity(samples: Tensor, real: Tensor) -> float:
    """How much the pictures of a model differ from each other: 0 for none, about 1 for as much
    as unrelated pictures with the training picture's colours.

    Args:
        samples: (N, 3, H, W) in [-1, 1]; 100 in the papers.
        real: (1, 3, H, W) in [-1, 1], the training picture.

    Raises:
        ValueError: Fewer than two samples, or a training picture of one colour.

    Source: SinGAN (arXiv:1905.01164, section 3): the standard deviation of every pixel's
    intensity over the samples, averaged over the picture, over the standard deviation of the
    intensities of the training picture. Convention: intensity is the mean of the channels, and
    standard deviations divide by N.
    """
    if len(samples) < 2:
        raise ValueError(f"Diversity needs at least 2 samples, got {len(samples)}.")
    contrast = float(real.mean(dim=1).std(correction=0))
    if contrast == 0:
        raise ValueError("The training picture is of one colour; diversity is relative to it.")
    return float(samples.mean(dim=1).std(dim=0, correction=0).mean()) / contrast


def single_image_distance(real: Tensor, made: Tensor, features: Features) -> float:
    """Frechet distance between the features of two pictures' places; 0 for the same picture.

    With `InceptionFeatures` it is SIFID. With `PatchFeatures` it is not, and is to be called the
    Frechet distance of patches: such figures can be compared with each other only.

    Args:
        real: (1, 3, H, W) in [-1, 1].
        made: (1, 3, h, w) in [-1, 1].
        features: Of which kind.

    Source: SinGAN (arXiv:1905.01164, section 3): the distance of Heusel et al. 2017
    (arXiv:1706.08500) with one picture's places in place of many pictures.
    """
    (mean, covariance), (mean2, covariance2) = (
        _moments(features(picture)) for picture in (real, made)
    )
    root = np.asarray(linalg.sqrtm(covariance @ covariance2))
    traces = np.trace(covariance) + np.trace(covariance2) - 2 * np.trace(root).real
    return float(max(0.0, np.square(mean - mean2).sum() + traces))


class PatchFeatures:
    """Cosine transform of 5 x 5 patches, three sizes, brightness and two colour differences.

    The strength of each frequency counts and not its sign, so that a patch and its mirror image are
    alike. 75 numbers per place and size; the sizes are compared as if they were places.
    """

    name = f"patches, DCT {PATCH} x {PATCH}, {len(SCALES)} sizes"

    def __call__(self, picture: Tensor) -> Tensor:
        """See `Features`."""
        kernels = _cosines().to(picture)
        channels = torch.einsum("oc,bchw->obhw", _OPPONENTS.to(picture), picture)
        return torch.cat([self._of_size(channels, scale, kernels) for scale in SCALES])

    def _of_size(self, channels: Tensor, scale: int, kernels: Tensor) -> Tensor:
        if min(channels.shape[-2:]) // scale < PATCH:
            return channels.new_zeros(0, 3 * PATCH * PATCH)
        found = F.conv2d(F.avg_pool2d(channels, scale), kernels)  # (3, 25, h, w)
        found = torch.cat([found[:, :1], found[:, 1:].abs()], dim=1)
        return found.permute(2, 3, 0, 1).flatten(0, 1).flatten(1)


class InceptionFeatures:
    """Early features of the Inception network that was trained on ImageNet.

    SIFID is defined with the 192 features before the second pooling; the script that was
    published with it ran with the 64 before the first. Say which.
    """

    def __init__(self, dimensions: int = 64, *, folder: str | Path | None = None) -> None:
        """Read the network.

        Args:
            dimensions: 64 or 192.
            folder: Where its file lies; by default torch's cache. Nothing is downloaded.

        Raises:
            UnreadableModel: The file is not there (the message says which file to put where), or is
                damaged.
            ValueError: Other dimensions.
        """
        if dimensions not in (64, 192):
            raise ValueError(f"dimensions must be 64 or 192, got {dimensions}.")
        self.name = f"Inception, {dimensions}"
        self.layers = _inception_layers(_inception_file(folder), dimensions)

    @torch.no_grad()
    def __call__(self, picture: Tensor) -> Tensor:
        """See `Features`."""
        found = self.layers(picture.float().cpu())
        return found[0].flatten(1).T


def has_inception(folder: str | Path | None = None) -> bool:
    """Whether the Inception network's file is on this machine."""
    return (_folder(folder) / INCEPTION_FILE).is_file()


_OPPONENTS = torch.tensor([[0.299, 0.587, 0.114], [0.5, -0.5, 0.0], [0.25, 0.25, -0.5]])


@functools.cache
def _cosines() -> Tensor:
    """(25, 1, 5, 5): the orthonormal cosine transform, the constant first."""
    place = torch.arange(PATCH, dtype=torch.float64) + 0.5
    rows = torch.stack([torch.cos(torch.pi * k * place / PATCH) for k in range(PATCH)])
    rows = rows / rows.norm(dim=1, keepdim=True)
    return torch.einsum("ay,bx->abyx", rows, rows).reshape(-1, 1, PATCH, PATCH).float()


def _moments(places: Tensor) -> tuple[np.ndarray, np.ndarray]:
    points = places.double().cpu().numpy()
    covariance = np.cov(points, rowvar=False) + 1e-9 * np.eye(points.shape[1])
    return points.mean(axis=0), covariance


def _folder(folder: str | Path | None) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" if folder is None else Path(folder)


def _inception_file(folder: str | Path | None) -> Path:
    path = _folder(folder) / INCEPTION_FILE
    if not path.is_file():
        raise UnreadableModel(
            "The Inception network is not on this machine.",
            f"Download https://download.pytorch.org/models/{INCEPTION_FILE} and save it as {path}.",
        )
    return path


def _inception_layers(path: Path, dimensions: int) -> nn.Sequential:
    from torchvision.models.inception import BasicConv2d

    shapes = [
        ("Conv2d_1a_3x3", BasicConv2d(3, 32, kernel_size=3, stride=2)),
        ("Conv2d_2a_3x3", BasicConv2d(32, 32, kernel_size=3)),
        ("Conv2d_2b_3x3", BasicConv2d(32, 64, kernel_size=3, padding=1)),
        ("pool", nn.MaxPool2d(3, stride=2)),
        ("Conv2d_3b_1x1", BasicConv2d(64, 80, kernel_size=1)),
        ("Conv2d_4a_3x3", BasicConv2d(80, 192, kernel_size=3)),
    ]
    read = open_foreign(path)
    digits = re.search(r"-([0-9a-f]{8})\.", path.name)
    if digits is not None and not read.sha256.startswith(digits.group(1)):
        raise UnreadableModel(f"{path} is damaged: its SHA-256 is {read.sha256}.", "Get it again.")
    chosen = shapes[: 3 if dimensions == 64 else 6]
    for name, layer in chosen:
        own = {k: read.tensors[f"{name}.{k}"] for k in layer.state_dict() if "num_b" not in k}
        layer.load_state_dict(own, strict=False)
    return nn.Sequential(*(layer for _, layer in chosen)).eval()
