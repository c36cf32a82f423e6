"""Seconds per training iteration of a single-image model, ours against others, in one run.

Compared at three stages of the generation task, 64 channels:

* ``closed``: the step that trainings use in single precision: closed form, own convolutions;
* ``rough``: the same in bfloat16, on processors that have it;
* ``plain``: the same mathematics written with automatic differentiation (`reference_step`) and
  PyTorch's convolutions;
* ``stand_in``: the public code's order of work with our networks: the fake made anew for every
  critic step, weight gradients of the critic in the generator's step too, PyTorch's own resizing;
* ``peer``: the public ConSinGAN code, where ``--peer`` names a checkout of it. Its networks and
  its gradient penalty are imported from there; nothing of it is in this project.

The contestants take turns, so that a busy machine is as busy for each of them.

    python benchmarks/single_image.py [--peer CHECKOUT] [--device cuda] [--threads 2] [--json]
"""

import argparse
import importlib
import importlib.abc
import importlib.machinery
import inspect
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, patch

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia_models.single_image.model import build_networks
from intarsia_models.single_image.networks import initialize
from intarsia_models.single_image.pyramid import Size, pyramid_sizes
from intarsia_models.single_image.settings import TaskSettings, task_settings
from intarsia_models.single_image.stage_graph import GraphedStage
from intarsia_models.single_image.stage_training import StageTraining

STAGES = (1, 4, 6)
"""How many stages have been grown: the coarsest, a middle one, the finest."""

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}

Step = Callable[[], object]


def main() -> None:
    """Measure, and print a table or JSON."""
    arguments = _arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    settings = task_settings("generation", channels=arguments.channels)
    sizes = pyramid_sizes(188, 250, stages=6, min_size=25, max_size=250)
    rows = []
    for stages in arguments.stages:
        steps = _contestants(
            settings, sizes[:stages], arguments.device, arguments.peer, arguments.rough
        )
        rows.append(_measured(sizes[stages - 1], steps, arguments))
    report = {
        "device": _device_name(arguments.device),
        "threads": torch.get_num_threads(),
        "clock": arguments.clock,
        "torch": torch.__version__,
        "channels": arguments.channels,
        "peer": str(arguments.peer) if arguments.peer else None,
        "stages": rows,
    }
    print(json.dumps(report, indent=1) if arguments.json else _table(report))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Seconds per training iteration")
    parser.add_argument("--peer", type=Path, help="a checkout of the public ConSinGAN code")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 = torch's default")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: the process's own time, where other programs keep the machine busy",
    )
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rough", action="store_true", help="also convolutions in bfloat16")
    parser.add_argument("--stages", type=int, nargs="+", default=STAGES, choices=range(1, 7))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _contestants(
    settings: TaskSettings, sizes: list[Size], device: str, peer: Path | None, rough: bool
) -> dict[str, Step]:
    steps: dict[str, Step] = {"closed": _our_step(settings, sizes, device)}
    if rough:
        steps["rough"] = _our_step(settings, sizes, device, arithmetic=torch.bfloat16)
    steps["plain"] = _our_step(settings, sizes, device, plain=True)
    steps["stand_in"] = _StandIn(settings, sizes, device)
    if peer is not None:
        steps["peer"] = _PeerStep(_import_peer(peer), settings, sizes, device)
    return steps


def _measured(size: Size, steps: dict[str, Step], arguments: argparse.Namespace) -> dict[str, Any]:
    clock = CLOCKS[arguments.clock]
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(arguments.rounds + 1):  # the first one warms up
        for name, step in steps.items():
            begun = clock()
            step()
            if arguments.device.startswith("cuda"):
                torch.cuda.synchronize()
            if round_ > 0:
                seconds[name].append(clock() - begun)
    quartiles = {name: _lower_quartile(values) for name, values in seconds.items()}
    ratios = {
        name: value / quartiles["closed"] for name, value in quartiles.items() if name != "closed"
    }
    return {"height": size[0], "width": size[1], "seconds": quartiles, "times_slower": ratios}


