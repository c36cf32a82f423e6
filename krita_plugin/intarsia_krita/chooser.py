"""What the artist chose to be read, between the open document and the panel's lists."""

from __future__ import annotations

from typing import Any, Sequence

from intarsia_client.schema import ClassBinding
from intarsia_krita import recipes
from intarsia_krita.candidates import Picks
from intarsia_krita.color_labels import labelled_layers
from intarsia_krita.panel import Panel
from intarsia_krita.situation import Situation, active_layer, look


class Chooser:
    """Fills the panel's lists from a document, and says what a run would read."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._held: Picks = {}

    def hold(self, picks: Picks) -> None:
        """Keep inputs to what they are read from, whatever layer is active; empty: no longer."""
        self._held = dict(picks)

    def show(self, document: Any | None, key: str) -> None:
        """Offer the layers, masks and colour labels that a document has now.

        Args:
            document: The open picture, or None.
            key: Its id.
        """
        active = active_layer(document) if document is not None else None
        self._panel.inputs.show_inputs(document, key, self._panel.form.operation, active)
        others = {value for values in self._panel.inputs.picks().values() for value in values}
        labelled = labelled_layers(document, active, others) if document is not None else {}
        areas = [(a, ", ".join(n.name() for n in nodes)) for a, nodes in labelled.items()]
        self._panel.stock.set_areas(areas)

    def look(self, document: Any | None) -> Situation:
        """See what a run would read; raises as `intarsia_krita.situation.look` does."""
        return look(document, self._panel.form.operation, self._picks())

    def show_binding(self, document: Any | None) -> None:
        """Show which classes a document's colour labels stand for."""
        if document is not None:
            self._panel.form.show_binding(recipes.binding_of(document))

    def keep_binding(self, document: Any | None, name: str) -> bool:
        """Store them with the document if that parameter holds them; False if it does not."""
        binding = self._panel.form.binding(name)
        if document is None or binding is None:
            return False
        recipes.keep_binding(document, binding)
        return True

    def _picks(self) -> Picks:
        """What each input is read from; of the coloured areas those that have a class."""
        found: dict[str, Sequence[str]] = {**self._panel.inputs.picks()}
        values = self._panel.form.values()
        for parameter in self._panel.form.operation.parameters:
            if isinstance(parameter, ClassBinding):
                found[parameter.input] = tuple(values[parameter.name])
        found.update(self._held)
        return found
