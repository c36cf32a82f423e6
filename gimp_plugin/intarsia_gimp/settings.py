"""The settings of an operation's dialog: one control per parameter and per chosen input."""

from __future__ import annotations

from typing import Any, Callable

from gi.repository import GimpUi, GObject, Gtk

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import (
    Choice,
    ClassBinding,
    ClassName,
    Folder,
    Input,
    ModelRef,
    Operation,
    Parameter,
    Scalar,
    applies,
)
from intarsia_gimp import arguments, controls, inputs, tags
from intarsia_gimp.arguments import argument_name
from intarsia_gimp.frames import scrubbed
from intarsia_gimp.known_models import BEST, KnownModels
from intarsia_gimp.panels import name_for_readers
from intarsia_gimp.texts import tr


class Settings:
    """A column of controls, bound to the procedure's settings."""

    def __init__(
        self, dialog: Any, config: Any, operation: Operation, image: Any, known: KnownModels
    ) -> None:
        self._dialog, self._config, self._operation = dialog, config, operation
        self._image, self._known = image, known
        self._nicks = arguments.nicks_of(operation)
        self._labels = Gtk.SizeGroup(mode=Gtk.SizeGroupMode.HORIZONTAL)
        self._rows: dict[str, Any] = {}
        self._on_look: list[Callable[[Any, Any], Any]] = []
        self._on_models: list[Callable[[], Any]] = []
        self._remember_binding()
        self._forget_pieces()
        self.widget = self._build()
        known.listen(self._models_changed)
        self._show_those_that_count()
        for parameter in operation.parameters:
            if isinstance(parameter, ModelRef):
                name = argument_name(parameter.name)
                config.connect("notify::" + name, lambda *_: self._models_changed())
        self._models_changed()

    def look(self, active: Any, element: Any) -> None:
        """Offer what the image has now.

        Args:
            active: The layer that the artist chose, or None.
            element: The layer that is edited, or None.
        """
        for function in self._on_look:
            function(active, element)

    def allow(self, changes: bool, scrubbing: bool) -> None:
        """Which controls can be used.

        Args:
            changes: All of them.
            scrubbing: The slider that moves between frames.
        """
        slider = scrubbed(self._operation)
        for name, row in self._rows.items():
            is_slider = slider is not None and name == argument_name(slider.name)
            row.set_sensitive(changes or (scrubbing and is_slider))

    def _show_those_that_count(self) -> None:
        """Hide the rows that do nothing with the other settings as they are, and follow those."""
        depending = [p for p in self._operation.parameters if p.only_with]
        choices = {p.only_with.partition("=")[0] for p in depending}

        def show(*_: Any) -> None:
            values = {name: self._config.get_property(argument_name(name)) for name in choices}
            for parameter in depending:
                row = self._rows[argument_name(parameter.name)]
                row.set_visible(applies(parameter, values))

        for parameter in depending:
            row = self._rows[argument_name(parameter.name)]
            row.show_all()
            row.set_no_show_all(True)  # else the dialog shows it again with all others
        for name in choices:
            self._config.connect("notify::" + argument_name(name), show)
        show()

    # --- building -----------------------------------------------------------------------------

    def _build(self) -> Any:
        first, advanced = arguments.split_advanced(self._operation)
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=8)
        for item in inputs.chosen_inputs(self._operation):
            self._add(box, argument_name(item.name), self._input_row(item))
        for name in first:
            self._add(box, name, self._row(name))
        folded = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=8)
        folded.set_margin_start(12)
        folded.set_margin_top(6)
        for name in advanced:
            self._add(folded, name, self._row(name))
        expander = GimpUi.prop_expander_new(self._config, arguments.ADVANCED, tr("Advanced"))
        expander.add(folded)
        box.pack_start(expander, False, False, 0)
        return box

    def _add(self, box: Any, name: str, row: Any) -> None:
        box.pack_start(row, False, False, 0)
        self._rows[name] = row

    def _row(self, name: str) -> Any:
        by_name = {argument_name(p.name): p for p in self._operation.parameters}
        parameter = by_name.get(name)
        if isinstance(parameter, (ModelRef, ClassName, ClassBinding, Folder)):
            return self._own_row(parameter)
        return self._gimp_row(name, parameter)

    def _gimp_row(self, name: str, parameter: Parameter | None) -> Any:
        """GIMP's own widget for an argument, bound to the settings."""
        if isinstance(parameter, Scalar):
            widget = self._dialog.get_scale_entry(name, 1.0)
            for child in widget.get_children():
                if isinstance(child, Gtk.Scale):
                    child.connect("scroll-event", _only_with_focus)
        else:
            widget = self._dialog.get_widget(name, GObject.TYPE_NONE)
        if parameter is not None:
            widget.set_tooltip_text(_help_of(parameter))
            name_for_readers(widget, arguments.label_of(parameter))
        if isinstance(widget, GimpUi.Labeled):
            self._labels.add_widget(widget.get_label())
        return widget

    def _own_row(self, parameter: ModelRef | ClassName | ClassBinding | Folder) -> Any:
        argument = controls.TextArgument(self._config, argument_name(parameter.name))
        if isinstance(parameter, Folder):
            control: Any = controls.FolderControl(argument, tr(parameter.label))
        elif isinstance(parameter, ModelRef):
            control = controls.ListControl(argument)
            self._on_models.append(lambda: self._offer_models(control, parameter))
        elif isinstance(parameter, ClassName):
            control = controls.ClassControl(argument, tr(parameter.empty))
            self._on_models.append(lambda: control.offer(self._classes(parameter.model)))
        else:
            control = controls.BindingControl(argument, _reader(parameter), tags.as_text)
            self._on_models.append(lambda: control.offer(self._classes(parameter.model)))
            self._on_look.append(lambda _, element: control.look(self._tag_rows(element)))
        return self._labelled(parameter, control, _help_of(parameter))

    def _input_row(self, item: Input) -> Any:
        argument = controls.TextArgument(self._config, argument_name(item.name))
        if item.role == "area":
            control: Any = controls.ListControl(argument)
            row = self._labelled(item, control, tr(item.help))
            row.show_all()
            row.set_no_show_all(True)
            self._on_look.append(lambda *found: self._offer_areas(control, item, row, *found))
            return row
        if item.several:
            control = controls.LayersControl(argument)
        else:
            control = controls.ListControl(argument)
        self._on_look.append(lambda *found: self._offer_layers(control, item, *found))
        row = self._labelled(item, control, tr(item.help))
        if inputs.takes_pieces(item):
            row.show_all()
            row.set_no_show_all(True)
            self._on_look.append(lambda _, group: self._show_pieces(row, argument, group))
        return row

    def _show_pieces(self, row: Any, argument: controls.TextArgument, group: Any) -> None:
        """There is nothing to tick where a group was chosen."""
        from_group = group is not None and not inputs.needs_layer(self._operation)
        row.set_visible(not from_group or bool(argument.get()))

    def _labelled(self, item: Input | Parameter, control: Any, hint: str) -> Any:
        focus = getattr(control, "focus", None)
        tall = isinstance(control, (controls.BindingControl, controls.LayersControl))
        row, label = controls.labelled(
            self._nicks[item.name], control.widget, hint, focus=focus, top=tall
        )
        self._labels.add_widget(label)
        return row

    # --- models and classes -------------------------------------------------------------------

    def _models_changed(self) -> None:
        for function in self._on_models:
            function()

    def _offer_models(self, control: Any, parameter: ModelRef) -> None:
        there = self._known.choices(parameter.capability)
        control.offer([(BEST, tr(parameter.empty)), *there], keep_unknown=True)

    def _classes(self, name: str) -> list[str]:
        """Classes of the model that a parameter names."""
        refs = [p for p in self._operation.parameters if isinstance(p, ModelRef) and p.name == name]
        if not refs:
            return self._known.labels(BEST)
        chosen = self._config.get_property(argument_name(name)) or BEST
        return self._known.labels(chosen, refs[0].capability)

    # --- what the image has -------------------------------------------------------------------

    def _remember_binding(self) -> None:
        """Begin with the classes that the image remembers."""
        binding = tags.binding_of(self._image)
        for parameter in arguments.bindings(self._operation) if binding else []:
            name = argument_name(parameter.name)
            self._config.set_property(name, tags.as_text(binding))

    def _forget_pieces(self) -> None:
        """Begin with what is chosen now, not with what was ticked in another run."""
        for item in inputs.chosen_inputs(self._operation):
            if inputs.takes_pieces(item):
                self._config.set_property(argument_name(item.name), "")

    def _tag_rows(self, element: Any) -> list[tuple[str, str, str, int]]:
        found = tags.tagged(self._image, element) if self._image is not None else {}
        return [
            (tag, tags.name_of(tag), ", ".join(x.get_name() for x in layers), tags.SWATCHES[tag])
            for tag, layers in found.items()
        ]

    def _offer_areas(self, control: Any, item: Input, row: Any, active: Any, element: Any) -> None:
        """The row is there where there is a choice: more than the selection, or some tags."""
        if item.several:
            found = tags.tagged(self._image, element) if self._image is not None else {}
            names = ", ".join(tags.name_of(tag) for tag in found)
            options = [(inputs.NOTHING, tr("None"))]
            options += [(inputs.TAGS, tr("Color tags: %s") % names)] if found else []
            row.set_visible(len(options) > 1)
        else:
            options = inputs.area_options(self._image, element or active)
            row.set_visible(len(options) > 2)
        control.offer(options, keep_unknown=False)

    def _offer_layers(self, control: Any, item: Input, active: Any, element: Any) -> None:
        layers = inputs.written(self._image)
        if item.role == "picture":
            first = [(inputs.IMAGE, tr("The image as it shows"))] if self._image else []
            if first and inputs.default_of(item, self._operation) == inputs.BELOW:
                first.insert(0, (inputs.BELOW, tr("What shows below the layers")))
            choices = [*first, *_labelled_layers(layers), (inputs.NOTHING, tr("None"))]
            control.offer(choices, keep_unknown=False)
            return
        if element is not None:
            skipped = (active.get_id(), element.get_id())
            layers = [(word, layer) for word, layer in layers if layer.get_id() not in skipped]
        if inputs.takes_pieces(item):
            note = tr("None ticked: the layers that were chosen in the Layers list.")
            control.offer(_labelled_layers(layers), note)
            return
        texts = {
            other.name: self._config.get_property(argument_name(other.name)) or ""
            for other in inputs.chosen_inputs(self._operation)
        }
        texts[item.name] = ""  # what it would be if nothing were named
        near = inputs.unnamed(self._image, element or active, self._operation, texts).get(item.name)
        default = tr("Nearest layer: “%s”") % near.get_name() if near is not None else tr("None")
        if item.several:
            control.offer(_labelled_layers(layers), default if near is not None else "")
        else:
            control.offer([("", default), *_labelled_layers(layers)], keep_unknown=False)


def _labelled_layers(layers: list[tuple[str, Any]]) -> list[tuple[str, str]]:
    return [(word, _layer_label(layer)) for word, layer in layers]


def _reader(parameter: ClassBinding) -> Callable[[str], dict[str, str]]:
    def read(text: str) -> dict[str, str]:
        try:
            return parameter.parse(text)
        except InvalidRequest:
            return {}  # a script's text; running says what is wrong

    return read


def _layer_label(layer: Any) -> str:
    parent = layer.get_parent()
    if parent is None:
        return layer.get_name()
    return tr("%s (in %s)") % (layer.get_name(), parent.get_name())


def _help_of(parameter: Any) -> str:
    lines = [tr(parameter.help)]
    if isinstance(parameter, Choice):
        lines += [f"{tr(o.label)}: {tr(o.help)}" for o in parameter.options if o.help]
    return "\n".join(lines)


def _only_with_focus(widget: Any, _event: Any) -> bool:
    """Stops the wheel from changing a slider that only happens to be under the pointer."""
    return not widget.has_focus()
