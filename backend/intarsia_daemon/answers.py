"""Answers to clients: where a request came from, and what it is told."""

from __future__ import annotations

import logging
import os
import secrets
from dataclasses import dataclass
from typing import Any

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_client.wire import Message
from intarsia_daemon.sessions import Sessions, Side

LOG_BUTTON = {"label": "Open the log", "do": "log"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asker:
    """Where a request came from, and so where its answer goes."""

    side: Side
    route: bytes


class Answers:
    """Sends answers; an answer to somebody who is gone goes nowhere."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def refuse(self, asker: Asker, re: int, error: Exception) -> None:
        """Answer with what is wrong; a mistake of our own gets a number, and the log the rest."""
        error = error if isinstance(error, IntarsiaError) else _mistake(error)
        fields = error.to_dict()
        if not isinstance(fields["value"], (str, int, float, bool, list, type(None))):
            fields["value"] = repr(fields["value"])
        self.send(asker, "refused", re, **fields)

    def send(self, asker: Asker, kind: str, re: int, **fields: Any) -> None:
        """Answer the request ``re`` with a message of that kind."""
        message = Message(kind, {"re": re, **fields})
        try:
            self._sessions.answer(asker.side, asker.route, message)
        except InvalidRequest:  # the value is as long as the header it came in
            message.header["value"] = None
            self._sessions.answer(asker.side, asker.route, message)

    def done(self, asker: Asker, re: int, **fields: Any) -> None:
        """The request was carried out."""
        self.send(asker, "done", re, **fields)


def _mistake(error: Exception) -> IntarsiaError:
    report = secrets.token_hex(4)
    log.error("Report %s: a request failed.", report, exc_info=error)
    cause = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""
    return IntarsiaError(
        f"The engine could not do it{': ' + cause if cause else ''} (report {report}).",
        value=report,
        remedy="The engine's log has the details under this number.",
        action=LOG_BUTTON,
    )