def _lower_quartile(values: list[float]) -> float:
    """Other programs only ever add time."""
    return values[0] if len(values) == 1 else statistics.quantiles(values, method="inclusive")[0]


def _our_step(settings: TaskSettings, sizes: list[Size], device: str, **how: Any) -> Step:
    training, noises = _training(settings, sizes, device, **how)
    graphed = GraphedStage(training, print) if device.startswith("cuda") and not how else training
    steps = settings.critic_steps
    return lambda: graphed.iterate(0, noises(), torch.rand(steps, device=device))


def _training(
    settings: TaskSettings, sizes: list[Size], device: str, **how: Any
) -> tuple[StageTraining, Callable[[], list[Tensor]]]:
    generator, discriminator = build_networks(settings, len(sizes))
    source = torch.Generator().manual_seed(0)
    initialize(generator, source)
    initialize(discriminator, source)
    generator.noise_amplitudes = [1.0] + [0.1] * (len(sizes) - 1)
    shapes = generator.to(device).noise_shapes(sizes)

    def noises() -> list[Tensor]:
        return [torch.randn(1, *shape, device=device) for shape in shapes]

    training = StageTraining(
        generator,
        discriminator.to(device),
        torch.rand(1, 3, *sizes[-1], device=device) * 2 - 1,
        noises(),
        sizes,
        iterations=1000,
        train_depth=settings.train_depth,
        tick=lambda: None,
        **how,
    )
    return training, noises


class _StandIn:
    """The public code's order of work with our networks."""

    def __init__(self, settings: TaskSettings, sizes: list[Size], device: str) -> None:
        self.training, self.noises = _training(settings, sizes, device, plain=True)
        self.training.generator.to(memory_format=torch.contiguous_format)
        self.training.discriminator.to(memory_format=torch.contiguous_format)
        self.device = device

    def __call__(self) -> None:
        training, noises = self.training, self.noises()
        settings, critic = training.generator.settings, training.discriminator
        real, fake = training.real.contiguous(), training.real
        with patch("intarsia_models.single_image.networks.upsampled", _resized):
            for step in range(settings.critic_steps):
                with torch.set_grad_enabled(step == settings.critic_steps - 1):
                    fake = training.generator(noises, training.sizes)
                training.critic_gradients(
                    critic,
                    real,
                    fake.detach(),
                    torch.rand((), device=self.device),
                    penalty_weight=settings.penalty_weight,
                    tick=training.tick,
                )
                training.discriminator_optimizer.step()
            rebuilt = training.generator(training.fixed_noises, training.sizes)
            error = settings.reconstruction_weight * F.mse_loss(rebuilt, real)
            training.generator_optimizer.zero_grad()
            (error - critic(fake).mean()).backward()
        for _ in range(settings.generator_steps):
            training.generator_optimizer.step()


def _resized(features: Tensor, size: Size) -> Tensor:
    return F.interpolate(features, size=size, mode="bicubic", align_corners=True)


