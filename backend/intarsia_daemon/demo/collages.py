"""The demo's runs on rough collages, and on what a model knows of the parts of a picture."""

from __future__ import annotations

from intarsia_daemon.demo.example import Example

_COLLAGE = "collage.ora#Collage"
_APPLES = "apples.ora#Apples"
_PIECE = "apples.ora#Piece of Oranges"
_ON_APPLES = {"pieces:apple green": _APPLES, "pieces:orange": _PIECE}

FOLDER = "fruit"
"""A folder with real pictures that no network was trained on; they come with the model."""
RESULTS = "fruit-balanced"
FOLDER_PICTURES = (
    "lemon/Lemon_003_val_full.png",
    "lemon/Lemon_003_val_z1.png",
    "lime/Lime_003_val_zc.png",
    "lime/Lime_005_val_full.png",
    "apple_green/Granny-Smith_002_val_z3.png",
    "apple_green/Granny-Smith_002_val_zc.png",
    "orange/Orange_001_val_z2.png",
    "orange/Orange_054_test_z1.png",
)
"""They lie in the shipped model's ``pictures`` folder."""

COLLAGES = (
    Example(
        "composite_collage",
        "Composite: rough pieces become one picture, in one pass",
        "Three pieces of three photographs, cut out roughly, with holes between them. The model "
        "reads them as one picture and paints it whole: colours and light run on across the gaps, "
        "and each piece stays what it is. Forms are the pieces' own; where there is no piece, the "
        "small model (64 pixels) guesses softly.",
        "composite",
        {"pieces": _COLLAGE},
        before="the pieces",
        after="one picture",
    ),
    Example(
        "composite_on_photograph",
        "Composite: a piece on a photograph",
        "An orange, pasted onto an apple. Only what the piece changes in the model's picture "
        "goes to the photograph, which stays sharp. A piece whose layer is named like a class "
        "(orange, apple green) is that.",
        "composite",
        _ON_APPLES,
        {"detail": "background"},
        before="pasted as it is",
        after="composited",
    ),
    Example(
        "adapt_apples",
        "Adapt: the model gets to know a photograph",
        "Thirty steps of learning, kept for this picture alone. The model then holds it more "
        "closely, and every later edit of it starts from there.",
        "adapt",
        {"picture": _APPLES},
        {"class_name": "apple green"},
        alone=True,
        before="the photograph",
        after="as the model holds it now",
    ),
    Example(
        "composite_adapted",
        "Composite again: with the adapted model",
        "The same piece on the same photograph; that the model was adapted to it is found by "
        "itself. A few steps of refining bring it nearer still.",
        "composite",
        _ON_APPLES,
        {"detail": "background", "refine": "30"},
        before="pasted as it is",
        after="composited by the adapted model",
    ),
    Example(
        "complete_collage",
        "Complete: the gaps are filled, the rest stays to the pixel",
        "The same pieces, but what is there stays exactly as it is. Two ways to fill the gaps.",
        "complete",
        {"picture": _COLLAGE},
        {"variants": "2", "variety": "1.5", "class_name": "orange"},
        before="what is known",
        separately=True,
    ),
    Example(
        "attribute_shade",
        "Transfer an attribute: one example shows what to change",
        "A shade, painted roughly over oranges, is the example. The model carries the change over "
        "to apples: their own light and colours follow, at the photograph's full resolution.",
        "attribute",
        {
            "picture": _APPLES,
            "before": "apples.ora#Oranges",
            "after": "collage.ora#Painted shade",
        },
        before="the picture",
        after="the picture in the same shade",
        reference="the example, roughly painted",
    ),
    Example(
        "mix_apples_oranges",
        "Mix: two pictures, in three ways",
        "As latents, as pixels and as a composition (the area says which part comes from the "
        "other picture), side by side on a sheet.",
        "mix",
        {
            "picture": _APPLES,
            "reference": "apples.ora#Oranges",
            "area": "collage.ora#Right half",
        },
        alone=True,
        before="the picture, and the area for the other one",
        after="both pictures as the model holds them, and the mixes",
    ),
    Example(
        "influence_apple",
        "Influence: what else moves when this part changes",
        "The outlined apple is exchanged again and again for parts of other pictures. Where it "
        "glows, the model's picture changes along with it.",
        "influence",
        {"picture": _APPLES, "area": _PIECE},
        before="the part that is exchanged",
        after="what moves along",
    ),
    Example(
        "collage_random_fruit",
        "Random collages: for comparing models, or for ideas",
        "Rectangles of several pictures, side by side with holes between, each beside what the "
        "model makes of it. The same seed gives the same collages.",
        "collage_random",
        {"pictures": FOLDER},
        {"output": "sheet", "collages": "6"},
        alone=True,
        before="",
        after="collages, and what the model makes of them",
    ),
    Example(
        "rebalance_fruit",
        "Rebalance: bring a folder into balance",
        "Half of the folder is to show lemons. The middle of each other picture is tried with "
        "the middles of all; what scores best is kept, here by the class that the model reads. "
        "Pictures that are there are never overwritten, and a table says what was done.",
        "rebalance",
        settings={
            "pictures": FOLDER,
            "results": RESULTS,
            "scorer": "class:lemon",
            "classes": "by_piece",
            "region": "20, 20, 80, 80",
            "candidates": "7",
        },
        alone=True,
        after="what was exchanged, each before and after",
    ),
)
