"""``intarsia operations``: what can be done, and with which inputs and parameters."""

from __future__ import annotations

from typing import Any

import click

from intarsia_client import catalog
from intarsia_daemon.cli.terminal import print_object, print_table


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def operations(name: str | None, as_json: bool) -> None:
    """List the operations, or describe the one called NAME."""
    if name is not None:
        operation = catalog.operation(name)
        if as_json:
            print_object(operation.to_dict())
            return
        click.echo(f"{operation.title} ({operation.id}, version {operation.version})")
        click.echo(operation.summary)
        if operation.trains:
            click.echo("It may work long, and then can be paused and goes on after a restart.")
        if operation.live:
            click.echo(
                "It is quick enough to follow the artist's hand: an editor can show it live."
            )
        click.echo("\nInputs (--input NAME=FILE[#LAYER]):")
        for item in operation.inputs:
            marks = [
                *([] if item.required else ["optional"]),
                *(["may be given several times"] if item.several else []),
            ]
            note = f" ({', '.join(marks)})" if marks else ""
            click.echo(f"  {item.name}{note}: {item.label}. {item.help}")
        click.echo("\nParameters (--set NAME=VALUE):")
        for parameter in operation.parameters:
            click.echo(f"  {parameter.name} = {written(parameter.default)}   {allowed(parameter)}")
            click.echo(f"      {parameter.label}. {parameter.help}")
        return
    known = catalog.operations()
    if as_json:
        print_object({"operations": [operation.to_dict() for operation in known.values()]})
        return
    print_table(("name", "what it does"), [(op.id, op.summary) for op in known.values()])


_ALLOWED = {
    "toggle": "true | false",
    "model": "a model's id; empty: the best there is",
    "class": "a class's name or number",
    "classes": "AREA=CLASS, AREA=CLASS, …",
    "text": "a text",
    "folder": "a folder",
}


def allowed(parameter: Any) -> str:
    """The values a parameter takes, as a person writes them."""
    if parameter.kind in ("scalar", "whole"):
        unit = f" {parameter.unit}" if parameter.unit else ""
        form = "d" if parameter.kind == "whole" else "g"
        return f"{parameter.minimum:{form}} to {parameter.maximum:{form}}{unit}"
    if parameter.kind == "choice":
        return " | ".join(parameter.values())
    return _ALLOWED[parameter.kind]


def written(value: Any) -> str:
    """A default as it is written after ``--set NAME=``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ", ".join(f"{name}={wanted}" for name, wanted in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
