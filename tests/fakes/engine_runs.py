"""An engine with the scripted worker, and a raw client to talk to it frame by frame."""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import scripted_worker
import zmq
from tests.support import FAKES, ROOT

from intarsia_client import wire


def scripted_environment(tmp_path: Path, **settings: object) -> dict[str, str]:
    """Environment of an engine of its own whose workers are scripted; settings by name."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    catalog = tmp_path / "catalog.json"
    scripted_worker.write_catalog(catalog)
    environment = dict(os.environ)
    environment.update(
        INTARSIA_HOME=str(home),
        INTARSIA_EXTRA_CATALOG=str(catalog),
        INTARSIA_WORKER="scripted_worker:main",
        PYTHONPATH=os.pathsep.join([str(FAKES), str(ROOT)]),
    )
    quick = {"ping_s": 0.2, "cancel_s": 0.5, "stop_s": 3, "disk_reserve_bytes": 1 << 20}
    for name, value in {**quick, **settings}.items():
        environment["INTARSIA_" + name.upper()] = str(value)
    return environment


def endpoint_of(environment: dict[str, str]) -> dict[str, Any]:
    return json.loads(Path(environment["INTARSIA_HOME"], "run", "endpoint.json").read_text())


def wait_until(condition, timeout_s: float = 15.0):
    """The condition's first true value."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen within %g s" % timeout_s)


def job_id() -> str:
    return uuid.uuid4().hex


class Refused(Exception):
    def __init__(self, header):
        super().__init__("%s: %s" % (header["code"], header["what"]))
        self.header = header
        self.code = header["code"]


class Peer:
    """A client made of two pyzmq DEALER sockets; it checks nothing and hides nothing."""

    def __init__(self, endpoint, *, token=None, hello=True, mechanism="PLAIN", hwm=1000):
        self.context = zmq.Context()
        self.sockets = {}
        self.seen = []
        self.number = 0
        for side in ("control", "bulk"):
            socket = self.context.socket(zmq.DEALER)
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RCVHWM, hwm)
            socket.setsockopt(zmq.SNDTIMEO, 10_000)  # cut off by the engine, a send would wait forever
            if mechanism == "PLAIN":
                socket.setsockopt(zmq.PLAIN_USERNAME, wire.USER)
                socket.setsockopt_string(zmq.PLAIN_PASSWORD, token or endpoint["token"])
            socket.connect("tcp://127.0.0.1:%d" % endpoint[side])
            self.sockets[side] = socket
        if hello:
            self.welcome = self.ask("hello", protocol=[1, 0], client="peer", version="0")
            self.session = self.welcome["session"]
            self.ask("hello", side="bulk", protocol=[1, 0], session=self.session)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for socket in self.sockets.values():
            socket.close(0)
        self.context.term()

    def send(self, kind, *, side="control", buffers=(), **header):
        self.number += 1
        frames = wire.pack(wire.Message(kind, {"id": self.number, **header}, tuple(buffers)))
        self.sockets[side].send_multipart(frames)
        return self.number

    def knock(self, kind, **header):
        """Send to an engine that may have cut this peer off already."""
        self.sockets["control"].setsockopt(zmq.SNDTIMEO, 500)
        with contextlib.suppress(zmq.Again):
            self.send(kind, **header)

    def receive(self, side="control", timeout_s=10.0):
        """The next message that is no ping, or None."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not self.sockets[side].poll(int(left * 1000) + 1):
                return None
            message = wire.unpack(self.sockets[side].recv_multipart())
            if message.kind != "ping":
                return message

    def answer(self, number, side="control", timeout_s=10.0):
        while True:
            message = self.receive(side, timeout_s)
            if message is None:
                raise AssertionError("no answer to request %d" % number)
            if message.header.get("re") == number:
                if message.kind == "refused":
                    raise Refused(message.header)
                return message
            self.seen.append(message)

    def ask(self, kind, *, side="control", buffers=(), **header):
        number = self.send(kind, side=side, buffers=buffers, **header)
        return self.answer(number, side).header

    def submit(self, operation, *, parameters=None, pixels=b"", job=None, **extra):
        """Submit a job with one 2-pixel-high RGBA picture (if there are pixels); its accepted."""
        inputs, buffers = [], []
        if pixels:
            inputs.append(picture(len(pixels) // 8, 2))
            buffers.append(pixels)
        return self.ask(
            "submit",
            side="bulk",
            buffers=buffers,
            job=job or job_id(),
            operation=operation,
            parameters=parameters or {},
            seed=7,
            inputs=inputs,
            **extra,
        )

    def events(self, job, until=wire.FINAL, timeout_s=15.0):
        """Numbered events of a job up to the first of the kinds in ``until``."""
        found, skipped = [], []
        pending, self.seen = self.seen, []
        deadline = time.monotonic() + timeout_s
        while True:
            message = pending.pop(0) if pending else self.receive(timeout_s=0.05)
            if message is None:
                if time.monotonic() > deadline:
                    raise AssertionError("only %s came" % [m.kind for m in found])
                continue
            if message.header.get("job") == job and message.kind in wire.EVENTS:
                found.append(message)
                if message.kind in until:
                    self.seen = skipped + pending
                    return found
            else:
                skipped.append(message)


def picture(width, height, channels=4, dtype="u8", **changes):
    size = {"u8": 1, "u16": 2, "f32": 4}[dtype]
    return {
        "name": "Layer 1",
        "input": "picture",
        "width": width,
        "height": height,
        "channels": channels,
        "dtype": dtype,
        "x": 0,
        "y": 0,
        "nbytes": width * height * channels * size,
        "encoding": "raw",
        **changes,
    }
