"""Latents of pictures, found again from nothing but the pictures' pixels.

A generated layer, and a photograph that was projected once, carry no hidden data: an editor, a file
or a clipboard may take them anywhere. What is kept here is found by the model and by the pixels as
the model sees them, in any editor. ``<home>/latents/`` holds one safetensors file per latent; those
that were not used for longest leave when the folder is full, and damaged ones count as not there
(`TensorFolder`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from intarsia_daemon.tensor_folder import TensorFolder

LIMIT_BYTES = 256 << 20
LIMIT_COUNT = 10_000
ENTRY_BYTES = 32 << 20
"""A file larger than this is none of ours."""
FORM = 1
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


class LatentStore(TensorFolder):
    """The folder of latents. Several processes may use it at the same time."""

    def __init__(
        self, folder: Path, *, limit_bytes: int = LIMIT_BYTES, limit_count: int = LIMIT_COUNT
    ) -> None:
        """Use a folder; see `TensorFolder`.

        Args:
            folder: ``<home>/latents``.
            limit_bytes: The files together stay within it.
            limit_count: At most so many files.
        """
        super().__init__(
            folder, limit_bytes=limit_bytes, limit_count=limit_count, entry_bytes=ENTRY_BYTES
        )

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
        return self.read(key, _read)

    def put(self, key: str, latent: Latent) -> None:
        """Keep a latent, as `TensorFolder.write`."""
        named = {"z": latent.z, "y": latent.y, "w_plus": latent.w_plus}
        about = {
            "form": FORM,
            "truncation_psi": float(latent.truncation_psi),
            "fit": float(latent.fit),
            "generated": bool(latent.generated),
        }
        tensors = {name: tensor for name, tensor in named.items() if tensor is not None}
        self.write(key, tensors, {"latent": json.dumps(about)})


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
