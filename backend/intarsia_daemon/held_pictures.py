"""Pictures as a generator holds them: the latent, and what the model makes of it.

A picture that the model made is known by its pixels and comes back exactly. Any other is projected:
the latent whose picture is most like it is looked for, once; the next time it is known too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import (
    LoadedModel,
    chosen_model,
    class_tensor,
    find_class,
    latents_of,
)
from intarsia_daemon.latent_store import GENERATED, Latent, LatentStore, pixels_hash
from intarsia_daemon.pixels import Picture, layer_from_tensors
from intarsia_daemon.real_pictures import Crop
from intarsia_models.generators.levels import Trace
from intarsia_models.projection import Step, guess_class, project
from intarsia_models.projection.request import SpaceOption, StartOption, space_of

SPEED = "projection"
"""Under which the machine learns how fast it projects."""
LEAST_LEARNT_STEPS = 50
"""Shorter searches say nothing about this machine's speed."""
PREVIEW_EVERY_S = 0.5
GOOD_FIT, FAIR_FIT = 0.8, 0.5
SEARCHING = "Finding the picture in the model"


@dataclass(frozen=True)
class Projecting:
    """How a picture is looked for, as the artist chose."""

    steps: int = 200
    space: SpaceOption = "auto"
    start: StartOption = "auto"
    pixel_weight: float = 0.2


@dataclass(frozen=True, eq=False)
class HeldPicture:
    """A picture in a model."""

    crop: Crop
    latent: Latent
    trace: Trace
    reconstruction: Tensor
    """(1, 3, R, R) in [-1, 1]: what the model makes of the latent."""
    key: str
    """Where the latent is kept (`LatentStore`); goes into recipes."""
    class_id: int | None
    """The class it is held as."""
    notes: tuple[str, ...] = ()

    @property
    def fit(self) -> float:
        """How much of the picture the model holds, in [0, 1]."""
        return self.latent.fit


class Holder:
    """Finds pictures in one model."""

    def __init__(
        self,
        model: LoadedModel,
        context: Context,
        projecting: Projecting,
        *,
        source_class: str = "",
    ) -> None:
        """Use a model.

        Args:
            model: Loaded.
            context: The running operation's.
            projecting: How pictures that are not known are looked for.
            source_class: What they show; empty: guessed.

        Raises:
            InvalidRequest: The model has no such class, or no network that was chosen.
        """
        self._model = model
        self._context = context
        self._projecting = projecting
        self._class = find_class(model, source_class) if source_class else None
        self._store: LatentStore = latents_of(context)
        _check_networks(model, projecting)

    def known(self, crop: Crop) -> HeldPicture | None:
        """A picture that this very model made, or None."""
        target = crop.target()
        key = self._store.key(self._model.fingerprint, pixels_hash(target))
        latent = self._store.get(key)
        return self._held(crop, latent, key) if latent is not None and self._fits(latent) else None

    def hold(self, crop: Crop) -> HeldPicture:
        """The picture of a crop, made by the model, or projected now or before.

        Raises:
            InvalidRequest: The picture has nothing visible.
            Cancelled: As `Context.tick`.
        """
        target = crop.target()
        pixels = pixels_hash(target)
        found = self._find(crop, pixels, (GENERATED, self._purpose(self._class)))
        if found is not None:
            return found
        index = self._class
        if index is None and self._model.generator.num_classes:
            index = self._guessed(target)
            found = self._find(crop, pixels, (self._purpose(index),))
            if found is not None:
                return found
        latent = self._project(target, index, crop.picture.name)
        for purpose in {self._purpose(index), self._purpose(self._class)}:
            self._store.put(self._store.key(self._model.fingerprint, pixels, purpose), latent)
        key = self._store.key(self._model.fingerprint, pixels, self._purpose(self._class))
        return self._held(crop, latent, key)

    def _find(self, crop: Crop, pixels: str, purposes: Sequence[str]) -> HeldPicture | None:
        for purpose in purposes:
            key = self._store.key(self._model.fingerprint, pixels, purpose)
            latent = self._store.get(key)
            if latent is not None and self._fits(latent):
                return self._held(crop, latent, key)
        return None

    def _purpose(self, class_id: int | None) -> str:
        """What a projection depends on besides model and picture."""
        projecting = self._projecting
        chosen = [
            self._model.hash,  # its encoder and discriminator count as well
            projecting.steps,
            projecting.space,
            projecting.start,
            projecting.pixel_weight,
            class_id,
            self._context.seed,
        ]
        return "projection:" + json.dumps(chosen)

    def _fits(self, latent: Latent) -> bool:
        """Whether the latent has the generator's sizes; a file may hold anything."""
        generator = self._model.generator
        if latent.z is not None and latent.z.shape[1] != generator.z_dim:
            return False
        if generator.num_classes == 0:
            return latent.y is None
        if latent.y is None:
            return latent.w_plus is not None
        if latent.y.is_floating_point():
            return latent.y.shape == (1, generator.num_classes)
        return latent.y.shape == (1,) and 0 <= int(latent.y) < generator.num_classes

    @torch.inference_mode()
    def _held(self, crop: Crop, latent: Latent, key: str) -> HeldPicture:
        generator = self._model.generator
        trace = generator.trace(**latent.arguments(self._context.device))
        class_id = class_of(latent)
        notes: list[str] = []
        if not latent.generated:
            if self._class is None and class_id is not None:
                label = generator.label_of(class_id)
                notes.append(
                    f"The picture was taken for {label!r}; choose what it shows if that is wrong."
                )
            notes.append(fit_sentence(latent.fit))
        reconstruction = generator.render(trace)
        return HeldPicture(crop, latent, trace, reconstruction, key, class_id, tuple(notes))

    def _guessed(self, target: Tensor) -> int:
        """The class that a picture most likely shows."""
        context = self._context
        with context.phase("guess class"):
            context.progress("Looking what the picture shows", 0, 1)
            ranked = guess_class(
                self._model.generator, target.to(context.device), tick=context.tick
            )
        return ranked[0][0]

    def _project(self, target: Tensor, class_id: int | None, name: str) -> Latent:
        context, projecting = self._context, self._projecting
        generator = self._model.generator
        began = context.clock()
        with context.phase("project"):
            found = project(
                generator,
                target.to(context.device),
                class_tensor(self._model, class_id),
                steps=projecting.steps,
                space=projecting.space,
                start=projecting.start,
                pixel_weight=projecting.pixel_weight,
                seed=context.seed,
                on_step=StepReporter(context, SEARCHING, name),
                tick=context.tick,
            )
        if projecting.steps >= LEAST_LEARNT_STEPS:
            plain = plain_seconds(generator.resolution, projecting.steps)
            context.machine.learn(SPEED, plain, context.clock() - began)
        styles = found.w_plus is not None
        return Latent(
            None if found.z is None or styles else found.z.detach().float().cpu(),
            None if found.y is None else found.y.detach().cpu(),
            found.w_plus.detach().float().cpu() if found.w_plus is not None else None,
            fit=float(found.fit),
        )


