"""Which boxes of a picture look like the parts that tell most of it.

The supplement takes the boxes of "the highest objectness score" (arXiv:1703.10730, sections 2 and
3), its public code those of Edge Boxes (Zitnick & Dollár 2014). The idea of the latter is kept: a
box is likely to hold something whole when many edges lie within it and few cross its border. Its
learnt edges and grouped contours are not: edges are differences of neighbouring pixels, and which
of them cross a border is told by their direction. With e the strength of edges, e_x and e_y its
parts by the squared direction of the difference, and (w, h) the box,

    score = (sum of e in the box - sum of e in its middle - C sum of e that crosses the border)
            / (2 (w + h)) ** 1.5

where the middle has half the sides (edges there say little of a whole, as in Edge Boxes), and what
crosses is e_y on a band along the left and the right side (edges that run across it) and e_x along
the top and the bottom. Every sum is read off a table of running sums, for all boxes and pictures at
once. The best boxes are taken in turn, each that overlaps a better one too far being left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.key_patches.boxes import BoxRule, overlap, random_boxes

__all__ = ["BoxRule", "KeyPatch", "find_key_patches", "key_boxes", "random_boxes"]

WORKING_SIDE = 96
"""Root of the area that pictures are looked at with."""
STRIDE = 1 / 32
"""Between two places that are tried, as a share of the side."""
CROSSING = 1.0
"""C: what an edge across the border takes away."""
EXPONENT = 1.5
"""Of the circumference, as in Edge Boxes: larger boxes hold more edges by chance."""
CHUNK = 64
"""Pictures at once."""
LEAST_COVERED = 0.5
"""Of a part, where a picture is transparent."""
_FORBIDDEN = -math.inf


@dataclass(frozen=True)
class KeyPatch:
    """A part of a picture, in its pixels."""

    x: int
    y: int
    width: int
    height: int
    score: float
    """Larger is better; of one picture only."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x, y, width, height)."""
        return self.x, self.y, self.width, self.height


