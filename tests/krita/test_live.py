"""The Live switch: what is sent while the artist works, what is shown, when it stops."""

from __future__ import annotations

import time
from typing import Any

import krita
import pytest
from krita import GREEN, RED
from krita_collages import JOIN, collage, group_of
from qt_binding import QtCore, QtWidgets

from intarsia_client.errors import EngineUnreachable, JobFailed
from intarsia_client.schema import Result, ResultLayer
from intarsia_krita.follower import Follower
from intarsia_krita.jobs import Event, LiveRequest

from krita_panel import part, run, send  # isort: skip (it needs a Qt)


def events(seconds: float = 0.0) -> None:
    """Let the panel's timers run."""
    end = time.monotonic() + seconds
    while True:
        QtWidgets.QApplication.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 20)
        if time.monotonic() >= end:
            return


def wait_until(reached: Any) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
        events()


def sent(docker: Any) -> list[LiveRequest]:
    return [values[0] for values in docker.jobs.named("show_live")]


def answer(docker: Any, request: LiveRequest, level: int = 200) -> None:
    """The engine gives a picture for a request."""
    layer = ResultLayer("Joined", 4, 2, 4, bytes([level, 30, 30, 255]) * 8)
    result = Result((layer,), {}, seconds={"total": 0.2})
    docker._happen(Event("live", value=(request, result)))


@pytest.fixture
def made(docker: Any) -> krita.Document:
    """A collage, open, with an operation that can be shown live."""
    document = collage()
    krita.Krita.active, krita.Krita.open_documents = document, [document]
    assert docker.panel.form.choose("join")
    docker.refresh()
    return document


@pytest.fixture
def live(docker: Any, made: krita.Document) -> Any:
    """The docker with Live on and its first request sent."""
    part(docker, "intarsia_live").setChecked(True)
    wait_until(lambda: sent(docker))
    yield docker
    docker.live.stop()


def test_only_operations_that_say_so_have_the_switch(docker: Any, made: krita.Document) -> None:
    switch = part(docker, "intarsia_live")
    assert switch.isVisible() and not switch.isChecked()
    assert switch.accessibleName() and switch.accessibleDescription()
    docker.panel.form.choose("change")
    assert not switch.isVisible()
    events(0.3)
    assert sent(docker) == []  # nothing runs before it is switched on


def test_switched_on_it_sends_small_pieces_with_the_settings_and_shows_what_comes(
    live: Any, made: krita.Document
) -> None:
    (request,) = sent(live)
    assert [(p.input, p.name, p.x, p.y) for p in request.inputs] == [
        ("pieces", "Ground", 0, 4),
        ("pieces", "House", 2, 1),
        ("pieces", "Sun", 8, 0),
    ]
    assert request.parameters == {"detail": 0.5, "steps": 0}
    picture = part(live, "intarsia_live_picture")
    assert not picture.isVisible()
    answer(live, request)
    assert picture.isVisible() and picture.accessibleName()
    shown = picture.pixmap()
    assert shown.width() == live.panel.live.width() and shown.height() == shown.width() // 2
    assert part(live, "intarsia_live_line").text() == "Follows “Collage” · 0.2 s"
    assert made.undo_steps == [] and len(made.topLevelNodes()) == 2  # no layer was made


def test_while_nothing_changes_nothing_is_sent_again(live: Any) -> None:
    answer(live, sent(live)[0])
    events(0.6)
    assert len(sent(live)) == 1


def test_a_moved_piece_is_sent_and_its_picture_replaces_the_old(
    live: Any, made: krita.Document
) -> None:
    (first,) = sent(live)
    house = group_of(made).children[1]
    made.active = house  # whoever moves a layer has it active
    house.pixels = {(x + 4, y): p for (x, y), p in house.pixels.items()}
    wait_until(lambda: len(sent(live)) == 2)
    second = sent(live)[1]
    assert [p.x for p in second.inputs] == [0, 6, 8]
    answer(live, first)
    assert not part(live, "intarsia_live_picture").isVisible()  # that one is overtaken
    answer(live, second)
    assert part(live, "intarsia_live_picture").isVisible()
    assert part(live, "intarsia_live").isChecked()


def test_painting_on_without_a_rest_is_followed_as_fast_as_the_engine_answers(
    live: Any, made: krita.Document
) -> None:
    house, busy = group_of(made).children[1], [True]
    live.jobs.live_is_busy = lambda: busy[0]
    begin = time.monotonic()
    while time.monotonic() - begin < 0.7:
        house.pixels[(2, 1)] = (time.monotonic() % 1, 0.0, 0.0, 1.0)
        events(0.02)
    assert len(sent(live)) == 1  # the engine is at work, and the hand does not rest
    busy[0] = False
    while len(sent(live)) < 2:
        assert time.monotonic() - begin < 20
        house.pixels[(2, 1)] = (time.monotonic() % 1, 0.0, 0.0, 1.0)
        events(0.02)
    busy[0] = True
    count = len(sent(live))
    house.pixels[(2, 1)] = GREEN
    wait_until(lambda: len(sent(live)) > count)  # at rest it is sent, whatever is under way
    assert bytes(sent(live)[-1].inputs[1].data[:4]) == b"\0\xff\0\xff"


def test_changed_settings_are_followed_too(live: Any) -> None:
    part(live, "control_detail").setValue(0.9)
    wait_until(lambda: len(sent(live)) == 2)
    assert sent(live)[1].parameters["detail"] == pytest.approx(0.9)


