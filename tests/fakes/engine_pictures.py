"""Pixels as clients send and get them, made and looked at in tests with a real engine."""

from __future__ import annotations

import numpy as np

from intarsia_client.schema import Pixels, ResultLayer

KINDS = {"u8": np.uint8, "u16": np.uint16, "f32": np.float32}


def array_of(item: Pixels | ResultLayer) -> np.ndarray:
    """(H, W, C) as it is."""
    return np.frombuffer(item.data, KINDS[item.dtype]).reshape(
        item.height, item.width, item.channels
    )


def sent_back(layer: ResultLayer, role: str, *, x: int = 0, y: int = 0, name: str = "") -> Pixels:
    """A result layer on its way to the engine, as an editor sends it."""
    return Pixels(
        role,
        layer.width,
        layer.height,
        layer.channels,
        bytes(layer.data),
        dtype=layer.dtype,
        x=x,
        y=y,
        name=name or layer.name,
    )


def photograph(height: int = 60, width: int = 90, seed: int = 1, dtype: str = "u8") -> Pixels:
    """Soft waves of colour with grain, opaque."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    wave = 0.5 + 0.5 * np.sin(columns / 9 + rows / 14 + seed)
    rgb = wave[..., None] * random.random(3) + (1 - wave[..., None]) * random.random(3)
    rgb = (rgb + random.normal(0, 0.03, rgb.shape)).clip(0, 1)
    full = {"u8": 255, "u16": 65535, "f32": 1.0}[dtype]
    array = np.full((height, width, 4), full, KINDS[dtype])
    array[..., :3] = rgb if dtype == "f32" else (rgb * full).round()
    return Pixels("picture", width, height, 4, array.tobytes(), dtype=dtype, name="Photograph")


def area_of(
    left: int, top: int, width: int, height: int, *, role: str = "area", name: str = ""
) -> Pixels:
    """A rectangle of full coverage."""
    data = bytes([255]) * (width * height)
    return Pixels(role, width, height, 1, data, x=left, y=top, name=name)


def composited(bottom: Pixels, *layers: ResultLayer) -> np.ndarray:
    """(H, W, 3) float in [0, 1] on the bottom's rectangle."""
    full = {"u8": 255, "u16": 65535, "f32": 1.0}[bottom.dtype]
    canvas = array_of(bottom)[..., :3].astype(float) / full
    for layer in layers:
        above = array_of(layer).astype(float) / full
        rows = slice(layer.y - bottom.y, layer.y - bottom.y + layer.height)
        columns = slice(layer.x - bottom.x, layer.x - bottom.x + layer.width)
        alpha = above[..., 3:]
        canvas[rows, columns] = (1 - alpha) * canvas[rows, columns] + alpha * above[..., :3]
    return canvas
