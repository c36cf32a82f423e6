"""Every operation's declaration, whatever it is: what all front ends rely on."""

from __future__ import annotations

import inspect

import pytest

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import (
    ROLES,
    Choice,
    ClassBinding,
    ClassName,
    Input,
    ModelRef,
    Operation,
    Option,
    Parameter,
    Scalar,
    Toggle,
    Whole,
    applies,
)
from intarsia_daemon.operation import Registered, find_operation, known_operations, operation

KNOWN = known_operations()


@pytest.fixture(params=sorted(KNOWN), name="registered")
def _registered(request: pytest.FixtureRequest) -> Registered:
    return KNOWN[request.param]


def test_the_first_operations_are_there() -> None:
    assert {"blend", "harmonize"} <= set(KNOWN)


def test_it_survives_the_way_through_plain_data(registered: Registered) -> None:
    declaration = registered.declaration
    assert Operation.from_dict(declaration.to_dict()) == declaration


def test_every_text_an_artist_reads_is_there(registered: Registered) -> None:
    declaration = registered.declaration
    assert declaration.summary.endswith(".")
    for text in (declaration.title, declaration.verb):
        assert text[:1].isupper() and not text.endswith(".")
    for item in (*declaration.inputs, *declaration.parameters):
        assert item.label[:1].isupper(), item.name
        assert len(item.label) <= 24, f"{item.name}: a docker is narrow"
        assert item.help.endswith("."), item.name
        if isinstance(item, Choice):
            assert all(o.label[:1].isupper() for o in item.options), item.name


def test_defaults_are_accepted_and_every_name_is_an_argument(registered: Registered) -> None:
    declaration = registered.declaration
    given = [i.name for i in declaration.inputs if i.required]
    values = declaration.check(given, {})
    assert list(values) == [p.name for p in declaration.parameters]
    taken = set(inspect.signature(registered.run).parameters)
    assert taken == {*values, *(i.name for i in declaration.inputs), "context"}


def test_roles_are_known_and_names_are_lower_case(registered: Registered) -> None:
    for item in registered.declaration.inputs:
        assert item.role in ROLES
    for item in (*registered.declaration.inputs, *registered.declaration.parameters):
        assert item.name.isidentifier() and item.name == item.name.lower()


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        (Scalar("s", "S", "H.", 0.0, 2.0, 1.0), 3.0, r"s must lie in \[0, 2\], got 3"),
        (Scalar("s", "S", "H.", 0.0, 2.0, 1.0), float("nan"), "got nan"),
        (Scalar("s", "S", "H.", 0.0, 2.0, 1.0), True, "must be a number"),
        (Whole("w", "W", "H.", 1, 4, 2), 5, r"w must lie in \[1, 4\], got 5"),
        (Whole("w", "W", "H.", 1, 4, 2), 2.0, "must be a whole number"),
        (Toggle("t", "T", "H.", True), "maybe", "must be yes or no"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(
    parameter: Scalar | Whole | Toggle, value: object, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parameter.check(value)


def test_a_slip_between_declaration_and_function_is_found_at_import() -> None:
    declare = operation(
        title="Slip",
        verb="Slip",
        inputs=(Input("picture", "picture", "Picture", "A picture."),),
        parameters=(),
    )

    def slip(image: object, context: object) -> None:
        """Declares one name and takes another."""

    with pytest.raises(TypeError, match=r"declared are \['picture', 'context'\]"):
        declare(slip)


def test_what_may_train_cannot_be_shown_live() -> None:
    declare = operation(title="Slip", verb="Slip", inputs=(), parameters=(), trains=True, live=True)

    def slip(context: object) -> None:
        """Trains a model first."""

    with pytest.raises(TypeError, match="cannot be shown live"):
        declare(slip)


def test_an_unknown_operation_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match=r"There are: .*blend"):
        find_operation("sharpen")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((ClassName("c", "C", "H."),), r"c names the model 'model', not of \[\]"),
        (
            (ModelRef("model", "M", "H."), ClassBinding("c", "C", "H.")),
            r"c names the areas 'areas', not of \[\]",
        ),
    ],
)
def test_a_class_of_no_model_and_a_binding_of_no_areas_are_found_at_import(
    parameters: tuple[Parameter, ...], message: str
) -> None:
    single = Input("areas", "area", "Areas", "One.", required=False)

    def slip(areas: object, model: object, c: object, context: object) -> None:
        """Names what is not there."""

    def small(areas: object, c: object, context: object) -> None:
        """Names what is not there."""

    declare = operation(title="Slip", verb="Slip", inputs=(single,), parameters=parameters)
    with pytest.raises(TypeError, match=message):
        declare(slip if len(parameters) > 1 else small)


@pytest.mark.parametrize(
    ("condition", "told"), [("output=film", "of {'gives'"), ("gives=film", "'gives=film'")]
)
def test_a_condition_that_can_never_hold_is_found_at_import(condition: str, told: str) -> None:
    gives = Choice("gives", "Gives", "H.", (Option("file", "File"), Option("both", "Both")), "file")
    whole = Whole("rate", "Rate", "H.", 1, 9, 3, only_with=condition)

    def film(gives: str, rate: int, context: object) -> None:
        """Makes a film."""

    with pytest.raises(TypeError, match=told):
        operation(title="Film", verb="Film", inputs=(), parameters=(gives, whole))(film)


def test_a_parameter_says_with_which_choice_alone_it_counts() -> None:
    declared = find_operation("animate").declaration
    folder, frames = declared.parameter("folder"), declared.parameter("frames")
    assert [applies(folder, {"output": o}) for o in ("layers", "file", "both")] == [
        False,
        True,
        True,
    ]
    assert applies(frames, {"output": "file"})
