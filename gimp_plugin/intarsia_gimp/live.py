"""A small preview in the dialog that follows the settings and the image, for quick operations.

GIMP tells a plug-in of no change, so the image is looked at now and then: where its layers lie, and
whether its thumbnail is another one. Pixels are read smaller, and only anew when something changed;
the engine computes the newest request alone. Nothing here waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence, Tuple

from gi.repository import GLib, Gtk

from intarsia_client.errors import IntarsiaError
from intarsia_client.latest import LatestOnly
from intarsia_client.schema import Operation, Pixels, Result, Scalar, Whole
from intarsia_gimp import arguments, pictures, reading
from intarsia_gimp.canvas import Sources
from intarsia_gimp.problems import as_error
from intarsia_gimp.texts import tr
from intarsia_gimp.work import Link, in_main_loop

MOST = 512
"""Nothing that is sent is wider or higher, in pixels."""
ASK_AFTER_MS = 150
"""Settings may change many times a second while a slider is dragged."""
LOOK_EVERY_MS = 700
KEEP_S = 30.0
"""Seconds that the engine keeps a result that nobody fetches."""

Asked = Tuple[Sources, Mapping[str, Any], int]
"""What would be read, the parameters' values, the seed."""


@dataclass(frozen=True)
class Request:
    """One preview: what is sent for it."""

    pixels: Sequence[Pixels]
    values: Mapping[str, Any]
    seed: int
    canvas: float
    """Width of the whole canvas in pixels of what is sent."""


class LivePreview:
    """A check button, and what it switches on. Hidden where an operation is not quick enough."""

    def __init__(
        self,
        link: Link,
        operation: Operation,
        config: Any,
        *,
        asked: Callable[[], Asked | None],
        look: Callable[[], Any],
        thumbnail: Callable[[], Any],
        show: Callable[[Any], Any],
        failed: Callable[[IntarsiaError], Any],
    ) -> None:
        """Make the button.

        Args:
            link: The connection.
            operation: What is previewed.
            config: The procedure's settings; they keep whether the preview is on.
            asked: What a run would be now, or None while it cannot be.
            look: Finds the inputs in the image again.
            thumbnail: The image as it is now, small.
            show: Shows a picture in the dialog.
            failed: Shows a problem.
        """
        self._link, self._operation, self._config = link, operation, config
        self._asked, self._look, self._thumbnail = asked, look, thumbnail
        self._show, self._failed = show, failed
        self._allowed = False
        self._asking = self._watching = 0
        self._base: Any = None
        self._read: tuple[Any, Sequence[Pixels], float] | None = None
        self._latest = LatestOnly(self._submit, self._arrived, self._broken)
        label = arguments.nicks_of(operation).get(arguments.LIVE, "")
        self._button = Gtk.CheckButton(label=label, use_underline=True)
        self._button.set_tooltip_text(
            tr("Shows here what would come out, and follows the settings and the layers.")
        )
        self._busy = Gtk.Spinner()
        self.widget = Gtk.Box(spacing=6)
        self.widget.pack_start(self._button, False, False, 0)
        self.widget.pack_start(self._busy, False, False, 0)
        if operation.live:
            self._button.set_active(bool(config.get_property(arguments.LIVE)))
        else:
            self.widget.set_no_show_all(True)
        self._button.connect("toggled", self._toggled)

    @property
    def is_on(self) -> bool:
        """Whether the preview follows now."""
        return self._allowed and self._button.get_active()

    def allow(self, allowed: bool) -> None:
        """Let it follow, or not: while the operation itself runs, or its result is looked at."""
        self._allowed = allowed
        if self._operation.live:
            self.widget.set_visible(allowed)
        self._switch()

    def ask_soon(self) -> None:
        """Make a new preview in a moment; asking again before that starts the moment anew."""
        if not self.is_on:
            return
        if self._asking:
            GLib.source_remove(self._asking)
        self._asking = GLib.timeout_add(ASK_AFTER_MS, self._ask)

    def close(self) -> None:
        """Stop for good."""
        self._allowed = False
        self._switch()
        self._latest.close()

    # --- inside -------------------------------------------------------------------------------

    def _toggled(self, *_: Any) -> None:
        self._config.set_property(arguments.LIVE, self._button.get_active())
        self._switch()
        if self._allowed and not self.is_on:
            self._show(self._thumbnail())

    def _switch(self) -> None:
        if self.is_on:
            self._watching = self._watching or GLib.timeout_add(LOOK_EVERY_MS, self._watch)
            self.ask_soon()
            return
        for timer in (self._asking, self._watching):
            if timer:
                GLib.source_remove(timer)
        self._asking = self._watching = 0
        self._base = self._read = None
        self._latest.cancel()
        self._busy.stop()

    def _watch(self) -> bool:
        """Whether layers moved is seen by looking, whether they were painted by the thumbnail."""
        self._guarded(self._look)
        before = self._base
        base = self._thumbnail()
        if base is not None and before is not None and base.get_pixels() != before.get_pixels():
            self._base, self._read = base, None
            self.ask_soon()
        return True

    def _ask(self) -> bool:
        self._asking = 0
        self._guarded(self._request)
        return False

    def _request(self) -> None:
        asked = self._asked()
        if asked is None or asked[0].image is None:
            return
        sources, values, seed = asked
        if self._read is None or self._read[0] != sources.found:
            scale = reading.scale_for(sources, MOST)
            self._base = self._thumbnail()
            self._read = sources.found, reading.read(sources, scale), scale
        _, pixels, scale = self._read
        self._busy.start()
        values = reduced(values, self._operation, scale)
        canvas = sources.image.get_width() * scale
        self._latest.request(Request(pixels, values, seed, canvas))

    def _guarded(self, function: Callable[[], Any]) -> None:
        try:
            function()
        except Exception as error:
            self._failed(as_error(error))

    # --- in the thread of the newest request ----------------------------------------------------

    def _submit(self, request: Request) -> Any:
        return self._link.client(start=True).submit(
            self._operation,
            request.pixels,
            request.values,
            seed=request.seed,
            label=tr("Preview of %s") % tr(self._operation.title),
            on_disconnect="cancel",
            keep_s=KEEP_S,
        )

    def _arrived(self, request: Request, result: Result) -> None:
        in_main_loop(self._done, request, result)

    def _broken(self, _request: Request, error: Exception) -> None:
        in_main_loop(self._done, _request, as_error(error))

    def _done(self, request: Request, found: Result | IntarsiaError) -> None:
        if not self.is_on:
            return
        if not self._latest.busy:
            self._busy.stop()
        if isinstance(found, IntarsiaError):
            self._failed(found)
        elif self._base is not None:
            factor = self._base.get_width() / request.canvas
            self._show(pictures.over(self._base, found.layers, factor))


def reduced(values: Mapping[str, Any], operation: Operation, scale: float) -> dict[str, Any]:
    """The values for a smaller picture: widths in pixels shrink with it, as far as they may."""
    found = dict(values)
    for parameter in operation.parameters:
        if isinstance(parameter, (Scalar, Whole)) and parameter.unit == "px":
            value = found[parameter.name] * scale
            value = round(value) if isinstance(parameter, Whole) else value
            found[parameter.name] = min(parameter.maximum, max(parameter.minimum, value))
    return found
