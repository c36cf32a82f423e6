"""Runs inside GIMP, through python-fu-eval: the scene named in SCENE, its findings into OUT.

Plain Python of GIMP's own interpreter. The plug-in that the installer put into the profile runs in
processes of its own; nothing else of the project can be seen here.
"""

import base64
import hashlib
import importlib
import json
import os
import sys
import time
import traceback
import types
from dataclasses import replace

from gi.repository import Gegl, Gimp, Gio

NOW = Gimp.RunMode.NONINTERACTIVE
OUT = os.environ["OUT"]
FORMATS = {"u8": "R'G'B'A u8", "u16": "R'G'B'A u16"}


def at(path):
    return Gio.File.new_for_path(path)


def pixels(drawable, babl_format="R'G'B'A u8"):
    rectangle = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    return bytes(drawable.get_buffer().get(rectangle, 1.0, babl_format, Gegl.AbyssPolicy.NONE))


def fill(drawable, babl_format, data):
    rectangle = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    buffer = drawable.get_buffer()
    buffer.set(rectangle, babl_format, data)
    buffer.flush()


def new_image(width, height, precision=Gimp.Precision.U8_NON_LINEAR):
    return Gimp.Image.new_with_precision(width, height, Gimp.ImageBaseType.RGB, precision)


def add(image, name, width, height, babl_format, data, x=0, y=0, parent=None):
    kind = Gimp.ImageType.RGBA_IMAGE
    layer = Gimp.Layer.new(image, name, width, height, kind, 100.0, Gimp.LayerMode.NORMAL)
    fill(layer, babl_format, data)
    image.insert_layer(layer, parent, 0)
    layer.set_offsets(x, y)
    return layer


def slope(width, height):
    """A smooth picture, opaque, u8."""
    return bytes(
        v
        for y in range(height)
        for x in range(width)
        for v in (40 + 2 * x % 200, 60 + y % 150, 200 - x % 150, 255)
    )


def disc(width, height):
    """An orange disc with a soft edge on transparent, u8."""
    data = bytearray()
    for y in range(height):
        for x in range(width):
            distance = (((2 * x + 1) / width - 1) ** 2 + ((2 * y + 1) / height - 1) ** 2) ** 0.5
            data += bytes(
                (230, 140 + (x * 7) % 40, 30, round(255 * min(1, max(0, 5 - 5 * distance))))
            )
    return bytes(data)


def pasted(width=96, height=72):
    """A picture and a pasted disc at (40, 30) above it."""
    image = new_image(width, height)
    add(image, "Background", width, height, FORMATS["u8"], slope(width, height))
    return image, add(image, "Disc", 30, 24, FORMATS["u8"], disc(30, 24), 40, 30)


def run(name, image, layer, mode=NOW, **settings):
    """Call one of the plug-in's procedures."""
    procedure = Gimp.get_pdb().lookup_procedure("python-fu-intarsia-" + name)
    config = procedure.create_config()
    config.set_property("run-mode", mode)
    config.set_property("image", image)
    drawables = layer if isinstance(layer, list) else [layer] if layer else []
    config.set_core_object_array("drawables", drawables)
    if os.environ.get("MODEL") and config.find_property("model"):
        config.set_property("model", os.environ["MODEL"])
    for key, value in settings.items():
        config.set_property(key.replace("_", "-"), value)
    began = time.time()
    values = procedure.run(config)
    answer = {"status": values.index(0).value_nick, "seconds": time.time() - began}
    value = values.index(1) if values.length() > 1 else None
    answer["layer"] = value.get_name() if isinstance(value, Gimp.Layer) else None
    answer["text"] = value if isinstance(value, str) else None
    report = values.index(2) if values.length() > 2 else None
    answer["report"] = json.loads(report) if report else None
    return answer


def facts(layer):
    mask = layer.get_mask()
    return {
        "name": layer.get_name(),
        "parent": layer.get_parent().get_name() if layer.get_parent() else None,
        "offsets": list(layer.get_offsets())[-2:],
        "size": [layer.get_width(), layer.get_height()],
        "sha256": hashlib.sha256(pixels(layer, FORMATS["u16"])).hexdigest(),
        "mask": hashlib.sha256(pixels_of_mask(mask)).hexdigest() if mask else None,
        "recipe": recipe(layer.get_parasite("intarsia-recipe")),
    }


