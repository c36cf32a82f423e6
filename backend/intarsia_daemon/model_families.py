"""Foreign models of every family we know, made into models of ours; run as a process of its own.

A family adds one `Importer` to `IMPORTERS`. Importers read plain tensors only
(``weights_only=True``).
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_client.version import __version__
from intarsia_daemon import failures
from intarsia_daemon.generator_import import (
    is_own_folder,
    read_foreign,
    read_own,
    sample_grid,
    store_card,
    write,
)
from intarsia_daemon.key_patch_import import is_public_model, read_public_model
from intarsia_daemon.model_files import holds_files
from intarsia_daemon.model_store import ModelStore
from intarsia_daemon.picture_models import fingerprint, settings_hash
from intarsia_daemon.pixels import Picture, layer_from_tensors, thumbnail
from intarsia_models.generators.families import known_families
from intarsia_models.key_patches.model import FAMILY as KEY_PATCHES
from intarsia_models.single_image.model import FAMILY as SINGLE_IMAGE
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.runs import (
    load_run,
    load_run_discriminator,
    load_run_noises,
    load_run_pictures,
    read_parameters,
)
from intarsia_models.single_image.training import image_hash

MEMORY_LIMIT = 8 << 30
FILE_LIMIT = 4 << 30
CPU_LIMIT_S = 600


@dataclass(frozen=True)
class Found:
    """A foreign model that was read."""

    card: dict[str, Any]
    """The store's card (`intarsia_daemon.model_card.Card`) without sizes and hashes."""
    write: Callable[[Path], object]
    """Writes it into an empty folder, in our form."""
    thumbnail: bytes | None = None


class Foreign(msgspec.Struct, frozen=True):
    """A foreign model as it was named."""

    path: Path
    companions: dict[str, Path] = {}
    """Files given by role: ``discriminator``, ``encoder``, ``auxiliary``, ``regressor``."""
    labels: tuple[str, ...] = ()
    """Names of its classes; empty keeps those it has."""
    title: str = ""
    """Its name for people; empty takes the one it has."""


@dataclass(frozen=True)
class Importer:
    """How one kind of foreign model becomes one of ours."""

    name: str
    """For people: ``"run folder of the public ConSinGAN code"``."""
    recognises: Callable[[Path], bool]
    """Looks at names only."""
    read: Callable[[Foreign], Found]
    family: str = ""
    """Of the models; empty: several, of generators."""


def import_foreign(foreign: Foreign, store: ModelStore) -> str:
    """Read a foreign model with the first importer that recognises it, and store it.

    Returns:
        The model's id.

    Raises:
        InvalidRequest: No importer recognises the file or folder.
        ModelsError: It is damaged, or holds more than plain tensors.
    """
    for importer in IMPORTERS:
        if importer.recognises(foreign.path):
            found = importer.read(foreign)
            card = {**found.card, "title": foreign.title or found.card["title"]}
            return store.add(found.write, card, thumbnail=found.thumbnail)
    raise InvalidRequest(
        f"{foreign.path} is no model that can be imported.",
        value=str(foreign.path),
        remedy=f"Known are: {'; '.join(importer.name for importer in IMPORTERS)}.",
        code="FILE_REJECTED",
    )


# --- single-image models --------------------------------------------------------------------------


def _is_consingan_run(folder: Path) -> bool:
    return (folder / "parameters.txt").is_file() and (folder / "noise_amp.pth").is_file()


