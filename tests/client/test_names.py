"""Kinds of parameters that hold names, and inputs that may be given several times."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import (
    ClassBinding,
    ClassName,
    Folder,
    Input,
    ModelRef,
    Operation,
    Text,
)

MODEL = ModelRef("model", "Model", "Which.", capability="classes")
CLASS = ClassName("class_name", "Class", "Which.")
CLASSES = ClassBinding("classes", "Classes", "Which for each.")
TEXT = Text("layer_names", "Layers", "By name.", max_length=20)
FOLDER = Folder("data", "Data", "Where the pictures are.")
KINDS = (MODEL, CLASS, CLASSES, TEXT, FOLDER)

RELABEL = Operation(
    id="relabel",
    title="Relabel",
    verb="Relabel the areas",
    summary="Change what is where.",
    inputs=(
        Input("picture", "picture", "Picture", "Choose the picture."),
        Input("areas", "area", "Areas", "Label layers.", required=False, several=True),
        Input("samples", "templates", "Samples", "Choose some.", required=False),
    ),
    parameters=KINDS,
)


def test_the_kinds_survive_json_and_have_their_defaults():
    assert Operation.from_dict(json.loads(json.dumps(RELABEL.to_dict()))) == RELABEL
    assert RELABEL.check(["picture"], {}) == {
        "model": "",
        "class_name": "",
        "classes": {},
        "layer_names": "",
        "data": "",
    }
    kinds = [item["kind"] for item in RELABEL.to_dict()["parameters"]]
    assert kinds == ["model", "class", "classes", "text", "folder"]
    assert hash(RELABEL) == hash(Operation.from_dict(RELABEL.to_dict()))


def test_an_input_is_given_several_times_where_it_says_so():
    assert RELABEL.check(["picture", "areas", "areas", "samples", "samples"], {})
    with pytest.raises(InvalidRequest, match=r"takes one 'picture' \(Picture\), got several"):
        RELABEL.check(["picture", "picture", "areas"], {})
    assert Input("t", "templates", "T", "Some.").several
    assert not Input("a", "area", "A", "One.").several


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("blue=lemon", {"blue": "lemon"}),
        ("blue=lemon, green=lime", {"blue": "lemon", "green": "lime"}),
        (" blue = lemon ;green=3,", {"blue": "lemon", "green": "3"}),
        ("a=tench, Tinca tinca, b=lime", {"a": "tench, Tinca tinca", "b": "lime"}),
        ("'my area'=\"kit fox\"", {"my area": "kit fox"}),
        ("blue=x=y", {"blue": "x=y"}),
    ],
)
def test_classes_by_area_are_read_from_a_text(text: str, value: dict[str, str]):
    assert CLASSES.parse(text) == value


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("lemon", r"classes: 'lemon' is no area=class.*blue=lemon, green=lime"),
        ("blue=lemon, blue=lime", r"'blue=lime' names an area twice"),
        ("blue=", r"needs a name and a class for each area, got 'blue'=''"),
        ("=lemon", r"needs a name and a class"),
    ],
)
def test_a_broken_text_of_classes_is_refused_with_an_example(text: str, match: str):
    with pytest.raises(InvalidRequest, match=match):
        CLASSES.parse(text)


@pytest.mark.parametrize(
    ("kind", "value", "match"),
    [
        (MODEL, 3, "model must be a model's id, got 3"),
        (MODEL, "a\nb", "model must be one line of plain text"),
        (CLASS, -1, "class_name must be a class's label or number, got -1"),
        (CLASS, True, "class_name must be a class's label or number, got True"),
        (CLASSES, "blue=lemon", "classes must give a class for each area's name"),
        (CLASSES, {"blue": None}, "classes for the area 'blue' must be a class's label or number"),
        (CLASSES, {3: "lemon"}, "area's name in classes must be a text, got 3"),
        (CLASSES, {str(n): "x" for n in range(65)}, "may name 64 areas, got 65"),
        (TEXT, "x" * 21, "layer_names may have 20 characters, got 21"),
        (FOLDER, "pictures", r"data must be a whole path, got 'pictures'.*e\.g\. /"),
    ],
)
def test_a_wrong_name_is_refused_with_what_would_be_right(kind: Any, value: Any, match: str):
    with pytest.raises(InvalidRequest, match=match):
        kind.check(value)


def test_class_numbers_become_texts_and_spaces_around_names_go():
    assert CLASS.check(951) == "951"
    assert CLASS.check(" lemon ") == "lemon"
    assert CLASSES.check({"blue": 951, " green ": "lime"}) == {"blue": "951", "green": "lime"}


def test_a_folder_on_the_command_line_may_start_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert FOLDER.parse("pictures") == str(tmp_path / "pictures")
    assert FOLDER.parse("~/pictures") == str(tmp_path / "me" / "pictures")
    assert FOLDER.parse("") == ""


@given(
    value=st.none()
    | st.integers()
    | st.text()
    | st.lists(st.text(), max_size=2)
    | st.dictionaries(st.text() | st.integers(), st.text() | st.integers(), max_size=3),
    kind=st.sampled_from(KINDS),
)
def test_any_value_is_taken_or_refused_and_what_is_taken_stays(value: Any, kind: Any):
    with contextlib.suppress(InvalidRequest):
        taken = kind.check(value)
        assert kind.check(taken) == taken


@given(text=st.text(), kind=st.sampled_from(KINDS))
def test_any_text_is_read_or_refused_and_nothing_else(text: str, kind: Any):
    with contextlib.suppress(InvalidRequest):
        taken = kind.parse(text)
        assert kind.check(taken) == taken
