"""What the demo runs, as a command line would say it."""

from __future__ import annotations

from dataclasses import dataclass, field

PICTURES = (
    "ATTRIBUTION.md",
    "LICENSE-GroceryStoreDataset.txt",
    "coffee_lemon.ora",
    "portrait_cap.ora",
    "shipwreck.ora",
    "starry_night_lemur.ora",
)
"""Files of this package's ``pictures`` folder; the layered ones are inputs."""


@dataclass(frozen=True)
class Example:
    """One run and what the page says about it."""

    name: str
    """Of the output files."""
    title: str
    text: str
    operation: str
    inputs: dict[str, str]
    """``FILE#LAYER`` by input."""
    settings: dict[str, str] = field(default_factory=dict)
    ending: str = ".png"


_MOON = {"picture": "shipwreck.ora#Shipwreck", "element": "shipwreck.ora#Moon"}

EXAMPLES = (
    Example(
        "blend_seamless",
        "Blend: seamless",
        "A moon cut out of another painting, with some of its sky. Its brush strokes stay, its "
        "colours are those that fit the edge exactly: Poisson's equation, solved to the last grey "
        "level.",
        "blend",
        _MOON,
    ),
    Example(
        "blend_mixed",
        "Blend: the stronger detail of both",
        "A lemon on a table: with mixed gradients the grain of the wood shows through where it is "
        "stronger than the element's own detail.",
        "blend",
        {"picture": "coffee_lemon.ora#Coffee", "element": "coffee_lemon.ora#Lemon"},
        {"gradients": "mixed"},
    ),
    Example(
        "blend_soft",
        "Blend: a soft edge",
        "The element keeps its colours and fades out.",
        "blend",
        _MOON,
        {"method": "feather", "feather": "12"},
    ),
    Example(
        "harmonize_lemur",
        "Harmonize: learn a painting, repaint a photograph",
        "A lemur in van Gogh's night. A small model learns the painting (nothing else: no other "
        "picture, no internet) and repaints the photograph in its colours and strokes.",
        "harmonize",
        {
            "picture": "starry_night_lemur.ora#Starry Night",
            "element": "starry_night_lemur.ora#Lemur",
        },
    ),
    Example(
        "harmonize_portrait",
        "Harmonize: a drawing",
        "A pink cap on a drawing of the 16th century takes on its grey-blue ink.",
        "harmonize",
        {"picture": "portrait_cap.ora#Portrait", "element": "portrait_cap.ora#Cap"},
    ),
    Example(
        "harmonize_shipwreck",
        "Harmonize: a painting",
        "Green plastic shoes in a storm at sea.",
        "harmonize",
        {"picture": "shipwreck.ora#Shipwreck", "element": "shipwreck.ora#Shoes"},
    ),
    Example(
        "harmonize_again",
        "Harmonize: the next element takes seconds",
        "The model of the painting is stored. Another pair, the same painting, no training. The "
        "output is a layered file: the artist's layers untouched, the result above them.",
        "harmonize",
        {"picture": "shipwreck.ora#Shipwreck", "element": "shipwreck.ora#Sandals"},
        ending=".ora",
    ),
)