def _read_consingan_run(foreign: Foreign) -> Found:
    folder = foreign.path
    if foreign.companions or foreign.labels:
        raise InvalidRequest(
            "A model of one picture has no classes and takes no further files.",
            value=str(folder),
            remedy="Name its folder alone.",
        )
    generator = load_run(folder)
    pictures = load_run_pictures(folder)[: generator.stages]
    real = pictures[-1]
    digest = image_hash(real)
    model = TrainedModel(
        generator=generator,
        discriminator=load_run_discriminator(folder),
        sizes=[(picture.shape[-2], picture.shape[-1]) for picture in pictures],
        fixed_noises=load_run_noises(folder)[: generator.stages],
        real=real,
        image_hash=digest,
        seed=0,
        training_seconds=0.0,
        notes=["Imported from a run of the public ConSinGAN code."],
    )
    source = read_parameters(folder / "parameters.txt").get("input_name", "")
    eight_bit = Picture(np.zeros((1, 1, 4), np.uint8))
    small = thumbnail(layer_from_tensors("", real, like=eight_bit))
    card = {
        "family": SINGLE_IMAGE,
        "task": generator.settings.task,
        "title": Path(source).stem or folder.name,
        "source_hash": digest,
        # as of a training with seed 0, so that operations with the same settings find it
        "settings_hash": settings_hash(generator.settings.to_card(), 0),
        "fingerprint": fingerprint(real),
    }
    return Found(card, lambda target: model.save(target, software_version=__version__), small)


# --- models of parts ------------------------------------------------------------------------------


def _read_key_patches(foreign: Foreign) -> Found:
    if foreign.companions or foreign.labels:
        raise InvalidRequest(
            "A model of parts has no classes and takes no further files.",
            value=str(foreign.path),
            remedy="Name its folder alone.",
        )
    model, card = read_public_model(foreign.path)
    return Found(card, lambda target: model.save(target, software_version=__version__))


# --- generators -----------------------------------------------------------------------------------


def _read_generator(foreign: Foreign) -> Found:
    path, labels = foreign.path, foreign.labels
    if is_own_folder(path):
        if foreign.companions:
            raise InvalidRequest(
                f"{path} is a whole model and takes no further files.",
                value=str(path),
                remedy="Name its folder alone.",
            )
        generator, about = read_own(path, labels)
    else:
        generator, about = read_foreign(path, foreign.companions, labels)
    card = store_card(generator, about, path.stem if path.is_file() else path.name)
    return Found(card, lambda target: write(generator, about, target), sample_grid(generator))


IMPORTERS: tuple[Importer, ...] = (
    Importer(
        "a run folder of the public ConSinGAN code (parameters.txt, noise_amp.pth, …)",
        _is_consingan_run,
        _read_consingan_run,
        SINGLE_IMAGE,
    ),
    Importer(
        "the files of a public KeyPatchGan (epoch_<number>_net_net_partenc.pth, …)",
        is_public_model,
        _read_key_patches,
        KEY_PATCHES,
    ),
    Importer(
        "; ".join(text for family in known_families().values() for text in family.formats),
        lambda path: is_own_folder(path) or holds_files(path),
        _read_generator,
    ),
)


# --- the child process ----------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> None:
    """``STORE``: import what stands on stdin (`Foreign`), and print the id or the error as JSON."""
    _limit()
    (store,) = arguments
    try:
        wanted = msgspec.json.decode(
            sys.stdin.read(), type=Foreign, dec_hook=lambda kind, value: kind(value)
        )
        answer: dict[str, Any] = {"id": import_foreign(wanted, ModelStore(Path(store)))}
    except Exception as error:
        answer = {"error": _error_fields(error)}
    print(json.dumps(answer))


def _error_fields(error: Exception) -> dict[str, Any]:
    if isinstance(error, IntarsiaError):
        return error.to_dict()
    failed = failures.failed(error)
    fields = ("code", "what", "value", "remedy", "action", "retryable")
    return {name: getattr(failed, name) for name in fields}


def _limit() -> None:
    """Bound what a hostile file can make this process use, where the system can do that."""
    with contextlib.suppress(ImportError):
        import resource

        limits = {
            "RLIMIT_CORE": 0,
            "RLIMIT_CPU": CPU_LIMIT_S,
            "RLIMIT_DATA": MEMORY_LIMIT,
            "RLIMIT_FSIZE": FILE_LIMIT,
        }
        for name, value in limits.items():
            with contextlib.suppress(AttributeError, ValueError, OSError):
                resource.setrlimit(getattr(resource, name), (value, value))


if __name__ == "__main__":
    main(sys.argv[1:])
