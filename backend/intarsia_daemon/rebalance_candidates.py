"""Which part of another picture suits a picture best, scored as it would come back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from intarsia_daemon.composite_pictures import CompositePicture, Detail, Returning
from intarsia_daemon.context import Context
from intarsia_daemon.generator_models import LoadedModel
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
from intarsia_daemon.picture_folders import ReadPicture, read_picture
from intarsia_daemon.pixels import Layer, Picture, picture_tensor
from intarsia_daemon.real_pictures import whole_crop
from intarsia_daemon.rebalancing import Goal, Plan, best_of, is_kept
from intarsia_daemon.rough_pieces import gathered, small_piece
from intarsia_daemon.scorers import Scorer
from intarsia_models.latent_composition.collages import paste
from intarsia_models.latent_composition.composition import compose

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
class Entry:
    """One picture of the folder."""

    name: str
    small: SmallPicture
    score: float
    sha256: str


@dataclass(frozen=True, eq=False)
class Swap:
    """A picture with a part of another one, at its own size."""

    read: ReadPicture
    """The picture as it was."""
    layer: Layer
    score: float
    donor: str
    """Whose part it has."""


class Candidates:
    """Tries parts of all pictures of a folder."""

    def __init__(
        self,
        model: LoadedModel,
        context: Context,
        scorer: Scorer,
        folder: Path,
        wishes: Wishes,
        entries: list[Entry],
        plan: Plan,
    ) -> None:
        """Prepare; nothing is tried yet.

        Args:
            model: With a regressor.
            context: The running operation's.
            scorer: Decides.
            folder: Where the pictures are.
            wishes: What the artist asked for.
            entries: Everybody who may give a part.
            plan: Which scores are better.
        """
        self._model, self._context, self._scorer = model, context, scorer
        self._folder, self._wishes, self._entries, self._plan = folder, wishes, entries, plan

    def best(self, entry: Entry) -> Swap | None:
        """The best swap; None where no candidate is better than the picture as it is.

        Raises:
            FileRejected: A picture cannot be read any more.
        """
        wishes = self._wishes
        read = read_picture(self._folder / entry.name)
        height, width = read.picture.array.shape[:2]
        coverage = wishes.part(height, width)
        square = whole_crop(read.picture, self._model.generator.resolution)
        padded = Picture(_as_alpha(coverage), read.picture.x, read.picture.y)
        area = small_piece(square, padded).alpha
        donors = self._donors(entry, area)
        if not donors:
            return None
        scores = self._scorer(self._seen(entry, donors, area))
        self._context.tick()
        best = best_of(scores, self._plan.upwards)
        if not is_kept(self._plan, entry.score, float(scores[best]), wishes.threshold):
            return None
        layer = self._at_own_size(read.picture, donors[best], coverage, entry)
        score = self._score_of(layer)
        if not is_kept(self._plan, entry.score, score, wishes.threshold):
            return None
        return Swap(read, layer, score, donors[best].name)

    @torch.inference_mode()
    def _seen(self, entry: Entry, donors: list[Entry], area: Tensor) -> Tensor:
        """(n, 3, R, R): every candidate as it would come back, at the model's size."""
        small = entry.small
        others = [donor.small for donor in donors]
        made = swapped(self._model, small, others, area, self._wishes.classes)
        behind = alone(self._model, small)[1]
        target = small.as_picture()
        crop = whole_crop(target, self._model.generator.resolution)
        found = []
        for other, picture in zip(others, made.split(1), strict=True):
            self._context.tick()
            rough = gathered([target, other.as_picture(area)])
            collage = paste([small_piece(crop, item) for item in rough.pieces])
            shown = CompositePicture(rough, crop, collage, Returning(self._wishes.detail), None)
            layer = shown.layer("", picture, self._behind(behind))
            found.append(picture_tensor(Picture(layer.array)) * collage.known)
        return torch.cat(found).to(made)

    def _behind(self, made: Tensor) -> Tensor | None:
        """What the model makes of the picture alone, where that counts."""
        return made if self._wishes.detail == "background" else None

    def _donors(self, entry: Entry, area: Tensor) -> list[Entry]:
        """Other pictures, drawn by seed and name, so that the order of the folder does not
        matter."""
        text = f"{self._context.seed}\0{entry.name}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        source = np.random.RandomState(seed)
        found = []
        for index in source.permutation(len(self._entries)):
            other = self._entries[index]
            if other is not entry and can_give(other.small, area):
                found.append(other)
            if len(found) == self._wishes.candidates:
                break
        return found

    @torch.inference_mode()
    def _at_own_size(
        self, picture: Picture, donor: Entry, coverage: np.ndarray, entry: Entry
    ) -> Layer:
        theirs = read_picture(self._folder / donor.name).picture
        piece = donor_piece(picture, theirs, torch.from_numpy(coverage)[None, None])
        rough = gathered([picture, piece])
        crop = whole_crop(rough.canvas, self._model.generator.resolution)
        small = [small_piece(crop, item) for item in rough.pieces]
        own, classes = entry.small.class_id, self._wishes.classes
        y = label_of_swap(self._model, entry.small, classes, 1)
        kinds = None
        if classes == "by_piece" and own is not None and donor.small.class_id is not None:
            kinds = [own, donor.small.class_id]
        done = compose(
            self._model.generator,
            small,
            y=y,
            classes="one" if kinds is None else "by_piece",
            piece_classes=kinds,
        )
        shown = CompositePicture(rough, crop, done.collage, Returning(self._wishes.detail), None)
        layer = shown.layer("", done.picture, self._behind(alone(self._model, entry.small)[1]))
        array = layer.array.copy()
        array[..., 3] = picture.array[..., 3]
        return Layer("", array, layer.x, layer.y)

    def _score_of(self, layer: Layer) -> float:
        small = small_picture(self._model, Picture(layer.array))
        return float(self._scorer(small.whole.to(self._context.device))[0])


def _as_alpha(coverage: np.ndarray) -> np.ndarray:
    """(H, W, 4) float32: white with that alpha."""
    array = np.ones((*coverage.shape, 4), np.float32)
    array[..., 3] = coverage
    return array
