"""Foreign generators of every family, made into models of ours; runs in the importing process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from intarsia_daemon.model_files import find_files
from intarsia_daemon.pixels import Layer, thumbnail
from intarsia_models.checkpoints import MANIFEST
from intarsia_models.generators.families import ROLES, Role
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import (
    build,
    convert,
    fingerprint,
    load_generator,
    save_generator,
)

TASK = "generator"
"""What stored generators are for, in their card."""
SHOWN = 4
"""Samples in a thumbnail, in two rows."""
THUMBNAIL_SIDE = 96


def is_own_folder(path: Path) -> bool:
    """Whether it is a generator's folder as we write it, without a store's card around it."""
    return (path / MANIFEST).is_file()


def read_own(path: Path, labels: Sequence[str]) -> tuple[Generator, dict[str, Any]]:
    """A generator from a folder of ours, and what goes into its own card."""
    generator = load_generator(path, labels=labels or None)
    return generator, {"source_sha256": fingerprint(generator)}


def read_foreign(
    path: Path, companions: Mapping[str, Path], labels: Sequence[str]
) -> tuple[Generator, dict[str, Any]]:
    """A generator from public files, and what goes into its own card.

    Args:
        path: The generator's file, or a folder with it (`intarsia_daemon.model_files`).
        companions: Files by role.
        labels: Class names; empty keeps those of the file.

    Raises:
        InvalidRequest: The folder holds no or several models.
        UnreadableModel: See `intarsia_models.generators.loading.convert`.
    """
    files = find_files(path, companions)
    roles: dict[Role, Path] = {
        role: files.companions[role] for role in ROLES if role in files.companions
    }
    conversion = convert(files.main, roles)
    converted = conversion.converted
    if labels:
        converted = replace(converted, labels=tuple(labels))
    return build(replace(conversion, converted=converted)), {
        "source_sha256": conversion.source_sha256,
        "source_format": conversion.source_format,
        "licence": converted.licence,
        "notes": list(converted.notes),
    }


def store_card(generator: Generator, about: Mapping[str, Any], title: str) -> dict[str, Any]:
    """The store's card of a generator; its sizes come from its own card when it is added.

    Args:
        generator: The model.
        about: ``source_sha256`` and more that goes into its own card.
        title: Its name for people.
    """
    return {
        "family": generator.family,
        "task": TASK,
        "title": title,
        "source_hash": str(about["source_sha256"]),
    }


def write(generator: Generator, about: Mapping[str, Any], folder: Path) -> None:
    """Write the generator in our form, with its companions and a sample to verify."""
    save_generator(generator, folder, card=about)


@torch.inference_mode()
def sample_grid(generator: Generator, *, seed: int = 0) -> bytes:
    """A small PNG of four samples, of classes far from each other, to recognise a model by."""
    generator.eval()
    z = generator.sample_z(SHOWN, seed)
    count = generator.num_classes
    classes = [number * count // SHOWN for number in range(SHOWN)]
    pictures = [
        generator.synthesize(z[i : i + 1], torch.tensor([classes[i]]) if count else None)
        for i in range(SHOWN)
    ]
    rows = [torch.cat(pictures[start : start + 2], 3) for start in range(0, SHOWN, 2)]
    grid = torch.cat(rows, 2)[0].float().cpu().clamp(-1, 1)
    shades = ((grid + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0)
    opaque = torch.full((*shades.shape[:2], 1), 255, dtype=torch.uint8)
    return thumbnail(Layer("", torch.cat((shades, opaque), 2).numpy()), THUMBNAIL_SIDE)
