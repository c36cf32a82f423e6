"""Bring an attribute of a whole folder of pictures into balance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_client.schema import Choice, Folder, Input, Option, Scalar, Text, Toggle, Whole
from intarsia_daemon import collage_parameters as shared
from intarsia_daemon import recipes
from intarsia_daemon.contact_sheets import contact_sheet
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.generator_models import LoadedModel, loaded_model
from intarsia_daemon.operation import operation
from intarsia_daemon.part_swaps import small_picture
from intarsia_daemon.picture_folders import files_of, read_picture, results_folder
from intarsia_daemon.pixels import Area, Layer, Outcome, Picture, alpha_tensor, on_canvas
from intarsia_daemon.rebalance_candidates import Part, Wishes
from intarsia_daemon.rebalance_run import BALANCE, TABLE, RebalanceRun, Report
from intarsia_daemon.rebalancing import pairs_sheet
from intarsia_daemon.scorers import find_scorer

SPEED = "rebalance"
"""Under which the machine learns how fast it rebalances."""
LEAST_LEARNT_S = 10.0
READING_S, CANDIDATE_S = 0.03, 0.02
"""For a picture, and for each part that is tried, on a machine of speed 1."""
SHOWN_UNCHANGED = 16


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run."""
    try:
        count = len(files_of(parameters["pictures"], "Pictures")[1])
    except (IntarsiaError, OSError):
        count = 0  # no such folder: the run says so
    seconds = 1.0 + _plain_seconds(count, parameters["candidates"]) / context.machine.factor(SPEED)
    text = f"For {count} pictures; it can be paused, and goes on after it was stopped."
    return Estimate(seconds=seconds, trains=True, text=text)


@operation(
    title="Rebalance a folder",
    verb="Rebalance the folder",
    group="Folders",
    inputs=(
        Input(
            "area",
            "area",
            "Part",
            "The part that is exchanged, at the same place of every picture; without it the region "
            "below.",
            required=False,
        ),
        Input(
            "picture",
            "picture",
            "Frame",
            "What the part is relative to: one picture of the folder, as a layer; its pixels are "
            "not read.",
            required=False,
        ),
    ),
    parameters=(
        Folder("pictures", "Pictures", "The folder whose pictures are rebalanced.", required=True),
        Folder(
            "results",
            "Results",
            "Where the new pictures and the tables go; files that are there are never overwritten.",
            required=True,
        ),
        shared.model_parameter("regressor"),
        Text(
            "scorer",
            "Scored by",
            "What decides how strongly a picture shows the attribute: brightness, class:lemon, or "
            "a scorer that an installed package brings.",
            default="brightness",
        ),
        Choice(
            "goal",
            "Goal",
            "What the folder is brought to.",
            (
                Option("balance", "Half and half", "As many with the attribute as without."),
                Option("more", "All with it", "Every picture that does not show it yet."),
                Option("less", "All without it", "Every picture that shows it."),
            ),
            default="balance",
        ),
        Scalar(
            "threshold",
            "Shows it from",
            "The score from which on a picture counts as showing the attribute.",
            0.0,
            1.0,
            0.5,
        ),
        Whole(
            "candidates",
            "Candidates",
            "How many other pictures' parts are tried for each picture; the best is kept.",
            1,
            64,
            16,
        ),
        Text(
            "region",
            "Region",
            "Left, top, right and bottom of the part in percent of the picture.",
            default="30, 30, 70, 70",
            max_length=80,
        ),
        Scalar(
            "softness",
            "Softness",
            "How softly the part ends, as a share of the picture's shorter side.",
            0.0,
            25.0,
            3.0,
            unit="%",
            step=0.5,
        ),
        Choice(
            "classes",
            "Classes",
            "What a picture shows after the exchange.",
            (
                Option("keep", "What it showed"),
                Option("read", "What is read from it"),
                Option("by_piece", "Each part its own"),
            ),
            default="keep",
            advanced=True,
        ),
        Choice(
            "detail",
            "Detail",
            "What of the pictures' own detail is shown.",
            (
                Option("background", "Full detail", "Pixels stay where nothing changes."),
                Option("pieces", "Of both", "Over the model's colours, fading out at seams."),
                Option("model", "As the model paints", "The model's own pixels, enlarged."),
            ),
            default="background",
            advanced=True,
        ),
        Toggle(
            "copy_rest",
            "Copy the rest",
            "Pictures that stay as they are go to the results, too, so that they are a whole set.",
            True,
        ),
    ),
    trains=True,
    estimate=estimate,
)
def rebalance(
    area: Area | None,
    picture: Picture | None,
    pictures: str,
    results: str,
    model: str,
    scorer: str,
    goal: Any,
    threshold: float,
    candidates: int,
    region: str,
    softness: float,
    classes: Any,
    detail: Any,
    copy_rest: bool,
    context: Context,
) -> Outcome:
    """Exchange parts between the pictures of a folder until an attribute is in balance.

    Of several candidates for each picture the one that a scorer likes best is kept; what the scorer
    gets wrong, the results get wrong. Source: Chai et al. 2021, arXiv:2103.10426 (dataset
    rebalancing). New pictures and two tables are written into a folder of their own.
    """
    folder, names = files_of(pictures, "Pictures")
    place = results_folder(results, folder, "Results")
    part = wanted_part(area, picture, region, softness / 100)
    plain = _plain_seconds(len(names), candidates)
    context.require_training(plain / context.machine.factor(SPEED))
    with loaded_model(context, model, capability="regressor") as loaded:
        found = find_scorer(scorer, loaded, tick=context.tick)
        settings = {
            "goal": goal, "threshold": threshold, "candidates": candidates, "scorer": scorer,
            "classes": classes, "detail": detail, "part": part(64, 64).round(3).tolist(),
        }  # fmt: skip
        asked = {"operation": "rebalance", "version": 1, "parameters": settings}
        wishes = Wishes(
            part,
            goal,
            threshold,
            candidates,
            classes,
            detail,
            copy_rest,
            recipes.recipe_hash({**asked, "seed": context.seed}, {"model": loaded.hash}),
        )
        run = RebalanceRun(loaded, context, found, folder, place, wishes)
        began = context.clock()
        with context.phase("rebalance"):
            report = run.run(names)
        if not report.resumed and plain >= LEAST_LEARNT_S:
            context.machine.learn(SPEED, plain, context.clock() - began)
        return Outcome(
            [_sheet(loaded, run, report)],
            model=context.models.reference(loaded.id),
            metrics=_metrics(report),
            notes=_notes(report, scorer, place.as_posix()),
        )


