"""Operation parameters as arguments of a GIMP procedure, and their values back."""

from __future__ import annotations

from typing import Any

from gi.repository import Gimp, GObject

from intarsia_client.schema import MAX_SEED, Choice, Operation, Parameter, Scalar, Toggle, Whole
from intarsia_gimp.texts import mnemonic_of, tr, with_mnemonic

SEED = "seed"
ADVANCED = "advanced-open"
"""Auxiliary argument: whether the dialog's advanced part is unfolded."""
_DIALOG_LETTERS = "lshrco"
"""Mnemonics of the buttons every procedure dialog has: Load, Save, Help, Reset, Cancel, OK."""


def argument_name(parameter: str) -> str:
    """GIMP writes names with hyphens: ``fine_tune`` becomes ``fine-tune``."""
    return parameter.replace("_", "-")


def label_of(parameter: Parameter) -> str:
    """The artist's label with its unit: ``"Softness (px)"``."""
    label, unit = tr(parameter.label), getattr(parameter, "unit", "")
    return f"{label} ({unit})" if unit else label


def add_arguments(procedure: Any, operation: Operation) -> None:
    """Give the procedure one argument per parameter, in the declared order, and the seed."""
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
    procedure.add_boolean_aux_argument(ADVANCED, tr("Advanced"), tr("Advanced"), False, flags)


def nicks_of(operation: Operation) -> dict[str, str]:
    """Labels with one letter of each underlined, by parameter; short labels choose first."""
    labels = {p.name: label_of(p) for p in operation.parameters}
    labels[SEED] = tr("Seed")
    taken = _DIALOG_LETTERS
    nicks = {}
    for name in sorted(labels, key=lambda name: len(labels[name])):
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
    else:
        raise TypeError(f"{parameter.name}: GIMP has no control for {parameter.kind!r}.")


def values_of(config: Any, operation: Operation) -> tuple[dict[str, Any], int]:
    """Every parameter's value by its own name, checked, and the seed.

    Raises:
        InvalidRequest: A value is out of range.
    """
    values = {p.name: config.get_property(argument_name(p.name)) for p in operation.parameters}
    return operation.check(_required(operation), values), int(config.get_property(SEED))


def set_values(config: Any, operation: Operation, values: dict[str, Any]) -> None:
    """Set parameters by their own names; used by the buttons that repair an error.

    Raises:
        InvalidRequest: There is no such parameter, or the value is out of range.
    """
    for name, value in values.items():
        checked = operation.parameter(name).check(value)
        config.set_property(argument_name(name), checked)


def split_advanced(operation: Operation) -> tuple[list[str], list[str]]:
    """Argument names of the first page and of the advanced part, in the declared order."""
    first = [argument_name(p.name) for p in operation.parameters if not p.advanced]
    return first, [argument_name(p.name) for p in operation.parameters if p.advanced] + [SEED]


def _required(operation: Operation) -> list[str]:
    return [item.name for item in operation.inputs if item.required]
