"""Measure a model pack and write docs/results.md with its pictures: ``make evaluate``."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click
import torch

from intarsia_models import load_generator, packs_folder
from intarsia_models.evaluation.classifier import Classifier, load_classifier
from intarsia_models.evaluation.composition_experiments import composition
from intarsia_models.evaluation.composition_report import write_composition
from intarsia_models.evaluation.experiments import calibration, relabelling
from intarsia_models.evaluation.looking import best_looks
from intarsia_models.evaluation.mosaic_run import measure_mosaics
from intarsia_models.evaluation.mosaic_trainings import SCALES
from intarsia_models.evaluation.patch_run import measure_patches
from intarsia_models.evaluation.patch_trainings import NEEDED, VARIANTS
from intarsia_models.evaluation.report import write_report
from intarsia_models.gan_training import PictureSet, read_pictures
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.influence import REPLACEMENTS
from intarsia_models.latent_composition.refinement import RANDOM_STARTS

ROOT = Path(__file__).resolve().parent.parent


PARTS = ("all", "relabelling", "composition", "patches", "mosaic")


@click.command()
@click.option("--pack", default="produce64", help="Its id, or a folder.")
@click.option("--pictures", type=click.Path(path_type=Path), help="Real ones; else the pack's own.")
@click.option(
    "--part",
    type=click.Choice(PARTS),
    default="all",
    help="The others are kept; those that train models of their own are not in all.",
)
@click.option("--samples", default=48, help="Pictures that are edited.")
@click.option("--steps", default=60, help="Of each projection.")
@click.option("--calibrations", default=8, help="Pictures that both latent spaces are tried on.")
@click.option("--calibration-steps", default=100)
@click.option("--collages", default=200, help="For what takes one pass.")
@click.option("--slow-collages", default=12, help="For optimisation, too.")
@click.option("--refine-steps", default=40, help="Of each optimisation of a collage.")
@click.option("--patch-classes", default="t-shirt, longsleeve, shirt", help="Learnt by models.")
@click.option("--patch-size", default=64)
@click.option("--patch-width", default=16)
@click.option("--patch-batch", default=16)
@click.option("--patch-iterations", default=1200, help="Of each of six trainings, or eight.")
@click.option("--patch-variants", type=click.Choice(["needed", "all"]), default="needed")
@click.option("--patch-model", default="", help="A pack that learnt these classes longer.")
@click.option(
    "--kept", type=click.Path(path_type=Path), help="Where trained models are found again."
)
@click.option("--templates", type=click.Path(path_type=Path), help="A folder, for mosaics.")
@click.option("--contents", type=click.Path(path_type=Path), help="Likewise.")
@click.option("--unseen", default="", help="Names of contents that no mosaic is trained on.")
@click.option("--template-scale", default=0.5, help="Templates are used at this size.")
@click.option("--mosaic-scale", type=click.Choice(list(SCALES)), default="small")
@click.option("--seed", default=0)
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs")
@click.option("--device-name", default="")
@click.option("--clock", type=click.Choice(["wall", "cpu"]), default="wall", help="Of a composite.")
def main(pack: str, pictures: Path | None, part: str, out: Path, **options: Any) -> None:
    """Measure a pack with real pictures that it was not trained on.

    With --part patches: models of parts, trained here on labelled --pictures. With --part mosaic:
    mosaics of --templates that follow --contents, trained here, too.
    """
    facts: dict[str, Any] = {
        "command": shlex.join(["python", "tools/evaluate.py", *sys.argv[1:]]),
        "device": options.pop("device_name") or f"{torch.get_num_threads()} CPU cores",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    if part == "patches":
        _patches(pictures, out, facts, **options)
        return
    if part == "mosaic":
        _mosaics(out, facts, **options)
        return
    folder = Path(pack) if Path(pack).is_dir() else packs_folder() / pack
    generator = load_generator(folder / "model")
    real = read_pictures(
        pictures or folder / "pictures",
        generator.resolution,
        classes=generator.labels,
        split="val",
    )
    classifier, card = load_classifier(folder / "classifier")
    facts.update(pack=folder.name, classifier=card)
    if part != "composition":
        _relabelling(generator, classifier, real, out, facts, **options)
    if part != "relabelling" and generator.regressor is not None:
        _composition(generator, classifier, real, out, facts, **options)
    click.echo(out / "results.md")


def _patches(
    pictures: Path | None,
    out: Path,
    facts: dict[str, Any],
    *,
    patch_classes: str,
    patch_size: int,
    patch_width: int,
    patch_batch: int,
    patch_iterations: int,
    patch_variants: str,
    patch_model: str,
    kept: Path | None,
    seed: int,
    **_: Any,
) -> None:
    if pictures is None:
        raise click.UsageError("--part patches needs --pictures: labelled ones, with splits.")
    measure_patches(
        pictures,
        [name.strip() for name in patch_classes.split(",")],
        out,
        facts,
        resolution=patch_size,
        width=patch_width,
        batch=patch_batch,
        iterations=patch_iterations,
        variants=NEEDED if patch_variants == "needed" else list(VARIANTS),
        model=packs_folder() / patch_model / "model" if patch_model else None,
        kept=kept,
        device="cuda" if torch.cuda.is_available() else "cpu",
        seed=seed,
        say=click.echo,
    )
    click.echo(out / "results.md")


def _mosaics(
    out: Path,
    facts: dict[str, Any],
    *,
    templates: Path | None,
    contents: Path | None,
    unseen: str,
    template_scale: float,
    mosaic_scale: str,
    kept: Path | None,
    seed: int,
    **_: Any,
) -> None:
    if templates is None or contents is None:
        raise click.UsageError("--part mosaic needs --templates and --contents: folders.")
    names = [name.strip() for name in unseen.split(",")]
    measure_mosaics(
        templates,
        contents,
        out,
        facts,
        unseen=tuple(name for name in names if name),
        template_scale=template_scale,
        scale=mosaic_scale,
        kept=kept,
        device="cuda" if torch.cuda.is_available() else "cpu",
        seed=seed,
        say=click.echo,
    )
    click.echo(out / "results.md")


def _relabelling(
    generator: Generator,
    classifier: Classifier,
    real: PictureSet,
    out: Path,
    facts: dict[str, Any],
    *,
    samples: int,
    steps: int,
    calibrations: int,
    calibration_steps: int,
    seed: int,
    **_: Any,
) -> None:
    begun = time.perf_counter()
    click.echo(f"{len(real)} pictures; relabelling {samples} of them")
    found = relabelling(generator, classifier, real, samples=samples, steps=steps, seed=seed)
    calibrated = None
    if generator.auxiliary is not None:
        click.echo(f"calibrating {calibrations}")
        calibrated = calibration(
            generator, real, samples=calibrations, steps=calibration_steps, seed=seed
        )
    known = {
        **facts,
        "samples": samples,
        "steps": steps,
        "calibration_steps": calibration_steps,
        "seconds": time.perf_counter() - begun,
    }
    write_report(out / "results.md", out / "images", generator, found, calibrated, known)


def _composition(
    generator: Generator,
    classifier: Classifier,
    real: PictureSet,
    out: Path,
    facts: dict[str, Any],
    *,
    collages: int,
    slow_collages: int,
    refine_steps: int,
    clock: str,
    seed: int,
    **_: Any,
) -> None:
    begun = time.perf_counter()
    found = composition(
        generator,
        real.pixels.float() / 127.5 - 1.0,
        best_looks(classifier),
        collages=collages,
        slow_collages=slow_collages,
        steps=refine_steps,
        starts=RANDOM_STARTS,
        blend_count=collages // 2,
        part_count=max(2, slow_collages // 2),
        replacements=REPLACEMENTS,
        adapt_count=max(2, slow_collages // 3),
        seed=seed,
        clock=time.process_time if clock == "cpu" else time.perf_counter,
        say=click.echo,
    )
    known = {**facts, "seconds": time.perf_counter() - begun}
    write_composition(out / "results.md", out / "images", found, known)


if __name__ == "__main__":
    main()
