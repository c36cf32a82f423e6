"""Small operations that do to a worker what real ones do only on a bad day.

The engine loads this module when INTARSIA_EXTRA_OPERATIONS names it; see `tests.support`. Importing it
registers the operations, so tests start a process for it and do not import it themselves.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intarsia_client.errors import IntarsiaError
from intarsia_client.schema import (
    Choice,
    ClassBinding,
    ClassName,
    Folder,
    Input,
    ModelRef,
    Option,
    Scalar,
    Text,
    Toggle,
    Whole,
)
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import (
    Area,
    Layer,
    Outcome,
    Picture,
    alpha_tensor,
    layer_from_coverage,
    layer_from_tensors,
    on_canvas,
    picture_tensor,
)

PICTURE = Input("picture", "picture", "Picture", "Any picture.")
MAYBE = Input("picture", "picture", "Picture", "Any picture.", required=False)
AREA = Input("area", "area", "Area", "Any area.", required=False)
AREAS = Input("areas", "area", "Areas", "Any areas.", required=False, several=True)
SAMPLES = Input("samples", "reference", "Samples", "Any.", required=False, several=True)
TIMES = Whole("times", "Times", "How often in all; after that it succeeds.", 1, 100, 100)


def _dot() -> Layer:
    return Layer("Dot", np.full((1, 1, 4), 255, np.uint8))


def _choice(name: str, *values: str) -> Choice:
    options = tuple(Option(value, value.capitalize()) for value in values)
    return Choice(name, name.capitalize(), "Which one.", options, default=values[0])


def _again(folder: Path, name: str, times: int) -> bool:
    """Whether it may still go wrong; counts on disk, so that it outlives the process."""
    marks = folder / f"{name}.times"
    count = len(marks.read_bytes()) if marks.exists() else 0
    if count >= times:
        return False
    with open(marks, "ab") as file:
        file.write(b".")
        file.flush()
        os.fsync(file.fileno())
    return True


@operation(title="Identity", verb="Copy", inputs=(PICTURE, AREA), parameters=())
def identity(picture: Picture, area: Area | None, context: Context) -> Outcome:
    """Give back what came, byte by byte."""
    layers = [Layer("Copy", picture.array, picture.x, picture.y)]
    if area is not None:
        layers.append(Layer("Area", area.array, area.x, area.y))
    return Outcome(layers)


@operation(
    title="Bind",
    verb="Bind",
    inputs=(PICTURE, AREAS, SAMPLES),
    parameters=(
        ModelRef("model", "Model", "Which."),
        ClassName("class_name", "Class", "Which."),
        ClassBinding("classes", "Classes", "Which class each area gets."),
        Text("words", "Words", "Any."),
        Folder("pictures", "Pictures", "A folder."),
        Whole("frames", "Frames", "How many.", 0, 300, 0),
        Scalar("amount", "Amount", "How much.", 0.0, 1.0, 1.0, recompute=False),
    ),
)
def bind(
    picture: Picture,
    areas: list[Area],
    samples: list[Picture],
    model: str,
    class_name: str,
    classes: dict[str, str],
    words: str,
    pictures: str,
    frames: int,
    amount: float,
    context: Context,
) -> Outcome:
    """Say what came, and give the picture back at several amounts: its values times the amount."""
    assert isinstance(areas, list) and isinstance(samples, list)

    def at(share: float, frame_of: int | None = None) -> Layer:
        array = (picture.array * share).astype(picture.array.dtype)
        return Layer("Bound", array, picture.x, picture.y, amount=share, frame_of=frame_of)

    notes = [
        f"{area.name}={classes.get(area.name)} {area.array.shape[1]}x{area.array.shape[0]}"
        f"+{area.x}+{area.y} {int(area.array.sum())}"
        for area in areas
    ]
    notes += [f"sample {sample.name}" for sample in samples]
    notes.append(f"model={model} class={class_name} words={words} pictures={pictures}")
    steps = [at(index / frames, 0) for index in range(frames)]
    return Outcome([at(amount)], notes=notes, frames=steps)


@operation(title="Masked", verb="Mask", inputs=(PICTURE, AREA), parameters=())
def masked(picture: Picture, area: Area, context: Context) -> Outcome:
    """Give back the picture inverted, and above it in a group itself with the area as its mask."""
    x, y = picture.x, picture.y
    below = picture.array.copy()
    below[..., :3] = np.iinfo(below.dtype).max - below[..., :3]
    layers = [
        Layer("Below", below, x, y),
        Layer("Inner", picture.array, x, y, group="Made"),
        Layer("Inner", np.asarray(area.array), x, y, mask_of=1),
    ]
    return Outcome(layers)


@operation(title="Bad frames", verb="Fail", inputs=(PICTURE,), parameters=(_choice("how", "layer", "amount", "size"),))
def bad_frames(picture: Picture, how: str, context: Context) -> Outcome:
    """Give back frames that no front end could show."""
    layer = Layer("Copy", picture.array, picture.x, picture.y)
    wrong = {"layer": {"frame_of": 1}, "amount": {"amount": 2.0}, "size": {"x": picture.x + 1}}
    return Outcome([layer], frames=[replace(layer, **{"amount": 0.5, "frame_of": 0, **wrong[how]})])


@operation(title="Through tensors", verb="Convert", inputs=(PICTURE, AREA), parameters=())
def through_tensors(picture: Picture, area: Area | None, context: Context) -> Outcome:
    """Give back what came, by way of tensors; the area on the picture's rectangle."""
    rgb, alpha = picture_tensor(picture, context.device), alpha_tensor(picture, context.device)
    layers = [layer_from_tensors("Copy", rgb, alpha, like=picture)]
    if area is not None:
        coverage = alpha_tensor(on_canvas(area, picture), context.device)
        layers.append(layer_from_coverage("Area", coverage, like=picture))
    return Outcome(layers, metrics={"mean": float(rgb.mean())}, notes=["Converted."])


