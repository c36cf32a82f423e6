"""Generators of the model store: found, loaded once, and their classes and layers by name."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Context
from intarsia_daemon.latent_store import LatentStore
from intarsia_models.generators.families import known_families
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.levels import GROUPS
from intarsia_models.generators.loading import fingerprint, load_generator

SHOWN_NAMES = 12
"""Names listed in an error."""
IMPORT_COMMAND = "intarsia models import FILE"

CAPABILITY_WORDS = {
    "classes": "has classes",
    "spatial_classes": "can mix classes by position",
    "w_plus": "has styles",
    "truncation": "can be truncated",
    "noise": "has noise inputs",
    "regressor": "has a regressor, the network that reads a collage",
}
_ADDED_BY = {"regressor": 'add one to it with "intarsia train regressor"'}
"""Capabilities that a model can be given here, and how."""


@dataclass(frozen=True)
class LoadedModel:
    """A generator in memory, and the model it is."""

    id: str
    hash: str
    title: str
    generator: Generator
    fingerprint: str
    """SHA-256 of the generator's own tensors: its latents stay when networks are added."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.generator.parameters()).device


@contextlib.contextmanager
def loaded_model(context: Context, model_id: str, *, capability: str = "") -> Iterator[LoadedModel]:
    """The generator of that id, in memory as long as the ``with`` block runs.

    Args:
        context: The running operation's.
        model_id: A stored model; empty takes the best there is.
        capability: What it must be able to do (of `intarsia_models.generators.CAPABILITIES`).

    Raises:
        InvalidRequest: There is no such model, it is no generator, or it cannot do that.
        IntarsiaError: It is damaged, or does not fit into memory.
    """
    found = chosen_model(context, model_id, capability)
    card = context.models.card(found)
    folder = context.models.path(found)
    key = (card.hash, context.device, "generator")
    with (
        context.phase("load"),
        contextlib.ExitStack() as kept,
    ):
        generator, mark = kept.enter_context(
            context.cache.get(
                key,
                lambda: _load(folder, context.device),
                lambda loaded: bytes_of(loaded[0]),
                expected_bytes=card.bytes,
            )
        )
        loaded = LoadedModel(found, card.hash, card.title, generator, mark)
        _check_capability(loaded, capability)
        keep = kept.pop_all()
    with keep:
        yield loaded


def chosen_model(context: Context, model_id: str, capability: str = "") -> str:
    """The id that is meant: the one given, or the best model that can do what is asked.

    The best is what ships with the release; without that, what was added last.

    Raises:
        InvalidRequest: There is none, or the one given is no generator.
    """
    families = known_families()
    if model_id:
        card = context.models.card(model_id)
        if card.family not in families:
            raise InvalidRequest(
                f"The model {card.title or model_id!r} is no generator of pictures, but of the "
                f"kind {card.family!r}.",
                value=model_id,
                remedy=f"Choose another one: {_ids(context, families)}.",
            )
        return model_id
    entries = [e for e in context.models.list() if e["family"] in families and not e.get("problem")]
    able = [e for e in entries if not capability or capability in e.get("capabilities", ())]
    able.sort(key=lambda entry: not entry.get("shipped", False))  # stable: newest first within
    if able:
        return able[0]["id"]
    if entries:
        raise InvalidRequest(
            f"None of the {len(entries)} installed models {CAPABILITY_WORDS[capability]}.",
            value="",
            remedy=_remedy_for(capability),
            code="NOT_FOUND",
        )
    raise InvalidRequest(
        "No generator model is installed.",
        value="",
        remedy=f'Import one with "{IMPORT_COMMAND}", or train one with "intarsia train gan".',
        code="NOT_FOUND",
    )


def latents_of(context: Context) -> LatentStore:
    """The store of latents beside the store of models."""
    return LatentStore(context.models.folder.parent / "latents")


def bytes_of(network: torch.nn.Module) -> int:
    """Memory of a network's parameters and buffers."""
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def _load(folder: Path, device: str) -> tuple[Generator, str]:
    generator = load_generator(folder, device=device, half=device.startswith("cuda"))
    return generator, fingerprint(generator)


# --- classes --------------------------------------------------------------------------------------


