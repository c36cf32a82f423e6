"""Controls for models, classes, colour labels, texts and folders, and lists of layers to choose."""

from __future__ import annotations

from typing import Any

import krita
import pytest
from qt_binding import QtTest, QtWidgets

from intarsia_client.schema import Progress, Result, ResultLayer
from intarsia_krita import recipes
from intarsia_krita.jobs import EngineStatus

from krita_panel import part, run, send  # isort: skip (it needs a Qt)

CARDS = [
    {"id": "abc", "title": "Mine", "family": "biggan", "resolution": 128,
     "capabilities": ["classes"], "num_classes": 3},
    {"id": "scene", "title": "A picture's own", "family": "single-image"},
]  # fmt: skip


def entries(widget: Any) -> list[tuple[str, str]]:
    return [(widget.itemText(i), widget.itemData(i)) for i in range(widget.count())]


def pick(widget: Any, value: str) -> None:
    """Choose an entry as a click does."""
    widget.setCurrentIndex(widget.findData(value))
    widget.activated.emit(widget.currentIndex())


@pytest.fixture
def changing(docker: Any) -> Any:
    """The docker with an operation that has every new kind of parameter."""
    assert docker.panel.form.choose("change")
    return docker


def label(document: krita.Document, name: str, number: int) -> krita.Node:
    active = document.active
    node = document.layer(name)
    node.fill((0.5, 0.5, 0.5, 1.0), 0, 0, 2, 2)
    node.setColorLabel(number)
    document.active = active
    return node


# --- models and classes ---------------------------------------------------------------------------


def test_without_an_engine_the_models_that_ship_are_offered(changing: Any) -> None:
    combo = part(changing, "control_model")
    assert entries(combo) == [("Best there is", ""), ("Fruit", "fruit-64")]  # faces have no classes


def test_a_damaged_list_of_models_is_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from intarsia_client import catalog
    from intarsia_client.errors import InvalidRequest
    from intarsia_krita.stock import Stock

    def damaged() -> Any:
        raise InvalidRequest("It cannot be read.")

    monkeypatch.setattr(catalog, "packs", damaged)
    assert Stock().models() == []


def test_with_an_engine_its_own_models_are_offered_too_and_the_choice_stays(changing: Any) -> None:
    combo = part(changing, "control_model")
    pick(combo, "fruit-64")
    send(changing, "status", value=EngineStatus("running"))
    assert changing.jobs.named("ask_models") == [()]
    send(changing, "models", value=CARDS)
    assert [data for _, data in entries(combo)] == ["", "abc", "fruit-64"]
    assert changing.panel.form.values()["model"] == "fruit-64"
    send(changing, "status", value=EngineStatus("running"))
    assert len(changing.jobs.named("ask_models")) == 1  # once for each engine


def test_an_engine_that_has_started_is_asked_how_long_a_run_takes(changing: Any) -> None:
    changing._settle.stop()
    send(changing, "status", value=EngineStatus("running"))
    assert changing._settle.isActive()


def test_after_a_job_the_models_are_asked_for_again(changing: Any) -> None:
    send(changing, "status", value=EngineStatus("running"))
    job = run(changing)
    send(changing, "finished", job, Result((), {}))
    send(changing, "status", value=EngineStatus("running"))
    assert len(changing.jobs.named("ask_models")) == 2


def test_the_classes_are_those_of_the_chosen_model(changing: Any) -> None:
    classes = part(changing, "control_class_name")
    expected = ["Automatic", "lemon", "lime", "pear", "granny smith"]
    assert [text for text, _ in entries(classes)] == expected
    send(changing, "models", value=CARDS)
    pick(part(changing, "control_model"), "abc")
    assert changing.jobs.named("ask_classes")[-1] == ("abc",)
    assert [text for text, _ in entries(classes)] == ["Automatic"]
    send(changing, "classes", value=("abc", ["cat", "dog"]))
    assert [text for text, _ in entries(classes)] == ["Automatic", "cat", "dog"]


