"""What the panel knows after each event, and the sentences it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from intarsia_client.errors import EngineUnreachable, JobFailed
from intarsia_client.schema import Input, ModelRef, Operation, Progress, Result, Scalar
from intarsia_krita.jobs import EngineStatus, Event
from intarsia_krita.session import (
    Outcome,
    Problem,
    Session,
    Work,
    duration_taken,
    expected_time,
    job_label,
    live_parameter,
)

BLEND = Operation("blend", "Blend", "Blend it", "", (), ())
PICTURE = Input("picture", "picture", "Picture", "What is edited.")
HARMONIZE = Operation("harmonize", "Harmonize", "Harmonize it", "", (PICTURE,), (), trains=True)
LEARN = Operation("learn", "Learn", "Learn", "", (), (), trains=True)


def begun(operation: Operation = HARMONIZE) -> tuple[Session, Work]:
    session, work = Session(), Work("j1", operation, "doc", "night.kra", "layer")
    session.begin(work)
    return session, work


def test_a_job_passes_from_reaching_the_engine_to_its_stage_and_time_left() -> None:
    session, work = begun()
    assert work.line() == "Reaching the engine …" and work.percent() is None
    session.happen(Event("accepted", "j1", "queued"))
    assert work.line() == "Waiting for the engine …"
    session.happen(Event("event", "j1", ("started", {"lane": "training"})))
    session.happen(Event("progress", "j1", Progress("Training, stage 2 of 3", 62, 100, 9.0)))
    assert work.line() == "Training, stage 2 of 3 – 62 % – 9 s left"
    assert (work.percent(), work.lane, work.may_pause) == (62, "training", True)
    session.happen(Event("event", "j1", ("paused", {})))
    assert work.line().startswith("Paused: ")


def test_only_trainings_can_be_paused() -> None:
    session, work = begun(BLEND)
    session.happen(Event("event", "j1", ("started", {"lane": "edit"})))
    assert not work.may_pause


@pytest.mark.parametrize("end", ["finished", "cancelled", "failed"])
def test_a_job_that_is_over_is_off_the_panel(end: str) -> None:
    session, _ = begun()
    value: Any = {"failed": JobFailed("Too large."), "finished": Result((), {})}.get(end)
    assert session.happen(Event(end, "j1", value)) is not None
    assert session.work_on("doc") is None
    assert ("doc" in session.problems) == (end == "failed")


def test_a_job_whose_engine_got_lost_is_offered_again_when_it_is_back() -> None:
    session, _ = begun()
    session.happen(Event("failed", "j1", EngineUnreachable("The engine does not answer.")))
    row = {"job": "j1", "label": "night.kra – Harmonize – Lemur", "state": "running"}
    session.engine = EngineStatus("running", jobs=(row,))
    assert session.waiting("night.kra") == [row]


def test_a_new_run_takes_the_old_problem_away() -> None:
    session, _ = begun()
    session.happen(Event("failed", "j1", JobFailed("Too large.")))
    session.begin(Work("j2", BLEND, "doc", "night.kra", None))
    assert session.problems == {}


def test_what_happens_while_stopping_does_not_undo_the_stopping() -> None:
    session, work = begun()
    work.state = "stopping"
    session.happen(Event("accepted", "j1", "queued"))
    session.happen(Event("event", "j1", ("started", {"lane": "edit"})))
    session.happen(Event("progress", "j1", Progress("Training", 1, 2)))
    assert work.line() == "Stopping …"


def test_a_killed_engine_is_said_and_the_job_goes_on() -> None:
    session, work = begun()
    session.happen(Event("event", "j1", ("disconnected", {"what": "gone"})))
    assert "stopped unexpectedly" in work.hint and work.state == "connecting"
    session.happen(Event("event", "j1", ("reconnected", {})))
    session.happen(Event("event", "j1", ("requeued", {"reason": "restart"})))
    assert "goes on by itself" in work.hint
    session.happen(Event("event", "j1", ("started", {"lane": "training"})))
    assert work.state == "running"


def test_an_error_becomes_sentence_remedy_button_and_details() -> None:
    error = JobFailed(
        "Not enough memory.",
        remedy="Use Draft.",
        value=9,
        action={"label": "Use Draft", "set": {"quality": "draft"}},
        code="OUT_OF_MEMORY",
    )
    problem = Problem.of(error)
    assert (problem.sentence, problem.remedy) == ("Not enough memory.", "Use Draft.")
    assert problem.action == {"label": "Use Draft", "set": {"quality": "draft"}}
    assert "OUT_OF_MEMORY" in problem.details and "9" in problem.details


def test_a_fault_of_ours_is_a_sentence_too() -> None:
    problem = Problem.of(KeyError("x"))
    assert "went wrong" in problem.sentence and problem.action is not None


def test_jobs_of_this_document_that_nobody_follows_are_waiting() -> None:
    session, _ = begun()
    label = job_label("night.kra", HARMONIZE, "Lemur")
    assert label == "night.kra – Harmonize – Lemur"
    rows = [
        {"job": "j1", "label": label, "state": "running"},  # followed
        {"job": "j2", "label": label, "state": "finished"},
        {"job": "j3", "label": job_label("day.kra", BLEND, "Cap"), "state": "finished"},
        {"job": "j4", "label": label, "state": "failed"},
        {"job": "j5", "label": label, "state": "paused"},
        {"job": "j6", "label": label, "state": "finished", "acknowledged": True},
    ]
    session.engine = EngineStatus("running", jobs=tuple(rows))
    assert [job["job"] for job in session.waiting("night.kra")] == ["j2", "j5"]


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (EngineStatus("off"), "Engine off; starts with the first run"),
        (EngineStatus("missing"), "Engine not installed"),
        (EngineStatus("trouble"), "Engine does not answer"),
        (EngineStatus("running", "CPU, 2 cores"), "Engine ready · CPU, 2 cores"),
        (EngineStatus("running", jobs=({"state": "running"},)), "Engine ready · 1 job"),
    ],
)
def test_the_engines_line_says_how_it_is(status: EngineStatus, sentence: str) -> None:
    assert Session(engine=status).engine_line() == (status.state, sentence)


def test_the_device_is_known_from_a_result_where_the_engine_did_not_say_it() -> None:
    session, _ = begun()
    session.engine = EngineStatus("running")
    session.happen(Event("finished", "j1", Result((), {"device": "CPU, 2 cores"})))
    assert session.engine_line()[1] == "Engine ready · CPU, 2 cores"


def test_the_time_a_result_took_is_the_total_not_the_sum_with_it() -> None:
    seconds = {"train": 100.0, "total": 120.0}
    outcome = Outcome("j", BLEND, {}, "Blended", Result((), {}, seconds=seconds))
    assert outcome.line() == "“Blended”, made in 2 min"


def test_the_expected_time_comes_from_the_engine_or_else_from_the_declaration() -> None:
    estimate = {"seconds": 240.0, "trains": True, "text": "Learns this picture first."}
    assert expected_time(HARMONIZE, estimate) == "Takes about 4 min. Learns this picture first."
    assert "Learns this picture first" in expected_time(HARMONIZE, None)
    assert expected_time(LEARN, None) == "Learning takes minutes or more."
    assert expected_time(BLEND, None) == "Takes a moment."
    generate = Operation("g", "G", "G", "", (), (ModelRef("model", "Model", "Which."),))
    assert "once the engine runs" in expected_time(generate, None)


def test_a_job_that_reads_no_layer_is_called_by_its_document_and_operation() -> None:
    assert job_label("night.kra", LEARN, "") == "night.kra – Learn"


def test_fit_and_notes_are_said_with_a_result() -> None:
    result = Result((), {}, metrics={"fit": 0.834, "loss": 2.0}, notes=("Made smaller.",))
    outcome = Outcome("j", BLEND, {}, "Blended", result)
    assert outcome.remarks() == ["Fit: 83 %", "Made smaller."]
    said = replace(result, notes=("The model holds this picture roughly (fit 83%).",))
    assert Outcome("j", BLEND, {}, "Blended", said).remarks() == list(said.notes), "once"
    outcome.by_hand = True
    assert "changed by hand" in outcome.remarks()[1]


def test_the_setting_that_frames_differ_in_is_amount_or_the_one_that_needs_no_run() -> None:
    strength = Scalar("strength", "Strength", "How much.", 0, 1, 1, recompute=False)
    amount = Scalar("amount", "Amount", "How much.", 0, 1, 1, recompute=False)
    size = Scalar("size", "Size", "How large.", 0, 1, 1)
    for parameters, found in (
        ((size, strength), strength),
        ((strength, amount), amount),
        ((size,), None),
    ):
        assert live_parameter(Operation("a", "A", "A", "", (), parameters)) is found


def test_of_closed_documents_nothing_is_kept_but_their_jobs() -> None:
    session, work = begun()
    session.outcomes["old"] = [Outcome("j0", BLEND, {}, "Blended", Result((), {}))]
    session.outcomes["doc"] = [Outcome("j0", BLEND, {}, "Blended", Result((), {}))]
    session.problems["old"] = session.problems[""] = Problem("Something.")
    session.forget_closed(["doc"])
    assert set(session.outcomes) == {"doc"} and set(session.problems) == {""}
    assert session.work_on("doc") is work


def test_passed_times_are_not_about() -> None:
    assert [duration_taken(s) for s in (0.42, 12.3, 240)] == ["0.4 s", "12 s", "4 min"]
