"""Models of the public KeyPatchGan, made into models of ours; runs in the importing process."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from intarsia_daemon.key_patch_models import FAMILY, TASK
from intarsia_daemon.model_card import file_hash
from intarsia_models.key_patches.model import KeyPatchModel, load_key_patches
from intarsia_models.key_patches.public_files import LICENCE

FILES = "epoch_*_net_*.pth"


def is_public_model(path: Path) -> bool:
    """Whether these are files of the public code, by their names."""
    return path.match(FILES) if path.is_file() else any(path.glob(FILES))


def read_public_model(path: Path) -> tuple[KeyPatchModel, dict[str, Any]]:
    """The model and the store's card of it.

    Raises:
        UnreadableModel: Files are missing, or laid out in another way.
    """
    model = load_key_patches(path)
    folder = path if path.is_dir() else path.parent
    hashes = [file_hash(file) for file in sorted(folder.glob(FILES))]
    return model, {
        "family": FAMILY,
        "task": TASK,
        "title": folder.name,
        "source_hash": hashlib.sha256("".join(hashes).encode()).hexdigest(),
        "settings_hash": path.name if path.is_file() else "",
        "resolution": model.resolution,
        "capabilities": tuple(model.capabilities),
        "licence": LICENCE,
    }
