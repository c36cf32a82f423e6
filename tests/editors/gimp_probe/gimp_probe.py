#!/usr/bin/env python3
"""Tests only: writes what the current image consists of to the file named in GIMP_PROBE, and moves
a layer as an artist would."""

import hashlib
import json
import os
import sys

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")

from gi.repository import Gegl, Gimp  # noqa: E402


def hash_of(layer):
    rectangle = Gegl.Rectangle.new(0, 0, layer.get_width(), layer.get_height())
    data = layer.get_buffer().get(rectangle, 1.0, "R'G'B'A u16", Gegl.AbyssPolicy.NONE)
    return hashlib.sha256(bytes(data)).hexdigest()


def amount_of(parasite):
    recipe = json.loads(bytes(parasite.get_data()).decode("utf-8")) if parasite else {}
    return recipe.get("parameters", {}).get("amount")


def run(procedure, mode, image, drawables, config, data):
    Gegl.init(None)
    layers = [
        {
            "name": layer.get_name(),
            "offsets": list(layer.get_offsets())[-2:],
            "visible": layer.get_visible(),
            "sha256": hash_of(layer),
            "recipe": layer.get_parasite("intarsia-recipe") is not None,
            "amount": amount_of(layer.get_parasite("intarsia-recipe")),
        }
        for layer in image.get_layers()
    ]
    channels = [channel.get_name() for channel in image.get_channels()]
    ours = [name for name in image.get_parasite_list() if name.startswith("intarsia")]
    path = os.environ["GIMP_PROBE"]
    with open(path + ".part", "w") as out:
        json.dump({"layers": layers, "channels": channels, "parasites": ours}, out)
    os.replace(path + ".part", path)
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)


def move(procedure, mode, image, drawables, config, data):
    """Move the lowest layer of the topmost group, as an artist would who nudges a piece."""
    group = next(layer for layer in image.get_layers() if layer.is_group())
    piece = group.get_children()[-1]
    x, y = piece.get_offsets()[-2:]
    piece.set_offsets(x + 12, y + 9)
    Gimp.displays_flush()
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)


def mosaic(procedure, mode, image, drawables, config, data):
    """Have the plug-in make layers with masks of the topmost group, as a script would."""
    found = Gimp.get_pdb().lookup_procedure("python-fu-intarsia-mosaic")
    settings = found.create_config()
    settings.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    settings.set_property("image", image)
    group = next(layer for layer in image.get_layers() if layer.is_group())
    settings.set_core_object_array("drawables", [group])
    settings.set_property("model", os.environ["MOSAIC"])
    settings.set_property("gives", "layers")
    found.run(settings)
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)


PROCEDURES = {
    "python-fu-gimp-probe": ("Probe", run),
    "python-fu-gimp-move": ("Move", move),
    "python-fu-gimp-mosaic": ("Mosaic", mosaic),
}


class Probe(Gimp.PlugIn):
    def do_set_i18n(self, name):
        return False

    def do_query_procedures(self):
        return list(PROCEDURES)

    def do_create_procedure(self, name):
        label, function = PROCEDURES[name]
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, function, None)
        procedure.set_image_types("*")
        procedure.set_menu_label(label)
        procedure.add_menu_path("<Image>/Filters/Tests")
        procedure.set_documentation("Tests only", "Tests only", name)
        procedure.set_attribution("Intarsia", "Intarsia", "2026")
        return procedure


Gimp.main(Probe.__gtype__, sys.argv)
