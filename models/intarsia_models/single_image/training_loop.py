"""The loop of every training: progress, pausing, checkpoints, resuming."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intarsia_models.checkpoints import (
    Bundle,
    read_latest_checkpoint,
    remove_checkpoints,
    write_checkpoint,
)
from intarsia_models.errors import TrainingDiverged
from intarsia_models.resampling import resize_tensor
from intarsia_models.single_image.model import TrainedModel, build_networks, part
from intarsia_models.single_image.noise import gaussian
from intarsia_models.single_image.recovery import (
    RATE_PER_TRY,
    TRIES,
    StageStart,
    what_is_wrong,
)
from intarsia_models.single_image.settling import Settling
from intarsia_models.single_image.stage_graph import GraphedStage
from intarsia_models.single_image.stage_training import StageTraining

LOSSES_EVERY = 20
"""Iterations between two readings of the losses; a reading waits for the device."""
CHECKPOINT_EVERY_S = 20.0


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training is after an iteration."""

    stage: int
    """Counted from 0."""
    stages: int
    iteration: int
    """Iterations of this stage that are done."""
    iterations: int
    """Iterations of this stage."""
    fraction: float
    """Of the whole work that is done, by arithmetic, in [0, 1]."""
    losses: dict[str, float] | None
    """Every `LOSSES_EVERY` iterations, otherwise None."""
    preview: Callable[[Tensor | None], Tensor]
    """Makes (1, 3, h, w) in [-1, 1] at this stage's size: of the picture it is given
    (harmonization, editing), or of the training picture when given None. Call it only inside the
    callback."""


OnProgress = Callable[[TrainingProgress], None]
Tick = Callable[[], None]


