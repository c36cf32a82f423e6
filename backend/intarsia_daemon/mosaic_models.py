"""Models of mosaics: found among the stored ones, or trained for the artist's templates."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import ModelRef
from intarsia_daemon import generator_trainings as shared
from intarsia_daemon.capable_models import capable_model
from intarsia_daemon.context import Context
from intarsia_daemon.generator_models import bytes_of
from intarsia_daemon.model_card import Card
from intarsia_daemon.mosaic_pace import TRAINING, speed_factor
from intarsia_daemon.mosaic_parameters import Wishes
from intarsia_daemon.mosaic_templates import Templates
from intarsia_daemon.picture_models import settings_hash
from intarsia_daemon.pixels import thumbnail
from intarsia_models.mosaic.cost import expected_seconds
from intarsia_models.mosaic.model import FAMILY, MosaicModel
from intarsia_models.mosaic.templates import PictureSource
from intarsia_models.mosaic.training import train_mosaic

TASK = "mosaic"
CAPABILITY = "mosaic"
GUIDED, UNGUIDED = "guided", "unguided"
ANY_TEMPLATES = "any_templates"
"""Capability of models that learnt many sets of templates, so that they serve new ones."""
STAGE = "Learning the templates"

MODEL = ModelRef(
    "model",
    "Model",
    "What puts the mosaic together; automatic: the one that learnt these templates, else one that "
    "serves any templates, else one that is learnt now.",
    capability=CAPABILITY,
)


@dataclass(frozen=True)
class FoundModel:
    """A stored model and what the artist should know about its choice."""

    id: str
    card: Card
    notes: list[str] = field(default_factory=list)
    training: shared.Training | None = None
    """Where it was trained just now."""


@contextlib.contextmanager
def loaded_mosaic(context: Context, model_id: str) -> Iterator[MosaicModel]:
    """The model in memory, as long as the ``with`` block runs.

    Raises:
        InvalidRequest: There is no such model.
        IntarsiaError: It is damaged, or does not fit into memory.
    """
    card, folder = context.models.card(model_id), context.models.path(model_id)
    key = (card.hash, context.device, FAMILY)
    with (
        context.phase("load"),
        contextlib.ExitStack() as kept,
    ):
        model = kept.enter_context(
            context.cache.get(
                key,
                lambda: MosaicModel.load(folder, device=context.device),
                lambda loaded: bytes_of(loaded.network),
                expected_bytes=card.bytes,
            )
        )
        keep = kept.pop_all()
    with keep:
        yield model


def serving_model(
    context: Context, wishes: Wishes, templates: Templates, model: str
) -> FoundModel | None:
    """The stored model that is best for these templates, if there is one.

    Args:
        context: The running operation's.
        wishes: Guided or not, and by which method.
        templates: What the mosaic is made of.
        model: The id of one that was chosen; it is taken or refused. Empty: by itself.

    Raises:
        InvalidRequest: The chosen model cannot do it.
    """
    if model:
        chosen = capable_model(
            context,
            model,
            CAPABILITY,
            does="makes mosaics",
            get="Leave the choice to the engine: then one is learnt.",
        )
        card = context.models.card(chosen)
        _check_guidance(card, wishes)
        return FoundModel(chosen, card)
    wanted, mark = _guidance(wishes), templates.fingerprint
    fitting = [
        (model_id, card)
        for model_id, card in context.models.cards()
        if card.family == FAMILY and wanted in card.capabilities
    ]
    if wishes.style != "magic":  # the others know their own templates only
        return None
    for model_id, card in fitting:  # the user's own come first, newest first
        if card.fingerprint == mark:
            return FoundModel(model_id, card)
    for model_id, card in fitting:
        if ANY_TEMPLATES in card.capabilities:
            return FoundModel(model_id, card, [_told(card)])
    return None


def trained_model(
    context: Context,
    wishes: Wishes,
    templates: Templates,
    contents: PictureSource | None,
    *,
    title: str,
    again: bool,
) -> FoundModel:
    """The model that learnt just this: found, or trained and stored.

    Args:
        context: The running operation's.
        wishes: Of the networks and the training.
        templates: What mosaics are to be made of.
        contents: What they follow; None for unguided ones.
        title: The model's name for people, where it is new.
        again: Whether it is trained even if it is there.

    Raises:
        TrainingRequired: It has to be trained, and this is the edit lane.
        ModelsError: The pictures cannot be learnt.
    """
    return learnt(
        context,
        wishes,
        [templates],
        contents,
        title=title,
        operation="mosaic",
        again=again,
    )


def learnt(
    context: Context,
    wishes: Wishes,
    templates: Sequence[Templates],
    contents: PictureSource | None,
    *,
    title: str,
    operation: str,
    again: bool = False,
    report: str = "",
) -> FoundModel:
    """As `trained_model`, for several sets of templates.

    Args:
        context: As there.
        wishes: As there.
        templates: Several make a model that serves any of them, and others like them.
        contents: As there.
        title: As there.
        operation: Which one asks; stands on the model's card.
        again: As there.
        report: A folder for curves and samples; empty: none.
    """
    networks, training = wishes.networks(), wishes.training()
    marks = [item.fingerprint for item in templates]
    mark = marks[0] if len(marks) == 1 else hashlib.sha256("".join(marks).encode()).hexdigest()
    described = {
        "networks": networks.to_card(),
        "training": training.to_card(),
        "contents": "" if contents is None else contents.fingerprint(),
        "scales": [item.source.scale for item in templates],
    }
    wanted = settings_hash(described, context.seed if again else 0)
    known = None if again else shared.known_result(context, mark, FAMILY, wanted, task=TASK)
    if known is not None:
        return FoundModel(*known)
    plain = expected_seconds(networks, training, device=context.device)
    context.require_training(plain / speed_factor(context, TRAINING))
    following = shared.Training(context, STAGE, plain, report, speed=TRAINING)
    with context.phase("train"), following.following() as follow:
        trained = train_mosaic(
            [item.source for item in templates],
            contents,
            networks,
            training,
            on_progress=follow,
            **following.arguments,
        )
    capabilities = [CAPABILITY, _guidance(wishes)]
    if len(templates) > 1 and wishes.style == "magic":
        capabilities.append(ANY_TEMPLATES)
    card: dict[str, Any] = {
        "family": FAMILY,
        "task": TASK,
        "title": title,
        "operation": operation,
        "source_hash": mark,
        "settings_hash": wanted,
        "fingerprint": mark,
        "seconds": trained.seconds,
        "capabilities": tuple(capabilities),
    }
    samples = following.samples
    small = None if samples is None else thumbnail(shared.samples_layer(title, samples))
    model_id = context.models.add(trained.model.save, card, thumbnail=small)
    following.finish(trained.seconds)
    card_of = context.models.card(model_id)
    return FoundModel(model_id, card_of, following.notices, following)


def may_serve(context: Context, wishes: Wishes, model: str) -> bool:
    """Whether a model that is there serves templates that are not known yet: for estimates."""
    if model:
        return True
    wanted = {_guidance(wishes), ANY_TEMPLATES}
    return wishes.style == "magic" and any(
        card.family == FAMILY and wanted <= set(card.capabilities)
        for _, card in context.models.cards()
    )


def training_seconds(context: Context, wishes: Wishes) -> float:
    """How long learning takes on this machine."""
    networks, training = wishes.networks(), wishes.training()
    plain = expected_seconds(networks, training, device=context.device)
    return plain / speed_factor(context, TRAINING)


def _guidance(wishes: Wishes) -> str:
    return GUIDED if wishes.guided else UNGUIDED


def _check_guidance(card: Card, wishes: Wishes) -> None:
    if _guidance(wishes) in card.capabilities:
        return
    what = (
        "follows no guide" if wishes.guided else "needs a guide: it makes mosaics of pictures only"
    )
    raise InvalidRequest(
        f"The model {card.title!r} {what}.",
        value=card.title,
        remedy="Leave the choice of the model to the engine, or choose another one"
        + (", or switch the guide off." if wishes.guided else ", or switch the guide on."),
    )


def _told(card: Card) -> str:
    return (
        f"Made with {card.title!r}, which never saw these templates. "
        'To have them learnt, choose Learns: "These templates".'
    )
