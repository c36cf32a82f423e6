"""A still picture moves, in an endless loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from intarsia_client.schema import Choice, Folder, Option, Scalar, Toggle, Whole
from intarsia_daemon import learnt_pictures as shared
from intarsia_daemon.animation_files import check_folder, check_format, write_animation
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.operation import operation
from intarsia_daemon.picture_trainings import REUSE, STOP_EARLY, stored_model
from intarsia_daemon.pixels import Area, Layer, Outcome, Picture
from intarsia_models.single_image.animation import animate as make_frames
from intarsia_models.single_image.harmonization import apply_difference

LARGEST_ENLARGED = 1 << 28
"""Numbers of all frames together at the picture's own size; above that they stay small."""
HOW_TO_PLAY = (
    "Krita: press Play in the Animation Timeline. "
    "GIMP: Filters > Animation > Playback shows all layers in turn."
)


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run that has to train."""
    using = shared.using_estimate(parameters["model"])
    if using is not None:
        return using
    size = sizes["picture"]
    settings = shared.wanted_settings(
        "animation", parameters["quality"], size, parameters["stop_early"]
    )
    return shared.training_estimate(settings, size, context)


@operation(
    title="Animate",
    verb="Let it move",
    group="New pictures",
    inputs=(shared.PICTURE, shared.AREA),
    parameters=(
        shared.QUALITY,
        Whole("frames", "Frames", "How many make one round.", 2, 200, 20),
        Scalar("fps", "Frames per second", "How quickly they follow.", 1, 60, 10, step=1),
        Choice(
            "strength",
            "Movement",
            "How far the frames stray from the picture.",
            (Option("weak", "Weak"), Option("medium", "Medium"), Option("strong", "Strong")),
            default="medium",
        ),
        Choice(
            "moves",
            "Moves",
            "What moves.",
            (
                Option("everything", "Everything"),
                Option("layout", "All but the layout", "Large areas stand still."),
                Option("forms", "Smaller forms", "Large forms stand still."),
                Option("detail", "Detail only", "Surfaces shimmer."),
            ),
            default="layout",
        ),
        Toggle(
            "from_picture",
            "Begin at the picture",
            "The movement grows from the picture and dies away to it, once a round.",
            False,
        ),
        Toggle(
            "keep_detail",
            "Keep fine detail",
            "What is finer than the model comes from the picture; not where everything moves.",
            True,
        ),
        Choice(
            "output",
            "Gives",
            "What comes out.",
            (
                Option("layers", "Layers", "One layer per frame."),
                Option("file", "File", "Only a file; the document gets its first frame."),
                Option("both", "Layers and file"),
            ),
            default="layers",
        ),
        Folder(
            "folder",
            "Folder",
            "Where the file is written; none that is there is overwritten.",
            only_with="output=file,both",
        ),
        Choice(
            "format",
            "Format",
            "Of the file.",
            (
                Option("gif", "GIF", "Plays everywhere; 256 colours."),
                Option("apng", "APNG", "All colours; plays in browsers."),
                Option("webp", "WebP", "Small; plays in browsers."),
                Option("mp4", "MP4", "A video; needs ffmpeg."),
                Option("webm", "WebM", "A video; needs ffmpeg."),
            ),
            default="gif",
            only_with="output=file,both",
        ),
        STOP_EARLY,
        REUSE,
        stored_model("variations"),
    ),
    trains=True,
    estimate=estimate,
)
def animate(
    picture: Picture,
    area: Area | None,
    quality: str,
    frames: int,
    fps: float,
    strength: Any,
    moves: str,
    from_picture: bool,
    keep_detail: bool,
    output: str,
    folder: str,
    format: Any,
    stop_early: bool,
    reuse: str,
    model: str,
    context: Context,
) -> Outcome:
    """Let a still picture move in an endless loop: water, clouds, leaves, fire.

    Source: the walk through the noise of Hinz et al. 2020 (arXiv:2003.11512) and SinGAN
    (arXiv:1905.01164), made to end where it began. Deviation: in pictures larger than the model,
    only the difference to the model's own rebuilt picture is carried over
    (docs/decisions/0009-full-resolution.md), so that frames are as sharp as the picture.
    """
    place = None
    if output != "layers":
        check_format(format)
        place = check_folder(folder)
    part = shared.part_of(picture, area)
    settings = shared.wanted_settings("animation", quality, part.array.shape[:2], stop_early)
    known = shared.learnt(context, part, settings, reuse, operation="animate", chosen=model)
    trained = known.model.trained
    size, notes = part.array.shape[:2], list(known.notes)
    if size[0] * size[1] * 4 * frames > LARGEST_ENLARGED:
        size = known.model_size
        notes.append("The frames are small: all of them at the picture's size would be too much.")
    layers: list[Layer] = []
    name = picture.name or "Picture"
    with context.phase("make"), torch.inference_mode():
        walk = make_frames(
            trained,
            frames,
            strength=strength,
            start_stage=min(shared.STARTS[moves], len(trained.sizes) - 1),
            seed=context.seed,
            size=known.model_size,
            begin_at_picture=from_picture,
        )
        keeps = keep_detail and moves != "everything" and not known.model.elsewhere
        still = shared.opaque_tensor(part) if keeps else None
        rebuilt = trained.reconstruct().cpu()
        for index, made in enumerate(walk):
            context.progress("Painting the frames", index, frames)
            if still is not None and size == part.array.shape[:2]:
                made = apply_difference(still, rebuilt, made.cpu())
            layer = shared.picture_layer(f"{name}, frame {index + 1:03d}", made, size, part)
            layers.append(replace(layer, duration_ms=1000 / fps))
    if place is not None:
        with context.phase("file"):
            rgb = [_u8(layer.array) for layer in layers]
            written = write_animation(
                rgb, place, f"{name} animated", format, fps=fps, tick=context.tick
            )
        notes.append(f"The animation is in {written}.")
        if output == "file":
            layers = [replace(layers[0], duration_ms=None)]
    if output != "file":
        notes.append(HOW_TO_PLAY)
    used = context.models.reference(known.model.id)
    return Outcome(layers, model=used, notes=notes)


def _u8(array: np.ndarray) -> np.ndarray:
    """(H, W, 3) u8 of a layer's colours."""
    colours = array[..., :3]
    if colours.dtype == np.uint8:
        return colours
    if colours.dtype == np.uint16:
        return ((colours.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return (np.clip(colours, 0, 1) * 255 + 0.5).astype(np.uint8)
