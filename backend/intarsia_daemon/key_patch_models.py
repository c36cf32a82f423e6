"""Models that make a whole of parts: found, loaded once, and parts as they see them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import ModelRef
from intarsia_daemon.capable_models import capable_model
from intarsia_daemon.context import Context
from intarsia_daemon.generator_models import bytes_of
from intarsia_daemon.pixels import Picture, alpha_tensor, picture_tensor
from intarsia_daemon.real_pictures import visible_part
from intarsia_models.key_patches.model import CAPABILITY, FAMILY, TASK, KeyPatchModel
from intarsia_models.key_patches.patches import Part

__all__ = [
    "ASSEMBLE",
    "FAMILY",
    "FEATURES",
    "TASK",
    "LoadedPatches",
    "loaded_patches",
    "model_parameter",
    "part_of",
    "parts_of",
]

ASSEMBLE, FEATURES = CAPABILITY, "features"
"""Capabilities on the cards of these models."""
_DOES = {ASSEMBLE: "makes a whole of parts", FEATURES: "describes pictures by numbers"}
_GET = 'Train one on a folder of pictures: "intarsia train patches --data FOLDER".'


@dataclass(frozen=True)
class LoadedPatches:
    """A model in memory, and which one it is."""

    id: str
    title: str
    hash: str
    model: KeyPatchModel


def model_parameter(capability: str = ASSEMBLE) -> ModelRef:
    """The model's choice."""
    return ModelRef(
        "model",
        "Model",
        "Which model is used, learnt from pictures of one kind; empty: the one that comes with "
        "Intarsia.",
        capability=capability,
    )


@contextlib.contextmanager
def loaded_patches(
    context: Context, model_id: str, *, capability: str = ASSEMBLE
) -> Iterator[LoadedPatches]:
    """The model of that id, in memory as long as the ``with`` block runs.

    Args:
        context: The running operation's.
        model_id: A stored model; empty takes the best there is.
        capability: What it must be able to do.

    Raises:
        InvalidRequest: There is no such model, or it cannot do that.
        IntarsiaError: It is damaged, or does not fit into memory.
    """
    found = capable_model(context, model_id, capability, does=_DOES[capability], get=_GET)
    card, folder = context.models.card(found), context.models.path(found)
    with contextlib.ExitStack() as kept:
        with context.phase("load"):
            model = kept.enter_context(
                context.cache.get(
                    (card.hash, context.device, "key patches"),
                    lambda: KeyPatchModel.load(folder, device=context.device),
                    _bytes_of,
                    expected_bytes=card.bytes,
                )
            )
        yield LoadedPatches(found, card.title, card.hash, model)


def part_of(piece: Picture) -> Part:
    """A piece at its own size, without the transparent rows and columns around it.

    Raises:
        InvalidRequest: Nothing of it is visible, or an f32 piece holds nan or infinity.
    """
    seen = visible_part(piece)
    return Part(picture_tensor(seen), alpha_tensor(seen))


def parts_of(pieces: Sequence[Picture], loaded: LoadedPatches) -> list[Part]:
    """Pieces as a model takes them.

    Raises:
        InvalidRequest: There are more than it can take, or one shows nothing.
    """
    most = loaded.model.parts
    if len(pieces) > most:
        raise InvalidRequest(
            f"The model {loaded.title!r} makes a whole of at most {most} parts, got {len(pieces)}.",
            value=len(pieces),
            remedy=f"Hide or leave out all but {most} of them, or train a model for more parts.",
        )
    return [part_of(piece) for piece in pieces]


def _bytes_of(model: KeyPatchModel) -> int:
    networks = (model.generator, model.critic)
    return sum(bytes_of(network) for network in networks if network is not None)
