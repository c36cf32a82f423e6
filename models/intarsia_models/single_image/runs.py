"""Reading the run folders of the public ConSinGAN code.

Only state dicts and tensors are read, never its whole-module pickle ``G.pth``.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.networks import Discriminator, SingleImageGenerator
from intarsia_models.single_image.settings import TaskSettings, task_settings
from intarsia_models.single_image.training import image_hash

_ACTIVATIONS = {"lrelu": "leaky_relu", "prelu": "prelu", "elu": "elu", "selu": "selu"}


def import_run(folder: str | Path, task: str | None = None) -> TrainedModel:
    """A whole run of the public code as a model of ours: to be applied, trained further, saved.

    Args:
        folder: See `load_run`; also ``reals.pth``, ``fixed_noise.pth`` and the last stage's
            ``netD.pth``.
        task: See `load_run`.

    Raises:
        UnreadableModel: See `load_run`; also where pictures, noise and weights do not belong
            together.
        ValueError: Unknown task.
    """
    generator = load_run(folder, task).to(memory_format=torch.channels_last)
    pictures = load_run_pictures(folder)[: generator.stages]
    noises = load_run_noises(folder)[: generator.stages]
    sizes = [(int(picture.shape[-2]), int(picture.shape[-1])) for picture in pictures]
    wanted = [(1, *shape) for shape in generator.noise_shapes(sizes)] if sizes else []
    found = [tuple(noise.shape) for noise in noises]
    if len(sizes) != generator.stages or found != wanted:
        raise UnreadableModel(
            f"The parts of {folder} do not belong together: {generator.stages} stages, pictures of "
            f"{sizes}, noise of {found} where {wanted} is wanted."
        )
    return TrainedModel(
        generator=generator,
        discriminator=load_run_discriminator(folder, task),
        sizes=sizes,
        fixed_noises=noises,
        real=pictures[-1],
        image_hash=image_hash(pictures[-1]),
        seed=0,
        training_seconds=0.0,
        notes=["Imported from a run of the public ConSinGAN code."],
    )


def load_run(folder: str | Path, task: str | None = None) -> SingleImageGenerator:
    """Read the generator of a run of the public code.

    Args:
        folder: The run's folder: ``parameters.txt``, ``noise_amp.pth`` and one numbered folder
            per stage with ``netG.pth``.
        task: What it was trained for; by default what ``parameters.txt`` says.

    Returns:
        The generator of the last stage, in evaluation mode: batch norm (where the run has it)
        with the running statistics. The public code samples with batch statistics:
        ``synthesize(..., batch_statistics=True)``.

    Raises:
        UnreadableModel: A file is missing or is not what it should be.
        ValueError: Unknown task.
    """
    folder = Path(folder)
    state = _tensors(_last_stage(folder) / "netG.pth", dict)
    settings = _settings(folder, state, task)
    generator = SingleImageGenerator(settings)
    for _ in range(_stage_count(state) - 1):
        generator.grow()
    _load_state(generator, state, folder)
    amplitudes = _tensors(folder / "noise_amp.pth", list)
    if len(amplitudes) < generator.stages:
        raise UnreadableModel(
            f"{folder / 'noise_amp.pth'} holds {len(amplitudes)} noise amplitudes, but the "
            f"generator has {generator.stages} stages."
        )
    generator.noise_amplitudes = [float(value) for value in amplitudes[: generator.stages]]
    return generator.eval()


def load_run_discriminator(folder: str | Path, task: str | None = None) -> Discriminator:
    """Read the critic of the last stage of a run.

    Args:
        folder: See `load_run`.
        task: See `load_run`.

    Raises:
        UnreadableModel: See `load_run`.
        ValueError: Unknown task.
    """
    stage = _last_stage(Path(folder))
    settings = _settings(Path(folder), _tensors(stage / "netG.pth", dict), task)
    discriminator = Discriminator(settings)
    _load_state(discriminator, _tensors(stage / "netD.pth", dict), stage)
    return discriminator.eval()


def load_run_noises(folder: str | Path) -> list[Tensor]:
    """The fixed noise of every stage, from which the run rebuilds its picture: (1, c, h, w) each.

    Args:
        folder: See `load_run`.

    Raises:
        UnreadableModel: See `load_run`.
    """
    return _tensors(Path(folder) / "fixed_noise.pth", list)


def load_run_pictures(folder: str | Path) -> list[Tensor]:
    """The training picture at every stage: (1, 3, h, w) in [-1, 1] each.

    Args:
        folder: See `load_run`.

    Raises:
        UnreadableModel: See `load_run`.
    """
    return _tensors(Path(folder) / "reals.pth", list)


def read_parameters(file: Path) -> dict[str, str]:
    """The options of a run by name, as written: only the first dash with space around it separates.

    Raises:
        UnreadableModel: The file cannot be read.
    """
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UnreadableModel(f"{file} cannot be read: {error.strerror}.") from error
    matches = (re.match(r"\s*(\S+)\s+-(?:\s+(.*))?$", line) for line in lines)
    return {match[1]: (match[2] or "").strip() for match in matches if match}


def _settings(folder: Path, state: dict[str, Tensor], task: str | None) -> TaskSettings:
    options = read_parameters(folder / "parameters.txt")
    known = task_settings(task or options.get("train_mode", "generation"))
    activation = options.get("activation", "lrelu")
    if activation not in _ACTIVATIONS:
        raise UnreadableModel(
            f"{folder / 'parameters.txt'} names the activation {activation!r}; known are "
            f"{', '.join(_ACTIVATIONS)}."
        )
    changes: dict[str, Any] = {
        "activation": _ACTIVATIONS[activation],
        "channels": state["head.conv.weight"].shape[0],
        "batch_norm": "head.norm.weight" in state,
        "stages": max(2, _stage_count(state)),
    }
    numbers = {
        "lrelu_alpha": ("negative_slope", float),
        "min_size": ("min_size", int),
        "max_size": ("max_size", int),
        "niter": ("iterations", int),
        "train_depth": ("train_depth", int),
        "lr_scale": ("lr_scale", float),
        "lr_g": ("learning_rate", float),
    }
    for name, (field, kind) in numbers.items():
        if name in options:
            changes[field] = _number(folder, name, options[name], kind)
    return task_settings(known.task, **changes)


def _number(folder: Path, name: str, text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise UnreadableModel(
            f"{folder / 'parameters.txt'}: {name} must be a number, got {text!r}."
        ) from None


def _last_stage(folder: Path) -> Path:
    if not folder.is_dir():
        raise UnreadableModel(f"{folder} is not a folder.", "Name the folder of one run.")
    stages = [
        path for path in folder.iterdir() if path.name.isdigit() and (path / "netG.pth").exists()
    ]
    if not stages:
        raise UnreadableModel(
            f"{folder} has no numbered folder with a netG.pth.",
            "Name the folder of one run, the one with parameters.txt in it.",
        )
    return max(stages, key=lambda path: int(path.name))


def _stage_count(state: dict[str, Tensor]) -> int:
    found = [int(match[1]) for key in state if (match := re.match(r"body\.(\d+)\.", key))]
    if not found or "head.conv.weight" not in state:
        raise UnreadableModel(
            "netG.pth is not a growing generator. Its first keys are: "
            f"{', '.join(list(state)[:4])}."
        )
    return max(found) + 1


def _tensors(file: Path, kind: type) -> Any:
    try:
        value = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UnreadableModel(f"{file} is missing.") from error
    except Exception as error:  # a broken pickle can raise anything
        raise UnreadableModel(f"{file} does not hold plain tensors: {error}") from error
    if not isinstance(value, kind):
        raise UnreadableModel(f"{file} holds a {type(value).__name__}, not a {kind.__name__}.")
    return value


def _load_state(module: torch.nn.Module, state: dict[str, Tensor], where: Path) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise UnreadableModel(
            f"The weights in {where} do not fit their settings: {error}"
        ) from error
