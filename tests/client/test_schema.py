"""Declarations: checks that say what would be right, and the way through JSON."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Choice, Operation, Option, Progress

ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(), st.integers(), max_size=2)
)


def test_absent_parameters_take_their_defaults_in_the_declared_order(operation: Operation):
    checked = operation.check(["picture"], {"edge": "hard"})
    assert list(checked.items()) == [
        ("strength", 0.5),
        ("rounds", 3),
        ("edge", "hard"),
        ("tiled", False),
    ]


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        (
            "strength",
            1.5,
            r"strength must lie in \[0, 1\], got 1.5.*0 to 1; the usual value is 0.5",
        ),
        ("strength", math.nan, r"must lie in \[0, 1\], got nan"),
        ("strength", 10**400, r"must lie in \[0, 1\]"),
        ("strength", True, "must be a number, got True"),
        ("strength", "0.5", "must be a number, got '0.5'"),
        ("rounds", 10, r"rounds must lie in \[1, 9\] x, got 10.*from 1 to 9; the usual value is 3"),
        ("rounds", 2.0, "must be a whole number, got 2.0"),
        ("rounds", False, "must be a whole number, got False"),
        ("edge", "wavy", "must be one of soft, hard, got 'wavy'"),
        ("tiled", 1, "must be yes or no, got 1"),
        ("missing", 1, "Soften has no parameter named 'missing'.*strength, rounds, edge, tiled"),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(
    operation: Operation, name: str, value: Any, match: str
):
    with pytest.raises(InvalidRequest, match=match):
        operation.check(["picture"], {name: value})


@given(value=ANYTHING, name=st.sampled_from(["strength", "rounds", "edge", "tiled"]))
def test_any_value_is_taken_or_refused_and_nothing_else(value: Any, name: str):
    parameter = SOFTEN.parameter(name)
    try:
        checked = parameter.check(value)
    except InvalidRequest as error:
        assert error.code == "BAD_REQUEST"
        assert error.remedy
    else:
        assert checked == value


@given(text=st.text(), name=st.sampled_from(["strength", "rounds", "edge", "tiled"]))
def test_any_text_is_read_or_refused_and_nothing_else(text: str, name: str):
    parameter = SOFTEN.parameter(name)
    with contextlib.suppress(InvalidRequest):
        assert parameter.check(parameter.parse(text)) is not None


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("strength", "0.25", 0.25),
        ("rounds", "7", 7),
        ("edge", "hard", "hard"),
        ("tiled", " Yes ", True),
        ("tiled", "off", False),
    ],
)
def test_texts_of_a_command_line_become_values(
    operation: Operation, name: str, text: str, value: Any
):
    assert operation.parameter(name).parse(text) == value


def test_inputs_are_checked_by_name_need_and_number(operation: Operation):
    with pytest.raises(InvalidRequest, match=r"needs the input 'picture'.*Choose the picture"):
        operation.check(["area"], {})
    with pytest.raises(InvalidRequest, match=r"no input named 'sky'.*picture, area, samples"):
        operation.check(["picture", "sky"], {})
    with pytest.raises(InvalidRequest, match="takes one 'picture'"):
        operation.check(["picture", "picture"], {})
    assert operation.check(["picture", "samples", "samples"], {})


def test_a_declaration_survives_json(operation: Operation):
    assert Operation.from_dict(json.loads(json.dumps(operation.to_dict()))) == operation


def test_fields_of_newer_releases_are_ignored_and_new_kinds_are_named(operation: Operation):
    data = json.loads(json.dumps(operation.to_dict()))
    data["colour"] = data["inputs"][0]["colour"] = data["parameters"][0]["colour"] = "red"
    assert Operation.from_dict(data) == operation
    data["parameters"][0]["kind"] = "curve"
    with pytest.raises(InvalidRequest, match=r"does not know the parameter kind 'curve'.*plugins"):
        Operation.from_dict(data)


def test_a_declaration_of_an_older_release_is_not_live(operation: Operation):
    data = json.loads(json.dumps(operation.to_dict()))
    assert data.pop("live") is False
    assert Operation.from_dict(data) == operation
    assert Operation.from_dict(dict(data, live=True)).live


def test_a_choice_must_hold_its_default():
    with pytest.raises(ValueError, match="none of"):
        Choice("edge", "Edge", "How.", (Option("soft", "Soft"),), "hard")


@pytest.mark.parametrize(("step", "total", "share"), [(1, 4, 0.25), (9, 4, 1.0), (3, 0, 0.0)])
def test_the_share_done_lies_between_nothing_and_all(step: int, total: int, share: float):
    assert Progress("Working", step, total).fraction == share


SOFTEN = Operation.from_dict(
    {
        "id": "soften",
        "title": "Soften",
        "verb": "Soften",
        "summary": "",
        "version": 1,
        "trains": False,
        "inputs": [],
        "parameters": [
            {
                "kind": "scalar",
                "name": "strength",
                "label": "",
                "help": "",
                "minimum": 0.0,
                "maximum": 1.0,
                "default": 0.5,
            },
            {
                "kind": "whole",
                "name": "rounds",
                "label": "",
                "help": "",
                "minimum": 1,
                "maximum": 9,
                "default": 3,
            },
            {
                "kind": "choice",
                "name": "edge",
                "label": "",
                "help": "",
                "options": [{"value": "soft", "label": "Soft"}],
                "default": "soft",
            },
            {"kind": "toggle", "name": "tiled", "label": "", "help": "", "default": False},
        ],
    }
)
