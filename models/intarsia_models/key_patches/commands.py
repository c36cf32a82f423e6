"""The commands of ``python -m intarsia_models.key_patches``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import torch

from intarsia_models.gan_training.commands import (
    Order,
    changed,
    command_line,
    device_name_of,
    reported,
    told,
    training_choices,
)
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.packs import PackFacts
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.key_patches.packs import NETWORK, write_patch_pack
from intarsia_models.key_patches.training import TrainedKeyPatches, train_key_patches
from intarsia_models.key_patches.training_settings import KeyPatchTraining, key_patch_training

MODULE = "intarsia_models.key_patches"
HELD_OUT = "val"
"""The split of labels.csv that packs are measured with."""


@click.group()
def main() -> None:
    """Train models that make whole pictures from a few of their parts."""


@main.command()
@training_choices
@click.option("--resolution", default=64)
def train(resolution: int, **options: Any) -> None:
    """Train a model; taken up again where it was stopped.

    OUT gets the model, previews, curves, TensorBoard events and the checkpoints.
    """
    order = Order(**options)
    devices = order.devices()
    with told():
        trained = _trained(order, order.pictures(resolution), devices)
    if devices.rank == 0:
        trained.model.save(order.out / "model", extra={"trainings": {NETWORK: trained.card()}})


@main.command()
@training_choices
@click.option("--resolution", default=64)
@click.option(
    "--pack", "folder", type=click.Path(path_type=Path), required=True, help="Its folder."
)
@click.option("--title", required=True)
@click.option("--licence", default="", help="Of pictures and weights.")
@click.option("--attribution", type=click.Path(path_type=Path, exists=True), help="A text file.")
@click.option("--note", type=click.Path(path_type=Path, exists=True), help="A text file.")
@click.option("--device-name", default="", help="For people; else what torch says.")
@click.option("--measured", default=240, help="Held-out pictures to measure with, at most.")
@click.option("--measured-seed", default=0, help="Which; the first of them are shown.")
def pack(
    resolution: int,
    folder: Path,
    title: str,
    licence: str,
    attribution: Path | None,
    note: Path | None,
    device_name: str,
    measured: int,
    measured_seed: int,
    **options: Any,
) -> None:
    """Train a model and write it as a pack; taken up again where it was stopped.

    It is measured on the pictures with the split "val" of the table labels.csv.
    """
    order = Order(**options)
    devices = order.devices()
    with told():
        trained = _trained(order, order.pictures(resolution), devices)
        if devices.rank:
            return
        facts = PackFacts(
            title=title,
            licence=licence,
            attribution=attribution.read_text(encoding="utf-8") if attribution else "",
            commands=[command_line(sys.argv[1:], MODULE)],
            trainings={},
            device=device_name or device_name_of(devices),
            note=note.read_text(encoding="utf-8") if note else "",
        )
        held_out = _some(order.pictures(resolution, split=HELD_OUT), measured, measured_seed)
        write_patch_pack(folder, trained, facts, held_out)


def _trained(order: Order, pictures: PictureSet, devices: Devices) -> TrainedKeyPatches:
    resolution = int(pictures.pixels.shape[-1])
    made = key_patch_training(order.quality, resolution, pictures=len(pictures))
    settings: KeyPatchTraining = changed(made, order.changes)
    with reported(order.out, devices) as follow:
        return train_key_patches(
            pictures,
            settings,
            seed=order.seed,
            device=devices,
            on_progress=follow,
            checkpoint_folder=order.out / "checkpoints",
            on_notice=click.echo,
        )


def _some(pictures: PictureSet, count: int, seed: int) -> PictureSet:
    """Random ones, at most so many."""
    source = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(pictures), generator=source)[:count]
    names = tuple(pictures.names[index] for index in chosen.tolist())
    return PictureSet(pictures.pixels[chosen], pictures.y[chosen], pictures.labels, names)
