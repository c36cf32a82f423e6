"""What operations see: progress, pausing, cancelling, lanes, phases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intarsia_daemon import context as context_module
from intarsia_daemon.context import (
    INTERVAL_S,
    Cancelled,
    Context,
    Control,
    TrainingRequired,
)
from intarsia_daemon.machine import Machine
from intarsia_daemon.messages import Paused, Resumed, Working
from intarsia_daemon.model_cache import ModelCache
from intarsia_daemon.model_store import ModelStore
from intarsia_daemon.pixels import Layer


class _Clock:
    """Stands in for the module's ``time``."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def _clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(context_module, "time", clock)
    return clock


@pytest.fixture(name="sent")
def _sent() -> list[Any]:
    return []


@pytest.fixture(name="make")
def _make(tmp_path: Path, sent: list[Any]) -> Callable[..., Context]:
    def make(**changes: Any) -> Context:
        values: dict[str, Any] = {
            "seed": 1,
            "device": "cpu",
            "lane": "edit",
            "folder": tmp_path,
            "models": ModelStore(tmp_path / "models"),
            "cache": ModelCache(1000),
            "machine": Machine(tmp_path / "machine.json"),
            "job": "j",
            "send": sent.append,
        }
        return Context(**{**values, **changes})

    return make


def _until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not claim():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)


# --- progress -------------------------------------------------------------------------------------


def test_at_most_ten_messages_a_second_are_sent_and_none_is_stale(
    make: Callable[..., Context], sent: list[Any], clock: _Clock
) -> None:
    context = make()
    for step in range(1, 101):
        context.progress("Working", step, 100)
        clock.now += 0.0101
    assert len(sent) == 10
    assert all(message.step % 10 == 1 for message in sent)
    clock.now += INTERVAL_S
    context.flush()
    assert sent[-1].step == 100, "the last news arrives although nothing follows"
    context.flush()
    assert len(sent) == 11 and not context.has_news


def test_a_finished_job_sends_no_news_any_more(
    make: Callable[..., Context], sent: list[Any], clock: _Clock
) -> None:
    context = make()
    context.progress("Working", 1, 2)
    context.progress("Working", 2, 2)
    context.finish()
    clock.now += 1.0
    context.flush()
    assert [message.step for message in sent] == [1]


def test_the_rest_of_a_stage_follows_from_its_pace(
    make: Callable[..., Context], sent: list[Any], clock: _Clock
) -> None:
    context = make()
    context.progress("One", 40, 100)  # a resumed stage begins in the middle
    assert sent[-1].seconds_left is None, "nothing is known yet"
    clock.now += 2.0
    context.progress("One", 50, 100)
    assert sent[-1].seconds_left == pytest.approx(10.0)
    clock.now += 1.0
    context.progress("Two", 0, 10)
    assert sent[-1].seconds_left is None, "another stage has another pace"
    clock.now += 1.0
    context.progress("Two", 5, 10, seconds_left=77.0)
    assert sent[-1].seconds_left == 77.0, "the operation knows better"


def test_a_pause_does_not_slow_the_estimate(
    make: Callable[..., Context], sent: list[Any], clock: _Clock
) -> None:
    context = make()
    context.progress("One", 0, 100)
    clock.now += 1.0
    _block_for(context, clock, 500.0)
    context.progress("One", 10, 100)
    assert isinstance(sent[-1], Working) and sent[-1].seconds_left == pytest.approx(9.0)


def test_a_preview_is_a_small_file_beside_the_job(
    make: Callable[..., Context], sent: list[Any], clock: _Clock, tmp_path: Path
) -> None:
    context, layer = make(), Layer("Now", np.full((512, 1024, 4), 9, np.uint8))
    paths = []
    for step in range(3):
        clock.now += 1.0
        context.progress("One", step, 3, preview=layer, numbers={"loss": 1})
        preview = sent[-1].preview
        assert (preview.width, preview.height, preview.dtype) == (256, 128, "u8")
        assert Path(preview.path).stat().st_size == preview.nbytes == 256 * 128 * 4
        paths.append(preview.path)
    assert paths[0] != paths[1] and paths[0] == paths[2]
    assert type(sent[-1].numbers["loss"]) is float


def test_previews_that_are_not_sent_are_not_made(
    make: Callable[..., Context], clock: _Clock, tmp_path: Path
) -> None:
    context, layer = make(), Layer("Now", np.zeros((8, 8, 4), np.uint8))
    context.progress("One", 0, 3)
    context.progress("One", 1, 3, preview=layer)
    assert not list(tmp_path.glob("preview*"))


