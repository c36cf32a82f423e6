"""When a training stays back for edits, with a clock of our own."""

from __future__ import annotations

import random

from intarsia_daemon.gate import Gate


def gate(**changes: float) -> Gate:
    return Gate(**{"linger_s": 0.3, "share": 0.2, "window_s": 5.0, **changes})


def test_nothing_is_said_when_no_training_runs() -> None:
    one = gate()
    one.edit_started(0.0)
    assert one.decide(0.0) is None
    assert one.next_change(0.0) is None


def test_a_training_is_held_while_an_edit_runs_and_a_moment_longer() -> None:
    one = gate()
    one.training_started()
    assert one.decide(0.0) is None
    one.edit_started(1.0)
    assert one.decide(1.0) == "yield"
    assert one.decide(1.1) is None and one.holds
    one.edit_ended(1.5)
    assert one.decide(1.5) is None
    assert one.next_change(1.5) == 1.8
    assert one.decide(1.79) is None
    assert one.decide(1.81) == "go"
    assert not one.holds and one.next_change(1.81) is None


def test_another_edit_within_the_moment_keeps_it_held() -> None:
    one = gate()
    one.training_started()
    one.edit_started(0.0)
    assert one.decide(0.0) == "yield"
    one.edit_ended(0.2)
    one.edit_started(0.4)
    assert one.decide(0.6) is None and one.holds


def test_a_training_that_begins_during_an_edit_is_held_at_once() -> None:
    one = gate()
    one.edit_started(0.0)
    one.training_started()
    assert one.decide(0.1) == "yield"


def test_a_training_that_ended_is_not_told_to_go_on() -> None:
    one = gate()
    one.training_started()
    one.edit_started(0.0)
    one.decide(0.0)
    one.training_ended()
    one.edit_ended(0.1)
    assert one.decide(9.0) is None and not one.holds


def test_one_long_edit_lets_the_training_have_its_share() -> None:
    one = gate()
    one.training_started()
    one.edit_started(0.0)
    held = share_held(one, [(0.0, 60.0)], 60.0)
    assert 0.75 <= held <= 0.81


def test_any_pattern_of_edits_leaves_the_training_its_share_in_every_window() -> None:
    chance = random.Random(3)
    for _ in range(20):
        edits, now = [], 0.0
        while now < 40.0:
            length = chance.choice([0.02, 0.2, 1.0, 6.0])
            edits.append((now, now + length))
            now += length + chance.choice([0.0, 0.05, 0.31, 0.6])
        one = gate()
        one.training_started()
        assert share_held(one, edits, 40.0, check_windows=True) <= 0.8 + 0.02


def test_without_a_share_to_spare_nothing_is_held() -> None:
    one = gate(share=1.0)
    one.training_started()
    one.edit_started(0.0)
    assert one.decide(0.0) is None


def share_held(
    one: Gate, edits: list[tuple[float, float]], until: float, *, check_windows: bool = False
) -> float:
    """Drive the gate through the edits in steps of 10 ms; the share of time it held."""
    step, held = 0.01, []
    running = False
    for number in range(int(until / step)):
        now = number * step
        wanted = any(begin <= now < end for begin, end in edits)
        if wanted != running:
            (one.edit_started if wanted else one.edit_ended)(now)
            running = wanted
        before = one.holds
        said = one.decide(now)
        assert said in (None, "yield", "go")
        assert (said == "yield") == (one.holds and not before)
        assert (said == "go") == (before and not one.holds)
        change = one.next_change(now)
        assert change is None or change >= now
        held.append(one.holds)
    if check_windows:
        window = int(5.0 / step)
        most = max(sum(held[i : i + window]) for i in range(0, len(held) - window, 10))
        assert most <= 0.8 * window + 5
    return sum(held) / len(held)
