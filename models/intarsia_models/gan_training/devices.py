"""One device or several, and the precision it computes in.

Several go through Lightning Fabric: one process each, gradients averaged before every step. With
one device nothing of it is imported.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

BUCKET = 8_000_000
"""Numbers that are averaged over the devices at once."""


class Devices:
    """Where a training computes."""

    def __init__(self, device: str | torch.device = "cpu", *, fabric: Any | None = None) -> None:
        """Take one device.

        Args:
            device: "cpu", "cuda", ….
            fabric: A launched `lightning_fabric.Fabric`; its device counts then. See `several`.
        """
        self.fabric = fabric
        self.device = torch.device(device) if fabric is None else fabric.device

    @classmethod
    def of(cls, device: str | torch.device | Devices) -> Devices:
        """The same, or one device by its name."""
        return device if isinstance(device, Devices) else cls(device)

    @classmethod
    def several(cls, count: int, accelerator: str = "auto") -> Devices:
        """One process per device; called in each of them, best from a script's first lines.

        Args:
            count: How many devices; 1 takes no Fabric.
            accelerator: "cpu", "cuda" or "auto".
        """
        if count == 1:
            cuda = accelerator in ("cuda", "auto") and torch.cuda.is_available()
            return cls("cuda" if cuda else "cpu")
        from lightning_fabric import Fabric

        fabric = Fabric(accelerator=accelerator, devices=count, strategy="ddp")
        fabric.launch()
        return cls(fabric=fabric)

    @property
    def rank(self) -> int:
        """This process's number, from 0."""
        return 0 if self.fabric is None else self.fabric.global_rank

    @property
    def count(self) -> int:
        """How many processes train together."""
        return 1 if self.fabric is None else self.fabric.world_size

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its mean over the devices."""
        if self.count > 1:
            self.average([p.grad for p in parameters if p.grad is not None])

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their means over the devices, in place, some at a time."""
        if self.count == 1:
            return
        assert self.fabric is not None
        bucket: list[Tensor] = []
        for tensor in (*tensors, None):
            if tensor is not None:
                bucket.append(tensor)
            if bucket and (tensor is None or sum(t.numel() for t in bucket) >= BUCKET):
                flat = torch.cat([t.detach().flatten() for t in bucket])
                mean = self.fabric.all_reduce(flat, reduce_op="mean")
                for part, old in zip(mean.split([t.numel() for t in bucket]), bucket, strict=True):
                    old.data.copy_(part.view_as(old))
                bucket = []

    def gather(self, tensor: Tensor) -> Tensor:
        """(devices, *shape): the same tensor of all processes, on the CPU."""
        if self.fabric is None or self.count == 1:
            return tensor[None].cpu()
        return self.fabric.all_gather(tensor.to(self.device)).cpu()

    def wait(self) -> None:
        """Until all processes are here."""
        if self.fabric is not None and self.count > 1:
            self.fabric.barrier()

    def autocast(self, precision: str) -> AbstractContextManager[Any]:
        """The context in which networks run.

        Args:
            precision: "float32", "bfloat16", or "auto": bfloat16 where the device multiplies it
                natively.
        """
        if precision == "float32" or (precision == "auto" and not self._has_bfloat16()):
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _has_bfloat16(self) -> bool:
        if self.device.type == "cuda":
            return torch.cuda.get_device_capability(self.device) >= (8, 0)
        return self.device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
