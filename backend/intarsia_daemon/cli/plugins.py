"""``intarsia plugins``: put the plug-ins into Krita and GIMP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from intarsia_client.version import __version__
from intarsia_daemon import plugins as installer
from intarsia_daemon.cli.terminal import print_object
from intarsia_daemon.editors import EDITORS, Place, places, targets

RESTART = {
    "krita": "Start Krita anew; the panel is in Settings > Dockers > Intarsia.",
    "gimp": "Start GIMP anew; the entries are in Filters > Intarsia.",
}

_editor = click.argument("editor", required=False, type=click.Choice(EDITORS))
_folder = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Another pykrita or plug-ins folder than the usual one.",
)


@click.group()
def plugins() -> None:
    """Install, look at or remove the plug-ins for Krita and GIMP."""


@plugins.command()
@_editor
@_folder
def install(editor: str | None, folder: Path | None) -> None:
    """Put the plug-ins in place (for both editors unless one is named)."""
    for name in [editor] if editor else EDITORS:
        for place in _chosen(name, folder, targets):
            installer.install(place)
            click.echo(f"{place.variant}: Intarsia {__version__} is in {place.folder}")
            if name == "krita" and place.settings is None:
                click.echo("Switch it on: Settings > Configure Krita > Python Plugin Manager.")
        click.echo(RESTART[name])


@plugins.command()
@_editor
@_folder
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(editor: str | None, folder: Path | None, as_json: bool) -> None:
    """Where the plug-ins are, of which release, and whether they can be used."""
    rows: list[dict[str, Any]] = []
    for name in [editor] if editor else EDITORS:
        for place in _chosen(name, folder, places):
            found = installer.state(place)
            rows.append(
                {
                    "editor": name,
                    "where": place.variant,
                    "folder": str(place.folder),
                    "editor_found": place.found,
                    "installed": found.installed,
                    "version": found.version,
                    "current": found.is_current,
                    "problem": found.problem,
                }
            )
    if as_json:
        print_object({"release": __version__, "plugins": rows})
        return
    for row in rows:
        click.echo(f"{row['where']}: {_sentence(row)}")


@plugins.command()
@_editor
@_folder
def remove(editor: str | None, folder: Path | None) -> None:
    """Take the plug-ins out again."""
    for name in [editor] if editor else EDITORS:
        for place in _chosen(name, folder, places):
            if installer.remove(place):
                click.echo(f"{place.variant}: removed from {place.folder}")


def _chosen(editor: str, folder: Path | None, usual: Callable[[str], list[Place]]) -> list[Place]:
    found = usual(editor)
    if folder is None:
        return found
    name = f"{editor} in {folder}"
    return [replace(found[0], variant=name, folder=folder, settings=None, found=True)]


def _sentence(row: dict[str, Any]) -> str:
    if not row["installed"]:
        there = "" if row["editor_found"] else " (the editor was not found there either)"
        return f"not installed{there}"
    if row["problem"]:
        return (
            f"release {row['version']} in {row['folder']}. {row['problem']} "
            f'Run "intarsia plugins install {row["editor"]}".'
        )
    return f"release {row['version']} in {row['folder']}, up to date"
