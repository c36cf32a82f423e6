"""What the demo runs, as a command line would say it."""

from __future__ import annotations

from intarsia_daemon.demo.collages import COLLAGES
from intarsia_daemon.demo.example import Example
from intarsia_daemon.demo.mosaics import MOSAICS
from intarsia_daemon.demo.one_picture import ONE_PICTURE
from intarsia_daemon.demo.parts import PARTS

PICTURES = (
    "ATTRIBUTION.md",
    "LICENSE-GroceryStoreDataset.txt",
    "apples.ora",
    "clothes.ora",
    "coffee_lemon.ora",
    "collage.ora",
    "night_sky.ora",
    "parts.ora",
    "portrait_cap.ora",
    "shipwreck.ora",
    "starry_night_lemur.ora",
)
"""Files of this package's ``pictures`` folder; the layered ones are inputs."""


_APPLES = "apples.ora#Apples"
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
    Example(
        "generate_lemons",
        "Generate: new pictures of a class",
        "The model that comes with Intarsia was trained from nothing on photographs of a grocery "
        "shop. Every picture it makes remembers its latent, so that it can be edited at once.",
        "generate",
        settings={"class_name": "lemon", "count": "16", "layout": "grid", "size": "model"},
    ),
    Example(
        "interpolate_oranges",
        "Interpolate: the steps between two pictures",
        "From one new picture to another, around the middle of what the model knows.",
        "interpolate",
        settings={
            "class_name": "orange",
            "other_class": "leek",
            "count": "9",
            "output": "sheet",
        },
    ),
    Example(
        "project_apples",
        "Reconstruct: what the model holds of a photograph",
        "Look at this before an edit: what is not in the reconstruction cannot be edited. A "
        "small model holds large, plain forms better than many small ones.",
        "project",
        {"picture": "apples.ora#Oranges"},
        before="the photograph",
    ),
    Example(
        "relabel_apples",
        "Relabel: three apples become oranges",
        "The model finds the photograph among the pictures it can make, changes the class inside "
        "the area, and only the difference goes back to the photograph, at its full resolution. "
        "The steps of the slider are made in the same run.",
        "relabel",
        {"picture": _APPLES, "area": "apples.ora#Blue areas"},
        {"class_name": "orange"},
        before="the areas to change",
    ),
    Example(
        "relabel_two_classes",
        "Relabel: several classes in one pass",
        "Each area has its own class, as layers with colour labels do in Krita and GIMP.",
        "relabel",
        {
            "picture": _APPLES,
            "areas:blue": "apples.ora#Blue areas",
            "areas:yellow": "apples.ora#Yellow areas",
        },
        {"classes": "blue=apple_red, yellow=lemon"},
        before="the areas to change",
    ),
    Example(
        "transplant_orange",
        "Transplant: features of another picture",
        "An orange of another photograph, moved onto an apple: where it came from is found by "
        "itself, and its features are put in there while the picture is made. The model that comes "
        "with Intarsia is small (64 pixels): it carries over colour and light rather than form.",
        "transplant",
        {
            "picture": _APPLES,
            "references": "apples.ora#Oranges",
            "piece": "apples.ora#Piece of Oranges",
        },
        {"texture": "1", "crop": "whole"},
        before="the moved piece",
    ),
    Example(
        "translate_apples",
        "Translate: the whole picture as other classes",
        "A contact sheet to choose from, as the model paints it.",
        "translate",
        {"picture": _APPLES},
        {"classes": "apple_red, orange, lemon, lime, tomato, potato"},
        alone=True,
        before="the picture",
    ),
    *COLLAGES,
    *MOSAICS,
    *PARTS,
    *ONE_PICTURE,
)