class StepReporter:
    """Tells how far a descent is, with the best picture so far now and then."""

    def __init__(self, context: Context, stage: str, name: str) -> None:
        """Report to a context.

        Args:
            context: The running operation's.
            stage: In the artist's words.
            name: The picture's.
        """
        self._context, self._stage = context, stage
        self._like = Picture(np.zeros((1, 1, 4), np.uint8), name=name)
        self._previewed = float("-inf")

    def __call__(self, step: Step) -> None:
        preview = None
        if time.monotonic() - self._previewed > PREVIEW_EVERY_S:
            self._previewed = time.monotonic()
            made = step.picture()[:1].float().cpu()
            preview = layer_from_tensors(self._stage, made, like=self._like)
        numbers = {"loss": step.loss, "best": step.best_loss}
        self._context.progress(
            self._stage, min(step.step, step.steps), step.steps, numbers=numbers, preview=preview
        )


def _check_networks(model: LoadedModel, projecting: Projecting) -> None:
    """Refuse a search that the model has no networks for."""
    generator = model.generator
    try:
        space_of(generator, projecting.space)
    except ValueError:
        words = {"extended": "no auxiliary networks", "w_plus": "no styles"}
        missing = words.get(projecting.space, "no such numbers")
        raise InvalidRequest(
            f"The model {model.title!r} has {missing} to search in.",
            value=projecting.space,
            remedy='Choose "By model" under Search in.',
            action={"label": "Search by model", "set": {"space": "auto"}},
        ) from None
    if projecting.start == "encoder" and generator.encoder is None:
        raise InvalidRequest(
            f"The model {model.title!r} has no encoder to start from.",
            value=projecting.start,
            remedy='Choose "By model" under Search from.',
            action={"label": "Start by model", "set": {"start": "auto"}},
        )


def class_of(latent: Latent) -> int | None:
    """The class that a latent's label is mostly of; None without one."""
    if latent.y is None:
        return None
    return int(latent.y.argmax(-1)) if latent.y.is_floating_point() else int(latent.y.flatten()[0])


def fit_sentence(fit: float) -> str:
    """What the fit means for the artist."""
    if fit >= GOOD_FIT:
        return f"The model holds this picture well (fit {fit:.0%})."
    if fit >= FAIR_FIT:
        return (
            f"The model holds this picture roughly (fit {fit:.0%}): details of the change may not "
            "sit right."
        )
    return (
        f"The model hardly holds this picture (fit {fit:.0%}): try an area close around one thing "
        "that the model knows, its right class, or more steps."
    )


def plain_seconds(resolution: int, steps: int) -> float:
    """Seconds that a projection takes on a machine of speed 1, for estimates."""
    return 0.3 + steps * 0.05 * (resolution / 64) ** 2


def projecting_estimate(context: Context, model_id: str, steps: int, pictures: int) -> Estimate:
    """How long an edit takes that has to find pictures first."""
    try:
        resolution = context.models.card(chosen_model(context, model_id)).resolution
    except IntarsiaError:
        resolution = 0  # no such model: the run says so
    seconds = plain_seconds(resolution or 128, steps) * pictures / context.machine.factor(SPEED)
    text = "Finds the picture in the model first, unless it is known already."
    return Estimate(seconds=seconds + 1.0, trains=False, text=text)
