"""Training a single-image model from scratch, stage by stage.

Can be watched, paused, stopped and taken up again.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.single_image.model import TrainedModel, build_networks
from intarsia_models.single_image.networks import initialize
from intarsia_models.single_image.noise import adversarial_input, reconstruction_noise
from intarsia_models.single_image.pyramid import image_pyramid, pyramid_sizes
from intarsia_models.single_image.settings import TaskSettings
from intarsia_models.single_image.training_loop import (
    OnProgress,
    Tick,
    Trainer,
    TrainingProgress,
)

__all__ = ["SingleImageTrainer", "TrainingProgress", "check_picture", "image_hash", "train"]


def train(
    image: Tensor,
    settings: TaskSettings,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    arithmetic: torch.dtype | None = None,
    on_progress: OnProgress | None = None,
    tick: Tick | None = None,
    checkpoint_folder: Path | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> TrainedModel:
    """Train a model on one picture, or take a training up where its last checkpoint left it.

    Args:
        image: (1, 3, H, W) in [-1, 1].
        settings: See `settings.task_settings` and `settings.harmonization_settings`.
        seed: Of all randomness; the result is the same for the same seed on the same device.
        device: "cpu", "cuda", ...
        arithmetic: What convolutions are computed in while training; by default single
            precision. Weights, losses and pictures are in single precision always. bfloat16 gains
            nothing on processors that were measured (docs/performance.md), since Winograd's
            algorithm does as well in single precision.
        on_progress: Called after every iteration.
        tick: Called at least every 100 ms or so of work; may wait (pause), or raise to stop. A
            stopped training can be taken up again from its checkpoints.
        checkpoint_folder: Where checkpoints are written and looked for. One that belongs to
            another picture, other settings, another seed or another kind of device is removed.
        on_notice: Told in a sentence of what a user should know, for example that a checkpoint
            was damaged.

    Returns:
        The trained model, on ``device``.

    Raises:
        UnsuitablePicture: The picture is too small, not (1, 3, H, W), or holds values that are
        not numbers.
        TrainingDiverged: The losses are no longer finite numbers.
        OSError: A checkpoint could not be written.
    """
    trainer = SingleImageTrainer(image, settings, seed=seed, device=device, arithmetic=arithmetic)
    return trainer.run(
        on_progress=on_progress, tick=tick, checkpoint_folder=checkpoint_folder, on_notice=on_notice
    )


class SingleImageTrainer(Trainer):
    """Trains all stages on one picture."""

    def __init__(
        self,
        image: Tensor,
        settings: TaskSettings,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        arithmetic: torch.dtype | None = None,
    ) -> None:
        """Prepare a training; see `train` for the arguments and errors."""
        check_picture(image)
        shape = {
            "stages": settings.stages,
            "min_size": settings.min_size,
            "max_size": settings.max_size,
            "rule": settings.rule,
        }
        sizes = pyramid_sizes(image.shape[-2], image.shape[-1], **shape)
        self.pictures = [picture.to(device, dtype) for picture in image_pyramid(image, **shape)]
        self.coarsest = self.pictures[0].cpu()
        generator, discriminator = build_networks(settings, 1)
        start = torch.Generator().manual_seed(seed)
        initialize(generator, start)
        initialize(discriminator, start)
        model = TrainedModel(
            generator=generator.to(device, dtype),
            discriminator=discriminator.to(device, dtype),
            sizes=sizes,
            fixed_noises=[],
            real=self.pictures[-1],
            image_hash=image_hash(image),
            seed=seed,
            training_seconds=0.0,
        )
        super().__init__(
            model,
            iterations=settings.stage_iterations(),
            train_depth=settings.train_depth,
            kind="training",
            arithmetic=arithmetic,
        )

    def adversarial_picture(self) -> Tensor:
        """(1, 3, h, w): noise, or a changed copy of the picture, by task."""
        shape = (3, *self.model.sizes[0])
        return adversarial_input(
            self.model.settings, shape, self.coarsest, self.noise_source, self.choices
        )

    def real(self, stage: int) -> Tensor:
        """(1, 3, h, w) in [-1, 1]."""
        return self.pictures[stage]

    def enter(self, stage: int) -> None:
        """Grow, draw the stage's fixed noise, measure its noise amplitude.

        Source: the public code; the noise amplitude is a fraction of the error of the first
        reconstruction, made with no noise at the new stage.
        """
        model = self.model
        if stage > 0:
            model.generator.grow()
        shape = model.generator.noise_shapes(model.sizes[: stage + 1])[stage]
        model.fixed_noises.append(
            reconstruction_noise(model.settings, stage, shape, self.pictures[0], self.noise_source)
        )
        self._start(stage)
        if stage > 0:
            assert self.training is not None
            with torch.no_grad():
                error = F.mse_loss(self.training.reconstruction(), self.real(stage)).sqrt()
            model.generator.noise_amplitudes[stage] = model.settings.noise_amplitude * float(error)
            self.training.forget_frozen()


def check_picture(image: Tensor) -> None:
    """Refuse what is not a picture.

    Raises:
        UnsuitablePicture: Not (1, 3, H, W), or with values that are not numbers.
    """
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[1] != 3:
        raise UnsuitablePicture(
            f"A picture must be (1, 3, height, width), got {tuple(image.shape)}.",
            "Convert grey pictures to RGB and drop the transparency.",
        )
    if not torch.isfinite(image).all():
        raise UnsuitablePicture("The picture holds values that are not numbers (NaN or infinite).")


def image_hash(image: Tensor) -> str:
    """SHA-256 of a picture's shape and its values rounded to 16 bits, in hexadecimal."""
    levels = ((image.detach().float().cpu().clamp(-1, 1) + 1) * 32767.5).round().to(torch.int32)
    digest = hashlib.sha256(repr(tuple(image.shape)).encode())
    digest.update(levels.contiguous().numpy().tobytes())
    return digest.hexdigest()
