"""A real worker process, talked to over its pipe as the router does it."""

from __future__ import annotations

import multiprocessing
import os
import time
import uuid
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from intarsia_daemon import messages
from intarsia_daemon.messages import BufferFile, FromWorker, Run, ToWorker
from intarsia_daemon.process import METHOD, enter

M = TypeVar("M")
EXTRA = "INTARSIA_EXTRA_OPERATIONS"


def _enter(environment: dict[str, str], connection: Any, settings: dict[str, Any]) -> None:
    os.environ.update(environment)  # a fork server has the environment of its own start
    enter("intarsia_daemon.worker:main", connection, settings)


class HostedWorker:
    """A worker and what it said so far."""

    def __init__(self, home: Path, lane: str = "edit", **settings: Any) -> None:
        """Start it; the test operations are loaded."""
        self.home = home
        self.said: list[FromWorker] = []
        context = multiprocessing.get_context(METHOD)
        if METHOD == "forkserver":
            context.set_forkserver_preload(["intarsia_daemon.worker"])
        self.connection, remote = context.Pipe(duplex=True)
        environment = {EXTRA: "engine_test_operations"}
        self.process = context.Process(
            target=_enter, args=(environment, remote, {"home": str(home), "device": "cpu", **settings})
        )
        self.process.start()
        remote.close()
        self.connection.send_bytes(lane.encode())

    def send(self, message: ToWorker) -> None:
        """Send one message."""
        self.connection.send_bytes(messages.encode(message))

    def read(self, timeout_s: float = 60.0) -> FromWorker:
        """The next message that is no beat; EOFError if the pipe is closed."""
        deadline = time.monotonic() + timeout_s
        while self.connection.poll(max(0.0, deadline - time.monotonic())):
            message = messages.decode_from_worker(self.connection.recv_bytes())
            self.said.append(message)
            if not isinstance(message, messages.Beat):
                return message
        raise TimeoutError(f"nothing within {timeout_s} s; before that: {self.said[-5:]}")

    def expect(self, kind: type[M], timeout_s: float = 60.0) -> M:
        """The next message of this kind; what comes before it may only be progress or news."""
        passing = (messages.Working, messages.ModelsChanged, messages.Ready)
        while True:
            message = self.read(timeout_s)
            if isinstance(message, kind):
                return message
            assert isinstance(message, passing), f"wanted {kind.__name__}, got {message}"

    def start(
        self,
        operation: str,
        parameters: dict[str, Any] | None = None,
        inputs: dict[str, np.ndarray] | None = None,
        *,
        seed: int = 0,
        job: str | None = None,
        x: int = 0,
        y: int = 0,
        attempt: int = 1,
        lane: Any = "edit",
    ) -> str:
        """Send a Run; arrays are (H, W, 4) or (H, W) by input, or by ``input:name`` where there
        are several of one input. Returns the job's id."""
        job = job or uuid.uuid4().hex
        folder = self.home / "jobs" / job
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for index, (name, array) in enumerate((inputs or {}).items()):
            path = folder / f"in-{index}.raw"
            array.tofile(path)
            files.append(
                BufferFile(
                    input=name.partition(":")[0],
                    name=name.partition(":")[2] or name.title(),
                    width=array.shape[1],
                    height=array.shape[0],
                    channels=4 if array.ndim == 3 else 1,
                    dtype={"uint8": "u8", "uint16": "u16", "float32": "f32"}[array.dtype.name],  # type: ignore[arg-type]
                    nbytes=array.nbytes,
                    path=str(path),
                    x=x,
                    y=y,
                )
            )
        self.send(
            Run(
                job=job,
                operation=operation,
                parameters=parameters or {},
                seed=seed,
                folder=str(folder),
                inputs=tuple(files),
                lane=lane,
                attempt=attempt,
            )
        )
        return job

    def do(self, operation: str, *args: Any, **kwargs: Any) -> messages.Finished:
        """Run a job to its end."""
        job = self.start(operation, *args, **kwargs)
        finished = self.expect(messages.Finished)
        assert finished.job == job
        return finished

    def end(self) -> int | None:
        """Close the pipe; returns the exit code."""
        self.connection.close()
        self.process.join(20)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return self.process.exitcode


def pixels_of(layer: BufferFile) -> np.ndarray:
    """A result layer's samples."""
    dtype = {"u8": np.uint8, "u16": np.uint16, "f32": np.float32}[layer.dtype]
    shape = (layer.height, layer.width, 4) if layer.channels == 4 else (layer.height, layer.width)
    return np.fromfile(layer.path, dtype).reshape(shape)
