"""From a guide and templates to the layers of a mosaic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from intarsia_daemon.context import Context
from intarsia_daemon.mosaic_pace import COMPOSING, speed_factor
from intarsia_daemon.mosaic_parameters import Wishes
from intarsia_daemon.mosaic_places import Place
from intarsia_daemon.mosaic_previews import MosaicPreviews
from intarsia_daemon.pixels import FULL, Layer, dtype_name, layer_from_tensors
from intarsia_daemon.training_pace import Pace
from intarsia_models.mosaic.adjustment import Adjustment, balanced, margin_of
from intarsia_models.mosaic.colour_keeping import with_colours_of
from intarsia_models.mosaic.cost import composing_operations
from intarsia_models.mosaic.model import MagicNetwork, MosaicModel
from intarsia_models.mosaic.rendering import Rendering, RenderStatistics, render
from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.templates import PictureSource, TemplateCanvas, stacked
from intarsia_models.mosaic.training import MEMORY_SEED
from intarsia_models.mosaic.weight_layers import colour_map, weight_layers

RENDERING = "Composing the mosaic"
STEPS = 1000
"""Progress steps of a whole mosaic."""
MEASURED_SIDE = 192
"""Of the reduced mosaic on which it is measured what a model does."""
MAP_NAME = "Template map"
OPERATIONS_A_SECOND = {"cpu": 4.5e10, "cuda": 3e12}
"""Of a mosaic in tiles, with everything beside the networks: "cpu" is one core of an AMD EPYC 9004
(processor time), "cuda" is assumed."""
COUNTED_SIDE = 128
"""Of the picture on which a network's arithmetic is counted."""
LONG_S, LEAST_LEARNT_S = 30.0, 5.0
"""Seconds from which a mosaic is composed like a training, beside which edits go on; and from which
the machine's speed is learnt."""
SKETCHED_S = 8.0
"""Seconds from which a sketch is shown until tiles come."""


def canvases_of(
    templates: PictureSource, count: int, style: str, seed: int, size: tuple[int, int]
) -> list[TemplateCanvas]:
    """The templates of one mosaic of that (height, width); a fixed memory always has the same."""
    if style == "fixed_memory":
        return templates.canvases(count, MEMORY_SEED)
    return templates.canvases(count, seed, flips=True, size=size)


def adjusted(
    model: MosaicModel, place: Place, canvases: Sequence[TemplateCanvas], wishes: Wishes
) -> Adjustment:
    """What has to be changed of what a model does, measured on a reduced mosaic.

    Args:
        model: Whose weights are changed.
        place: Of the mosaic.
        canvases: Its templates.
        wishes: What is wished of it.
    """
    learnt = model.origin.get("training") or {}
    network = model.network
    if not isinstance(network, MagicNetwork) or not wishes.differ(learnt):
        return Adjustment()
    scale, multiple = min(1.0, MEASURED_SIDE / max(place.size)), model.settings.multiple
    height, width = (multiple * max(1, round(side * scale / multiple)) for side in place.size)
    small = None
    if place.content is not None:
        small = interpolate(place.content, (height, width), mode="area").to(model.device)
    templates = stacked(canvases, 0, 0, height, width).to(model.device)
    with torch.no_grad():
        logits = network.output(small, templates).logits
    adjustment, evenness = wishes.adjustment(learnt, margin_of(logits))
    return balanced(adjustment, logits, templates, small, evenness)


@dataclass(frozen=True, eq=False)
class Plan:
    """What all mosaics of one run have in common."""

    canvases: list[TemplateCanvas]
    adjustment: Adjustment
    seconds: float
    """Expected for one mosaic."""
    plain_s: float
    """The same on a machine of speed 1."""
    notes: list[str] = field(default_factory=list)

    @property
    def is_long(self) -> bool:
        """Whether what was done is kept for a run that is stopped."""
        return self.seconds > LONG_S


def planned(
    context: Context,
    model: MosaicModel,
    place: Place,
    templates: PictureSource,
    wishes: Wishes,
    *,
    mosaics: int = 1,
) -> Plan:
    """Choose the templates and what has to be adjusted.

    Args:
        context: The running operation's.
        model: Guided exactly if the place has a content.
        place: Of the first mosaic.
        templates: What it is made of.
        wishes: How it is wished; what the model learnt otherwise is adjusted.
        mosaics: How many are made.

    Raises:
        TrainingRequired: It takes long, and this is the edit lane.
    """
    settings = model.settings
    count = settings.slots or wishes.count
    notes = []
    if count != wishes.count:
        notes.append(f"This model has a memory of {count} templates; that many are used.")
    plain = composing_work(settings, place.size, count, context.device)
    seconds = plain / speed_factor(context, COMPOSING)
    if seconds * mosaics > LONG_S:
        context.require_training(seconds * mosaics)
    canvases = canvases_of(templates, count, settings.style, context.seed, place.size)
    with context.phase("prepare"):
        adjustment = adjusted(model, place, canvases, wishes)
    return Plan(canvases, adjustment, seconds, plain, notes)


def composing_work(
    settings: MosaicSettings, size: tuple[int, int], count: int, device: str
) -> float:
    """Seconds that a mosaic takes on a machine of speed 1."""
    rate = OPERATIONS_A_SECOND.get(device.split(":")[0], OPERATIONS_A_SECOND["cpu"])
    return _operations_a_pixel(settings, count) * size[0] * size[1] / rate


@lru_cache(maxsize=64)
def _operations_a_pixel(settings: MosaicSettings, count: int) -> float:
    whole = composing_operations(settings, COUNTED_SIDE, COUNTED_SIDE, count)
    return whole / COUNTED_SIDE**2


