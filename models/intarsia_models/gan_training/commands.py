"""The commands of ``python -m intarsia_models.gan_training``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import click
import torch

from intarsia_models.errors import ModelsError
from intarsia_models.gan_training.adversarial import TrainedGAN, train_gan
from intarsia_models.gan_training.auxiliary import train_auxiliary
from intarsia_models.gan_training.batches import stored_size
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.encoder import TrainedNetwork, train_encoder
from intarsia_models.gan_training.loop import OnProgress, TrainingProgress
from intarsia_models.gan_training.packs import PackFacts, write_examples, write_pack
from intarsia_models.gan_training.pictures import PictureSet, class_counts, read_pictures
from intarsia_models.gan_training.reports import TrainingReport, both, write_curves
from intarsia_models.gan_training.settings import (
    QUALITIES,
    Quality,
    auxiliary_training,
    encoder_training,
    gan_settings,
)
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import load_generator, save_generator

EACH = 100
"""Iterations between two printed lines."""


@click.group()
def main() -> None:
    """Train generators, encoders and auxiliary networks on a folder of pictures."""


def training_choices(command: Any) -> Any:
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
@training_choices
@click.option("--resolution", default=64)
def gan(resolution: int, **options: Any) -> None:
    """Train a generator and its critic; taken up again where it was stopped.

    OUT gets the model, sample grids, curves, TensorBoard events and the checkpoints.
    """
    order = Order(**options)
    devices = order.devices()
    with told():
        trained = _train_gan(order, resolution, devices)
    if devices.rank == 0:
        save_generator(trained.generator, order.out / "model", card=trained.card())


@main.command()
@training_choices
@click.option("--model", type=click.Path(path_type=Path), required=True, help="A trained one.")
@click.option("--network", type=click.Choice(("encoder", "auxiliary")), required=True)
def companion(model: Path, network: str, **options: Any) -> None:
    """Train an encoder, or auxiliary networks, for a model; OUT/model gets it with them."""
    order = Order(**options)
    devices = order.devices()
    with told():
        generator = load_generator(model)
        trained = _train_companion(network, generator, order, order.changes, devices)
    if devices.rank == 0:
        save_generator(generator, order.out / "model", card={network: trained.card()})


@main.command()
@training_choices
@click.option("--resolution", default=64)
@click.option("--encoder-set", multiple=True, help="A setting of the encoder's training.")
@click.option("--auxiliary-set", multiple=True, help="A setting of the auxiliary training.")
@click.option("--pack", type=click.Path(path_type=Path), required=True, help="Its folder.")
@click.option("--title", required=True)
@click.option("--licence", default="", help="Of pictures and weights.")
@click.option("--attribution", type=click.Path(path_type=Path, exists=True), help="A text file.")
@click.option("--note", type=click.Path(path_type=Path, exists=True), help="A text file.")
@click.option("--examples", default=0, help='Pictures per class, with split "val", for measuring.')
@click.option("--device-name", default="", help="For people; else what torch says.")
@click.option(
    "--projection-space",
    type=click.Choice(["", "z", "extended"]),
    default="",
    help="Where pictures are looked for, once it was measured; else the extended space.",
)
def pack(
    resolution: int,
    encoder_set: tuple[str, ...],
    auxiliary_set: tuple[str, ...],
    pack: Path,
    title: str,
    licence: str,
    attribution: Path | None,
    note: Path | None,
    examples: int,
    device_name: str,
    projection_space: str,
    **options: Any,
) -> None:
    """Train a generator, its encoder and its auxiliary networks, and write them as a pack.

    Every training is taken up again where it was stopped.
    """
    order = Order(**options)
    devices = order.devices()
    with told():
        trained = _train_gan(order, resolution, devices)
        cards, histories = {"generator": trained.card()}, {"generator": trained.history}
        for network, changes in (("encoder", encoder_set), ("auxiliary", auxiliary_set)):
            found = _train_companion(network, trained.generator, order, changes, devices)
            cards[network], histories[network] = found.card(), found.history
    if devices.rank:
        return
    facts = PackFacts(
        title=title,
        licence=licence,
        attribution=attribution.read_text(encoding="utf-8") if attribution else "",
        commands=[command_line(sys.argv[1:])],
        trainings=cards,
        note=note.read_text(encoding="utf-8") if note else "",
        device=device_name or device_name_of(devices),
    )
    trained.generator.projection_space = projection_space
    write_pack(pack, trained.generator, facts)
    if examples:
        write_examples(pack / "pictures", order.pictures(resolution, split="val"), examples)
    for network, history in histories.items():
        write_curves(pack / f"curves_{network}.png", history, title=network)


@dataclass(frozen=True)
class Order:
    """What all commands are told."""

    data: Path
    out: Path
    classes: str
    split: str
    least_purity: float
    seed: int
    device_count: int
    accelerator: str
    quality: Quality
    changes: tuple[str, ...]

    def devices(self) -> Devices:
        """Where to compute."""
        return Devices.several(self.device_count, self.accelerator)

    def pictures(self, size: int, *, split: str = "") -> PictureSet:
        """The chosen pictures; ``split`` instead of the chosen one."""
        chosen = tuple(name.strip() for name in self.classes.split(",") if name.strip())
        found = read_pictures(
            self.data,
            size,
            classes=chosen,
            split=split or self.split,
            least_purity=self.least_purity,
        )
        counts = ", ".join(f"{name} {count}" for name, count in class_counts(found).items())
        click.echo(f"{len(found)} pictures: {counts}")
        return found


def command_line(arguments: Sequence[str], module: str = "intarsia_models.gan_training") -> str:
    """The command that was given, with files' names only: it is shown to others."""
    shown = [Path(part).name if "/" in part else part for part in arguments]
    return shlex.join(["python", "-m", module, *shown])


def _train_gan(order: Order, resolution: int, devices: Devices) -> TrainedGAN:
    settings = changed(gan_settings(order.quality, resolution), order.changes)
    with reported(order.out, devices) as follow:
        return train_gan(
            order.pictures(stored_size(resolution, settings.crop)),
            settings,
            seed=order.seed,
            device=devices,
            on_progress=follow,
            checkpoint_folder=order.out / "checkpoints",
            on_notice=click.echo,
        )


def _train_companion(
    network: str, generator: Generator, order: Order, changes: tuple[str, ...], devices: Devices
) -> TrainedNetwork:
    make, train = (
        (encoder_training, train_encoder)
        if network == "encoder"
        else (auxiliary_training, train_auxiliary)
    )
    settings: Any = changed(make(order.quality), changes)
    folder = order.out / network
    with reported(folder, devices) as follow:
        return train(
            generator,
            order.pictures(stored_size(generator.resolution, settings.crop)),
            settings,
            seed=order.seed,
            device=devices,
            on_progress=follow,
            checkpoint_folder=folder / "checkpoints",
            on_notice=click.echo,
        )


@contextmanager
def reported(folder: Path, devices: Devices) -> Iterator[OnProgress | None]:
    """What one process of all follows the training with."""
    if devices.rank:
        yield None
        return
    with TrainingReport(folder) as report:
        yield both(report.follow, say)


@contextmanager
def told() -> Iterator[None]:
    """Errors of ours end the command with a sentence."""
    try:
        yield
    except ModelsError as error:
        raise click.ClickException(str(error)) from error


def device_name_of(devices: Devices) -> str:
    if devices.device.type == "cuda":
        return f"{devices.count} x {torch.cuda.get_device_name(devices.device)}"
    return f"{torch.get_num_threads()} CPU cores"


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
