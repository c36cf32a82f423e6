"""The engine's router process: sockets, one loop, and everything that hangs on it.

``serve`` runs an engine until it is told to leave or has been idle for long. The router keeps no
pixels and knows no torch, so whatever a picture or a model does, it does it to a worker.
"""

from __future__ import annotations

import logging
import logging.handlers
import secrets
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import zmq
import zmq.utils.monitor

from intarsia_client import catalog
from intarsia_client.endpoint import home
from intarsia_client.version import __version__
from intarsia_daemon import authentication
from intarsia_daemon.answers import Answers
from intarsia_daemon.inbox import Inbox
from intarsia_daemon.instance import (
    ALREADY_RUNNING,
    AlreadyRunning,
    EndpointFile,
    InstanceLock,
    prepare_home,
)
from intarsia_daemon.journal import Journal
from intarsia_daemon.lanes import Lanes
from intarsia_daemon.ledger import Ledger
from intarsia_daemon.lifecycle import Lifecycle
from intarsia_daemon.model_store import ModelStore
from intarsia_daemon.packs import packs_folder
from intarsia_daemon.process import Ended, Said
from intarsia_daemon.questions import Questions
from intarsia_daemon.requests import Requests
from intarsia_daemon.scheduler import Scheduler
from intarsia_daemon.sessions import Sessions, Side
from intarsia_daemon.settings import Settings, load_settings
from intarsia_daemon.spool import Spool
from intarsia_daemon.submissions import Compared, Stored, Submissions
from intarsia_daemon.supervisor import Supervisor

TICK_S = 0.25
"""How often late things are looked for while there are jobs."""
RETRY_S = 0.01
"""How soon a message to a slow client is tried again."""
CLEAN_S = 60.0
PING_AFTER_LOSS_S = 0.02
"""How long after a lost connection all sessions are pinged to find out whose it was."""
TURN = 64
"""Messages of one socket that are handled before the other things have their turn."""

log = logging.getLogger(__name__)


class Leave:
    """Inbox item: the engine is to leave; ``now``: without waiting for running edits."""

    def __init__(self, *, now: bool) -> None:
        self.now = now


def serve(settings: Settings | None = None) -> int:
    """Run an engine in this process.

    Args:
        settings: None reads them from the home folder and the environment.

    Returns:
        The exit code: 0, or 75 when an engine runs already.

    Raises:
        IntarsiaError: The home folder, a setting or the authentication is not as it must be.
    """
    folder = Path(settings.home) if settings else home()
    prepare_home(folder)
    settings = settings or load_settings(folder)
    try:
        with InstanceLock(folder), _log_to(folder / "log" / "engine.log"), ExitStack() as closing:
            Engine(settings, folder, closing).run()
    except AlreadyRunning:
        print(f"An engine is running already (its home is {folder}).", file=sys.stderr)
        return ALREADY_RUNNING
    return 0


