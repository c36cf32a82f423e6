"""What a rendering has done so far: large arrays on disk, statistics, and how far it came."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from intarsia_models.mosaic.networks import Statistics

IN_MEMORY = 512 << 20
"""Bytes up to which an array is held in memory when nothing is to be resumed."""


class RenderStorage:
    """Keeps a rendering in a folder, from which it can go on; without one, only large arrays are
    put into files that vanish with the process."""

    def __init__(self, folder: Path | None, identity: str) -> None:
        """Open a folder; what lies there of another rendering is thrown away.

        Args:
            folder: Made where it is missing; None: nothing is to be resumed.
            identity: See `identity_of`.

        Raises:
            OSError: The folder cannot be written.
        """
        self.folder = folder
        self._state: dict[str, Any] = {"identity": identity, "done": {}}
        if folder is None:
            return
        found = _read_state(folder)
        if found is not None and found.get("identity") == identity:
            self._state = found
            return
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        self._write_state()

    def array(self, name: str, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        """An array that keeps what was written into it; zeros at first."""
        if self.folder is not None:
            place = self.folder / f"{name}.npy"
            if place.is_file():
                return np.lib.format.open_memmap(place, mode="r+")
            return np.lib.format.open_memmap(place, mode="w+", dtype=dtype, shape=shape)
        if np.prod(shape, dtype=np.int64) * np.dtype(dtype).itemsize <= IN_MEMORY:
            return np.zeros(shape, dtype)
        with tempfile.TemporaryFile() as file:  # goes on existing until the array is gone
            return np.memmap(file, dtype=dtype, mode="w+", shape=shape)

    def done(self, phase: str) -> int:
        """How many tiles of a phase are done."""
        return int(self._state["done"].get(phase, 0))

    def set_done(self, phase: str, tiles: int) -> None:
        """Remember how many tiles of a phase are done."""
        self._state["done"][phase] = tiles
        self._write_state()

    def statistics(self, phase: str) -> list[Statistics]:
        """What was gathered so far."""
        if self.folder is None or not (place := self.folder / f"{phase}.safetensors").is_file():
            return []
        tensors = load_file(place)
        return [
            Statistics(tensors[f"{n}.mean"], tensors[f"{n}.variance"])
            for n in range(len(tensors) // 2)
        ]

    def put_statistics(self, phase: str, known: Sequence[Statistics]) -> None:
        """Remember what was gathered so far."""
        if self.folder is None:
            return
        tensors = {
            f"{n}.{name}": part.contiguous().cpu()
            for n, both in enumerate(known)
            for name, part in both._asdict().items()
        }
        fresh = self.folder / f"{phase}.new"
        save_file(tensors, fresh)
        os.replace(fresh, self.folder / f"{phase}.safetensors")

    def _write_state(self) -> None:
        if self.folder is None:
            return
        fresh = self.folder / "state.new"
        fresh.write_text(json.dumps(self._state), "utf-8")
        os.replace(fresh, self.folder / "state.json")


def room_for_scratch(folder: Path | None) -> int:
    """Bytes that are free for files beside a rendering's, or that it has taken already."""
    place = Path(tempfile.gettempdir()) if folder is None else folder
    taken = 0
    if folder is not None and folder.is_dir():
        taken = sum(file.stat().st_size for file in folder.iterdir())
    while not place.exists():
        place = place.parent
    return taken + shutil.disk_usage(place).free


def identity_of(network: nn.Module, arrays: Sequence[Tensor], facts: Mapping[str, Any]) -> str:
    """A digest of all that a rendering depends on.

    Args:
        network: Its weights count.
        arrays: Content and templates.
        facts: Plain JSON values.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(_bytes(tensor).data)
    for tensor in arrays:
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(_bytes(tensor).data)
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> NDArray[np.uint8]:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().reshape(-1)


def _read_state(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / "state.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("done"), dict) else None
