"""An operation's parameters and inputs as arguments of a GIMP procedure, and their values back.

Models, classes, texts and folders are text arguments, read the way the command line reads them.
Inputs that the artist chooses (layers, the area) are text arguments too: `intarsia_gimp.inputs`.
"""

from __future__ import annotations

from typing import Any, Iterable

from gi.repository import Gimp, GObject

from intarsia_client.schema import (
    MAX_SEED,
    Choice,
    ClassBinding,
    Input,
    Operation,
    Parameter,
    Scalar,
    Toggle,
    Whole,
)
from intarsia_gimp import inputs, tags
from intarsia_gimp.texts import mnemonic_of, tr, with_mnemonic

SEED = "seed"
ADVANCED = "advanced-open"
"""Auxiliary argument: whether the dialog's advanced part is unfolded."""
LIVE = "live-preview"
"""Auxiliary argument of quick operations: whether the dialog's preview follows."""
_DIALOG_LETTERS = "lshrco"
"""Mnemonics of the buttons every procedure dialog has: Load, Save, Help, Reset, Cancel, OK."""


def argument_name(parameter: str) -> str:
    """GIMP writes names with hyphens: ``fine_tune`` becomes ``fine-tune``."""
    return parameter.replace("_", "-")


def label_of(parameter: Parameter | Input) -> str:
    """The artist's label with its unit: ``"Softness (px)"``."""
    label, unit = tr(parameter.label), getattr(parameter, "unit", "")
    return f"{label} ({unit})" if unit else label


def add_arguments(procedure: Any, operation: Operation) -> None:
    """Give the procedure one argument per parameter and chosen input, and the seed."""
    nicks = nicks_of(operation)
    for parameter in operation.parameters:
        _add(procedure, parameter, nicks[parameter.name])
    flags = GObject.ParamFlags.READWRITE
    procedure.add_int_argument(
        SEED,
        nicks[SEED],
        tr("Same seed, same result; another seed, another variation."),
        0,
        MAX_SEED,
        0,
        flags,
    )
    for item in inputs.chosen_inputs(operation):
        name, blurb = argument_name(item.name), f"{tr(item.help)} {_grammar(item)}"
        default = inputs.default_of(item, operation)
        procedure.add_string_argument(name, nicks[item.name], blurb, default, flags)
    procedure.add_boolean_aux_argument(ADVANCED, tr("Advanced"), tr("Advanced"), False, flags)
    if operation.live:
        procedure.add_boolean_aux_argument(LIVE, nicks[LIVE], tr("On"), False, flags)


def nicks_of(operation: Operation) -> dict[str, str]:
    """Labels with one letter of each underlined, by parameter or chosen input, `SEED` and `LIVE`.

    What is on the first page chooses first, and there the short labels.
    """
    shown = [*operation.parameters, *inputs.chosen_inputs(operation)]
    labels = {item.name: label_of(item) for item in shown}
    labels[SEED] = tr("Seed")
    if operation.live:
        labels[LIVE] = tr("Live preview")
    taken = _DIALOG_LETTERS
    nicks = {}
    folded = {SEED, *(p.name for p in operation.parameters if p.advanced)}
    for name in sorted(labels, key=lambda name: (name in folded, len(labels[name]))):
        nicks[name] = with_mnemonic(labels[name], taken)
        taken += mnemonic_of(nicks[name])
    return nicks


def _add(procedure: Any, parameter: Parameter, nick: str) -> None:
    name, flags = argument_name(parameter.name), GObject.ParamFlags.READWRITE
    blurb = tr(parameter.help)
    if isinstance(parameter, Scalar):
        limits = (parameter.minimum, parameter.maximum, parameter.default)
        procedure.add_double_argument(name, nick, blurb, *limits, flags)
    elif isinstance(parameter, Whole):
        limits = (parameter.minimum, parameter.maximum, parameter.default)
        procedure.add_int_argument(name, nick, blurb, *limits, flags)
    elif isinstance(parameter, Choice):
        choice = Gimp.Choice.new()
        for index, option in enumerate(parameter.options):
            choice.add(option.value, index, tr(option.label), tr(option.help))
        procedure.add_choice_argument(name, nick, blurb, choice, parameter.default, flags)
    elif isinstance(parameter, Toggle):
        procedure.add_boolean_argument(name, nick, blurb, parameter.default, flags)
    elif is_text(parameter):
        procedure.add_string_argument(name, nick, blurb, as_text(parameter.default), flags)
    else:
        raise TypeError(f"{parameter.name}: GIMP has no control for {parameter.kind!r}.")