class Engine:
    """Everything one engine consists of, put together."""

    def __init__(self, settings: Settings, folder: Path, closing: ExitStack) -> None:
        """Bind the sockets, prove that they are guarded, open the journal; nothing is served yet.

        Raises:
            EngineRefused: A stranger could get in, or nobody could.
        """
        self._settings = settings
        self._inbox = Inbox()
        closing.callback(self._inbox.close)
        context = zmq.Context()
        closing.callback(context.destroy, 0)
        self._endpoint = EndpointFile(folder)
        self._boot, self._token = secrets.token_hex(8), secrets.token_urlsafe(32)
        gatekeeper = authentication.Gatekeeper(context, self._token)
        closing.callback(gatekeeper.close)
        self._sockets, self._ports = self._bind(context)
        authentication.probe(context, tuple(self._ports.values()), self._token)
        self._losses = self._sockets["control"].get_monitor_socket(zmq.EVENT_DISCONNECTED)
        closing.callback(self._sockets["control"].disable_monitor)

        journal = Journal(folder / "journal.sqlite")
        closing.callback(journal.close)
        spool = Spool(folder / "jobs", reserve_bytes=settings.disk_reserve_bytes)
        closing.callback(spool.close)
        self._sessions = Sessions(
            self._sockets,
            credit_bytes=settings.credit_bytes,
            on_gone=lambda session: self._lifecycle.session_gone(session.id),
        )
        self._ledger = Ledger(journal, spool, self._sessions)
        scheduler = Scheduler(settings.queue_limit)
        self._supervisor = Supervisor(settings, self._inbox)
        self._lanes = Lanes(settings, self._ledger, scheduler, self._supervisor)
        self._lifecycle = Lifecycle(
            settings, self._ledger, scheduler, self._lanes, self._supervisor
        )
        answers = Answers(self._sessions)
        self._questions = Questions(self._supervisor, answers)
        self._submissions = Submissions(
            settings,
            operations=catalog.operations(),
            sessions=self._sessions,
            answers=answers,
            ledger=self._ledger,
            lifecycle=self._lifecycle,
            lanes=self._lanes,
            scheduler=scheduler,
            spool=spool,
            inbox=self._inbox,
        )
        self._requests = Requests(
            settings,
            boot=self._boot,
            sessions=self._sessions,
            answers=answers,
            submissions=self._submissions,
            questions=self._questions,
            ledger=self._ledger,
            lifecycle=self._lifecycle,
            supervisor=self._supervisor,
            models=ModelStore(folder / "models", packs=packs_folder()),
            shutdown=lambda now: self._inbox.put(Leave(now=now)),
        )
        self._poller = zmq.Poller()
        for source in (*self._sockets.values(), self._losses, self._inbox.reader):
            self._poller.register(source, zmq.POLLIN)
        self._bulk_open = True
        self._pings = 0
        self._next_ping = self._next_tick = self._next_clean = 0.0
        self._leave_by: float | None = None

    def _bind(self, context: zmq.Context) -> tuple[dict[Side, zmq.Socket], dict[Side, int]]:
        sockets: dict[Side, zmq.Socket] = {}
        ports: dict[Side, int] = {}
        limits: dict[Side, tuple[int, int, int]] = {
            "control": (authentication.CONTROL_FRAME, 64, 64),
            "bulk": (self._settings.frame_bytes, 4, 4),
        }
        for side, (frame_bytes, receive, send) in limits.items():
            sockets[side], ports[side] = authentication.bind_router(
                context,
                frame_bytes=frame_bytes,
                receive=receive,
                send=send,
                heartbeats=side == "control",
            )
        return sockets, ports

    # --- the loop ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until it is time to leave."""
        self._catch_signals()
        self._lifecycle.restore()
        self._supervisor.ensure("edit")
        self._supervisor.keep_spare()
        self._endpoint.write(**self._ports, token=self._token, boot=self._boot)
        log.info("Engine %s serves on ports %s (boot %s).", __version__, self._ports, self._boot)
        try:
            while not self._has_left():
                self._turn()
        finally:
            self._endpoint.remove()
            self._lifecycle.abandon()
            log.info("Engine %s has left.", self._boot)

    def _turn(self) -> None:
        waiting = self._sessions.flush()
        self._throttle_bulk()
        ready = dict(self._poller.poll(self._patience_ms(waiting)))
        if self._losses in ready:
            self._read_losses()
        if self._inbox.reader.fileno() in ready:
            for item in self._inbox.take():
                self._handle(item)
        for side, socket in self._sockets.items():
            if socket in ready:
                self._receive(side, socket)
        self._on_time()

    def _patience_ms(self, waiting: bool) -> int:
        now = time.monotonic()
        due = [self._next_ping, self._next_tick]
        change = self._lanes.next_change()
        if change is not None:
            due.append(change)
        if waiting:
            due.append(now + RETRY_S)
        return max(0, int(1000 * (min(due) - now)) + 1)

    def _throttle_bulk(self) -> None:
        """Read no more pixels while many wait to be stored; the clients' sockets wait then."""
        is_open = self._submissions.arriving_bytes < self._settings.total_bytes
        if is_open != self._bulk_open:
            self._bulk_open = is_open
            self._poller.register(self._sockets["bulk"], zmq.POLLIN if is_open else 0)

    def _receive(self, side: Side, socket: zmq.Socket) -> None:
        for _ in range(TURN if side == "control" else 1):
            try:
                route, *frames = socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._requests.receive(side, route.bytes, [frame.buffer for frame in frames])

    def _handle(self, item: Any) -> None:
        if isinstance(item, Said):
            self._questions.heard(item.worker, item.message)
            self._lifecycle.heard(item.worker, item.message)
        elif isinstance(item, Ended):
            self._questions.ended(item.worker)
            self._lifecycle.ended(item.worker, item.exit_code)
        elif isinstance(item, Stored):
            self._submissions.stored(item)
        elif isinstance(item, Compared):
            self._submissions.compared(item)
        elif isinstance(item, Leave):
            self._begin_to_leave(now=item.now)

    def _read_losses(self) -> None:
        """A connection broke: find out soon which session it was."""
        while self._losses.poll(0):
            zmq.utils.monitor.recv_monitor_message(self._losses)
        self._next_ping = min(self._next_ping, time.monotonic() + PING_AFTER_LOSS_S)

    def _on_time(self) -> None:
        now = time.monotonic()
        if now >= self._next_ping:
            self._next_ping = now + self._settings.ping_s
            self._pings += 1
            self._sessions.ping(self._pings)
        self._lanes.watch_gate()
        if now >= self._next_tick:
            self._next_tick = now + (TICK_S if len(self._ledger) or self._closing else 1.0)
            self._lifecycle.tick()
            if self._closing and self._lifecycle.edits_done():
                self._begin_to_leave(now=True)
            self._leave_when_idle(now)
        if now >= self._next_clean:
            self._next_clean = now + min(CLEAN_S, self._settings.keep_s)
            self._ledger.expire()
            self._ledger.sweep(self._settings.keep_s)

    # --- leaving ----------------------------------------------------------------------------------

    @property
    def _closing(self) -> bool:
        return self._submissions.closing

    def _leave_when_idle(self, now: float) -> None:
        if not self._lifecycle.is_idle() or len(self._submissions):
            self._requests.active = now
        elif now - self._requests.active > self._settings.idle_s and self._leave_by is None:
            log.info("Nobody wanted anything for %g s.", self._settings.idle_s)
            self._begin_to_leave(now=True)

    def _begin_to_leave(self, *, now: bool) -> None:
        self._submissions.closing = True
        self._next_tick = 0.0
        if now and self._leave_by is None:
            self._leave_by = time.monotonic() + self._settings.stop_s
            self._endpoint.remove()
            self._lifecycle.leave()

    def _has_left(self) -> bool:
        if self._leave_by is None:
            return False
        return time.monotonic() > self._leave_by or not list(self._supervisor)

    def _catch_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._inbox.put(Leave(now=True)))


class _log_to:
    """Send the log to a rotating file while the engine runs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._handler = logging.handlers.RotatingFileHandler(
            self._path, maxBytes=1 << 20, backupCount=3, encoding="utf-8"
        )
        self._handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
        )
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.INFO)
        root.addHandler(self._handler)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self._handler)
        logging.getLogger().setLevel(self._level)
        self._handler.close()
