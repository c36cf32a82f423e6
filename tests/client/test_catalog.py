"""The packaged list of operations."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import ROOT

from intarsia_client import catalog
from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Operation


def test_every_packaged_operation_can_be_read_and_accepts_its_defaults(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delenv(catalog.EXTRA, raising=False)
    found = catalog.operations()
    assert isinstance(found, dict)
    for name, operation in found.items():
        assert operation.id == name
        operation.check([item.name for item in operation.inputs], {})


def test_the_packaged_models_have_what_lists_show():
    for pack in catalog.packs():
        assert {"id", "title", "family", "resolution", "capabilities", "labels"} <= set(pack)
        assert len(pack["labels"]) in (0, pack["num_classes"])


def test_lists_of_models_hold_generators_or_all_that_can_do_what_is_asked():
    fruit = {"id": "fruit", "task": "generator", "resolution": 64, "capabilities": ["classes"]}
    old = {"id": "old", "resolution": 32, "capabilities": []}  # of an engine that says no task
    parts = {"id": "parts", "task": "key_patches", "resolution": 64, "capabilities": ["patches"]}
    sky = {"id": "sky", "task": "generation", "resolution": 0, "capabilities": []}
    every = [sky, parts, fruit, old]
    assert [model["id"] for model in catalog.able(every, "")] == ["fruit", "old"]
    assert [model["id"] for model in catalog.able(every, "patches")] == ["parts"]
    assert [model["id"] for model in catalog.able(every, "classes")] == ["fruit"]


def test_an_extra_catalogue_is_added(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, operation: Operation
):
    path = tmp_path / "extra.json"
    path.write_text(json.dumps({"operations": [operation.to_dict()]}), "utf-8")
    monkeypatch.setenv(catalog.EXTRA, str(path))
    assert catalog.operations()["soften"] == operation
    assert catalog.operation("soften") == operation


def test_an_unknown_operation_lists_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, operation: Operation
):
    monkeypatch.setattr(catalog, "operations", lambda: {"soften": operation, "blend": operation})
    with pytest.raises(
        InvalidRequest, match=r"no operation named 'sharpen'.*soften, blend"
    ) as caught:
        catalog.operation("sharpen")
    assert caught.value.code == "UNSUPPORTED_OPERATION"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"operations": [{}]}', '{"operations": 1}'])
def test_a_broken_catalogue_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str):
    path = tmp_path / "broken.json"
    path.write_text(text, "utf-8")
    monkeypatch.setenv(catalog.EXTRA, str(path))
    with pytest.raises(InvalidRequest, match=r"broken\.json"):
        catalog.operations()


def test_reading_declarations_opens_no_socket_and_needs_no_msgpack():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from intarsia_client import catalog\n"
        "catalog.operations()\n"
        "found = {'socket', '_socket', 'msgpack', 'zmq', 'threading'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", code, str(ROOT / "backend")], check=True)