def test_the_engine_says_which_classes_the_best_model_has(changing: Any) -> None:
    send(changing, "models", value=[])  # the engine is there
    assert ("",) in changing.jobs.named("ask_classes")
    send(changing, "classes", value=("", ["wolf"]))
    texts = [text for text, _ in entries(part(changing, "control_class_name"))]
    assert texts == ["Automatic", "wolf"]


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("Pear", "pear"),
        ("smith", "granny smith"),
        ("l", "lime"),  # two have it: the choice stays
        ("banana", "lime"),
        ("2", "2"),
        ("", ""),
    ],
)
def test_a_class_is_found_by_typing_a_part_of_its_name(
    changing: Any, typed: str, value: str
) -> None:
    classes = part(changing, "control_class_name")
    pick(classes, "lime")
    classes.lineEdit().selectAll()
    QtTest.QTest.keyClicks(classes.lineEdit(), typed)
    if not typed:
        classes.lineEdit().clear()
    classes.lineEdit().editingFinished.emit()
    assert changing.panel.form.values()["class_name"] == value


def test_what_was_typed_counts_also_before_the_field_is_left(changing: Any) -> None:
    classes = part(changing, "control_class_name")
    classes.lineEdit().selectAll()
    QtTest.QTest.keyClicks(classes.lineEdit(), "pear")
    assert changing.panel.form.values()["class_name"] == "pear"


def test_a_class_that_the_model_does_not_have_stays_and_is_said(changing: Any) -> None:
    changing.panel.form.set_values({"class_name": "wolf"})
    classes = part(changing, "control_class_name")
    assert classes.currentText() == "wolf" and "does not know" in classes.lineEdit().toolTip()
    assert changing.panel.form.values()["class_name"] == "wolf"


# --- colour labels --------------------------------------------------------------------------------


def test_each_colour_label_has_a_row_with_its_name_and_a_list_of_classes(
    changing: Any, document: krita.Document
) -> None:
    assert not part(changing, "intarsia_no_labels").isHidden()
    label(document, "Sky", 1)
    label(document, "Grass", 8)
    changing.refresh()
    assert part(changing, "intarsia_no_labels").isHidden()
    row = part(changing, "control_classes_blue")
    assert row.accessibleName() == "Classes by colour: Blue"
    assert [text for text, _ in entries(row)][:2] == ["Not used", "lemon"]
    texts = [found.text() for found in changing.findChildren(QtWidgets.QLabel)]
    assert {"Blue", "Grey"} <= set(texts)


def test_areas_with_a_class_are_sent_and_the_binding_stays_with_the_document(
    changing: Any, document: krita.Document
) -> None:
    label(document, "Sky", 1)
    label(document, "Grass", 8)
    changing.refresh()
    pick(part(changing, "control_classes_grey"), "pear")
    assert "areas: Grey" in part(changing, "intarsia_reads").text()
    run(changing)
    request = changing.jobs.named("run")[-1][0]
    assert [(i.input, i.name) for i in request.inputs] == [("picture", "Thing"), ("areas", "grey")]
    assert request.parameters["classes"] == {"grey": "pear"}
    assert recipes.binding_of(document) == {"grey": "pear"}
    assert changing.session.works[request.job].marks == (
        document.topLevelNodes()[-1].uniqueId().toString(),
    )


def test_a_label_that_is_not_used_at_present_keeps_its_class(
    changing: Any, document: krita.Document
) -> None:
    sky = label(document, "Sky", 1)
    changing.refresh()
    pick(part(changing, "control_classes_blue"), "lemon")
    sky.setVisible(False)
    changing.refresh()
    assert changing.panel.form.values()["classes"] == {}
    assert recipes.binding_of(document) == {"blue": "lemon"}
    sky.setVisible(True)
    changing.refresh()
    assert changing.panel.form.values()["classes"] == {"blue": "lemon"}


def test_another_document_brings_its_own_binding(changing: Any, document: krita.Document) -> None:
    label(document, "Sky", 1)
    changing.refresh()
    pick(part(changing, "control_classes_blue"), "lemon")
    other = krita.two_layers()
    label(other, "Sky", 1)
    krita.Krita.open_documents.append(other)
    krita.Krita.active = other
    changing.canvasChanged(None)
    assert changing.panel.form.values()["classes"] == {}
    assert other.annotations == {}
    krita.Krita.active = document
    changing.canvasChanged(None)
    assert changing.panel.form.values()["classes"] == {"blue": "lemon"}


# --- where inputs come from -----------------------------------------------------------------------


