"""Which stored model knows this picture: the same one, or nearly the same."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from intarsia_daemon.model_store import Card

GRID = 16
"""Cells a side of a fingerprint."""
SAME_CELL = 4
"""Levels of 255 by which the three colours of a cell may differ and still count as the same."""
NEARLY_THE_SAME = 0.7
"""Share of equal cells from which a picture counts as the same one with something added."""


@dataclass(frozen=True)
class Known:
    """A stored model that fits."""

    id: str
    likeness: float
    """Share of the picture that is as it was when learnt, in [0, 1]; 1 = the same pixels."""


def settings_hash(settings: Mapping[str, Any], seed: int) -> str:
    """SHA-256 of what a training depends on besides its picture."""
    text = json.dumps([dict(settings), seed], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(image: Tensor) -> str:
    """A picture as a grid of mean colours.

    Args:
        image: (1, 3, H, W) in [-1, 1].

    Returns:
        Base64 of `GRID` x `GRID` x 3 bytes.
    """
    cells = F.adaptive_avg_pool2d(image.float(), GRID)[0].permute(1, 2, 0)
    levels = ((cells + 1) * 127.5).round().clamp(0, 255).cpu().numpy().astype(np.uint8)
    return base64.b64encode(levels.tobytes()).decode()


def likeness(one: str, other: str) -> float:
    """Share of the cells in which two fingerprints agree, in [0, 1]; 0 if one is none."""
    try:
        a, b = (np.frombuffer(base64.b64decode(x), np.uint8).reshape(-1, 3) for x in (one, other))
    except (ValueError, TypeError):
        return 0.0
    if a.shape != b.shape or len(a) != GRID * GRID:
        return 0.0
    difference = np.abs(a.astype(int) - b.astype(int)).max(axis=1)
    return float((difference <= SAME_CELL).mean())


def find_model(
    cards: Iterable[tuple[str, Card]],
    *,
    image_hash: str,
    mark: str,
    settings: str,
    nearly: bool,
) -> Known | None:
    """The stored model that fits a picture best.

    Args:
        cards: Ids and cards of the stored models.
        image_hash: SHA-256 of the picture.
        mark: Its `fingerprint`.
        settings: The wanted `settings_hash`.
        nearly: Whether a model of nearly the same picture will do.

    Returns:
        A model of the very picture, else (if ``nearly``) the most alike; None where there is none.
    """
    best: Known | None = None
    for model_id, card in cards:
        if card.settings_hash != settings:
            continue
        if card.source_hash == image_hash:
            return Known(model_id, 1.0)
        alike = likeness(mark, card.fingerprint) if nearly else 0.0
        if alike >= NEARLY_THE_SAME and (best is None or alike > best.likeness):
            best = Known(model_id, alike)
    return best
