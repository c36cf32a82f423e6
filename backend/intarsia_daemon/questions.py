"""Questions of clients that only a worker can answer: estimates, and memory to be released."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from intarsia_client.errors import IntarsiaError
from intarsia_client.schema import Operation
from intarsia_daemon import headers
from intarsia_daemon import messages as pipe
from intarsia_daemon.answers import Answers, Asker
from intarsia_daemon.process import WorkerProcess
from intarsia_daemon.supervisor import Supervisor


@dataclass
class Gathering:
    """A request that several workers answer."""

    asker: Asker
    re: int
    workers: set[int]
    freed_bytes: int = 0


class Questions:
    """Passes questions on and brings the answers back."""

    def __init__(self, supervisor: Supervisor, answers: Answers) -> None:
        self._supervisor = supervisor
        self._answers = answers
        self._estimates: dict[int, tuple[Asker, int, int]] = {}
        self._releases: dict[int, Gathering] = {}
        self.device = ""
        """What the workers compute on, as shown to people; empty until one is ready."""

    def estimate(self, asker: Asker, header: headers.Estimate, operation: Operation) -> None:
        """Ask how long an operation would take.

        Raises:
            InvalidRequest: A name or a value is wrong.
            IntarsiaError: There is no worker to ask.
        """
        for item in header.inputs:
            operation.input(item.input)
        for name in header.parameters:
            operation.parameter(name)
        values = {
            p.name: p.check(header.parameters.get(p.name, p.default)) for p in operation.parameters
        }
        worker = self._supervisor.ensure("edit")
        if worker is None:
            raise _no_worker()
        number = secrets.randbits(62)
        self._estimates[number] = (asker, header.id, worker.number)
        worker.send(
            pipe.Estimate(
                re=number,
                operation=operation.id,
                parameters=values,
                inputs=tuple(
                    pipe.InputSize(input=i.input, width=i.width, height=i.height, x=i.x, y=i.y)
                    for i in header.inputs
                ),
            )
        )

    def release(self, asker: Asker, re: int) -> None:
        """Ask every worker to unload its idle models."""
        workers = [w for w in self._supervisor if w.lane and not w.stopping]
        if not workers:
            self._answers.done(asker, re, freed_bytes=0)
            return
        number = secrets.randbits(62)
        numbers = {worker.number for worker in workers}
        self._releases[number] = Gathering(asker, re, numbers)
        for worker in workers:
            worker.send(pipe.Release(re=number))

    def heard(self, worker: WorkerProcess, message: Any) -> None:
        """A worker answered a request, or said what it computes on."""
        if isinstance(message, pipe.Ready):
            self.device = message.device
        elif isinstance(message, pipe.Estimated):
            asker, re, _ = self._estimates.pop(message.re, (None, 0, 0))
            if asker:
                fields = {"seconds": message.seconds, "trains": message.trains}
                self._answers.send(asker, "done", re, text=message.text, **fields)
        elif isinstance(message, pipe.Failed) and message.re:
            asker, re, _ = self._estimates.pop(message.re, (None, 0, 0))
            if asker:
                error = IntarsiaError(
                    message.what,
                    value=message.value,
                    remedy=message.remedy,
                    action=message.action,
                    retryable=message.retryable,
                    code=message.code,
                )
                self._answers.refuse(asker, re, error)
        elif isinstance(message, pipe.Released):
            self._released(worker.number, message.re, message.freed_bytes)

    def _released(self, worker: int, number: int, freed_bytes: int) -> None:
        gathering = self._releases.get(number)
        if gathering is None or worker not in gathering.workers:
            return
        gathering.workers.discard(worker)
        gathering.freed_bytes += freed_bytes
        if not gathering.workers:
            del self._releases[number]
            self._answers.send(
                gathering.asker, "done", gathering.re, freed_bytes=gathering.freed_bytes
            )

    def ended(self, worker: WorkerProcess) -> None:
        """A worker is no more: what it was asked has no answer any more."""
        for number, (asker, re, asked) in list(self._estimates.items()):
            if asked == worker.number:
                del self._estimates[number]
                self._answers.refuse(asker, re, _no_worker())
        for number in list(self._releases):
            self._released(worker.number, number, 0)


def _no_worker() -> IntarsiaError:
    return IntarsiaError(
        "The engine has no working process at the moment.",
        remedy="Try again in a few seconds.",
        action={"label": "Try again", "do": "retry"},
        code="WORKER_CRASHED",
        retryable=True,
    )
