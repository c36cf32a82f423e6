"""The demo's runs on key patches: parts are found, and wholes are made of parts."""

from __future__ import annotations

import shutil
from pathlib import Path

from intarsia_daemon.demo.example import Example

FEATURES = "clothes-features"
"""A folder beside the page, for what the critic says of the pictures."""
_CLOTHES = "clothes.ora#Clothes"

PARTS = (
    Example(
        "key_patches_portrait",
        "Key patches: the parts that tell most",
        "Where a picture has something whole in it, with many edges inside and few that cross its "
        "border. No model is needed. Each part is a layer of its own.",
        "key_patches",
        {"picture": "portrait_cap.ora#Portrait"},
        {"count": "5", "overlap": "1", "sizes": "own", "least": "12", "most": "24"},
        alone=True,
        before="the portrait",
        after="its five key patches",
    ),
    Example(
        "assemble_parts",
        "Assemble: a whole of three parts",
        "A collar, a sleeve and a hem, lying about anywhere. The model has learnt clothes laid "
        "flat and finds out by itself where each part goes: the first picture is its placement, "
        "the second what it makes up around them. A small model after a short training: a sketch.",
        "assemble",
        {"parts": "parts.ora#Parts"},
        before="three parts of one shirt",
        separately=True,
    ),
    Example(
        "recombine_clothes",
        "Recombine: parts of several pictures, found and mixed",
        "Of each two pictures of the group, key patches are found and put together. In a row: "
        "the parts, where they went, and what came of them.",
        "recombine",
        {"pictures": _CLOTHES},
        {"count": "5"},
        alone=True,
        before="the pictures",
    ),
    Example(
        "features_clothes",
        "Features: pictures as numbers",
        "While it learnt, the model's critic came to tell clothes from what is none. What it sees "
        "in a picture is written as numbers for scripts; here each picture is shown beside the one "
        "that is nearest by them.",
        "features",
        {"pictures": _CLOTHES},
        {"results": FEATURES},
        alone=True,
        before="the pictures",
    ),
)


def lay_out(out: Path) -> None:
    """Make room: an earlier demo's features would not be overwritten."""
    shutil.rmtree(out / FEATURES, ignore_errors=True)
