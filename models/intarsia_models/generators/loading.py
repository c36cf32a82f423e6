"""Generators from files: public checkpoints, and our own folders of plain tensors.

A public file is read once (nothing of it runs), turned into our form and built from that; our own
folder (``weights.safetensors``, ``card.json``, ``manifest.json``; where it has a masked regressor,
also ``regressor.safetensors``) holds the same form. Weights may be stored in float16; they compute
in float32 unless asked otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from intarsia_models.checkpoints import MANIFEST, read_bundle, write_bundle
from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import open_foreign
from intarsia_models.generators.families import (
    ROLES,
    Companion,
    Converted,
    Family,
    Role,
    family_of,
    recognise,
)
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.public_encoders import read_regressor
from intarsia_models.latent_composition.regressor import build_regressor

SAMPLE_SEED = 0
SAMPLE_SIDE = 16
SAMPLE_TOLERANCE = 0.02
"""How far a recomputed sample's averages may be from the stored ones, of a range of 2; other
devices and threads round differently, another picture is far off."""
READING_NUMBERS = 16
"""How many numbers of the latent that a regressor reads from its generator's sample are stored."""
FORM = 1
"""Version of our own form."""
REGRESSOR = "regressor"
"""The role whose network is the same for all families, and lies in a file of its own."""


@dataclass(frozen=True)
class Conversion:
    """A public model in our form, ready to be built or stored."""

    family: str
    converted: Converted
    source_sha256: str
    source_format: str


@torch.inference_mode(False)  # weights made inside of it could never get gradients
def load_generator(
    path: str | Path,
    *,
    discriminator: str | Path | None = None,
    encoder: str | Path | None = None,
    auxiliary: str | Path | None = None,
    regressor: str | Path | None = None,
    labels: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
    half: bool = False,
) -> Generator:
    """Load a generator of any family.

    Args:
        path: Our own folder, or a public checkpoint (file, or folder where its format is one).
        discriminator: A public file with the generator's discriminator.
        encoder: A public file with its encoder.
        auxiliary: A public file with its auxiliary networks.
        regressor: A public file with a masked encoder for it (latent composition).
        labels: Class names by id; None keeps those of the model.
        device: Where it computes.
        half: Compute in float16 on a GPU.

    Returns:
        The generator in eval mode, channels last, its weights without gradients.

    Raises:
        UnreadableModel: The file is no model that any family reads, is damaged, or holds more than
            plain values.
    """
    path = Path(path)
    companions = _given(discriminator, encoder, auxiliary, regressor)
    if (path / MANIFEST).is_file():
        if companions:
            raise ValueError(f"{path} is a whole model of ours; it takes no companion files.")
        generator = _load_own(path)
    else:
        generator = build(convert(path, companions))
    if labels is not None:
        generator.labels = _checked_labels(labels, generator.num_classes)
    generator.half_precision = half
    generator.requires_grad_(False)
    return generator.eval().to(device).to(memory_format=torch.channels_last)


def convert(path: Path, companions: Mapping[Role, Path] | None = None) -> Conversion:
    """Read a public checkpoint and the files that belong to it.

    Raises:
        UnreadableModel: As `load_generator`.
    """
    file = open_foreign(path)
    family = recognise(file)
    converted = family.read(file)
    for role, place in (companions or {}).items():
        companion = _companion(family, role, place, converted)
        converted = replace(
            converted,
            settings={**converted.settings, role: companion.settings},
            tensors={**converted.tensors, **companion.tensors},
            notes=(*converted.notes, *companion.notes),
        )
    return Conversion(family.name, converted, file.sha256, file.kind)


def build(conversion: Conversion) -> Generator:
    """The generator of a conversion, on the CPU.

    Raises:
        UnreadableModel: Tensors are missing, too many, or of other shapes than the settings say.
    """
    converted = conversion.converted
    family = family_of(conversion.family)
    generator = _built(family, converted.settings, converted.tensors)
    generator.labels = _checked_labels(converted.labels, generator.num_classes)
    return generator


def save_generator(
    generator: Generator,
    folder: Path,
    *,
    card: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a generator as a folder of ours, with all its companions and a sample to verify.

    Args:
        generator: In eval mode.
        folder: Replaced where it exists.
        card: More for the card: ``licence``, ``source_sha256``, ``command``, ``metrics``, ….
        dtype: torch.float16 halves the size.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    tensors = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in own_tensors(generator).items()
    }
    written = {
        "form": FORM,
        "family": generator.family,
        "settings": settings_of(generator),
        "labels": list(generator.labels),
        "resolution": generator.resolution,
        "z_dim": generator.z_dim,
        "num_classes": generator.num_classes,
        "capabilities": sorted(generator.capabilities),
        "projection_space": generator.projection_space,
        "companions": [role for role in ROLES if getattr(generator, role) is not None],
        **(card or {}),
    }
    stored = _built(family_of(generator.family), written["settings"], tensors)
    written["sample"] = sample_of(stored.eval())
    own = {name: tensor for name, tensor in tensors.items() if not _is_regressors(name)}
    found = {name: tensor for name, tensor in tensors.items() if _is_regressors(name)}
    write_bundle(folder, own, written, parts={REGRESSOR: found} if found else None)


def settings_of(generator: Generator) -> dict[str, Any]:
    """Plain JSON values from which all of it is built again: its family's, and its regressor's."""
    written = generator.settings()
    if generator.regressor is not None:
        written[REGRESSOR] = generator.regressor.settings.to_dict()
    return written