def wanted_part(
    area: Area | None, picture: Picture | None, region: str, softness: float = 0.0
) -> Part:
    """The part by a picture's size.

    Args:
        area: Drawn by the artist, relative to ``picture``, else to its own rectangle.
        picture: The frame.
        region: Counts where there is no area: left, top, right, bottom in percent.
        softness: Standard deviation of its edge, as a share of a picture's shorter side.

    Raises:
        InvalidRequest: The area is empty, or the region is none.
    """
    if area is None:
        left, top, right, bottom = _region(region)
        frame = np.zeros((1000, 1000), np.float32)
        frame[round(10 * top) : round(10 * bottom), round(10 * left) : round(10 * right)] = 1.0
    else:
        placed = area if picture is None else on_canvas(area, picture)
        frame = alpha_tensor(placed)[0, 0].numpy()
    if not frame.any():
        raise InvalidRequest(
            "The part that is exchanged is empty.",
            value=region if area is None else area.name,
            remedy="Select a part inside the picture, or give a region of more than nothing.",
        )

    def part(height: int, width: int) -> np.ndarray:
        smaller = height < frame.shape[0] or width < frame.shape[1]
        method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        sharp = cv2.resize(frame, (width, height), interpolation=method)
        sigma = softness * min(height, width)
        if sigma > 0:
            sharp = cv2.GaussianBlur(sharp, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        return sharp.clip(0, 1)

    return part


def _region(text: str) -> tuple[float, float, float, float]:
    try:
        left, top, right, bottom = (float(part.strip(" %")) for part in text.split(","))
    except ValueError:
        left = top = right = bottom = -1.0
    if not (0 <= left < right <= 100 and 0 <= top < bottom <= 100):
        raise InvalidRequest(
            f"region must be four percentages, left, top, right, bottom, got {text!r}.",
            value=text,
            remedy="Write for example 30, 30, 70, 70: the middle of the picture.",
        )
    return left, top, right, bottom


def _plain_seconds(pictures: int, candidates: int) -> float:
    """On a machine of speed 1."""
    return pictures * (READING_S + candidates * CANDIDATE_S)


def _sheet(model: LoadedModel, run: RebalanceRun, report: Report) -> Layer:
    """Changed pictures before and after; where there is none, those that stayed."""
    if report.pairs:
        return pairs_sheet(f"Rebalanced by {run.scorer.name}", report.pairs)
    stayed = [row for row in report.rows if row.state == "unchanged"][:SHOWN_UNCHANGED]
    small = [
        small_picture(model, read_picture(run.folder / row.name).picture).whole for row in stayed
    ]
    captions = [f"{row.before:.2f} {row.name}" for row in stayed]
    return contact_sheet(f"Nothing to change by {run.scorer.name}", small, captions)


def _metrics(report: Report) -> dict[str, float]:
    states = [row.state for row in report.rows]
    return {
        "pictures": len(states),
        "changed": states.count("changed"),
        "failed": states.count("failed"),
        "share_before": report.before.share,
        "share_after": report.after.share,
        "mean_before": report.before.mean,
        "mean_after": report.after.mean,
    }


def _notes(report: Report, scorer: str, place: str) -> list[str]:
    before, after = report.before, report.after
    changed = sum(row.state == "changed" for row in report.rows)
    notes = [
        f"By {scorer}, {before.showing} of {before.pictures} pictures showed it before "
        f"({before.share:.0%}), and {after.showing} do now ({after.share:.0%}); {changed} were "
        "changed.",
        f"The pictures, {TABLE} and {BALANCE} are in {place}.",
    ]
    if report.resumed:
        notes.append(f"{report.resumed} had been decided by an earlier run.")
    failed = [row for row in report.rows if row.state == "failed"]
    if failed:
        told = "; ".join(row.problem for row in failed[:3])
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        notes.append(f"{len(failed)} could not be read: {told}{more}")
    return notes
