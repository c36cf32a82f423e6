"""The order in which jobs run."""

from __future__ import annotations

import random

import pytest

from intarsia_daemon.scheduler import Scheduler


def taken(scheduler: Scheduler, lane: str = "edit") -> list[str]:
    order = []
    while (job := scheduler.take(lane)) is not None:  # type: ignore[arg-type]
        order.append(job)
    return order


def test_jobs_of_one_client_run_in_the_order_in_which_they_came() -> None:
    scheduler = Scheduler(10)
    for job in ("a", "b", "c"):
        scheduler.add(job, client="me")
    assert taken(scheduler) == ["a", "b", "c"]
    assert len(scheduler) == 0


def test_interactive_jobs_pass_ahead_of_batch_jobs() -> None:
    scheduler = Scheduler(10)
    scheduler.add("batch-1", client="me", priority="batch")
    scheduler.add("batch-2", client="me", priority="batch")
    scheduler.add("edit", client="me")
    assert taken(scheduler) == ["edit", "batch-1", "batch-2"]


def test_clients_take_turns() -> None:
    scheduler = Scheduler(300)
    for number in range(100):
        scheduler.add(f"many-{number}", client="busy")
    scheduler.add("one", client="other")
    assert scheduler.position("one") == 1
    assert taken(scheduler)[:3] == ["many-0", "one", "many-1"]


def test_a_turn_is_over_when_a_job_was_taken() -> None:
    scheduler = Scheduler(10)
    scheduler.add("a1", client="a")
    scheduler.add("b1", client="b")
    assert scheduler.take("edit") == "a1"
    scheduler.add("a2", client="a")
    assert taken(scheduler) == ["b1", "a2"]


def test_a_job_that_comes_back_is_the_next() -> None:
    scheduler = Scheduler(10)
    for job in ("a", "b"):
        scheduler.add(job, client="me")
    scheduler.add("c", client="other")
    back = scheduler.take("edit")
    assert back == "a"
    scheduler.add(back, client="me", front=True)
    assert scheduler.waiting("edit")[0] == "a"
    assert sorted(taken(scheduler)) == ["a", "b", "c"]


def test_lanes_do_not_wait_for_each_other() -> None:
    scheduler = Scheduler(10)
    scheduler.add("training", client="me", lane="training")
    scheduler.add("edit", client="me")
    assert scheduler.take("edit") == "edit"
    assert scheduler.take("edit") is None
    assert scheduler.take("training") == "training"


def test_room_counts_all_lanes_and_those_on_their_way() -> None:
    scheduler = Scheduler(3)
    scheduler.add("a", client="me")
    scheduler.add("b", client="me", lane="training")
    assert scheduler.has_room()
    assert not scheduler.has_room(reserved=1)


def test_a_discarded_job_does_not_run() -> None:
    scheduler = Scheduler(10)
    scheduler.add("a", client="me")
    scheduler.add("b", client="me")
    assert scheduler.discard("a")
    assert not scheduler.discard("a")
    assert "a" not in scheduler and "b" in scheduler
    assert taken(scheduler) == ["b"]


def test_position_of_a_job_that_does_not_wait_is_an_error() -> None:
    with pytest.raises(KeyError):
        Scheduler(1).position("nobody")


def test_the_announced_order_is_the_order_in_which_jobs_are_taken() -> None:
    chance = random.Random(1)
    for _ in range(200):
        scheduler = Scheduler(100)
        for job in range(chance.randrange(1, 12)):
            scheduler.add(
                str(job),
                client=chance.choice("abc"),
                priority=chance.choice(["interactive", "batch"]),
                front=chance.random() < 0.2,
            )
        for _ in range(chance.randrange(3)):
            scheduler.take("edit")
        assert scheduler.waiting("edit") == taken(scheduler)