def test_the_area_may_be_the_selection_a_mask_another_layer_or_everything(
    changing: Any, document: krita.Document
) -> None:
    selection = krita.Selection()
    selection.select(2, 1, 1, 1, 255)
    document.setSelection(selection)
    mask = document.layer("Edge", document.root.children[1], kind="transparencymask")
    document.active = document.root.children[1]
    changing.refresh()
    area = part(changing, "input_area")
    texts = [text for text, _ in entries(area)]
    assert texts == ["Selection, 1×1", "Not used", "Mask “Edge”", "Layer “Paper”"]
    assert "inside the selection, 1×1" in part(changing, "intarsia_reads").text()
    pick(area, mask.uniqueId().toString())
    assert "inside “Edge”, 2×2" in part(changing, "intarsia_reads").text()
    pick(area, "whole")
    run(changing)
    request = changing.jobs.named("run")[-1][0]
    assert [i.input for i in request.inputs] == ["picture"]


def boxes(docker: Any, name: str) -> list[Any]:
    return part(docker, name).findChildren(QtWidgets.QCheckBox)


def test_references_are_layers_with_check_boxes_and_are_kept_for_the_document(
    changing: Any, document: krita.Document
) -> None:
    thing, paper = boxes(changing, "input_references")
    assert (thing.text(), paper.text()) == ("Thing", "Paper")
    paper.click()
    thing.click()
    document.layer("New").fill(krita.RED, 0, 0, 1, 1)
    document.active = document.root.children[1]
    changing.refresh()
    found = [(box.text(), box.isChecked()) for box in boxes(changing, "input_references")]
    assert found == [("New", False), ("Thing", True), ("Paper", True)]
    run(changing)
    request = changing.jobs.named("run")[-1][0]
    assert [(i.input, i.name) for i in request.inputs][1:] == [
        ("references", "Thing"),
        ("references", "Paper"),
    ]


def test_a_list_with_nothing_in_it_is_not_shown(docker: Any, document: krita.Document) -> None:
    docker.panel.form.choose("transplant")
    assert part(docker, "input_areas").parentWidget().isHidden()
    label(document, "Sky", 1)
    docker.refresh()
    assert [box.text() for box in boxes(docker, "input_areas")] == ["Blue: Sky"]
    assert not part(docker, "input_areas").parentWidget().isHidden()


def test_a_piece_is_one_layer_or_none(changing: Any, document: krita.Document) -> None:
    piece = part(changing, "input_piece")
    assert [text for text, _ in entries(piece)] == ["None", "Thing", "Paper"]
    assert changing.panel.inputs.picks()["piece"] == ()
    pick(piece, document.root.children[0].uniqueId().toString())
    assert "Piece: “Paper”" in part(changing, "intarsia_reads").text()


def test_a_chosen_layer_that_was_deleted_is_chosen_no_more(
    changing: Any, document: krita.Document
) -> None:
    paper = document.root.children[0]
    pick(part(changing, "input_piece"), paper.uniqueId().toString())
    document.root.children.remove(paper)
    changing.refresh()
    assert changing.panel.inputs.picks()["piece"] == ()
    assert part(changing, "intarsia_run").isEnabled()


# --- texts, folders, runs without a picture -------------------------------------------------------


def test_a_text_is_one_line_of_at_most_its_length(changing: Any) -> None:
    field = part(changing, "control_layer_names")
    assert field.maxLength() == 200
    field.setText(" block2=1 ")
    assert changing.panel.form.values()["layer_names"] == "block2=1"


def test_a_folder_is_typed_or_chosen_and_a_training_runs_without_a_picture(
    docker: Any, tmp_path: Any
) -> None:
    docker.panel.form.choose("learn")
    assert part(docker, "intarsia_reads").text() == "Reads: nothing from the picture"
    part(docker, "choose_folder").click()
    dialog = part(docker, "intarsia_folders")
    assert dialog.fileMode() == QtWidgets.QFileDialog.FileMode.Directory
    dialog.fileSelected.emit(str(tmp_path))
    dialog.close()
    assert docker.panel.form.values()["folder"] == str(tmp_path)
    run(docker)
    request = docker.jobs.named("run")[-1][0]
    assert (request.inputs, request.parameters["folder"]) == ((), str(tmp_path))


