"""Models of one picture: found among the stored ones, or trained and stored."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Choice, ModelRef, Option, Toggle
from intarsia_client.version import __version__
from intarsia_daemon.capable_models import capable_model
from intarsia_daemon.context import Context
from intarsia_daemon.picture_models import (
    NEARLY_THE_SAME,
    Known,
    find_model,
    fingerprint,
    likeness,
    settings_hash,
)
from intarsia_daemon.pixels import Layer, Picture, layer_from_tensors, thumbnail
from intarsia_daemon.training_pace import Pace
from intarsia_models.checkpoints import remove_checkpoints
from intarsia_models.single_image.cost import expected_fine_tune_seconds, expected_seconds
from intarsia_models.single_image.fine_tuning import fine_tune
from intarsia_models.single_image.model import FAMILY, TrainedModel
from intarsia_models.single_image.pyramid import pyramid_sizes
from intarsia_models.single_image.sampling import own_scale
from intarsia_models.single_image.settings import LEAST_SIZE, TaskSettings, quality_of
from intarsia_models.single_image.settling import SETTLED_BELOW
from intarsia_models.single_image.training import TrainingProgress, image_hash, train

SPEED = "single_image"
"""Under which the machine learns how fast it trains."""
PREVIEW_EVERY_S = 2.0
STEPS = 1000
"""Progress steps of a whole training."""

REUSE = Choice(
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
)
STOP_EARLY = Toggle(
    "stop_early",
    "Stop early",
    "A stage of the training ends as soon as its picture hardly changes any more: quicker, and "
    "perhaps a little worse.",
    False,
    advanced=True,
)
_USES = {
    "variations": "makes variations and animations",
    "painting": "makes pictures of paintings",
    "harmonization": "harmonizes",
    "editing": "retouches",
}
"""What models of one picture can be used for, by the words on their cards."""


def stored_model(use: str) -> ModelRef:
    """The choice of a model that learnt another picture.

    Args:
        use: Of `intarsia_models.single_image.settings.capabilities`.
    """
    return ModelRef(
        "model",
        "Model",
        "A stored model to be used as it is, of this picture or of another one: the result takes "
        "on the manner of the picture that it learnt.",
        capability=use,
        empty="This picture's own",
        advanced=True,
    )


@dataclass(frozen=True)
class PictureModel:
    """A model and the name under which it is stored."""

    id: str
    trained: TrainedModel
    elsewhere: bool = False
    """Whether it learnt another picture than the one it is used for."""


class PictureTrainings:
    """One picture's models: found, loaded, or trained and stored."""

    def __init__(
        self,
        context: Context,
        picture: Picture,
        target: Tensor,
        settings: TaskSettings,
        *,
        operation: str,
        shown: Tensor | None = None,
        any_seed: bool = True,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            context: The running operation's.
            picture: What is learnt, for its name, sample type and thumbnail.
            target: (1, 3, H, W) in [-1, 1]: the same as the model gets it.
            settings: Of the training.
            operation: Which one asks; stands on the model's card.
            shown: (1, 3, h, w) in [-1, 1]: what previews are made of; None: the picture itself.
            any_seed: Whether a model that was trained with another seed will do, so that another
                seed makes another result without learning again.
        """
        self.context = context
        self.picture = picture
        self.target = target
        self.settings = settings
        self.operation = operation
        self.shown = shown
        self.title = picture.name or "Picture"
        self.image_hash = image_hash(target)
        self._seed = 0 if any_seed else context.seed
        self._previewed = float("-inf")
        self._pace: Pace | None = None

    def model(self, reuse: str, chosen: str = "", use: str = "") -> tuple[PictureModel, list[str]]:
        """The model of this picture, and what the artist should know about it.

        Args:
            reuse: Of `REUSE`.
            chosen: Id of a stored model that is taken or refused; empty: by ``reuse``.
            use: Of `stored_model`: what a chosen model has to be able to do.

        Raises:
            InvalidRequest: There is no such model, or it cannot do that.
            TrainingRequired: It has to be trained, and this is the edit lane.
            ModelsError: The picture cannot be learnt.
        """
        if chosen:
            return self._chosen(chosen, use)
        wanted = settings_hash(self.settings.to_card(), self._seed)
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

    def tuned(self, model: PictureModel, naive: Tensor, element: str) -> PictureModel:
        """The model fitted to a composite.

        Args:
            model: Of this picture.
            naive: (1, 3, H, W) in [-1, 1]: the composite.
            element: What was added or moved, for the model's title.

        Raises:
            InvalidRequest: The model learnt another picture.
            TrainingRequired: As `model`.
        """
        if model.elsewhere:
            raise InvalidRequest(
                "The chosen model learnt another picture, so that it cannot be fitted to this one.",
                value=model.id,
                remedy="Switch the fitting off, or let this picture's own model be used.",
            )
        composite = image_hash(naive)
        wanted = settings_hash({"model": model.id, "composite": composite}, self._seed)
        known = self._find(wanted, nearly=False)
        if known is not None:
            return self._load(known.id)
        context, trained = self.context, model.trained
        height, width = self.target.shape[-2:]
        expected = tuning_seconds(self.settings, height, width, context)
        context.require_training(expected)
        folder, self._pace = context.folder / "fine-tuning", None
        with context.phase("fine-tune"):
            tuned = fine_tune(
                trained,
                naive,
                seed=context.seed,
                on_progress=lambda p: self._report("Fitting to the element", p, expected),
                tick=context.tick,
                checkpoint_folder=folder,
            )
        stored = self._store(tuned, wanted, f"{self.title}, fitted to {element}")
        remove_checkpoints(folder)
        return stored

    def _chosen(self, model_id: str, use: str) -> tuple[PictureModel, list[str]]:
        context = self.context
        capable_model(
            context,
            model_id,
            use,
            does=_USES[use],
            get="Leave the choice to the engine: then this picture is learnt.",
        )
        card = context.models.card(model_id)
        alike = likeness(fingerprint(self.target), card.fingerprint) >= NEARLY_THE_SAME
        model = self._load(model_id)
        if alike or card.source_hash == self.image_hash:
            return model, []
        height, width = self.target.shape[-2:]
        if min(own_scale(model.trained, height, width)) < LEAST_SIZE:
            raise InvalidRequest(
                f"The picture has {width} x {height} pixels, too narrow for the chosen model.",
                value=[width, height],
                remedy="Select a part of it, or let this picture's own model be used.",
            )
        note = f"Used the model “{card.title}”, which learnt another picture."
        return replace(model, elsewhere=True), [note]

    def _find(self, wanted: str, *, nearly: bool) -> Known | None:
        return find_model(
            self.context.models.cards(),
            image_hash=self.image_hash,
            mark=fingerprint(self.target),
            settings=wanted,
            nearly=nearly,
        )

    def _train(self, wanted: str) -> PictureModel:
        context = self.context
        height, width = self.target.shape[-2:]
        plain = expected_seconds(self.settings, height, width, context.device)
        expected = plain / context.machine.factor(SPEED)
        context.require_training(expected)
        folder = context.folder / "training"
        with context.phase("train"):
            trained = train(
                self.target,
                self.settings,
                seed=context.seed,
                device=context.device,
                on_progress=lambda p: self._report(_stage_text(p), p, expected),
                tick=context.tick,
                checkpoint_folder=folder,
            )
        if not self.settings.settled_below:  # else it may have ended early
            context.machine.learn(SPEED, plain, trained.training_seconds)
        stored = self._store(trained, wanted, self.title)
        remove_checkpoints(folder)
        return stored

    def _report(self, stage: str, progress: TrainingProgress, expected: float) -> None:
        preview: Layer | None = None
        if time.monotonic() - self._previewed > PREVIEW_EVERY_S:
            self._previewed = time.monotonic()
            shown = progress.preview(self.shown).float().cpu()
            preview = layer_from_tensors(stage, shown, like=self.picture)
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

    def _store(self, trained: TrainedModel, wanted: str, title: str) -> PictureModel:
        card = {
            "family": FAMILY,
            "task": trained.settings.task,
            "title": title,
            "detail": _detail(trained),
            "operation": self.operation,
            "source_hash": self.image_hash,
            "settings_hash": wanted,
            "fingerprint": fingerprint(self.target),
            "seconds": trained.training_seconds,
        }
        model_id = self.context.models.add(
            lambda folder: trained.save(folder, software_version=__version__),
            card,
            thumbnail=thumbnail(self.picture),
        )
        return PictureModel(model_id, trained)

    def _load(self, model_id: str) -> PictureModel:
        folder, device = self.context.models.path(model_id), self.context.device
        key = (self.context.models.reference(model_id)["hash"], device)
        with (
            self.context.phase("load"),
            self.context.cache.get(
                key, lambda: TrainedModel.load(folder, device=device), _bytes_of
            ) as trained,
        ):
            return PictureModel(model_id, trained)


def _detail(trained: TrainedModel) -> str:
    """What a model is among those of its picture: ``"draft, 160 px"``."""
    size = f"{max(trained.sizes[-1])} px"
    return ", ".join(filter(None, (quality_of(trained.settings), size)))


def _bytes_of(model: TrainedModel) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in model.tensors().values())


def _stage_text(progress: TrainingProgress) -> str:
    return f"Training, stage {progress.stage + 1} of {progress.stages}"


def stopping_early(settings: TaskSettings, stop_early: bool) -> TaskSettings:
    """Settings with the early end that the artist wants, or without."""
    return replace(settings, settled_below=SETTLED_BELOW) if stop_early else settings


def early_text(settings: TaskSettings) -> str:
    """What an estimate adds where a training may end earlier than it says."""
    return " It may end earlier." if settings.settled_below else ""


def training_seconds(settings: TaskSettings, height: int, width: int, context: Context) -> float:
    """How long learning a picture of that size takes on this machine."""
    return expected_seconds(
        settings,
        height,
        width,
        context.device,
        speed=context.machine.factor(SPEED),
    )


def tuning_seconds(settings: TaskSettings, height: int, width: int, context: Context) -> float:
    """How long fitting a model to a composite takes on this machine."""
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
