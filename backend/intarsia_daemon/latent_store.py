"""Latents of pictures, found again from nothing but the pictures' pixels.

A generated layer, and a photograph that was projected once, carry no hidden data: an editor, a file
or a clipboard may take them anywhere. What is kept here is found by the model and by the pixels as
the model sees them, in any editor. ``<home>/latents/`` holds one safetensors file per latent; those
that were not used for longest leave when the folder is full, and damaged ones count as not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

LIMIT_BYTES = 256 << 20
LIMIT_COUNT = 10_000
ENTRY_BYTES = 32 << 20
"""A file larger than this is none of ours."""
ABANDONED_S = 3600.0
"""Unfinished files older than this are swept away."""
FORM = 1
SUFFIX = ".safetensors"
GENERATED = "generated"
"""The purpose of a latent that a picture was made from: it gives the picture back exactly."""


@dataclass(frozen=True, eq=False)
class Latent:
    """What a model makes one picture from."""

    z: Tensor | None
    """(1, z_dim) float32, or None where `w_plus` is given."""
    y: Tensor | None = None
    """(1,) int64 or (1, K) float32; None without classes."""
    w_plus: Tensor | None = None
    """(1, layers, w_dim) float32."""
    truncation_psi: float = 1.0
    fit: float = 1.0
    """How well it gives the picture back, in [0, 1]; 1 for a picture that was made from it."""
    generated: bool = False
    """Whether the picture was made from it."""

    def arguments(self, device: str) -> dict[str, Any]:
        """What `Generator.trace` and `Generator.synthesize` are called with."""
        given: dict[str, Any] = {
            "z": None if self.z is None else self.z.to(device),
            "y": None if self.y is None else self.y.to(device),
        }
        if self.w_plus is not None:
            given["w_plus"] = self.w_plus.to(device)
        if self.truncation_psi != 1.0:
            given["truncation_psi"] = self.truncation_psi
        return given


def pixels_hash(picture: Tensor) -> str:
    """What a picture at a model's size is found by.

    Args:
        picture: (1, 3, R, R) in [-1, 1].

    Returns:
        SHA-256 of its size and its 8-bit values, so that the sample type of the layer it came from
        does not matter.
    """
    levels = ((picture.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255)
    array = levels[0].to(torch.uint8).contiguous().numpy()
    return hashlib.sha256(f"{array.shape}".encode() + array.tobytes()).hexdigest()


class LatentStore:
    """The folder of latents. Several processes may use it at the same time."""

    def __init__(
        self, folder: Path, *, limit_bytes: int = LIMIT_BYTES, limit_count: int = LIMIT_COUNT
    ) -> None:
        """Use a folder; it is made when the first latent is put in.

        Args:
            folder: ``<home>/latents``.
            limit_bytes: The files together stay within it.
            limit_count: At most so many files.
        """
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._limit_count = limit_count

    @staticmethod
    def key(model: str, pixels: str, purpose: str = GENERATED) -> str:
        """The name of an entry.

        Args:
            model: The model's hash.
            pixels: `pixels_hash` of the picture.
            purpose: `GENERATED`, or what a projection depended on besides model and picture.
        """
        return hashlib.sha256("\0".join((model, pixels, purpose)).encode()).hexdigest()

    def get(self, key: str) -> Latent | None:
        """The latent of that key, now the most recently used; None where there is none."""
        path = self._path(key)
        try:
            if path.is_symlink() or path.stat().st_size > ENTRY_BYTES:
                return None
            latent = _read(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError):
            with contextlib.suppress(OSError):  # damaged: it is as good as not there
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return latent

    def put(self, key: str, latent: Latent) -> None:
        """Keep a latent; it is whole on the disk after this, or not there at all.

        A full or read-only disk is no error: the latent is then not kept, and is found anew when
        it is needed.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = self._folder / f".{secrets.token_hex(8)}.part"
            try:
                _write(fresh, latent)
                os.replace(fresh, self._path(key))
            finally:
                fresh.unlink(missing_ok=True)
            self._trim(key)
        except (OSError, SafetensorError):
            return

    def clear(self) -> int:
        """Remove every latent; returns the bytes that are free now."""
        freed = 0
        for path, size, _ in self._entries():
            with contextlib.suppress(OSError):
                path.unlink()
                freed += size
        return freed

    @property
    def used_bytes(self) -> int:
        """Size of all entries together."""
        return sum(size for _, size, _ in self._entries())

    def _path(self, key: str) -> Path:
        if len(key) != 64 or not set(key) <= set("0123456789abcdef"):
            raise ValueError(f"A key is a SHA-256 in hexadecimal, got {key[:80]!r}.")
        return self._folder / (key + SUFFIX)

    def _entries(self) -> list[tuple[Path, int, float]]:
        """Path, bytes and time of last use."""
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # removed by somebody else just now
                    info = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(SUFFIX):
                        found.append((Path(entry.path), info.st_size, info.st_mtime))
                    elif time.time() - info.st_mtime > ABANDONED_S:
                        os.unlink(entry.path)
        return found

    def _trim(self, newest: str) -> None:
        entries = sorted(self._entries(), key=lambda entry: entry[2])
        total, count = sum(size for _, size, _ in entries), len(entries)
        for path, size, _ in entries:
            if total <= self._limit_bytes and count <= self._limit_count:
                return
            if path.name == newest + SUFFIX:
                continue  # what was just made is about to be used
            with contextlib.suppress(OSError):
                path.unlink()
            total, count = total - size, count - 1


def _write(path: Path, latent: Latent) -> None:
    named = {"z": latent.z, "y": latent.y, "w_plus": latent.w_plus}
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in named.items()
        if tensor is not None
    }
    about = {
        "form": FORM,
        "truncation_psi": float(latent.truncation_psi),
        "fit": float(latent.fit),
        "generated": bool(latent.generated),
    }
    save_file(tensors, path, {"latent": json.dumps(about)})
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _read(path: Path) -> Latent:
    """Raises ValueError, KeyError or TypeError where it is no latent of ours."""
    with safe_open(path, framework="pt") as file:
        about: Mapping[str, Any] = json.loads((file.metadata() or {})["latent"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if about["form"] != FORM:
        raise ValueError("written by another release")
    z, y, w_plus = (tensors.get(name) for name in ("z", "y", "w_plus"))
    if (z is None) == (w_plus is None):
        raise ValueError("neither z nor w_plus, or both")
    for tensor, rank in ((z, 2), (w_plus, 3)):
        if tensor is not None and not (
            tensor.ndim == rank
            and tensor.shape[0] == 1
            and tensor.dtype == torch.float32
            and bool(tensor.isfinite().all())
        ):
            raise ValueError("a latent of another shape, or with values that are not numbers")
    return Latent(
        z,
        y,
        w_plus,
        truncation_psi=float(about["truncation_psi"]),
        fit=float(about["fit"]),
        generated=bool(about["generated"]),
    )
