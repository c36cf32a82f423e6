"""Scenes for GIMP with results of several layers; a part of ``gimp_scenes.py``, which runs it."""

import os
import sys

from gi.repository import Gegl, Gimp
from gimp_scenes import (
    FORMATS,
    NOW,
    OUT,
    add,
    at,
    changed_by,
    facts,
    names_of,
    new_image,
    pasted,
    pixels,
    run,
    sent,
    slope,
)


def stripes(width, height, number):
    """A template: stripes of two colours in a direction of its own, opaque, u8."""
    data = bytearray()
    for y in range(height):
        for x in range(width):
            along = (x, y, x + y, x - y + height)[number % 4] // 3 % 2
            color = (60 + 50 * number, 200 - 40 * number, 40 + 70 * (number % 3))
            data += bytes((*(value if along else 255 - value for value in color), 255))
    return bytes(data)


def templates(count=4, width=72, height=56):
    """A guide, and above it a group of templates."""
    image = new_image(width, height)
    add(image, "Guide", width, height, FORMATS["u8"], slope(width, height))
    group = Gimp.GroupLayer.new(image, "Templates")
    image.insert_layer(group, None, 0)
    for number in range(count):
        place = (2 + 9 * number, 4 + 3 * number)
        data = stripes(36, 32, number)
        add(image, f"Stripes {number}", 36, 32, FORMATS["u8"], data, *place, parent=group)
    return image, group


def told(layer):
    """A layer with its pixels and its mask's, and what lies in it."""
    mask = layer.get_mask()
    return {
        **facts(layer),
        "data": sent(pixels(layer)),
        "weights": sent(mask_bytes(mask)) if mask else None,
        "children": [told(child) for child in layer.get_children()],
    }


def mask_bytes(mask):
    rectangle = Gegl.Rectangle.new(0, 0, mask.get_width(), mask.get_height())
    return bytes(mask.get_buffer().get(rectangle, 1.0, "Y u8", Gegl.AbyssPolicy.NONE))


def scene_variations():
    image, _ = pasted(48, 36)
    layer = image.get_layers()[-1]
    answer = changed_by("variations", image, layer, quality="draft", count=2, seed=5)
    answer["made"] = [told(image.get_layer_by_name(n)) for n in names_of(image)[1:3]]
    answer["picture"] = sent(pixels(layer))
    return answer


def scene_retouch():
    image, layer = pasted(48, 36)
    layer.set_offsets(12, 8)
    answer = changed_by("retouch", image, layer, quality="draft", seed=3)
    answer["picture"], answer["element"] = sent(pixels(image.get_layers()[-1])), sent(pixels(layer))
    return answer


def scene_animate():
    image, _ = pasted(48, 36)
    layer = image.get_layers()[-1]
    settings = {"quality": "draft", "frames": 3, "fps": 8.0, "moves": "everything"}
    answer = run("animate", image, layer, **settings)
    answer["names"] = names_of(image)
    answer["hashes"] = [facts(one)["sha256"] for one in image.get_layers()]
    return answer


def scene_film():
    """An animation of two pictures that is kept: an image of its own, 16 bits as its source."""
    folder = os.path.join(os.environ["GIMP3_DIRECTORY"], "plug-ins")
    sys.path[:0] = [os.path.join(folder, "intarsia_gimp", "_vendor"), folder]
    from intarsia_client.schema import Result, ResultLayer
    from intarsia_gimp import film, placement

    image = new_image(6, 4, Gimp.Precision.U16_NON_LINEAR)
    back = add(image, "Back", 6, 4, FORMATS["u8"], bytes((10, 20, 30, 255)) * 24)
    add(image, "Roof", 2, 1, FORMATS["u8"], bytes((200, 0, 0, 255)) * 2)
    frames = [
        ResultLayer(f"Sea, frame {n}", 3, 4, 4, bytes((0, 50 * n, 250, 255)) * 12, duration_ms=125)
        for n in (1, 2)
    ]
    place = placement.Place(image.get_id(), back.get_tattoo(), 0, "Back", 6, 4)
    before = [facts(layer) for layer in image.get_layers()]
    placed = film.keep(place, Result(tuple(frames), {"operation": "animate"}))
    return {
        "same": before == [facts(layer) for layer in image.get_layers()],
        "names": names_of(placed.image),
        "size": [placed.image.get_width(), placed.image.get_height()],
        "precision": placed.image.get_precision().value_nick,
        "pictures": [sent(pixels(layer)) for layer in placed.layers],
        "text": placed.text,
    }


