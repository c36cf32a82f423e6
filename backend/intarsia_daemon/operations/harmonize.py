"""Repaint a pasted element in the picture's manner, with a model that learnt the picture."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from intarsia_client.schema import Choice, Input, Option, Scalar, Toggle
from intarsia_client.version import __version__
from intarsia_daemon.composition import Placed, place, window_of
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.operations.blend import AREA, ELEMENT
from intarsia_daemon.picture_models import Known, find_model, fingerprint, settings_hash
from intarsia_daemon.pixels import (
    Area,
    Layer,
    Outcome,
    Picture,
    layer_from_tensors,
    thumbnail,
)
from intarsia_daemon.training_pace import Pace
from intarsia_models.checkpoints import remove_checkpoints
from intarsia_models.single_image.cost import expected_fine_tune_seconds, expected_seconds
from intarsia_models.single_image.fine_tuning import fine_tune as fine_tune_model
from intarsia_models.single_image.harmonization import harmonize as harmonize_picture
from intarsia_models.single_image.model import FAMILY, TrainedModel
from intarsia_models.single_image.pyramid import full_size, pyramid_sizes
from intarsia_models.single_image.settings import TaskSettings, harmonization_settings
from intarsia_models.single_image.training import TrainingProgress, image_hash, train

SPEED = "single_image"
"""Under which the machine learns how fast it trains."""
PREVIEW_EVERY_S = 2.0
FOUR_STAGES_FROM = 400
"""Pixels of the model's longer side above which "auto" takes four stages."""
STEPS = 1000
"""Progress steps of a whole training."""


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run that has to train; ``sizes`` are (height, width) by input."""
    height, width = sizes["picture"]
    settings = wanted_settings(parameters["quality"], parameters["stages"], height, width)
    seconds = _training_seconds(settings, height, width, context)
    if parameters["fine_tune"]:
        seconds += _tuning_seconds(settings, height, width, context)
    text = "Learns this picture first, unless it knows it already: then it takes seconds."
    return Estimate(seconds=seconds, trains=True, text=text)


@operation(
    title="Harmonize",
    verb="Harmonize the element",
    inputs=(
        Input(
            "picture",
            "picture",
            "Picture",
            "What the model learns: everything visible below the element, or a picture file.",
        ),
        ELEMENT,
        AREA,
    ),
    parameters=(
        Choice(
            "quality",
            "Quality",
            "How much the model learns before it is used; it learns once per picture.",
            (
                Option("draft", "Draft", "Small and quick: a few minutes without a graphics card."),
                Option("normal", "Normal", "As published: meant for a graphics card."),
                Option("fine", "Fine", "For pictures of 700 pixels and more: a graphics card."),
            ),
            default="draft",
        ),
        Scalar(
            "strength",
            "Strength",
            "How much of the change is made.",
            0.0,
            1.0,
            1.0,
            recompute=False,
        ),
        Toggle(
            "fine_tune",
            "Fit to element",
            "Learns a little more on this very element: closer to the picture, takes longer.",
            False,
        ),
        Scalar(
            "grow",
            "Reach",
            "How far beyond the element the change may go, at the model's size.",
            0.0,
            30.0,
            0.0,
            unit="px",
            step=1.0,
            advanced=True,
        ),
        Scalar(
            "softness",
            "Softness",
            "How softly the change ends, at the model's size.",
            0.0,
            30.0,
            0.0,
            unit="px",
            step=0.5,
            advanced=True,
        ),
        Choice(
            "stages",
            "Stages",
            "In how many sizes the picture is learnt, small to large.",
            (
                Option("auto", "By size", "Three; four where more than 400 pixels are learnt."),
                Option("3", "Three", "For pictures of about 250 pixels."),
                Option("4", "Four", "For pictures of about 700 pixels."),
            ),
            default="auto",
            advanced=True,
        ),
        Choice(
            "reuse",
            "Stored model",
            "Which stored model may be used instead of learning again.",
            (
                Option("similar", "Nearly this picture", "Also after something was pasted in."),
                Option("exact", "Exactly this picture", "Only if no pixel has changed."),
                Option("new", "None", "Learn the picture again."),
            ),
            default="similar",
            advanced=True,
        ),
    ),
    trains=True,
    estimate=estimate,
)
def harmonize(
    picture: Picture,
    element: Picture,
    area: Area | None,
    quality: str,
    strength: float,
    fine_tune: bool,
    grow: float,
    softness: float,
    stages: str,
    reuse: str,
    context: Context,
) -> Outcome:
    """Repaint a pasted object in the colours and strokes of the picture around it.

    Source: Hinz et al. 2020, arXiv:2003.11512, section 4.2. The composite is made over the
    pasted picture, so that everything outside the element stays as it is; on pictures larger than
    the model the difference is enlarged, so that detail stays
    (docs/decisions/0009-full-resolution.md). Deviation: the change keeps to the element's own alpha
    unless told otherwise; the published 7 pixels of growth and 5 of softness, enlarged to the
    picture, show as a halo.
    """
    with context.phase("prepare"):
        placed = place(picture, element, area, margin=None)
        height, width = placed.target.shape[-2:]
        settings = wanted_settings(quality, stages, height, width)
    work = _Work(placed, settings, picture.name or "Picture", context)
    model, notes = work.model(reuse)
    if fine_tune:
        model = work.tuned(model, element.name or "element")
    with context.phase("harmonize"), torch.inference_mode():
        context.progress("Harmonizing", 0, 1)
        done = harmonize_picture(
            model.trained,
            placed.naive,
            placed.edit_mask,
            strength=strength,
            radius=round(grow),
            sigma=softness,
        )
    with context.phase("layer"):
        changed = (done.edit_mask.cpu() > 0) | (placed.edit_mask > 0)
        window = window_of(changed[0, 0].numpy())
        layer = layer_from_tensors(
            f"Harmonized {element.name}".strip(),
            window.cut_tensor(done.picture).cpu(),
            window.cut_tensor(changed).float(),
            like=window.picture(placed.picture),
        )
    used = context.models.reference(model.id)
    return Outcome([layer], model=used, notes=[*notes, *model.trained.notes])


def wanted_settings(quality: str, stages: str, height: int, width: int) -> TaskSettings:
    """The training settings that the artist's choices mean for a picture of that size.

    Args:
        quality: "draft", "normal" or "fine".
        stages: "3", "4", or "auto": four where the model itself is larger than `FOUR_STAGES_FROM`.
        height: Rows of the picture.
        width: Columns of the picture.

    Source: arXiv:2003.11512, section 4.2: three stages at 250 pixels, four at about 700.
    """
    size = (height, width)
    if stages == "auto":
        largest = max(full_size(*size, harmonization_settings(quality).max_size))
        stages = "4" if largest > FOUR_STAGES_FROM else "3"
    return harmonization_settings(quality, stages=int(stages), size=size)


@dataclass(frozen=True)
class _Model:
    """A model and the name under which it is stored."""

    id: str
    trained: TrainedModel


class _Work:
    """One picture's models: found, loaded, or trained and stored."""

    def __init__(
        self, placed: Placed, settings: TaskSettings, title: str, context: Context
    ) -> None:
        self.placed = placed
        self.settings = settings
        self.title = title
        self.context = context
        self.image_hash = image_hash(placed.target)
        self._previewed = float("-inf")
        self._pace: Pace | None = None

    def model(self, reuse: str) -> tuple[_Model, list[str]]:
        """The model of this picture, and what the artist should know about it."""
        wanted = settings_hash(self.settings.to_card(), self.context.seed)
        known = None if reuse == "new" else self._find(wanted, nearly=reuse == "similar")
        if known is None:
            return self._train(wanted), []
        notes = []
        if known.likeness < 1.0:
            notes.append(
                f"Used the model of nearly this picture ({known.likeness:.0%} of it is unchanged). "
                "Choose Stored model: None to learn the picture as it is now."
            )
        return self._load(known.id), notes

    def tuned(self, model: _Model, element: str) -> _Model:
        """The model fitted to this composite."""
        composite = image_hash(self.placed.naive)
        wanted = settings_hash({"model": model.id, "composite": composite}, self.context.seed)
        known = self._find(wanted, nearly=False)
        if known is not None:
            return self._load(known.id)
        context, trained = self.context, model.trained
        height, width = self.placed.target.shape[-2:]
        expected = _tuning_seconds(self.settings, height, width, context)
        context.require_training(expected)
        folder, self._pace = context.folder / "fine-tuning", None
        with context.phase("fine-tune"):
            tuned = fine_tune_model(
                trained,
                self.placed.naive,
                seed=context.seed,
                on_progress=lambda p: self._report("Fitting to the element", p, expected),
                tick=context.tick,
                checkpoint_folder=folder,
            )
        stored = self._store(tuned, wanted, f"{self.title}, fitted to {element}")
        remove_checkpoints(folder)
        return stored

    def _find(self, wanted: str, *, nearly: bool) -> Known | None:
        return find_model(
            self.context.models.cards(),
            image_hash=self.image_hash,
            mark=fingerprint(self.placed.target),
            settings=wanted,
            nearly=nearly,
        )

    def _train(self, wanted: str) -> _Model:
        context = self.context
        height, width = self.placed.target.shape[-2:]
        plain = expected_seconds(self.settings, height, width, context.device)
        expected = plain / context.machine.factor(SPEED)
        context.require_training(expected)
        folder = context.folder / "training"
        with context.phase("train"):
            trained = train(
                self.placed.target,
                self.settings,
                seed=context.seed,
                device=context.device,
                on_progress=lambda p: self._report(_stage_text(p), p, expected),
                tick=context.tick,
                checkpoint_folder=folder,
            )
        context.machine.learn(SPEED, plain, trained.training_seconds)
        stored = self._store(trained, wanted, self.title)
        remove_checkpoints(folder)
        return stored

    def _report(self, stage: str, progress: TrainingProgress, expected: float) -> None:
        preview: Layer | None = None
        if time.monotonic() - self._previewed > PREVIEW_EVERY_S:
            self._previewed = time.monotonic()
            shown = progress.preview(self.placed.naive).float().cpu()
            preview = layer_from_tensors(stage, shown, like=self.placed.picture)
        done = progress.fraction
        if self._pace is None:
            self._pace = Pace(self.context, expected)
        self.context.progress(
            stage,
            round(done * STEPS),
            STEPS,
            numbers=progress.losses,
            preview=preview,
            seconds_left=self._pace.seconds_left(done),
        )

    def _store(self, trained: TrainedModel, wanted: str, title: str) -> _Model:
        card = {
            "family": FAMILY,
            "task": trained.settings.task,
            "title": title,
            "operation": "harmonize",
            "source_hash": self.image_hash,
            "settings_hash": wanted,
            "fingerprint": fingerprint(self.placed.target),
            "seconds": trained.training_seconds,
        }
        model_id = self.context.models.add(
            lambda folder: trained.save(folder, software_version=__version__),
            card,
            thumbnail=thumbnail(self.placed.picture),
        )
        return _Model(model_id, trained)

    def _load(self, model_id: str) -> _Model:
        folder, device = self.context.models.path(model_id), self.context.device
        key = (self.context.models.reference(model_id)["hash"], device)
        with (
            self.context.phase("load"),
            self.context.cache.get(
                key, lambda: TrainedModel.load(folder, device=device), _bytes_of
            ) as trained,
        ):
            return _Model(model_id, trained)


def _bytes_of(model: TrainedModel) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in model.tensors().values())


def _stage_text(progress: TrainingProgress) -> str:
    return f"Training, stage {progress.stage + 1} of {progress.stages}"


def _training_seconds(settings: TaskSettings, height: int, width: int, context: Context) -> float:
    speed = context.machine.factor(SPEED)
    return expected_seconds(settings, height, width, context.device, speed=speed)


def _tuning_seconds(settings: TaskSettings, height: int, width: int, context: Context) -> float:
    sizes = pyramid_sizes(
        height,
        width,
        stages=settings.stages,
        min_size=settings.min_size,
        max_size=settings.max_size,
        rule=settings.rule,
    )
    return expected_fine_tune_seconds(
        settings,
        sizes,
        settings.fine_tune_iterations,
        context.device,
        speed=context.machine.factor(SPEED),
    )
