"""``intarsia jobs``: what the engine is doing; cancel, pause and resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from intarsia_client.client import Client
from intarsia_client.endpoint import Endpoint, home
from intarsia_client.errors import EngineNotRunning, InvalidRequest
from intarsia_client.wording import duration
from intarsia_daemon.cli.terminal import cancelling, print_object, print_table

COLUMNS = ("job", "operation", "what", "state", "stage", "done", "left", "from")
WATCH_S = 1.0


@click.group(invoke_without_command=True)
@click.option("--watch", is_flag=True, help="Go on showing them until Ctrl+C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def jobs(context: click.Context, watch: bool, as_json: bool) -> None:
    """List the engine's jobs; see also the commands below.

    Nothing is started: without a running engine there are no jobs.
    """
    if context.invoked_subcommand is not None:
        return
    try:
        Endpoint.read(home())
    except EngineNotRunning:
        if as_json:
            print_object({"running": False, "jobs": []})
        else:
            click.echo("No engine is running, so there are no jobs.")
        return
    with Client.connect(app="cli", start=False) as client:
        if watch and not as_json:
            _watch(client)
            return
        found = client.jobs()
    if as_json:
        print_object({"running": True, "jobs": found})
    elif found:
        print_table(COLUMNS, [_row(job) for job in found])
    else:
        click.echo("There are no jobs.")


@jobs.command()
@click.argument("job")
def cancel(job: str) -> None:
    """Cancel JOB (the beginning of its id will do)."""
    _do(job, lambda client, job_id: client.cancel(job_id), "is being cancelled")


@jobs.command()
@click.argument("job")
def pause(job: str) -> None:
    """Pause JOB at its next step."""
    _do(job, lambda client, job_id: client.pause(job_id), "pauses at its next step")


@jobs.command()
@click.argument("job")
def resume(job: str) -> None:
    """Let a paused JOB go on."""
    _do(job, lambda client, job_id: client.resume(job_id), "goes on")


def _do(beginning: str, action: Callable[[Client, str], object], done: str) -> None:
    with _running() as client:
        job_id = find_job(client.jobs(), beginning)
        action(client, job_id)
    click.echo(f"{job_id[:8]} {done}.")


@contextmanager
def _running() -> Iterator[Client]:
    with Client.connect(app="cli", start=False) as client:
        yield client


def find_job(found: Sequence[Mapping[str, Any]], beginning: str) -> str:
    """The id of the one job that begins so.

    Raises:
        InvalidRequest: None or several do.
    """
    hits = [str(job["job"]) for job in found if str(job["job"]).startswith(beginning.lower())]
    if len(hits) == 1:
        return hits[0]
    names = ", ".join(str(job["job"])[:8] for job in found) or "none"
    problem = "Several jobs begin" if hits else "No job begins"
    raise InvalidRequest(
        f"{problem} with {beginning!r}.", value=beginning, remedy=f"The jobs are: {names}."
    )


def _row(job: Mapping[str, Any]) -> tuple[str, ...]:
    total, left = job.get("total") or 0, job.get("seconds_left")
    return (
        str(job["job"])[:8],
        str(job.get("operation", "")),
        str(job.get("label", "")),
        str(job.get("state", "")),
        str(job.get("stage") or ""),
        f"{(job.get('step') or 0) / total:.0%}" if total else "",
        duration(left) if left is not None else "",
        str(job.get("client", "")),
    )


def _watch(client: Client) -> None:
    with cancelling() as stop, Live(console=Console(), auto_refresh=False) as live:
        while not stop():
            table = Table(*COLUMNS, box=None, pad_edge=False)
            for job in client.jobs():
                table.add_row(*_row(job))
            live.update(table, refresh=True)
            time.sleep(WATCH_S)
