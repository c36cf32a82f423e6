"""Measure a model pack and write docs/results.md with its pictures: ``make evaluate``."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

import click
import torch

from intarsia_models import load_generator, packs_folder
from intarsia_models.evaluation.classifier import load_classifier
from intarsia_models.evaluation.experiments import calibration, relabelling
from intarsia_models.evaluation.report import write_report
from intarsia_models.gan_training import read_pictures

ROOT = Path(__file__).resolve().parent.parent


@click.command()
@click.option("--pack", default="produce64", help="Its id, or a folder.")
@click.option("--pictures", type=click.Path(path_type=Path), help="Real ones; else the pack's own.")
@click.option("--samples", default=48, help="Pictures that are edited.")
@click.option("--steps", default=60, help="Of each projection.")
@click.option("--calibrations", default=8, help="Pictures that both latent spaces are tried on.")
@click.option("--calibration-steps", default=100)
@click.option("--seed", default=0)
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs")
@click.option("--device-name", default="")
def main(
    pack: str,
    pictures: Path | None,
    samples: int,
    steps: int,
    calibrations: int,
    calibration_steps: int,
    seed: int,
    out: Path,
    device_name: str,
) -> None:
    """Measure a pack with real pictures that it was not trained on."""
    begun = time.perf_counter()
    folder = Path(pack) if Path(pack).is_dir() else packs_folder() / pack
    generator = load_generator(folder / "model")
    classifier, card = load_classifier(folder / "classifier")
    real = read_pictures(
        pictures or folder / "pictures",
        generator.resolution,
        classes=generator.labels,
        split="val",
    )
    click.echo(f"{len(real)} pictures; relabelling {samples} of them")
    found = relabelling(generator, classifier, real, samples=samples, steps=steps, seed=seed)
    calibrated = None
    if generator.auxiliary is not None:
        click.echo(f"calibrating {calibrations}")
        calibrated = calibration(
            generator, real, samples=calibrations, steps=calibration_steps, seed=seed
        )
    facts = {
        "pack": folder.name,
        "command": shlex.join(["python", "tools/evaluate.py", *sys.argv[1:]]),
        "device": device_name or f"{torch.get_num_threads()} CPU cores",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "samples": samples,
        "steps": steps,
        "calibration_steps": calibration_steps,
        "classifier": card,
        "seconds": time.perf_counter() - begun,
    }
    write_report(out / "results.md", out / "images", generator, found, calibrated, facts)
    click.echo(out / "results.md")


if __name__ == "__main__":
    main()
