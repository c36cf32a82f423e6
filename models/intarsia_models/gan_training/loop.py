"""The loop of every training of this package: progress, pausing, checkpoints, resuming, curves."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypedDict

import torch
from torch import Tensor, nn

from intarsia_models.checkpoints import (
    Bundle,
    read_latest_checkpoint,
    remove_checkpoints,
    write_checkpoint,
)
from intarsia_models.errors import TrainingDiverged
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.settings import rate_factor

LOSSES_EVERY = 20
"""Iterations between two readings of the losses; a reading waits for the device."""
CHECKPOINT_EVERY_S = 120.0
SCHEDULE = frozenset(
    {
        "iterations",
        "decay_from",
        "rate",
        "generator_rate",
        "critic_rate",
        "critic_steps",
        "diversity_weight",
    }
)
"""Settings that may differ when a training is taken up again."""


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training is after an iteration."""

    iteration: int
    """How many are done."""
    iterations: int
    fraction: float
    """Of the work that is done, in [0, 1]."""
    losses: dict[str, float] | None
    """Every `LOSSES_EVERY` iterations, otherwise None."""
    preview: Callable[[], Tensor]
    """Makes a grid (1, 3, h, w) in [-1, 1], always of the same latents or pictures. Call it only
    inside the callback."""


OnProgress = Callable[[TrainingProgress], None]
Tick = Callable[[], None]
History = list[tuple[int, dict[str, float]]]
"""Losses by iteration."""


class HasCard(Protocol):
    """Settings of a training."""

    def to_card(self) -> dict[str, Any]:
        """Them as plain JSON values."""
        ...


class RunOptions(TypedDict, total=False):
    """How any training of this package runs, beside what it learns: keyword arguments."""

    on_progress: OnProgress | None
    """Called after every iteration."""
    tick: Tick | None
    """Called several times per iteration and for every picture that is read; may wait (pause), or
    raise to stop. A stopped training is taken up again from its checkpoints."""
    checkpoint_folder: Path | None
    """Where checkpoints are written and looked for. One of other pictures, other settings or
    another seed is removed."""
    checkpoint_every_s: float
    """Seconds between two checkpoints; by default `CHECKPOINT_EVERY_S`."""
    on_notice: Callable[[str], None] | None
    """Told in a sentence of what a user should know, for example that a checkpoint was damaged."""


