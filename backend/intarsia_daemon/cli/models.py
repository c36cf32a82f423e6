"""``intarsia models``: the models on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from intarsia_client.catalog import able
from intarsia_client.endpoint import Endpoint, home
from intarsia_client.errors import EngineError, IntarsiaError, InvalidRequest
from intarsia_client.schema import ModelRef, Operation
from intarsia_client.wording import duration
from intarsia_daemon.cli import exit_codes
from intarsia_daemon.cli.terminal import print_object, print_table
from intarsia_daemon.model_card import generator_facts
from intarsia_daemon.model_import import import_model
from intarsia_daemon.model_store import CONTENT, ModelStore
from intarsia_daemon.packs import packs_folder


def store() -> ModelStore:
    """The models of this user."""
    return ModelStore(home() / "models", packs=packs_folder())


_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def models() -> None:
    """The models that were trained or imported: list, show, import, export, verify, remove."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_models(as_json: bool) -> None:
    """List the models, newest first, then those that come with the release."""
    found = store().list()
    if as_json:
        print_object({"models": found})
        return
    if not found:
        click.echo("There are no models yet.")
        return
    rows = [
        (
            item["id"],
            item["title"],
            item["family"],
            item["task"],
            size_text(item["bytes"]),
            duration(item["seconds"]) if item["seconds"] else "",
            "shipped"
            if item["shipped"]
            else time.strftime("%Y-%m-%d %H:%M", time.localtime(item["created"])),
        )
        for item in found
    ]
    print_table(("id", "title", "family", "task", "size", "training", "made"), rows)


@models.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(model: str, as_json: bool) -> None:
    """Everything about MODEL (the beginning of its id will do)."""
    chosen = find_model(model)
    entry: dict[str, Any] = next(item for item in store().list() if item["id"] == chosen)
    place = packs_folder() if entry["shipped"] else home() / "models"
    entry["folder"] = str(place / chosen)
    if entry["resolution"] and not entry.get("problem"):
        facts = generator_facts(place / chosen / CONTENT)
        entry.update(companions=list(facts.companions), regressor=facts.regressor)
    if as_json:
        print_object(entry)
        return
    entry["bytes"] = size_text(entry["bytes"])
    entry["seconds"] = duration(entry["seconds"]) if entry["seconds"] else "none"
    entry["created"] = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry["created"]))
    for name, value in entry.items():
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        click.echo(f"{name:12} {text}".rstrip())


@models.command("import")
@click.argument("place", metavar="FILE_OR_FOLDER", type=click.Path(path_type=Path))
@click.option("--discriminator", type=_FILE, help="A generator's discriminator, in its own file.")
@click.option("--encoder", type=_FILE, help="A generator's encoder, in its own file.")
@click.option("--auxiliary", type=_FILE, help="A generator's auxiliary networks, in their file.")
@click.option("--regressor", type=_FILE, help="A generator's masked encoder, for collages.")
@click.option("--labels", type=_FILE, help="The names of its classes: one per line, or JSON.")
@click.option("--title", default="", help="Its name in lists; without it, the one it has.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_place(
    place: Path,
    discriminator: Path | None,
    encoder: Path | None,
    auxiliary: Path | None,
    regressor: Path | None,
    labels: Path | None,
    title: str,
    as_json: bool,
) -> None:
    """Take over the model in FILE_OR_FOLDER.

    It may be the weights of a generator (SNGAN-projection, BigGAN, StyleGAN, …: "intarsia models
    formats" lists them), a folder with such files, whose companions are then found by their
    names, a model copied from another machine's models folder (card.json and model/), a run folder
    of the public ConSinGAN code, or the files of a public KeyPatchGan. Every byte is checked;
    nothing in it is run.
    """
    given = {
        "discriminator": discriminator,
        "encoder": encoder,
        "auxiliary": auxiliary,
        "regressor": regressor,
    }
    companions = {role: path for role, path in given.items() if path is not None}
    name = import_model(place, home() / "models", title=title, companions=companions, labels=labels)
    entry = next(item for item in store().list() if item["id"] == name)
    if as_json:
        print_object(entry)
        return
    click.echo(f"{name} is here now: {_facts(entry)}.")
    if entry["licence"]:
        click.echo(f"Licence: {entry['licence']}")


def _facts(entry: Mapping[str, Any]) -> str:
    """What kind of model it is, in a line."""
    facts = [entry["family"]]
    if entry["resolution"]:
        facts.append(f"{entry['resolution']} x {entry['resolution']} pixels")
    if entry["num_classes"]:
        named = "" if entry["label_count"] else " without names"
        facts.append(f"{entry['num_classes']} classes{named}")
    if "regressor" in entry["capabilities"]:
        facts.append("with a regressor (makes pictures of collages)")
    return ", ".join(facts)


