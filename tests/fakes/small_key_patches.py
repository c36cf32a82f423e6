"""A model of parts with random weights, small enough for tests."""

from __future__ import annotations

from pathlib import Path

from intarsia_daemon.key_patch_models import FAMILY, TASK
from intarsia_daemon.model_store import ModelStore
from intarsia_models.key_patches.model import KeyPatchModel
from intarsia_models.key_patches.networks import PartCritic, PartGenerator
from intarsia_models.key_patches.settings import KeyPatchSettings


def small_key_patches(*, seed: int = 0, critic: bool = True, **changes) -> KeyPatchModel:
    """64 px, two channels and more.

    Args:
        seed: Of the weights.
        critic: Whether it has one.
        changes: Fields of `KeyPatchSettings`.
    """
    settings = KeyPatchSettings(**{"width": 2, "critic_width": 2, "embedding": 8, **changes})
    return KeyPatchModel(
        PartGenerator(settings, seed=seed), PartCritic(settings, seed=seed) if critic else None
    )


def install_small_key_patches(home: Path, *, title: str = "Small parts", **more) -> str:
    """Put one into the store of a home; returns its id."""
    model = small_key_patches(**more)
    card = {
        "family": FAMILY,
        "task": TASK,
        "title": title,
        "source_hash": title,
        "resolution": model.resolution,
        "capabilities": tuple(model.capabilities),
    }
    return ModelStore(home / "models").add(lambda folder: model.save(folder), card)
