"""The experiments as a page of Markdown and pictures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intarsia_models.evaluation.experiments import Calibration, Relabelling, Trial
from intarsia_models.evaluation.page import put_beginning
from intarsia_models.gan_training.grids import arranged
from intarsia_models.gan_training.reports import write_picture
from intarsia_models.generators.generator import Generator

SHOWN = 10
"""Cases in the picture of all methods."""
ENLARGED = 2
CALIBRATION = "Calibration in the extended latent space"


def write_report(
    page: Path,
    images: Path,
    generator: Generator,
    relabelled: Relabelling,
    calibrated: Calibration | None,
    facts: dict[str, Any],
) -> None:
    """Write the page's beginning and its pictures; sections of other measurements are kept.

    Args:
        page: The Markdown file.
        images: The folder of the pictures, beside or below the page's folder.
        generator: That was measured.
        relabelled: Of `experiments.relabelling`.
        calibrated: Of `experiments.calibration`; None without auxiliary networks.
        facts: ``pack``, ``command``, ``device``, ``date``, ``samples``, ``steps``, ``classifier``
            (its card), ``seconds``.
    """
    images.mkdir(parents=True, exist_ok=True)
    place = images.relative_to(page.parent).as_posix()
    write_picture(images / "results-methods.png", _methods_picture(relabelled))
    write_picture(images / "results-layers.png", _layers_picture(relabelled))
    parts = [
        _head(facts),
        _relabelling(generator, relabelled, facts, place),
        _locality(relabelled),
        _layer_choice(relabelled, place),
    ]
    if calibrated is not None:
        _draw_calibration(images / "results-calibration.png", calibrated)
        parts.insert(2, _calibration(calibrated, facts, place))
    put_beginning(page, "\n".join(parts), earlier=(CALIBRATION,))


def rate(trials: Sequence[Trial]) -> float:
    """Share of trials whose area shows the target class."""
    return statistics.mean(trial.hit for trial in trials)


def _head(facts: dict[str, Any]) -> str:
    card = facts["classifier"]
    return f"""# What the default pack does, measured

Pack `{facts["pack"]}`, {facts["date"]}, {facts["device"]}, {facts["seconds"]:.0f} seconds:

```
{facts["command"]}
```

{facts["samples"]} real pictures that no network was trained on, each with one other class drawn at
random; the edited area is a square in the middle, half the side long. A classifier that was trained
on the same training pictures (never on these) looks at that square alone. Its own accuracy on all
{card["pictures"]} pictures that were kept from it: {card["accuracy"]:.1%}
({card["class_accuracy"]:.1%} as the mean over the classes). With so few pictures a share is
uncertain by about
{_margin(facts["samples"]):.0%} either way (95 %).
"""


def _relabelling(
    generator: Generator, found: Relabelling, facts: dict[str, Any], place: str
) -> str:
    rows = "\n".join(
        f"| {name} | {rate(trials):.0%} | {_mean(trials, 'outside'):.1f} | "
        f"{_mean(trials, 'structure'):.2f} |"
        for name, trials in found.methods.items()
    )
    return f"""
## Target class after relabelling a real picture

| method | the area shows the target class | change outside, grey levels | forms kept inside |
| --- | --- | --- | --- |
{rows}

"Forms kept" is the correlation of brightness in the area before and after. Pasting another real
picture shows the target class by construction and keeps nothing of what was there; it says how far
the classifier can be trusted on such squares. Each picture was projected in {facts["steps"]} steps;
the reconstructions are {found.reconstruction_error:.1f} grey levels from the originals on average
(fit {statistics.mean(found.fits):.2f}). There are {generator.num_classes} classes, so guessing hits
{1 / generator.num_classes:.0%}.

