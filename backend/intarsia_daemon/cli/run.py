"""``intarsia run``: one operation on one picture."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from intarsia_client import catalog
from intarsia_client.client import Client
from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import MAX_SEED, Operation, Result
from intarsia_daemon import recipes
from intarsia_daemon.cli.models import named_models
from intarsia_daemon.cli.operations import written
from intarsia_daemon.cli.outputs import (
    check_frames_folder,
    check_target,
    write_frames,
    write_output,
)
from intarsia_daemon.cli.sources import Source, SourceReader
from intarsia_daemon.cli.terminal import ProgressLines, cancelling, print_object
from intarsia_daemon.cli.wishes import Wish, parse_wish


@dataclass
class Request:
    """A checked request: nothing about it is wrong that can be known without the engine."""

    operation: Operation
    parameters: dict[str, Any]
    seed: int
    wishes: list[Wish]


@click.command()
@click.argument("operation", required=False)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="ROLE[:NAME]=FILE[#LAYER]",
    help="A picture, or a layer of one; NAME tells several areas apart.",
)
@click.option(
    "--place", "places", multiple=True, metavar="ROLE=X,Y", help="Where an input's corner goes."
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter.")
@click.option(
    "--seed",
    type=click.IntRange(0, MAX_SEED),
    help="The same seed gives the same picture; usually 0.",
)
@click.option(
    "--out", "out", required=True, type=click.Path(path_type=Path), help="A .png or an .ora file."
)
@click.option(
    "--recipe",
    type=click.Path(path_type=Path),
    help="Repeat the recipe in this .json, .png or .ora; --set and --seed change it.",
)
@click.option(
    "--frames",
    type=click.Path(path_type=Path),
    help="Also write the picture at every amount that was computed, into this folder.",
)
@click.option("--layers-only", is_flag=True, help="Write the result's own layers and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def run(
    operation: str | None,
    inputs: tuple[str, ...],
    places: tuple[str, ...],
    settings: tuple[str, ...],
    seed: int | None,
    out: Path,
    recipe: Path | None,
    frames: Path | None,
    layers_only: bool,
    as_json: bool,
) -> None:
    """Run OPERATION and write a new picture.

    Inputs are PNG, JPEG, TIFF, WebP, or layered .ora, .kra and .psd files: FILE#LAYER takes one
    layer (FILE#Group/Layer inside a group, FILE#below:LAYER everything under it). Where an
    operation takes several areas and none is given, the picture's layers with a colour label are
    the areas. Rough pieces are a group's visible layers (FILE#Group), several files, or a folder.
    """
    started = time.monotonic()
    earlier = recipes.read_recipe(recipe) if recipe is not None else {}
    request = build_request(operation, earlier, inputs, places, settings, seed)
    check_target(out, [wish.path for wish in request.wishes])
    if frames is not None:
        check_frames_folder(frames)
    sources = SourceReader().read_all(request.operation, request.wishes, request.parameters)
    seconds = {"reading": time.monotonic() - started}
    with (
        cancelling() as stop,
        ProgressLines(request.operation.title, quiet=as_json) as lines,
        Client.connect(app="cli") as client,
    ):
        job = submit(client, request, sources)
        result = job.wait(on_progress=lines.update, should_cancel=stop)
    writing = time.monotonic()
    saved = write_output(out, request.operation, sources, result, layers_only=layers_only)
    outputs = [out]
    if frames is not None:
        outputs += write_frames(
            frames, out.stem, request.operation, sources, result, layers_only=layers_only
        )
    seconds.update(result.seconds)
    seconds["writing"] = time.monotonic() - writing
    seconds["all"] = time.monotonic() - started
    notes = [note for source in sources for note in source.notes]
    notes += [*result.notes, *saved.notes, *changed_inputs(earlier, result)]
    if frames is not None and len(outputs) == 1:
        notes.append(f"{request.operation.title} brought no frames, so {frames} has none.")
    if as_json:
        print_object(describe(outputs, result, seconds, notes))
        return
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(f"{out}  ({seconds['all']:.1f} s)")
    if len(outputs) > 1:
        click.echo(f"{frames}  ({len(outputs) - 1} frames)")


def build_request(
    name: str | None,
    earlier: Mapping[str, Any],
    inputs: Sequence[str],
    places: Sequence[str],
    settings: Sequence[str],
    seed: int | None,
) -> Request:
    """Check a command line against the operation's declaration.

    Args:
        name: The operation, or None to take the recipe's.
        earlier: A recipe to repeat, or an empty one.
        inputs: ``ROLE[:NAME]=FILE[#LAYER]`` each.
        places: ``ROLE=X,Y`` each.
        settings: ``NAME=VALUE`` each.
        seed: None takes the recipe's, or 0.

    Raises:
        InvalidRequest: A name or a value is wrong; the message says what would be right.
    """
    if name is None and not earlier:
        raise InvalidRequest(
            "No operation is named.", remedy=f"There are: {', '.join(catalog.operations())}."
        )
    operation = catalog.operation(name or str(earlier["operation"]))
    parameters: dict[str, Any] = {}
    if earlier and earlier.get("operation") == operation.id:
        parameters.update(earlier.get("parameters") or {})
    first = operation.parameters[0] if operation.parameters else None
    example = f"{first.name}={written(first.default) or '…'}" if first is not None else ""
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidRequest(
                f"--set {text!r} is not of the form NAME=VALUE.",
                value=text,
                remedy=f"For example: --set {example}" if example else "It has no parameters.",
            )
        parameters[key.strip()] = operation.parameter(key.strip()).parse(value)
    wishes = _place([parse_wish(text) for text in inputs], places)
    checked = operation.check([wish.input for wish in wishes], parameters)
    checked = named_models(operation, checked)
    if seed is None:
        seed = int(earlier.get("seed") or 0)
    return Request(operation, checked, seed, wishes)


def submit(
    client: Client, request: Request, sources: Sequence[Source], *, priority: str = "interactive"
) -> Any:
    """Send the request; the job outlives a restart of the engine, and Ctrl+C cancels it."""
    pixels = [source.pixels(request.operation.input(source.wish.input)) for source in sources]
    return client.submit(
        request.operation,
        pixels,
        request.parameters,
        seed=request.seed,
        label=f"{request.operation.title}: {sources[0].name}"
        if sources
        else request.operation.title,
        priority=priority,
        on_disconnect="keep",
    )


def describe(
    outputs: Sequence[Path], result: Result, seconds: Mapping[str, float], notes: Sequence[str]
) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "outputs": [str(path) for path in outputs],
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "metrics": dict(result.metrics),
        "recipe": result.recipe,
        "notes": list(notes),
    }


def changed_inputs(earlier: Mapping[str, Any], result: Result) -> list[str]:
    """Notes about inputs whose pixels are not those of the recipe that is repeated."""

    def hashes(recipe: Mapping[str, Any]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for item in recipe.get("inputs") or []:
            found.setdefault(str(item.get("input")), []).append(item.get("sha256"))
        return found

    before, now = hashes(earlier), hashes(result.recipe)
    return [
        f"The input {name!r} has other pixels than in the recipe."
        for name in now
        if name in before and sorted(map(str, before[name])) != sorted(map(str, now[name]))
    ]


def _place(wishes: list[Wish], places: Sequence[str]) -> list[Wish]:
    for text in places:
        name, _, rest = text.partition("=")
        try:
            x, y = (int(part) for part in rest.split(","))
        except ValueError:
            raise InvalidRequest(
                f"--place {text!r} is not of the form ROLE=X,Y.",
                value=text,
                remedy="For example: --place element=120,-40.",
            ) from None
        if not any(name in (wish.input, wish.key) for wish in wishes):
            raise InvalidRequest(
                f"--place names {name!r}, which is no given input.",
                value=name,
                remedy=f"Given are: {', '.join(wish.key for wish in wishes) or 'none'}.",
            )
        wishes = [replace(w, place=(x, y)) if name in (w.input, w.key) else w for w in wishes]
    return wishes
