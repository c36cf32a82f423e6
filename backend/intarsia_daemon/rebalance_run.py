"""One rebalancing of a folder, from reading its pictures to the last file; can be taken up again.

Every picture's fate is recorded beside the results as soon as it is known, so that a run that was
stopped goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Context
from intarsia_daemon.documents.limits import FileRejected
from intarsia_daemon.generator_models import LoadedModel
from intarsia_daemon.output_manifest import Manifest, file_hash, write_whole
from intarsia_daemon.part_swaps import (
    SmallPicture,
    small_picture,
)
from intarsia_daemon.picture_folders import check_free, read_picture
from intarsia_daemon.rebalance_candidates import Candidates, Entry, Swap, Wishes
from intarsia_daemon.rebalancing import (
    SHOWN_PAIRS,
    Balance,
    Pair,
    Plan,
    Row,
    balance_csv,
    balance_of,
    planned,
    rows_csv,
)
from intarsia_daemon.scorers import Scorer

TABLE = "rebalance.csv"
BALANCE = "rebalance-balance.csv"
WRITING = "writing"
"""State of a file that is being written: if it is there, it is ours."""
READING = "Looking at the pictures"
SWAPPING = "Trying parts of other pictures"


@dataclass(frozen=True, eq=False)
class Report:
    """What became of a folder."""

    rows: list[Row]
    before: Balance
    after: Balance
    pairs: list[Pair]
    resumed: int
    """Results that an earlier run had written."""


@dataclass
class RebalanceRun:
    """See the module's text."""

    model: LoadedModel
    context: Context
    scorer: Scorer
    folder: Path
    results: Path
    wishes: Wishes
    _failed: list[Row] = field(default_factory=list)

    def run(self, names: list[str]) -> Report:
        """Read, swap and write.

        Args:
            names: The pictures, below the folder.

        Raises:
            InvalidRequest: Fewer than two can be read, or results would overwrite other files.
        """
        manifest = Manifest(self.results)
        manifest.load()
        entries = self._read(names)
        plan = planned([e.score for e in entries], self.wishes.goal, self.wishes.threshold)
        self._check_results(entries, plan, manifest)
        fates = _Fates(self, entries, plan, manifest)
        try:
            fates.decide()
        finally:
            rows = sorted([*fates.rows, *self._failed], key=lambda row: row.name)
            self._write_tables(rows, entries, manifest)
        return Report(rows, *self._balances(rows, entries), fates.pairs(), fates.resumed)

    # --- reading

    def _read(self, names: list[str]) -> list[Entry]:
        found = []
        for done, name in enumerate(names):
            self.context.progress(READING, done, len(names))
            path = self.folder / name
            try:
                picture = read_picture(path).picture
                small = small_picture(self.model, picture)
            except FileRejected as error:
                self._failed.append(Row(name, "failed", problem=error.what))
                continue
            if not bool(small.known.any()):
                self._failed.append(Row(name, "failed", problem="Nothing is visible."))
                continue
            found.append((name, small, file_hash(path)))
        if len(found) < 2:
            raise InvalidRequest(
                f"Only {len(found)} of {len(names)} pictures can be read: parts are exchanged "
                "between two or more.",
                value=len(found),
                remedy="Choose a folder with more pictures.",
            )
        scores = self._scores([small for _, small, _ in found])
        return [
            Entry(name, small, score, sha)
            for (name, small, sha), score in zip(found, scores, strict=True)
        ]

    def _scores(self, pictures: list[SmallPicture]) -> list[float]:
        scores: list[float] = []
        for first in range(0, len(pictures), 32):
            some = pictures[first : first + 32]
            images = torch.cat([small.whole for small in some]).to(self.context.device)
            scores += self.scorer(images).tolist()
        return scores

    # --- results

    def output_name(self, name: str) -> str:
        """Where the changed picture of that name goes, below the results' folder."""
        return PurePosixPath(name).with_suffix(".png").as_posix()

    def _check_results(self, entries: list[Entry], plan: Plan, manifest: Manifest) -> None:
        """Nothing of somebody else's is overwritten, and no two results have one name."""
        changed = {self.output_name(entries[index].name) for index in plan.order}
        copies = {entry.name for entry in entries} if self.wishes.copy_rest else set()
        if len({self.output_name(entry.name) for entry in entries}) < len(entries):
            doubled = _first_double([self.output_name(entry.name) for entry in entries])
            raise InvalidRequest(
                f"Two pictures would both be written to {doubled}.",
                value=doubled,
                remedy="Rename one of them.",
            )
        own = {
            name
            for entry in entries
            for name in (entry.name, self.output_name(entry.name))
            if self.is_done(manifest, name, entry) or self._was_writing(manifest, name)
        }
        own |= {name for name in (TABLE, BALANCE) if self._is_own_table(manifest, name)}
        check_free(self.results, sorted({*changed, *copies, TABLE, BALANCE} - own), "results")

    def _was_writing(self, manifest: Manifest, name: str) -> bool:
        """Whether an earlier run of the same wishes was ended while it wrote that file."""
        found = manifest.entry(self.results / name)
        same = found.get("recipe_sha256") == self.wishes.recipe
        return same and found.get("state") == WRITING

    def _is_own_table(self, manifest: Manifest, name: str) -> bool:
        found = manifest.entry(self.results / name)
        return found.get("recipe_sha256") == self.wishes.recipe

    def is_done(self, manifest: Manifest, name: str, entry: Entry) -> bool:
        """Whether an earlier run of the same wishes wrote that file from that picture."""
        return manifest.is_done(self.results / name, entry.sha256, self.wishes.recipe)

    def _balances(self, rows: list[Row], entries: list[Entry]) -> tuple[Balance, Balance]:
        threshold = self.wishes.threshold
        after = {row.name: row.after for row in rows}
        now = [after.get(entry.name) for entry in entries]
        scores = [e.score if s is None else s for e, s in zip(entries, now, strict=True)]
        return balance_of([e.score for e in entries], threshold), balance_of(scores, threshold)

    def _write_tables(self, rows: list[Row], entries: list[Entry], manifest: Manifest) -> None:
        before, after = self._balances(rows, entries)
        threshold = self.wishes.threshold
        tables = {
            TABLE: rows_csv(rows, threshold),
            BALANCE: balance_csv(self.scorer.name, threshold, before, after),
        }
        for name, data in tables.items():
            manifest.set(
                self.results / name, {"state": "table", "recipe_sha256": self.wishes.recipe}
            )
            write_whole(self.results / name, data)


