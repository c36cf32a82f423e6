"""Training a finished model a little further on the very picture that it is to be applied to."""

import hashlib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intarsia_models.resampling import resize_tensor
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.noise import gaussian
from intarsia_models.single_image.training import check_picture, image_hash
from intarsia_models.single_image.training_loop import OnProgress, Tick, Trainer


def fine_tune(
    model: TrainedModel,
    naive: Tensor,
    *,
    iterations: int | None = None,
    seed: int = 0,
    arithmetic: torch.dtype | None = None,
    on_progress: OnProgress | None = None,
    tick: Tick | None = None,
    checkpoint_folder: Path | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> TrainedModel:
    """Train the last stage of a model with one composite as its adversarial input.

    Args:
        model: A finished model; it is left as it is.
        naive: (1, 3, H, W) in [-1, 1]: the training picture with something pasted into it or
            moved in it.
        iterations: How many; by default ``model.settings.fine_tune_iterations`` (500 in the paper).
        seed: Of all randomness.
        arithmetic: See `training.train`.
        on_progress: See `training.train`.
        tick: See `training.train`.
        checkpoint_folder: See `training.train`.
        on_notice: See `training.train`.

    Returns:
        A new model that suits this composite.

    Raises:
        UnsuitablePicture: ``naive`` is not a picture.
        TrainingDiverged: The losses are no longer finite numbers.
        ValueError: ``iterations`` is negative.

    Source: arXiv:2003.11512, section 4.2. The target of the critic and of the reconstruction
    stays the training picture. Deviation: the public code makes 2000 iterations unless told
    otherwise; the paper's 500 hold here.
    """
    count = model.settings.fine_tune_iterations if iterations is None else iterations
    if count < 0:
        raise ValueError(f"iterations must not be negative, got {count}.")
    check_picture(naive)
    if count == 0:
        return deepcopy(model)
    tuner = FineTuner(model, naive, iterations=count, seed=seed, arithmetic=arithmetic)
    return tuner.run(
        on_progress=on_progress, tick=tick, checkpoint_folder=checkpoint_folder, on_notice=on_notice
    )


class FineTuner(Trainer):
    """The loop of `fine_tune`."""

    def __init__(
        self,
        model: TrainedModel,
        naive: Tensor,
        *,
        iterations: int,
        seed: int,
        arithmetic: torch.dtype | None = None,
    ) -> None:
        """Prepare; ``model`` is copied."""
        copy = deepcopy(model)
        copy.seed = seed
        super().__init__(
            copy,
            iterations=[iterations] * len(copy.sizes),
            train_depth=1,
            kind="fine-tuning",
            arithmetic=arithmetic,
        )
        self.first_stage = self.last_stage
        self.naive_hash = image_hash(naive)
        self.start_hash = _weights_hash(copy)
        self.coarsest = resize_tensor(naive, *copy.sizes[0]).to(copy.real)

    def adversarial_picture(self) -> Tensor:
        """(1, 3, h, w): the composite, with the task's noise."""
        amount = self.model.settings.input_noise
        if amount == 0:
            return self.coarsest
        noise = gaussian((3, *self.model.sizes[0]), self.noise_source, self.coarsest.dtype)
        return self.coarsest + amount * noise

    def real(self, stage: int) -> Tensor:
        """(1, 3, H, W) in [-1, 1]: the training picture at the last stage."""
        return self.model.real

    def enter(self, stage: int) -> None:
        """Nothing but the optimizers is new."""
        self._start(stage)

    def identity(self) -> dict[str, Any]:
        """See `Trainer.identity`; also the composite and the weights that it starts from."""
        return {**super().identity(), "naive_hash": self.naive_hash, "start": self.start_hash}


def _weights_hash(model: TrainedModel) -> str:
    digest = hashlib.sha256()
    for tensor in model.generator.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
