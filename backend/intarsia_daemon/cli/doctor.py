"""``intarsia doctor``: is everything in place, and what to do if not."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.console import Console

from intarsia_daemon import doctor as examination
from intarsia_daemon.cli import exit_codes
from intarsia_daemon.cli.terminal import print_object

_MARKS = {
    examination.OK: "[green]ok    [/green]",
    examination.NOTE: "[yellow]note  [/yellow]",
    examination.BROKEN: "[red]broken[/red]",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> int:
    """Look whether everything is in place; exit code 1 if something is broken."""
    console = Console(highlight=False, soft_wrap=True)
    findings = []
    for finding in examination.examine():
        findings.append(finding)
        if not as_json:
            console.print(f"{_MARKS[finding.state]} {finding.subject:9}", end="")
            console.print(finding.text, markup=False)
            if finding.remedy:
                console.print(f"{'':16}→ {finding.remedy}", markup=False)
    broken = any(finding.state == examination.BROKEN for finding in findings)
    if as_json:
        print_object({"broken": broken, "findings": [asdict(finding) for finding in findings]})
    return exit_codes.FAILED if broken else exit_codes.OK
