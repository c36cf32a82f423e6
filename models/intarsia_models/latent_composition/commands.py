"""The commands of ``python -m intarsia_models.latent_composition``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from intarsia_models.gan_training.batches import stored_size
from intarsia_models.gan_training.commands import (
    changed,
    command_line,
    device_name_of,
    reported,
    told,
)
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.pictures import PictureSet, read_pictures
from intarsia_models.gan_training.settings import QUALITIES, Quality
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import load_generator, save_generator
from intarsia_models.latent_composition.pack_regressors import add_regressor
from intarsia_models.latent_composition.training import TrainedRegressor, train_regressor
from intarsia_models.latent_composition.training_settings import (
    RegressorTraining,
    regressor_training,
)

MODULE = "intarsia_models.latent_composition"


@click.group()
def main() -> None:
    """Train masked regressors, which read collages for a generator."""


def _choices(command: Any) -> Any:
    """Options of a training."""
    for option in (
        click.option("--out", type=click.Path(path_type=Path), required=True),
        click.option("--quality", type=click.Choice(QUALITIES), default="normal"),
        click.option("--set", "changes", multiple=True, help="A setting: name=value."),
        click.option(
            "--pictures",
            type=click.Path(path_type=Path),
            help="Real pictures for a share of every batch (--set real_share=0.5).",
        ),
        click.option("--split", default="train", help="Of labels.csv."),
        click.option("--least-purity", default=0.0, help="Of labels.csv."),
        click.option("--seed", default=0),
        click.option("--devices", "device_count", default=1, help="How many."),
        click.option("--accelerator", default="auto", help="cpu, cuda or auto."),
    ):
        command = option(command)
    return command


@main.command()
@_choices
@click.option("--model", type=click.Path(path_type=Path), required=True, help="A folder or file.")
def train(model: Path, out: Path, device_count: int, accelerator: str, **options: Any) -> None:
    """Train a regressor for a model; OUT/model is the model with it.

    Taken up again where it was stopped. OUT also gets previews, curves and the checkpoints.
    """
    devices = Devices.several(device_count, accelerator)
    with told():
        generator = load_generator(model)
        trained = _trained(generator, out, devices, **options)
    if devices.rank == 0:
        save_generator(generator, out / "model", card={"regressor": trained.card()})


@main.command()
@_choices
@click.option("--pack", "folder", type=click.Path(path_type=Path), required=True, help="A folder.")
@click.option("--device-name", default="", help="For people; else what torch says.")
@click.option("--note", type=click.Path(path_type=Path, exists=True), help="A text file.")
def pack(
    folder: Path,
    out: Path,
    device_count: int,
    accelerator: str,
    device_name: str,
    note: Path | None,
    **options: Any,
) -> None:
    """Train a regressor for a pack and put it in: files, cards, README, curves and pictures.

    It is measured on the pack's own held-out pictures, where it has some.
    """
    devices = Devices.several(device_count, accelerator)
    with told():
        generator = load_generator(folder / "model")
        trained = _trained(generator, out, devices, **options)
        if devices.rank:
            return
        add_regressor(
            folder,
            trained,
            command=command_line(sys.argv[1:], MODULE),
            device=device_name or device_name_of(devices),
            held_out=_held_out(folder, generator),
            note=note.read_text(encoding="utf-8") if note else "",
        )


def _trained(
    generator: Generator,
    out: Path,
    devices: Devices,
    *,
    quality: Quality,
    changes: Sequence[str],
    pictures: Path | None,
    split: str,
    least_purity: float,
    seed: int,
) -> TrainedRegressor:
    settings: RegressorTraining = changed(regressor_training(quality), tuple(changes))
    real = None
    if pictures is not None:
        size = stored_size(generator.resolution, settings.crop)
        real = read_pictures(
            pictures, size, classes=generator.labels, split=split, least_purity=least_purity
        )
        click.echo(f"{len(real)} real pictures")
    with reported(out, devices) as follow:
        return train_regressor(
            generator,
            settings,
            pictures=real,
            seed=seed,
            device=devices,
            on_progress=follow,
            checkpoint_folder=out / "checkpoints",
            on_notice=click.echo,
        )


def _held_out(folder: Path, generator: Generator) -> PictureSet | None:
    """The pack's pictures in the order of the generator's classes."""
    place = folder / "pictures"
    if not place.is_dir():
        return None
    return read_pictures(place, generator.resolution, classes=generator.labels)
