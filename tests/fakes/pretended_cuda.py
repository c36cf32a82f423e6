"""A graphics card that only knows shapes: where there is none, code for one can still be run.

What lies on ``cuda`` has a shape, a type and a device, and no values; operators say what they would
make of it, and refuse tensors of two devices as a real card does. What lies on the processor is
computed as ever. What comes back from the card is noise. Automatic differentiation needs a driver
and is not to be had; everything else is.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils import _pytree

Module = TypeVar("Module", bound=torch.nn.Module)
COPIES = ("aten._to_copy.", "aten.to.")
READS = ("aten._local_scalar_dense.default", "aten.is_nonzero.default", "aten.equal.default")


class PretendedCuda(FakeTensorMode):
    """As a context: tensors may be put on ``cuda``."""

    avoid_device_init = True

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)
        self.waits: list[str] = []
        """Lines of the project that waited for the card to read a number."""

    def dispatch(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """What an operator would make; called by torch."""
        kwargs = kwargs or {}
        leaves = _pytree.tree_leaves((args, kwargs))
        devices = {leaf.type for leaf in leaves if isinstance(leaf, torch.device)}
        if "cuda" not in devices and not any(isinstance(leaf, FakeTensor) for leaf in leaves):
            return func(*args, **kwargs)
        name = str(func)
        if name in READS:
            self.waits.append(_line())
            return 1.0 if args[0].dtype.is_floating_point else 0
        if name.startswith(COPIES) and devices:
            return self._copied(args[0], leaves, devices)
        return super().dispatch(func, types, args, kwargs)

    def _copied(self, tensor: Tensor, leaves: list[Any], devices: set[str]) -> Tensor:
        dtype = next((leaf for leaf in leaves if isinstance(leaf, torch.dtype)), tensor.dtype)
        if devices == {"cuda"}:
            with self:
                return torch.empty(tensor.shape, dtype=dtype, device="cuda")
        made = torch.rand(tensor.shape)
        return made.to(dtype) if dtype.is_floating_point else (made < 0.5).to(dtype)


def on_card(module: Module) -> Module:
    """A module whose weights lie on the pretended card (`Module.to` cannot do this)."""

    def moved(part: torch.nn.Module) -> None:
        for child in part.children():
            moved(child)
        for name, parameter in part._parameters.items():
            if parameter is not None:
                value = parameter.detach().to("cuda")
                part._parameters[name] = torch.nn.Parameter(value, requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to("cuda")

    moved(module)
    return module


def _line() -> str:
    for frame in reversed(traceback.extract_stack()):
        if "intarsia_models" in frame.filename:
            return f"{frame.filename}:{frame.lineno}"
    return ""
