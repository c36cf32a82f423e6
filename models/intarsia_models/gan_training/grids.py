"""Grids of sample pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from intarsia_models.generators.generator import Generator

ROWS = 16
"""At most as many classes are shown."""
COLUMNS = 8
BATCH = 32


def grid_classes(num_classes: int, rows: int = ROWS, columns: int = COLUMNS) -> Tensor:
    """(rows x columns,) class ids, a row per class; without classes, zeros for a square grid."""
    if num_classes == 0:
        return torch.zeros(columns * columns, dtype=torch.int64)
    shown = torch.linspace(0, num_classes - 1, min(rows, num_classes)).round().long()
    return shown.repeat_interleave(columns)


@torch.no_grad()
def class_grid(generator: Generator, z: Tensor, y: Tensor, columns: int = COLUMNS) -> Tensor:
    """Pictures in rows.

    Args:
        generator: In eval mode.
        z: (N, z_dim), N a multiple of ``columns``.
        y: (N,) class ids; not used without classes.
        columns: Pictures per row.

    Returns:
        (1, 3, N / columns R, columns R) in [-1, 1], on the CPU.
    """
    device = next(generator.parameters()).device
    parts = []
    for start in range(0, len(z), BATCH):
        chosen = y[start : start + BATCH].to(device) if generator.num_classes else None
        made = generator.synthesize(z[start : start + BATCH].to(device), chosen)
        parts.append(made.float().cpu())
    return arranged(torch.cat(parts), columns)


def arranged(pictures: Tensor, columns: int) -> Tensor:
    """(N, 3, h, w) to one picture (1, 3, N / columns h, columns w), row by row.

    Raises:
        ValueError: N is no multiple of ``columns``.
    """
    count, channels, height, width = pictures.shape
    if count % columns:
        raise ValueError(f"{count} pictures do not fill rows of {columns}.")
    rows = pictures.view(count // columns, columns, channels, height, width)
    grid = rows.permute(2, 0, 3, 1, 4).reshape(channels, -1, columns * width)
    return grid.clamp(-1, 1)[None]
