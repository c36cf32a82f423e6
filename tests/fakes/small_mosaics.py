"""Mosaic models of a few thousand weights, and trainings of them that take a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from intarsia_daemon import mosaic_parameters
from intarsia_daemon.model_store import ModelStore
from intarsia_daemon.mosaic_models import ANY_TEMPLATES, CAPABILITY, GUIDED, TASK, UNGUIDED
from intarsia_models.mosaic import training_settings as published
from intarsia_models.mosaic.model import FAMILY, MosaicModel, build_network
from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.training_settings import MosaicTraining

SMALL: dict[str, Any] = {"width": 8, "depth": 2, "heads": 2}
BRIEF: dict[str, Any] = {
    "patch": 16,
    "batch": 2,
    "templates_least": 2,
    "templates_most": 3,
    "iterations": 3,
    "critic_width": 8,
    "critic_depth": 2,
}
SHARPER = 400.0
"""Factor of an untrained network's logits, so that templates meet at visible edges."""
_settings, _training = published.mosaic_settings, published.mosaic_training


def small_settings(quality: Any = "normal", *, guided: bool = True, **more: Any) -> MosaicSettings:
    """As `intarsia_models.mosaic.training_settings.mosaic_settings`, for tests."""
    return replace(_settings("draft", guided=guided), **{**SMALL, **more})


def brief_training(quality: Any = "normal", *, guided: bool = True, **more: Any) -> MosaicTraining:
    """As `intarsia_models.mosaic.training_settings.mosaic_training`, for tests."""
    return replace(_training("draft", guided=guided), **{**BRIEF, **more})


def shorten() -> None:
    """Make every operation of this process learn mosaics that briefly."""
    mosaic_parameters.mosaic_settings = small_settings
    mosaic_parameters.mosaic_training = brief_training


def install_small_mosaic(
    home: Path, *, guided: bool = True, seed: int = 3, title: str = "Small mosaics"
) -> str:
    """Put a model that serves any templates into the store of an engine's home; returns its id.

    It learnt nothing: where templates meet is arbitrary, yet depends on guide and templates.
    """
    network = build_network(small_settings(guided=guided, refine=True), seed=seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.startswith("set_network.unet.decoder.1."):
                weight *= SHARPER
    fields = {
        "family": FAMILY,
        "task": TASK,
        "title": title,
        "source_hash": f"{seed:064d}",
        "settings_hash": f"{int(guided):064d}",
        "capabilities": (CAPABILITY, GUIDED if guided else UNGUIDED, ANY_TEMPLATES),
    }
    return ModelStore(home / "models").add(MosaicModel(network).save, fields)
