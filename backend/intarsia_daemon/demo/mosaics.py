"""The demo's mosaics: a portrait made of photographs of fruit.

The model of these photographs comes with the demo, in its folder ``models``: a draft, learnt by
this very operation in six minutes of one busy processor core.
"""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image

from intarsia_daemon.demo.example import Example
from intarsia_daemon.documents.reading import read_document

BASKET, FRAMES, FRAME_RESULTS = "basket", "frames", "frames-mosaic"
"""Folders beside the page: templates, frames to make mosaics of, and those."""
_PORTRAIT = ("portrait_cap.ora", "Portrait")
_GUIDE = {"picture": "#".join(_PORTRAIT)}
_FRAME_COUNT, _FRAME_SIZE, _FRAME_STEP = 3, (128, 160), (4, 12)
_FIRST_CORNER = (150, 130)

MOSAICS = (
    Example(
        "mosaic_portrait",
        "Mosaic: a portrait of fruit",
        "Arcimboldo's own portrait, made of eight photographs of fruit, as he made others. A "
        "network looks at all photographs at once and says for each place which one is taken: "
        "nothing is painted, only copied and pasted. The other picture shows by colours which "
        "photograph is where. The model learnt these photographs beforehand, which takes minutes; "
        "another seed or other photographs of the same folder make another mosaic in a moment.",
        "mosaic",
        _GUIDE,
        {"pictures": BASKET, "count": "8", "fidelity": "close", "color_map": "yes"},
        alone=True,
        before="the guide",
        separately=True,
        learnt=True,
    ),
    Example(
        "mosaic_layers",
        "Mosaic: every photograph a layer with a mask",
        "The same model with larger segments and half as large photographs, as a group of layers: "
        "in Krita and GIMP each has its mask, to paint on. Over each other they are the mosaic.",
        "mosaic",
        _GUIDE,
        {"pictures": BASKET, "segments": "large", "scale": "50", "gives": "layers"},
        ending=".ora",
        alone=True,
        before="",
        learnt=True,
    ),
    Example(
        "mosaic_frames",
        "Mosaic of frames: photographs stay where they are",
        "Three frames of a slow pan. All get the same photographs at the same places, and what the "
        "network measures of a picture is measured on the first frame only, so that nothing "
        "flickers. The last one is shown.",
        "mosaic_frames",
        settings={"frames": FRAMES, "results": FRAME_RESULTS, "pictures": BASKET, "scale": "50"},
        alone=True,
        before="",
        learnt=True,
    ),
)


def lay_out(out: Path) -> None:
    """Put templates and frames beside the page.

    Args:
        out: The page's folder, with the layered pictures in it.
    """
    with resources.as_file(resources.files("intarsia_daemon.demo") / "basket") as folder:
        shutil.copytree(folder, out / BASKET, dirs_exist_ok=True)
    shutil.rmtree(out / FRAME_RESULTS, ignore_errors=True)  # an earlier demo's
    (out / FRAMES).mkdir(exist_ok=True)
    picture = _portrait()
    height, width = _FRAME_SIZE
    for number in range(_FRAME_COUNT):
        top, left = (c + number * s for c, s in zip(_FIRST_CORNER, _FRAME_STEP, strict=True))
        frame = Image.fromarray(picture[top : top + height, left : left + width])
        frame.save(out / FRAMES / f"{number + 1}.png")


def _portrait() -> np.ndarray:
    """(H, W, 4) u8: the guide."""
    name, layer = _PORTRAIT
    with resources.as_file(resources.files("intarsia_daemon.demo") / "pictures" / name) as file:
        found = read_document(file).find(layer).array
    assert found is not None
    return found
