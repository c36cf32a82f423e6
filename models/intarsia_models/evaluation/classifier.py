"""A small classifier that judges which class an area shows.

It is trained here on the same pictures as the generator; its own accuracy on other pictures is
reported beside every figure that rests on it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.checkpoints import read_bundle, write_bundle
from intarsia_models.errors import UnreadableModel
from intarsia_models.gan_training.batches import Batches
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.gan_training.settings import rate_factor

SMALLEST_ZOOM = 0.45
"""Pictures are shown down to this share of their side, so that parts are recognised too."""
BATCH = 64


class Classifier(nn.Module):
    """Four strided convolutions and averages over space."""

    def __init__(self, labels: tuple[str, ...], width: int = 24) -> None:
        """Make one.

        Args:
            labels: The classes.
            width: Channels of the first layer.
        """
        super().__init__()
        self.labels = labels
        self.width = width
        channels = (3, width, 2 * width, 4 * width, 4 * width)
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.output = nn.Linear(2 * channels[-1], len(labels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to (B, K) logits."""
        features = self.body(x)
        pooled = torch.cat((features.mean((2, 3)), features.amax((2, 3))), 1)
        return self.output(pooled)


def train_classifier(
    pictures: PictureSet,
    *,
    iterations: int = 1500,
    rate: float = 2e-3,
    seed: int = 0,
    tick: Callable[[], None] | None = None,
) -> Classifier:
    """Train on zoomed, flipped pictures with slightly changed colours, all classes equally often.

    Args:
        pictures: With classes.
        iterations: Of 64 pictures.
        rate: Of Adam; it falls to 0 in a line.
        seed: Of all randomness but the device's.
        tick: Called in every iteration.
    """
    source = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Classifier(pictures.labels)
    size = pictures.pixels.shape[-1]
    batches = Batches(pictures, size, flips="both", device="cpu")
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    model = model.to(memory_format=torch.channels_last).train()
    for done in range(iterations):
        if tick is not None:
            tick()
        batch = batches.draw(BATCH, source)
        assert batch.y is not None
        for group in optimizer.param_groups:
            group["lr"] = rate * rate_factor(done, iterations, 0.0)
        loss = F.cross_entropy(model(_changed(batch.x, source)), batch.y, label_smoothing=0.05)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(model: Classifier, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Mean over all pictures, and mean over the classes' means.

    Args:
        model: In eval mode.
        x: (N, 3, S, S) in [-1, 1].
        y: (N,) class ids.
    """
    right = torch.cat([model(part).argmax(1) for part in x.split(256)]) == y
    by_class = [float(right[y == kind].float().mean()) for kind in y.unique()]
    return float(right.float().mean()), sum(by_class) / len(by_class)


def save_classifier(model: Classifier, folder: Path, card: dict[str, Any]) -> None:
    """Write it as a bundle in float16."""
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    own = {"family": "classifier", "labels": list(model.labels), "width": model.width}
    write_bundle(folder, tensors, {**own, **card})


def load_classifier(folder: Path) -> tuple[Classifier, dict[str, Any]]:
    """The classifier in eval mode, and its card.

    Raises:
        UnreadableModel: There is none, or it is damaged.
    """
    bundle = read_bundle(folder)
    try:
        model = Classifier(tuple(bundle.card["labels"]), int(bundle.card["width"]))
        model.load_state_dict(
            {n: t.float() if t.is_floating_point() else t for n, t in bundle.tensors.items()}
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UnreadableModel(f"{folder} holds no classifier: {error}") from error
    return model.eval().requires_grad_(False), bundle.card


def _changed(x: Tensor, source: torch.Generator) -> Tensor:
    """One zoom for the whole batch (so that its pictures keep one size), brightness by picture."""
    size = x.shape[-1]
    zoom = SMALLEST_ZOOM + (1 - SMALLEST_ZOOM) * float(torch.rand(1, generator=source))
    side = max(16, round(size * zoom))
    top, left = torch.randint(size - side + 1, (2,), generator=source).tolist()
    part = x[:, :, top : top + side, left : left + side]
    part = F.interpolate(part, (size, size), mode="bilinear", align_corners=False)
    light = 0.85 + 0.3 * torch.rand(len(x), 1, 1, 1, generator=source)
    return (part * light).clamp(-1, 1)
