"""``intarsia demo``: every operation on real pictures, and a page to look at."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import click

from intarsia_client import catalog
from intarsia_client.client import Client
from intarsia_client.endpoint import write_engine_file
from intarsia_client.errors import IntarsiaError
from intarsia_client.version import __version__
from intarsia_daemon.demo.collages import FOLDER, FOLDER_PICTURES, RESULTS
from intarsia_daemon.demo.examples import EXAMPLES, PICTURES
from intarsia_daemon.demo.mosaics import lay_out as lay_out_mosaics
from intarsia_daemon.demo.page import Chapter, write_page
from intarsia_daemon.demo.parts import lay_out as lay_out_parts
from intarsia_daemon.demo.showing import Showing
from intarsia_daemon.packs import packs_folder

QUICK_SIDE = 96
"""Longest side of the pictures with ``--quick``."""


def run(out: Path, quick: bool = False) -> None:
    """Run every example in an engine of the demo's own and write ``index.html``.

    Args:
        out: The folder of the page; made where it is missing, and its earlier page replaced.
        quick: Reduce the pictures that are learnt first: everything runs, in a fraction of the
            time.

    Raises:
        IntarsiaError: The engine cannot be started, or an example failed (the page is written first
            and says which).
    """
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    _lay_out(out, quick)
    chapters: list[Chapter] = []
    devices: set[str] = set()
    with _own_engine(out / "engine") as client:
        for number, example in enumerate(EXAMPLES, 1):
            click.echo(f"{number} of {len(EXAMPLES)}: {example.title}")
            showing = Showing(out, example)
            chapters.append(showing.run(client))
            devices.add(showing.device)
    facts = {
        "Release": __version__,
        "Device": ", ".join(sorted(devices - {""})),
        "Pictures": f"those to learn reduced to {QUICK_SIDE} pixels (--quick)"
        if quick
        else "full size",
        "Whole time": f"{time.monotonic() - started:.0f} s",
    }
    page = write_page(out, chapters, facts)
    click.echo(f"Look at {page}")
    failed = [chapter for chapter in chapters if chapter.error]
    if failed:
        raise IntarsiaError(
            f"{len(failed)} of {len(chapters)} examples failed: {failed[0].error}",
            value=[chapter.title for chapter in failed],
            remedy=f"The page {page} says which.",
            code="OPERATION_FAILED",
        )


def _lay_out(out: Path, quick: bool) -> None:
    """Copy the pictures beside the page, so that its commands work in that folder."""
    from intarsia_daemon.demo.reducing import reduce_document

    learnt = _learnt_files()
    folder = resources.files("intarsia_daemon.demo") / "pictures"
    for name in PICTURES:
        with resources.as_file(folder / name) as file:
            if quick and name in learnt:
                (out / name).write_bytes(reduce_document(file, QUICK_SIDE))
            else:
                shutil.copyfile(file, out / name)
    (out / FOLDER).mkdir(exist_ok=True)
    shutil.rmtree(out / RESULTS, ignore_errors=True)  # an earlier demo's; it is never overwritten
    generator = catalog.able(catalog.packs(), "")[0]["id"]
    for name in FOLDER_PICTURES:
        shipped = packs_folder() / generator / "pictures" / name
        shutil.copyfile(shipped, out / FOLDER / shipped.name)
    lay_out_mosaics(out)
    lay_out_parts(out)


def _learnt_files() -> set[str]:
    """The pictures that models are trained on; only their size costs minutes."""
    declared = catalog.operations()
    trained = [
        example for example in EXAMPLES if declared[example.operation].trains and not example.learnt
    ]
    return {value.partition("#")[0] for example in trained for value in example.inputs.values()}


def _bring_models(store: Path) -> None:
    """Models that were learnt beforehand, into the engine's store."""
    from intarsia_daemon.model_import import import_model

    for place in (resources.files("intarsia_daemon.demo") / "models").iterdir():
        with resources.as_file(place) as folder:
            if folder.is_dir():
                import_model(folder, store)


@contextlib.contextmanager
def _own_engine(home: Path) -> Iterator[Client]:
    """An engine with a home of its own: the demo neither uses nor changes the user's models."""
    shutil.rmtree(
        home, ignore_errors=True
    )  # a fresh start, so that the times are those of a first use
    home.mkdir(mode=0o700, parents=True)
    _bring_models(home / "models")
    earlier = os.environ.get("INTARSIA_HOME")
    os.environ["INTARSIA_HOME"] = str(home.resolve())
    try:
        write_engine_file([sys.executable, "-m", "intarsia_daemon", "serve"])
        with Client.connect(app="demo") as client:
            try:
                yield client
            finally:
                client.shutdown(now=True)
    finally:
        if earlier is None:
            del os.environ["INTARSIA_HOME"]
        else:
            os.environ["INTARSIA_HOME"] = earlier
