"""Trains the classifier that edits are judged with: ``python -m intarsia_models.evaluation``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from intarsia_models.errors import ModelsError
from intarsia_models.evaluation.classifier import accuracy, save_classifier, train_classifier
from intarsia_models.gan_training.commands import command_line
from intarsia_models.gan_training.pictures import read_pictures


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--classes", required=True, help="In the generator's order, with commas.")
@click.option("--least-purity", default=0.0)
@click.option("--resolution", default=64)
@click.option("--iterations", default=1500)
@click.option("--seed", default=0)
def main(
    data: Path,
    out: Path,
    classes: str,
    least_purity: float,
    resolution: int,
    iterations: int,
    seed: int,
) -> None:
    """Train on the pictures with split "train" and test on those with split "val"."""
    labels = tuple(name.strip() for name in classes.split(","))
    begun = time.perf_counter()
    try:
        train, test = (
            read_pictures(data, resolution, classes=labels, split=split, least_purity=least_purity)
            for split in ("train", "val")
        )
        model = train_classifier(train, iterations=iterations, seed=seed)
    except ModelsError as error:
        raise click.ClickException(str(error)) from error
    plain, by_class = accuracy(model, test.pixels.float() / 127.5 - 1.0, test.y)
    card = {
        "accuracy": plain,
        "class_accuracy": by_class,
        "pictures": len(test),
        "trained_on": len(train),
        "iterations": iterations,
        "seconds": round(time.perf_counter() - begun, 1),
        "command": command_line(sys.argv[1:], "intarsia_models.evaluation"),
    }
    save_classifier(model, out, card)
    click.echo(f"{plain:.1%} of {len(test)} pictures, {by_class:.1%} as the mean over the classes")


if __name__ == "__main__":
    main()
