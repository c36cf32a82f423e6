"""The only place where bytes become tensors and tensors become layers.

Editors and the wire speak straight-alpha sRGB in u8, u16 or f32 (rows from the top); models speak
float32 (B, C, H, W) in [-1, 1]. The range follows from the sample type alone: u8 covers [0, 255],
u16 [0, 65535], f32 [0, 1]. Nothing here looks at values to guess a range, and colour under alpha 0
is kept.
"""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.messages import BufferFile

Dtype = Literal["u8", "u16", "f32"]
DTYPES: dict[Dtype, np.dtype[Any]] = {
    "u8": np.dtype("u1"),
    "u16": np.dtype("<u2"),
    "f32": np.dtype("<f4"),
}
"""Sample types on the wire, as numpy sees them."""
FULL: dict[Dtype, float] = {"u8": 255.0, "u16": 65535.0, "f32": 1.0}
"""The value of white, and of full coverage."""


@dataclass(frozen=True)
class Picture:
    """RGBA pixels at a place on the canvas: straight alpha, sRGB."""

    array: np.ndarray
    """(H, W, 4) u8, u16 or f32; may be a read-only map of a file."""
    x: int = 0
    """Left edge in canvas coordinates; may be negative."""
    y: int = 0
    name: str = ""


@dataclass(frozen=True)
class Area:
    """Coverage at a place on the canvas: full value = selected."""

    array: np.ndarray
    """(H, W) u8, u16 or f32; may be a read-only map of a file."""
    x: int = 0
    y: int = 0
    name: str = ""


@dataclass(frozen=True)
class Layer:
    """A new layer for the artist: RGBA, or one channel of coverage."""

    name: str
    array: np.ndarray
    """(H, W, 4) or (H, W), u8, u16 or f32."""
    x: int = 0
    y: int = 0
    amount: float | None = None
    """Of a frame, and of a layer that has frames: which amount in [0, 1] it shows."""
    frame_of: int | None = None
    """Of a frame: index in `Outcome.layers` of the layer it is another amount of."""
    mask_of: int | None = None
    """Of coverage that is another layer's transparency mask: index in `Outcome.layers` of that
    layer, which comes before it and has its rectangle."""
    group: str = ""
    """The new group it goes into; empty for none. A mask goes where its layer goes."""
    duration_ms: float | None = None
    """Of a picture of an animation: how long it shows."""


@dataclass(frozen=True)
class Outcome:
    """What an operation returns."""

    layers: list[Layer]
    """The lowest first. Those of one ``group`` follow one another, masks apart."""
    model: dict[str, Any] | None = None
    """``{family, id, hash}`` of the model that was used; goes into the recipe."""
    metrics: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """Sentences for the artist."""
    frames: list[Layer] = field(default_factory=list)
    """Layers at other amounts, each with ``amount`` and ``frame_of`` and with the rectangle and the
    sample type of the layer ``frame_of``; front ends scrub between them without a new run."""


_Item = TypeVar("_Item", Picture, Area)


def dtype_name(array: np.ndarray) -> Dtype:
    """``"u8"``, ``"u16"`` or ``"f32"``.

    Raises:
        TypeError: The array has another sample type.
    """
    for name, dtype in DTYPES.items():
        if array.dtype == dtype:
            return name
    raise TypeError(f"Pixels are u8, u16 or f32, got {array.dtype}.")


# --- files ----------------------------------------------------------------------------------------


def map_file(buffer: BufferFile) -> Picture | Area:
    """The pixels of one buffer, mapped from its file without reading it.

    Raises:
        InvalidRequest: The file is missing or has another size than described.
    """
    size = (buffer.height, buffer.width)
    shape = (*size, 4) if buffer.channels == 4 else size
    dtype = DTYPES[buffer.dtype]
    wanted = math.prod(shape) * dtype.itemsize
    found = os.path.getsize(buffer.path) if os.path.exists(buffer.path) else 0
    if found != wanted:
        raise InvalidRequest(
            f"The pixels of {buffer.name or buffer.input!r} should have {wanted} bytes, "
            f"{found} are there.",
            value=found,
            remedy="Run the operation again.",
        )
    array = np.memmap(buffer.path, dtype=dtype, mode="r", shape=shape)
    kind = Picture if buffer.channels == 4 else Area
    return kind(array, buffer.x, buffer.y, buffer.name)


