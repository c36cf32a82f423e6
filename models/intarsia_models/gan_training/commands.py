"""The commands of ``python -m intarsia_models.gan_training``."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from intarsia_models.errors import ModelsError
from intarsia_models.gan_training.adversarial import train_gan
from intarsia_models.gan_training.batches import stored_size
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.loop import TrainingProgress
from intarsia_models.gan_training.pictures import PictureSet, class_counts, read_pictures
from intarsia_models.gan_training.reports import TrainingReport, both
from intarsia_models.gan_training.settings import QUALITIES, gan_settings
from intarsia_models.generators.loading import save_generator

EACH = 100
"""Iterations between two printed lines."""


@click.group()
def main() -> None:
    """Train generators, encoders and auxiliary networks on a folder of pictures."""


def _choices(command: Any) -> Any:
    """Options that say which pictures, and where to compute."""
    for option in (
        click.argument("data", type=click.Path(path_type=Path)),
        click.option("--out", type=click.Path(path_type=Path), required=True),
        click.option("--classes", default="", help="Only these, separated by commas."),
        click.option("--split", default="train", help="Of labels.csv."),
        click.option("--least-purity", default=0.0, help="Of labels.csv."),
        click.option("--seed", default=0),
        click.option("--devices", "device_count", default=1, help="How many."),
        click.option("--accelerator", default="auto", help="cpu, cuda or auto."),
        click.option("--quality", type=click.Choice(QUALITIES), default="normal"),
        click.option("--set", "changes", multiple=True, help="A setting: name=value."),
    ):
        command = option(command)
    return command


@main.command()
@_choices
@click.option("--resolution", default=64)
def gan(
    data: Path,
    out: Path,
    classes: str,
    split: str,
    least_purity: float,
    seed: int,
    device_count: int,
    accelerator: str,
    quality: Any,
    changes: tuple[str, ...],
    resolution: int,
) -> None:
    """Train a generator and its critic; taken up again where it was stopped.

    OUT gets the model, sample grids, curves, TensorBoard events and the checkpoints.
    """
    devices = Devices.several(device_count, accelerator)
    settings = changed(gan_settings(quality, resolution), changes)
    try:
        pictures = _pictures(
            data, stored_size(resolution, settings.crop), classes, split, least_purity
        )
        with TrainingReport(out) as report:
            trained = train_gan(
                pictures,
                settings,
                seed=seed,
                device=devices,
                on_progress=both(report.follow, say),
                checkpoint_folder=out / "checkpoints",
                on_notice=click.echo,
            )
    except ModelsError as error:
        raise click.ClickException(str(error)) from error
    if devices.rank == 0:
        save_generator(trained.generator, out / "model", card=trained.card())


def changed(settings: Any, changes: tuple[str, ...]) -> Any:
    """Settings with "name=value" texts applied; tuples are separated by commas.

    Raises:
        click.BadParameter: There is no such setting, or the value does not fit.
    """
    known = {field.name: getattr(settings, field.name) for field in fields(settings)}
    values: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in known:
            raise click.BadParameter(f"There is no setting {name!r}; there are {sorted(known)}.")
        values[name] = _parsed(text, known[name])
    try:
        return replace(settings, **values)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def say(progress: TrainingProgress) -> None:
    """Print a line now and then."""
    if progress.losses is not None and progress.iteration % EACH == 0:
        told = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
        click.echo(f"{progress.iteration}/{progress.iterations} {told}")


def _parsed(text: str, like: Any) -> Any:
    if isinstance(like, bool):
        return text.lower() in ("1", "true", "yes")
    if isinstance(like, tuple):
        kind = float if like and isinstance(like[0], float) else str
        return tuple(kind(part) for part in text.split(",") if part)
    return type(like)(text)


def _pictures(data: Path, size: int, classes: str, split: str, least_purity: float) -> PictureSet:
    chosen = tuple(name.strip() for name in classes.split(",") if name.strip())
    pictures = read_pictures(data, size, classes=chosen, split=split, least_purity=least_purity)
    counts = ", ".join(f"{name} {count}" for name, count in class_counts(pictures).items())
    click.echo(f"{len(pictures)} pictures: {counts}")
    return pictures
