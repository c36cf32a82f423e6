"""A worker process: runs one job after the other and says over its pipe how it goes.

One thread reads the pipe and beats, so that cancelling works and life shows while an operation
computes; the main thread runs the jobs. When the pipe closes, the engine is gone, and so is the
worker.
"""

from __future__ import annotations

import importlib
import logging
import logging.handlers
import os
import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from intarsia_client import endpoint
from intarsia_daemon import device as devices
from intarsia_daemon import failures
from intarsia_daemon.context import Cancelled, Context, Control, TrainingRequired
from intarsia_daemon.context import Estimate as ContextEstimate
from intarsia_daemon.job_run import JobRun
from intarsia_daemon.machine import Machine
from intarsia_daemon.messages import (
    Beat,
    Cancel,
    Estimate,
    Estimated,
    FromWorker,
    Go,
    Lane,
    ModelsChanged,
    NeedsTraining,
    Pause,
    Ready,
    Release,
    Released,
    Resume,
    Run,
    Stop,
    Stopped,
    ToWorker,
    Yield,
    decode_to_worker,
    encode,
)
from intarsia_daemon.model_cache import ModelCache
from intarsia_daemon.model_store import ModelStore
from intarsia_daemon.operation import find_operation, known_operations
from intarsia_daemon.packs import packs_folder

BEAT_S = 1.0
NEWS_S = 0.1
"""How often held-back progress is looked after while there is some."""
IDLE_UNLOAD_S = 900.0
"""Models that were not used for so long are unloaded."""
BROKEN = 71
"""Exit code of a worker whose device context is broken, or whose pipe brings nonsense."""

log = logging.getLogger(__name__)


def main(connection: Connection, lane: Lane, settings: Mapping[str, Any]) -> None:
    """Work until the router says stop or is gone.

    Args:
        connection: The worker's end of the pipe.
        lane: ``"edit"`` or ``"training"``.
        settings: `intarsia_daemon.settings.Settings` as plain data; what is missing has its
            default.
    """
    home = Path(settings.get("home") or endpoint.home())
    _log_to(home / "log" / f"worker-{lane}.log")
    worker = Worker(connection, lane, home, settings)
    load_operations()
    worker.work()


def load_operations() -> None:
    """Import every operation, also those of the modules in INTARSIA_EXTRA_OPERATIONS."""
    for name in filter(None, os.environ.get("INTARSIA_EXTRA_OPERATIONS", "").split(",")):
        importlib.import_module(name.strip())
    known_operations()


