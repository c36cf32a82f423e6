"""The blend modes that the layered formats share.

Source: W3C Compositing and Blending Level 1, sections 9.1 and 10 (formulas), OpenRaster 0.0.6
(names), Krita and Photoshop (which of them their names mean).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Blend = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(backdrop, source), both (H, W, 3) float32 in [0, 1] -> (H, W, 3)."""


def _hard_light(b: np.ndarray, s: np.ndarray) -> np.ndarray:
    return np.where(s <= 0.5, b * (2 * s), b + (2 * s - 1) - b * (2 * s - 1))


def _soft_light(b: np.ndarray, s: np.ndarray) -> np.ndarray:
    root = np.where(b <= 0.25, ((16 * b - 12) * b + 4) * b, np.sqrt(np.maximum(b, 0)))
    return np.where(s <= 0.5, b - (1 - 2 * s) * b * (1 - b), b + (2 * s - 1) * (root - b))


def _dodge(b: np.ndarray, s: np.ndarray) -> np.ndarray:
    light = np.minimum(1, b / np.maximum(1 - s, 1e-6))
    return np.where(b <= 0, 0, np.where(s >= 1, 1, light))


def _burn(b: np.ndarray, s: np.ndarray) -> np.ndarray:
    dark = 1 - np.minimum(1, (1 - b) / np.maximum(s, 1e-6))
    return np.where(b >= 1, 1, np.where(s <= 0, 0, dark))


_LUMA = np.array([0.3, 0.59, 0.11], np.float32)


def _lum(c: np.ndarray) -> np.ndarray:
    return (c @ _LUMA)[..., None]


def _clip_color(c: np.ndarray) -> np.ndarray:
    lum, low, high = _lum(c), c.min(-1, keepdims=True), c.max(-1, keepdims=True)
    c = np.where(low < 0, lum + (c - lum) * lum / np.maximum(lum - low, 1e-6), c)
    return np.where(high > 1, lum + (c - lum) * (1 - lum) / np.maximum(high - lum, 1e-6), c)


def _set_lum(c: np.ndarray, lum: np.ndarray) -> np.ndarray:
    return _clip_color(c + (lum - _lum(c)))


def _sat(c: np.ndarray) -> np.ndarray:
    return c.max(-1, keepdims=True) - c.min(-1, keepdims=True)


def _set_sat(c: np.ndarray, sat: np.ndarray) -> np.ndarray:
    low = c.min(-1, keepdims=True)
    span = c.max(-1, keepdims=True) - low
    return np.where(span > 0, (c - low) * sat / np.maximum(span, 1e-6), 0)


MODES: dict[str, Blend | None] = {
    "normal": None,
    "multiply": lambda b, s: b * s,
    "screen": lambda b, s: b + s - b * s,
    "overlay": lambda b, s: _hard_light(s, b),
    "darken": np.minimum,
    "lighten": np.maximum,
    "color-dodge": _dodge,
    "color-burn": _burn,
    "hard-light": _hard_light,
    "soft-light": _soft_light,
    "difference": lambda b, s: np.abs(b - s),
    "exclusion": lambda b, s: b + s - 2 * b * s,
    "add": lambda b, s: np.minimum(1, b + s),
    "subtract": lambda b, s: np.maximum(0, b - s),
    "linear-burn": lambda b, s: np.maximum(0, b + s - 1),
    "hue": lambda b, s: _set_lum(_set_sat(s, _sat(b)), _lum(b)),
    "saturation": lambda b, s: _set_lum(_set_sat(b, _sat(s)), _lum(b)),
    "color": lambda b, s: _set_lum(s, _lum(b)),
    "luminosity": lambda b, s: _set_lum(b, _lum(s)),
}
"""Name to formula; None draws the source itself."""

OPENRASTER = {
    "normal": "svg:src-over",
    "add": "svg:plus",
    **{
        name: f"svg:{name}"
        for name in MODES
        if name not in ("normal", "add", "subtract", "linear-burn", "exclusion")
    },
}
"""Our names to OpenRaster's ``composite-op``; a mode without one is drawn as normal elsewhere."""

KRITA = {
    "normal": "normal",
    "multiply": "multiply",
    "screen": "screen",
    "overlay": "overlay",
    "darken": "darken",
    "lighten": "lighten",
    "dodge": "color-dodge",
    "burn": "color-burn",
    "hard_light": "hard-light",
    "soft_light_svg": "soft-light",
    "diff": "difference",
    "exclusion": "exclusion",
    "add": "add",
    "linear_dodge": "add",
    "subtract": "subtract",
    "linear_burn": "linear-burn",
}
"""Krita's ``compositeop`` to our names."""
