"""The panel as widgets, where PyQt5 or PyQt6 is installed (in Krita itself: tests/editors)."""

from __future__ import annotations

import time
from typing import Any

import krita
import pytest
from qt_binding import QtCore, QtGui, QtWidgets

from intarsia_client.errors import EngineUnreachable, JobFailed
from intarsia_client.schema import Progress, Result, ResultLayer
from intarsia_krita.jobs import EngineStatus
from intarsia_krita.session import Problem
from intarsia_krita.situation import document_id

from krita_panel import part, run, send  # isort: skip (it needs a Qt)

RED_PIXELS = bytes([200, 30, 30, 255]) * 4


def wait_until(reached: Any) -> None:
    """Let the panel's timers run until something happened."""
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
        QtWidgets.QApplication.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 50)


def test_every_parameter_has_a_control_with_a_name_for_people_who_hear_it(docker: Any) -> None:
    form = docker.panel.form
    for operation in docker._operations.values():
        assert form.choose(operation.id)
        assert set(form.values()) == {p.name for p in operation.parameters}
        assert form.values() == {p.name: p.default for p in operation.parameters}
        for parameter in operation.parameters:
            control = part(docker, "control_" + parameter.name)
            assert control.accessibleName() == parameter.label
            assert control.accessibleDescription() == parameter.help


def test_nothing_is_wider_than_240_pixels(docker: Any) -> None:
    for operation in docker._operations:
        docker.panel.form.choose(operation)
        part(docker, "intarsia_advanced").setChecked(True)
        docker.session.problems[document_id(krita.Krita.active)] = Problem.of(
            JobFailed("No memory for it.", remedy="Less.", action={"label": "Use Draft", "set": {}})
        )
        docker.refresh()
        QtWidgets.QApplication.processEvents()
        assert docker.panel.inside.minimumSizeHint().width() <= 240, operation