def write_file(layer: Layer, path: Path) -> BufferFile:
    """Write a layer's raw bytes, whole or not at all, and describe them.

    Raises:
        TypeError: The array is not (H, W) or (H, W, 4) of u8, u16 or f32, or is empty.
        OSError: The disk is full, or the folder cannot be written.
    """
    array = layer.array
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 4) or array.size == 0:
        raise TypeError(f"A layer is (H, W) or (H, W, 4), got {array.shape}.")
    dtype = dtype_name(array)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(np.ascontiguousarray(array).view(np.uint8).data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return BufferFile(
        width=array.shape[1],
        height=array.shape[0],
        channels=4 if array.ndim == 3 else 1,
        dtype=dtype,
        nbytes=array.nbytes,
        path=str(path),
        x=int(layer.x),
        y=int(layer.y),
        name=layer.name,
        amount=None if layer.amount is None else float(layer.amount),
        frame_of=layer.frame_of,
        mask_of=layer.mask_of,
        group=layer.group,
        duration_ms=None if layer.duration_ms is None else float(layer.duration_ms),
    )


# --- tensors --------------------------------------------------------------------------------------


def picture_tensor(picture: Picture, device: str | torch.device = "cpu") -> Tensor:
    """The colours as (1, 3, H, W) float32 in [-1, 1]; alpha is ignored, so colour under it is kept.

    Raises:
        InvalidRequest: An f32 picture holds nan or infinity.
    """
    unit = _unit(picture.array[..., :3], picture.name)
    unit *= 2.0
    unit -= 1.0
    return torch.from_numpy(np.ascontiguousarray(unit.transpose(2, 0, 1)))[None].to(device)


def alpha_tensor(item: Picture | Area, device: str | torch.device = "cpu") -> Tensor:
    """A picture's alpha or an area's coverage as (1, 1, H, W) float32 in [0, 1].

    Raises:
        InvalidRequest: An f32 picture holds nan or infinity.
    """
    plane = item.array[..., 3] if isinstance(item, Picture) else item.array
    return torch.from_numpy(_unit(plane, item.name))[None, None].to(device)


def on_canvas(item: _Item, like: Picture | Area) -> _Item:
    """The same pixels on ``like``'s rectangle: cropped, and padded with zeros (nothing there).

    Pixels inside both rectangles keep their exact values and their sample type.
    """
    height, width = like.array.shape[:2]
    if (item.x, item.y) == (like.x, like.y) and item.array.shape[:2] == (height, width):
        return item
    left, top = max(item.x, like.x), max(item.y, like.y)
    right = min(item.x + item.array.shape[1], like.x + width)
    bottom = min(item.y + item.array.shape[0], like.y + height)
    array = np.zeros((height, width, *item.array.shape[2:]), item.array.dtype)
    if left < right and top < bottom:
        array[top - like.y : bottom - like.y, left - like.x : right - like.x] = item.array[
            top - item.y : bottom - item.y, left - item.x : right - item.x
        ]
    return replace(item, array=array, x=like.x, y=like.y)


def layer_from_tensors(
    name: str,
    rgb: Tensor,
    alpha: Tensor | None = None,
    *,
    like: Picture,
    x: int | None = None,
    y: int | None = None,
) -> Layer:
    """An RGBA layer with ``like``'s sample type.

    Args:
        name: The layer's name for the artist.
        rgb: (1, 3, H, W) in [-1, 1]; values outside are clamped.
        alpha: (1, 1, H, W) in [0, 1]; None is opaque.
        like: Gives the sample type and, where ``x`` or ``y`` is None, the place.
        x: Left edge in canvas coordinates; None takes ``like.x``.
        y: Top edge in canvas coordinates; None takes ``like.y``.

    Returns:
        Values rounded to the nearest step (u8 and u16 come back exactly from `picture_tensor`).

    Raises:
        ValueError: A shape is wrong, or a value is nan.
    """
    _check_shape("rgb", rgb, 3)
    dtype = dtype_name(like.array)
    array = np.empty((*rgb.shape[2:], 4), DTYPES[dtype])
    array[..., :3] = _samples((rgb[0].float() + 1.0) / 2.0, dtype).transpose(1, 2, 0)
    if alpha is None:
        array[..., 3] = FULL[dtype]
    else:
        _check_shape("alpha", alpha, 1, rgb.shape[2:])
        array[..., 3] = _samples(alpha[0, 0], dtype)
    return Layer(name, array, like.x if x is None else x, like.y if y is None else y)


def layer_from_coverage(
    name: str,
    coverage: Tensor,
    *,
    like: Picture | Area,
    x: int | None = None,
    y: int | None = None,
) -> Layer:
    """A one-channel layer from (1, 1, H, W) in [0, 1], with ``like``'s sample type and place.

    Raises:
        ValueError: The shape is wrong, or a value is nan.
    """
    _check_shape("coverage", coverage, 1)
    array = _samples(coverage[0, 0], dtype_name(like.array))
    return Layer(name, array, like.x if x is None else x, like.y if y is None else y)


def shrink(layer: Layer, side: int) -> Layer:
    """A u8 copy, at most ``side`` pixels high and wide, averaged with colours weighted by alpha."""
    height, width = layer.array.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    stride = max(1, min(height // size[0], width // size[1]) // 4)  # 16 samples a pixel are enough
    unit = torch.from_numpy(_unit(layer.array[::stride, ::stride], layer.name))
    if unit.ndim == 2:
        small = adaptive_avg_pool2d(unit[None], size)[0]
    else:
        planes = unit.permute(2, 0, 1)
        alpha = planes[3:]
        pooled = adaptive_avg_pool2d(torch.cat((planes[:3] * alpha, alpha)), size)
        small = torch.cat((pooled[:3] / pooled[3:].clamp_min(1e-6), pooled[3:])).permute(1, 2, 0)
    return replace(layer, array=np.ascontiguousarray(_samples(small, "u8")))


def thumbnail(item: Picture | Layer, side: int = 96) -> bytes:
    """A small PNG of a picture, e.g. for `ModelStore.add`."""
    layer = item if isinstance(item, Layer) else Layer(item.name, item.array)
    small, file = shrink(layer, side), io.BytesIO()
    Image.fromarray(small.array).save(file, "PNG", optimize=True)
    return file.getvalue()


def _unit(array: np.ndarray, name: str) -> np.ndarray:
    """A fresh float32 copy in [0, 1]."""
    dtype = dtype_name(array)
    unit = np.array(array, dtype=np.float32, order="C")
    if dtype != "f32":
        unit /= np.float32(FULL[dtype])
        return unit
    if not np.isfinite(unit).all():
        raise InvalidRequest(
            f"The layer {name!r} holds values that are not numbers (nan or infinity).",
            value=name,
            remedy="Convert the layer to 16-bit integer, or repair those pixels, and run again.",
        )
    return np.clip(unit, 0.0, 1.0, out=unit)


def _samples(unit: Tensor, dtype: Dtype) -> np.ndarray:
    """Values in [0, 1] as samples of that type; clamped and rounded."""
    if torch.isnan(unit).any():
        raise ValueError("The result holds values that are not numbers.")
    values = unit.detach().float().clamp(0.0, 1.0)
    if dtype != "f32":
        values = (values * FULL[dtype]).round()
    return values.cpu().numpy().astype(DTYPES[dtype])


def _check_shape(
    name: str, tensor: Tensor, channels: int, size: torch.Size | tuple[int, ...] | None = None
) -> None:
    good = tensor.ndim == 4 and tensor.shape[0] == 1 and tensor.shape[1] == channels
    if not good or (size is not None and tuple(tensor.shape[2:]) != tuple(size)):
        wanted = tuple(size) if size is not None else ("H", "W")
        raise ValueError(f"{name} must be {(1, channels, *wanted)}, got {tuple(tensor.shape)}.")
