"""What the operations that learn one picture share: parameters, sizes, and layers of new pictures.

A model works at its own size (`TaskSettings.max_size`); what it makes is brought to the picture's
scale and put where the picture is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Choice, Input, Option
from intarsia_daemon.composition import window_of
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.picture_trainings import (
    PictureModel,
    PictureTrainings,
    early_text,
    stopping_early,
    training_seconds,
)
from intarsia_daemon.pixels import Area, Layer, Picture, layer_from_tensors, picture_tensor
from intarsia_daemon.real_pictures import coverage_on, visible_part
from intarsia_models.single_image.pyramid import Size, full_size
from intarsia_models.single_image.sampling import own_scale
from intarsia_models.single_image.settings import TaskSettings, quality_settings

PICTURE = Input("picture", "picture", "Picture", "The picture that is learnt.")
AREA = Input(
    "area",
    "area",
    "Area",
    "Only the rectangle around it is learnt; without it the whole picture.",
    required=False,
)
QUALITY = Choice(
    "quality",
    "Quality",
    "How much the model learns, and at what size; it learns once per picture.",
    (
        Option("draft", "Draft", "At most 120 pixels: minutes without a graphics card."),
        Option("normal", "Normal", "250 pixels, as published: meant for a graphics card."),
        Option("fine", "Fine", "400 pixels: a graphics card and patience."),
    ),
    default="draft",
)
LIKENESS = Choice(
    "likeness",
    "Likeness",
    "How close to the picture its relatives stay. Another choice is another model.",
    (
        Option("free", "Free", "Most different; things may be torn apart."),
        Option("balanced", "Balanced"),
        Option("close", "Close", "Least different; the most is kept."),
    ),
    default="balanced",
)
STARTS = {"everything": 0, "layout": 1, "forms": 2, "detail": 3}
"""First stage that is made anew, by what a parameter says."""
TEXT = "Learns this picture first, unless it knows it already: then it takes seconds."

SHARED = {
    "generation": "Variations and Paint to picture share a model; as a draft, Retarget and Animate "
    "too.",
    "retarget": "Another size has a model of its own.",
    "animation": "Movement has a model of its own.",
    "editing": "Retouching has a model of its own.",
}
"""Which operations use the same model, by task."""


@dataclass(frozen=True)
class Learnt:
    """A picture and the model that knows it."""

    picture: Picture
    """The visible part of it, or the rectangle around the area."""
    model: PictureModel
    notes: list[str]

    @property
    def model_size(self) -> Size:
        """(height, width) that the model works at, in the picture's aspect."""
        trained = self.model.trained
        if self.model.elsewhere:
            return own_scale(trained, *self.picture.array.shape[:2])
        return trained.sizes[-1]

    def size_at(self, width_share: float, height_share: float) -> tuple[Size, Size]:
        """A size as a share of the picture's: at the model's scale, and at the picture's.

        Raises:
            InvalidRequest: It is too small for the model.
        """
        own_height, own_width = self.picture.array.shape[:2]
        height, width = self.model_size
        small = round(height * height_share), round(width * width_share)
        large = max(1, round(own_height * height_share)), max(1, round(own_width * width_share))
        return checked_size(small), large


def checked_size(size: Size) -> Size:
    """A size that a model can make.

    Raises:
        InvalidRequest: It is too small.
    """
    if min(size) < LEAST_SIDE:
        raise InvalidRequest(
            f"The result would have {size[1]} x {size[0]} pixels at the model's size.",
            value=[size[1], size[0]],
            remedy=f"Ask for a larger one: at least {LEAST_SIDE} pixels a side are needed.",
        )
    return size


LEAST_SIDE = 11
"""Pixels: the receptive field of the critic."""


def part_of(picture: Picture, area: Area | None) -> Picture:
    """The part of a picture that is learnt.

    Raises:
        InvalidRequest: Nothing of it is visible, or the area lies outside.
    """
    seen = visible_part(picture)
    if area is None:
        return seen
    return visible_part(window_of(coverage_on(seen, area)).picture(seen))


