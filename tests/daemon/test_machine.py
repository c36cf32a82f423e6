"""Learned speed factors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from intarsia_daemon.machine import WEIGHT, Machine


def test_nothing_learned_is_as_the_formula_says(tmp_path: Path) -> None:
    assert Machine(tmp_path / "machine.json").factor("train") == 1.0


def test_the_first_run_counts_fully_and_later_ones_by_their_weight(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine.json")
    machine.learn("train", expected_s=100.0, actual_s=50.0)
    assert machine.factor("train") == pytest.approx(2.0)
    machine.learn("train", expected_s=100.0, actual_s=400.0)
    assert machine.factor("train") == pytest.approx(2.0 ** (1 - WEIGHT) * 0.25**WEIGHT)


def test_estimates_come_closer_with_every_run(tmp_path: Path) -> None:
    machine, errors = Machine(tmp_path / "machine.json"), []
    machine.learn("train", 10.0, 10.0)
    for _ in range(6):
        errors.append(abs(10.0 / machine.factor("train") - 30.0))
        machine.learn("train", 10.0, 30.0)
    assert errors == sorted(errors, reverse=True) and errors[-1] < 3.0


def test_it_is_kept_and_kinds_and_devices_are_apart(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    Machine(path, "CPU").learn("train", 10.0, 5.0)
    Machine(path, "CPU").learn("blend", 10.0, 20.0)
    Machine(path, "GPU").learn("train", 10.0, 1.0)
    assert Machine(path, "CPU").factor("train") == pytest.approx(2.0)
    assert Machine(path, "CPU").factor("blend") == pytest.approx(0.5)
    assert Machine(path, "GPU").factor("train") == pytest.approx(10.0)
    assert [file.name for file in tmp_path.iterdir()] == ["machine.json"]


@pytest.mark.parametrize(
    ("expected_s", "actual_s"),
    [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (float("nan"), 1.0), (1.0, float("inf")), (1.0, 1e-9)],
)
def test_measuring_mistakes_are_not_kept(
    tmp_path: Path, expected_s: float, actual_s: float
) -> None:
    machine = Machine(tmp_path / "machine.json")
    machine.learn("train", expected_s, actual_s)
    assert machine.factor("train") == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"cpu": 3}',
        '{"cpu": {"train": "fast"}}',
        '{"cpu": {"train": NaN}}',
        '{"cpu": {"train": 1e999}}',
        '{"cpu": {"train": true}}',
        '{"cpu": {"train": -2}}',
        "[" * 100_000,
    ],
)
def test_a_broken_file_costs_only_what_was_learned(tmp_path: Path, text: str) -> None:
    path = tmp_path / "machine.json"
    path.write_text(text)
    machine = Machine(path)
    assert machine.factor("train") == 1.0
    machine.learn("train", 10.0, 5.0)
    assert machine.factor("train") == pytest.approx(2.0)
    assert json.loads(path.read_text())["cpu"]["train"] == pytest.approx(2.0)


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "missing" / "machine.json")
    machine.learn("train", 10.0, 5.0)
    assert machine.factor("train") == 1.0
