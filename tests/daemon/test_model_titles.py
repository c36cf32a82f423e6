"""Models of one name in lists: what follows the name tells them apart."""

from __future__ import annotations

import time
from typing import Any

import pytest

from intarsia_client.catalog import operation
from intarsia_daemon.model_titles import tell_apart

NOON = time.mktime((2026, 3, 4, 12, 0, 0, 0, 0, -1))


def _entry(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"single-image-{number:016x}",
        "name": "Ponds",
        "task": "harmonization",
        "operation": "harmonize",
        "detail": "draft, 160 px",
        "resolution": 0,
        "shipped": False,
        "created": NOON,
        **changes,
    }


def _titles(*entries: dict[str, Any]) -> list[str]:
    tell_apart(entries)
    return [entry["title"] for entry in entries]


def test_a_name_of_its_own_stays_as_it_is() -> None:
    assert _titles(_entry(0), _entry(1, name="Night")) == ["Ponds", "Night"]


def test_what_models_are_for_is_said_where_it_differs() -> None:
    titles = _titles(_entry(0), _entry(1, operation="variations", task="generation"))
    names = [operation(name).title for name in ("harmonize", "variations")]
    assert titles == [f"Ponds ({name})" for name in names]


def test_the_quality_is_said_where_it_differs() -> None:
    titles = _titles(_entry(0), _entry(1, detail="normal, 250 px"))
    assert titles == ["Ponds (draft, 160 px)", "Ponds (normal, 250 px)"]


def test_a_model_of_no_operation_is_said_to_be_for_its_task() -> None:
    titles = _titles(_entry(0), _entry(1, operation="", task="part_swaps"))
    assert titles[1] == "Ponds (part swaps)"


def test_generators_of_one_name_differ_by_their_size() -> None:
    made = [_entry(n, operation="", detail="", resolution=size) for n, size in enumerate((64, 256))]
    assert _titles(*made) == ["Ponds (64 px)", "Ponds (256 px)"]


def test_the_models_own_of_the_name_of_a_shipped_one_keeps_it() -> None:
    assert _titles(_entry(0), _entry(1, shipped=True)) == ["Ponds", "Ponds (shipped)"]


def test_the_date_decides_between_models_of_one_kind() -> None:
    titles = _titles(_entry(0), _entry(1, created=NOON + 60))
    assert titles == ["Ponds (2026-03-04 12:00)", "Ponds (2026-03-04 12:01)"]


@pytest.mark.parametrize("count", [2, 5])
def test_models_made_in_one_minute_differ_by_their_ids(count: int) -> None:
    titles = _titles(*(_entry(number) for number in range(count)))
    assert titles[0] == "Ponds (2026-03-04 12:00, 0000)"
    assert len(set(titles)) == count


def test_ids_that_end_alike_are_shown_whole() -> None:
    titles = _titles(_entry(0), _entry(0, id="single-image-1000000000000000"))
    assert len(set(titles)) == 2 and titles[1].endswith("1000000000000000)")