def learnt(
    context: Context,
    picture: Picture,
    settings: TaskSettings,
    reuse: str,
    *,
    operation: str,
    chosen: str = "",
    use: str = "variations",
) -> Learnt:
    """The model of a picture, trained if there is none.

    Args:
        context: The running operation's.
        picture: Of `part_of`.
        settings: Of `wanted_settings`.
        reuse: Of `picture_trainings.REUSE`.
        operation: Which one asks.
        chosen: Id of a stored model to be used instead; empty: this picture's own.
        use: What that has to be able to do, of `picture_trainings.stored_model`.

    Raises:
        InvalidRequest: The chosen model does not exist, or cannot do that.
        TrainingRequired: It has to be trained, and this is the edit lane.
        ModelsError: The picture cannot be learnt.
    """
    with context.phase("prepare"):
        target = opaque_tensor(picture)
    trainings = PictureTrainings(context, picture, target, settings, operation=operation)
    model, notes = trainings.model(reuse, chosen, use)
    known = Learnt(picture, model, notes)
    height, width = known.model_size
    if max(picture.array.shape[:2]) > max(height, width):
        notes.append(
            f"The model works at {width} x {height} pixels; what it made was enlarged. "
            "A higher quality, or a smaller area, shows finer detail."
        )
    return replace(known, notes=[*notes, *model.trained.notes])


def wanted_settings(
    task: str,
    quality: str,
    size: Size,
    stop_early: bool = False,
    *,
    likeness: str = "balanced",
    stages: int = 0,
) -> TaskSettings:
    """The training settings that the artist's choices mean.

    Args:
        task: Of `intarsia_models.single_image.settings.Task`.
        quality: Of `QUALITY`.
        size: (height, width) of the picture.
        stop_early: Of `picture_trainings.STOP_EARLY`.
        likeness: Of `LIKENESS`.
        stages: 0: by quality.

    A draft is learnt once for all of them but editing: the task "generation" serves retargeting
    and animation too, and each minute counts more there than what their own tasks do better.
    """
    if quality == "draft" and task in ("retarget", "animation"):
        task = "generation"
    settings = quality_settings(task, quality, likeness=likeness, stages=stages or None, size=size)
    return stopping_early(settings, stop_early)


def using_estimate(chosen: str) -> Estimate | None:
    """Of a run with a model that was chosen; None where none was."""
    if not chosen:
        return None
    return Estimate(seconds=3.0, trains=False, text="Uses the chosen model; nothing is learnt.")


def training_estimate(
    settings: TaskSettings, size: Size, context: Context, *, shares: str = ""
) -> Estimate:
    """Seconds of a run that has to train, with the size that the model will work at.

    Args:
        settings: Of the training.
        size: (height, width) of the picture.
        context: The asking operation's.
        shares: Who else uses the model; empty: as `SHARED` says.
    """
    height, width = full_size(*size, settings.max_size)
    scale = f"The model will work at {width} x {height} pixels."
    text = f"{TEXT} {shares or SHARED[settings.task]} {scale}{early_text(settings)}"
    return Estimate(training_seconds(settings, *size, context), trains=True, text=text)


def opaque_tensor(picture: Picture) -> Tensor:
    """(1, 3, H, W) in [-1, 1]; transparent places take the mean of the visible colours.

    Raises:
        InvalidRequest: An f32 picture holds nan or infinity.
    """
    colours = picture_tensor(picture)
    alpha = picture.array[..., 3]
    full = 1 if alpha.dtype.kind == "f" else np.iinfo(alpha.dtype).max
    if bool((alpha >= full).all()):
        return colours
    weight = torch.from_numpy(np.asarray(alpha, np.float32) / np.float32(full))[None, None]
    mean = (colours * weight).sum((2, 3), keepdim=True) / weight.sum()
    return torch.lerp(mean.expand_as(colours), colours, weight)


def picture_layer(
    name: str,
    made: Tensor,
    size: Size,
    like: Picture,
    *,
    x: int | None = None,
    y: int | None = None,
) -> Layer:
    """What a model made as an opaque layer of another size.

    Args:
        name: For the artist.
        made: (1, 3, h, w) in [-1, 1].
        size: (height, width) of the layer.
        like: Gives sample type and place.
        x: Left edge in canvas coordinates; None: that of ``like``.
        y: Top edge; None: that of ``like``.
    """
    return layer_from_tensors(name, resized(made, size), like=like, x=x, y=y)


def resized(made: Tensor, size: Size) -> Tensor:
    """(1, 3, *size) on the CPU: averaged where it gets smaller, cubic where it gets larger."""
    small = made.detach().float().cpu()
    if tuple(small.shape[-2:]) == tuple(size):
        return small
    return interpolate(small, size, mode="bicubic", antialias=True).clamp(-1, 1)
