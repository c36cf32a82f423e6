"""Parameters become arguments of a procedure, and their values come back checked."""

from __future__ import annotations

from typing import Any

import pytest
from gi.repository import Gimp
from tests.gimp import pictures_for_tests as made

from intarsia_client import catalog
from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import MAX_SEED, Operation
from intarsia_gimp import arguments, procedures
from intarsia_gimp.texts import mnemonic_of, with_mnemonic


class Config:
    """Values by argument name, as GIMP keeps them."""

    def __init__(self, **values: Any) -> None:
        self.values = {"edge": "soft", "width": 8.0, "passes": 3, "fine-tune": False, "seed": 0}
        self.values.update(values)

    def get_property(self, name: str) -> Any:
        return self.values[name]

    def set_property(self, name: str, value: Any) -> None:
        assert name in self.values
        self.values[name] = value


def _procedure(operation: Operation) -> Any:
    procedure = Gimp.ImageProcedure.new(None, "python-fu-intarsia-fit-in", "plugin", None, None)
    arguments.add_arguments(procedure, operation)
    return procedure


def test_every_parameter_becomes_an_argument_with_its_range_and_default() -> None:
    found = _procedure(made.FIT).arguments
    names = ["edge", "width", "passes", "fine-tune", "seed", "area", "advanced-open"]
    assert list(found) == names
    assert found["area"][0] == "string_argument" and found["area"][3] == "selection"
    assert found["width"][0] == "double_argument" and found["width"][3:6] == (0.0, 50.0, 8.0)
    assert found["passes"][0] == "int_argument" and found["passes"][3:6] == (1, 9, 3)
    assert found["fine-tune"][0] == "boolean_argument" and found["fine-tune"][3] is False
    assert found["seed"][3:6] == (0, MAX_SEED, 0)
    kind, _, _, choice, default, _ = found["edge"]
    assert (kind, default) == ("choice_argument", "soft")
    assert [row[0] for row in choice.rows] == ["soft", "hard"]


def test_labels_carry_the_unit() -> None:
    labels = {p.name: arguments.label_of(p) for p in made.FIT.parameters}
    assert labels["width"] == "Width (px)" and labels["passes"] == "Passes"


@pytest.mark.parametrize(
    "operation", [made.FIT, *catalog.operations().values()], ids=lambda o: o.id
)
def test_no_two_labels_of_a_dialog_share_an_underlined_letter(operation: Operation) -> None:
    letters = [mnemonic_of(nick) for nick in arguments.nicks_of(operation).values()]
    used = [letter for letter in letters if letter]
    assert len(set(used)) == len(used) and not set(used) & set("lshrco")


@pytest.mark.parametrize(
    ("label", "taken", "wanted"),
    [("Edge", "", "_Edge"), ("Edge", "ed", "Ed_ge"), ("Ab", "ab", "Ab"), ("Öl", "", "Ö_l")],
)
def test_the_first_free_plain_letter_is_underlined(label: str, taken: str, wanted: str) -> None:
    assert with_mnemonic(label, taken) == wanted


def test_values_come_back_by_their_own_names_with_the_seed() -> None:
    values, seed = arguments.values_of(Config(seed=9, **{"fine-tune": True}), made.FIT)
    assert values == {"edge": "soft", "width": 8.0, "passes": 3, "fine_tune": True}
    assert seed == 9


def test_a_value_out_of_range_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match=r"width must lie in \[0, 50\] px, got 51"):
        arguments.values_of(Config(width=51.0), made.FIT)


def test_a_repair_sets_parameters_and_refuses_what_does_not_exist() -> None:
    config = Config()
    arguments.set_values(config, made.FIT, {"fine_tune": True, "edge": "hard"})
    assert config.values["fine-tune"] is True and config.values["edge"] == "hard"
    with pytest.raises(InvalidRequest, match="no parameter named 'colour'"):
        arguments.set_values(config, made.FIT, {"colour": 1})


def test_advanced_parameters_and_the_seed_are_folded() -> None:
    assert arguments.split_advanced(made.FIT) == (
        ["edge", "width"],
        ["passes", "fine-tune", "seed"],
    )


def test_every_operation_of_the_release_gets_a_procedure_in_the_menu() -> None:
    plug_in = procedures.IntarsiaPlugIn()
    names = plug_in.do_query_procedures()
    assert {"python-fu-intarsia-blend", "python-fu-intarsia-harmonize"} <= set(names)
    for name in names:
        procedure = plug_in.do_create_procedure(name)
        ((path,),) = procedure.facts["menu_path"]
        operation = procedures.offered_operations().get(name)
        group = f"/{operation.group}" if operation is not None else ""
        assert path == "<Image>/Filters/Intarsia" + group
        assert procedure.facts["menu_label"][0][0].endswith("…")
