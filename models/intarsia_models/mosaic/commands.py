"""The commands of ``python -m intarsia_models.mosaic``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from intarsia_models.gan_training.commands import (
    changed,
    command_line,
    device_name_of,
    reported,
    told,
)
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.settings import QUALITIES, Quality
from intarsia_models.mosaic.packs import MosaicFacts, write_mosaic_pack
from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.templates import PictureSource
from intarsia_models.mosaic.training import TrainedMosaic, train_mosaic
from intarsia_models.mosaic.training_settings import (
    MosaicTraining,
    mosaic_settings,
    mosaic_training,
)

MODULE = "intarsia_models.mosaic"
LARGEST_SIDE = 1024


@click.group()
def main() -> None:
    """Train mosaics: generators that compose a picture of other pictures."""


def _choices(command: Any) -> Any:
    """Options of a training."""
    for option in (
        click.argument("templates", type=click.Path(path_type=Path)),
        click.option("--contents", type=click.Path(path_type=Path), help="Pictures to follow."),
        click.option("--sets", is_flag=True, help="Every sub-folder of TEMPLATES is a set."),
        click.option("--out", type=click.Path(path_type=Path), required=True),
        click.option("--quality", type=click.Choice(QUALITIES), default="normal"),
        click.option("--set", "changes", multiple=True, help="Of the training: name=value."),
        click.option("--network-set", "sizes", multiple=True, help="Of the networks: name=value."),
        click.option("--scale", default=1.0, help="Of the templates."),
        click.option("--largest-side", default=LARGEST_SIDE, help="Larger pictures are reduced."),
        click.option("--seed", default=0),
        click.option("--devices", "device_count", default=1, help="How many."),
        click.option("--accelerator", default="auto", help="cpu, cuda or auto."),
    ):
        command = option(command)
    return command


@main.command()
@_choices
def train(out: Path, device_count: int, accelerator: str, **options: Any) -> None:
    """Train on a folder of TEMPLATES; OUT/model gets the model.

    Without --contents the model is an unguided one. Taken up again where it was stopped; OUT also
    gets previews, curves and the checkpoints.
    """
    devices = Devices.several(device_count, accelerator)
    with told():
        trained = _trained(out, devices, **options)
    if devices.rank == 0:
        trained.model.save(out / "model")


@main.command()
@_choices
@click.option(
    "--pack", "folder", type=click.Path(path_type=Path), required=True, help="Its folder."
)
@click.option("--title", required=True)
@click.option("--licence", default="", help="Of pictures and weights.")
@click.option("--attribution", type=click.Path(path_type=Path, exists=True), help="A text file.")
@click.option("--note", type=click.Path(path_type=Path, exists=True), help="A text file.")
@click.option("--device-name", default="", help="For people; else what torch says.")
@click.option(
    "--example",
    "examples",
    type=(click.Path(path_type=Path, exists=True), click.Path(path_type=Path, exists=True)),
    multiple=True,
    help="A content that no training saw, and a folder of templates for it.",
)
def pack(
    out: Path,
    device_count: int,
    accelerator: str,
    folder: Path,
    title: str,
    licence: str,
    attribution: Path | None,
    note: Path | None,
    device_name: str,
    examples: Sequence[tuple[Path, Path]],
    **options: Any,
) -> None:
    """Train as `train` does, and write a pack: model, card, README, curves and examples."""
    devices = Devices.several(device_count, accelerator)
    with told():
        trained = _trained(out, devices, **options)
    if devices.rank:
        return
    facts = MosaicFacts(
        title=title,
        licence=licence,
        attribution=attribution.read_text(encoding="utf-8") if attribution else "",
        command=command_line(sys.argv[1:], MODULE),
        note=note.read_text(encoding="utf-8") if note else "",
        device=device_name or device_name_of(devices),
        examples=list(examples),
    )
    with told():
        write_mosaic_pack(folder, trained, facts)


def _trained(
    out: Path,
    devices: Devices,
    *,
    templates: Path,
    contents: Path | None,
    sets: bool,
    quality: Quality,
    changes: Sequence[str],
    sizes: Sequence[str],
    scale: float,
    largest_side: int,
    seed: int,
) -> TrainedMosaic:
    guided = contents is not None
    settings: MosaicSettings = changed(mosaic_settings(quality, guided=guided), tuple(sizes))
    training: MosaicTraining = changed(mosaic_training(quality, guided=guided), tuple(changes))
    folders = sorted(path for path in templates.iterdir() if path.is_dir()) if sets else [templates]
    sources = [
        PictureSource.from_folder(folder, scale=scale, largest_side=largest_side)
        for folder in folders
    ]
    followed = None
    if contents is not None:
        followed = PictureSource.from_folder(contents, largest_side=largest_side)
        click.echo(f"{len(followed)} contents")
    click.echo(f"{sum(len(source) for source in sources)} templates in {len(sources)} sets")
    with reported(out, devices) as follow:
        return train_mosaic(
            sources,
            followed,
            settings,
            training,
            seed=seed,
            device=devices,
            on_progress=follow,
            checkpoint_folder=out / "checkpoints",
            on_notice=click.echo,
        )
