"""A mosaic of the artist's own pictures, along a guide or freely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Choice, Input, Option, Toggle, Whole
from intarsia_daemon import mosaic_models as models
from intarsia_daemon import mosaic_parameters as wished
from intarsia_daemon import mosaic_pictures as composing
from intarsia_daemon import mosaic_places as places
from intarsia_daemon import mosaic_templates as own
from intarsia_daemon.context import Context, Estimate
from intarsia_daemon.mosaic_parameters import Wishes
from intarsia_daemon.operation import operation
from intarsia_daemon.pixels import Area, Outcome, Picture


def estimate(
    parameters: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]], context: Context
) -> Estimate:
    """Seconds of a run: of the learning, if it may be needed, and of the composing."""
    wishes = _wishes(parameters, guided=parameters["follow"] and "picture" in sizes)
    asked = sizes.get("area") or sizes.get("picture") or (parameters["height"], parameters["width"])
    size = (asked[0] or places.DEFAULT_SIDE, asked[1] or places.DEFAULT_SIDE)
    seconds = composing.composing_seconds(context, wishes.networks(), size, wishes.count)
    if parameters["learn"] == "auto" and models.may_serve(context, wishes, parameters["model"]):
        text = "Uses a model that is there; to have these templates learnt, choose Learns."
        return Estimate(seconds=seconds, trains=False, text=text)
    text = "Learns these templates first, unless it knows them already: then it is quick."
    return Estimate(seconds + models.training_seconds(context, wishes), trains=True, text=text)


@operation(
    title="Mosaic",
    verb="Make the mosaic",
    group="Collages",
    inputs=(
        Input(
            "picture",
            "picture",
            "Guide",
            "The picture that the mosaic follows: everything visible below the templates, a layer "
            "or a file; without it the templates are arranged freely.",
            required=False,
        ),
        Input(
            "area",
            "area",
            "Area",
            "Where the mosaic goes; without it everywhere.",
            required=False,
        ),
        own.LAYERS,
    ),
    parameters=(
        own.FOLDER,
        wished.COUNT,
        own.SCALE,
        Choice(
            "gives",
            "Gives",
            "What is put into the document.",
            (
                Option("collage", "Collage", "One layer: pieces of your pictures as they are."),
                Option("picture", "Refined", "One layer: closer to the guide, its seams smoothed."),
                Option("layers", "Layers", "A group: a layer with a mask for each template."),
            ),
            default="collage",
        ),
        wished.SEGMENTS,
        wished.EDGES,
        wished.FIDELITY,
        wished.VARIETY,
        wished.KEEP_COLORS,
        Toggle(
            "color_map",
            "Template map",
            "Also a layer that shows by random colours which template is where.",
            False,
        ),
        Toggle(
            "follow",
            "Follow the guide",
            "Off: the guide only says where and how large; templates are arranged freely.",
            True,
        ),
        models.MODEL,
        wished.LEARN,
        wished.QUALITY,
        Whole("width", "Width", "Without guide and area; 0: 512.", 0, 20_000, 0, advanced=True),
        Whole("height", "Height", "Without guide and area; 0: 512.", 0, 20_000, 0, advanced=True),
        wished.WARP,
        wished.STYLE,
        wished.REFINE,
    ),
    trains=True,
    estimate=estimate,
)
def mosaic(
    picture: Picture | None,
    area: Area | None,
    templates: list[Picture],
    pictures: str,
    count: int,
    scale: float,
    gives: str,
    segments: str,
    edges: str,
    fidelity: str,
    variety: str,
    keep_colors: bool,
    color_map: bool,
    follow: bool,
    model: str,
    learn: str,
    quality: Any,
    width: int,
    height: int,
    warp: str,
    style: str,
    refine: bool,
    context: Context,
) -> Outcome:
    """Make a mosaic of your own pictures, along a guide picture or freely.

    Source: Jetchev et al. 2019, arXiv:1910.07236 (MAGIC). Another seed draws other templates and
    other parts of them, with the same model. How ready models are adjusted is ours
    (`intarsia_models.mosaic.adjustment`).
    """
    given = {
        "quality": quality, "count": count, "segments": segments, "edges": edges, "warp": warp,
        "fidelity": fidelity, "variety": variety, "style": style, "refine": refine,
    }  # fmt: skip
    wishes = _wishes(given, guided=follow and picture is not None)
    with context.phase("prepare"):
        context.progress("Reading the templates", 0, 1)
        found = own.gathered_templates(templates, pictures, scale, tick=context.tick)
        place = places.place_of(picture, area, (height, width), guided=wishes.guided)
        _check_form(gives, color_map, wishes, place)
    chosen = None
    if model or learn == "auto":
        chosen = models.serving_model(context, wishes, found, model)
    if chosen is None:
        title = f"Mosaic of {found.title}"
        contents = place.contents() if wishes.guided else None
        chosen = models.trained_model(
            context, wishes, found, contents, title=title, again=learn == "new"
        )
    with models.loaded_mosaic(context, chosen.id) as loaded:
        plan = composing.planned(context, loaded, place, found.source, wishes)
        made = composing.rendered(
            context,
            loaded,
            place,
            plan,
            refine=gives == "picture",
            keep_weights=gives == "layers" or color_map,
        )
    name = f"Mosaic of {place.frame.name}" if wishes.guided and place.frame.name else "Mosaic"
    with context.phase("layer"):
        layers = [composing.map_layer(made, place, context.tick)] if color_map else []
        if gives == "layers":
            first = len(layers)
            layers += composing.template_layers(name, made, plan, place, context.tick, first=first)
        else:
            refined = gives == "picture"
            colours = composing.colours_of(made, refined=refined, keep_colors=keep_colors)
            layers.append(composing.picture_layer(name, colours, place))
    return Outcome(
        layers,
        model=context.models.reference(chosen.id),
        metrics={"templates": float(len(plan.canvases))},
        notes=[*found.notes, *chosen.notes, *plan.notes],
    )


def _wishes(values: Mapping[str, Any], *, guided: bool) -> Wishes:
    names = ("quality", "count", "segments", "edges", "fidelity", "variety", "warp", "style")
    more = {name: values[name] for name in (*names, "refine")}
    return Wishes(guided=guided, **more)


def _check_form(gives: str, color_map: bool, wishes: Wishes, place: places.Place) -> None:
    """Refuse beforehand what could not be given.

    Raises:
        InvalidRequest: A painted mosaic has no templates, or the layers would be too large.
    """
    if wishes.style == "parametric" and (gives == "layers" or color_map):
        raise InvalidRequest(
            "A mosaic that is painted anew consists of no templates: it has neither layers nor a "
            "map.",
            value=gives,
            remedy="Choose Gives: Refined without the map, or another method.",
        )
    if gives == "layers":
        places.check_layers(wishes.count, place.size)
