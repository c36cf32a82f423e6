"""The client against a scripted engine: requests, jobs, failures, refusals."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_engine import ScriptedEngine, Visit

from intarsia_client import requests, session, wire
from intarsia_client.client import Client, Job
from intarsia_client.errors import (
    EngineNotRunning,
    EngineRefused,
    EngineUnreachable,
    InvalidRequest,
    JobCancelled,
    JobFailed,
    ProtocolError,
)
from intarsia_client.schema import Operation, Pixels, Progress, ResultLayer

Connect = Callable[..., Client]
LAYER = ResultLayer("Softened", 2, 1, 4, b"\x01\x02\x03\x04\x05\x06\x07\x08", x=-3, y=5)
AREA = ResultLayer("Where", 300, 300, 1, bytes(90_000))


@pytest.fixture
def engine(home: Path) -> Iterator[ScriptedEngine]:
    with ScriptedEngine(home, welcome={"operations": {"soften": 2}}) as running:
        yield running


def settled(condition: Callable[[], bool]) -> bool:
    """Wait until something that another thread brings about is so."""
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_hello_goes_over_both_sockets_and_welcome_is_kept(engine: ScriptedEngine, connect: Connect):
    client = connect()
    assert client.welcome["device"] == "cpu"
    assert client.welcome["boot"] == engine.boot
    first, second = engine.received
    assert first.kind == second.kind == "hello"
    assert first.header["client"] == "test"
    assert first.header["protocol"] == list(wire.PROTOCOL)
    assert second.header["session"] == client.welcome["session"]


def test_a_job_runs_from_pixels_to_layers(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    def run(engine: ScriptedEngine, visit: Visit) -> None:
        job = engine.accept(visit).header["job"]
        engine.event(job, "started", lane="edit", attempt=1)
        engine.progress(job, stage="Softening", step=1, total=4, seconds_left=2, numbers={"e": 1})
        engine.finish(
            job,
            [LAYER, AREA],
            recipe={"operation": "soften"},
            metrics={"e": 0.5},
            seconds={"total": 1.5},
            notes=["Made smaller."],
        )

    engine.on("submit", run)
    shown: list[Progress] = []
    told: list[str] = []
    job = connect().submit(operation, [picture], {"strength": 1}, seed=7, label="Sky, softer")
    result = job.wait(on_progress=shown.append, on_event=lambda kind, _: told.append(kind))

    sent = engine.jobs[job.id]
    assert sent.frames == [picture.data]
    assert sent.header["operation"] == "soften"
    assert sent.header["version"] == 2
    expected = {"strength": 1.0, "rounds": 3, "edge": "soft", "tiled": False}
    assert sent.header["parameters"] == expected
    assert (sent.header["seed"], sent.header["label"]) == (7, "Sky, softer")
    assert (sent.header["priority"], sent.header["on_disconnect"]) == ("interactive", "keep")
    assert sent.header["inputs"][0]["name"] == "Sky"

    first, second = result.layers
    assert (first.name, first.x, first.y, bytes(first.data)) == ("Softened", -3, 5, LAYER.data)
    assert bytes(second.data) == AREA.data
    assert result.recipe == {"operation": "soften"}
    assert result.metrics == {"e": 0.5}
    assert result.seconds == {"total": 1.5}
    assert result.notes == ("Made smaller.",)
    assert [p.stage for p in shown] == ["Softening"]
    assert told == ["started", "finished"]
    assert job.state == "finished"
    assert settled(lambda: engine.count("acknowledge") == 1)
    assert job.wait() is result  # asked again: the same result, nothing is fetched anew
    assert engine.count("fetch") == 1


def test_frames_come_apart_from_the_layers(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    frames = [replace(LAYER, amount=share, frame_of=0) for share in (0.0, 0.5)]
    whole = replace(LAYER, amount=1.0)

    def run(engine: ScriptedEngine, visit: Visit) -> None:
        engine.finish(engine.accept(visit).header["job"], [whole, AREA, *frames])

    engine.on("submit", run)
    client = connect()
    job = client.submit(operation, [picture], {})
    result = job.wait(acknowledge=False)
    assert [layer.name for layer in result.layers] == [LAYER.name, AREA.name]
    assert [(frame.amount, frame.frame_of) for frame in result.frames] == [(0.0, 0), (0.5, 0)]
    assert result.layers[0].amount == 1.0
    assert bytes(result.frames[1].data) == LAYER.data
    assert engine.received[-1].header["frames"] is True
    assert len(client.fetch(job.id)) == 2, "who does not ask for frames gets none"


def test_without_acknowledge_the_result_stays_in_the_engine(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    client = connect()
    job = client.submit(operation, [picture], {})
    engine.finish(job.id, [LAYER])
    assert job.wait(acknowledge=False).layers
    client.acknowledge(job.id)
    assert engine.count("acknowledge") == 1


def test_progress_keeps_the_newest_and_carries_a_preview(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    job = connect().submit(operation, [picture], {})
    engine.event(job.id, "started", lane="training")
    descriptions, frames = wire.encode_buffers([ResultLayer("preview", 1, 1, 4, b"abcd")])
    for step in range(200):
        engine.progress(job.id, stage="Training", step=step, total=200)
    engine.progress(
        job.id,
        frames,
        stage="Training",
        step=200,
        total=200,
        seconds_left=0.5,
        buffers=descriptions,
    )
    assert settled(lambda: job.last_progress is not None and job.last_progress.step == 200)
    assert len(job._inbox) == 2  # started and one progress, however many came
    engine.finish(job.id, [LAYER])
    shown: list[Progress] = []
    job.wait(on_progress=shown.append)
    assert shown[-1].step == 200
    assert shown[-1].preview is not None
    assert bytes(shown[-1].preview.data) == b"abcd"


def test_a_failure_arrives_with_everything_it_says(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    job = connect().submit(operation, [picture], {})
    engine.event(
        job.id,
        "failed",
        code="OUT_OF_MEMORY",
        what="Not enough memory.",
        value=12,
        remedy="Choose draft.",
        action={"label": "Draft", "set": {"quality": "draft"}},
        retryable=True,
        report="r-1",
    )
    with pytest.raises(JobFailed, match="Not enough memory"):
        job.wait()
    with pytest.raises(JobFailed, match=r"Not enough memory\. Choose draft\.") as caught:
        job.wait()
    assert caught.value.code == "OUT_OF_MEMORY"
    assert (caught.value.value, caught.value.report, caught.value.retryable) == (12, "r-1", True)
    assert caught.value.action == {"label": "Draft", "set": {"quality": "draft"}}
    assert job.state == "failed"


def test_should_cancel_is_sent_once_and_the_wait_ends_with_the_event(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    def cancel(engine: ScriptedEngine, visit: Visit) -> None:
        visit.reply("done")
        name = visit.message.header["job"]
        engine.progress(name, stage="Stopping", step=0, total=0)
        threading.Timer(0.3, engine.event, (name, "cancelled")).start()

    engine.on("cancel", cancel)
    job = connect().submit(operation, [picture], {})
    with pytest.raises(JobCancelled):
        job.wait(should_cancel=lambda: True)
    assert engine.count("cancel") == 1
    assert job.state == "cancelled"


def test_a_cancel_that_comes_too_late_does_not_lose_the_result(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    def refuse(engine: ScriptedEngine, visit: Visit) -> None:
        engine.refuse(visit, "BAD_REQUEST", "The job is over.")
        engine.finish(visit.message.header["job"], [LAYER])

    engine.on("cancel", refuse)
    job = connect().submit(operation, [picture], {})
    assert job.wait(should_cancel=lambda: True).layers


def test_pause_resume_and_the_states_in_between(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    job = connect().submit(operation, [picture], {})
    assert job.state == "queued"
    steps = [
        ("started", "running"),
        ("paused", "paused"),
        ("resumed", "running"),
        ("requeued", "queued"),
        ("started", "running"),
    ]
    for kind, state in steps:
        engine.event(job.id, kind)
        assert settled(lambda state=state: job.state == state)
    job.pause()
    job.resume()
    assert [m.kind for m in engine.received[-2:]] == ["pause", "resume"]
    engine.finish(job.id, [LAYER])
    told: list[str] = []
    job.wait(on_event=lambda kind, _: told.append(kind))
    assert told == [kind for kind, _ in steps] + ["finished"]


def test_giving_up_the_wait_leaves_the_job_alone(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    job = connect().submit(operation, [picture], {})
    with pytest.raises(JobFailed, match="goes on") as caught:
        job.wait(timeout_s=0.05)
    assert caught.value.code == "DEADLINE"
    assert engine.count("cancel") == 0
    engine.finish(job.id, [LAYER])
    assert job.wait().layers


def test_a_callback_that_raises_ends_the_wait_but_not_the_job(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    job = connect().submit(operation, [picture], {})
    engine.event(job.id, "started")

    def fail(kind: str, header: dict[str, Any]) -> None:
        raise ZeroDivisionError(kind)

    with pytest.raises(ZeroDivisionError, match="started"):
        job.wait(on_event=fail)
    engine.finish(job.id, [LAYER])
    assert job.wait().layers


def test_the_same_id_sent_twice_is_one_job_and_its_events_are_replayed(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    name = uuid.uuid4().hex
    first = connect().submit(operation, [picture], {}, job=name)
    engine.event(name, "started")
    engine.finish(name, [LAYER])
    assert first.wait(acknowledge=False).layers
    told: list[int] = []
    second = connect().submit(operation, [picture], {}, job=name)
    assert second.wait(on_event=lambda _, header: told.append(header["seq"])).layers
    assert told == [1, 2]
    assert len(engine.jobs) == 1


def test_a_job_can_be_attached_to_from_another_program(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    name = connect().submit(operation, [picture], {}).id
    engine.event(name, "started")
    engine.event(name, "paused", reason="asked")
    assert settled(lambda: engine.jobs[name].state == "paused")
    other = connect()
    job = other.attach(name)
    assert settled(lambda: job.state == "paused" and job.last_event == 2)
    engine.finish(name, [LAYER])
    told: list[str] = []
    job.wait(on_event=lambda kind, _: told.append(kind), acknowledge=False)
    assert told == ["started", "paused", "finished"]


@pytest.mark.parametrize("since", [1, 2, 3])
def test_attaching_later_tells_only_what_is_new_and_still_ends(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels, since: int
):
    name = connect().submit(operation, [picture], {}).id
    engine.event(name, "started")
    engine.event(name, "resumed")
    engine.finish(name, [LAYER])
    assert settled(lambda: engine.jobs[name].state == "finished")
    told: list[int] = []
    job = connect().attach(name, since)
    assert job.wait(on_event=lambda _, header: told.append(header["seq"])).layers
    assert told == [n for n in (1, 2, 3) if n > since]


def test_attaching_to_an_unknown_job_is_an_invalid_request(
    engine: ScriptedEngine, connect: Connect
):
    with pytest.raises(InvalidRequest, match="There is no job") as caught:
        connect().attach("f" * 32)
    assert caught.value.code == "NOT_FOUND"


def test_a_result_that_is_gone_is_a_failed_job(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    job = connect().submit(operation, [picture], {})
    engine.event(job.id, "finished", layers=[], recipe={})
    with pytest.raises(JobFailed, match="There is no result") as caught:
        job.wait()
    assert caught.value.code == "NOT_FOUND"


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("BAD_REQUEST", InvalidRequest),
        ("TOO_LARGE", InvalidRequest),
        ("UNSUPPORTED_OPERATION", InvalidRequest),
        ("BUSY", EngineRefused),
        ("DISK_FULL", EngineRefused),
    ],
)
def test_a_refused_submit_keeps_its_code_and_sentence(
    engine: ScriptedEngine,
    connect: Connect,
    operation: Operation,
    picture: Pixels,
    code: str,
    kind: type[Exception],
):
    engine.on("submit", lambda engine, visit: engine.refuse(visit, code, f"Refused: {code}."))
    with pytest.raises(kind, match=f"Refused: {code}") as caught:
        connect().submit(operation, [picture], {})
    assert caught.value.code == code  # type: ignore[attr-defined]


def test_wrong_requests_are_refused_before_anything_is_sent(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    client = connect()
    wrong: list[tuple[Any, Any, dict[str, Any], str]] = [
        ([picture], {"strength": 2}, {}, "strength must lie in"),
        ([picture], {"colour": 2}, {}, "no parameter named 'colour'"),
        ([], {}, {}, "needs the input 'picture'"),
        ([picture], {}, {"seed": -1}, "seed must be"),
        ([picture], {}, {"seed": 2**31}, "seed must be"),
        ([picture], {}, {"job": "ABC"}, "32 hex digits"),
        ([picture], {}, {"priority": "urgent"}, "priority must be one of interactive, batch"),
        ([picture], {}, {"on_disconnect": "no"}, "on_disconnect must be one of keep, cancel"),
        ([Pixels("picture", 2, 2, 4, b"")], {}, {}, "needs 16 bytes, got 0"),
    ]
    for inputs, parameters, options, match in wrong:
        with pytest.raises(InvalidRequest, match=match):
            client.submit(operation, inputs, parameters, **options)
    with pytest.raises(InvalidRequest, match="no operation named 'no such'"):
        client.submit("no such", [picture], {})
    assert engine.count("submit") == 0


def test_what_the_engine_does_not_know_or_take_is_said_before_the_upload(
    home: Path, connect: Connect, operation: Operation, picture: Pixels
):
    limits = {"frame": 20, "total": 1000, "jobs": 1}
    with (
        ScriptedEngine(home, welcome={"operations": {"blend": 1}}),
        pytest.raises(InvalidRequest, match=r"engine 0\.0-scripted does not know 'soften'"),
    ):
        connect().submit(operation, [picture], {})
    with ScriptedEngine(home, welcome={"limits": limits}) as engine:
        with pytest.raises(InvalidRequest, match="largest layer would take") as caught:
            connect().submit(operation, [picture], {})
        assert caught.value.code == "TOO_LARGE"
        assert engine.count("submit") == 0


def test_a_wrong_token_is_refused(home: Path, connect: Connect):
    with ScriptedEngine(home) as engine:
        path = home / "run" / "endpoint.json"
        text = path.read_text("utf-8")
        path.write_text(text.replace('"token": "', '"token": "x'), "utf-8")
        with pytest.raises(EngineRefused, match="does not accept this program's token"):
            connect(timeout_s=2.0)
        assert engine.received == []


def test_an_engine_of_another_major_version_is_refused_with_both(home: Path, connect: Connect):
    with (
        ScriptedEngine(home, protocol=(2, 0)),
        pytest.raises(EngineRefused, match=r"speaks protocol 2\.0.*this program .* 1\.2"),
    ):
        connect()


def test_an_engine_that_refuses_our_version_is_not_asked_twice(home: Path, connect: Connect):
    with ScriptedEngine(home) as engine:
        text = "This engine speaks protocol 2.0, the client 1.0."
        engine.on("hello", lambda engine, visit: engine.refuse(visit, "UNSUPPORTED_VERSION", text))
        with pytest.raises(EngineRefused, match=r"protocol 2\.0, the client 1\.0") as caught:
            connect()
        assert caught.value.code == "UNSUPPORTED_VERSION"
        assert engine.count("hello") == 1


def test_frames_of_another_major_version_are_refused_too(home: Path, connect: Connect):
    with ScriptedEngine(home) as engine:
        engine.on(
            "hello",
            lambda engine, visit: visit.socket.send_multipart(
                [visit.sender, b"IN\x02\x02", b"\x80"]
            ),
        )
        with pytest.raises(EngineRefused, match="protocol 2, this side 1"):
            connect()


def test_an_answer_that_is_not_our_protocol_is_named(
    home: Path, connect: Connect, engine: ScriptedEngine
):
    engine.on("list", lambda engine, visit: visit.socket.send_multipart([visit.sender, b"hi"]))
    with pytest.raises(ProtocolError, match="without the Intarsia prefix"):
        connect().jobs()


@pytest.mark.parametrize(
    "change", [{"buffers": []}, {"buffers": [{"width": 1}]}, {"buffers": "no list"}]
)
def test_pixels_that_do_not_fit_their_description_are_named(
    engine: ScriptedEngine, connect: Connect, change: dict[str, Any]
):
    engine.on("fetch", lambda engine, visit: visit.reply("pixels", [b"1234"], **change))
    with pytest.raises(ProtocolError):
        connect().fetch("f" * 32)


# --- the engine -----------------------------------------------------------------------------------


def test_the_smaller_requests_return_what_the_engine_says(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    client = connect()
    engine.on("list", lambda engine, visit: visit.reply("done", jobs=[{"job": "a"}]))
    engine.on("models", lambda engine, visit: visit.reply("done", models=[{"id": "m"}]))
    engine.on("release", lambda engine, visit: visit.reply("done", freed_bytes=5))
    engine.on(
        "estimate", lambda engine, visit: visit.reply("done", seconds=9.0, trains=True, text="t")
    )
    engine.on("ping", lambda engine, visit: visit.reply("pong", workers=[{"lane": "edit"}]))
    assert client.jobs() == [{"job": "a"}]
    assert client.models() == [{"id": "m"}]
    engine.on("labels", lambda engine, visit: visit.reply("done", labels=["lemon", "lime"]))
    assert client.labels("m") == client.labels() == ["lemon", "lime"]
    assert engine.received[-1].header["model"] == ""
    assert client.release() == 5
    sizes = [picture, {"input": "area", "width": 9, "height": 8}]
    estimate = client.estimate(operation, {"rounds": 2}, sizes)
    assert estimate == {"seconds": 9.0, "trains": True, "text": "t"}
    asked = engine.received[-1].header
    assert asked["parameters"]["rounds"] == 2
    assert asked["inputs"] == [
        {"input": "picture", "width": 3, "height": 2, "x": 0, "y": 0},
        {"input": "area", "width": 9, "height": 8, "x": 0, "y": 0},
    ]
    assert client.ping()["workers"] == [{"lane": "edit"}]
    client.remove_model("m")
    assert engine.received[-1].header["model"] == "m"
    client.shutdown(now=True)
    assert engine.received[-1].header["now"] is True


def test_an_engine_that_leaves_before_it_answers_has_shut_down(
    engine: ScriptedEngine, connect: Connect
):
    engine.on("shutdown", lambda engine, visit: engine._stop.set())
    connect().shutdown()


def test_an_estimate_checks_before_it_asks(
    engine: ScriptedEngine, connect: Connect, operation: Operation
):
    client = connect()
    with pytest.raises(InvalidRequest, match="rounds must lie"):
        client.estimate(operation, {"rounds": 99}, [])
    with pytest.raises(InvalidRequest, match="no parameter"):
        client.estimate(operation, {"colour": 1}, [])
    with pytest.raises(InvalidRequest, match="width of picture must be 1 to 65535, got 0"):
        client.estimate(operation, {}, [{"input": "picture", "width": 0, "height": 1}])
    assert engine.count("estimate") == 0


def test_the_engines_own_ping_is_answered_while_nobody_waits(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    job = connect().submit(operation, [picture], {})
    engine.raw(job.id, "ping", {"id": 77})
    assert settled(lambda: engine.count("pong") == 1)
    assert engine.received[-1].header["re"] == 77


def test_many_threads_may_use_one_client(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    def run(engine: ScriptedEngine, visit: Visit) -> None:
        job = engine.accept(visit)
        (frame,) = job.frames
        engine.finish(job.header["job"], [ResultLayer("out", 3, 2, 4, frame)])

    engine.on("submit", run)
    client = connect()
    wrong: list[object] = []

    def work(number: int) -> None:
        for _ in range(5):
            data = bytes([number]) * 24
            layer = (
                client.submit(operation, [Pixels("picture", 3, 2, 4, data)], {}).wait().layers[0]
            )
            if bytes(layer.data) != data or client.ping()["workers"] != []:
                wrong.append(layer)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(engine.jobs) == 30


def test_two_waits_for_one_job_both_get_the_result(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    job = connect().submit(operation, [picture], {})
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(job.wait())) for _ in range(2)]
    for thread in threads:
        thread.start()
    engine.finish(job.id, [LAYER])
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert results[0] is results[1]


def test_closing_ends_every_wait(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    client = connect()
    job = client.submit(operation, [picture], {})
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            job.wait()
        except EngineUnreachable as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    client.close()
    client.close()
    thread.join(20)
    assert not thread.is_alive()
    assert "closed" in str(caught[0])
    with pytest.raises(EngineUnreachable, match="client was closed"):
        client.jobs()


def test_leaving_the_block_leaves_no_thread_behind(engine: ScriptedEngine, home: Path):
    before = {thread.name for thread in threading.enumerate()}
    with Client.connect(start=False) as client:
        assert {t.name for t in threading.enumerate()} - before
        assert not client.closed
    assert {t.name for t in threading.enumerate()} <= before
    assert client.closed


def test_jobs_that_nobody_holds_are_forgotten(
    engine: ScriptedEngine, connect: Connect, operation: Operation, picture: Pixels
):
    client = connect()
    name = client.submit(operation, [picture], {}).id
    engine.event(name, "started")
    client.ping()
    assert client._known_jobs() == []
    assert isinstance(client.attach(name), Job)


def test_no_engine_and_no_start_fails_at_once(home: Path, connect: Connect):
    with pytest.raises(EngineNotRunning, match="not running"):
        connect()


def test_a_hung_engine_is_noticed_by_missed_pings(
    engine: ScriptedEngine,
    connect: Connect,
    operation: Operation,
    picture: Pixels,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(session, "PING_EVERY_S", 0.05)
    monkeypatch.setattr("intarsia_client.job.PING_EVERY_S", 0.05)
    client = connect(timeout_s=1.0)
    job = client.submit(operation, [picture], {})
    told: list[tuple[str, dict[str, Any]]] = []
    engine.silent = True
    with pytest.raises(EngineUnreachable, match=r"did not answer within 1 s .hello"):
        job.wait(on_event=lambda kind, header: told.append((kind, header)))
    assert told[0][0] == "disconnected"
    assert "has not answered for" in told[0][1]["what"]
    assert engine.count("ping") == session.MISSED_PINGS
    engine.silent = False
    engine.finish(job.id, [LAYER])
    assert job.wait().layers


def test_pings_flow_only_while_somebody_waits(
    engine: ScriptedEngine,
    connect: Connect,
    operation: Operation,
    picture: Pixels,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(session, "PING_EVERY_S", 0.02)
    monkeypatch.setattr("intarsia_client.job.PING_EVERY_S", 0.02)
    job = connect().submit(operation, [picture], {})
    time.sleep(0.2)
    assert engine.count("ping") == 0
    with pytest.raises(JobFailed, match="goes on"):
        job.wait(timeout_s=0.2)
    assert engine.count("ping") >= 2


def test_labels_are_cut_and_default_to_the_title(operation: Operation, picture: Pixels):
    fields: dict[str, Any] = {"seed": 0, "job": None, "priority": "batch", "on_disconnect": "keep"}
    header, _ = requests.submission(operation, [picture], {}, label="", **fields)
    assert header["label"] == "Soften"
    header, _ = requests.submission(operation, [picture], {}, label="x" * 999, **fields)
    assert len(header["label"]) == requests.MAX_LABEL
