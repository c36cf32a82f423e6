"""What other threads hand to the router's loop: a queue with a socket that a poller can watch."""

from __future__ import annotations

import contextlib
import queue
import socket
from typing import Any


class Inbox:
    """A queue that any thread (or a signal handler) may fill and one loop empties."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.reader, self._writer = socket.socketpair()
        """``reader`` is readable while there are items."""
        self.reader.setblocking(False)
        self._writer.setblocking(False)

    def put(self, item: Any) -> None:
        """Add an item and wake the loop; never blocks."""
        self._items.put(item)
        with contextlib.suppress(BlockingIOError, OSError):  # full: it is awake already
            self._writer.send(b"!")

    def take(self) -> list[Any]:
        """Every item there is, oldest first."""
        with contextlib.suppress(BlockingIOError):
            while self.reader.recv(4096):
                pass
        items = []
        with contextlib.suppress(queue.Empty):
            while True:
                items.append(self._items.get_nowait())
        return items

    def close(self) -> None:
        """Close the socket pair; later items are kept but wake nobody."""
        self.reader.close()
        self._writer.close()