class _Tables(NamedTuple):
    """Running sums of edges and of what is covered, (H + 1) (W + 1) rows of a number per picture:
    so what is read for a box is one run of memory."""

    row: int
    """W + 1."""
    edges: Tensor
    across: Tensor
    """Edges that run from left to right."""
    along: Tensor
    """Edges that run from top to bottom."""
    covered: Tensor | None

    def within(self, table: Tensor, box: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        """(K, B): sums over boxes (x, y, right, bottom), the last row and column left out."""
        x, y, right, bottom = box
        corners = [table.index_select(0, v * self.row + h) for v in (y, bottom) for h in (x, right)]
        return corners[3] - corners[2] - corners[1] + corners[0]


def find_key_patches(
    picture: Tensor,
    count: int = 3,
    *,
    alpha: Tensor | None = None,
    rule: BoxRule | None = None,
) -> list[KeyPatch]:
    """The key patches of one picture of any size, best first.

    Args:
        picture: (1, 3, H, W) in [-1, 1].
        count: At most how many; fewer come where no more fit beside each other.
        alpha: (1, 1, H, W) in [0, 1]: parts are looked for where the picture is not transparent.
        rule: Which sizes they may have.

    Raises:
        UnsuitablePicture: The picture is too small, or nothing of it can be seen.
        ValueError: A shape does not fit, or ``count`` is below 1.
    """
    rule = rule or BoxRule()
    _check(picture, alpha, count)
    height, width = picture.shape[-2:]
    scale = min(1.0, WORKING_SIDE / math.sqrt(height * width))
    small = (max(1, round(height * scale)), max(1, round(width * scale)))
    seen = picture.float().cpu()
    cover = None if alpha is None else alpha.float().cpu()
    if cover is not None:
        seen = seen * cover
    if scale < 1.0:
        seen = F.interpolate(seen, small, mode="area")
        cover = None if cover is None else F.interpolate(cover, small, mode="area")
    try:
        boxes, scores = _best(seen, cover, count, rule)
    except ValueError as error:
        raise UnsuitablePicture(str(error), "Take a larger picture or smaller parts.") from error
    chosen = [
        (box, score) for box, score in zip(boxes[0], scores[0], strict=True) if score > _FORBIDDEN
    ]
    if not chosen:
        raise UnsuitablePicture(
            "The picture is transparent wherever a part could be.", "Take a layer with a picture."
        )
    return [_scaled(box, float(score), small, (height, width)) for box, score in chosen]


@torch.no_grad()
def key_boxes(
    pixels: Tensor,
    count: int = 3,
    *,
    rule: BoxRule | None = None,
    tick: Callable[[], None] | None = None,
) -> Tensor:
    """The key patches of many small pictures of one size, at their own size.

    Args:
        pixels: (B, 3, S, S) uint8.
        count: How many of each; where fewer fit beside each other, the best ones come again.
        rule: Which sizes they may have.
        tick: Called now and then; may raise to stop.

    Returns:
        (B, count, 4) int64, best first.

    Raises:
        ValueError: The pictures are too small for the rule.
    """
    found = []
    for start in range(0, len(pixels), CHUNK):
        if tick is not None:
            tick()
        x = pixels[start : start + CHUNK].float().cpu() / 127.5 - 1.0
        boxes, scores = _best(x, None, count, rule or BoxRule())
        usable = scores > _FORBIDDEN
        rank = torch.arange(count).expand_as(scores)
        rank = torch.where(usable, rank, rank % usable.sum(1, keepdim=True).clamp_min(1))
        found.append(boxes.gather(1, rank[..., None].expand_as(boxes)))
    return torch.cat(found) if found else torch.empty(0, count, 4, dtype=torch.int64)


def _best(x: Tensor, cover: Tensor | None, count: int, rule: BoxRule) -> tuple[Tensor, Tensor]:
    """Boxes (B, count, 4) and scores (B, count), the best first; ruled out: `_FORBIDDEN`."""
    boxes = _candidates(x.shape[-2], x.shape[-1], rule)
    scores = _scores(_tables(x, cover), boxes)
    chosen, values = [], []
    for _ in range(count):
        value, index = scores.max(1)
        box = boxes[index]
        chosen.append(box)
        values.append(value)
        scores = scores.masked_fill(overlap(box[:, None], boxes[None]) > rule.overlap, _FORBIDDEN)
        scores = scores.scatter(1, index[:, None], _FORBIDDEN)
    return torch.stack(chosen, 1), torch.stack(values, 1)


def _candidates(height: int, width: int, rule: BoxRule) -> Tensor:
    """(K, 4): every size at every place of a grid that reaches all borders."""
    stride = max(1.0, math.sqrt(height * width) * STRIDE)
    parts = []
    for across, down in rule.sizes(height, width):
        x, y = _places(width - across, stride), _places(height - down, stride)
        corners = torch.cartesian_prod(x, y)
        parts.append(torch.cat((corners, torch.tensor([[across, down]]).expand_as(corners)), 1))
    return torch.cat(parts)


def _places(room: int, stride: float) -> Tensor:
    return torch.linspace(0, room, 1 + math.ceil(room / stride)).round().long()


def _tables(x: Tensor, cover: Tensor | None) -> _Tables:
    """Running sums of (B, 3, H, W) and of what is covered (B, 1, H, W)."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    dx = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    dy = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    dx2, dy2 = dx.square().sum(1), dy.square().sum(1)  # the strongest of all colours together
    strength = (dx2 + dy2).sqrt()
    share = dx2 / (dx2 + dy2).clamp_min(1e-12)
    usual = strength.mean((1, 2), keepdim=True).clamp_min(1e-6)
    strength = strength / (strength + usual)  # no single edge outweighs all others
    return _Tables(
        x.shape[-1] + 1,
        _running(strength),
        _running(strength * (1 - share)),
        _running(strength * share),
        None if cover is None else _running(cover[:, 0]),
    )


def _running(values: Tensor) -> Tensor:
    """(B, H, W) to ((H + 1) (W + 1), B)."""
    sums = F.pad(values.double().cumsum(1).cumsum(2), (1, 0, 1, 0))
    return sums.flatten(1).T.contiguous()


def _scores(tables: _Tables, boxes: Tensor) -> Tensor:
    """(B, K) float32."""
    x, y, across, down = boxes.unbind(1)
    right, bottom = x + across, y + down
    band = (torch.minimum(across, down) // 10).clamp_min(1)
    inner_x, inner_y = x + across // 4, y + down // 4
    inner = (inner_x, inner_y, inner_x + across // 2, inner_y + down // 2)
    scores = tables.within(tables.edges, (x, y, right, bottom))
    scores = scores - tables.within(tables.edges, inner)
    for table, box in (
        (tables.across, (x, y, x + band, bottom)),
        (tables.across, (right - band, y, right, bottom)),
        (tables.along, (x, y, right, y + band)),
        (tables.along, (x, bottom - band, right, bottom)),
    ):
        scores = scores - CROSSING * tables.within(table, box)
    circumference = (2 * (across + down)).double() ** EXPONENT
    scores = scores / circumference[:, None]
    if tables.covered is not None:
        covered = tables.within(tables.covered, (x, y, right, bottom)) / (across * down)[:, None]
        scores = scores.masked_fill(covered < LEAST_COVERED, _FORBIDDEN)
    return scores.T.float().contiguous()


def _scaled(box: Tensor, score: float, small: tuple[int, int], size: tuple[int, int]) -> KeyPatch:
    height, width = size
    x, y, across, down = (int(value) for value in box)
    left, right = round(x * width / small[1]), round((x + across) * width / small[1])
    top, bottom = round(y * height / small[0]), round((y + down) * height / small[0])
    return KeyPatch(left, top, max(1, right - left), max(1, bottom - top), score)


def _check(picture: Tensor, alpha: Tensor | None, count: int) -> None:
    if picture.ndim != 4 or picture.shape[:2] != (1, 3):
        raise ValueError(f"picture must be (1, 3, H, W), got {tuple(picture.shape)}.")
    if alpha is not None and tuple(alpha.shape) != (1, 1, *picture.shape[2:]):
        raise ValueError(f"alpha must be {(1, 1, *picture.shape[2:])}, got {tuple(alpha.shape)}.")
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}.")
