"""Scoring plug-ins: how strongly pictures show an attribute.

Some are built in; others come from installed Python packages, which register a function under the
entry-point group `GROUP`. A request names a scorer by the name under which it was registered; it
can name no module.

A scorer is called with pictures, (B, 3, H, W) in [-1, 1], and returns (B,): a number for each, the
larger the more. In [0, 1], 0.5 and more counts as showing the attribute unless a request says
otherwise.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_daemon.generator_models import LoadedModel, find_class
from intarsia_models.projection import guess_class

GROUP = "intarsia.scorers"
CLASS = "class"
"""What the names of the built-in scorers for a model's classes begin with: ``class:lemon``."""
LUMA = (0.2126, 0.7152, 0.0722)
"""ITU-R BT.709, on the sRGB values as they are."""
BATCH = 32
"""Pictures that are scored at once."""

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Scorer:
    """A scorer, ready to be called."""

    name: str
    function: Function
    tick: Callable[[], None] = lambda: None

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> Tensor:
        """Score pictures.

        Args:
            pictures: (B, 3, H, W); values beyond [-1, 1] are cut off.

        Returns:
            (B,) float32 on the CPU.

        Raises:
            IntarsiaError: The plug-in failed, or gave something else than a number for each.
        """
        found = []
        for part in pictures.float().clamp(-1, 1).split(BATCH):
            self.tick()
            found.append(self._checked(part))
        return torch.cat(found)

    def _checked(self, pictures: Tensor) -> Tensor:
        try:
            scores = torch.as_tensor(self.function(pictures)).detach().float().cpu()
        except IntarsiaError:
            raise
        except Exception as error:
            raise self._failed(f"{type(error).__name__}: {error}") from error
        if scores.shape != (len(pictures),):
            raise self._failed(
                f"for {len(pictures)} pictures it gave numbers of the shape {tuple(scores.shape)}"
            )
        if not bool(scores.isfinite().all()):
            raise self._failed("it gave values that are not numbers")
        return scores

    def _failed(self, what: str) -> IntarsiaError:
        return IntarsiaError(
            f"The scorer {self.name!r} failed: {what}.",
            value=self.name,
            remedy="Choose another scorer, or tell whoever wrote it.",
            code="OPERATION_FAILED",
        )


def find_scorer(
    name: str, model: LoadedModel, *, tick: Callable[[], None] = lambda: None
) -> Scorer:
    """The scorer of that name.

    Args:
        name: As `scorer_names` lists them.
        model: Whose classes ``class:LABEL`` means.
        tick: Called between pictures; may raise to cancel.

    Raises:
        InvalidRequest: There is none, the model has no such class, or two packages use the name.
        IntarsiaError: The package that brings it cannot be loaded.
    """
    kind, colon, label = name.partition(":")
    if colon and kind.strip().casefold() == CLASS:
        return Scorer(name, _class_scorer(model, label.strip(), tick), tick)
    if name in _BUILT_IN:
        return Scorer(name, _BUILT_IN[name], tick)
    points = {point.value: point for point in _points() if point.name == name}
    if len(points) == 1:
        return Scorer(name, _loaded(*points.values()), tick)
    if points:
        raise InvalidRequest(
            f"{len(points)} installed packages bring a scorer {name!r}: {', '.join(points)}.",
            value=name,
            remedy="Remove one of them.",
        )
    raise InvalidRequest(
        f"There is no scorer {name!r}." if name else "No scorer was named.",
        value=name,
        remedy=f"There are: {', '.join(scorer_names(model))}.",
    )


def scorer_names(model: LoadedModel) -> list[str]:
    """Every scorer there is, the built-in ones first."""
    classes = [f"{CLASS}:LABEL"] if model.generator.num_classes else []
    return [*_BUILT_IN, *classes, *sorted({point.name for point in _points()})]


def brightness(pictures: Tensor) -> Tensor:
    """(B,) in [0, 1]: the mean luma of (B, 3, H, W) pictures in [-1, 1]."""
    weights = pictures.new_tensor(LUMA)[:, None, None]
    return ((pictures + 1) / 2 * weights).sum(1).mean((1, 2))


_BUILT_IN: dict[str, Function] = {"brightness": brightness}


def class_shares(
    model: LoadedModel, pictures: Tensor, tick: Callable[[], None] = lambda: None
) -> Tensor:
    """How likely pictures show each class, as the model itself reads them.

    Its regressor reads all at once where it tells classes apart; otherwise each is looked at by
    `guess_class`.

    Args:
        model: With classes.
        pictures: (B, 3, R, R) in [-1, 1].
        tick: Called between pictures.

    Returns:
        (B, K), each row summing to 1.
    """
    generator = model.generator
    pictures = pictures.to(model.device)
    regressor = generator.regressor
    if regressor is not None and regressor.settings.num_classes:
        logits = regressor.read(pictures).class_logits
        if logits is not None:
            return logits.softmax(1)
    shares = torch.zeros(len(pictures), generator.num_classes)
    for row, picture in zip(shares, pictures, strict=True):
        for index, share in guess_class(generator, picture[None], tick=tick):
            row[index] = share
    return shares


def _class_scorer(model: LoadedModel, label: str, tick: Callable[[], None]) -> Function:
    index = find_class(model, label)
    return lambda pictures: class_shares(model, pictures, tick)[:, index]


def _points() -> list[importlib.metadata.EntryPoint]:
    return list(importlib.metadata.entry_points(group=GROUP))


def _loaded(point: importlib.metadata.EntryPoint) -> Any:
    """What a package registered; nothing but what it chose itself is imported."""
    try:
        function = point.load()
    except Exception as error:
        raise IntarsiaError(
            f"The scorer {point.name!r} cannot be loaded from {point.value}: {error}.",
            value=point.name,
            remedy="Install the package again, or remove it.",
            code="OPERATION_FAILED",
        ) from error
    if not callable(function):
        raise IntarsiaError(
            f"The scorer {point.name!r} of {point.value} is no function.",
            value=point.name,
            remedy="Tell whoever wrote it: an entry point of the group "
            f"{GROUP} names a function of pictures.",
            code="OPERATION_FAILED",
        )
    return function
