"""What the artist can say of a mosaic, and what it means: while it is learnt, and afterwards.

How large, how hard, how varied and how faithful a mosaic is, is learnt by weights of losses
(Jetchev et al. 2019, arXiv:1910.07236, eq. 4). A ready model that learnt it otherwise is adjusted
instead (`intarsia_models.mosaic.adjustment`): at once, within limits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intarsia_client.schema import Choice, Option, Toggle, Whole
from intarsia_models.mosaic.adjustment import Adjustment
from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.training_settings import (
    MosaicTraining,
    mosaic_settings,
    mosaic_training,
)

MOST_TEMPLATES = 64
"""Layers with masks that one result can bring."""

QUALITY = Choice(
    "quality",
    "Quality",
    "How much is learnt, where these templates have to be learnt first.",
    (
        Option("draft", "Draft", "Small: some minutes without a graphics card."),
        Option("normal", "Normal", "Meant for a graphics card."),
        Option("fine", "Fine", "As published: a graphics card and a quarter of an hour or more."),
    ),
    default="draft",
)
COUNT = Whole(
    "count",
    "How many",
    "How many templates one mosaic is made of; they are drawn from all there are by the seed.",
    2,
    MOST_TEMPLATES,
    8,
)
SEGMENTS = Choice(
    "segments",
    "Segments",
    "How large the pieces of one template are.",
    (Option("fine", "Small"), Option("medium", "Medium"), Option("large", "Large")),
    default="medium",
)
EDGES = Choice(
    "edges",
    "Cuts",
    "How templates meet.",
    (
        Option("soft", "Soft", "They flow into each other."),
        Option("medium", "Medium"),
        Option("hard", "Hard", "Every place is of one template."),
    ),
    default="medium",
)
FIDELITY = Choice(
    "fidelity",
    "Likeness",
    "How closely the lights and darks of the guide are followed.",
    (Option("loose", "Loose"), Option("medium", "Medium"), Option("close", "Close")),
    default="medium",
)
VARIETY = Choice(
    "variety",
    "Variety",
    "How evenly the templates are used.",
    (
        Option("free", "As it comes"),
        Option("medium", "More even"),
        Option("even", "All alike", "Every template gets about the same area."),
    ),
    default="free",
)
WARP = Choice(
    "warp",
    "Warp",
    "What may be done to templates before they are put in; learnt along.",
    (
        Option("none", "Nothing", "Plain copies."),
        Option("affine", "Moved and turned a little"),
        Option("flow", "Bent a little"),
    ),
    default="none",
    advanced=True,
)
STYLE = Choice(
    "style",
    "Method",
    "What puts the mosaic together.",
    (
        Option("magic", "From any templates", "Looks at the templates; new ones need no learning."),
        Option("fixed_memory", "Fixed templates", "Knows the templates it learnt, by heart."),
        Option("parametric", "Painted anew", "Paints in their manner and copies nothing."),
    ),
    default="magic",
    advanced=True,
)
REFINE = Toggle(
    "refine",
    "Learn to refine",
    "Whether a second network learns to blur seams away; only where something is learnt.",
    True,
    advanced=True,
)
KEEP_COLORS = Toggle(
    "keep_colors",
    "Keep colours",
    "What is refined keeps the colours of your pictures; only its lights and darks change.",
    True,
    only_with="gives=picture",
)
LEARN = Choice(
    "learn",
    "Learns",
    "Whether the templates are learnt first, which takes long.",
    (
        Option("auto", "If needed", "Uses a stored model that can do it, if there is one."),
        Option("these", "These templates", "Once, with all that is set here; then it is known."),
        Option("new", "Again", "Even if that was done before."),
    ),
    default="auto",
)

_WEIGHTS: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "segments": ("tv_weight", {"fine": 1.0, "medium": 10.0, "large": 100.0}),
    "edges": ("entropy_weight", {"soft": 0.5, "medium": 1.5, "hard": 5.0}),
    "fidelity": ("content_weight", {"loose": 5.0, "medium": 20.0, "close": 80.0}),
    "variety": ("max_weight", {"free": 0.0, "medium": 1.0, "even": 4.0}),
}
"""Of the losses, by parameter and choice; the paper has 1 to 100 and 0.5 to 5 for the first two."""
_MARGIN = {"soft": 2.5, "medium": 4.0, "hard": 12.0}
"""Of the logits of the best and of the second template at a place, by how they shall meet. At 1
they are a grey mean of all templates."""
_SMOOTHER, _CLOSER, _EVENER = (0.0, 5.0, 10.0), (0.0, 4.0, 16.0), (0.0, 0.5, 1.0)
"""For each step that a choice is beyond what a model learnt: pixels; times the margin; a share."""
_UNGUIDED_LEAST = 1.0
"""Of the largest template's area: without a guide there is no mosaic without it."""