def pixels_of_mask(mask):
    rectangle = Gegl.Rectangle.new(0, 0, mask.get_width(), mask.get_height())
    return bytes(mask.get_buffer().get(rectangle, 1.0, "Y u16", Gegl.AbyssPolicy.NONE))


def recipe(parasite):
    return json.loads(bytes(parasite.get_data()).decode("utf-8")) if parasite else None


def all_layers(image):
    found = []
    for layer in image.get_layers():
        found.append(facts(layer))
        found += [facts(child) for child in layer.get_children()]
    return found


def sent(data):
    return base64.b64encode(data).decode("ascii")


def changed_by(name, image, layer, babl_format="R'G'B'A u8", **settings):
    """Run, and tell everything about before and after."""
    before = all_layers(image)
    flat_before = pixels(Gimp.Layer.new_from_visible(image, image, "flat"), babl_format)
    answer = run(name, image, layer, **settings)
    answer["before"], answer["after"] = before, all_layers(image)
    answer["images"] = len(Gimp.get_images())
    answer["flat_before"] = sent(flat_before)
    answer["flat_after"] = sent(
        pixels(Gimp.Layer.new_from_visible(image, image, "flat"), babl_format)
    )
    answer["recipes"] = recipe(image.get_parasite("intarsia-recipes"))
    if answer["layer"]:
        result = next(x for x in walk(image.get_layers()) if x.get_name() == answer["layer"])
        answer["result"] = sent(pixels(result, babl_format))
    return answer


def walk(layers):
    return [item for layer in layers for item in [layer, *walk(layer.get_children())]]


# --- generated pictures ---------------------------------------------------------------------------

TAGS = {
    "blue": Gimp.ColorTag.BLUE,
    "yellow": Gimp.ColorTag.YELLOW,
    "purple": Gimp.ColorTag.VIOLET,
}


def generated(image, class_name, seed, **settings):
    """A picture of a class as a new layer of the image."""
    answer = run(
        "generate", image, None, class_name=class_name, seed=seed, layout="one", **settings
    )
    assert answer["status"] == "success", answer
    return image.get_layer_by_name(answer["layer"])


def marked(image, tag, place):
    """A layer with a colour tag that covers a rectangle, half transparent as artists paint it."""
    x, y, width, height = place
    colours = bytes((30, 60, 250, 255)) * (width * height)
    layer = add(image, "Mark " + tag, width, height, FORMATS["u8"], colours, x, y)
    layer.set_opacity(40.0)
    layer.set_color_tag(TAGS[tag])
    return layer


# --- the scenes -----------------------------------------------------------------------------------


def scene_registered():
    pdb, found = Gimp.get_pdb(), {}
    for name in ("blend", "harmonize", "relabel", "transplant", "train-gan", "jobs", "engine"):
        procedure = pdb.lookup_procedure("python-fu-intarsia-" + name)
        found[name] = procedure and {
            "menus": procedure.get_menu_paths(),
            "label": procedure.get_menu_label(),
            "arguments": [a.name for a in procedure.get_arguments()],
        }
    return found


def scene_blend():
    image, disc_layer = pasted()
    answer = changed_by("blend", image, disc_layer, method="poisson")
    answer["background"] = sent(pixels(image.get_layers()[-1]))
    answer["element"] = sent(pixels(disc_layer))
    again = run("blend", image, disc_layer, mode=Gimp.RunMode.WITH_LAST_VALS)
    answer["again"] = dict(again, names=[x["name"] for x in all_layers(image)])
    Gimp.file_save(NOW, image, at(os.path.join(os.path.dirname(OUT), "blend.xcf")), None)
    return answer


def scene_selection():
    image, disc_layer = pasted()
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 40, 30, 15, 24)
    return changed_by("blend", image, disc_layer, method="hard")