![original, reconstruction, and the methods in the table's order]({place}/results-methods.png)

From left to right: original, then the rows of the table.
"""


def _locality(found: Relabelling) -> str:
    trials = found.layers["all layers"]
    inside, outside = _mean(trials, "inside"), _mean(trials, "outside")
    return f"""
## Change outside the area

The model's own picture, before anything is put back into the original: relabelling changes it by
{inside:.1f} grey levels inside the area and {outside:.1f} outside, a ratio of
{outside / max(inside, 1e-9):.2f}. What is returned as a difference on the original changes nothing
outside the (softened) area.
"""


def _layer_choice(found: Relabelling, place: str) -> str:
    rows = "\n".join(
        f"| {name} | {rate(trials):.0%} | {_mean(trials, 'inside'):.1f} | "
        f"{_mean(trials, 'outside'):.1f} | {_mean(trials, 'structure'):.2f} |"
        for name, trials in found.layers.items()
    )
    return f"""
## Which layers are relabelled

| layers | the area shows the target class | change inside | change outside | forms kept |
| --- | --- | --- | --- | --- |
{rows}

![original, reconstruction, and the layer choices]({place}/results-layers.png)

From left to right: original, reconstruction, then the rows of the table.
"""


def _calibration(found: Calibration, facts: dict[str, Any], place: str) -> str:
    steps = facts["calibration_steps"]
    needed = found.steps_to_plain_end()
    reached = [step for step in needed if step is not None]
    back = [step for step in found.steps_to_extended_end() if step is not None]
    plain = statistics.mean(min(curve) for curve in found.plain)
    extended = statistics.mean(min(curve) for curve in found.extended)
    overhead = found.extended_step_s / found.plain_step_s - 1
    median = f", after {statistics.median(reached):.0f} steps in the median" if reached else ""
    return f"""
## {CALIBRATION}

{len(found.plain)} pictures, {steps} steps of Adam each, from the encoder's latent; for each space
the better of two step sizes, {found.plain_rate:g} in z and {found.extended_rate:g} in the extended
one.

| | z | extended |
| --- | --- | --- |
| mean best loss after {steps} steps | {plain:.4f} | {extended:.4f} |
| milliseconds per step | {found.plain_step_s * 1e3:.1f} | {found.extended_step_s * 1e3:.1f} |

The extended space reaches what z reaches at its end for {len(reached)} of {len(needed)}
pictures{median}; z reaches what the extended space reaches for {len(back)} of
{len(needed)}. Overhead per step: {overhead:.1%}. (The paper: fewer than two thirds of the steps,
and less than 1 %.)

![loss by step, median over the pictures]({place}/results-calibration.png)
"""


def _mean(trials: Sequence[Trial], name: str) -> float:
    return statistics.mean(getattr(trial, name) for trial in trials)


def _margin(count: int) -> float:
    """Half of the 95 % interval of a share of one half."""
    return 1.96 * (0.25 / max(1, count)) ** 0.5


def _rows(first: Callable[[int], list[Tensor]], count: int) -> Tensor:
    """A row of pictures per case, enlarged."""
    rows = [torch.cat(first(index)) for index in range(count)]
    grid = arranged(torch.cat(rows), len(rows[0]))
    return torch.nn.functional.interpolate(grid, scale_factor=float(ENLARGED), mode="nearest")


def _methods_picture(found: Relabelling) -> Tensor:
    def row(index: int) -> list[Tensor]:
        trials = (trials[index].picture for trials in found.methods.values())
        return [found.cases[index].picture, *trials]

    return _rows(row, min(SHOWN, len(found.cases)))


def _layers_picture(found: Relabelling) -> Tensor:
    def row(index: int) -> list[Tensor]:
        case = found.cases[index]
        trials = (trials[index].picture for trials in found.layers.values())
        return [case.picture, case.projection.reconstruction, *trials]

    return _rows(row, min(SHOWN, len(found.cases)))


def _draw_calibration(file: Path, found: Calibration) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, curves in (("z", found.plain), ("extended", found.extended)):
        best = np.minimum.accumulate(np.array(curves), axis=1)
        axes.plot(np.median(best, axis=0), label=name, linewidth=1.8)
    axes.set_xlabel("step")
    axes.set_ylabel("best loss so far")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=90)
