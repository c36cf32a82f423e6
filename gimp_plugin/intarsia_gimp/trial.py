"""A result on the canvas until the artist decides: compare, move between frames, keep, discard."""

from __future__ import annotations

from typing import Any, Mapping

from intarsia_client import wording
from intarsia_client.schema import Operation, Result
from intarsia_gimp import film, pictures
from intarsia_gimp.frames import layers_at, only, result_at, scrubbed
from intarsia_gimp.placement import Place, Placed, Preview
from intarsia_gimp.texts import tr


class Trial:
    """Layers in the image that are no result yet; nothing of it is in the undo history."""

    def __init__(
        self, operation: Operation, place: Place, result: Result, values: Mapping[str, Any]
    ) -> None:
        self._place, self._result = place, result
        self._slider = scrubbed(operation)
        self._asked = float(values[self._slider.name]) if self._slider is not None else 0.0
        self._amount = self._asked
        self._preview = Preview(place, result.layers)
        self._picked = [True] * len(result.layers)
        self._visible = True

    @property
    def image(self) -> Any:
        """The image it lies in, or None where that is closed or there was none."""
        return self._preview.image

    @property
    def can_scrub(self) -> bool:
        """Whether the slider moves between frames."""
        return self._slider is not None and bool(self._result.frames)

    def show(self, visible: bool) -> None:
        """Show or hide it, to compare with what was there."""
        self._visible = visible
        self._preview.show([visible and picked for picked in self._picked])

    def choices(self) -> list[tuple[int, str, Any]]:
        """Number, name and picture of each layer, where there are several to choose from.

        What belongs together, a group or an animation, is kept or dropped as a whole.
        """
        layers = [(i, x) for i, x in enumerate(self._result.layers) if x.channels == 4]
        if len(layers) < 2 or any(x.group or x.duration_ms is not None for _, x in layers):
            return []
        return [(index, layer.name, pictures.pixbuf_of(layer)) for index, layer in layers]

    def pick(self, index: int, wanted: bool) -> bool:
        """Choose whether a layer is kept; a mask goes with it. Returns whether any layer is."""
        self._picked[index] = wanted
        for number, layer in enumerate(self._result.layers):
            if layer.mask_of == index:
                self._picked[number] = wanted
        self.show(self._visible)
        return any(self._picked)

    def scrub(self, amount: float) -> None:
        """Show the frame nearest to an amount."""
        if self.can_scrub and amount != self._amount:
            self._amount = amount
            self._preview.fill(layers_at(self._result, self._asked, amount))

    def pixbuf(self) -> Any:
        """The topmost layer itself, for where there is no image to look at."""
        layers = self._result.layers
        if self.can_scrub:
            layers = layers_at(self._result, self._asked, self._amount)
        return pictures.pixbuf_of([x for x in layers if x.channels == 4 or len(layers) == 1][-1])

    def keep(self) -> Placed:
        """Make it a result: new layers as one undo step, at the amount shown."""
        result = self._result
        if self._slider is not None and self.can_scrub:
            result = result_at(result, self._slider, self._asked, self._amount)
        self._preview.remove()
        return film.keep(self._place, only(result, self._picked))

    def discard(self) -> None:
        """Take it away again."""
        self._preview.remove()

    def text(self) -> str:
        """What the artist should know of it."""
        question = tr("This is how it looks in the picture. Keep the new layer?")
        if self.choices():
            question = tr("Keep the new layers? Those that are not pressed are dropped.")
        if all(layer.duration_ms is not None for layer in self._result.layers):
            question = tr("This is its last picture. Keep opens the animation as a new image.")
        if self.image is None:
            question = tr("Keep opens the result as a new image.")
            if self._place.image:
                question = tr(
                    "The image was closed meanwhile. Keep opens the result as a new image."
                )
        words = [question]
        if self.can_scrub and self._slider is not None:
            words.append(tr("Move “%s” to change it.") % tr(self._slider.label))
        took = self._result.seconds.get("total")
        if took is not None:
            words.append(tr("It took %s.") % wording.duration(took))
        return "\n".join([" ".join(words), *facts_of(self._result)])


def facts_of(result: Result) -> list[str]:
    """A result's notes, and how well the model could repeat the picture if no note says so."""
    lines = [tr(note) for note in result.notes]
    fit = result.metrics.get("fit")
    if fit is not None and not any("(fit" in note for note in lines):
        lines.insert(0, tr("Fit of the model to the picture: %d %%.") % round(100 * fit))
    return lines