def scene_deep():
    """16 bit, element in a group at a negative offset, with a layer mask; through a file."""
    image = new_image(40, 30, Gimp.Precision.U16_NON_LINEAR)
    background = b"".join(n.to_bytes(2, "little") for n in deep_values(40, 30))
    add(image, "Background", 40, 30, FORMATS["u16"], background)
    group = Gimp.GroupLayer.new(image, "Animals")
    image.insert_layer(group, None, 0)
    values = b"".join(n.to_bytes(2, "little") for n in deep_values(20, 16, 77))
    layer = add(image, "Deep", 20, 16, FORMATS["u16"], values, -5, 9, group)
    mask = layer.create_mask(Gimp.AddMaskType.BLACK)
    layer.add_mask(mask)
    rows = bytes(255 if x < 14 else 0 for _ in range(16) for x in range(20))
    fill(mask, "Y u8", rows)
    add(image, "Frame", 4, 4, FORMATS["u8"], bytes((9, 9, 9, 255)) * 16)
    path = os.path.join(os.path.dirname(OUT), "deep.xcf")
    Gimp.file_save(NOW, image, at(path), None)
    image.delete()
    image = Gimp.file_load(NOW, at(path))
    layer = next(x for x in walk(image.get_layers()) if x.get_name() == "Deep")
    return changed_by("blend", image, layer, FORMATS["u16"], method="hard")


def deep_values(width, height, salt=0):
    for y in range(height):
        for x in range(width):
            yield from ((x * 1601 + salt) % 65536, (y * 2003 + salt) % 65536, (x * y * 7) % 65536)
            yield 65535


def scene_harmonize():
    image, disc_layer = pasted(64, 48)
    disc_layer.set_offsets(20, 12)
    return changed_by("harmonize", image, disc_layer, quality="draft")


def scene_nothing_below():
    image = new_image(20, 20)
    layer = add(image, "Alone", 20, 20, FORMATS["u8"], slope(20, 20))
    return changed_by("blend", image, layer)


def scene_places():
    """The plug-in's own insertion, with its place there and with its place gone."""
    folder = os.path.join(os.environ["GIMP3_DIRECTORY"], "plug-ins")
    sys.path[:0] = [os.path.join(folder, "intarsia_gimp", "_vendor"), folder]
    from intarsia_client import catalog
    from intarsia_client.schema import Result, ResultLayer
    from intarsia_gimp import canvas, placement

    blend = catalog.operation("blend")
    colours = bytes((10, 20, 30, 255)) * 6
    layers = [ResultLayer("New", 3, 2, 4, colours, "u8", 41, 31)]
    edge = ResultLayer("Edge", 2, 2, 1, bytes((0, 128, 255, 7)), "u8", 42, 31)
    found = {}

    def there(image):
        return [x["name"] for x in all_layers(image)]

    image, layer = pasted()
    place = placement.place_of(canvas.find_sources(image, [layer], blend))
    image.clean_all()
    preview = placement.Preview(place, layers)
    found["preview"] = there(image)
    preview.show([False])
    preview.remove()
    found["without"] = there(image)
    mask = replace(edge, mask_of=0)
    placed = placement.insert(place, Result((layers[0], mask), {"operation": "blend"}))
    found["mask"] = sent(pixels_of_mask(placed.layers[0].get_mask()))
    image.remove_layer(placed.layers[0])
    placement.insert(place, Result((edge,), {}))
    found["channels"] = [channel.get_name() for channel in image.get_channels()]
    placement.remember(place, "a1")
    found["recalled"] = placement.recall("a1", None, 1, 1) == place
    placement.forget(place, "a1")
    found["forgotten"] = placement.recall("a1", None, 1, 1).image
    image.remove_layer(layer)
    placed = placement.insert(place, Result(tuple(layers), {}))
    found["deleted"] = [placed.text, there(image)]
    image.delete()
    placement.Preview(place, layers).remove()
    placed = placement.insert(place, Result(tuple(layers), {}))
    found["closed"] = [placed.text, there(placed.image), placed.image.get_width()]
    found["images"] = len(Gimp.get_images())
    return found