class _Fates:
    """Decides about one picture after the other."""

    def __init__(
        self, run: RebalanceRun, entries: list[Entry], plan: Plan, manifest: Manifest
    ) -> None:
        self._run, self._entries, self._plan = run, entries, plan
        self._manifest = manifest
        self._candidates = Candidates(
            run.model, run.context, run.scorer, run.folder, run.wishes, entries, plan
        )
        self.rows: list[Row] = []
        self.resumed = 0
        self._shown: list[tuple[Entry, Row]] = []

    def decide(self) -> None:
        """All pictures: those of the plan first, then the rest."""
        context, tried, crossed = self._run.context, set[int](), 0
        for done, index in enumerate(self._plan.order):
            if crossed >= self._plan.wanted:
                break
            tried.add(index)
            context.progress(SWAPPING, done, len(self._plan.order))
            row = self._tried(self._entries[index])
            crossed += row.state == "changed"
        for index, entry in enumerate(self._entries):
            context.tick()
            if index not in tried:
                self.rows.append(self._left(entry))

    def pairs(self) -> list[Pair]:
        """The changed pictures before and after, as the model sees them."""
        found = []
        for entry, row in self._shown[:SHOWN_PAIRS]:
            picture = read_picture(self._run.results / row.output).picture
            found.append(
                Pair(entry.small.whole, small_picture(self._run.model, picture).whole, row)
            )
        return found

    def _tried(self, entry: Entry) -> Row:
        run = self._run
        name = run.output_name(entry.name)
        found = self._manifest.entry(run.results / name)
        if found.get("kind") == "changed" and run.is_done(self._manifest, name, entry):
            self.resumed += 1
            return self._noted(entry, _row_of(entry, name, found))
        if run.is_done(self._manifest, entry.name, entry) or self._was_left(entry):
            self.resumed += 1
            row = self._left(entry)
            self.rows.append(row)
            return row
        try:
            made = self._candidates.best(entry)
        except FileRejected as error:
            row = Row(entry.name, "failed", entry.score, problem=error.what)
            self.rows.append(row)
            return row
        if made is None:
            row = self._left(entry, tried=True)
            self.rows.append(row)
            return row
        return self._noted(entry, self._written(entry, name, made))

    def _noted(self, entry: Entry, row: Row) -> Row:
        self.rows.append(row)
        self._shown.append((entry, row))
        return row

    def _written(self, entry: Entry, name: str, swap: Swap) -> Row:
        path = self._run.results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        found = {"kind": "changed", "before": entry.score, "after": swap.score, "donor": swap.donor}
        self._record(path, entry, found, state=WRITING)
        write_whole(path, swap.read.png(swap.layer.array))
        self._record(path, entry, found)
        return _row_of(entry, name, found)

    def _left(self, entry: Entry, *, tried: bool = False) -> Row:
        """The picture stays as it is; it is copied where all are wanted together."""
        run, name, found = self._run, "", {"kind": "unchanged"}
        if run.wishes.copy_rest:
            name = entry.name
            path = run.results / name
            if not run.is_done(self._manifest, name, entry):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._record(path, entry, found, state=WRITING)
                write_whole(path, (run.folder / name).read_bytes())
                self._record(path, entry, found)
        elif tried:
            self._record(run.results / entry.name, entry, found, state="left")
        return Row(entry.name, "unchanged", entry.score, entry.score, output=name)

    def _was_left(self, entry: Entry) -> bool:
        found = self._manifest.entry(self._run.results / entry.name)
        same = (found.get("input_sha256"), found.get("recipe_sha256"))
        return found.get("state") == "left" and same == (entry.sha256, self._run.wishes.recipe)

    def _record(
        self, path: Path, entry: Entry, more: dict[str, Any], *, state: str = "done"
    ) -> None:
        found = {
            "state": state,
            "input": str(self._run.folder / entry.name),
            "input_sha256": entry.sha256,
            "recipe_sha256": self._run.wishes.recipe,
            **more,
        }
        if state == "done":
            found["output_sha256"] = file_hash(path)
        self._manifest.set(path, found)


def _row_of(entry: Entry, name: str, found: dict[str, Any]) -> Row:
    return Row(
        entry.name,
        "changed",
        entry.score,
        float(found["after"]),
        donor=str(found["donor"]),
        output=name,
    )


def _first_double(names: list[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""
