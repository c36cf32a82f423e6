"""One rebalancing of a folder, from reading its pictures to the last file; can be taken up again.

Every picture's fate is recorded beside the results as soon as it is known, so that a run that was
stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.composite_pictures import CompositePicture, Detail, Returning
from intarsia_daemon.context import Context
from intarsia_daemon.documents.limits import FileRejected
from intarsia_daemon.generator_models import LoadedModel
from intarsia_daemon.output_manifest import Manifest, file_hash, write_whole
from intarsia_daemon.part_swaps import (
    Classes,
    SmallPicture,
    alone,
    can_give,
    donor_piece,
    label_of_swap,
    small_picture,
    swapped,
)
from intarsia_daemon.picture_folders import ReadPicture, check_free, read_picture
from intarsia_daemon.pixels import Layer, Picture, picture_tensor
from intarsia_daemon.real_pictures import whole_crop
from intarsia_daemon.rebalancing import (
    SHOWN_PAIRS,
    Balance,
    Goal,
    Pair,
    Plan,
    Row,
    balance_csv,
    balance_of,
    best_of,
    is_kept,
    planned,
    rows_csv,
)
from intarsia_daemon.rough_pieces import gathered, small_piece
from intarsia_daemon.scorers import Scorer
from intarsia_models.latent_composition.collages import paste
from intarsia_models.latent_composition.composition import compose

TABLE = "rebalance.csv"
BALANCE = "rebalance-balance.csv"
READING = "Looking at the pictures"
SWAPPING = "Trying parts of other pictures"

Part = Callable[[int, int], np.ndarray]
"""``part(height, width)``: (H, W) float32 in [0, 1], the part on a picture of that size."""


@dataclass(frozen=True)
class Wishes:
    """What the artist asked for."""

    part: Part
    goal: Goal
    threshold: float
    candidates: int
    classes: Classes
    detail: Detail
    copy_rest: bool
    recipe: str
    """Hash of all that decides a result besides the pictures."""


@dataclass(frozen=True, eq=False)
class _Entry:
    """One picture of the folder."""

    name: str
    small: SmallPicture
    score: float
    sha256: str


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

    def _read(self, names: list[str]) -> list[_Entry]:
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
            _Entry(name, small, score, sha)
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

    def _check_results(self, entries: list[_Entry], plan: Plan, manifest: Manifest) -> None:
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
            if self.is_done(manifest, name, entry)
        }
        own |= {name for name in (TABLE, BALANCE) if self._is_own_table(manifest, name)}
        check_free(self.results, sorted({*changed, *copies, TABLE, BALANCE} - own), "results")

    def _is_own_table(self, manifest: Manifest, name: str) -> bool:
        found = manifest.entry(self.results / name)
        return found.get("recipe_sha256") == self.wishes.recipe

    def is_done(self, manifest: Manifest, name: str, entry: _Entry) -> bool:
        """Whether an earlier run of the same wishes wrote that file from that picture."""
        return manifest.is_done(self.results / name, entry.sha256, self.wishes.recipe)

    def _balances(self, rows: list[Row], entries: list[_Entry]) -> tuple[Balance, Balance]:
        threshold = self.wishes.threshold
        after = {row.name: row.after for row in rows}
        now = [after.get(entry.name) for entry in entries]
        scores = [e.score if s is None else s for e, s in zip(entries, now, strict=True)]
        return balance_of([e.score for e in entries], threshold), balance_of(scores, threshold)

    def _write_tables(self, rows: list[Row], entries: list[_Entry], manifest: Manifest) -> None:
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
        self, run: RebalanceRun, entries: list[_Entry], plan: Plan, manifest: Manifest
    ) -> None:
        self._run, self._entries, self._plan = run, entries, plan
        self._manifest = manifest
        self.rows: list[Row] = []
        self.resumed = 0
        self._shown: list[tuple[_Entry, Row]] = []

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

    def _tried(self, entry: _Entry) -> Row:
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
            made = self._best(entry)
        except FileRejected as error:
            row = Row(entry.name, "failed", entry.score, problem=error.what)
            self.rows.append(row)
            return row
        if made is None:
            row = self._left(entry, tried=True)
            self.rows.append(row)
            return row
        return self._noted(entry, self._written(entry, name, *made))

    def _noted(self, entry: _Entry, row: Row) -> Row:
        self.rows.append(row)
        self._shown.append((entry, row))
        return row

    def _best(self, entry: _Entry) -> tuple[ReadPicture, Layer, float, str] | None:
        """The best swap at the picture's own size, its score and whose part it has; None where
        no candidate is better than the picture as it is."""
        run, wishes = self._run, self._run.wishes
        read = read_picture(run.folder / entry.name)
        height, width = read.picture.array.shape[:2]
        coverage = wishes.part(height, width)
        square = whole_crop(read.picture, run.model.generator.resolution)
        padded = Picture(_as_alpha(coverage), read.picture.x, read.picture.y)
        area = small_piece(square, padded).alpha
        donors = self._donors(entry, area)
        if not donors:
            return None
        scores = run.scorer(self._seen(entry, donors, area))
        run.context.tick()
        best = best_of(scores, self._plan.upwards)
        if not is_kept(self._plan, entry.score, float(scores[best]), wishes.threshold):
            return None
        layer = self._at_own_size(read.picture, donors[best], coverage, entry)
        score = self._score_of(layer)
        if not is_kept(self._plan, entry.score, score, wishes.threshold):
            return None
        return read, layer, score, donors[best].name

    @torch.inference_mode()
    def _seen(self, entry: _Entry, donors: list[_Entry], area: Tensor) -> Tensor:
        """(n, 3, R, R): every candidate as it would come back, at the model's size."""
        run, small = self._run, entry.small
        others = [donor.small for donor in donors]
        made = swapped(run.model, small, others, area, run.wishes.classes)
        behind = alone(run.model, small)[1]
        target = small.as_picture()
        crop = whole_crop(target, run.model.generator.resolution)
        found = []
        for other, picture in zip(others, made.split(1), strict=True):
            run.context.tick()
            rough = gathered([target, other.as_picture(area)])
            collage = paste([small_piece(crop, item) for item in rough.pieces])
            shown = CompositePicture(rough, crop, collage, Returning(run.wishes.detail), None)
            layer = shown.layer("", picture, self._behind(behind))
            found.append(picture_tensor(Picture(layer.array)) * collage.known)
        return torch.cat(found).to(made)

    def _behind(self, made: Tensor) -> Tensor | None:
        """What the model makes of the picture alone, where that counts."""
        return made if self._run.wishes.detail == "background" else None

    def _donors(self, entry: _Entry, area: Tensor) -> list[_Entry]:
        """Other pictures, drawn by seed and name, so that the order of the folder does not
        matter."""
        text = f"{self._run.context.seed}\0{entry.name}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        source = np.random.RandomState(seed)
        found = []
        for index in source.permutation(len(self._entries)):
            other = self._entries[index]
            if other is not entry and can_give(other.small, area):
                found.append(other)
            if len(found) == self._run.wishes.candidates:
                break
        return found

    @torch.inference_mode()
    def _at_own_size(
        self, picture: Picture, donor: _Entry, coverage: np.ndarray, entry: _Entry
    ) -> Layer:
        run = self._run
        theirs = read_picture(run.folder / donor.name).picture
        piece = donor_piece(picture, theirs, torch.from_numpy(coverage)[None, None])
        rough = gathered([picture, piece])
        crop = whole_crop(rough.canvas, run.model.generator.resolution)
        small = [small_piece(crop, item) for item in rough.pieces]
        own, classes = entry.small.class_id, run.wishes.classes
        y = label_of_swap(run.model, entry.small, classes, 1)
        kinds = None
        if classes == "by_piece" and own is not None and donor.small.class_id is not None:
            kinds = [own, donor.small.class_id]
        done = compose(
            run.model.generator,
            small,
            y=y,
            classes="one" if kinds is None else "by_piece",
            piece_classes=kinds,
        )
        shown = CompositePicture(rough, crop, done.collage, Returning(run.wishes.detail), None)
        layer = shown.layer("", done.picture, self._behind(alone(run.model, entry.small)[1]))
        array = layer.array.copy()
        array[..., 3] = picture.array[..., 3]
        return Layer("", array, layer.x, layer.y)

    def _score_of(self, layer: Layer) -> float:
        small = small_picture(self._run.model, Picture(layer.array))
        return float(self._run.scorer(small.whole.to(self._run.context.device))[0])

    def _written(
        self, entry: _Entry, name: str, read: ReadPicture, layer: Layer, score: float, donor: str
    ) -> Row:
        path = self._run.results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, read.png(layer.array))
        found = {"kind": "changed", "before": entry.score, "after": score, "donor": donor}
        self._record(path, entry, found)
        return _row_of(entry, name, found)

    def _left(self, entry: _Entry, *, tried: bool = False) -> Row:
        """The picture stays as it is; it is copied where all are wanted together."""
        run, name = self._run, ""
        if run.wishes.copy_rest:
            name = entry.name
            path = run.results / name
            if not run.is_done(self._manifest, name, entry):
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(run.folder / entry.name, path)
                self._record(path, entry, {"kind": "unchanged"})
        elif tried:
            self._record(run.results / entry.name, entry, {"kind": "unchanged"}, state="left")
        return Row(entry.name, "unchanged", entry.score, entry.score, output=name)

    def _was_left(self, entry: _Entry) -> bool:
        found = self._manifest.entry(self._run.results / entry.name)
        same = (found.get("input_sha256"), found.get("recipe_sha256"))
        return found.get("state") == "left" and same == (entry.sha256, self._run.wishes.recipe)

    def _record(
        self, path: Path, entry: _Entry, more: dict[str, Any], *, state: str = "done"
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


def _row_of(entry: _Entry, name: str, found: dict[str, Any]) -> Row:
    return Row(
        entry.name,
        "changed",
        entry.score,
        float(found["after"]),
        donor=str(found["donor"]),
        output=name,
    )


def _as_alpha(coverage: np.ndarray) -> np.ndarray:
    """(H, W, 4) float32: white with that alpha."""
    array = np.ones((*coverage.shape, 4), np.float32)
    array[..., 3] = coverage
    return array


def _first_double(names: list[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""
