"""``intarsia serve``, ``stop`` and ``demo``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from intarsia_client.endpoint import Endpoint, home
from intarsia_client.errors import EngineNotRunning, IntarsiaError


@click.command()
def serve() -> int:
    """Run the engine in this terminal (other commands and the editors start it by themselves)."""
    from intarsia_daemon import server

    return server.serve() or 0


@click.command()
@click.option(
    "--now", is_flag=True, help="Do not wait for running jobs; they go on at the next start."
)
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds to wait.")
def stop(now: bool, timeout_s: float) -> None:
    """End the engine; results that nobody fetched stay."""
    from intarsia_client.client import Client

    try:
        running = Endpoint.read(home())
    except EngineNotRunning:
        click.echo("No engine is running.")
        return
    with Client.connect(app="cli", start=False) as client:
        client.shutdown(now=now)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if Endpoint.read(home()).boot != running.boot:
                break
        except EngineNotRunning:
            break
        time.sleep(0.1)
    else:
        raise IntarsiaError(
            f"The engine (process {running.pid}) did not end within {timeout_s:g} s.",
            value=running.pid,
            remedy='It finishes what is running; "intarsia stop --now" does not wait for that.',
        )
    click.echo("The engine has ended.")


@click.command()
@click.option(
    "--out",
    "out",
    type=click.Path(path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Where the page and its pictures go.",
)
@click.option("--quick", is_flag=True, help="Smaller and faster, for a first look.")
def demo(out: Path, quick: bool) -> None:
    """Run every operation on real pictures and write a page with what came out."""
    from intarsia_daemon import demo as showcase

    showcase.run(out, quick)
