"""The exception tree and its way over the wire."""

from __future__ import annotations

import inspect

import pytest

from intarsia_client import errors
from intarsia_client.errors import IntarsiaError, JobFailed, from_dict


def test_every_error_has_a_code_of_the_protocol_and_stands_in_the_drawn_tree():
    kinds = [k for _, k in inspect.getmembers(errors, inspect.isclass)]
    kinds = [k for k in kinds if issubclass(k, IntarsiaError)]
    assert len(kinds) >= 10
    for kind in kinds:
        assert kind.code in errors.CODES
        assert kind.__name__ in (errors.__doc__ or "")


def test_an_error_survives_the_wire_with_its_button_and_report():
    sent = JobFailed(
        "Not enough memory.",
        value=12,
        remedy="Choose the draft quality.",
        action={"label": "Draft", "set": {"quality": "draft"}},
        retryable=True,
        code="OUT_OF_MEMORY",
    )
    got = from_dict(dict(sent.to_dict(), report="r-1"))
    assert isinstance(got, JobFailed)
    assert got.to_dict() == sent.to_dict()
    assert got.report == "r-1"
    assert str(got) == "Not enough memory. Choose the draft quality."


@pytest.mark.parametrize("data", [{}, {"what": None, "action": None, "code": None, "remedy": None}])
def test_an_error_without_fields_still_says_something(data: dict[str, object]):
    error = from_dict(data)
    assert str(error)
    assert error.code == "INTERNAL"
    assert error.action is None