class Worker:
    """The two threads of a worker process and what they share."""

    def __init__(
        self, connection: Connection, lane: Lane, home: Path, settings: Mapping[str, Any]
    ) -> None:
        """Choose the device and set torch up; nothing is sent yet."""
        devices.prepare_torch()
        self._connection = connection
        self._sending = threading.Lock()
        self._lane: Lane = lane
        self._home = home
        self._device = devices.choose_device(settings.get("device", "auto"))
        self._machine = Machine(home / "machine.json", self._device.text)
        self._models = ModelStore(
            home / "models",
            packs=packs_folder(),
            on_change=lambda: self._send(ModelsChanged()),
        )
        self._models.sweep()
        self._cache = ModelCache(
            devices.model_budget(self._device, settings.get("model_bytes", 0)),
            on_free=devices.give_back_memory,
        )
        self._control = Control()
        self._stopping = False
        self._job = ""
        self._context: Context | None = None
        self._steps = 0
        """Steps of the jobs before this one."""
        self._work: queue.SimpleQueue[Run | Release | Stop] = queue.SimpleQueue()
        self._estimates = ThreadPoolExecutor(1, "estimates")

    def work(self) -> None:
        """Say that the worker is ready, and do what comes until `Stop`."""
        threading.Thread(target=self._listen, name="pipe", daemon=True).start()
        self._send(Ready(pid=os.getpid(), device=self._device.text))
        while True:
            try:
                message = self._work.get(timeout=60.0 if self._cache.used_bytes else None)
            except queue.Empty:
                self._cache.release_idle(IDLE_UNLOAD_S)
                continue
            if isinstance(message, Run):
                self._run(message)
            elif isinstance(message, Release):
                self._send(Released(re=message.re, freed_bytes=self._cache.release()))
            if self._stopping:
                return

    # --- the pipe's thread ------------------------------------------------------------------------

    def _listen(self) -> None:
        beat_at = time.monotonic()
        try:
            while True:
                if self._connection.poll(self._patience(beat_at)):
                    self._obey(decode_to_worker(self._connection.recv_bytes()))
                context = self._context
                if context is not None and context.has_news:
                    context.flush()
                if time.monotonic() >= beat_at:
                    beat_at = time.monotonic() + BEAT_S
                    running = context.steps if context is not None else 0
                    self._send(Beat(steps=self._steps + running))
        except (EOFError, OSError):
            os._exit(0)  # the engine is gone; nobody is left to hear of the job
        except BaseException:
            log.exception("The worker cannot go on.")
            os._exit(BROKEN)

    def _patience(self, beat_at: float) -> float:
        context = self._context
        news = NEWS_S if context is not None and context.has_news else BEAT_S
        return max(0.0, min(news, beat_at - time.monotonic()))

    def _obey(self, message: ToWorker) -> None:
        control = self._control
        if isinstance(message, Run):
            control.reset()  # here, so that a cancel right behind it is not lost
            self._job = message.job
            self._work.put(message)
        elif isinstance(message, (Cancel, Pause, Resume)):
            if message.job != self._job:
                return
            if isinstance(message, Cancel):
                control.cancel()
            else:
                control.pause(isinstance(message, Pause))
        elif isinstance(message, (Yield, Go)):
            control.give_way(isinstance(message, Yield))
        elif isinstance(message, Estimate):
            self._estimates.submit(self._estimate, message)
        else:
            if isinstance(message, Stop):
                self._stopping = True
                control.cancel()
            self._work.put(message)

    def _send(self, message: FromWorker) -> None:
        data = encode(message)
        try:
            with self._sending:
                self._connection.send_bytes(data)
        except OSError:
            os._exit(0)

    # --- the main thread --------------------------------------------------------------------------

    def _run(self, run: Run) -> None:
        context = self._new_context(run)
        job = JobRun(run, context, device=self._device.text)
        self._context = context
        answer = self._answer(job)
        context.finish()
        self._context, self._steps = None, self._steps + context.steps
        if answer is None:
            return
        self._job = ""
        self._send(answer)
        if isinstance(answer, failures.Failed):
            self._recover(answer)

    def _answer(self, job: JobRun) -> FromWorker | None:
        """The job's last message; None if the worker is to stop in the middle of it."""
        run = job.run
        try:
            return job.finish()
        except Cancelled:
            return None if self._stopping else Stopped(job=run.job)
        except TrainingRequired as required:
            return NeedsTraining(job=run.job, seconds_expected=required.seconds_expected)
        except BaseException as error:
            return failures.failed(
                error,
                job=run.job,
                operation=job.declaration,
                parameters=run.parameters,
                device=self._device.name,
                folder=Path(run.folder),
            )

    def _recover(self, failure: failures.Failed) -> None:
        if failure.replace:
            log.error("The device context is broken; this worker leaves.")
            logging.shutdown()
            os._exit(BROKEN)  # an ordinary exit may hang in the driver
        if failure.code == "OUT_OF_MEMORY":
            self._cache.release()
            devices.give_back_memory()

    def _new_context(self, run: Run | None = None) -> Context:
        return Context(
            seed=run.seed if run else 0,
            device=self._device.name,
            lane=self._lane,
            folder=Path(run.folder) if run else self._home,
            models=self._models,
            cache=self._cache,
            machine=self._machine,
            job=run.job if run else "",
            send=self._send,
            control=self._control if run else Control(),
        )

    def _estimate(self, asked: Estimate) -> None:
        declaration = None
        try:
            found = find_operation(asked.operation)
            declaration = found.declaration
            sizes = {item.input: (item.height, item.width) for item in asked.inputs}
            parameters = declaration.check(list(sizes), asked.parameters)
            told = ContextEstimate(seconds=1.0, trains=False, text="Done in a moment.")
            if found.estimate is not None:
                told = found.estimate(parameters, sizes, self._new_context())
            self._send(
                Estimated(re=asked.re, seconds=told.seconds, trains=told.trains, text=told.text)
            )
        except Exception as error:
            self._send(
                failures.failed(
                    error, re=asked.re, operation=declaration, parameters=asked.parameters
                )
            )


def _log_to(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=1 << 20, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)


try:  # a fork server imports this module once: what is loaded here is there in every worker
    known_operations()
except Exception:
    log.exception("An operation cannot be imported.")