@operation(
    title="Sleep",
    verb="Sleep",
    inputs=(MAYBE,),
    parameters=(
        Scalar("seconds", "Seconds", "How long.", 0.0, 600.0, 1.0, unit="s"),
        Toggle("preview", "Preview", "Whether to show a picture on the way.", False),
    ),
)
def sleep(picture: Picture | None, seconds: float, preview: bool, context: Context) -> Outcome:
    """Take a while, and say how far it is every few milliseconds."""
    began = context.clock()
    shown = Layer("Preview", np.full((300, 600, 4), 128, np.uint8)) if preview else None
    with context.phase("sleep"):
        while (done := context.clock() - began) < seconds:
            context.progress(
                "Sleeping", int(1000 * done), int(1000 * seconds), numbers={"done": done}, preview=shown
            )
            time.sleep(0.005)
    return Outcome([_dot()])


@operation(
    title="Crash",
    verb="Crash",
    inputs=(MAYBE,),
    parameters=(_choice("how", "kill", "segfault", "abort", "exit"), TIMES),
)
def crash(picture: Picture | None, how: str, times: int, context: Context) -> Outcome:
    """End the worker process."""
    if _again(context.folder, "crash", times):
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif how == "segfault":
            ctypes.string_at(0)
        elif how == "abort":
            os.abort()
        os._exit(7)
    return Outcome([_dot()])


@operation(
    title="Out of memory",
    verb="Ask for too much",
    inputs=(MAYBE,),
    parameters=(_choice("how", "torch", "python", "cuda"), _choice("quality", "draft", "normal")),
)
def out_of_memory(picture: Picture | None, how: str, quality: str, context: Context) -> Outcome:
    """Ask for more memory than there is; ``cuda`` only says so."""
    if how == "torch":
        torch.empty(1 << 50)
    elif how == "python":
        bytearray(1 << 60)
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.50 GiB. GPU 0 has …")


@operation(
    title="Hang",
    verb="Hang",
    inputs=(MAYBE,),
    parameters=(_choice("how", "sleep", "lock"), TIMES),
)
def hang(picture: Picture | None, how: str, times: int, context: Context) -> Outcome:
    """Never call tick again; ``lock`` also keeps the interpreter lock, so that the worker is mute."""
    if _again(context.folder, "hang", times):
        if how == "lock":
            sum(range(10**15))
        time.sleep(10**6)
    return Outcome([_dot()])