@models.command("export")
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export_model(model: str, folder: Path, as_json: bool) -> None:
    """Copy MODEL (the beginning of its id, or its title) into FOLDER, which is made.

    "intarsia models import FOLDER" takes it over on another machine, and it is used at once there.
    """
    chosen = titled_model(model)
    store().export(chosen, folder.absolute())
    if as_json:
        print_object({"id": chosen, "folder": str(folder.absolute())})
        return
    click.echo(f"{chosen} is in {folder} now. There: intarsia models import {folder}")


@models.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def formats(as_json: bool) -> None:
    """List the public files that "models import" reads."""
    from intarsia_daemon.model_families import IMPORTERS
    from intarsia_models.generators.families import known_families

    known = {family.name: list(family.formats) for family in known_families().values()}
    known |= {importer.family: [importer.name] for importer in IMPORTERS if importer.family}
    if as_json:
        print_object({"formats": known})
        return
    print_table(
        ("family", "files"), [(name, text) for name, texts in known.items() for text in texts]
    )


@models.command()
@click.argument("chosen", nargs=-1, metavar="[MODEL]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(chosen: tuple[str, ...], as_json: bool) -> int:
    """Compare every byte of the models (all, or those named) with their cards.

    Generators also make their stored sample again.
    """
    names = [find_model(name) for name in chosen] or [item["id"] for item in store().list()]
    problems: dict[str, str | None] = {}
    for name in names:
        try:
            verify_model(store(), name)
            problems[name] = None
        except IntarsiaError as error:
            problems[name] = error.what
    if as_json:
        print_object({"models": problems})
    else:
        for name, problem in problems.items():
            click.echo(problem or f"{name} is whole.")
    return exit_codes.FAILED if any(problems.values()) else exit_codes.OK


def verify_model(place: ModelStore, name: str) -> None:
    """Compare a model's bytes with its card, and a generator's sample with the stored one.

    Raises:
        IntarsiaError: MODEL_LOAD_FAILED, if it is not what it was.
    """
    place.verify(name)
    content = place.path(name)
    if not generator_facts(content).sample:
        return
    from intarsia_models.errors import ModelsError
    from intarsia_models.generators.loading import verify_generator

    try:
        verify_generator(content)
    except ModelsError as error:
        raise IntarsiaError(
            error.what, value=name, remedy=error.remedy, code="MODEL_LOAD_FAILED"
        ) from None


@models.command()
@click.argument("chosen", nargs=-1, required=True, metavar="MODEL...")
def remove(chosen: tuple[str, ...]) -> None:
    """Remove models; each is trained again when it is needed again."""
    for name in [find_model(name) for name in chosen]:
        if not _removed_by_engine(name):
            store().remove(name)
        click.echo(f"{name} is removed.")


def _removed_by_engine(name: str) -> bool:
    """Let a running engine do it, so that it also forgets what it has in memory."""
    from intarsia_client.client import Client

    try:
        Endpoint.read(home())
        client = Client.connect(app="cli", start=False)
    except EngineError:
        return False
    with client:
        client.remove_model(name)
    return True


def find_model(beginning: str) -> str:
    """The id of the one model that begins so.

    Raises:
        InvalidRequest: None or several do.
    """
    known = [str(item["id"]) for item in store().list()]
    if beginning in known:
        return beginning
    hits = [name for name in known if name.startswith(beginning)]
    if len(hits) == 1:
        return hits[0]
    problem = "Several models begin" if hits else "No model begins"
    raise InvalidRequest(
        f"{problem} with {beginning!r}.",
        value=beginning,
        remedy=f"There are: {', '.join(hits or known)}." if known else "There are no models yet.",
    )


def named_models(operation: Operation, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with every model by its id: the beginning of an id or a title will do.

    Of models with one title those count that can do what the operation needs. A name that fits no
    model here is left as it is; the engine may know it.

    Raises:
        InvalidRequest: Several models are meant.
    """
    found = dict(parameters)
    wanted = [p for p in operation.parameters if isinstance(p, ModelRef) and found[p.name]]
    entries = store().list() if wanted else []
    for parameter in wanted:
        text = found[parameter.name]
        fitting = _meant(text, able(entries, parameter.capability))
        found[parameter.name] = fitting or _meant(text, entries) or text
    return found


def titled_model(text: str) -> str:
    """The id of the one model of that id, title or beginning of an id.

    Raises:
        InvalidRequest: None or several are meant.
    """
    return _meant(text, store().list()) or find_model(text)


def _meant(text: str, entries: list[dict[str, Any]]) -> str:
    """The id that a text means; empty for none.

    Raises:
        InvalidRequest: Several models are meant.
    """
    hits = [item["id"] for item in entries if text in (item["id"], item["title"], item["name"])]
    hits = hits or [item["id"] for item in entries if item["id"].startswith(text)]
    if len(hits) > 1:
        raise InvalidRequest(
            f"Several models are meant with {text!r}.",
            value=text,
            remedy=f"Say which: {', '.join(hits)}.",
        )
    return hits[0] if hits else ""


def size_text(count: int) -> str:
    """Bytes in words: ``"12.3 MB"``."""
    value, unit = float(count), "bytes"
    for bigger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, bigger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
