"""Keeps a session with the engine: starts the engine, reconnects, repeats requests.

Nothing here runs by itself: a broken session is replaced by the next thread that needs one.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from intarsia_client import starter
from intarsia_client.endpoint import Endpoint
from intarsia_client.errors import (
    EngineError,
    EngineNotRunning,
    EngineRefused,
    EngineUnreachable,
)
from intarsia_client.session import BULK, Session
from intarsia_client.wire import Message

HELLO_S = 5.0
"""Seconds for each step of a connection."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
SILENT_TRIES = 3
"""Attempts that a running but silent or unwilling engine gets."""
CONTROL_S, BULK_S = 60.0, 600.0
"""Seconds for an answer while the engine is seen to live."""
ATTEMPTS = 4
"""How often a request is sent in all when the connection breaks under it."""
_PASSING = ("SHUTTING_DOWN", "UNAUTHORIZED")
"""Refusals that end by themselves: the engine is leaving, or a new one has another token."""


class Connection:
    """The way to the engine; all methods may be called from any thread.

    Args:
        app: Name of this program.
        start: Whether to start the engine where none runs.
        timeout_s: Seconds for finding, starting and reaching it, at first and after each break.
        home_folder: Another home than `intarsia_client.endpoint.home`.
        on_event: Called in a reader thread with every message about a job.
        on_lost: Called when a session ended by itself; must not call back.
        on_found: Called with every session after the first, before anybody else uses it.
    """

    def __init__(
        self,
        *,
        app: str,
        start: bool,
        timeout_s: float,
        home_folder: Path | None,
        on_event: Callable[[Message], None],
        on_lost: Callable[[EngineError], None],
        on_found: Callable[[Session], None],
    ) -> None:
        self._app = app
        self._start = start
        self._timeout_s = timeout_s
        self._home = home_folder
        self._on_event = on_event
        self._on_lost = on_lost
        self._on_found = on_found
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._session: Session | None = None
        self._met = False
        self.last_failure: EngineError | None = None
        """What the last vain attempt to find the engine raised; None after a success."""

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    @property
    def current(self) -> Session | None:
        """The session that stands, or None; never connects."""
        session = self._session
        return session if session is not None and session.error is None else None

    def session(self) -> Session:
        """The session that stands, or a new one.

        Raises:
            EngineMissing: It is not installed where this program looks.
            EngineUnreachable: It cannot be reached (or `close` was called).
            EngineRefused: It does not take us.
        """
        with self._lock:
            standing = self.current
            if standing is not None and not self.closed:
                return standing
            old, self._session = self._session, None
            if old is not None:
                old.close()
            self.last_failure = None
            try:
                session = self._open(patient=self._met)
            except EngineError as error:
                self.last_failure = error
                raise
            self._session, self._met = session, True
        if self.closed:
            session.close()
            raise _closed()
        return session

    def request(self, kind: str, header: Mapping[str, Any], buffers: Sequence[Any] = ()) -> Message:
        """Send a request, again after each break of the connection; all our requests bear that.

        Raises:
            InvalidRequest: The engine refused what was asked.
            EngineRefused: The engine cannot do it now, or not for us.
            EngineUnreachable: The engine cannot be reached, or does not answer.
        """
        for attempt in range(1, ATTEMPTS + 1):
            session = self.session()
            try:
                return session.request(
                    kind, header, buffers, timeout_s=BULK_S if kind in BULK else CONTROL_S
                )
            except EngineUnreachable:
                if session.error is None or self.closed or attempt == ATTEMPTS:
                    raise
            except EngineRefused as error:
                if error.code != "SHUTTING_DOWN" or attempt == ATTEMPTS:
                    raise
                session.close()
        raise AssertionError("unreachable")

    def keep_watch(self) -> None:
        """Check that the session stands and its engine answers; see `Session.keep_watch`.

        Raises:
            EngineUnreachable: It does not.
        """
        session = self._session
        if self.closed:
            raise _closed()
        if session is None:
            raise EngineUnreachable("The connection to the engine broke.", retryable=True)
        session.keep_watch()

    def close(self) -> None:
        """End the session; every waiting thread gets `EngineUnreachable`. May be called twice."""
        self._closed.set()
        session = self._session
        if session is not None:
            session.close()

    def _open(self, patient: bool) -> Session:
        """Find, start or wait for the engine; ``patient`` waits for others to start it."""
        deadline = time.monotonic() + self._timeout_s
        pause, silent = FIRST_PAUSE_S, 0
        while not self.closed:
            try:
                return self._meet(Endpoint.read(self._home))
            except EngineNotRunning as error:
                last: EngineError = error
                if self._start:
                    left = max(1.0, deadline - time.monotonic())
                    starter.start_engine(timeout_s=left, home_folder=self._home)
                elif not patient:
                    raise
            except EngineUnreachable as error:
                last, silent = error, silent + 1
            except EngineRefused as error:
                if error.code not in _PASSING:
                    raise
                last, silent = error, silent + (error.code == "UNAUTHORIZED")
            if silent >= SILENT_TRIES or time.monotonic() + pause > deadline:
                raise last
            self._closed.wait(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)
        raise _closed()

    def _meet(self, endpoint: Endpoint) -> Session:
        session = Session.open(
            endpoint,
            app=self._app,
            timeout_s=max(0.5, min(HELLO_S, self._timeout_s)),
            on_event=self._on_event,
            on_lost=self._on_lost,
        )
        if self._met:
            try:
                self._on_found(session)
            except BaseException:
                session.close()
                raise
        return session


def _closed() -> EngineUnreachable:
    return EngineUnreachable(
        "This client was closed.", remedy="Connect again with Client.connect()."
    )