@dataclass(frozen=True)
class Wishes:
    """What is wished of a mosaic."""

    quality: Any
    guided: bool
    count: int
    segments: str
    edges: str
    fidelity: str
    variety: str
    warp: Any = "none"
    style: Any = "magic"
    refine: bool = True
    iterations: int = 0
    """0: by quality."""

    def networks(self) -> MosaicSettings:
        """Of a model that learns it."""
        more: dict[str, Any] = {"style": self.style, "refine": self.refine}
        if self.style == "fixed_memory":
            more["slots"] = self.count
        elif self.style == "magic":
            more["warp"] = self.warp
        else:
            more["noise_channels"] = 8
        return mosaic_settings(self.quality, guided=self.guided, **more)

    def training(self) -> MosaicTraining:
        """How it is learnt."""
        more: dict[str, Any] = {
            field: weights[getattr(self, name)] for name, (field, weights) in _WEIGHTS.items()
        }
        if not self.guided:
            more["content_weight"] = 0.0
            more["max_weight"] = max(_UNGUIDED_LEAST, more["max_weight"])
        if self.iterations:
            more["iterations"] = self.iterations
        return mosaic_training(self.quality, guided=self.guided, **more)

    def differ(self, learnt: Mapping[str, Any]) -> bool:
        """Whether a model has to be adjusted.

        Args:
            learnt: The training's settings on the model's card; what is missing there counts as
                the middle of each scale.
        """
        return any(self._step(name, learnt) for name in _WEIGHTS)

    def adjustment(self, learnt: Mapping[str, Any], margin: float) -> tuple[Adjustment, float]:
        """What has to be changed of what a model does.

        Args:
            learnt: As for `differ`.
            margin: By which the logits of the best template at a place typically exceed those of
                the second.

        Returns:
            The adjustment, and how much the shares have to be balanced, in [0, 1].
        """
        steps = {name: self._step(name, learnt) for name in _WEIGHTS}
        sharpness, wanted = 1.0, _MARGIN[self.edges] / max(margin, 1e-3)
        if steps["edges"]:
            sharpness = max(1.0, wanted) if steps["edges"] > 0 else min(1.0, wanted)
        adjustment = Adjustment(
            sharpness=sharpness,
            smoothing=_SMOOTHER[max(0, steps["segments"])],
            fidelity=margin * _CLOSER[max(0, steps["fidelity"])] if self.guided else 0.0,
        )
        return adjustment, _EVENER[max(0, steps["variety"])]

    def _step(self, name: str, learnt: Mapping[str, Any]) -> int:
        """How far the choice is beyond what was learnt: -2 to 2."""
        field, weights = _WEIGHTS[name]
        order = list(weights.values())
        if name == "edges" and self.edges == "soft":  # how hard a model cuts is measured
            return 0 if learnt.get(field) == weights["soft"] else -1
        number = learnt.get(field)
        known = number if isinstance(number, (int, float)) else order[len(order) // 2]
        return list(weights).index(getattr(self, name)) - _nearest(order, float(known))


def _nearest(order: Sequence[float], number: float) -> int:
    """Of the values, the number of the nearest by ratio."""
    least = 1e-3
    logs = [math.log(max(least, value)) for value in order]
    return min(range(len(order)), key=lambda n: abs(logs[n] - math.log(max(least, number))))
