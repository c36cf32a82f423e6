"""Fit a pasted element into a picture: Poisson blending, or a soft or hard edge."""

from __future__ import annotations

import torch

from intarsia_client.schema import Choice, Input, Option, Scalar
from intarsia_daemon.composition import place
from intarsia_daemon.context import Context
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Area, Outcome, Picture, layer_from_tensors
from intarsia_models.blending import feather_blend, hard_blend, poisson_blend

PICTURE = Input(
    "picture",
    "picture",
    "Picture",
    "What the object is put into: everything visible below it, or a picture file.",
)
ELEMENT = Input(
    "element",
    "element",
    "Object",
    "The pasted object: a layer of its own with transparency, above the picture.",
)
AREA = Input(
    "area",
    "area",
    "Area",
    "Only this part of the object is used; without it the whole object is.",
    required=False,
)


@operation(
    title="Blend",
    verb="Blend the object in",
    group="Pasted things",
    inputs=(PICTURE, ELEMENT, AREA),
    parameters=(
        Choice(
            "method",
            "Edge",
            "How the object meets the picture.",
            (
                Option("poisson", "Seamless", "Colours and light flow in from around."),
                Option(
                    "feather", "Soft", "The object keeps its colours and fades out at its edge."
                ),
                Option("hard", "Hard", "The object keeps its colours up to a sharp edge."),
            ),
            default="poisson",
        ),
        Choice(
            "gradients",
            "Detail from",
            "Whose detail shows where the object is seamless.",
            (
                Option("import", "The object", "The picture below is covered."),
                Option("mixed", "The stronger of both", "The picture's texture shows through."),
            ),
            default="import",
            only_with="method=poisson",
        ),
        Scalar(
            "feather",
            "Softness",
            "Width of a soft edge.",
            0.0,
            200.0,
            8.0,
            unit="px",
            step=0.5,
            only_with="method=feather",
        ),
        Scalar(
            "amount",
            "Amount",
            "How much of the blending is mixed into the plain paste.",
            0.0,
            1.0,
            1.0,
        ),
    ),
)
def blend(
    picture: Picture,
    element: Picture,
    area: Area | None,
    method: str,
    gradients: str,
    feather: float,
    amount: float,
    context: Context,
) -> Outcome:
    """Fit a pasted object into the picture so that no edge shows.

    The result layer covers the element exactly: composited over picture and element it shows the
    blended picture. Source: Pérez et al. 2003, Eq. 7 (see `intarsia_models.blending`).
    """
    with context.phase("prepare"):
        placed = place(picture, element, area, margin=1, device=context.device)
    with context.phase("blend"), torch.inference_mode():
        if method == "poisson":
            blended = poisson_blend(
                placed.source,
                placed.target,
                placed.edit_mask,
                gradients="mixed" if gradients == "mixed" else "import",
                tick=context.tick,
                on_progress=lambda share: context.progress("Blending", round(100 * share), 100),
            )
        elif method == "feather":
            blended = feather_blend(placed.source, placed.target, placed.edit_mask, feather)
        else:
            blended = hard_blend(placed.source, placed.target, placed.edit_mask)
        mixed = torch.lerp(placed.naive, blended, amount)
    with context.phase("layer"):
        covered = (placed.edit_mask > 0).float()
        layer = layer_from_tensors(
            f"Blended {element.name}".strip(), mixed, covered, like=placed.picture
        )
    return Outcome([layer])