def own_tensors(generator: Generator) -> dict[str, Tensor]:
    """Every tensor by our names: ``generator.…`` and ``<role>.…``."""
    found = {}
    for name, tensor in generator.state_dict().items():
        role = name.split(".", 1)[0]
        found[name if role in ROLES else f"generator.{name}"] = tensor.detach().cpu()
    return found


def verify_generator(folder: Path) -> float:
    """Recompute the stored sample.

    Returns:
        The largest difference between the averages, of a range of 2.

    Raises:
        UnreadableModel: The folder is damaged, or the sample is another picture.
    """
    bundle = read_bundle(folder)
    generator = _load_own(folder)
    stored, now = bundle.card.get("sample"), sample_of(generator.eval())
    if not isinstance(stored, dict) or len(stored.get("averages", ())) != len(now["averages"]):
        raise UnreadableModel(f"{folder} has no sample to compare with.", "Import it again.")
    worst = _distance(stored, now, "averages")
    if not worst <= SAMPLE_TOLERANCE:
        raise UnreadableModel(
            f"{folder} makes another picture than when it was stored (off by {worst:.3f}).",
            "Remove the model and import or train it again.",
        )
    if "reading" in now and len(stored.get("reading", ())) == len(now["reading"]):
        off = _distance(stored, now, "reading")
        if not off <= SAMPLE_TOLERANCE:
            raise UnreadableModel(
                f"{folder} reads another latent from its sample than when it was stored (off by "
                f"{off:.3f}): its regressor is not what it was.",
                "Remove the model and import or train it again.",
            )
    return worst


@torch.inference_mode()
def sample_of(generator: Generator) -> dict[str, Any]:
    """A picture's averages over `SAMPLE_SIDE` x `SAMPLE_SIDE` fields, to verify a copy with.

    Where there is a regressor, also the first numbers of the latent that it reads from the picture.
    """
    z = generator.sample_z(1, SAMPLE_SEED)
    y = torch.zeros(1, dtype=torch.int64, device=z.device) if generator.num_classes else None
    picture = generator.synthesize(z, y).float()
    side = min(SAMPLE_SIDE, generator.resolution)
    fields = adaptive_avg_pool2d(picture.cpu(), side)
    sample: dict[str, Any] = {"seed": SAMPLE_SEED, "averages": _rounded(fields)}
    if generator.regressor is not None:
        latent = generator.regressor(picture, torch.ones_like(picture[:, :1]))
        sample["reading"] = _rounded(latent.flatten()[:READING_NUMBERS])
    return sample


def _rounded(values: Tensor) -> list[float]:
    return [round(float(value), 5) for value in values.float().cpu().flatten()]


def _distance(stored: Mapping[str, Any], now: Mapping[str, Any], name: str) -> float:
    """The largest difference between two samples' numbers; nan where one is none."""
    pairs = zip(stored[name], now[name], strict=True)
    return max((abs(float(a) - b) for a, b in pairs), key=lambda off: (off != off, off))


def fingerprint(generator: Generator) -> str:
    """SHA-256 over the generator's own tensors: which model a latent belongs to."""
    digest = hashlib.sha256(generator.family.encode())
    for name, tensor in sorted(own_tensors(generator).items()):
        if name.startswith("generator."):
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _load_own(folder: Path) -> Generator:
    bundle = read_bundle(folder)
    card = bundle.card
    if card.get("form", FORM) > FORM:
        raise UnreadableModel(f"{folder} was written by a newer release.", "Update Intarsia.")
    family = family_of(str(card.get("family", "")))
    settings = card.get("settings")
    if not isinstance(settings, dict):
        raise UnreadableModel(f"{folder} holds no generator: its card has no settings.")
    generator = _built(family, settings, bundle.tensors)
    labels = [str(label) for label in card.get("labels", ())]
    generator.labels = _checked_labels(labels, generator.num_classes)
    generator.projection_space = str(card.get("projection_space", ""))
    return generator


def _built(family: Family, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Generator:
    """Build in float32, with every error a sentence."""
    whole = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    own = {name: tensor for name, tensor in whole.items() if not _is_regressors(name)}
    found = {
        name.removeprefix(f"{REGRESSOR}."): tensor
        for name, tensor in whole.items()
        if _is_regressors(name)
    }
    sizes = {name: value for name, value in settings.items() if name != REGRESSOR}
    try:
        generator = family.build(sizes, own).eval()
        if found or REGRESSOR in settings:
            generator.attach_regressor(build_regressor(settings[REGRESSOR], found))
        return generator
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UnreadableModel(
            f"The model's tensors do not fit its settings: {error}", "Import it again."
        ) from error


def _companion(family: Family, role: Role, place: Path, converted: Converted) -> Companion:
    if role == REGRESSOR:
        generator = _built(family, converted.settings, converted.tensors)
        return read_regressor(open_foreign(place), generator)
    if family.read_companion is None:
        raise UnreadableModel(f"{family.name} has no {role} files.", f"Leave out {place}.")
    return family.read_companion(open_foreign(place), role, converted)


def _is_regressors(name: str) -> bool:
    return name.startswith(f"{REGRESSOR}.")


def _given(*places: str | Path | None) -> dict[Role, Path]:
    """Files by role, in the order of `ROLES`."""
    named = zip(ROLES, places, strict=True)
    return {role: Path(place) for role, place in named if place is not None}


def _checked_labels(labels: Sequence[str], num_classes: int) -> tuple[str, ...]:
    if labels and len(labels) != num_classes:
        raise UnreadableModel(
            f"{len(labels)} labels were given for {num_classes} classes.",
            "Give one line per class, in the order of their numbers.",
        )
    return tuple(labels)
