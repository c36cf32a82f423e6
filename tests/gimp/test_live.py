"""The preview that follows settings and layers: what is sent, when, and what is shown."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gi.repository import Gimp, GLib
from gi.repository.GdkPixbuf import Pixbuf
from tests.gimp import pictures_for_tests as made

from intarsia_client.errors import EngineRefused, JobCancelled
from intarsia_client.schema import Input, Operation, Result, ResultLayer, Scalar, Whole
from intarsia_gimp import arguments, canvas, live, pictures, reading
from intarsia_gimp.live import LivePreview

RED, BLUE, CLEAR = (255, 0, 0, 255), (0, 0, 255, 255), (0, 0, 0, 0)
FUSE = Operation(
    "fuse",
    "Fuse",
    "Fuse",
    "Fuses pieces.",
    inputs=(
        Input("pieces", "templates", "Pieces", "What lies together."),
        Input("keep", "area", "Keep", "What stays.", required=False),
    ),
    parameters=(
        Scalar("strength", "Strength", "How much.", 0.0, 1.0, 1.0),
        Scalar("seam", "Seam", "How wide.", 0.5, 50.0, 8.0, unit="px"),
        Whole("grow", "Grow", "How far.", -9, 9, -4, unit="px"),
    ),
    live=True,
)
SIDE = 1024


class Job:
    """A job whose result is there when the test says so."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.cancelled = engine, False
        self.ready = threading.Event()

    def wait(self, *, should_cancel: Callable[[], bool]) -> Result:
        while not self.ready.wait(0.01):
            if should_cancel():
                self.cancelled = True
                raise JobCancelled("Cancelled.")
        if self.engine.error is not None:
            raise self.engine.error
        return self.engine.result

    def look_now(self) -> None:
        pass  # it looks all the time

    def cancel(self) -> None:
        self.cancelled = True


