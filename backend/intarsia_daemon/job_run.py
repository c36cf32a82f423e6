"""One run of an operation: inputs from files, the function, layers to files, the recipe."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Operation
from intarsia_client.version import __version__
from intarsia_daemon.context import Context
from intarsia_daemon.device import seed_globals
from intarsia_daemon.messages import BufferFile, Finished, Run
from intarsia_daemon.model_card import file_hash
from intarsia_daemon.operation import find_operation
from intarsia_daemon.outcome_checks import check_outcome
from intarsia_daemon.pixels import Area, Outcome, Picture, map_file, write_file


class JobRun:
    """A job while it runs."""

    def __init__(self, run: Run, context: Context, *, device: str) -> None:
        """Take the job; nothing happens yet.

        Args:
            run: What the router wants done.
            context: What the operation gets.
            device: The device's name for people, for the recipe.
        """
        self.run = run
        self.declaration: Operation | None = None
        self._context = context
        self._device = device

    def finish(self) -> Finished:
        """Do all of it.

        Raises:
            InvalidRequest: The operation, an input or a parameter is not as declared.
            BaseException: Whatever comes out of the operation.
        """
        run, context = self.run, self._context
        began = context.clock()
        context.tick()  # it may be cancelled by now
        found = find_operation(run.operation)
        self.declaration = found.declaration
        parameters = found.declaration.check([item.input for item in run.inputs], run.parameters)
        arguments = _arguments(found.declaration, run.inputs)
        Path(run.folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        hashes = _Hashes(run.inputs)
        seed_globals(run.seed)
        outcome = found.run(**arguments, **parameters, context=context)
        if not isinstance(outcome, Outcome):
            raise TypeError(f"{run.operation} returned {type(outcome).__name__}, not an Outcome.")
        with context.phase("write"):
            check_outcome(run.operation, outcome)
            layers, frames = (
                tuple(
                    write_file(layer, Path(run.folder) / f"{name}-{index}.raw")
                    for index, layer in enumerate(items)
                )
                for name, items in (("out", outcome.layers), ("frame", outcome.frames))
            )
        recipe = self._recipe(found.declaration, parameters, hashes.wait(), outcome)
        return Finished(
            job=run.job,
            layers=layers,
            recipe=recipe,
            metrics={name: float(value) for name, value in outcome.metrics.items()},
            seconds={**context.seconds, "total": context.clock() - began},
            notes=tuple(outcome.notes),
            frames=frames,
        )

    def _recipe(
        self,
        declaration: Operation,
        parameters: dict[str, Any],
        hashes: Sequence[str],
        outcome: Outcome,
    ) -> dict[str, Any]:
        """All that repeats the edit."""
        return {
            "operation": declaration.id,
            "version": declaration.version,
            "parameters": parameters,
            "seed": self.run.seed,
            "inputs": [
                {
                    "input": item.input,
                    "name": item.name,
                    "width": item.width,
                    "height": item.height,
                    "x": item.x,
                    "y": item.y,
                    "sha256": digest,
                }
                for item, digest in zip(self.run.inputs, hashes, strict=True)
            ],
            "model": outcome.model,
            "software": {"intarsia": __version__, "torch": str(torch.__version__)},
            "device": self._device,
        }


def _arguments(declaration: Operation, files: Sequence[BufferFile]) -> dict[str, Any]:
    """The operation's inputs by name: a picture, an area, a list where it may be several, or None.

    Raises:
        InvalidRequest: An input came twice, or with the wrong number of channels.
    """
    arguments: dict[str, Any] = {}
    for wanted in declaration.inputs:
        items = [map_file(file) for file in files if file.input == wanted.name]
        kind = Area if wanted.role == "area" else Picture
        for item in items:
            if not isinstance(item, kind):
                channels = 1 if kind is Picture else 4
                raise InvalidRequest(
                    f"{declaration.title}: {wanted.name} came with {channels} channels.",
                    value=channels,
                    remedy="Pictures have 4 channels (RGBA), areas have 1.",
                )
        if wanted.several:
            arguments[wanted.name] = items
        elif len(items) > 1:
            raise InvalidRequest(
                f"{declaration.title} takes one {wanted.name}, got {len(items)}.",
                value=len(items),
                remedy=wanted.help,
            )
        else:
            arguments[wanted.name] = items[0] if items else None
    return arguments


class _Hashes:
    """SHA-256 of the inputs' raw bytes, computed beside the operation."""

    def __init__(self, files: Sequence[BufferFile]) -> None:
        self._files = files
        self._hashes: list[str] = []
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._compute, name="hashes", daemon=True)
        self._thread.start()

    def wait(self) -> list[str]:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._hashes

    def _compute(self) -> None:
        try:
            for item in self._files:
                self._hashes.append(file_hash(Path(item.path)))
        except OSError as error:
            self._error = error
