"""A stand-in for the worker's process, without torch: starts at once and does as it is told.

Set INTARSIA_WORKER=scripted_worker:main. What a job does is its operation's name, see `CATALOG`.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

from intarsia_client.schema import Input, Operation, Scalar, Whole
from intarsia_daemon import messages as pipe

_PICTURE = (Input("picture", "picture", "Picture", "Any picture.", required=False),)
_SECONDS = Scalar("seconds", "Seconds", "How long.", 0.0, 600.0, 0.0, "s")
_STEPS = Whole("steps", "Steps", "How many.", 1, 100000, 20)


def _declare(name: str, *parameters: object, trains: bool = False) -> Operation:
    return Operation(
        id=name,
        title=name.capitalize(),
        verb=name,
        summary="For tests: %s." % name,
        inputs=_PICTURE,
        parameters=tuple(parameters),  # type: ignore[arg-type]
        trains=trains,
    )


CATALOG = (
    _declare("identity"),  # gives the picture back
    _declare("sleep", _SECONDS),  # then gives the picture back
    _declare("crash"),  # kills its process
    _declare("crash_once"),  # kills its process at the first attempt
    _declare("hang", _SECONDS),  # beats, but makes no step and hears no cancel
    _declare("freeze", _SECONDS),  # gives no sign of life
    _declare("fail"),  # says that it failed
    _declare("train", _STEPS, trains=True),  # 10 ms a step in the training lane, with checkpoints
)


def write_catalog(path: Path) -> None:
    path.write_text(json.dumps({"operations": [item.to_dict() for item in CATALOG]}), "utf-8")


class _Cancelled(Exception):
    pass


class _Leave(Exception):
    pass


class ScriptedWorker:
    def __init__(self, connection, lane):
        self.connection, self.lane = connection, lane
        self.inbox = []
        self.changed = threading.Condition()
        self.cancelled = self.paused = self.held = self.stopping = self.silent = False
        self.steps = 0
        self.run = None
        self.sending = threading.Lock()

    def send(self, message):
        with self.sending:
            self.connection.send_bytes(pipe.encode(message))

    def listen(self):
        beat_at = 0.0
        try:
            while True:
                if self.silent:
                    time.sleep(3600)
                if self.connection.poll(0.05):
                    self.obey(pipe.decode_to_worker(self.connection.recv_bytes()))
                if time.monotonic() > beat_at:
                    beat_at = time.monotonic() + 0.2
                    self.send(pipe.Beat(steps=self.steps))
        except (EOFError, OSError):
            os._exit(0)

    def obey(self, message):
        with self.changed:
            if isinstance(message, pipe.Cancel):
                self.cancelled = True
            elif isinstance(message, pipe.Pause):
                self.paused = True
            elif isinstance(message, pipe.Resume):
                self.paused = False
            elif isinstance(message, (pipe.Yield, pipe.Go)):
                self.held = isinstance(message, pipe.Yield)
            elif isinstance(message, pipe.Estimate):
                self.send(pipe.Estimated(re=message.re, seconds=2.5, trains=False, text="2.5 s"))
            elif isinstance(message, pipe.Release):
                self.send(pipe.Released(re=message.re, freed_bytes=1000))
            elif isinstance(message, pipe.Stop):
                self.stopping = True
            elif isinstance(message, pipe.Run):
                self.cancelled = self.paused = False
                self.run = message
            self.changed.notify_all()

    def tick(self):
        self.steps += 1
        told = False
        with self.changed:
            while True:
                if self.stopping:
                    raise _Leave
                if self.cancelled:
                    raise _Cancelled
                if self.paused and not told:
                    told = True
                    self.send(pipe.Paused(job=self.run.job))
                elif told and not self.paused:
                    told = False
                    self.send(pipe.Resumed(job=self.run.job))
                if not self.paused and not self.held:
                    return
                self.changed.wait(0.05)

    def work(self):
        threading.Thread(target=self.listen, daemon=True).start()
        self.send(pipe.Ready(pid=os.getpid(), device="Test device"))
        while True:
            with self.changed:
                while self.run is None:
                    if self.stopping:
                        return
                    self.changed.wait(0.5)
                run = self.run
            try:
                answer = self.answer(run)
            except _Cancelled:
                answer = pipe.Stopped(job=run.job)
            except _Leave:
                return
            self.run = None
            self.send(answer)

    def answer(self, run):
        action = getattr(self, "do_" + run.operation)
        extra = action(run) or {}
        if isinstance(extra, (pipe.Failed, pipe.NeedsTraining)):
            return extra
        layers = []
        for index, item in enumerate(run.inputs):
            path = Path(run.folder) / ("out-%d.raw" % index)
            path.write_bytes(Path(item.path).read_bytes())
            layers.append(
                pipe.BufferFile(
                    width=item.width,
                    height=item.height,
                    channels=item.channels,
                    dtype=item.dtype,
                    nbytes=item.nbytes,
                    path=str(path),
                    x=item.x,
                    y=item.y,
                    name="result",
                )
            )
        return pipe.Finished(
            job=run.job,
            layers=tuple(layers),
            recipe={"operation": run.operation, "seed": run.seed, "attempt": run.attempt},
            metrics=extra,
            seconds={"total": 0.0},
            notes=("done",),
        )

    def do_identity(self, run):
        self.tick()

    def do_sleep(self, run):
        seconds, end = run.parameters["seconds"], time.monotonic() + run.parameters["seconds"]
        while time.monotonic() < end:
            self.tick()
            left = end - time.monotonic()
            self.progress(run, "Sleeping", int(100 * (1 - left / seconds)), 100)
            time.sleep(0.02)

    def progress(self, run, stage, step, total):
        path = Path(run.folder) / "preview.raw"
        path.write_bytes(bytes(range(16)))
        preview = pipe.BufferFile(
            width=2, height=2, channels=4, dtype="u8", nbytes=16, path=str(path), name="preview"
        )
        self.send(
            pipe.Working(
                job=run.job, stage=stage, step=step, total=total, seconds_left=1.0, preview=preview
            )
        )

    def do_crash(self, run):
        os.kill(os.getpid(), signal.SIGKILL)

    def do_crash_once(self, run):
        if run.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def do_hang(self, run):
        time.sleep(run.parameters["seconds"])

    def do_freeze(self, run):
        self.silent = True
        time.sleep(run.parameters["seconds"])

    def do_fail(self, run):
        return pipe.Failed(
            job=run.job,
            code="OUT_OF_MEMORY",
            what="The picture needs 3 GB, 2 GB are free.",
            value=3,
            remedy="Choose a smaller quality.",
            action={"label": "Use draft", "set": {"quality": "draft"}},
            retryable=True,
            report="",
        )

    def do_train(self, run):
        if self.lane == "edit":
            return pipe.NeedsTraining(job=run.job, seconds_expected=7.0)
        checkpoint = Path(run.folder) / "checkpoint.json"
        step = total = 0
        if checkpoint.exists():
            step, total = json.loads(checkpoint.read_text("utf-8"))
        started_at = step
        while step < run.parameters["steps"]:
            self.tick()
            step += 1
            total = (total * 31 + step) % 1000003
            draft = checkpoint.with_suffix(".tmp")
            draft.write_text(json.dumps([step, total]), "utf-8")
            draft.replace(checkpoint)
            if step % 5 == 0:
                self.progress(run, "Training", step, run.parameters["steps"])
            time.sleep(0.01)
        return {"sum": float(total), "started_at": float(started_at)}


def main(connection, lane, settings):
    ScriptedWorker(connection, lane).work()