def bird(precision=Gimp.Precision.U8_NON_LINEAR):
    """A collage of three pieces with holes between them, in a group between two layers.

    The body has a layer mask, the wing reaches beyond the canvas and is half transparent, the head
    is a group of two layers; a fourth piece is hidden.
    """
    image = new_image(64, 48, precision)
    add(image, "Background", 64, 48, FORMATS["u8"], slope(64, 48))
    group = Gimp.GroupLayer.new(image, "Bird")
    image.insert_layer(group, None, 0)
    body = add(image, "Body", 20, 16, FORMATS["u8"], slope(20, 16), 20, 16, group)
    mask = body.create_mask(Gimp.AddMaskType.BLACK)
    body.add_mask(mask)
    fill(mask, "Y u8", bytes(51 if x < 10 else 255 for _ in range(16) for x in range(20)))
    wing = add(image, "Wing", 16, 12, FORMATS["u8"], disc(16, 12), -6, 20, group)
    wing.set_opacity(40.0)
    wing.set_mode(Gimp.LayerMode.MULTIPLY)
    add(image, "Spare", 4, 4, FORMATS["u8"], bytes((9, 9, 9, 255)) * 16, 0, 0, group)
    group.get_children()[0].set_visible(False)
    head = Gimp.GroupLayer.new(image, "Head")
    image.insert_layer(head, group, 0)
    add(image, "Skull", 8, 8, FORMATS["u8"], bytes((200, 0, 0, 255)) * 64, 40, 8, head)
    add(image, "Eye", 2, 2, FORMATS["u8"], bytes((0, 0, 0, 255)) * 4, 43, 10, head)
    head.set_mode(Gimp.LayerMode.PASS_THROUGH)
    add(image, "Frame", 6, 6, FORMATS["u8"], bytes((9, 9, 9, 255)) * 36)
    image.clean_all()
    return image, group


def own_reading(image, drawables, operation, text="", scale=None):
    """What the plug-in itself reads, as it would send it."""
    folder = os.path.join(os.environ["GIMP3_DIRECTORY"], "plug-ins")
    sys.path[:0] = [os.path.join(folder, "intarsia_gimp", "_vendor"), folder]
    from intarsia_client import catalog
    from intarsia_gimp import canvas, reading

    sources = canvas.find_sources(image, drawables, catalog.operation(operation), {"pieces": text})
    names = ("input", "name", "x", "y", "width", "height", "channels", "dtype")
    return [
        dict({n: getattr(p, n) for n in names}, data=sent(p.data))
        for p in reading.read(sources, scale)
    ]


def scene_pieces():
    """What the plug-in itself reads of a group, of chosen layers and of a folder."""
    found = {}

    def read(key, image, drawables, text="", scale=None):
        found[key] = own_reading(image, drawables, "composite", text, scale)

    image, group = bird(Gimp.Precision.FLOAT_NON_LINEAR)
    read("f32", image, [group])
    image.delete()
    image, group = bird(Gimp.Precision.U16_NON_LINEAR)
    read("u16", image, [group])
    image.delete()
    image, group = bird()
    before = all_layers(image)
    read("u8", image, [group])
    group.set_opacity(20.0)
    read("dim", image, [group])
    mask = group.create_mask(Gimp.AddMaskType.BLACK)
    group.add_mask(mask)
    fill(mask, "Y u8", bytes((128,)) * (mask.get_width() * mask.get_height()))
    read("masked", image, [group])
    group.remove_mask(Gimp.MaskApplyMode.DISCARD)
    group.set_opacity(100.0)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 30, 16, 10, 8)
    read("small", image, [group], scale=0.5)
    frame = image.get_layer_by_name("Frame")
    read("chosen", image, [frame, image.get_layer_by_name("Body")])
    found["kept"] = all_layers(image) == before
    pictures = os.path.join(os.path.dirname(OUT), "pieces")
    os.makedirs(pictures, exist_ok=True)
    for name, colour in (("b", 90), ("a", 10)):
        single = new_image(5, 4)
        add(single, name, 5, 4, FORMATS["u8"], bytes((colour, 50, 200, 128)) * 20)
        Gimp.file_save(NOW, single, at(os.path.join(pictures, name + ".png")), None)
        single.delete()
    read("folder", image, [], "folder " + pictures)
    found["images"] = len(Gimp.get_images())
    return found