class Engine:
    """Stands for the link and its client."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.jobs: list[Job] = []
        self.starts: list[bool] = []
        self.error: Exception | None = None
        self.result = Result((ResultLayer("Fused", 256, 256, 4, bytes(RED) * 256 * 256),), {})

    def client(self, start: bool) -> Engine:
        self.starts.append(start)
        return self

    def submit(self, operation: Operation, pixels: Any, values: Any, **facts: Any) -> Job:
        self.sent.append((operation.id, pixels, values, facts))
        self.jobs.append(Job(self))
        return self.jobs[-1]


def until(check: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 5
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return check()


class Dialog:
    """What the dialog gives to the preview, and what it is asked to show."""

    def __init__(self, operation: Operation = FUSE, on: bool = True) -> None:
        self.image = made.image(SIDE, SIDE)
        self.group = made.group(self.image, "Bird")
        self.body = made.layer(self.image, "Body", RED, (4, 2), (400, 200), parent=self.group)
        self.values = {"strength": 1.0, "seam": 8.0, "grow": -4}
        self.engine = Engine()
        self.shown: list[Any] = []
        self.problems: list[str] = []
        self.looked, self.paint = 0, 0
        self.config = made.Config(**{"live-preview": on})
        self.live = LivePreview(
            self.engine,  # type: ignore[arg-type]
            operation,
            self.config,
            asked=self.asked,
            look=self.look,
            thumbnail=self.thumbnail,
            show=self.shown.append,
            failed=lambda error: self.problems.append(error.what),
        )

    def asked(self) -> Any:
        return canvas.find_sources(self.image, [self.group], FUSE), self.values, 7

    def look(self) -> None:
        self.looked += 1

    def thumbnail(self) -> Any:
        return Pixbuf(bytes((0, 0, self.paint, 255)) * 32 * 32, 32, 32)

    def answer(self) -> None:
        """Let the newest job end, and wait until that is told."""
        until(lambda: self.engine.jobs)
        self.engine.jobs[-1].ready.set()
        assert self.live._latest.wait_idle(5)
        GLib.iterate()

    def sent(self) -> int:
        """How many requests reached the engine, after a while."""
        time.sleep(0.05)
        return len(self.engine.sent)


@pytest.fixture(autouse=True)
def no_timers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("INTARSIA_HOME", str(tmp_path))
    yield
    GLib._timers.clear()
    GLib.iterate()


def test_a_preview_is_sent_small_in_eight_bit_and_cancelled_with_the_dialog() -> None:
    dialog = Dialog()
    dialog.image.precision = Gimp.Precision.FLOAT_NON_LINEAR
    dialog.live.allow(True)
    GLib.pass_time(200)
    name, pixels, values, facts = until(lambda: dialog.engine.sent)[0]
    assert name == "fuse" and dialog.engine.starts == [True]
    assert [(p.dtype, p.x, p.y, p.width, p.height) for p in pixels] == [("u8", 400, 200, 4, 2)]
    assert (facts["seed"], facts["on_disconnect"]) == (7, "cancel")
    assert values == dialog.values, "nothing was too large, so nothing shrinks"


def test_large_pieces_shrink_and_with_them_what_is_measured_in_pixels() -> None:
    dialog = Dialog()
    made.layer(dialog.image, "Left", BLUE, (4, 4), (-512, 4), parent=dialog.group)
    made.layer(dialog.image, "Right", BLUE, (4, 4), (1532, 4), parent=dialog.group)
    dialog.values["seam"] = 1.0
    dialog.live.allow(True)
    GLib.pass_time(200)
    _, pixels, values, _ = until(lambda: dialog.engine.sent)[0]
    assert [(p.name, p.x, p.width) for p in pixels] == [
        ("Body", 100, 1),
        ("Left", -128, 1),
        ("Right", 383, 1),
    ]
    assert values == {"strength": 1.0, "seam": 0.5, "grow": -1}, "no less than the least"
    dialog.answer()
    assert dialog.shown[0].data == bytes(RED) * 32 * 32, "256 pixels are all of the canvas now"


def test_the_result_is_laid_over_the_thumbnail_where_it_belongs() -> None:
    dialog = Dialog()
    dialog.live.allow(True)
    GLib.pass_time(200)
    dialog.answer()
    (shown,) = dialog.shown
    colours = [shown.data[4 * i : 4 * i + 4] for i in range(32 * 32)]
    red = [i for i, colour in enumerate(colours) if colour == bytes(RED)]
    assert red == [32 * y + x for y in range(8) for x in range(8)]
    assert dialog.thumbnail().data != shown.data and not dialog.problems


def test_many_changes_become_one_request_and_only_the_newest_is_shown() -> None:
    dialog = Dialog()
    dialog.live.allow(True)
    for strength in range(5):
        dialog.values["strength"] = strength / 10
        dialog.live.ask_soon()
        GLib.pass_time(live.ASK_AFTER_MS - 10)
    assert dialog.sent() == 0
    GLib.pass_time(live.ASK_AFTER_MS)
    assert dialog.sent() == 1
    dialog.values["strength"] = 0.9
    dialog.live.ask_soon()
    GLib.pass_time(200)
    until(lambda: len(dialog.engine.jobs) == 2)
    assert dialog.engine.jobs[0].cancelled
    dialog.answer()
    assert len(dialog.shown) == 1 and dialog.engine.sent[1][2]["strength"] == 0.9


def test_pixels_are_read_anew_only_when_layers_moved_or_were_painted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialog, reads = Dialog(), []
    read = reading.read
    monkeypatch.setattr(reading, "read", lambda *args: reads.append(args) or read(*args))
    dialog.live.allow(True)
    GLib.pass_time(200)
    dialog.values["strength"] = 0.5
    dialog.live.ask_soon()
    GLib.pass_time(3000)
    assert dialog.sent() == 2 and len(reads) == 1 and dialog.looked >= 3
    dialog.body.set_offsets(8, 8)
    dialog.live.ask_soon()  # the dialog finds other inputs when it looks
    GLib.pass_time(200)
    assert len(reads) == 2
    dialog.paint = 90
    GLib.pass_time(live.LOOK_EVERY_MS + 200)
    assert len(reads) == 3 and dialog.sent() == 4


def test_it_rests_while_the_operation_runs_and_goes_on_afterwards() -> None:
    dialog = Dialog()
    dialog.live.allow(True)
    GLib.pass_time(200)
    until(lambda: dialog.engine.jobs)
    dialog.live.allow(False)
    until(lambda: dialog.engine.jobs[0].cancelled)
    dialog.live.ask_soon()
    GLib.pass_time(5000)
    assert dialog.sent() == 1 and not GLib._timers
    dialog.live.allow(True)
    GLib.pass_time(200)
    assert dialog.sent() == 2
    dialog.live.close()
    assert not GLib._timers


def test_off_it_does_nothing_and_the_setting_is_kept() -> None:
    dialog = Dialog(on=False)
    dialog.live.allow(True)
    GLib.pass_time(3000)
    assert dialog.sent() == 0 and not GLib._timers
    dialog.live._button.set_active(True)
    assert dialog.config.values["live-preview"] is True
    GLib.pass_time(200)
    assert dialog.sent() == 1
    dialog.live._button.set_active(False)
    assert dialog.config.values["live-preview"] is False and not GLib._timers
    assert dialog.shown[-1].data == dialog.thumbnail().data


def test_an_operation_that_is_not_quick_has_no_preview() -> None:
    slow = dataclasses.replace(FUSE, live=False)
    dialog = Dialog(slow)
    dialog.live.allow(True)
    GLib.pass_time(3000)
    assert dialog.sent() == 0 and not GLib._timers
    quick, other = (Gimp.ImageProcedure.new(None, "x", "plugin", None, None) for _ in "ab")
    arguments.add_arguments(quick, FUSE)
    arguments.add_arguments(other, slow)
    assert quick.arguments["live-preview"][0] == "boolean_aux_argument"
    assert "live-preview" not in other.arguments


def test_what_goes_wrong_is_said_and_the_next_change_tries_again() -> None:
    dialog = Dialog()
    dialog.engine.error = EngineRefused("It is busy.")
    dialog.live.allow(True)
    GLib.pass_time(200)
    dialog.answer()
    assert dialog.problems == ["It is busy."] and dialog.shown == []
    dialog.engine.error = None
    dialog.live.ask_soon()
    GLib.pass_time(200)
    until(lambda: len(dialog.engine.jobs) == 2)
    dialog.answer()
    assert len(dialog.shown) == 1
    dialog.body.visible = False
    dialog.live.ask_soon()
    GLib.pass_time(200)
    assert "nothing in the group “Bird” is visible" in dialog.problems[-1]


# --- smaller pixels -------------------------------------------------------------------------------


def test_smaller_pixels_weigh_colours_by_their_alpha() -> None:
    image = made.image(4, 4)
    group = made.group(image, "Group")
    piece = made.layer(image, "Piece", CLEAR, (4, 4), parent=group)
    piece.buffer.pixels[0][0] = (1.0, 0.0, 0.0, 1.0)
    made.select(image, 0, 0, 1, 2)
    sources = canvas.find_sources(image, [group], FUSE)
    read, keep = reading.read(sources, 0.5)
    assert (read.width, read.height, read.data[:8]) == (2, 2, bytes((255, 0, 0, 64)) + bytes(4))
    assert (keep.width, keep.height, keep.data) == (1, 1, bytes((128,)))


def test_the_scale_fits_all_of_it_and_never_enlarges() -> None:
    image = made.image(100, 100)
    group = made.group(image, "Group")
    made.layer(image, "One", RED, (10, 4), (-20, 0), parent=group)
    made.layer(image, "Two", RED, (10, 4), (170, 0), parent=group)
    sources = canvas.find_sources(image, [group], FUSE)
    assert reading.scale_for(sources, 100) == 0.5
    assert reading.scale_for(sources, 1000) == 1.0


def test_a_layer_laid_over_is_cut_at_the_picture_and_masks_are_left_out() -> None:
    base = Pixbuf(bytes(BLUE) * 16, 4, 4)
    layer = ResultLayer("R", 4, 2, 4, bytes(RED) * 8, x=-2, y=3)
    outside = ResultLayer("R", 4, 2, 4, bytes(RED) * 8, x=9, y=9)
    edge = ResultLayer("M", 4, 4, 1, bytes(16))
    shown = pictures.over(base, [layer, outside, edge], 1.0)
    rows = [shown.data[16 * y : 16 * y + 16] for y in range(4)]
    assert rows == [bytes(BLUE) * 4] * 3 + [bytes(RED) * 2 + bytes(BLUE) * 2]
    assert base.data == bytes(BLUE) * 16