@operation(
    title="Fault",
    verb="Fail",
    inputs=(MAYBE,),
    parameters=(_choice("how", "program", "told", "disk", "device", "result"),),
)
def fault(picture: Picture | None, how: str, context: Context) -> Outcome:
    """Fail in one of the ways in which operations fail."""
    if how == "told":
        raise IntarsiaError(
            "The wind is wrong.",
            value=np.float32(3.0),
            remedy="Wait.",
            action={"label": "Wait", "do": "retry"},
            code="MODEL_UNTRUSTED",
        )
    if how == "disk":
        raise OSError(errno.ENOSPC, "No space left on device", str(context.folder))
    if how == "device":
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if how == "result":
        return None  # type: ignore[return-value]
    raise ZeroDivisionError("the secret text of an internal error")


def _count_estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    seconds = parameters["steps"] * parameters["step_ms"] / 1000 / context.machine.factor("count")
    return Estimate(seconds=seconds, trains=True, text=f"{len(sizes)} inputs.")


@operation(
    title="Train counter",
    verb="Count",
    inputs=(MAYBE,),
    parameters=(
        Whole("steps", "Steps", "How many.", 1, 100000, 50),
        Scalar("step_ms", "Step", "How long each takes.", 0.0, 10000.0, 10.0, unit="ms"),
        Whole("every", "Every", "Steps between two checkpoints.", 1, 1000, 5),
        Whole("crash_at", "Crash at", "After this step the process ends; 0: never.", 0, 100000, 0),
        Whole("times", "Times", "How often it ends in all.", 1, 100, 1),
        Toggle("keep", "Keep", "Whether to store the model and use a stored one.", False),
    ),
    trains=True,
    estimate=_count_estimate,
)
def train_counter(
    picture: Picture | None,
    steps: int,
    step_ms: float,
    every: int,
    crash_at: int,
    times: int,
    keep: bool,
    context: Context,
) -> Outcome:
    """A training whose result depends on every step, with checkpoints, and with a model at the end."""
    source, family, task = f"seed {context.seed}", "counter", "counting"
    stored = context.models.find(source, family, task, str(steps)) if keep else None
    if stored is not None:
        with context.cache.get(str(stored), (stored / "count.txt").read_text, len) as state:
            return _counted(state, steps, ["Used the stored model."])
    context.require_training(steps * step_ms / 1000)
    first, state = _checkpoint(context.folder, context.seed)
    with context.phase("train"):
        for step in range(first, steps):
            state = hashlib.sha256(f"{state} {step}".encode()).hexdigest()
            time.sleep(step_ms / 1000)
            context.progress("Counting", step + 1, steps, numbers={"loss": 1 / (step + 1)})
            if (step + 1) % every == 0:
                _write_checkpoint(context.folder, step + 1, state)
            if step + 1 == crash_at and _again(context.folder, "train", times):
                os.kill(os.getpid(), signal.SIGKILL)
    context.machine.learn("count", steps * step_ms / 1000, max(context.seconds["train"], 1e-3))
    if keep:
        context.models.add(
            lambda folder: (folder / "count.txt").write_text(state),
            {"family": family, "task": task, "title": "Count", "source_hash": source,
             "settings_hash": str(steps), "operation": "train_counter"},
        )  # fmt: skip
    return _counted(state, steps - first, [f"Began at step {first}."])


def _counted(state: str, taken: int, notes: list[str]) -> Outcome:
    """The state as a row of pixels, so that it can be compared to the bit."""
    pixels = np.frombuffer(bytes.fromhex(state), np.uint8).reshape(1, 8, 4).copy()
    return Outcome([Layer("Count", pixels)], metrics={"steps_taken": taken}, notes=notes)


def _checkpoint(folder: Path, seed: int) -> tuple[int, str]:
    try:
        data = json.loads((folder / "count.json").read_text())
    except FileNotFoundError:
        return 0, hashlib.sha256(str(seed).encode()).hexdigest()
    return data["step"], data["state"]


def _write_checkpoint(folder: Path, step: int, state: str) -> None:
    temporary = folder / "count.json.tmp"
    temporary.write_text(json.dumps({"step": step, "state": state}))
    os.replace(temporary, folder / "count.json")