def test_a_training_runs_with_no_picture_open_and_its_result_goes_into_the_next_one(
    docker: Any, document: krita.Document
) -> None:
    krita.Krita.active, krita.Krita.open_documents = None, []
    docker.panel.form.choose("learn")
    docker.canvasChanged(None)
    job = run(docker)
    assert part(docker, "intarsia_run").text() == "Cancel"
    result = Result((ResultLayer("Grid", 1, 1, 4, bytes(4)),), {})
    send(docker, "finished", job, result)
    assert "no picture is open" in part(docker, "intarsia_problem").text()
    assert docker.jobs.named("acknowledge") == []
    second = run(docker)
    krita.Krita.active, krita.Krita.open_documents = document, [document]
    send(docker, "finished", second, result)
    assert document.topLevelNodes()[-1].name() == "Grid"
    assert docker.jobs.named("acknowledge") == [(second,)]


def test_progress_does_not_look_through_the_document_again(
    changing: Any, document: krita.Document
) -> None:
    job, looks = run(changing), []
    document.selection = lambda: looks.append(1)
    send(changing, "progress", job, Progress("Painting", 1, 2))
    assert looks == [] and part(changing, "intarsia_stage").text().startswith("Painting")
    changing.refresh()
    assert looks


def test_a_folder_that_is_no_whole_path_is_said(docker: Any) -> None:
    docker.panel.form.choose("learn")
    part(docker, "control_folder").setText("pictures")
    part(docker, "intarsia_run").click()
    assert docker.jobs.named("run") == []
    assert "whole path" in part(docker, "intarsia_problem").text()


# --- results with frames --------------------------------------------------------------------------


def framed() -> Result:
    def layer(level: int, amount: float, of: int | None = None) -> ResultLayer:
        pixels = bytes([level, 0, 0, 255]) * 4
        return ResultLayer("Changed", 2, 2, 4, pixels, x=2, y=1, amount=amount, frame_of=of)

    frames = tuple(layer(round(200 * a), a, 0) for a in (0.0, 0.25, 0.5, 0.75, 1.0))
    recipe = {"operation": "change", "parameters": {"amount": 1.0}}
    return Result((layer(200, 1.0),), recipe, metrics={"fit": 0.9}, notes=("Note.",), frames=frames)


def shown(document: krita.Document) -> int:
    return document.topLevelNodes()[-1].pixelData(2, 1, 1, 1)[2]


def test_amount_moves_the_result_between_its_frames_from_both_sliders(
    changing: Any, document: krita.Document
) -> None:
    send(changing, "finished", run(changing), framed())
    assert shown(document) == 200
    runs, undo = len(changing.jobs.named("run")), len(document.undo_steps)
    part(changing, "control_amount").setValue(0.5)
    assert shown(document) == 100 and part(changing, "intarsia_amount").value() == 50
    part(changing, "intarsia_amount").setValue(27)
    assert shown(document) == 50
    assert part(changing, "control_amount").value() == pytest.approx(0.27)
    assert document.topLevelNodes()[-1].opacity() == 255
    assert (len(changing.jobs.named("run")), len(document.undo_steps)) == (runs, undo)
    recipe = recipes.recipe_of(document, document.topLevelNodes()[-1]) or {}
    assert recipe["parameters"]["amount"] == pytest.approx(0.27)
    assert part(changing, "intarsia_notes").text() == "Fit: 90 %\nNote."


def test_a_result_that_was_painted_on_says_why_amount_does_nothing(
    changing: Any, document: krita.Document
) -> None:
    send(changing, "finished", run(changing), framed())
    document.topLevelNodes()[-1].fill(krita.GREEN, 2, 1, 1, 1)
    part(changing, "intarsia_amount").setValue(0)
    assert "changed by hand" in part(changing, "intarsia_notes").text()
    assert shown(document) == 0 and document.topLevelNodes()[-1].pixels[(2, 1)] == krita.GREEN


def test_without_a_folder_that_is_needed_there_is_no_run(docker: Any) -> None:
    docker.panel.form.choose("teach")
    docker.refresh()
    button, line = part(docker, "intarsia_run"), part(docker, "intarsia_reads")
    assert not button.isEnabled() and line.text() == "Choose first: Folder."
    part(docker, "control_folder").setText("/pictures")
    assert button.isEnabled() and line.text() == "Reads: nothing from the picture"
