"""Inputs and parameters that the operations on generators share, in the artist's words."""

from __future__ import annotations

from typing import Any

from intarsia_client.schema import Choice, ClassName, Input, ModelRef, Option, Scalar, Text, Whole
from intarsia_daemon.context import Context
from intarsia_daemon.generator_models import LoadedModel
from intarsia_daemon.held_pictures import HeldPicture

PICTURE = Input(
    "picture",
    "picture",
    "Picture",
    "What is edited: a generated layer, a photograph, a painting.",
)
AREA = Input(
    "area",
    "area",
    "Area",
    "Where the change goes; without it the whole picture changes.",
    required=False,
)


def model_parameter(capability: str = "") -> ModelRef:
    """The model's choice."""
    return ModelRef(
        "model",
        "Model",
        "Which generator makes the picture; empty: the one that comes with Intarsia.",
        capability=capability,
    )


SOURCE_CLASS = ClassName(
    "source_class",
    "Shown now",
    "What the picture shows now; empty: found by itself.",
    advanced=True,
)
STEPS = Whole(
    "steps",
    "Search steps",
    "How long a picture that the model did not make is looked for in it; once per picture.",
    0,
    2000,
    200,
    advanced=True,
)
SPACE = Choice(
    "space",
    "Search in",
    "Which numbers of the model are searched.",
    (
        Option("auto", "By model", "The extended ones where the model has them."),
        Option("z", "Plain latent", "What the model was trained with."),
        Option("extended", "Extended latent", "More numbers: closer, in fewer steps."),
        Option("w_plus", "Styles", "One style per layer, for models with styles."),
    ),
    default="auto",
    advanced=True,
)
START = Choice(
    "start",
    "Search from",
    "Where the search begins.",
    (
        Option("auto", "By model", "From the encoder's guess where the model has one."),
        Option("encoder", "Encoder", "From the encoder's guess."),
        Option("random", "Random", "From the best of several random latents."),
    ),
    default="auto",
    advanced=True,
)
SEARCH = (STEPS, SPACE, START)

AMOUNT = Scalar(
    "amount",
    "Amount",
    "How much of the change is made; can be changed afterwards without a new run.",
    0.0,
    1.0,
    1.0,
    recompute=False,
)
FRAMES = Whole(
    "frames",
    "Amount steps",
    "How many amounts are painted beside the one that was asked for; below 2 none.",
    0,
    31,
    9,
    advanced=True,
)
SOFTNESS = Scalar(
    "softness",
    "Softness",
    "How softly the change ends.",
    0.0,
    200.0,
    8.0,
    unit="px",
    step=0.5,
)
DETAIL = Choice(
    "detail",
    "Detail",
    "What becomes of the picture's own detail.",
    (
        Option("difference", "Full detail", "Only what the change changes is added to it."),
        Option("model", "As the model paints", "The model's own pixels, enlarged."),
    ),
    default="difference",
)
EDGE = Choice(
    "edge",
    "Edge",
    "How the change meets the rest of the picture.",
    (
        Option("soft", "Soft", "It fades out around the area."),
        Option("poisson", "Seamless", "Colours and light flow in from around (Poisson)."),
    ),
    default="soft",
    advanced=True,
)
CROP = Choice(
    "crop",
    "Model sees",
    "Which part of the picture the model gets.",
    (
        Option("auto", "Around the area", "Best where the area is about one thing."),
        Option("whole", "The whole picture", "Best where the picture shows one thing."),
    ),
    default="auto",
    advanced=True,
)
SURROUNDINGS = Scalar(
    "surroundings",
    "Surroundings",
    "How much around the area the model gets, as a share of the area's size.",
    0.0,
    3.0,
    0.5,
    advanced=True,
)
ADAPTED = Choice(
    "adapted",
    "Adapted model",
    "Whether the model's adaptation to this picture is used, where there is one.",
    (
        Option("auto", "Where there is one", "Closer to the picture."),
        Option("off", "Never", "The model as it is."),
    ),
    default="auto",
    advanced=True,
)
PLACING = (SOFTNESS, DETAIL, EDGE, CROP, SURROUNDINGS)

LAYERS = Choice(
    "layers",
    "Change",
    "Which layers of the model the class acts on, coarse to fine.",
    (
        Option("everything", "Everything"),
        Option("not_layout", "All but the layout", "The overall shape stays."),
        Option("layout", "Layout only", "Overall shape and pose."),
        Option("shapes", "Shapes only", "Parts and their form."),
        Option("texture", "Texture only", "Surface and colour."),
    ),
    default="everything",
)
LAYER_NAMES = Text(
    "layer_names",
    "Layers by name",
    "Names of the model's conditional layers with commas between; they count instead of the choice "
    "above.",
    advanced=True,
)


def model_reference(context: Context, model: LoadedModel, *held: HeldPicture) -> dict[str, Any]:
    """For `Outcome.model`: the model, and under which keys the latents are kept."""
    reference = context.models.reference(model.id)
    return {**reference, "latents": [item.key for item in held]}
