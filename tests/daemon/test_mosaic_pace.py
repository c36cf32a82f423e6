"""How fast a machine is said to be at mosaics."""

from __future__ import annotations

from pathlib import Path

import pytest
from operation_runs import direct_context

from intarsia_client.catalog import operations
from intarsia_daemon import mosaic_pace
from intarsia_daemon.machine import Machine
from intarsia_daemon.mosaic_pace import COMPOSING, REFERENCE_S, TRAINING, speed_factor
from intarsia_daemon.operation import find_operation


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic_pace, "_measured", None)


def test_what_was_learned_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic_pace, "_seconds_of_probe", lambda: pytest.fail("measured"))
    context = direct_context(tmp_path)
    Machine(tmp_path / "machine.json").learn(COMPOSING, 10.0, 40.0)
    assert speed_factor(context, COMPOSING) == 0.25


def test_before_that_a_busy_machine_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes: list[float] = []
    monkeypatch.setattr(
        mosaic_pace, "_seconds_of_probe", lambda: probes.append(1) or 5 * REFERENCE_S
    )
    context = direct_context(tmp_path)
    assert speed_factor(context, COMPOSING) == pytest.approx(0.2)
    assert speed_factor(context, TRAINING) == pytest.approx(0.2)
    assert len(probes) == 1
    monkeypatch.setattr(mosaic_pace, "VALID_S", -1.0)
    speed_factor(context, TRAINING)
    assert len(probes) == 2


def test_other_devices_are_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic_pace, "_seconds_of_probe", lambda: pytest.fail("measured"))
    context = direct_context(tmp_path)
    context.device = "cuda"
    assert speed_factor(context, TRAINING) == 1.0


def test_the_probe_takes_a_sensible_time() -> None:
    assert 1e-5 < mosaic_pace._seconds_of_probe() < 10


def test_estimates_grow_on_a_busy_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, sizes = direct_context(tmp_path), {"picture": (600, 800)}
    declared = operations()["mosaic"]
    parameters = declared.check(["picture"], {"learn": "these"})
    asked = find_operation("mosaic").estimate
    assert asked is not None
    seconds = []
    for slower in (1.0, 4.0):
        monkeypatch.setattr(mosaic_pace, "_measured", None)
        monkeypatch.setattr(mosaic_pace, "_seconds_of_probe", lambda s=slower: s * REFERENCE_S)
        seconds.append(asked(parameters, sizes, context).seconds)
    assert seconds[1] == pytest.approx(4 * seconds[0])
