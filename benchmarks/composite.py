"""Time of one composite, of adapting to a picture, and of optimisation instead, in one run.

Three models: a ProGAN and a StyleGAN2 of the published sizes at 256 px with a regressor of the
published size, both with random weights (time does not depend on them), and the model that comes
along. What is measured:

* ``composite``: three pieces to a picture, one pass of the regressor and one of the generator;
* ``reading``, ``drawing``: those two passes alone;
* ``adapt``: fitting the regressor to a picture;
* ``refine``: optimisation of the latent by Adam, and by L-BFGS.

Composites and passes take turns; ratios are those of medians. The longer ones are measured once.

    python benchmarks/composite.py [--device cuda] [--half] [--threads 2] [--clock cpu] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from intarsia_models import load_generator, packs_folder
from intarsia_models.families.proggan import ProGANGenerator, ProGANSettings
from intarsia_models.families.stylegan2.generator import StyleGAN2Generator
from intarsia_models.families.stylegan2.settings import GeneratorSettings
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.adaptation import adapt
from intarsia_models.latent_composition.collages import Piece, paste
from intarsia_models.latent_composition.composition import compose
from intarsia_models.latent_composition.latents import decode, encode
from intarsia_models.latent_composition.refinement import refine
from intarsia_models.latent_composition.regressor import MaskedRegressor
from intarsia_models.latent_composition.settings import RegressorSettings

PROGGAN_CHANNELS = tuple(c for c in (512, 512, 512, 256, 128, 64, 32) for _ in range(2))
STYLEGAN_CHANNELS = (512, 512, 512, 512, 512, 256, 128)
PACK = "produce64"
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def proggan_256() -> Generator:
    """A ProGAN at 256 px with a ResNet-18 regressor of z."""
    torch.manual_seed(0)
    generator = ProGANGenerator(ProGANSettings(PROGGAN_CHANNELS, 512))
    generator.attach_regressor(MaskedRegressor(RegressorSettings(dims=512)))
    return generator


def stylegan2_256() -> Generator:
    """A StyleGAN2 (config F) at 256 px with a ResNet-34 regressor of 14 styles."""
    torch.manual_seed(0)
    generator = StyleGAN2Generator(GeneratorSettings(STYLEGAN_CHANNELS, 512, 512, 8))
    vectors, dims = generator.style_shape()
    settings = RegressorSettings(
        dims=dims,
        latent="w_plus",
        vectors=vectors,
        depth=34,
        input_size=256,
        mask_encoding="unit",
    )
    generator.attach_regressor(MaskedRegressor(settings))
    return generator


def pack() -> Generator:
    """The model that comes along."""
    return load_generator(packs_folder() / PACK / "model")


MODELS: dict[str, Callable[[], Generator]] = {
    "ProGAN 256": proggan_256,
    "StyleGAN2 256": stylegan2_256,
    PACK: pack,
}


def pieces(size: int) -> list[Piece]:
    """A ground, two pieces upon it, and a hole."""
    source = torch.Generator().manual_seed(1)
    found = []
    for top, left, height, width in ((0, 0, 1.0, 0.8), (0.2, 0.1, 0.5, 0.4), (0.5, 0.4, 0.4, 0.5)):
        alpha = torch.zeros(1, 1, size, size)
        rows = slice(round(top * size), round((top + height) * size))
        columns = slice(round(left * size), round((left + width) * size))
        alpha[..., rows, columns] = 1
        found.append(Piece(torch.rand(1, 3, size, size, generator=source) * 2 - 1, alpha))
    return found


class Watch:
    """Takes time, with the device's work done."""

    def __init__(self, device: torch.device, clock: Callable[[], float]) -> None:
        self.device, self.clock = device, clock

    def __call__(self, call: Callable[[], object]) -> float:
        """Milliseconds."""
        self._settle()
        begun = self.clock()
        call()
        self._settle()
        return 1e3 * (self.clock() - begun)

    def _settle(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def measured(
    generator: Generator, watch: Watch, *, rounds: int, adapt_steps: int, refine_steps: int
) -> dict[str, float]:
    """Milliseconds by what was done."""
    rough = pieces(generator.resolution)
    moved = [Piece(p.colours.to(watch.device), p.alpha.to(watch.device)) for p in rough]
    collage = paste(moved)
    latent = encode(generator, collage.image, collage.known)

    @torch.inference_mode()
    def reading() -> Tensor:
        return encode(generator, collage.image, collage.known).values

    @torch.inference_mode()
    def drawing() -> Tensor:
        return decode(generator, latent)

    ways: dict[str, Callable[[], object]] = {
        "composite": lambda: compose(generator, moved),
        "reading": reading,
        "drawing": drawing,
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-2, rounds):  # two rounds to warm up
        for name, call in ways.items():
            spent = watch(call)
            if turn >= 0:
                taken[name].append(spent)
    found = {name: statistics.median(values) for name, values in taken.items()}
    picture = collage.image * collage.known
    if adapt_steps:
        adapt(generator, picture, steps=1)  # warms up
        found[f"adapt, {adapt_steps} steps"] = watch(
            lambda: adapt(generator, picture, steps=adapt_steps)
        )
    if refine_steps:
        for method in ("adam", "lbfgs"):
            found[f"refine, {refine_steps} steps of {method}"] = watch(
                lambda method=method: refine(
                    generator,
                    collage.image,
                    collage.known,
                    latent,
                    method=method,
                    steps=refine_steps,
                )
            )
    return found


def main() -> None:
    """Print a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--half", action="store_true", help="float16, on a GPU")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as PyTorch takes")
    parser.add_argument("--rounds", type=int, default=15, help="of composites and passes")
    parser.add_argument("--adapt-steps", type=int, default=30)
    parser.add_argument("--refine-steps", type=int, default=10)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: the process's own time, where other programs keep the machine busy",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    watch = Watch(device, CLOCKS[arguments.clock])
    cases = []
    for name in arguments.models:
        generator = MODELS[name]()
        if generator.regressor is None:
            print(f"{name} has no regressor and is left out.")
            continue
        generator.half_precision = arguments.half
        generator.requires_grad_(False)
        generator.eval().to(device).to(memory_format=torch.channels_last)
        found = measured(
            generator,
            watch,
            rounds=arguments.rounds,
            adapt_steps=arguments.adapt_steps,
            refine_steps=arguments.refine_steps,
        )
        cases.append(row(name, found))
        if not arguments.json:
            show(cases[-1])
    if arguments.json:
        print(json.dumps({"machine": machine(device, arguments), "cases": cases}, indent=2))


def row(name: str, found: dict[str, float]) -> dict[str, Any]:
    """Milliseconds, and what each takes of a composite."""
    return {
        "model": name,
        "ms": {what: round(value, 3) for what, value in found.items()},
        "ratio": {what: round(value / found["composite"], 2) for what, value in found.items()},
    }


def show(case: dict[str, Any]) -> None:
    """One model as text."""
    print(case["model"])
    for what, spent in case["ms"].items():
        print(f"  {what:28} {spent:11.1f} ms  {case['ratio'][what]:9.2f} composites")


def machine(device: torch.device, arguments: argparse.Namespace) -> dict[str, Any]:
    """What it ran on."""
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return {
        "device": name,
        "half": arguments.half,
        "threads": torch.get_num_threads(),
        "clock": arguments.clock,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    main()
