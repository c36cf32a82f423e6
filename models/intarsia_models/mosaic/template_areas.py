"""An area of all templates with the content, as the first network gets it, without detours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from intarsia_models.kernel_threads import run_parts
from intarsia_models.mosaic.templates import TemplateCanvas


def fillable() -> bool:
    """Whether the compiled loop can be had."""
    return _kernel() is not None


def fill_areas(
    canvases: Sequence[TemplateCanvas],
    corner: tuple[int, int],
    content: Tensor | None,
    into: Tensor,
) -> None:
    """What `SetUNet.joined` gives, channels last.

    Args:
        canvases: K.
        corner: (top, left) of the area on them.
        content: (1, 3, h, w) of the area, or None.
        into: (K, h, w, 6) float32 with neighbouring channels; 3 instead of 6 without a content.
    """
    kernel = _kernel()
    assert kernel is not None
    height, width = into.shape[1:3]
    values = (torch.arange(256).float() / 127.5 - 1.0).numpy()
    shown = torch.empty(height, width, 0) if content is None else content[0].permute(1, 2, 0)
    around = shown.float().contiguous().numpy()

    def run(index: int) -> None:
        canvas = canvases[index]
        rows, columns = canvas.places(*corner, height, width)
        pixels = canvas.pixels.contiguous().numpy()
        kernel(pixels, rows.numpy(), columns.numpy(), values, around, into[index].numpy())

    run_parts(run, [(n,) for n in range(len(canvases))], torch.get_num_threads())


@cache
def _kernel() -> Callable[..., None] | None:
    try:
        from intarsia_models.mosaic.picture_kernels import fill_area
    except ImportError:
        return None
    return fill_area