def test_take_this_runs_at_full_size_and_puts_one_layer_above_the_group(
    live: Any, made: krita.Document
) -> None:
    made.active = group_of(made).children[1]
    live.refresh()
    button = part(live, "intarsia_run")
    assert button.text() == "Take this" and button.isEnabled()
    job = run(live)
    request = live.jobs.named("run")[-1][0]
    assert [i.name for i in request.inputs] == ["Ground", "House", "Sun"]
    events(0.3)
    assert live.jobs.named("stop_live") != []  # the engine does that job first
    layer = ResultLayer("Collage, joined", 2, 2, 4, bytes([9, 9, 9, 255]) * 4, x=1, y=1)
    send(live, "finished", job, Result((layer,), {"operation": "join"}))
    names = [n.name() for n in made.topLevelNodes()]
    assert names == ["Paper", "Collage", "Collage, joined"] and len(made.undo_steps) == 1
    wait_until(lambda: made.active is group_of(made).children[1])
    events(0.3)
    assert part(live, "intarsia_live").isChecked()  # and it goes on


def stops(docker: Any) -> str:
    """Wait until Live is off; what the panel says about it."""
    wait_until(lambda: not part(docker, "intarsia_live").isChecked())
    count = len(sent(docker))
    events(0.3)
    assert len(sent(docker)) == count and not docker.live.is_on
    assert not part(docker, "intarsia_live_picture").isVisible()
    assert part(docker, "intarsia_run").text() != "Take this"
    return str(part(docker, "intarsia_live_line").text())


def test_another_picture_layer_or_operation_ends_it_and_the_panel_says_so(
    live: Any, made: krita.Document
) -> None:
    made.active = made.root.children[0]
    assert "another layer" in stops(live)
    made.active = group_of(made)
    switch = part(live, "intarsia_live")
    switch.setChecked(True)
    other = krita.two_layers()
    krita.Krita.active, krita.Krita.open_documents = other, [made, other]
    assert "another picture" in stops(live)
    krita.Krita.active = made
    switch.setChecked(True)
    live.panel.form.choose("change")
    wait_until(lambda: not live.live.is_on)
    live.panel.form.choose("join")
    live.refresh()
    assert "another operation" in part(live, "intarsia_live_line").text()
    switch.setChecked(True)
    group_of(made).remove()
    assert "gone" in stops(live)


def test_switched_off_by_hand_nothing_is_said(live: Any) -> None:
    part(live, "intarsia_live").setChecked(False)
    assert stops(live) == ""
    assert live.jobs.named("stop_live")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (EngineUnreachable("No answer."), "the engine stopped. Switching Live on starts it again."),
        (JobFailed("No memory.", remedy="Take less."), "No memory. Take less."),
    ],
)
def test_when_the_engine_dies_or_refuses_it_is_off_and_says_so(
    live: Any, error: Exception, said: str
) -> None:
    live._happen(Event("live_failed", value=(sent(live)[-1], error)))
    assert stops(live) == "Live is off: " + said


def test_what_overtaken_requests_end_with_does_not_matter(live: Any, made: krita.Document) -> None:
    (first,) = sent(live)
    group_of(made).children[1].fill(RED, 0, 0, 1, 1)
    wait_until(lambda: len(sent(live)) == 2)
    live._happen(Event("live_failed", value=(first, JobFailed("No memory."))))
    assert live.live.is_on


def test_nothing_runs_while_the_panel_is_hidden(
    live: Any, made: krita.Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.hide()
    assert live.jobs.named("stop_live")
    looks: list[int] = []
    monkeypatch.setattr(Follower, "look", lambda self, sources: looks.append(1))
    group_of(made).children[1].fill(RED, 0, 0, 1, 1)
    events(0.4)
    assert looks == [] and len(sent(live)) == 1
    monkeypatch.undo()
    live.show()
    wait_until(lambda: len(sent(live)) == 2)  # and then it goes on
    assert live.live.is_on


def test_pieces_that_are_all_hidden_are_said_and_followed_again(
    live: Any, made: krita.Document
) -> None:
    group_of(made).setVisible(False)
    wait_until(lambda: "Nothing shows" in part(live, "intarsia_live_line").text())
    assert live.live.is_on
    group_of(made).setVisible(True)
    group_of(made).children[2].setVisible(False)
    wait_until(lambda: len(sent(live)) == 2)
    assert [p.name for p in sent(live)[1].inputs] == ["Ground", "House"]


def test_without_pieces_it_stays_off_and_says_why(docker: Any, made: krita.Document) -> None:
    made.active = made.root.children[0]
    part(docker, "intarsia_live").setChecked(True)
    assert "no group" in stops(docker)
    assert docker.live.cost_s == 0.0  # it never looked


def test_it_fits_into_240_pixels(live: Any) -> None:
    answer(live, sent(live)[0])
    assert JOIN.live and live.panel.inside.minimumSizeHint().width() <= 240


def test_the_first_preview_and_the_button_below_it_are_scrolled_to(live: Any) -> None:
    live.resize(240, 420)
    events()
    answer(live, sent(live)[0])
    button = part(live, "intarsia_run")
    wait_until(lambda: button.visibleRegion().boundingRect().height() == button.height())
    assert not part(live, "intarsia_live_picture").visibleRegion().isEmpty()
