"""The dialog of one operation: settings, expected time, progress, the result to keep or to discard.

It is GIMP's own `ProcedureDialog` (settings can be saved, loaded and reset), kept open while
the job runs: the Run button turns into Cancel, then Keep. Nothing blocks: `intarsia_gimp.work`.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence

from gi.repository import Gimp, GimpUi, GLib, Gtk

from intarsia_client.errors import (
    EngineError,
    IntarsiaError,
    InvalidRequest,
    JobCancelled,
    JobError,
)
from intarsia_client.schema import Operation, Progress, Result
from intarsia_gimp import arguments, canvas, inputs, pictures, placement, reading, tags
from intarsia_gimp.expected import ExpectedTime
from intarsia_gimp.frames import scrubbed
from intarsia_gimp.known_models import KnownModels
from intarsia_gimp.live import LivePreview
from intarsia_gimp.panels import (
    ProblemPanel,
    ProgressPanel,
    name_for_readers,
    scrolled,
    show_log,
    text_label,
    use_style,
)
from intarsia_gimp.problems import as_error, failure, success
from intarsia_gimp.settings import Settings
from intarsia_gimp.strip import Strip
from intarsia_gimp.texts import tr
from intarsia_gimp.trial import Trial
from intarsia_gimp.work import Link, Run, in_background

PICTURE_SIDE = 320
SETTINGS_WIDTH = 380
"""Room for sliders that can be aimed at."""
AROUND_SETTINGS = 360
"""Height of everything that is above and below the settings."""
SCRUB_MS = 40
"""While a slider is dragged, frames are shown at most this often."""
IDLE, RUNNING, RESULT = "idle", "running", "result"


class OperationDialog:
    """One run of one operation, from its settings to the new layer."""

    def __init__(
        self,
        procedure: Any,
        config: Any,
        operation: Operation,
        image: Any,
        drawables: Sequence[Any],
    ) -> None:
        self._procedure, self._config, self._operation = procedure, config, operation
        self._image, self._drawables = image, drawables
        self._link, self._loop = Link(), GLib.MainLoop()
        self._state = IDLE
        self._outcome: Any = None
        self._sources: canvas.Sources | None = None
        self._place: placement.Place | None = None
        self._run: Run | None = None
        self._job = ""
        self._trial: Trial | None = None
        self._values: dict[str, Any] = {}
        self._scrubbing = 0
        self._choosers = [arguments.argument_name(i.name) for i in inputs.chosen_inputs(operation)]
        self._choosers += [arguments.argument_name(p.name) for p in arguments.bindings(operation)]
        self._looking = 0
        self._before: Any = None
        self._after: Any = None
        GimpUi.init("intarsia")
        use_style()
        self._dialog = GimpUi.ProcedureDialog.new(procedure, config, tr(operation.title))
        self._build()

    def run(self) -> Any:
        """Show the dialog until it is closed; returns the values for GIMP."""
        self._dialog.show()
        self._look()
        self._picture.set_from_pixbuf(self._thumbnail())
        while self._outcome is None:
            self._set_state(IDLE)
            if not self._dialog.run():
                self._outcome = failure(self._procedure, JobCancelled("closed"))
                break
            if self._start():
                self._loop.run()
        self._live.close()
        self._dialog.destroy()
        self._link.drop()
        return self._outcome

    # --- the window ---------------------------------------------------------------------------

    def _build(self) -> None:
        dialog = self._dialog
        self._picture = name_for_readers(Gtk.Image(), tr("Preview"))
        frame = Gtk.Frame()
        frame.set_valign(Gtk.Align.START)
        self._room = (PICTURE_SIDE, PICTURE_SIDE)
        if self._image is not None:
            size = (self._image.get_width(), self._image.get_height())
            self._room = pictures.fitted_size(*size, self._room)
        frame.set_size_request(PICTURE_SIDE + 8, max(self._room[1], PICTURE_SIDE // 2) + 8)
        frame.add(self._picture)
        self._compare = Gtk.CheckButton(label=tr("Show the result"))
        self._compare.connect("toggled", self._guard(self._show_result))
        self._compare.set_no_show_all(True)
        left = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        left.pack_start(frame, False, False, 0)
        left.pack_start(self._compare, False, False, 0)
        self._live = LivePreview(
            self._link,
            self._operation,
            self._config,
            asked=lambda: self._asked() if self._sources is not None else None,
            look=self._look,
            thumbnail=self._thumbnail,
            show=self._show_live,
            failed=lambda error: self._problem.show(error),
        )
        left.pack_start(self._live.widget, False, False, 0)
        self._strip = Strip(self._guard(self._pick))
        left.pack_start(self._strip.widget, False, False, 0)
        self._known = KnownModels(self._link)
        self._settings = Settings(dialog, self._config, self._operation, self._image, self._known)
        self._expected = ExpectedTime(
            self._link,
            self._operation,
            self._question,
            on_error=lambda error: self._problem.show(error),
            on_started=self._known.refresh,
        )
        self._reads = text_label(width=44)
        right = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=10)
        right.set_size_request(SETTINGS_WIDTH, -1)
        right.pack_start(
            text_label(tr(self._operation.summary), dim=True, width=44), False, False, 0
        )
        right.pack_start(self._reads, False, False, 0)
        right.pack_start(scrolled(self._settings.widget, AROUND_SETTINGS), False, False, 0)
        right.pack_end(self._expected.widget, False, False, 0)
        columns = Gtk.Box(spacing=16)
        columns.pack_start(left, False, False, 0)
        columns.pack_start(right, True, True, 0)
        self._progress = ProgressPanel(self._pause)
        self._problem = ProblemPanel(self._guard(self._repair))
        self._message = text_label(width=72)
        self._message.set_no_show_all(True)
        area = dialog.get_content_area()
        area.set_spacing(10)
        for index, widget in enumerate(
            (columns, self._progress.widget, self._message, self._problem.widget)
        ):
            area.pack_start(widget, index == 0, True, 0)
            area.reorder_child(widget, index)
        columns.show_all()
        self._go = dialog.get_widget_for_response(Gtk.ResponseType.OK)
        self._leave = dialog.get_widget_for_response(Gtk.ResponseType.CANCEL)
        self._presets = [c for c in area.get_children() if isinstance(c, Gtk.ButtonBox)]
        row = self._go.get_parent().get_children()
        self._others = [b for b in row if b not in (self._go, self._leave)]
        dialog.connect("response", self._guard(self._respond))
        dialog.connect("delete-event", lambda *_: True)
        dialog.connect("focus-in-event", self._guard(lambda *_: self._look()))
        self._config.connect("notify", self._guard(self._settings_changed))
        slider = scrubbed(self._operation)
        if slider is not None:
            name = "notify::" + arguments.argument_name(slider.name)
            self._config.connect(name, self._guard(self._scrub_soon))

    def _set_state(self, state: str) -> None:
        self._state = state
        idle = state == IDLE
        self._settings.allow(idle, self._trial is not None and self._trial.can_scrub)
        for widget in self._presets + self._others:
            widget.set_visible(idle)
        help_button = self._dialog.get_widget_for_response(Gtk.ResponseType.HELP)
        if help_button is not None:
            help_button.hide()
        can_leave = state != RUNNING or self._operation.trains
        self._leave.set_visible(can_leave)
        self._leave.set_sensitive(state != RUNNING)
        labels = {
            IDLE: (tr(self._operation.verb), tr("Close")),
            RUNNING: (tr("Cancel"), tr("Run in the background")),
            RESULT: (tr("Keep"), tr("Discard")),
        }
        for button, label in zip((self._go, self._leave), labels[state]):
            button.set_label(label)
        self._go.set_sensitive(not idle or self._sources is not None)
        self._compare.set_visible(state == RESULT)
        self._message.set_visible(state == RESULT)
        self._expected.widget.set_visible(idle)
        self._live.allow(idle)
        if idle:
            self._strip.offer([])
            self._known.refresh()
            self._progress.stop()
            self._expected.ask_soon()

    # --- what will be read --------------------------------------------------------------------

    def _look(self) -> None:
        """Find the inputs again; the artist may have changed the selection meanwhile."""
        if self._state != IDLE:
            return
        had = self._sources
        try:
            if self._image is not None and not self._image.is_valid():
                raise InvalidRequest(
                    tr("The image was closed."), remedy=tr("Close this dialog and open it again.")
                )
            self._sources = self._find()
        except IntarsiaError as error:
            self._sources = None
            self._reads.set_text("")
            self._problem.show(error)
        else:
            if had is None:
                self._problem.hide()
            self._reads.set_text(canvas.describe(self._sources, self._operation))
        self._go.set_sensitive(self._sources is not None)
        if self._sources is not None and (had is None or had.found != self._sources.found):
            self._expected.ask_soon()
            self._live.ask_soon()

    def _find(self) -> canvas.Sources:
        """What a run would read; offers what the image has to the controls first."""
        bare = canvas.find_layers(self._image, self._drawables, self._operation)
        self._settings.look(*bare)
        return self._found(arguments.values_of(self._config, self._operation)[0])

    def _found(self, values: dict[str, Any]) -> canvas.Sources:
        picks = arguments.picks_of(self._config, self._operation, values)
        return canvas.find_sources(self._image, self._drawables, self._operation, picks)

    def _settings_changed(self, _config: Any, changed: Any) -> None:
        if self._state != IDLE:
            return
        if changed.name in self._choosers:
            self._look_soon()
        elif self._sources is not None:
            self._problem.hide()
        self._expected.ask_soon()
        self._live.ask_soon()

    def _look_soon(self) -> None:
        """Not at once: looking changes the settings that are about to be told of."""
        if not self._looking:
            self._looking = GLib.idle_add(self._guard(self._look_now))

    def _look_now(self) -> bool:
        self._looking = 0
        self._look()
        return False

    def _asked(self) -> tuple[canvas.Sources, dict[str, Any], int]:
        """What a run would read, its parameters' values and the seed."""
        values, seed = arguments.values_of(self._config, self._operation)
        sources = self._found(values)
        given = [source.name for source in sources.found if source.kind == canvas.TAG]
        return sources, arguments.only_read(values, self._operation, given), seed

    def _question(self) -> tuple[Any, Any] | None:
        """What the expected time depends on."""
        if self._state != IDLE or self._sources is None:
            return None
        return arguments.values_of(self._config, self._operation)[0], self._sources.sizes()

    def _thumbnail(self) -> Any:
        if self._image is None or not self._image.is_valid():
            return None
        return self._image.get_thumbnail(*self._room, Gimp.PixbufTransparency.SMALL_CHECKS)

    def _show_live(self, pixbuf: Any) -> None:
        self._problem.hide()
        self._picture.set_from_pixbuf(pixbuf)

    # --- the job ------------------------------------------------------------------------------

    def _start(self) -> bool:
        """Read the pixels and send them; False where a problem is shown instead."""
        self._problem.hide()
        try:
            sources, self._values, seed = self._asked()
            self._place = placement.place_of(sources)
            pixels = reading.read(sources)
            self._remember_classes(sources)
        except Exception as error:
            self._problem.show(as_error(error))
            return False
        self._set_state(RUNNING)
        self._progress.start(tr("Sending the picture to the engine…"), self._operation.trains)
        self._run = Run(
            self._link,
            on_accepted=self._guard(self._accepted),
            on_progress=self._guard(self._progressed),
            on_event=self._guard(self._event),
            on_result=self._guard(self._finished),
            on_error=self._guard(self._failed),
        )
        label = self._image.get_name() if self._image is not None else ""
        self._run.start(self._operation, pixels, self._values, seed, label)
        return True

    def _remember_classes(self, sources: canvas.Sources) -> None:
        for parameter in arguments.bindings(self._operation) if self._image is not None else []:
            shown = tags.tagged(self._image, sources.element)
            tags.remember(self._image, self._values[parameter.name], shown)

    def _accepted(self, job: str) -> None:
        self._job = job
        self._leave.set_sensitive(True)
        self._progress.say(tr("Waiting for the engine…"))
        if self._operation.trains and self._place is not None:
            placement.remember(self._place, job)

    def _progressed(self, progress: Progress) -> None:
        if self._state != RUNNING:
            return
        self._progress.update(progress)
        if progress.preview is not None:
            preview = pictures.pixbuf_of(progress.preview)
            self._picture.set_from_pixbuf(pictures.fitted(preview, self._room))

    def _event(self, kind: str) -> None:
        if kind == "paused":
            self._progress.say(tr("Paused."))
        elif kind == "requeued":
            self._progress.say(tr("The engine had to start again; the work goes on where it was."))
        elif kind == "disconnected":
            self._progress.say(tr("The connection to the engine broke; trying again…"))

    def _finished(self, result: Result) -> None:
        assert self._place is not None
        self._progress.stop()
        trial = self._trial = Trial(self._operation, self._place, result, self._values)
        self._set_state(RESULT)
        if trial.image is not None:
            trial.show(False)
            self._before = self._thumbnail()
            trial.show(True)
        self._show_after()
        self._compare.set_visible(trial.image is not None)
        self._compare.set_active(True)
        self._message.set_text(trial.text())
        self._strip.offer(trial.choices())
        self._go.grab_focus()

    def _show_after(self) -> None:
        assert self._trial is not None
        if self._trial.image is not None:
            self._after = self._thumbnail()
        else:
            self._after = pictures.fitted(self._trial.pixbuf(), self._room)
        self._picture.set_from_pixbuf(self._after)

    def _pick(self, number: int, wanted: bool) -> None:
        if self._state == RESULT and self._trial is not None:
            self._go.set_sensitive(self._trial.pick(number, wanted))
            self._show_after()

    def _scrub_soon(self, *_: Any) -> None:
        if self._trial is not None and self._trial.can_scrub and not self._scrubbing:
            self._scrubbing = GLib.timeout_add(SCRUB_MS, self._guard(self._scrub))

    def _scrub(self) -> bool:
        """Show the frame for where the slider is now."""
        self._scrubbing = 0
        slider = scrubbed(self._operation)
        if self._state == RESULT and self._trial is not None and slider is not None:
            self._compare.set_active(True)
            self._trial.scrub(self._config.get_property(arguments.argument_name(slider.name)))
            self._show_after()
        return False

    def _failed(self, error: IntarsiaError) -> None:
        if isinstance(error, EngineError):
            self._link.drop()
        if not isinstance(error, JobCancelled):
            self._problem.show(error)
        if isinstance(error, JobError):
            self._end_job()
        self._picture.set_from_pixbuf(self._thumbnail())
        self._loop.quit()

    def _pause(self, paused: bool) -> None:
        if self._run is not None:
            self._run.pause(paused, self._problem.show)

    # --- the buttons --------------------------------------------------------------------------

    def _respond(self, _dialog: Any, response: int) -> None:
        if self._state == RUNNING:
            self._respond_running(response == Gtk.ResponseType.OK)
        elif self._state == RESULT:
            if response == Gtk.ResponseType.OK:
                self._keep()
            else:
                self._discard()

    def _respond_running(self, cancel: bool) -> None:
        assert self._run is not None
        if cancel or not self._operation.trains or not self._job:
            self._progress.say(tr("Cancelling…"))
            self._run.cancel()
        else:
            self._run.leave()
            self._outcome = success(self._procedure)
            self._loop.quit()

    def _keep(self) -> None:
        assert self._trial is not None
        if self._scrubbing:
            self._scrub()
        placed = self._trial.keep()
        self._trial = None
        self._end_job()
        if placed.moved:
            Gimp.message(placed.text)
        self._outcome = success(self._procedure)
        self._loop.quit()

    def _discard(self) -> None:
        assert self._trial is not None
        self._trial.discard()
        self._trial = None
        self._end_job()
        self._picture.set_from_pixbuf(self._before)
        self._loop.quit()

    def _end_job(self) -> None:
        if self._place is not None and self._job:
            placement.forget(self._place, self._job)
        if self._run is not None:
            self._run.acknowledge()
        self._job = ""

    def _show_result(self, button: Any) -> None:
        if self._state == RESULT and self._trial is not None:
            shown = button.get_active()
            self._trial.show(shown)
            self._picture.set_from_pixbuf(self._after if shown else self._before)

    def _repair(self, action: dict[str, Any]) -> None:
        """Do what the error's button promises, then run again."""
        if action.get("do") == "log":
            show_log()
            return
        if action.get("set"):
            arguments.set_values(self._config, self._operation, action["set"])
        if action.get("do") == "release":
            in_background(
                lambda: self._link.client(True).release(),
                lambda _: self._rerun(),
                self._problem.show,
            )
            return
        self._rerun()

    def _rerun(self) -> None:
        if self._state == IDLE:
            self._dialog.response(Gtk.ResponseType.OK)

    def _guard(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """GTK only prints what its callbacks raise; the artist should read it."""

        def call(*args: Any) -> Any:
            try:
                return function(*args)
            except Exception as error:
                self._problem.show(as_error(error))
                if self._state == RUNNING:
                    self._loop.quit()
                return None

        return call