class TrainingLoop:
    """What the trainings share; a subclass says what an iteration is."""

    kind = ""
    """Tells checkpoints of different trainings apart."""

    def __init__(self, *, iterations: int, decay_from: float, seed: int, devices: Devices) -> None:
        """Prepare a loop.

        Args:
            iterations: How many.
            decay_from: Share of them after which the learning rates fall.
            seed: Of all randomness, with this process's number.
            devices: Where it computes.
        """
        self.iterations = iterations
        self.decay_from = decay_from
        self.devices = devices
        self.seed = seed
        self.iteration = 0
        self.seconds = 0.0
        self.history: History = []
        self.source = torch.Generator().manual_seed(seed * 1009 + devices.rank)
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.networks: dict[str, nn.Module] = {}
        """By name; what checkpoints hold."""
        self._tick: Tick = lambda: None
        self._waited = 0.0

    def identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to belong to this training; plain JSON values.

        `SCHEDULE` is no part of it: a training can be made longer or steered as it goes on.
        """
        raise NotImplementedError

    def iterate(self) -> dict[str, Tensor]:
        """One iteration; losses are 0-dimensional tensors that nobody waits for."""
        raise NotImplementedError

    def preview(self) -> Tensor:
        """(1, 3, h, w): see `TrainingProgress.preview`."""
        raise NotImplementedError

    def extra_state(self) -> dict[str, Any]:
        """More plain values for the checkpoint's card."""
        return {}

    def restore_extra(self, card: Mapping[str, Any]) -> None:
        """Take `extra_state` back."""

    def run(
        self,
        *,
        on_progress: OnProgress | None = None,
        tick: Tick | None = None,
        checkpoint_folder: Path | None = None,
        checkpoint_every_s: float = CHECKPOINT_EVERY_S,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        """Train to the end, from the last checkpoint where there is one; see `RunOptions`.

        Raises:
            TrainingDiverged: A loss is no longer a finite number.
            OSError: A checkpoint could not be written.
        """
        self._tick = self._timed(tick)
        if checkpoint_folder is not None:
            self._resume(checkpoint_folder, on_notice or (lambda text: None))
        saved = time.monotonic()
        while self.iteration < self.iterations:
            losses = self._advance()
            if on_progress is not None and self.devices.rank == 0:
                on_progress(self._progress(losses))
            ended = self.iteration == self.iterations
            due = ended or time.monotonic() - saved >= checkpoint_every_s
            if self.devices.count > 1:  # clocks differ, and all must meet
                due = ended or self.iteration % 500 == 0
            if checkpoint_folder is not None and due:
                self.save_checkpoint(checkpoint_folder)
                saved = time.monotonic()
        self._average_statistics()

    def save_checkpoint(self, folder: Path) -> None:
        """Write all that is needed to go on as if nothing had happened."""
        self._average_statistics()
        random = self.devices.gather(self.source.get_state())
        if self.devices.rank == 0:
            card = {
                "identity": self.identity(),
                "iteration": self.iteration,
                "seconds": self.seconds,
                "history": self.history,
                **self.extra_state(),
            }
            write_checkpoint(folder, self.iteration, self._state(random), card)
        self.devices.wait()

    def step(self, name: str, parameters: list[nn.Parameter]) -> None:
        """Average the gradients over the devices and let an optimizer step."""
        self.devices.average_gradients(parameters)
        self.optimizers[name].step()

    def tick(self) -> None:
        """Let the caller wait or stop."""
        self._tick()

    def autocast(self, precision: str) -> Any:
        """See `Devices.autocast`."""
        return self.devices.autocast(precision)

    def _advance(self) -> dict[str, float] | None:
        begun, self._waited = time.perf_counter(), 0.0
        self._set_rates()
        losses = self.iterate()
        self.iteration += 1
        first_or_last = self.iteration in (1, self.iterations)
        numbers = None
        if self.iteration % LOSSES_EVERY == 0 or first_or_last:
            numbers = self._checked({name: float(value) for name, value in losses.items()})
            self.history.append((self.iteration, numbers))
        self.seconds += time.perf_counter() - begun - self._waited
        return numbers

    def _set_rates(self) -> None:
        factor = rate_factor(self.iteration, self.iterations, self.decay_from)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group.setdefault("full_rate", group["lr"])
                group["lr"] = group["full_rate"] * factor

    def _progress(self, losses: dict[str, float] | None) -> TrainingProgress:
        return TrainingProgress(
            iteration=self.iteration,
            iterations=self.iterations,
            fraction=self.iteration / self.iterations,
            losses=losses,
            preview=self.preview,
        )

    def _checked(self, losses: dict[str, float]) -> dict[str, float]:
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if bad:
            raise TrainingDiverged(
                f"The training failed at iteration {self.iteration} of {self.iterations}: "
                f"{bad[0].replace('_', ' ')} is {losses[bad[0]]}.",
                "Train with lower learning rates, in float32, or with another seed.",
            )
        return losses

    def _timed(self, tick: Tick | None) -> Tick:
        """The caller's tick; the time it waits does not count as training."""
        if tick is None:
            return lambda: None

        def timed() -> None:
            begun = time.perf_counter()
            tick()
            self._waited += time.perf_counter() - begun

        return timed

    def _average_statistics(self) -> None:
        """Running statistics are the mean of those of all devices."""
        buffers = [
            buffer
            for network in self.networks.values()
            for name, buffer in network.named_buffers()
            if "running" in name
        ]
        self.devices.average(buffers)

    def _state(self, random: Tensor) -> dict[str, Tensor]:
        tensors = {"random.source": random}
        for name, network in self.networks.items():
            tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            tensors |= _optimizer_state(f"adam_{name}", optimizer)
        return tensors

    def _resume(self, folder: Path, on_notice: Callable[[str], None]) -> None:
        def damaged(place: Path, what: str) -> None:
            on_notice(f"The checkpoint {place.name} is damaged and was passed over ({what})")

        found = read_latest_checkpoint(folder, on_damaged=damaged)
        same = json.loads(json.dumps(self.identity()))
        if found is None or found.card.get("identity") != same:
            if self.devices.rank == 0:
                remove_checkpoints(folder)  # else they would count as newer than those to come
            self.devices.wait()
            return
        self._restore(found)
        if self.devices.rank == 0:
            remove_checkpoints(folder, above=self.iteration)
        self.devices.wait()

    def _restore(self, bundle: Bundle) -> None:
        for name, network in self.networks.items():
            network.load_state_dict(_part(bundle.tensors, f"{name}."))
        for name, optimizer in self.optimizers.items():
            _restore_optimizer(_part(bundle.tensors, f"adam_{name}."), optimizer)
        self.source.set_state(bundle.tensors["random.source"][self.devices.rank])
        self.iteration = int(bundle.card["iteration"])
        self.seconds = float(bundle.card["seconds"])
        self.history = [(int(at), dict(losses)) for at, losses in bundle.card["history"]]
        self.restore_extra(bundle.card)


def adam(
    parameters: list[nn.Parameter], rate: float, beta1: float, beta2: float, decay: float = 0.0
) -> torch.optim.Optimizer:
    """Adam in one fused pass; ``decay`` is L2, added to the gradient (as Chainer's)."""
    return torch.optim.Adam(
        parameters, lr=rate, betas=(float(beta1), float(beta2)), weight_decay=decay, fused=True
    )


def training_card(settings: HasCard, history: History, seconds: float) -> dict[str, Any]:
    """What a model card says about any training; plain JSON values.

    Args:
        settings: Of the training.
        history: Losses by iteration.
        seconds: How long it took.
    """
    return {
        "training": settings.to_card(),
        "training_seconds": round(seconds, 1),
        "losses": history[-1][1] if history else {},
    }


def schedule_free(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those that only say how long and how fast a training goes on."""
    return {key: value for key, value in settings.items() if key not in SCHEDULE}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _optimizer_state(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{prefix}.{index}.{name}": value
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def _restore_optimizer(tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".")
        like = parameters[int(index)]
        if value.shape == like.shape:  # memory in the order of the weight, as fused steps need
            value = torch.empty_like(like).copy_(value)
        state.setdefault(int(index), {})[name] = value
    whole = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