class _PeerStep:
    """The public code's iteration, with its networks and its gradient penalty."""

    def __init__(
        self, peer: SimpleNamespace, settings: TaskSettings, sizes: list[Size], device: str
    ) -> None:
        self.peer, self.device = peer, device
        self.options = _peer_options(settings, device)
        self.generator = peer.models.GrowingGenerator(self.options).to(device)
        self.generator.apply(peer.models.weights_init)
        for _ in sizes[1:]:
            self.generator.init_next_stage()
        self.critic = peer.models.Discriminator(self.options).to(device)
        self.critic.apply(peer.models.weights_init)
        self.shapes = [torch.Size((1, 3, *size)) for size in sizes]
        self.amplitudes = [1.0] + [0.1] * (len(sizes) - 1)
        self.real = torch.rand(self.shapes[-1], device=device) * 2 - 1
        self.fixed = self._noises()
        self._prepare(settings)

    def __call__(self) -> None:
        noises, critic = self._noises(), self.critic
        fake = self.real
        for step in range(self.options.Dsteps):
            critic.zero_grad()
            with torch.set_grad_enabled(step == self.options.Dsteps - 1):
                fake = self._generated(noises)
            penalty = self.peer.functions.calc_gradient_penalty(
                critic, self.real, fake.detach(), self.options.lambda_grad, self.device
            )
            loss = critic(fake.detach()).mean() - critic(self.real).mean() + penalty
            loss.backward()
            self.critic_optimizer.step()
        rebuilt = self._generated(self.fixed)
        error = self.options.alpha * torch.nn.functional.mse_loss(rebuilt, self.real)
        self.generator.zero_grad()
        (error - critic(fake).mean()).backward()
        for _ in range(self.options.Gsteps):
            self.optimizer.step()

    def _prepare(self, settings: TaskSettings) -> None:
        depth, body = settings.train_depth, self.generator.body
        for block in body[:-depth]:
            for parameter in block.parameters():
                parameter.requires_grad = False
        parts = [*body[-depth:], self.generator.tail]
        if len(body) <= depth:
            parts.append(self.generator.head)
        groups = [{"params": part.parameters()} for part in parts]
        self.optimizer = torch.optim.Adam(groups, lr=self.options.lr_g, betas=(0.5, 0.999))
        self.critic_optimizer = torch.optim.Adam(
            self.critic.parameters(), lr=self.options.lr_d, betas=(0.5, 0.999)
        )

    def _generated(self, noises: Sequence[Tensor]) -> Tensor:
        """Versions of the public code differ in whether the paddings are arguments."""
        arguments: list[Any] = [noises, self.shapes]
        if len(inspect.signature(self.generator.forward).parameters) > 3:
            arguments += [torch.nn.ZeroPad2d(1), torch.nn.ZeroPad2d(2)]
        return self.generator(*arguments, self.amplitudes)

    def _noises(self) -> list[Tensor]:
        inner = [(1, self.options.nfc, s[2] + 6, s[3] + 6) for s in self.shapes[1:]]
        return [torch.randn(shape, device=self.device) for shape in (self.shapes[0], *inner)]


def _peer_options(settings: TaskSettings, device: str) -> SimpleNamespace:
    return SimpleNamespace(
        nfc=settings.channels,
        nc_im=3,
        ker_size=3,
        num_layer=3,
        padd_size=0,
        activation="lrelu",
        lrelu_alpha=settings.negative_slope,
        batch_norm=0,
        train_mode="generation",
        train_depth=settings.train_depth,
        lr_g=settings.learning_rate,
        lr_d=settings.learning_rate,
        lambda_grad=settings.penalty_weight,
        alpha=settings.reconstruction_weight,
        Dsteps=settings.critic_steps,
        Gsteps=settings.generator_steps,
        device=device,
    )


UNUSED = ("albumentations", "dateutil", "imageio", "matplotlib", "skimage")
"""Packages that the public code imports at its head and a training step has no use for."""


class _Missing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for those of the packages above that are not installed."""

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.split(".")[0] not in UNUSED:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
        module = MagicMock(name=spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: object) -> None:
        """Nothing to run."""


def _import_peer(checkout: Path) -> SimpleNamespace:
    if not (checkout / "ConSinGAN" / "models.py").is_file():
        sys.exit(f"{checkout} is no checkout of the public code: it has no ConSinGAN/models.py.")
    stand_in = _Missing()
    sys.path.insert(0, str(checkout))
    sys.meta_path.append(stand_in)
    try:
        names = ("models", "functions")
        return SimpleNamespace(**{n: importlib.import_module(f"ConSinGAN.{n}") for n in names})
    finally:
        sys.meta_path.remove(stand_in)


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _table(report: dict[str, Any]) -> str:
    head = (
        f"{report['device']}, {report['threads']} threads, {report['clock']} clock, "
        f"torch {report['torch']}, "
    )
    lines = [f"{head}{report['channels']} channels; seconds per iteration, lower quartiles"]
    for row in report["stages"]:
        times = "  ".join(f"{name} {value:.3f} s" for name, value in row["seconds"].items())
        ratios = "  ".join(f"{n} / closed {v:.2f}x" for n, v in row["times_slower"].items())
        lines.append(f"{row['height']:4d} x {row['width']:<4d} {times}   {ratios}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
