"""One worker process: started in the background, talked to through a pipe, watched until it ends.

Three things can block (starting a process, writing to a full pipe, waiting for it) and none of them
may hold up the router, so each worker has two small threads. They put what comes into the inbox.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from intarsia_daemon.inbox import Inbox
from intarsia_daemon.messages import (
    FromWorker,
    Lane,
    Stop,
    ToWorker,
    decode_from_worker,
    encode,
)

METHOD = "spawn" if sys.platform == "win32" else "forkserver"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Said:
    """A worker sent a message."""

    worker: WorkerProcess
    message: FromWorker


@dataclass(frozen=True)
class Ended:
    """A worker's process is no more."""

    worker: WorkerProcess
    exit_code: int | None


def enter(entry: str, connection: Any, settings: dict[str, Any]) -> None:
    """Where a worker process begins: load its code, wait for a lane, work.

    Interrupts and terminations are the router's business: they reach a whole group of processes,
    and a worker that left at once could not write its checkpoint.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    module, _, function = entry.partition(":")
    main = getattr(importlib.import_module(module), function)
    try:
        lane = connection.recv_bytes().decode()
    except EOFError:
        return
    main(connection, lane, settings)


def worker_context(entry: str) -> Any:
    """The multiprocessing context for workers; where there is fork, their code is loaded once."""
    # Waiting threads sleep instead of spinning: with as many threads as cores, an editor (or
    # another worker) at work beside a training would make it five to ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    context: Any = multiprocessing.get_context(METHOD)
    if METHOD == "forkserver":
        context.set_forkserver_preload([entry.partition(":")[0]])
    return context


class WorkerProcess:
    """A worker process and what the router knows about it.

    Args:
        number: Unlike any other worker's of this engine.
        context: From `worker_context`.
        entry: ``module:function``.
        settings: What the function gets.
        inbox: Where `Said` and `Ended` go.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        number: int,
        *,
        context: Any,
        entry: str,
        settings: dict[str, Any],
        inbox: Inbox,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.number = number
        self.lane: Lane | None = None
        self.ready = False
        self.device = ""
        self.job: str | None = None
        self.started = self.heard = self.moved = clock()
        """``heard``: any message; ``moved``: the last sign that the job makes steps."""
        self.steps = 0
        self.stopping = False
        self.stop_asked: float | None = None
        self.idle_since: float | None = None
        self._clock = clock
        self._inbox = inbox
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._connection, remote = context.Pipe(duplex=True)
        self._process = context.Process(
            target=enter, args=(entry, remote, settings), name=f"intarsia-worker-{number}"
        )
        self._kill_asked = threading.Event()
        threading.Thread(
            target=self._watch, args=(remote,), name=f"worker-{number}", daemon=True
        ).start()

    def assign(self, lane: Lane) -> None:
        """Give the process its lane, once."""
        self.lane = lane
        self._outgoing.put(lane.encode())

    def send(self, message: ToWorker) -> None:
        """Send a message, in the background."""
        self._outgoing.put(encode(message))

    def stop(self) -> None:
        """Ask the process to leave."""
        self.stopping, self.stop_asked = True, self._clock()
        self.send(Stop())

    def kill(self) -> None:
        """End the process at once; `Ended` follows."""
        self.stopping = True
        self._kill_asked.set()
        if self._process.pid is not None:
            self._process.kill()

    @property
    def pid(self) -> int | None:
        """The process's id once it runs."""
        return self._process.pid

    def note(self, steps: int | None = None) -> None:
        """Something was heard; ``steps`` as a `Beat` has it, None for news about the job."""
        self.heard = self._clock()
        if steps is None or steps != self.steps:
            self.moved = self.heard
        if steps is not None:
            self.steps = steps

    # --- threads ----------------------------------------------------------------------------------

    def _watch(self, remote: Any) -> None:
        exit_code: int | None = None
        try:
            self._process.start()
            remote.close()
            if self._kill_asked.is_set():
                self._process.kill()
            threading.Thread(target=self._write, name=f"to-{self.number}", daemon=True).start()
            self._read()
            self._process.join(5)
            if self._process.exitcode is None:
                self._process.kill()
                self._process.join()
            exit_code = self._process.exitcode
        except Exception:
            log.exception("Worker %d could not be started or watched.", self.number)
        finally:
            self._outgoing.put(None)
            self._inbox.put(Ended(self, exit_code))

    def _read(self) -> None:
        """Pass messages on until the pipe is closed or the process has ended."""
        sources = [self._connection, self._process.sentinel]
        while True:
            ready = multiprocessing.connection.wait(sources)
            if self._connection in ready:
                try:
                    data = self._connection.recv_bytes()
                except (EOFError, OSError):
                    return
                self._pass_on(data)
            elif ready:  # it has ended and all it said is read
                return

    def _pass_on(self, data: bytes) -> None:
        try:
            message = decode_from_worker(data)
        except msgspec.MsgspecError as error:
            log.error("Worker %d sent what cannot be read: %s.", self.number, error)
        else:
            self._inbox.put(Said(self, message))

    def _write(self) -> None:
        while (data := self._outgoing.get()) is not None:
            try:
                self._connection.send_bytes(data)
            except (OSError, ValueError):
                return
