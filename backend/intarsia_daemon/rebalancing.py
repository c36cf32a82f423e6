"""Rebalancing a folder of pictures: which are changed, by which swap, and what was achieved."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from intarsia_daemon.contact_sheets import contact_sheet
from intarsia_daemon.pixels import Layer

Goal = Literal["balance", "more", "less"]
State = Literal["changed", "unchanged", "failed"]
SHOWN_PAIRS = 32
PAIRS_A_ROW = 4
COLUMNS = (
    "picture",
    "output",
    "state",
    "part_from",
    "score_before",
    "score_after",
    "showed_it",
    "shows_it",
    "problem",
)


@dataclass(frozen=True)
class Row:
    """What became of one picture."""

    name: str
    state: State
    before: float | None = None
    after: float | None = None
    donor: str = ""
    output: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Balance:
    """How many pictures show an attribute."""

    pictures: int
    showing: int
    mean: float
    """Of the scores."""

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.showing / self.pictures if self.pictures else 0.0


def balance_of(scores: Sequence[float], threshold: float) -> Balance:
    """The balance of pictures with these scores; from the threshold on they show the attribute."""
    showing = sum(score >= threshold for score in scores)
    mean = sum(scores) / len(scores) if scores else 0.0
    return Balance(len(scores), showing, mean)


@dataclass(frozen=True)
class Plan:
    """Which pictures are tried, and in which direction."""

    order: tuple[int, ...]
    """Numbers of pictures, those nearest to the threshold first."""
    wanted: int
    """How many of them have to change sides."""
    upwards: bool
    """Whether higher scores are better."""
    must_cross: bool
    """Whether only a swap that changes sides is kept; otherwise one that scores better."""


def planned(scores: Sequence[float], goal: Goal, threshold: float) -> Plan:
    """Which pictures are tried.

    Args:
        scores: Of every picture before.
        goal: "balance": as many with the attribute as without, taking from the larger side;
            "more": every picture that does not show it; "less": every one that does.
        threshold: From which score on a picture shows it.
    """
    showing = [index for index, score in enumerate(scores) if score >= threshold]
    lacking = [index for index, score in enumerate(scores) if score < threshold]
    upwards = goal == "more" or (goal == "balance" and len(lacking) > len(showing))
    tried = lacking if upwards else showing
    wanted = len(tried)
    if goal == "balance":
        wanted = abs(len(lacking) - len(showing)) // 2
    order = sorted(tried, key=lambda index: (abs(scores[index] - threshold), index))
    return Plan(tuple(order) if wanted else (), wanted, upwards, goal == "balance")


def best_of(scores: Tensor, upwards: bool) -> int:
    """The number of the best candidate."""
    return int(scores.argmax() if upwards else scores.argmin())


def is_kept(plan: Plan, before: float, after: float, threshold: float) -> bool:
    """Whether a swap is better than leaving the picture as it is."""
    if plan.must_cross:
        return (after >= threshold) == plan.upwards
    return after > before if plan.upwards else after < before


def rows_csv(rows: Sequence[Row], threshold: float) -> bytes:
    """A table with a row for every picture."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for row in rows:
        sides = ["" if s is None else int(s >= threshold) for s in (row.before, row.after)]
        table.writerow(
            [
                row.name,
                row.output,
                row.state,
                row.donor,
                *("" if score is None else f"{score:.6f}" for score in (row.before, row.after)),
                *sides,
                row.problem,
            ]
        )
    return text.getvalue().encode("utf-8")


def balance_csv(scorer: str, threshold: float, before: Balance, after: Balance) -> bytes:
    """A table with the balance before and after."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["when", "scorer", "threshold", "pictures", "showing", "share", "mean_score"])
    for when, found in (("before", before), ("after", after)):
        numbers = [found.pictures, found.showing, f"{found.share:.6f}", f"{found.mean:.6f}"]
        table.writerow([when, scorer, f"{threshold:g}", *numbers])
    return text.getvalue().encode("utf-8")


@dataclass(frozen=True, eq=False)
class Pair:
    """A changed picture for the sheet."""

    before: Tensor
    """(1, 3, R, R) in [-1, 1]."""
    after: Tensor
    row: Row


def pairs_sheet(name: str, pairs: Sequence[Pair], *, x: int = 0, y: int = 0) -> Layer:
    """Changed pictures, each before beside after, with their scores."""
    shown = list(pairs)[:SHOWN_PAIRS]
    pictures: list[Tensor] = []
    captions: list[str] = []
    for pair in shown:
        pictures += [pair.before.clamp(-1, 1), pair.after.clamp(-1, 1)]
        stem = pair.row.name.rpartition("/")[2].rpartition(".")[0]
        captions += [f"{pair.row.before:.2f} {stem}", f"{pair.row.after:.2f} now"]
    columns = 2 * min(PAIRS_A_ROW, len(shown))
    return contact_sheet(name, pictures, captions, x=x, y=y, columns=columns)
