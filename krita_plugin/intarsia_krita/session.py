"""What the panel knows: running jobs, results, problems, how the engine is. No Qt, no Krita.

The panel draws this and nothing else; events of `intarsia_krita.jobs` change it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Collection, Mapping

from intarsia_client import wording
from intarsia_client.errors import EngineError
from intarsia_client.schema import ModelRef, Operation, Progress, Result, ResultLayer, Scalar
from intarsia_krita.jobs import EngineStatus, Event
from intarsia_krita.texts import quoted, tr

LABEL_SEPARATOR = " – "
AMOUNT = "amount"
"""The usual name of the setting that frames differ in."""
_OPEN_STATES = ("queued", "running", "paused")


@dataclass
class Work:
    """A job that is under way."""

    job: str
    operation: Operation
    document: str
    """Id of the open document; empty for a job that was sent while none was open."""
    document_name: str
    element: str | None
    """Id of the layer that the result belongs above; None: on top of all."""
    marks: tuple[str, ...] = ()
    """Ids of layers that only say where; where they lie on that layer, the result lies on them."""
    read_layer: bool = True
    """Whether it read the active layer; then that is made active again for the next run."""
    state: str = "connecting"
    """``connecting``, ``queued``, ``running``, ``paused`` or ``stopping``."""
    lane: str = ""
    progress: Progress | None = None
    preview: ResultLayer | None = None
    """The newest picture of the present state; most progress comes without one."""
    hint: str = ""
    """A sentence about something that happened on the way."""

    @property
    def may_pause(self) -> bool:
        """Whether a Pause button makes sense: it is training, or may come to it."""
        return self.operation.trains and self.state in ("running", "paused")

    def line(self) -> str:
        """One line: stage, percent, time left."""
        if self.state == "stopping":
            return tr("Stopping …")
        if self.state == "connecting":
            return tr("Reaching the engine …")
        if self.state == "queued":
            return tr("Waiting for the engine …")
        line = wording.progress_line(self.progress) if self.progress else tr("Beginning …")
        return tr("Paused: %s", line) if self.state == "paused" else line

    def percent(self) -> int | None:
        """Share done in percent, or None while unknown."""
        if self.progress is None or self.progress.total <= 0 or self.state == "connecting":
            return None
        return int(100 * self.progress.fraction)


@dataclass
class Outcome:
    """A result that stands in a document as one or more layers."""

    job: str
    operation: Operation
    layers: dict[int, str]
    """Ids of the layers in the document, by their numbers in the result."""
    name: str
    """Of what arrived."""
    result: Result
    """Without its layers and frames."""
    root: str = ""
    """Id of what arrived: the layer, or the group of several."""
    frames: dict[int, tuple[ResultLayer, ...]] = field(default_factory=dict)
    """By a layer's number what it can show instead, in the order of the amounts."""
    amount: float = 1.0
    """Which of its frames show, where it has any."""
    shown_amounts: dict[int, float | None] = field(default_factory=dict)
    prints: dict[int, bytes] = field(default_factory=dict)
    """By a layer's number the fingerprint of what was put there: other pixels are the artist's."""
    picture: Any = None
    """A small picture of it, as the toolkit draws it."""
    share: float = 1.0
    """Opacity of the layers, in [0, 1]."""
    by_hand: bool = False
    """Whether the artist changed a layer with frames, so that it stays as it is."""

    def shown(self) -> float:
        """Where the Amount slider stands, in [0, 1]: the frames' amount, or the opacity."""
        return self.amount if self.frames else self.share

    def remarks(self) -> list[str]:
        """What there is to say about it: how well the model holds the picture, the notes."""
        fit = self.result.metrics.get("fit")
        said = []
        if fit is not None and not any("(fit" in note for note in self.result.notes):
            said.append(tr("Fit: %d %%", round(100 * min(1.0, max(0.0, fit)))))
        if self.by_hand:
            said.append(tr("It was changed by hand, so Amount leaves it as it is."))
        return said + list(self.result.notes)

    def line(self) -> str:
        """One line about it: what, and how long it took."""
        seconds = self.result.seconds
        took = seconds.get("total") or sum(seconds.values())
        name = quoted(self.name)
        return tr("%s, made in %s", name, duration_taken(took)) if took else name


@dataclass(frozen=True)
class Problem:
    """Something to tell the artist, with a button that acts."""

    sentence: str
    remedy: str = ""
    action: dict[str, Any] | None = None
    details: str = ""

    @classmethod
    def without_document(cls, work: Work) -> Problem:
        """That a result has no document to go to."""
        sentence = tr("The result is there, but no picture is open for it.")
        if work.document:
            sentence = tr("%s was closed before its result was there.", quoted(work.document_name))
        remedy = tr("The engine keeps the result for a day: open the picture, then More > Jobs…")
        return cls(sentence, remedy)

    @classmethod
    def of(cls, error: BaseException) -> Problem:
        """From anything that was raised."""
        sentence, remedy, action = wording.error_text(error)
        parts = ["{}: {}".format(getattr(error, "code", type(error).__name__), sentence), remedy]
        value, report = getattr(error, "value", None), getattr(error, "report", None)
        if value is not None:
            parts.append(tr("Value: %r", value))
        if report:
            parts.append(tr("Report: %s", report))
        return cls(sentence, remedy, action, "\n".join(part for part in parts if part))