def test_a_preview_held_back_goes_with_the_next_news(
    make: Callable[..., Context], sent: list[Any], clock: _Clock
) -> None:
    context, layer = make(), Layer("Now", np.zeros((8, 8, 4), np.uint8))
    context.progress("One", 0, 4)
    context.progress("One", 1, 4, preview=layer)
    context.progress("One", 2, 4)
    clock.now += 1.0
    context.progress("One", 3, 4)
    clock.now += 1.0
    context.progress("One", 4, 4)
    assert [message.preview is not None for message in sent] == [False, True, False]


def test_a_preview_that_cannot_be_written_is_left_out(
    make: Callable[..., Context], sent: list[Any], tmp_path: Path
) -> None:
    context = make(folder=tmp_path / "gone")
    context.progress("One", 1, 3, preview=Layer("Now", np.zeros((8, 8, 4), np.uint8)))
    assert sent[-1].preview is None and sent[-1].step == 1


# --- pause, yield, cancel -------------------------------------------------------------------------


def _block_for(context: Context, clock: _Clock, seconds: float) -> None:
    """Let a tick block while the clock moves on."""
    before = len(_paused_messages(context))
    context.control.pause(True)
    thread = threading.Thread(target=context.tick, daemon=True)
    thread.start()
    _until(lambda: len(_paused_messages(context)) > before)
    clock.now += seconds
    context.control.pause(False)
    thread.join(20)
    assert not thread.is_alive()


def _paused_messages(context: Context) -> list[Any]:
    sent: list[Any] = context.send.__self__  # type: ignore[attr-defined]
    return [message for message in sent if isinstance(message, Paused)]


def test_a_pause_blocks_the_tick_and_says_so_once(
    make: Callable[..., Context], sent: list[Any], clock: _Clock
) -> None:
    context = make()
    context.tick()
    _block_for(context, clock, 5.0)
    assert sent == [Paused(job="j"), Resumed(job="j")]


def test_giving_way_is_silent(make: Callable[..., Context], sent: list[Any]) -> None:
    context = make()
    context.control.give_way(True)
    thread = threading.Thread(target=context.tick, daemon=True)
    thread.start()
    _until(lambda: context.steps == 1)
    thread.join(0.05)
    assert thread.is_alive()
    context.control.give_way(False)
    thread.join(20)
    assert not thread.is_alive() and sent == []


def test_a_pause_during_a_yield_is_told_and_outlasts_it(
    make: Callable[..., Context], sent: list[Any]
) -> None:
    context = make()
    context.control.give_way(True)
    thread = threading.Thread(target=context.tick, daemon=True)
    thread.start()
    context.control.pause(True)
    _until(lambda: sent == [Paused(job="j")])
    context.control.give_way(False)
    thread.join(0.05)
    assert thread.is_alive()
    context.control.pause(False)
    thread.join(20)
    assert sent == [Paused(job="j"), Resumed(job="j")]


def test_a_cancel_is_raised_by_the_next_tick_and_by_progress(make: Callable[..., Context]) -> None:
    context = make()
    context.tick()
    context.control.cancel()
    with pytest.raises(Cancelled):
        context.tick()
    with pytest.raises(Cancelled):
        context.progress("One", 1, 2)


def test_a_cancel_wakes_a_paused_job(make: Callable[..., Context]) -> None:
    context, caught = make(), []
    context.control.pause(True)

    def tick() -> None:
        try:
            context.tick()
        except Cancelled as error:
            caught.append(error)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    _until(lambda: bool(_paused_messages(context)))
    context.control.cancel()
    thread.join(20)
    assert len(caught) == 1


def test_a_broad_except_in_an_algorithm_does_not_eat_a_cancel(make: Callable[..., Context]) -> None:
    context = make()
    context.control.cancel()
    with pytest.raises(Cancelled):
        try:
            context.tick()
        except Exception:
            pytest.fail("it was eaten")


def test_a_new_job_forgets_the_last_ones_pause_but_not_the_machines_yield() -> None:
    control = Control()
    control.cancel()
    control.pause(True)
    control.give_way(True)
    control.reset()
    assert not control.cancelled and not control.paused and control.blocked


# --- lanes and phases -----------------------------------------------------------------------------


def test_training_is_only_for_the_training_lane(make: Callable[..., Context]) -> None:
    with pytest.raises(TrainingRequired) as caught:
        make().require_training(12.5)
    assert caught.value.seconds_expected == 12.5
    make(lane="training").require_training(12.5)


def test_phases_add_up_without_pauses_also_when_they_fail(
    make: Callable[..., Context], clock: _Clock
) -> None:
    context = make()
    with context.phase("load"):
        clock.now += 2.0
        _block_for(context, clock, 100.0)
    with pytest.raises(ZeroDivisionError), context.phase("load"):
        clock.now += 1.0
        _ = 1 / 0
    assert context.seconds == {"load": pytest.approx(3.0)}