def find_class(model: LoadedModel, wanted: str) -> int:
    """The number of a class.

    Args:
        model: Whose classes.
        wanted: A label, whatever its case (``_`` counts as a space); one of several names that a
            label gives (``"tench, Tinca tinca"``); a number; or the beginning of exactly one label.

    Raises:
        InvalidRequest: There is no such class, or several; the message names the nearest.
    """
    generator, text = model.generator, _plain(wanted)
    if generator.num_classes == 0:
        raise InvalidRequest(
            f"The model {model.title!r} has no classes, yet the class {wanted!r} was asked for.",
            value=wanted,
            remedy="Leave the class empty, or choose a model with classes.",
        )
    names = [_plain(label) for label in generator.labels]
    parts = [[_plain(part) for part in label.split(",")] for label in generator.labels]
    for found in (
        [index for index, name in enumerate(names) if name == text],
        [index for index, part in enumerate(parts) if text in part],
        _number(text, generator.num_classes),
        [index for index, name in enumerate(names) if text and name.startswith(text)],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(generator.label_of(index) for index in found[:SHOWN_NAMES])
            raise InvalidRequest(
                f"{wanted!r} may mean {len(found)} classes of the model {model.title!r}.",
                value=wanted,
                remedy=f"Say which: {several}.",
            )
    raise InvalidRequest(
        f"The model {model.title!r} has no class {wanted!r}.",
        value=wanted,
        remedy=_nearest(generator, text),
    )


def named_class(generator: Generator, name: str) -> int | None:
    """The class that a layer's name begins with, such as "Lemon copy 2"; None: with none.

    Of several classes it is the one with the longest label.
    """
    words = _plain(name)
    found = [
        (len(label), index)
        for index, text in enumerate(generator.labels)
        for label in (_plain(part) for part in text.split(","))
        if label and f"{words} ".startswith(f"{label} ")
    ]
    return max(found)[1] if found else None


def class_tensor(model: LoadedModel, index: int | None) -> torch.Tensor | None:
    """(1,) int64 on the model's device; None without classes."""
    if index is None:
        return None
    return torch.tensor([index], dtype=torch.int64, device=model.device)


# --- layers ---------------------------------------------------------------------------------------

LAYER_CHOICES: Mapping[str, tuple[str, ...]] = {
    "everything": GROUPS,
    "layout": ("layout",),
    "shapes": ("shapes",),
    "texture": ("texture",),
    "not_layout": ("shapes", "texture"),
}


def chosen_norms(generator: Generator, choice: str, names: str) -> tuple[str, ...] | None:
    """The conditional layers that a new class acts on.

    Args:
        generator: Whose layers.
        choice: Of `LAYER_CHOICES`.
        names: Names with commas between them; where given they count instead of the choice.

    Returns:
        Names of norm layers, or None for all.

    Raises:
        InvalidRequest: A name is unknown; the message lists those there are.
    """
    known = [layer.name for layer in generator.norm_layers]
    named = [part.strip() for part in names.split(",") if part.strip()]
    if named:
        for name in named:
            _check_name(name, known, "layer_names")
        return tuple(named)
    if choice == "everything":
        return None
    groups = generator.layer_groups()
    return tuple(name for group in LAYER_CHOICES[choice] for name in groups[group])


def strengths_of(
    generator: Generator, by_group: Mapping[str, float], names: str
) -> dict[str, float]:
    """How strongly a transplant acts at each edit point.

    Args:
        generator: Whose edit points.
        by_group: In [0, 1] for "layout", "shapes" and "texture".
        names: ``block2=1, block3=0.5``: these replace what the groups say.

    Raises:
        InvalidRequest: A name is unknown, a number is missing or outside [0, 1].
    """
    points = generator.point_groups()
    found = {name: by_group[group] for group in GROUPS for name in points[group]}
    for part in filter(None, (piece.strip() for piece in names.split(","))):
        name, _, number = (piece.strip() for piece in part.partition("="))
        _check_name(name, list(found), "layer_names")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0.0 <= value <= 1.0:
            raise InvalidRequest(
                f"layer_names: the strength of {name} must be a number from 0 to 1, "
                f"got {number!r}.",
                value=part,
                remedy="Write name=strength for each, e.g. block2=1, block3=0.5.",
            )
        found[name] = value
    return found


def _check_name(name: str, known: Sequence[str], parameter: str) -> None:
    if name not in known:
        raise InvalidRequest(
            f"{parameter}: the model has no layer {name!r}.",
            value=name,
            remedy=f"Its layers are: {', '.join(known)}.",
        )


def _check_capability(model: LoadedModel, capability: str) -> None:
    if not capability or capability in model.generator.capabilities:
        return
    words, remedy = CAPABILITY_WORDS[capability], "or leave the choice to the engine"
    what = f"does not do what is needed here: one that {words}"
    if capability == "w_plus":
        what = f"cannot be used here: none of the {model.generator.family} kind {words}"
    if capability in _ADDED_BY:
        what, remedy = words.replace("has a", "has no", 1), f"or {_ADDED_BY[capability]}"
    raise InvalidRequest(
        f"The model {model.title!r} {what}.",
        value=model.id,
        remedy=f"Choose another model, {remedy}.",
    )


def _remedy_for(capability: str) -> str:
    if capability in _ADDED_BY:
        return f"Choose a model and {_ADDED_BY[capability]}."
    return f'Import one with "{IMPORT_COMMAND}", or train one with "intarsia train gan".'


def _plain(name: str) -> str:
    """A name as it is compared."""
    return " ".join(name.replace("_", " ").casefold().split())


def _number(text: str, count: int) -> list[int]:
    return [int(text)] if text.isascii() and text.isdecimal() and int(text) < count else []


def _nearest(generator: Generator, text: str) -> str:
    labels = generator.labels
    if not labels:
        return f"Its classes have no names; give a number from 0 to {generator.num_classes - 1}."
    by_name = {_plain(label): label for label in labels}
    near = [by_name[name] for name in difflib.get_close_matches(text, by_name, SHOWN_NAMES, 0.5)]
    if near:
        return f"The nearest are: {', '.join(near)}."
    more = "" if len(labels) <= SHOWN_NAMES else f", … ({len(labels)} in all)"
    return f"It has: {', '.join(labels[:SHOWN_NAMES])}{more}."


def _ids(context: Context, families: Iterable[str]) -> str:
    ids = [entry["id"] for entry in context.models.list() if entry["family"] in families]
    return ", ".join(ids[:SHOWN_NAMES]) or f'none is installed; "{IMPORT_COMMAND}" adds one'