def is_text(parameter: Parameter) -> bool:
    """Whether its argument is a text that the parameter itself reads."""
    return parameter.kind in ("model", "class", "classes", "text", "folder")


def as_text(value: Any) -> str:
    """A parameter's value as its argument holds it."""
    return value if isinstance(value, str) else tags.as_text(value)


def _grammar(item: Input) -> str:
    if item.role == "area":
        if item.several:
            return tr("Write none, tags for every color tag, or some of them: blue, green.")
        return tr("Write selection, mask, channel NAME or none.")
    if item.role == "picture":
        return tr("Write image, below, none, or a layer's name or #ID.")
    if inputs.takes_pieces(item):
        return tr(
            "Write a group's name or #ID for its visible layers, layers' names or #IDs, one per "
            "line, or folder PATH; nothing for the group or the layers that are chosen."
        )
    if item.several:
        return tr("Write the layers' names, one per line, or #ID for each.")
    return tr("Write the layer's name or #ID.")


def values_of(config: Any, operation: Operation) -> tuple[dict[str, Any], int]:
    """Every parameter's value by its own name, checked, and the seed.

    Raises:
        InvalidRequest: A value is out of range, or a text cannot be read.
    """
    values = {p.name: config.get_property(argument_name(p.name)) for p in operation.parameters}
    for parameter in operation.parameters:
        if is_text(parameter):
            values[parameter.name] = parameter.parse(values[parameter.name] or "")
    return operation.check(_required(operation), values), int(config.get_property(SEED))


def remembered(values: dict[str, Any], operation: Operation, image: Any) -> dict[str, Any]:
    """The values with the classes that the image remembers, for bindings that are empty."""
    binding = tags.binding_of(image)
    there = tags.tagged(image, None) if binding else {}
    known = {tag: wanted for tag, wanted in binding.items() if tag in there}
    empty = [p.name for p in bindings(operation) if not values[p.name]]
    return {**values, **{name: dict(known) for name in empty}}


def only_read(values: dict[str, Any], operation: Operation, areas: Iterable[str]) -> dict[str, Any]:
    """The values without the classes of areas that are not read, e.g. of a hidden layer."""
    kept = set(areas)
    return {
        **values,
        **{
            p.name: {area: wanted for area, wanted in values[p.name].items() if area in kept}
            for p in bindings(operation)
        },
    }


def bindings(operation: Operation) -> list[ClassBinding]:
    """The parameters that give classes to areas."""
    return [p for p in operation.parameters if isinstance(p, ClassBinding)]


def picks_of(config: Any, operation: Operation, values: dict[str, Any]) -> dict[str, str]:
    """Which layers and areas the inputs are filled from, as `canvas.find_sources` takes them.

    An area that a binding gives no class to is not read.
    """
    picks = {
        item.name: config.get_property(argument_name(item.name)) or ""
        for item in inputs.chosen_inputs(operation)
    }
    picks.update({p.input: ",".join(values[p.name]) for p in bindings(operation)})
    return picks


def set_values(config: Any, operation: Operation, values: dict[str, Any]) -> None:
    """Set parameters by their own names; used by the buttons that repair an error.

    Raises:
        InvalidRequest: There is no such parameter, or the value is out of range.
    """
    for name, value in values.items():
        parameter = operation.parameter(name)
        checked = parameter.check(value)
        config.set_property(
            argument_name(name), as_text(checked) if is_text(parameter) else checked
        )


def split_advanced(operation: Operation) -> tuple[list[str], list[str]]:
    """Argument names of the first page and of the advanced part, in the declared order."""
    first = [argument_name(p.name) for p in operation.parameters if not p.advanced]
    return first, [argument_name(p.name) for p in operation.parameters if p.advanced] + [SEED]


def _required(operation: Operation) -> list[str]:
    return [item.name for item in operation.inputs if item.required]
