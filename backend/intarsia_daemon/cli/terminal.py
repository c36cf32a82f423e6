"""What commands print: bars on a terminal, plain lines elsewhere, one object with ``--json``."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from intarsia_client import schema
from intarsia_client.wording import progress_line

EVERY_S = 10.0
"""How often a plain line tells the progress within one stage."""


def print_object(data: Mapping[str, Any] | Sequence[Any]) -> None:
    """The one object of ``--json``, on stdout."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(str(cell) for cell in row))
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)


class ProgressLines:
    """Shows a job's progress on stderr: a bar on a terminal, otherwise a line per stage."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self._title = title
        self._quiet = quiet
        self._stage, self._told = "", 0.0
        self._bar: Progress | None = None
        if sys.stderr.isatty() and not quiet:
            bar = Progress(
                TextColumn("{task.description}"), BarColumn(), console=Console(stderr=True)
            )
            self._bar, self._task = bar, bar.add_task(title, total=1.0)

    def __enter__(self) -> ProgressLines:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            if kind is None:
                self._bar.update(self._task, completed=1.0)
            self._bar.stop()

    def say(self, text: str) -> None:
        """One line, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        elif not self._quiet:
            click.echo(text, err=True)

    def show(self, text: str, fraction: float) -> None:
        """Move the bar, where there is one."""
        if self._bar is not None:
            description = f"{self._title}: {text}".replace("[", r"\[")
            self._bar.update(self._task, completed=fraction, description=description)

    def update(self, progress: schema.Progress) -> None:
        """Show a job's newest progress."""
        line = progress_line(progress)
        if self._bar is not None:
            self.show(line, progress.fraction)
            return
        now = time.monotonic()
        if progress.stage != self._stage or now - self._told >= EVERY_S:
            self._stage, self._told = progress.stage, now
            self.say(f"{self._title}: {line}")


class BatchLines:
    """Shows a batch: how many files are done, and what the present ones do."""

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self._lines = ProgressLines("Batch", quiet=quiet)
        self._total, self._done = total, 0
        self._lock = threading.Lock()

    def __enter__(self) -> BatchLines:
        self._lines.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.__exit__(kind, error, trace)

    def finished(self, text: str) -> None:
        """One more file is through; ``text`` says how it went."""
        with self._lock:
            self._done += 1
            self._lines.say(f"[{self._done}/{self._total}] {text}")
            self._lines.show(f"{self._done} of {self._total} done", self._done / self._total)

    def update(self, name: str, progress: schema.Progress) -> None:
        """Show what one file's job does."""
        share = (self._done + progress.fraction) / max(1, self._total)
        with self._lock:
            stage = f"{self._done} of {self._total} done, {name}: {progress.stage}"
            self._lines.update(schema.Progress(stage, round(share * 1000), 1000))


class Stop:
    """Ctrl+C: the first one asks to cancel, the second one interrupts."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def __call__(self) -> bool:
        """Whether cancelling was asked for."""
        return self._asked.is_set()

    def ask(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Ask to cancel; as a signal handler, the second time interrupts."""
        if self._asked.is_set() and number:
            raise KeyboardInterrupt
        self._asked.set()
        if number:
            click.echo("Cancelling; press Ctrl+C again to leave at once.", err=True)


@contextlib.contextmanager
def cancelling() -> Iterator[Stop]:
    """A `Stop` that Ctrl+C, SIGTERM and a closed terminal set while the block runs."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = [
        signal.SIGINT,
        signal.SIGTERM,
        *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []),
    ]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in before:
        signal.signal(number, stop.ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