def scene_composite():
    """One call on the group, one on layers chosen together, one by names; what is refused."""
    image, group = bird()
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 20, 16, 8, 8)
    answer = changed_by("composite", image, group)
    answer["read"] = own_reading(image, [group], "composite")
    result = image.get_layer_by_name(answer["layer"])
    answer["again"] = dict(run("composite", image, result), names=names_of(image))
    Gimp.Selection.none(image)
    chosen = [image.get_layer_by_name("Frame"), image.get_layer_by_name("Background")]
    answer["chosen"] = dict(run("composite", image, chosen), names=names_of(image))
    named = run("composite", image, None, pieces="Body\nWing")
    siblings = image.get_layer_by_name("Bird").get_children()
    answer["named"] = dict(named, names=[layer.get_name() for layer in siblings])
    answer["refused"] = [
        run("composite", image, image.get_layer_by_name("Frame")),
        run("composite", image, None),
        run("composite", image, None, pieces="folder /nowhere"),
    ]
    return answer


def scene_attribute():
    """What an example's two layers differ in, carried over to a third layer."""
    image = new_image(32, 32)
    layer, before = generated(image, "lemon", 5), generated(image, "lemon", 8)
    after = before.copy()
    after.set_name("After")
    image.insert_layer(after, None, 0)
    fill(after, FORMATS["u8"], disc(32, 32))
    settings = {"before": before.get_name(), "after": "After"}
    answer = changed_by("attribute", image, layer, **settings)
    answer["given"] = {}
    for name, item in (("picture", layer), ("before", before), ("after", after)):
        answer["given"][name] = {"data": sent(pixels(item)), "name": item.get_name()}
    return answer


def scene_influence():
    image = new_image(32, 32)
    layer = generated(image, "lemon", 5)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 8, 8, 12, 12)
    answer = changed_by("influence", image, layer, replacements=4)
    answer["picture"], answer["name"] = sent(pixels(layer)), layer.get_name()
    return answer


def scene_generate():
    """Without a layer to begin with; then four layers in one undo group."""
    image = new_image(40, 30)
    answer = run("generate", image, None, class_name="lemon", count=4, seed=3)
    answer["layers"] = [x.get_name() for x in image.get_layers()]
    answer["numbers"] = [x.get_id() for x in image.get_layers()]
    without = run("generate", image, None, class_name="cat", seed=3)
    answer["unknown"] = [without["status"], without["text"]]
    return answer


def scene_relabel_selection():
    image = new_image(32, 32)
    layer = generated(image, "lemon", 5)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 16, 8, 16, 16)
    answer = changed_by("relabel", image, layer, class_name="lime", softness=0.0)
    answer["picture"], answer["name"] = sent(pixels(layer)), layer.get_name()
    return answer


def scene_relabel_tags():
    """Two tags, two classes, one run; then again with what the image remembers, through a file."""
    image = new_image(32, 32)
    layer = generated(image, "lemon", 5)
    marked(image, "blue", (0, 0, 32, 16))
    marked(image, "purple", (0, 16, 32, 16))
    settings = {"classes": "blue=lime, purple=apple", "softness": 0.0}
    answer = changed_by("relabel", image, layer, **settings)
    answer["picture"], answer["name"] = sent(pixels(layer)), layer.get_name()
    answer["classes"] = recipe(image.get_parasite("intarsia-classes"))
    path = os.path.join(os.path.dirname(OUT), "tags.xcf")
    Gimp.file_save(NOW, image, at(path), None)
    image.delete()
    image = Gimp.file_load(NOW, at(path))
    layer = image.get_layer_by_name(answer["name"])
    again = run("relabel", image, layer, softness=0.0)
    made = next(x for x in image.get_layers() if recipe(x.get_parasite("intarsia-recipe")))
    answer["again"] = dict(again, result=sent(pixels(made)), names=names_of(image))
    image.get_layer_by_name("Mark blue").set_visible(False)
    hidden = run("relabel", image, layer, softness=0.0)
    answer["hidden"] = recipe(
        image.get_layer_by_name(hidden["layer"]).get_parasite("intarsia-recipe")
    )["parameters"]["classes"]
    return answer


