"""Who is next: two lanes, interactive before batch, and taking turns between clients.

Pure logic without clocks, sockets or processes. A lane is a kind of work (``edit``, ``training``)
that one worker does, one job at a time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from intarsia_daemon.messages import Lane

LANES: tuple[Lane, ...] = ("edit", "training")
PRIORITIES = ("interactive", "batch")


@dataclass(frozen=True)
class Ticket:
    """A job's place in a queue."""

    job: str
    client: str
    priority: str
    lane: Lane


class Scheduler:
    """The jobs that wait.

    Args:
        limit: How many may wait in all lanes together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tickets: dict[str, Ticket] = {}
        self._turns: dict[tuple[str, str], OrderedDict[str, deque[str]]] = {
            (lane, priority): OrderedDict() for lane in LANES for priority in PRIORITIES
        }

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, job: object) -> bool:
        return job in self._tickets

    def has_room(self, reserved: int = 0) -> bool:
        """Whether one more job may wait, when ``reserved`` further ones are on their way."""
        return len(self._tickets) + reserved < self._limit

    def add(
        self,
        job: str,
        *,
        client: str,
        priority: str = "interactive",
        lane: Lane = "edit",
        front: bool = False,
    ) -> None:
        """Queue a job; ``front`` puts one that was already running before everybody else.

        The limit is the caller's to ask for with `has_room`; a job that comes back always fits.
        """
        self.discard(job)
        self._tickets[job] = Ticket(job, client, priority, lane)
        turns = self._turns[lane, priority]
        waiting = turns.setdefault(client, deque())
        if front:
            waiting.appendleft(job)
            turns.move_to_end(client, last=False)
        else:
            waiting.append(job)

    def discard(self, job: str) -> bool:
        """Take a job out of its queue; False when it does not wait."""
        ticket = self._tickets.pop(job, None)
        if ticket is None:
            return False
        turns = self._turns[ticket.lane, ticket.priority]
        turns[ticket.client].remove(job)
        if not turns[ticket.client]:
            del turns[ticket.client]
        return True

    def take(self, lane: Lane) -> str | None:
        """The next job of a lane, out of the queue; its client's turn is over."""
        for priority in PRIORITIES:
            turns = self._turns[lane, priority]
            if turns:
                client, waiting = next(iter(turns.items()))
                job = waiting[0]
                turns.move_to_end(client)
                self.discard(job)
                return job
        return None

    def waiting(self, lane: Lane) -> list[str]:
        """The jobs of a lane in the order in which they would run."""
        order: list[str] = []
        for priority in PRIORITIES:
            queues = [deque(waiting) for waiting in self._turns[lane, priority].values()]
            while queues:
                order += [waiting.popleft() for waiting in queues]
                queues = [waiting for waiting in queues if waiting]
        return order

    def position(self, job: str) -> int:
        """How many jobs of its lane run before this one.

        Raises:
            KeyError: The job does not wait.
        """
        return self.waiting(self._tickets[job].lane).index(job)
