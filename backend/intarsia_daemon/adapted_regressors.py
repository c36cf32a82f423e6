"""Regressors that were fitted to one picture, found again from the picture's pixels.

``<home>/adapted/`` holds what each of them differs by from its model's own regressor, in float16,
one safetensors file by model and picture (`TensorFolder`). A picture in which less than a third
changed, or that an editor made smaller first, is still the same.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from intarsia_daemon.context import Context
from intarsia_daemon.generator_models import LoadedModel, bytes_of
from intarsia_daemon.latent_store import pixels_hash
from intarsia_daemon.picture_models import NEARLY_THE_SAME, fingerprint, likeness
from intarsia_daemon.pixels import Picture
from intarsia_daemon.real_pictures import visible_part, whole_crop
from intarsia_daemon.tensor_folder import TensorFolder
from intarsia_models.errors import ModelsError
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.adaptation import Adapted, from_tensors
from intarsia_models.latent_composition.latents import regressor_of
from intarsia_models.latent_composition.regressor import MaskedRegressor

LIMIT_BYTES = 1 << 30
LIMIT_COUNT = 200
ENTRY_BYTES = 512 << 20
FORM = 1


@dataclass(frozen=True, eq=False)
class Fitting:
    """The regressor that an edit uses."""

    regressor: MaskedRegressor | None
    """None: the model's own."""
    name: str = ""
    """Of the stored file, for recipes."""
    notes: tuple[str, ...] = ()

    @property
    def reference(self) -> dict[str, str]:
        """For `Outcome.model`."""
        return {"adapted": self.name} if self.name else {}


class AdaptedRegressors:
    """Those of one model."""

    def __init__(self, context: Context, model: LoadedModel) -> None:
        """Use the store beside the models.

        Args:
            context: The running operation's.
            model: With a regressor.
        """
        self._context, self._model = context, model
        self._folder = TensorFolder(
            context.models.folder.parent / "adapted",
            limit_bytes=LIMIT_BYTES,
            limit_count=LIMIT_COUNT,
            entry_bytes=ENTRY_BYTES,
        )
        self._prefix = hashlib.sha256(model.hash.encode()).hexdigest()[:32] + "-"

    def keep(self, picture: Picture, adapted: Adapted) -> str:
        """Keep the regressor of a picture; returns the file's name."""
        target = self._target(picture)
        name = self._prefix + pixels_hash(target)
        about = {"form": FORM, "mark": fingerprint(target), "version": secrets.token_hex(8)}
        own = regressor_of(self._model.generator).state_dict()
        self._folder.write(
            name, _differences(own, adapted.tensors()), {"adapted": json.dumps(about)}
        )
        return name

    def find(self, pictures: Sequence[Picture]) -> tuple[str, Picture] | None:
        """The stored regressor of the first of several pictures that has one, and the picture."""
        names = [name for name in self._folder.names() if name.startswith(self._prefix)]
        if not names:
            return None
        for picture in pictures:
            target = self._target(picture)
            exact = self._prefix + pixels_hash(target)
            if exact in names:
                return exact, picture
            mark = fingerprint(target)
            alike = {name: likeness(mark, self._mark(name)) for name in names}
            best = max(alike, key=lambda name: alike[name])
            if alike[best] >= NEARLY_THE_SAME:
                return best, picture
        return None

    @contextlib.contextmanager
    def fitting(self, pictures: Sequence[Picture], *, wanted: bool) -> Iterator[Fitting]:
        """The regressor to use, in memory as long as the ``with`` block runs.

        Args:
            pictures: Whose adapted regressor will do, the first that has one.
            wanted: False: the model's own in any case.
        """
        found = self.find(pictures) if wanted else None
        with contextlib.ExitStack() as kept:
            fitting = Fitting(None)
            if found is not None:
                with contextlib.suppress(_Damaged):
                    fitting = self._fitting(kept, *found)
            yield fitting

    def _fitting(self, kept: contextlib.ExitStack, name: str, picture: Picture) -> Fitting:
        version = self._folder.read(name, lambda path: str(_about(path)["version"]))
        regressor = kept.enter_context(
            self._context.cache.get(
                (self._model.hash, str(self._model.device), "adapted", name, version),
                lambda: self._load(name),
                bytes_of,
            )
        )
        note = f"The model was adapted to {picture.name!r} before; that is used."
        return Fitting(regressor, name, (note,))

    def _target(self, picture: Picture) -> Tensor:
        """(1, 3, R, R): what a picture is known by."""
        return whole_crop(visible_part(picture), self._model.generator.resolution).target()

    def _load(self, name: str) -> MaskedRegressor:
        found = self._folder.read(name, functools.partial(_read, self._model.generator))
        if found is None:
            raise _Damaged
        return found

    def _mark(self, name: str) -> str:
        """The fingerprint of a stored regressor's picture; empty where the file is damaged."""
        try:
            return _mark(self._folder.path(name))
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError):
            return ""


class _Damaged(Exception):
    """The file is not there any more, or none of ours."""


def _differences(own: Mapping[str, Tensor], changed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """float16, of the tensors that are not the same."""
    found = {}
    for name, tensor in changed.items():
        if tensor.is_floating_point() and not torch.equal(tensor, own[name].cpu()):
            found[name] = (tensor.float() - own[name].cpu().float()).half()
    return found


def _read(generator: Generator, path: Path) -> MaskedRegressor:
    """Raises ValueError or what safetensors raises where it is none of this regressor's."""
    about = _about(path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if about["form"] != FORM:
        raise ValueError("written by another release")
    whole = {name: tensor.cpu() for name, tensor in regressor_of(generator).state_dict().items()}
    for name, difference in tensors.items():
        fits = name in whole and difference.shape == whole[name].shape
        if not fits or not bool(difference.isfinite().all()):
            raise ValueError(f"{name} is none of the regressor's, or no number")
        whole[name] = whole[name] + difference.to(whole[name].dtype)
    try:
        return from_tensors(generator, whole)
    except ModelsError as error:
        raise ValueError(error.what) from error


def _about(path: Path) -> dict[str, object]:
    with safe_open(path, framework="pt") as file:
        about = json.loads((file.metadata() or {})["adapted"])
    if not isinstance(about, dict):
        raise ValueError("no description")
    return about


@functools.lru_cache(LIMIT_COUNT)
def _mark(path: Path) -> str:
    """Of the picture whose hash is the file's name."""
    return str(_about(path)["mark"])
