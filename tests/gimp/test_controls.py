"""Controls for models, classes, tags, layers, areas and folders follow and write the settings."""

from __future__ import annotations

from typing import Any

import pytest
from gi.repository import Gimp, GimpUi
from tests.gimp import pictures_for_tests as made

from intarsia_client.schema import Choice, Folder, Operation, Option
from intarsia_gimp import controls, settings, tags

FRUIT = ("apple", "lemon", "lime")


def _argument(config: made.Config, name: str) -> controls.TextArgument:
    return controls.TextArgument(config, name)


# --- lists ----------------------------------------------------------------------------------------


def _models(**values: Any) -> tuple[made.Config, Any]:
    config = made.collage_config(**values)
    control = controls.ListControl(_argument(config, "model"))
    control.offer([("", "Best there is"), ("a", "A"), ("b", "B")], keep_unknown=True)
    return config, control


def test_a_list_shows_the_setting_and_writes_what_is_chosen() -> None:
    config, control = _models(model="b")
    assert control.widget.get_active_id() == "b"
    control.widget.choose(1)
    assert config.values["model"] == "a"
    config.set_property("model", "")  # e.g. Reset
    assert control.widget.get_active_id() == ""


def test_a_model_of_an_engine_that_does_not_run_stays_chosen() -> None:
    config, control = _models(model="mine")
    assert control.widget.texts() == ["Best there is", "A", "B", "mine"]
    assert control.widget.get_active_id() == "mine" and config.values["model"] == "mine"


def test_filling_a_list_again_keeps_what_is_chosen() -> None:
    config, control = _models(model="b")
    control.offer([("", "Best there is"), ("b", "B, newer")], keep_unknown=True)
    assert (control.widget.get_active_id(), config.values["model"]) == ("b", "b")


def test_a_layer_that_is_gone_is_no_longer_chosen() -> None:
    config = made.collage_config(piece="Gone")
    control = controls.ListControl(_argument(config, "piece"))
    control.offer([("", "None"), ("Cat", "Cat")], keep_unknown=False)
    assert config.values["piece"] == "" and control.widget.get_active_id() == ""


# --- classes --------------------------------------------------------------------------------------


def _class(**values: Any) -> tuple[made.Config, Any]:
    config = made.collage_config(**values)
    control = controls.ClassControl(_argument(config, "class-name"), "Automatic")
    control.offer(FRUIT)
    return config, control


def test_a_class_is_chosen_from_the_list_or_typed() -> None:
    config, control = _class()
    assert control.widget.texts() == ["Automatic", *FRUIT]
    control.widget.choose(2)
    assert config.values["class-name"] == "lemon"
    control.focus.set_text("lime ")
    assert config.values["class-name"] == "lime"


def test_automatic_is_an_empty_class() -> None:
    config, control = _class(**{"class-name": "lemon"})
    assert control.focus.get_text() == "lemon"
    control.widget.choose(0)
    assert config.values["class-name"] == "" and control.focus.get_text() == ""


def test_typing_offers_the_classes_that_hold_what_is_typed() -> None:
    _, control = _class()
    assert control.focus.completion.offered("IM") == ["lime"]
    assert control.focus.completion.offered("a") == ["apple"], "Automatic is no class"


def test_the_classes_of_another_model_replace_the_list_and_keep_what_is_typed() -> None:
    config, control = _class(**{"class-name": "lemon"})
    control.offer(("cat", "dog"))
    assert control.widget.texts() == ["Automatic", "cat", "dog"]
    assert control.focus.get_text() == "lemon" and config.values["class-name"] == "lemon"


# --- tags -----------------------------------------------------------------------------------------

ROWS = [("blue", "Blue", "Sky", 0x0000FFFF), ("red", "Red", "Rose", 0xFF0000FF)]


def _binding(text: str = "") -> tuple[made.Config, Any]:
    config = made.collage_config(classes=text)
    control = controls.BindingControl(
        _argument(config, "classes"), made.CLASSES.parse, tags.as_text
    )
    control.offer(FRUIT)
    control.look(ROWS)
    return config, control


def _cells(control: Any) -> list[Any]:
    (grid,) = [c for c in control.widget.get_children() if c.get_children is not None][1:]
    return grid.get_children()


def test_each_tag_has_a_row_of_swatch_name_and_classes() -> None:
    _, control = _binding()
    swatch, name, classes = _cells(control)[:3]
    assert swatch.properties["pixbuf"].data[:4] == bytes((0, 0, 255, 255))
    assert name.get_text() == "Blue"
    assert classes.texts() == ["Not used", *FRUIT]
    assert len(_cells(control)) == 6


def test_choosing_classes_writes_the_text_form() -> None:
    config, control = _binding()
    blue, red = _cells(control)[2], _cells(control)[5]
    blue.choose(2)
    red.get_child().set_text("apple")
    assert config.values["classes"] == "blue=lemon, red=apple"
    blue.choose(0)
    assert config.values["classes"] == "red=apple"


def test_a_text_that_changes_behind_the_control_is_shown() -> None:
    config, control = _binding("blue=lime")
    assert _cells(control)[2].get_child().get_text() == "lime"
    config.set_property("classes", "red=lemon")
    texts = [_cells(control)[i].get_child().get_text() for i in (2, 5)]
    assert texts == ["", "lemon"]
    assert config.values["classes"] == "red=lemon", "showing it must not change it half-way"


def test_without_tags_the_control_says_what_to_do() -> None:
    _, control = _binding("blue=lime")
    control.look([])
    note = control.widget.get_children()[0]
    assert note.get_visible() and "Color Tag" in note.get_text()
    assert _cells(control) == []


