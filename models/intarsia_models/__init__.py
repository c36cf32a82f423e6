"""Generative models and the algorithms on them, in PyTorch; knows nothing of jobs, wires or
editors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intarsia_models.generators.loading import load_generator as load_generator

__all__ = ["load_generator", "packs_folder"]


def packs_folder() -> Path:
    """The folder of the models that come with the project, one folder each."""
    return Path(__file__).resolve().parent / "packs"


def __getattr__(name: str) -> Any:
    """Load torch only for those who want a generator."""
    if name == "load_generator":
        from intarsia_models.generators.loading import load_generator

        return load_generator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