class Trainer:
    """The loop that trainings from scratch and fine-tunings share."""

    def __init__(
        self,
        model: TrainedModel,
        *,
        iterations: Sequence[int],
        train_depth: int,
        kind: str,
        arithmetic: torch.dtype | None = None,
    ) -> None:
        """Prepare a loop over stages.

        Args:
            model: What is trained, in place.
            iterations: Of every stage.
            train_depth: How many of the newest stages learn.
            kind: Tells checkpoints of different loops apart.
            arithmetic: See `stage_training.StageTraining`.
        """
        self.model = model
        self.stage_iterations = list(iterations)
        self.train_depth = train_depth
        self.kind = kind
        self.arithmetic = arithmetic
        self.first_stage = 0
        self.last_stage = len(model.sizes) - 1
        self.stage = 0
        self.iteration = 0
        self.noise_source = torch.Generator(model.device).manual_seed(model.seed)
        self.choices = torch.Generator().manual_seed(model.seed)
        self.seconds = 0.0
        self.training: StageTraining | None = None
        self.graphs = True
        """Whether a CUDA device is given an iteration as a graph."""
        self._notice: Callable[[str], None] = lambda text: None
        self.tries = 0
        """Failed tries of this stage."""
        self._start_state = StageStart(**self._networks())
        self._tick: Tick = lambda: None

    @property
    def iterations(self) -> int:
        """Of this stage."""
        return self.stage_iterations[self.stage]

    def adversarial_picture(self) -> Tensor:
        """(1, 3, h, w): one draw of what stage 0 is fed."""
        raise NotImplementedError

    def real(self, stage: int) -> Tensor:
        """(1, 3, h, w) in [-1, 1]: the training picture at a stage."""
        raise NotImplementedError

    def enter(self, stage: int) -> None:
        """Prepare a stage that has not begun."""
        raise NotImplementedError

    def identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to belong to this training."""
        model = self.model
        return {
            "kind": self.kind,
            "image_hash": model.image_hash,
            "settings": model.settings.to_card(),
            "seed": model.seed,
            "iterations": self.stage_iterations[-1],
            "device": model.device.type,
            "dtype": str(model.real.dtype),
            **({} if self.arithmetic is None else {"arithmetic": str(self.arithmetic)}),
        }

    def run(
        self,
        *,
        on_progress: OnProgress | None = None,
        tick: Tick | None = None,
        checkpoint_folder: Path | None = None,
        checkpoint_every_s: float = CHECKPOINT_EVERY_S,
        on_notice: Callable[[str], None] | None = None,
    ) -> TrainedModel:
        """Train to the end; see `train`."""
        self._tick = self._timed(tick)
        if on_notice is not None:
            self._notice = on_notice
        if checkpoint_folder is None or not self._resume(checkpoint_folder):
            self.enter(self.first_stage)
        saved = time.monotonic()
        while True:
            try:
                self._train_iteration(on_progress)
                stage_done = self.iteration == self.iterations
                if stage_done:
                    self._check_picture()
                elif self._has_settled():
                    self.iteration = self._slow_from()
            except TrainingDiverged as failure:
                self._try_again(failure, checkpoint_folder)
                continue
            if stage_done and self.stage == self.last_stage:
                break
            if stage_done:
                self.enter(self.stage + 1)
            due = stage_done or time.monotonic() - saved >= checkpoint_every_s
            if checkpoint_folder is not None and due:
                self.save_checkpoint(checkpoint_folder)
                saved = time.monotonic()
        return self._finished()

    def save_checkpoint(self, folder: Path) -> None:
        """Write all that is needed to go on as if nothing had happened."""
        card = {
            "identity": self.identity(),
            "stage": self.stage,
            "iteration": self.iteration,
            "seconds": self.seconds,
            "tries": self.tries,
            "calm": self.settling.calm,
            "notes": self.model.notes,
            "noise_amplitudes": self.model.generator.noise_amplitudes,
        }
        write_checkpoint(folder, self._step(), self._state(), card)

    def _step(self) -> int:
        """Iterations that are done, over all stages."""
        return sum(self.stage_iterations[self.first_stage : self.stage]) + self.iteration

    def _train_iteration(self, on_progress: OnProgress | None) -> None:
        begun = time.perf_counter()
        self._waited = 0.0
        noises = self._noises()
        steps = self.model.settings.critic_steps
        source = self.noise_source
        epsilons = torch.rand(
            steps, generator=source, device=source.device, dtype=self.model.real.dtype
        )
        losses = self._iterate(self.iteration, noises, epsilons)
        self.iteration += 1
        due = self.iteration % LOSSES_EVERY == 0 or self.iteration in (1, self.iterations)
        numbers = self._checked(losses.read()) if due else None
        self.seconds += time.perf_counter() - begun - self._waited
        if on_progress is not None:
            on_progress(self._progress(numbers))

    def _noises(self) -> list[Tensor]:
        shapes = self.model.generator.noise_shapes(self.model.sizes[: self.stage + 1])
        dtype = self.model.real.dtype
        inner = [gaussian(shape, self.noise_source, dtype) for shape in shapes[1:]]
        return [self.adversarial_picture(), *inner]

    def _start(self, stage: int, *, tries: int = 0) -> None:
        """Optimizers for a stage whose networks and fixed noise are ready."""
        self.stage = stage
        self.iteration = 0
        self.tries = tries
        self._start_state = StageStart(**self._networks())
        self._prepare()

    def _prepare(self) -> None:
        self.settling = Settling(self.model.settings.settled_below)
        self.training = StageTraining(
            self.model.generator,
            self.model.discriminator,
            self.real(self.stage),
            self.model.fixed_noises,
            self.model.sizes,
            iterations=self.iterations,
            train_depth=self.train_depth,
            rate=RATE_PER_TRY**self.tries,
            arithmetic=self.arithmetic,
            tick=lambda: self._tick(),
        )
        graphed = self.model.device.type == "cuda" and self.graphs
        step = GraphedStage(self.training, self._told) if graphed else self.training
        self._iterate = step.iterate

    def _told(self, text: str) -> None:
        self.model.notes.append(text)
        self._notice(text)

    def _networks(self) -> dict[str, nn.Module]:
        return {"generator": self.model.generator, "discriminator": self.model.discriminator}

    def _try_again(self, failure: TrainingDiverged, folder: Path | None) -> None:
        """Begin the stage anew with lower learning rates and other noise.

        Raises:
            TrainingDiverged: It was the last try.
        """
        if self.tries + 1 >= TRIES:
            raise failure
        self._start_state.restore(**self._networks())
        self.tries += 1
        self.iteration = 0
        self._prepare()
        self.noise_source.manual_seed(self.model.seed + self.tries + 1_000_003 * (self.stage + 1))
        text = (
            f"{failure.what} Stage {self.stage + 1} was begun again with "
            f"{RATE_PER_TRY**self.tries:g} times the learning rate and other noise."
        )
        self._told(text)
        if folder is not None:
            remove_checkpoints(folder, above=self._step())
            self.save_checkpoint(folder)

    def _slow_from(self) -> int:
        """The iteration at which the learning rates drop."""
        return round(self.model.settings.lr_drop_at * self.iterations)

    def _has_settled(self) -> bool:
        """Whether the stage may skip to its last, slow iterations."""
        if self.iteration >= self._slow_from() or not self.settling.due(self.iteration):
            return False
        return self.settling.look(self._sample())

    def _sample(self) -> Tensor:
        """(1, 3, h, w) in [-1, 1] at this stage's size, always of the same noise; batch norm
        with the statistics of the sample."""
        model, stages = self.model, self.stage + 1
        source = torch.Generator().manual_seed(model.seed)
        shapes = model.generator.noise_shapes(model.sizes[:stages])
        noises = [gaussian(shape, source, model.real.dtype).to(model.device) for shape in shapes]
        if model.settings.adversarial_input != "noise":
            noises[0] = model.fixed_noises[0]
        return model.generator.synthesize(noises, model.sizes[:stages], batch_statistics=True)

    def _check_picture(self) -> None:
        """Refuse a finished stage that makes no picture.

        Raises:
            TrainingDiverged: See `recovery.what_is_wrong`.
        """
        wrong = what_is_wrong(self._preview(), self.real(self.stage), self.iterations)
        if wrong is not None:
            raise self._diverged(f"the rebuilt picture is {wrong}")

    def _progress(self, losses: dict[str, float] | None) -> TrainingProgress:
        stages = zip(self.model.sizes, self.stage_iterations, strict=True)
        work = [h * w * count for (h, w), count in stages][self.first_stage :]
        here = self.stage - self.first_stage
        done = sum(work[:here]) + work[here] * self.iteration / self.iterations
        return TrainingProgress(
            stage=self.stage,
            stages=len(self.model.sizes),
            iteration=self.iteration,
            iterations=self.iterations,
            fraction=done / sum(work),
            losses=losses,
            preview=self._preview,
        )

    def _preview(self, picture: Tensor | None = None) -> Tensor:
        model, stages = self.model, self.stage + 1
        noises = model.fixed_noises[:stages]
        if picture is not None:
            noises = [resize_tensor(picture, *model.sizes[0]).to(model.real), *noises[1:]]
        return model.generator.synthesize(noises, model.sizes[:stages], batch_statistics=True)

    def _checked(self, losses: dict[str, float]) -> dict[str, float]:
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if bad:
            raise self._diverged(f"{bad[0].replace('_', ' ')} is {losses[bad[0]]}")
        return losses

    def _diverged(self, what: str) -> TrainingDiverged:
        return TrainingDiverged(
            f"The training failed at stage {self.stage + 1} of {len(self.model.sizes)}, "
            f"iteration {self.iteration}: {what}.",
            "Train with batch norm, a smaller lr_scale or learning_rate, or another seed.",
        )

    def _timed(self, tick: Tick | None) -> Tick:
        """The caller's tick; the time it waits does not count as training."""
        self._waited = 0.0
        if tick is None:
            return lambda: None

        def timed() -> None:
            begun = time.perf_counter()
            tick()
            self._waited += time.perf_counter() - begun

        return timed

    def _state(self) -> dict[str, Tensor]:
        assert self.training is not None
        stages = self.stage + 1
        tensors = {
            name: tensor
            for name, tensor in self.model.tensors().items()
            if not name.startswith("fixed_noise.") or int(name.split(".")[1]) < stages
        }
        tensors |= _optimizer_state("adam_generator", self.training.generator_optimizer)
        tensors |= _optimizer_state("adam_discriminator", self.training.discriminator_optimizer)
        tensors |= self._start_state.tensors()
        if len(self.settling.before):
            tensors["settling.before"] = self.settling.before
        tensors["random.noise"] = self.noise_source.get_state()
        tensors["random.choices"] = self.choices.get_state()
        return tensors

    def _resume(self, folder: Path) -> bool:
        def damaged(place: Path, what: str) -> None:
            self._told(f"The checkpoint {place.name} is damaged and was passed over ({what})")

        found = read_latest_checkpoint(folder, on_damaged=damaged)
        same = json.loads(json.dumps(self.identity()))
        if found is None or found.card.get("identity") != same:
            remove_checkpoints(folder)  # else they would count as newer than those to come
            return False
        self._restore(found)
        remove_checkpoints(folder, above=self._step())
        return True

    def _restore(self, bundle: Bundle) -> None:
        model, tensors = self.model, bundle.tensors
        stage = int(bundle.card["stage"])
        generator, _ = build_networks(model.settings, stage + 1)
        generator.load_state_dict(part(tensors, "generator."))
        generator.noise_amplitudes = [float(value) for value in bundle.card["noise_amplitudes"]]
        model.generator = generator.to(model.device, model.real.dtype)
        model.discriminator.load_state_dict(part(tensors, "discriminator."))
        fixed = part(tensors, "fixed_noise.")
        model.fixed_noises = [fixed[str(n)].to(model.device) for n in range(len(fixed))]
        self._start(stage, tries=int(bundle.card.get("tries", 0)))
        self._start_state.read(tensors)
        self.iteration = int(bundle.card["iteration"])
        self.seconds = float(bundle.card["seconds"])
        self.settling.calm = int(bundle.card.get("calm", 0))
        self.settling.before = tensors.get("settling.before", self.settling.before).to(model.real)
        model.notes[:0] = bundle.card.get("notes", [])
        assert self.training is not None
        _restore_optimizer("adam_generator", self.training.generator_optimizer, tensors)
        _restore_optimizer("adam_discriminator", self.training.discriminator_optimizer, tensors)
        self.noise_source.set_state(tensors["random.noise"])
        self.choices.set_state(tensors["random.choices"])

    def _finished(self) -> TrainedModel:
        self.training = None
        model = self.model
        for network in (model.generator, model.discriminator):
            network.eval().requires_grad_(True).zero_grad(set_to_none=True)
        model.training_seconds += self.seconds
        return model


def _optimizer_state(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{prefix}.{index}.{name}": value
        for index, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def _restore_optimizer(
    prefix: str, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    parameters: Sequence[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in part(tensors, f"{prefix}.").items():
        index, name = key.split(".")
        like = parameters[int(index)]
        if value.shape == like.shape:  # memory in the order of the weight, as fused steps need
            value = torch.empty_like(like).copy_(value)
        state.setdefault(int(index), {})[name] = value
    whole = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