# --- layers, folders ------------------------------------------------------------------------------


def _layers(text: str = "") -> tuple[made.Config, Any]:
    config = made.collage_config(references=text)
    control = controls.LayersControl(_argument(config, "references"))
    control.offer([("Top", "Top"), ("#7", "Cat"), ("Back", "Back")], "Nearest layer: “Top”")
    return config, control


def test_layers_are_ticked_in_their_order() -> None:
    config, control = _layers("#7")
    boxes = list(control._boxes.values())
    assert [box.get_active() for box in boxes] == [False, True, False]
    boxes[0].set_active(True)
    assert config.values["references"] == "Top\n#7"
    boxes[1].set_active(False)
    assert config.values["references"] == "Top"


def test_layers_that_are_gone_are_forgotten() -> None:
    config, control = _layers("Gone\nBack")
    assert config.values["references"] == "Back"
    control.offer([("Top", "Top")], "")
    assert config.values["references"] == ""


def test_the_list_says_what_is_taken_when_none_is_ticked() -> None:
    config, control = _layers()
    assert control._note.get_visible() and "“Top”" in control._note.get_text()
    config.set_property("references", "Back")
    assert not control._note.get_visible()


def test_a_folder_is_chosen_and_reset() -> None:
    config = made.Config(folder="/fruit")
    control = controls.FolderControl(_argument(config, "folder"), "Folder")
    assert control.widget.get_filename() == "/fruit"
    control.widget.choose("/other")
    assert config.values["folder"] == "/other"
    config.set_property("folder", "")
    assert control.widget.get_filename() is None


# --- the whole column -----------------------------------------------------------------------------


class Known:
    """Models and classes as an engine knows them."""

    def __init__(self) -> None:
        self.listeners: list[Any] = []
        self.asked: list[tuple[str, str]] = []

    def listen(self, function: Any) -> None:
        self.listeners.append(function)

    def choices(self, capability: str) -> list[tuple[str, str]]:
        return [("fruit", "Fruit – 64 px")] if capability == "classes" else []

    def labels(self, model: str, capability: str = "") -> list[str]:
        self.asked.append((model, capability))
        return list(FRUIT) if model in ("", "fruit") else ["cat"]


@pytest.fixture
def scene() -> Any:
    image = made.image()
    back = made.layer(image, "Back", (0, 0, 255, 255), (6, 4))
    sky = made.layer(image, "Sky", (255, 0, 0, 255), (3, 1))
    sky.color_tag = Gimp.ColorTag.BLUE
    return image, back


def _settings(config: made.Config, image: Any) -> tuple[Any, Known]:
    known = Known()
    dialog = GimpUi.ProcedureDialog()
    column = settings.Settings(dialog, config, made.COLLAGE, image, known)  # type: ignore[arg-type]
    return column, known


def _control(column: Any, name: str) -> Any:
    return column._rows[name].get_children()[1]


def test_the_column_offers_models_by_what_they_can_and_classes_by_the_model(scene: Any) -> None:
    image, _ = scene
    config = made.collage_config()
    column, _known = _settings(config, image)
    assert _control(column, "model").texts() == ["Best there is", "Fruit – 64 px"]
    assert _control(column, "class-name").texts() == ["Automatic", *FRUIT]
    config.set_property("model", "animals")
    assert _control(column, "class-name").texts() == ["Automatic", "cat"]


def test_the_column_offers_the_image_s_layers_without_the_edited_one(scene: Any) -> None:
    image, back = scene
    column, _ = _settings(made.collage_config(), image)
    column.look(back, back)
    assert _control(column, "piece").texts() == ["None", "Sky"]
    assert [tag for tag, *_ in column._tag_rows(back)] == ["blue"]
    assert not column._rows["area"].get_visible(), "the selection is all there is"
    made.channel(image, "Eyes", 7)
    column.look(back, back)
    assert column._rows["area"].get_visible()
    assert _control(column, "area").texts() == ["Selection", "Channel “Eyes”", "None"]


def test_the_column_begins_with_the_classes_that_the_image_remembers(scene: Any) -> None:
    image, _ = scene
    tags.remember(image, {"blue": "lime"}, ["blue"])
    config = made.collage_config(classes="blue=apple")
    _settings(config, image)
    assert config.values["classes"] == "blue=lime"


def test_while_a_result_waits_only_the_slider_between_frames_can_be_moved(scene: Any) -> None:
    image, _ = scene
    column, _ = _settings(made.collage_config(), image)

    def usable() -> list[str]:
        return [name for name, row in column._rows.items() if row.properties["sensitive"]]

    column.allow(False, True)
    assert usable() == ["amount"]
    column.allow(False, False)
    assert usable() == []
    column.allow(True, False)
    assert usable() == list(column._rows)


def test_rows_that_do_nothing_with_the_other_settings_are_not_shown(scene: Any) -> None:
    image, _ = scene
    gives = Choice(
        "gives", "Gives", "What.", (Option("layer", "Layer"), Option("file", "File")), "layer"
    )
    film = Operation(
        "film",
        "Film",
        "Film",
        "Films.",
        inputs=(),
        parameters=(gives, Folder("folder", "Folder", "Where.", only_with="gives=file")),
    )
    config = made.Config(gives="layer", folder="", seed=0)
    column = settings.Settings(GimpUi.ProcedureDialog(), config, film, image, Known())  # type: ignore[arg-type]
    assert not column._rows["folder"].get_visible() and column._rows["gives"].get_visible()
    config.set_property("gives", "file")
    assert column._rows["folder"].get_visible()
    config.set_property("gives", "layer")
    assert not column._rows["folder"].get_visible()