def test_the_wheel_changes_nothing_without_the_focus(docker: Any) -> None:
    docker.panel.form.choose("blend")
    slider = part(docker, "slider_feather")
    before = slider.value()
    point = QtCore.QPointF(4, 4)
    turn = QtGui.QWheelEvent(
        point,
        point,
        QtCore.QPoint(0, 120),
        QtCore.QPoint(0, 120),
        QtCore.Qt.MouseButton.NoButton,
        QtCore.Qt.KeyboardModifier.NoModifier,
        QtCore.Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    assert not slider.hasFocus()
    QtWidgets.QApplication.sendEvent(slider, turn)
    assert slider.value() == before


def test_slider_and_field_show_the_same_number(docker: Any) -> None:
    docker.panel.form.choose("blend")
    part(docker, "slider_feather").setValue(25)
    assert docker.panel.form.values()["feather"] == pytest.approx(12.5)
    part(docker, "control_feather").setValue(30.0)
    assert part(docker, "slider_feather").value() == 60


def test_a_run_sends_the_values_and_turns_the_button_into_cancel(docker: Any) -> None:
    docker.panel.form.choose("blend")
    docker.panel.form.set_values({"method": "feather", "feather": 4.0})
    run(docker)
    request = docker.jobs.named("run")[0][0]
    assert request.parameters["method"] == "feather" and request.parameters["feather"] == 4.0
    assert request.label == "night.kra – Blend – Thing"
    assert [i.input for i in request.inputs] == ["picture", "element"]
    button = part(docker, "intarsia_run")
    assert button.text() == "Cancel"
    button.click()
    assert docker.jobs.named("cancel") == [(request.job,)]
    assert button.text() == "Stopping …" and not button.isEnabled()
    send(docker, "cancelled", request.job)
    assert button.text() == docker._operations["blend"].verb and button.isEnabled()


def test_a_result_becomes_a_layer_is_remembered_and_may_be_discarded(
    docker: Any, document: krita.Document
) -> None:
    job = run(docker)
    layer = ResultLayer("Blended Thing", 2, 2, 4, RED_PIXELS, x=2, y=1)
    send(docker, "finished", job, Result((layer,), {"operation": "blend"}, notes=("A note.",)))
    assert [n.name() for n in document.topLevelNodes()] == ["Paper", "Thing", "Blended Thing"]
    assert docker.jobs.named("acknowledge") == [(job,)]
    assert len(document.undo_steps) == 1
    assert part(docker, "intarsia_keep").isVisible()
    assert docker.session.outcomes[document_id(document)][0].result.layers == ()  # no copy
    part(docker, "intarsia_amount").setValue(50)
    assert document.topLevelNodes()[-1].opacity() == 128
    part(docker, "intarsia_discard").click()
    assert [n.name() for n in document.topLevelNodes()] == ["Paper", "Thing"]
    assert b"Blended" not in document.annotation("intarsia/recipes")
    assert not part(docker, "intarsia_keep").isVisible()


def test_the_layer_that_was_active_is_active_again_after_a_result_arrived(
    docker: Any, document: krita.Document
) -> None:
    job, active = run(docker), document.activeNode()
    send(docker, "finished", job, Result((ResultLayer("B", 2, 2, 4, RED_PIXELS),), {}))
    assert document.activeNode() is not active
    wait_until(lambda: document.activeNode() is active)
    assert part(docker, "intarsia_run").isEnabled()


def test_a_new_picture_stays_the_active_layer_after_a_run_that_read_no_layer(
    docker: Any, document: krita.Document
) -> None:
    restored: list[str] = []
    docker._restore_active = lambda: restored.append(document.topLevelNodes()[-1].name())
    for operation, name in (("learn", "Grid"), ("blend", "Blended")):
        docker.panel.form.choose(operation)
        document.active = document.root.children[1]
        layer = ResultLayer(name, 2, 2, 4, RED_PIXELS)
        send(docker, "finished", run(docker), Result((layer,), {}))
    wait_until(lambda: restored)  # both timers would have fired in the order of the runs
    assert restored == ["Blended"]


@pytest.mark.parametrize("height", (200, 700))
def test_the_button_is_in_sight_however_low_the_panel_is(docker: Any, height: int) -> None:
    docker.resize(240, height)
    for operation in docker._operations:
        docker.panel.form.choose(operation)
        part(docker, "intarsia_advanced").setChecked(True)
        wait_until(lambda: not part(docker, "intarsia_operation").visibleRegion().isEmpty())
        for name in ("intarsia_run", "intarsia_reads"):
            found = part(docker, name)
            assert found.visibleRegion().boundingRect().height() == found.height(), operation


def test_a_low_panel_says_the_time_alone(docker: Any) -> None:
    docker._estimate = {"seconds": 90.0, "text": "Learns this picture first."}
    docker.refresh()
    line, whole = part(docker, "intarsia_expected"), part(docker, "intarsia_expected").text()
    assert whole.startswith("Takes ") and whole.endswith(". Learns this picture first.")
    docker.resize(240, 300)
    wait_until(lambda: line.text() == whole[: -len(" Learns this picture first.")])
    assert line.toolTip() == whole
    docker.resize(240, 700)
    wait_until(lambda: line.text() == whole)


def test_operations_stand_under_the_names_of_their_groups(docker: Any) -> None:
    combo, groups, group = part(docker, "intarsia_operation"), {}, ""
    for row in range(combo.count()):
        if combo.itemData(row) is None:
            group = combo.itemText(row)
            assert not combo.model().item(row).isEnabled()
        else:
            groups[combo.itemData(row)] = group
            found = docker._operations[combo.itemData(row)]
            assert combo.itemData(row, QtCore.Qt.ItemDataRole.ToolTipRole) == found.summary
    assert groups == {o.id: o.group for o in docker._operations.values()}
    assert groups["mosaic"] == "Collages"


def test_controls_that_do_nothing_with_the_other_settings_are_not_shown(docker: Any) -> None:
    docker.panel.form.choose("animate")
    folder, frames = part(docker, "row_folder"), part(docker, "row_frames")
    assert folder.isHidden() and not frames.isHidden()
    combo = part(docker, "control_output")
    combo.setCurrentIndex(combo.findData("both"))
    assert not folder.isHidden() and not frames.isHidden()
    docker.panel.form.choose("blend")
    docker.panel.form.choose("animate")  # its values are kept
    assert not part(docker, "row_folder").isHidden()


def test_a_control_says_that_it_needs_no_new_run(docker: Any) -> None:
    docker.panel.form.choose("relabel")
    rows = {c.parameter.name: c.toolTip() for c in docker.panel.form._controls.values()}
    assert "at once" in rows["amount"]
    assert "at once" not in rows["softness"]


def test_the_buttons_of_a_new_result_are_scrolled_to(docker: Any) -> None:
    docker.resize(240, 500)
    layer, notes = ResultLayer("B", 2, 2, 4, RED_PIXELS), ("A note of many words. " * 12,)
    send(docker, "finished", run(docker), Result((layer,), {}, notes=notes))
    button = part(docker, "intarsia_discard")
    wait_until(lambda: button.visibleRegion().boundingRect().height() == button.height())


def test_the_result_of_a_closed_picture_stays_in_the_engine(
    docker: Any, document: krita.Document
) -> None:
    job = run(docker)
    krita.Krita.active, krita.Krita.open_documents = None, []
    send(docker, "finished", job, Result((ResultLayer("B", 2, 2, 4, RED_PIXELS),), {}))
    assert docker.jobs.named("acknowledge") == []
    assert "was closed" in part(docker, "intarsia_problem").text()


def test_progress_is_drawn_with_stage_preview_and_pause(docker: Any) -> None:
    docker.panel.form.choose("harmonize")
    job = run(docker)
    send(docker, "event", job, ("started", {"lane": "training"}))
    preview = ResultLayer("p", 2, 2, 4, RED_PIXELS)
    send(docker, "progress", job, Progress("Training", 1, 4, 30.0, {}, preview))
    assert part(docker, "intarsia_stage").text() == "Training – 25 % – 30 s left"
    assert part(docker, "intarsia_progress").value() == 25
    assert part(docker, "intarsia_preview").isVisible()
    send(docker, "progress", job, Progress("Training", 2, 4, 20.0))  # the last picture stays
    assert part(docker, "intarsia_preview").isVisible()
    part(docker, "intarsia_pause").click()
    assert docker.jobs.named("pause") == [(job,)]
    send(docker, "event", job, ("paused", {}))
    part(docker, "intarsia_pause").click()
    assert docker.jobs.named("resume") == [(job,)]


def test_the_button_of_an_error_sets_what_it_says_and_runs_again(docker: Any) -> None:
    docker.panel.form.choose("harmonize")
    docker.panel.form.set_values({"quality": "fine"})
    job = run(docker)
    action = {"label": "Use Draft", "set": {"quality": "draft"}}
    send(docker, "failed", job, JobFailed("No memory.", action=action, code="OUT_OF_MEMORY"))
    assert part(docker, "intarsia_problem").text() == "⚠ No memory."
    button = part(docker, "intarsia_action")
    assert button.text() == "Use Draft"
    button.click()
    again = docker.jobs.named("run")[-1][0]
    assert again.parameters["quality"] == "draft" and again.job != job
    assert not part(docker, "intarsia_problem").isVisible()


def test_after_a_broken_connection_the_very_same_job_is_sent_again(docker: Any) -> None:
    job = run(docker)
    send(docker, "failed", job, EngineUnreachable("The engine does not answer."))
    assert part(docker, "intarsia_action").text() == "Try again"
    part(docker, "intarsia_action").click()
    assert [r[0].job for r in docker.jobs.named("run")] == [job, job]


def test_a_setting_that_needs_no_run_fades_the_result(
    docker: Any, document: krita.Document
) -> None:
    docker.panel.form.choose("harmonize")
    job = run(docker)
    recipe = {"operation": "harmonize", "parameters": {"strength": 1.0}}
    layer = ResultLayer("H", 2, 2, 4, RED_PIXELS)
    send(docker, "finished", job, Result((layer,), recipe))
    part(docker, "control_strength").setValue(0.4)
    assert document.topLevelNodes()[-1].opacity() == 102


def test_without_an_engine_installed_the_two_commands_are_shown(docker: Any) -> None:
    send(docker, "status", value=EngineStatus("missing"))
    assert part(docker, "intarsia_missing").isVisible()
    assert not part(docker, "intarsia_run").isVisible()
    texts = [label.text() for label in docker.findChildren(QtWidgets.QLabel)]
    assert {"python3 -m pip install intarsia", "intarsia plugins install krita"} <= set(texts)
    assert not part(docker, "input_area").isVisible()
    send(docker, "status", value=EngineStatus("off"))
    assert part(docker, "intarsia_run").isVisible() and part(docker, "input_area").isVisible()


def test_a_job_of_an_earlier_krita_is_offered_and_inserted(
    docker: Any, document: krita.Document
) -> None:
    row = {
        "job": "j9",
        "operation": "blend",
        "label": "night.kra – Blend – Thing",
        "state": "finished",
        "submitted": 1.0,
    }
    send(docker, "status", value=EngineStatus("running", jobs=(row,)))
    assert part(docker, "intarsia_waiting").isVisible()
    docker._show_jobs()
    part(docker, "intarsia_jobs_insert").click()
    assert docker.jobs.named("attach") == [("j9",)]
    layer = ResultLayer("Blended Thing", 2, 2, 4, RED_PIXELS)
    send(docker, "finished", "j9", Result((layer,), {"operation": "blend"}))
    assert document.topLevelNodes()[-1].name() == "Blended Thing"
    assert not part(docker, "intarsia_waiting").isVisible()


def test_settings_are_remembered_for_the_next_start(docker: Any) -> None:
    docker.panel.form.choose("harmonize")
    docker.panel.form.set_values({"quality": "normal"})
    docker.panel.form.set_seed(12)
    docker._remember()
    from intarsia_krita.docker import IntarsiaDocker

    again = IntarsiaDocker()
    assert again.panel.form.operation.id == "harmonize"
    assert again.panel.form.values()["quality"] == "normal"
    assert again.panel.form.seed() == 12


def test_with_nothing_to_read_the_button_is_off_and_the_reason_is_said(
    docker: Any, document: krita.Document
) -> None:
    document.active = document.root.children[0]
    docker.refresh()
    assert not part(docker, "intarsia_run").isEnabled()
    assert "nothing below" in part(docker, "intarsia_reads").text()