@dataclass
class Session:
    """Everything the panel shows."""

    engine: EngineStatus = field(default_factory=lambda: EngineStatus("off"))
    works: dict[str, Work] = field(default_factory=dict)
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    """Newest last, by document."""
    problems: dict[str, Problem] = field(default_factory=dict)
    """The latest by document; ``""`` holds those of no document."""
    device: str = ""
    """Where the engine computes, as the newest result says."""
    said: str = ""
    """A short message in the engine's line."""
    over: set = field(default_factory=set)
    """Jobs that this session has dealt with."""

    def work_on(self, document: str) -> Work | None:
        """The job under way for a document, the newest if there are several."""
        found = [work for work in self.works.values() if work.document == document]
        return found[-1] if found else None

    def begin(self, work: Work) -> None:
        """A job was started or is followed again."""
        self.works[work.job] = work
        self.problems.pop(work.document, None)
        self.problems.pop("", None)
        self.said = ""

    def happen(self, event: Event) -> Work | None:
        """Take in an event of a job; returns the job's work, if it is one of ours."""
        work = self.works.get(event.job)
        if work is None:
            return None
        if event.kind == "accepted" and work.state == "connecting":
            work.state = event.value if event.value in _OPEN_STATES else "running"
        elif event.kind == "progress":
            work.progress = event.value
            work.preview = event.value.preview or work.preview
            if work.state in ("connecting", "queued"):
                work.state = "running"
        elif event.kind == "event":
            self._numbered(work, *event.value)
        elif event.kind in ("finished", "failed", "cancelled"):
            del self.works[event.job]
            if not isinstance(event.value, EngineError):  # else the engine may still have the job
                self.over.add(event.job)
            if isinstance(event.value, Result):
                self.device = str(event.value.recipe.get("device") or self.device)
            elif isinstance(event.value, BaseException):
                self.problems[work.document] = Problem.of(event.value)
        return work

    def _numbered(self, work: Work, kind: str, header: Mapping[str, Any]) -> None:
        if work.state == "stopping":
            return
        if kind == "started":
            work.state, work.lane = "running", str(header.get("lane") or "")
        elif kind == "paused":
            work.state = "paused"
        elif kind == "resumed":
            work.state = "running"
        elif kind == "requeued":
            work.state = "queued"
            work.hint = tr("The engine had to start again; the job goes on by itself.")
        elif kind == "disconnected":
            work.state = "connecting"
            work.hint = tr("The engine stopped unexpectedly. It is started again.")
        elif kind == "reconnected":
            work.state = "queued"
            work.hint = tr("The engine was started again; the job goes on by itself.")

    def forget_closed(self, open_documents: Collection[str]) -> None:
        """Drop what is known of documents that were closed; their jobs go on."""
        for kept in (self.outcomes, self.problems):
            for key in [key for key in kept if key and key not in open_documents]:
                del kept[key]

    def waiting(self, document_name: str) -> list[dict[str, Any]]:
        """The engine's jobs for a document of this name that nobody here follows."""
        begin = document_name + LABEL_SEPARATOR
        return [
            job
            for job in self.engine.jobs
            if str(job.get("label") or "").startswith(begin)
            and job.get("job") not in self.works
            and job.get("job") not in self.over
            and not job.get("acknowledged")
            and job.get("state") in (*_OPEN_STATES, "finished")
        ]

    def engine_line(self) -> tuple[str, str]:
        """(state, sentence) of the line at the bottom of the panel."""
        engine = self.engine
        if self.said:
            return engine.state, self.said
        if engine.state == "running":
            parts = [tr("Engine ready")]
            if engine.device or self.device:
                parts.append(engine.device or self.device)
            busy = sum(job.get("state") in ("queued", "running") for job in engine.jobs)
            if busy:
                parts.append(tr("1 job") if busy == 1 else tr("%d jobs", busy))
            return engine.state, " · ".join(parts)
        if engine.state == "missing":
            return engine.state, tr("Engine not installed")
        if engine.state == "trouble":
            return engine.state, tr("Engine does not answer")
        return engine.state, tr("Engine off; starts with the first run")


def engine_said(kind: str, number: int) -> str:
    """What the engine answered, for its line: ``released`` so many bytes, or ``stopping``."""
    if kind == "released":
        return tr("Released %d MB of memory", round(number / 1e6))
    return tr("The engine ends when its jobs are done")


def job_label(document_name: str, operation: Operation, layer_name: str) -> str:
    """What the engine's list of jobs calls a job; `Session.waiting` knows it by its beginning."""
    return LABEL_SEPARATOR.join(filter(None, (document_name, operation.title, layer_name)))


def expected_time(operation: Operation, estimate: Mapping[str, Any] | None) -> str:
    """The line under the Run button: how long it will take, or what is known without the engine."""
    if estimate and isinstance(estimate.get("seconds"), (int, float)):
        time, text = wording.duration(float(estimate["seconds"])), str(estimate.get("text") or "")
        first = tr("Takes %s.", time)
        return f"{first} {text}" if text else first
    if operation.trains:
        if not any(wanted.required for wanted in operation.inputs):
            return tr("Learning takes minutes or more.")
        return tr("Learns this picture first, unless it did before: minutes or more.")
    if any(isinstance(parameter, ModelRef) for parameter in operation.parameters):
        return tr("How long it takes is known once the engine runs.")
    return tr("Takes a moment.")


def live_parameter(operation: Operation) -> Scalar | None:
    """The setting whose values need no new run: the results' frames differ in it."""
    live = [p for p in operation.parameters if isinstance(p, Scalar) and not p.recompute]
    named = [p for p in live if p.name == AMOUNT]
    return (named or live or [None])[0]


def duration_taken(seconds: float) -> str:
    """A time that has passed: ``"0.4 s"``, ``"12 s"``, ``"4 min"``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    text = wording.duration(seconds)
    return text[len("about ") :] if text.startswith("about ") else text