def scene_mosaic():
    """Of a group's layers along what lies below: as one layer, then as layers with masks."""
    image, group = templates()
    settings = {"model": os.environ["MOSAIC"], "count": 4, "seed": 4}
    answer = changed_by("mosaic", image, group, gives="collage", **settings)
    image.get_layer_by_name(answer["layer"]).set_visible(False)
    made = run("mosaic", image, group, gives="layers", **settings)
    answer["layers"] = made
    answer["names"] = names_of(image)
    (new,) = [x for x in image.get_layers() if x.is_group() and x.get_name() != "Templates"]
    answer["group"] = told(new)
    for layer in image.get_layers():
        layer.set_visible(layer.get_id() == new.get_id())
    answer["composed"] = sent(pixels(Gimp.Layer.new_from_visible(image, image, "flat")))
    Gimp.file_save(NOW, image, at(os.path.join(os.path.dirname(OUT), "mosaic.xcf")), None)
    image.delete()
    image = Gimp.file_load(NOW, at(os.path.join(os.path.dirname(OUT), "mosaic.xcf")))
    answer["kept"] = sent(pixels(Gimp.Layer.new_from_visible(image, image, "flat")))
    free = run("mosaic", image, group_named(image, "Templates"), picture="none", **settings)
    answer["free"] = free["status"], free["text"]
    return answer


def group_named(image, name):
    return next(x for x in image.get_layers() if x.get_name() == name)


def scene_assemble():
    """Three layers of a group become a picture, and a channel where the parts went."""
    image, group = templates(3)
    settings = {"model": os.environ["PATCHES"], "seed": 2}
    answer = changed_by("assemble", image, group, **settings)
    answer["parts"] = [told(child) for child in reversed(group.get_children())]
    answer["channels"] = [
        [channel.get_name(), sent(mask_bytes(channel))] for channel in image.get_channels()
    ]
    cut = run("assemble", image, group, output="cut", **settings)
    answer["cut"] = told(image.get_layer_by_name(cut["layer"]))
    return answer


def scene_prepare_templates():
    """The guide and three templates as XCF, their group chosen."""
    image, group = templates(3)
    image.set_selected_layers([group])
    Gimp.file_save(NOW, image, at(os.environ["SAVED"]), None)
    return {"layers": names_of(image)}


def scene_prepare_basket():
    """The demonstration's portrait and photographs of fruit, in a group that is chosen, as XCF."""
    image = Gimp.file_load(NOW, at(os.environ["PICTURE"]))
    for layer in image.get_layers():
        if layer.get_name() != "Portrait":
            image.remove_layer(layer)
    group = Gimp.GroupLayer.new(image, "Basket")
    image.insert_layer(group, None, 0)
    for number, name in enumerate(sorted(os.listdir(os.environ["BASKET"]))):
        layer = Gimp.file_load_layer(NOW, image, at(os.path.join(os.environ["BASKET"], name)))
        layer.set_name(os.path.splitext(name)[0])
        image.insert_layer(layer, group, 0)
        layer.set_offsets(40 * (number % 4), 40 * (number // 4))
    image.set_selected_layers([group])
    Gimp.file_save(NOW, image, at(os.environ["SAVED"]), None)
    return {"layers": names_of(image)}
