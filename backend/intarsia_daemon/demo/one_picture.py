"""The demo's runs with models that learnt one picture: five with one model, and one edit.

The two models come with the demo, in its folder ``models``: drafts, made by these very operations,
which would take five minutes of two processor cores.
"""

from __future__ import annotations

from intarsia_daemon.demo.example import Example

_SKY = "night_sky.ora#Sky"

ONE_PICTURE = (
    Example(
        "variations_sky",
        "Variations: relatives of one picture",
        "A small model learnt this piece of sky and nothing else. That takes minutes on two "
        "processor cores, once per picture; this one comes with the demo, so that you need not "
        "wait. Then it makes relatives in a moment: here twelve, each a layer of its own if "
        "wanted. A quick draft; the published quality wants a graphics card.",
        "variations",
        {"picture": _SKY},
        {"count": "12", "varies": "everything", "output": "sheet"},
        alone=True,
        before="the picture",
        learnt=True,
    ),
    Example(
        "retarget_sky",
        "Retarget: twice as wide",
        "The same model. Strokes keep their size; nothing is stretched but the layout.",
        "retarget",
        {"picture": _SKY},
        {"size": "wide"},
        alone=True,
        before="the picture",
        learnt=True,
    ),
    Example(
        "animate_sky",
        "Animate: a loop that moves",
        "The same model. Frames of a round that ends where it began, as layers or as a file.",
        "animate",
        {"picture": _SKY},
        {"frames": "5", "moves": "layout", "strength": "strong"},
        alone=True,
        before="the picture",
        separately=True,
        learnt=True,
    ),
    Example(
        "enlarge_sky",
        "Enlarge: detail from the picture itself",
        "The same model. Made small again, the result is the picture.",
        "enlarge",
        {"picture": _SKY},
        {"factor": "3"},
        alone=True,
        before="the picture",
        learnt=True,
    ),
    Example(
        "repaint_sky",
        "Paint to picture: flat areas take on its look",
        "The same model. A few flat areas in roughly its colours become a picture like it.",
        "repaint",
        {"picture": "night_sky.ora#Rough painting", "reference": _SKY},
        {"follows": "loosely"},
        alone=True,
        before="the painting",
        learnt=True,
    ),
    Example(
        "retouch_sky",
        "Retouch: a star was cloned roughly",
        "A copy of a star, put down with a hard edge. Another small model, which learnt the "
        "picture with its pieces out of place (also beforehand), makes it part of the swirl.",
        "retouch",
        {"picture": _SKY, "element": "night_sky.ora#Cloned star"},
        before="cloned roughly",
        learnt=True,
    ),
)
