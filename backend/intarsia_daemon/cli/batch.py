"""``intarsia batch``: one recipe on many files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from intarsia_client.client import Client
from intarsia_client.errors import EngineError, IntarsiaError, InvalidRequest, JobCancelled
from intarsia_daemon.cli import exit_codes
from intarsia_daemon.cli.batch_recipe import BatchRecipe, read_batch_recipe
from intarsia_daemon.cli.outputs import write_output
from intarsia_daemon.cli.run import Request, submit
from intarsia_daemon.cli.sources import SourceReader
from intarsia_daemon.cli.terminal import BatchLines, Stop, cancelling, print_object
from intarsia_daemon.output_manifest import Manifest, file_hash


@dataclass(frozen=True)
class Unit:
    """One file and where its picture goes."""

    file: Path
    output: Path


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", "out", required=True, type=click.Path(path_type=Path), help="The output folder."
)
@click.option("--resume", is_flag=True, help="Skip what an earlier batch finished.")
@click.option(
    "--workers",
    type=click.IntRange(1, 32),
    default=1,
    show_default=True,
    help="Files in flight: while one is computed, the next ones are read and written.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def batch(
    recipe: Path, files: tuple[Path, ...], out: Path, resume: bool, workers: int, as_json: bool
) -> int:
    """Run RECIPE (TOML, docs/batch.md) on every one of FILES.

    A file that fails is reported at the end and stops nothing.
    """
    started = time.monotonic()
    plan = read_batch_recipe(recipe)
    units = plan_units(plan, files, out)
    out.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(out)
    if resume:
        manifest.load()
    with (
        cancelling() as stop,
        BatchLines(len(units), quiet=as_json) as lines,
        Client.connect(app="batch") as client,
        ThreadPoolExecutor(workers) as pool,
    ):
        runner = Runner(client, plan, manifest, lines, stop)
        entries = list(pool.map(runner.run, units))
    return _report(units, entries, time.monotonic() - started, as_json)


def plan_units(plan: BatchRecipe, files: Sequence[Path], out: Path) -> list[Unit]:
    """Every file with its output.

    Raises:
        InvalidRequest: Two outputs would have the same name, or an output would overwrite a file.
    """
    units, taken = [], {}
    originals = {file.resolve() for file in files}
    for index, file in enumerate(files, 1):
        output = out / plan.output_name(file, index)
        if output in taken:
            raise InvalidRequest(
                f"{taken[output]} and {file} would both be written to {output}.",
                value=str(output),
                remedy='Use {index} in the recipe\'s output name: name = "{index}-{stem}.png".',
            )
        if output.resolve() in originals:
            raise InvalidRequest(
                f"{output} is also one of the files; it would be lost.",
                value=str(output),
                remedy="Name another --out folder or another output name.",
            )
        taken[output] = file
        units.append(Unit(file, output))
    return units


class Runner:
    """Runs units, several at a time; each leaves an entry for the manifest and the report."""

    def __init__(
        self, client: Client, plan: BatchRecipe, manifest: Manifest, lines: BatchLines, stop: Stop
    ) -> None:
        self._client = client
        self._plan = plan
        self._manifest = manifest
        self._lines = lines
        self._stop = stop
        self._recipe_hash = plan.hash()

    def run(self, unit: Unit) -> dict[str, Any]:
        """Do one unit; whatever goes wrong is in the entry, not raised."""
        if self._stop():
            return {"state": "cancelled"}
        entry: dict[str, Any] = {"state": "running", "input": str(unit.file)}
        try:
            entry["input_sha256"] = file_hash(unit.file) if unit.file.is_file() else ""
            entry["recipe_sha256"] = self._recipe_hash
            if self._manifest.is_done(unit.output, entry["input_sha256"], self._recipe_hash):
                self._lines.finished(f"{unit.file.name}: done before")
                return {"state": "skipped"}
            entry["attempt"] = self._manifest.attempts(unit.output) + 1
            self._manifest.set(unit.output, entry)
            self._make(unit, entry)
        except JobCancelled as error:
            # the engine's side may cancel one job; Ctrl+C cancels all
            entry.update(state="cancelled", error=error.to_dict())
        except EngineError as error:
            self._stop.ask()  # without an engine the rest cannot be done either
            entry.update(state="failed", error=error.to_dict(), engine=True)
        except IntarsiaError as error:
            # a terminal's Ctrl+C also ends the process that reads a file
            interrupted = self._stop() and error.code == "FILE_REJECTED"
            state = "cancelled" if interrupted else "failed"
            entry.update(state=state, error=error.to_dict())
        except OSError as error:
            what = f"{unit.file}: {error.strerror or error}."
            full = "DISK_FULL" if error.errno == 28 else "OPERATION_FAILED"
            entry.update(state="failed", error={"code": full, "what": what, "remedy": ""})
        try:
            self._manifest.set(unit.output, entry)
        except OSError as error:
            entry.setdefault("error", {"code": "DISK_FULL", "what": str(error), "remedy": ""})
            entry["state"] = "failed"
        self._lines.finished(f"{unit.file.name}: {_outcome(entry)}")
        return entry

    def _make(self, unit: Unit, entry: dict[str, Any]) -> None:
        started = time.monotonic()
        wishes = self._plan.wishes(unit.file)
        plan = self._plan
        sources = SourceReader().read_all(plan.operation, wishes, plan.parameters)
        request = Request(self._plan.operation, self._plan.parameters, self._plan.seed, wishes)
        job = submit(self._client, request, sources, priority="batch")
        result = job.wait(
            on_progress=lambda progress: self._lines.update(unit.file.name, progress),
            should_cancel=self._stop,
        )
        written = write_output(
            unit.output, self._plan.operation, sources, result, layers_only=self._plan.layers_only
        )
        notes = [note for source in sources for note in source.notes]
        entry.update(
            state="done",
            output_sha256=file_hash(unit.output),
            seconds=round(time.monotonic() - started, 3),
            metrics=dict(result.metrics),
            notes=[*notes, *result.notes, *written.notes],
        )


def _outcome(entry: dict[str, Any]) -> str:
    if entry["state"] == "done":
        return f"done ({entry['seconds']:.1f} s)"
    if entry["state"] == "failed":
        return str(entry["error"]["what"]).removeprefix(f"{entry['input']}: ")
    return str(entry["state"])


def _report(
    units: Sequence[Unit], entries: Sequence[dict[str, Any]], seconds: float, as_json: bool
) -> int:
    """Print how it went; the exit code."""
    states = [entry["state"] for entry in entries]
    counts = {state: states.count(state) for state in ("done", "skipped", "failed", "cancelled")}
    if as_json:
        rows = [
            {"file": str(unit.file), "output": str(unit.output), **entry}
            for unit, entry in zip(units, entries, strict=True)
        ]
        print_object({**counts, "seconds": round(seconds, 3), "files": rows})
    else:
        click.echo(", ".join(f"{count} {state}" for state, count in counts.items() if count))
        for unit, entry in zip(units, entries, strict=True):
            if entry["state"] == "failed":
                error = entry["error"]
                click.echo(f"{unit.file}: {_outcome(entry)} {error.get('remedy') or ''}".rstrip())
    if any(entry.get("engine") for entry in entries):
        return exit_codes.ENGINE
    if counts["cancelled"]:
        return exit_codes.CANCELLED
    return exit_codes.PARTLY if counts["failed"] else exit_codes.OK