def names_of(image):
    return [layer.get_name() for layer in image.get_layers()]


def scene_transplant():
    """A piece cut out of one picture lies elsewhere on another: its features go there."""
    image = new_image(32, 32)
    layer = generated(image, "lemon", 5)
    reference = generated(image, "apple", 9)
    piece = reference.copy()
    piece.set_name("Piece")
    image.insert_layer(piece, None, 0)
    piece.resize(16, 16, 0, 0)
    piece.set_offsets(8, 12)
    for other in (reference, piece):
        other.set_visible(False)
    settings = {"references": reference.get_name(), "piece": "Piece", "softness": 0.0}
    answer = changed_by("transplant", image, layer, **settings)
    for name, item in (("picture", layer), ("reference", reference), ("piece", piece)):
        answer[name] = {"data": sent(pixels(item)), "name": item.get_name()}
    wrong = run("transplant", image, layer, references="Dog")
    answer["wrong"] = [wrong["status"], wrong["text"]]
    return answer


def scene_channel():
    """An area from a channel, and the selection left out."""
    image = new_image(32, 32)
    layer = generated(image, "lemon", 5)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 8, 32)
    channel = Gimp.Channel.new(image, "Right", 32, 32, 50.0, Gegl.Color.new("red"))
    image.insert_channel(channel, None, 0)
    fill(channel, "Y u8", bytes(255 if x >= 24 else 0 for _ in range(32) for x in range(32)))
    settings = {"class_name": "lime", "softness": 0.0, "area": "channel Right"}
    return changed_by("relabel", image, layer, **settings)


def scene_train():
    """A training on a folder, with no image open."""
    settings = {"pictures": os.environ["PICTURES"], "resolution": "32", "iterations": 2}
    answer = run("train-gan", None, None, title="Fruit", **settings)
    answer["images"] = [[names_of(image), image.get_width()] for image in Gimp.get_images()]
    return answer


def scene_prepare_tags():
    """A layered picture of the project as XCF: two layers with tags, one layer chosen.

    The image remembers a class for each tag, as after an earlier run.
    """
    image = Gimp.file_load(NOW, at(os.environ["PICTURE"]))
    classes = json.loads(os.environ["CLASSES"])
    for tag, name in json.loads(os.environ["TAGGED"]).items():
        layer = image.get_layer_by_name(name)
        layer.set_color_tag(TAGS[tag])
        layer.set_visible(True)
        layer.set_opacity(50.0)
    data = json.dumps(classes).encode()
    image.attach_parasite(Gimp.Parasite.new("intarsia-classes", Gimp.PARASITE_PERSISTENT, data))
    image.set_selected_layers([image.get_layer_by_name(os.environ["CHOSEN"])])
    Gimp.file_save(NOW, image, at(os.environ["SAVED"]), None)
    return {"layers": names_of(image)}


def scene_engine():
    return {word: run("engine", None, None, action=word) for word in ("status", "release")}


def scene_prepare():
    """A layered picture of the project as XCF, with one layer chosen."""
    image = Gimp.file_load(NOW, at(os.environ["PICTURE"]))
    chosen = [x for x in image.get_layers() if x.get_name() == os.environ["CHOSEN"]]
    image.set_selected_layers(chosen)
    Gimp.file_save(NOW, image, at(os.environ["SAVED"]), None)
    return {"layers": [x.get_name() for x in image.get_layers()]}


def play():
    try:
        answer = globals()["scene_" + os.environ["SCENE"]]()
    except Exception:
        answer = {"traceback": traceback.format_exc()}
    with open(OUT + ".part", "w") as out:
        json.dump(answer, out)
    os.replace(OUT + ".part", OUT)


def add_scenes(name):
    """The scenes of another file of the same folder, which may import what is here."""
    here = types.ModuleType("gimp_scenes")
    here.__dict__.update(globals())
    sys.modules["gimp_scenes"] = here
    sys.path.insert(0, os.path.dirname(OUT))
    more = vars(importlib.import_module(name))
    globals().update({key: value for key, value in more.items() if key.startswith("scene_")})


add_scenes("gimp_scenes_of_parts")
play()