def composing_seconds(
    context: Context, settings: MosaicSettings, size: tuple[int, int], count: int
) -> float:
    """Seconds that a mosaic takes on this machine."""
    return composing_work(settings, size, count, context.device) / speed_factor(context, COMPOSING)


def rendered(
    context: Context,
    model: MosaicModel,
    place: Place,
    plan: Plan,
    *,
    refine: bool,
    keep_weights: bool,
    statistics: RenderStatistics | None = None,
    stage: str = RENDERING,
    shares: tuple[float, float] = (0.0, 1.0),
) -> Rendering:
    """The mosaic at full size, tile by tile.

    Args:
        context: The running operation's; gets the progress.
        model: As for `planned`.
        place: Where.
        plan: Of `planned`.
        refine: Whether the picture is refined.
        keep_weights: Whether the weights are wanted afterwards.
        statistics: Of the first frame of an animation.
        stage: What the artist reads.
        shares: Of all the work, at the beginning and at the end.
    """
    low, high = shares
    whole = plan.seconds / (high - low)

    def follow(done: float, _: Any) -> None:
        share = low + (high - low) * done
        left = pace.seconds_left(share)
        shown = previews.due()
        context.progress(stage, round(STEPS * share), STEPS, seconds_left=left, preview=shown)

    pace = Pace(context, whole)
    context.progress(stage, round(STEPS * low), STEPS, seconds_left=pace.seconds_left(low))
    previews = MosaicPreviews(place)
    if statistics is None and plan.seconds > SKETCHED_S:
        with context.phase("sketch"):
            previews.sketch(
                model,
                place,
                plan.canvases,
                plan.adjustment,
                seed=context.seed,
                tick=context.tick,
            )
        follow(0.0, None)
    folder = context.folder / "mosaic" if plan.is_long else None
    goes_on = folder is not None and folder.exists()  # then the rest says nothing of the speed
    began = context.clock()
    with context.phase("compose"):
        made = render(
            model,
            place.content,
            plan.canvases,
            place.size,
            refine=refine,
            adjustment=plan.adjustment if plan.adjustment.changes else None,
            seed=context.seed,
            keep_weights=keep_weights,
            statistics=statistics,
            folder=folder,
            tick=context.tick,
            on_progress=follow,
            on_arrays=previews.watch,
        )
    if statistics is None and plan.plain_s >= LEAST_LEARNT_S and not goes_on:
        context.machine.learn(COMPOSING, plan.plain_s, context.clock() - began)
    return made


def colours_of(rendering: Rendering, *, refined: bool, keep_colors: bool) -> np.ndarray:
    """(3, H, W) in [-1, 1]: what becomes a layer.

    Args:
        rendering: Refined, where that is wanted and the model can.
        refined: The refined picture instead of the collage.
        keep_colors: Whether the refined picture keeps the collage's colours.
    """
    if not refined or rendering.picture is rendering.collage:
        return rendering.collage
    if not keep_colors:
        return rendering.picture
    return with_colours_of(rendering.collage, rendering.picture)


def picture_layer(name: str, colours: np.ndarray, place: Place) -> Layer:
    """A mosaic as one layer.

    Args:
        name: For the artist.
        colours: (3, H, W) in [-1, 1].
        place: Where; its coverage becomes the alpha.
    """
    made = torch.from_numpy(np.asarray(colours, np.float32))[None]
    alpha = torch.from_numpy(place.coverage)[None, None]
    return layer_from_tensors(name, made, alpha, like=place.frame)


def template_layers(
    group: str,
    rendering: Rendering,
    plan: Plan,
    place: Place,
    tick: Callable[[], None],
    *,
    first: int = 0,
) -> list[Layer]:
    """A group of one layer per template, each with its weights as a mask.

    Composited from the lowest up they give the collage. Templates that are used nowhere are left
    out, the others cut to where they are used.

    Args:
        group: The group's name.
        rendering: With weights.
        plan: With its templates.
        place: Where.
        tick: May raise to stop.
        first: How many other layers of the result come before them.
    """
    assert rendering.weights is not None
    depth = 8 if dtype_name(place.frame.array) == "u8" else 16
    found = weight_layers(
        rendering.weights,
        rendering.templates,
        coverage=place.coverage,
        depth=depth,
        rounds=depth == 8,
        tick=tick,
    )
    layers: list[Layer] = []
    used: dict[str, int] = {}
    for item in found:
        name = plan.canvases[item.index].name
        used[name] = used.get(name, 0) + 1
        if used[name] > 1:
            name = f"{name} ({used[name]})"
        x, y = place.frame.x + item.offset[0], place.frame.y + item.offset[1]
        full = FULL[dtype_name(item.colour)]
        array = np.concatenate(
            [item.colour, np.full((*item.colour.shape[:2], 1), full, item.colour.dtype)], -1
        )
        layers.append(Layer(name, array, x, y, group=group))
        layers.append(Layer(name, item.alpha, x, y, mask_of=first + len(layers) - 1))
    return layers


def map_layer(rendering: Rendering, place: Place, tick: Callable[[], None]) -> Layer:
    """Which template is where, as a picture of random colours."""
    assert rendering.weights is not None
    colours = colour_map(rendering.weights, tick=tick)
    alpha = np.rint(place.coverage * 255).astype(np.uint8)[..., None]
    return Layer(MAP_NAME, np.concatenate([colours, alpha], -1), place.frame.x, place.frame.y)
