"""What a training writes for people: sample grids, learning curves, TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from intarsia_models.gan_training.loop import History, TrainingProgress

PREVIEW_EVERY_S = 120.0
SMOOTHED = 15
"""Readings that a curve's line is averaged over."""


class TrainingReport:
    """Follows a training: give `follow` as its ``on_progress``.

    Writes ``samples.png`` (the newest), ``samples/<iteration>.png``, ``curves.png`` and TensorBoard
    events into a folder.
    """

    def __init__(
        self, folder: Path, *, every_s: float = PREVIEW_EVERY_S, tensorboard: bool = True
    ) -> None:
        """Make the folder and open the events file.

        Args:
            folder: For everything.
            every_s: Seconds between two grids.
            tensorboard: Whether to write events.
        """
        self.folder = folder
        self.every_s = every_s
        self.history: History = []
        (folder / "samples").mkdir(parents=True, exist_ok=True)
        self._events: Any = None
        if tensorboard:
            from torch.utils.tensorboard.writer import SummaryWriter

            self._events = SummaryWriter(str(folder / "tensorboard"))
        self._shown = time.monotonic()

    def follow(self, progress: TrainingProgress) -> None:
        """Note the losses, and draw when it is time."""
        if progress.losses is not None:
            self.history.append((progress.iteration, progress.losses))
            for name, value in progress.losses.items():
                if self._events is not None:
                    self._events.add_scalar(name, value, progress.iteration)
        ended = progress.iteration == progress.iterations
        if ended or time.monotonic() - self._shown >= self.every_s:
            self._draw(progress.iteration, progress.preview())
            self._shown = time.monotonic()

    def close(self) -> None:
        """Draw the curves a last time and close the events file."""
        if self.history:
            write_curves(self.folder / "curves.png", self.history)
        if self._events is not None:
            self._events.close()

    def __enter__(self) -> TrainingReport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _draw(self, iteration: int, grid: Tensor) -> None:
        write_picture(self.folder / "samples" / f"{iteration:07d}.png", grid)
        write_picture(self.folder / "samples.png", grid)
        if self.history:
            write_curves(self.folder / "curves.png", self.history)
        if self._events is not None:
            self._events.add_image("samples", (grid[0] + 1) / 2, iteration)
            self._events.flush()


def write_picture(file: Path, picture: Tensor) -> None:
    """Write (1, 3, h, w) in [-1, 1] as an 8-bit file."""
    levels = ((picture[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(levels.numpy())).save(file)


def write_curves(file: Path, history: History, *, title: str = "") -> None:
    """Draw all losses over the iterations, one plot each.

    Args:
        file: A .png.
        history: At least one reading.
        title: Above the plots.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = sorted({name for _, losses in history for name in losses})
    figure = Figure(figsize=(4.2 * len(names), 3.0), layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title)
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(1, len(names), place)
        points = [(at, losses[name]) for at, losses in history if name in losses]
        at = np.array([point[0] for point in points])
        values = np.array([point[1] for point in points])
        axes.plot(at, values, color="0.8", linewidth=0.8)
        width = min(SMOOTHED, len(values))
        smooth = np.convolve(values, np.ones(width) / width, mode="valid")
        axes.plot(at[width - 1 :], smooth, linewidth=1.6)
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("iteration")
        axes.grid(alpha=0.3)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=80)


def both(
    *followers: Callable[[TrainingProgress], None] | None,
) -> Callable[[TrainingProgress], None]:
    """One ``on_progress`` that tells several."""

    def follow(progress: TrainingProgress) -> None:
        for follower in followers:
            if follower is not None:
                follower(progress)

    return follow
