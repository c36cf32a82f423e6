"""``intarsia train``: every operation whose id begins with ``train_``, as a command of its own.

The commands and their options are made from the declarations; nothing about a training is repeated
here.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from intarsia_client import catalog
from intarsia_client.client import Client
from intarsia_client.schema import MAX_SEED, Choice, Folder, Operation, Parameter
from intarsia_daemon.cli.operations import allowed, written
from intarsia_daemon.cli.outputs import check_target, write_output
from intarsia_daemon.cli.run import build_request, describe, submit
from intarsia_daemon.cli.sources import SourceReader
from intarsia_daemon.cli.terminal import ProgressLines, cancelling, print_object

TRAINING = "train_"
"""How the ids of the operations begin that appear here."""
DATA = "--data"
"""Also names an operation's first folder, whatever it is called."""


class _Trainings(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [_command_name(name) for name in catalog.operations() if name.startswith(TRAINING)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = catalog.operations().get(TRAINING + cmd_name.replace("-", "_"))
        return None if found is None else _command(found)


@click.group(cls=_Trainings)
def train() -> None:
    """Train a model of your own; it is then in the list of models.

    A training can be paused and goes on after a restart ("intarsia jobs").
    """


def _command_name(name: str) -> str:
    return name[len(TRAINING) :].replace("_", "-")


def _command(operation: Operation) -> click.Command:
    folders = [p.name for p in operation.parameters if isinstance(p, Folder)]
    options: list[click.Parameter] = [
        _option(parameter, is_data=folders[:1] == [parameter.name])
        for parameter in operation.parameters
    ]
    if operation.inputs:
        names = ", ".join(item.name for item in operation.inputs)
        options.append(
            click.Option(
                ["--input", "inputs"],
                multiple=True,
                metavar="ROLE=FILE[#LAYER]",
                help=f"A picture, as for intarsia run: {names}.",
            )
        )
    options += [
        click.Option(
            ["--seed"],
            type=click.IntRange(0, MAX_SEED),
            help="The same seed gives the same model; usually 0.",
        ),
        click.Option(
            ["--out", "out"],
            type=click.Path(path_type=Path),
            help="Write the samples at the end here: a .png or an .ora file.",
        ),
        click.Option(
            ["--detach"],
            is_flag=True,
            help='Leave the training to the engine at once; "intarsia jobs" shows it.',
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object."),
    ]

    def run(**given: Any) -> None:
        _train(operation, given)

    return click.Command(
        _command_name(operation.id), callback=run, params=options, help=operation.summary
    )


def _option(parameter: Parameter, *, is_data: bool) -> click.Option:
    """One parameter; its value is read as after ``--set``, so that errors are the same."""
    flag = f"--{parameter.name.replace('_', '-')}"
    usual = written(parameter.default)
    told = [parameter.help.rstrip(".")]
    told += [] if isinstance(parameter, Folder) else [allowed(parameter)]
    told += [f"usually {usual}"] if usual else []
    return click.Option(
        [parameter.name, *dict.fromkeys([DATA, flag] if is_data else [flag])],
        metavar="CHOICE" if isinstance(parameter, Choice) else parameter.kind.upper(),
        required=isinstance(parameter, Folder) and parameter.required,
        help="; ".join(told) + ".",
    )


def _train(operation: Operation, given: dict[str, Any]) -> None:
    started = time.monotonic()
    settings = [
        f"{parameter.name}={given[parameter.name]}"
        for parameter in operation.parameters
        if given[parameter.name] is not None
    ]
    request = build_request(operation.id, {}, given.get("inputs", ()), (), settings, given["seed"])
    out: Path | None = given["out"]
    if out is not None:
        check_target(out, [wish.path for wish in request.wishes])
    sources = SourceReader().read_all(operation, request.wishes)
    quiet = given["as_json"]
    with (
        cancelling() as stop,
        ProgressLines(operation.title, quiet=quiet) as lines,
        Client.connect(app="cli") as client,
    ):
        job = submit(client, request, sources)
        if given["detach"]:
            _tell_detached(job.id, quiet)
            return
        result = job.wait(on_progress=lines.update, should_cancel=stop)
    notes = list(result.notes)
    if out is not None:
        notes += write_output(out, operation, sources, result).notes
    seconds = {**result.seconds, "all": time.monotonic() - started}
    model = (result.recipe.get("model") or {}).get("id", "")
    if quiet:
        outputs = [] if out is None else [out]
        print_object({**describe(outputs, result, seconds, notes), "model": model})
        return
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(f"{model or operation.title} is done  ({seconds['all']:.1f} s)")


def _tell_detached(job: str, as_json: bool) -> None:
    if as_json:
        print_object({"job": job})
    else:
        click.echo(f'{job} trains in the engine; "intarsia jobs" shows how far it is.')
