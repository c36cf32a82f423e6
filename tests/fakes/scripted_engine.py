"""An engine for tests of clients: real pyzmq sockets and the real wire, but every answer is scripted.

    with ScriptedEngine(home) as engine:
        engine.on("submit", lambda engine, visit: ...)     # replaces the usual answer
        engine.event(job, "started", lane="edit")          # numbered, kept, sent to whoever watches

The usual answers: hello, submit (accepts), watch (replays), fetch (`engine.results`), ping, and
``done`` for everything else. All sockets live in one thread; `event` and `on` may be called from any.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Sequence

import zmq
import zmq.auth.thread

from intarsia_client import wire
from intarsia_client.wire import Message

DOMAIN = b"intarsia"


@dataclass
class Visit:
    """One message of a client and the way to answer it."""

    socket: Any
    sender: bytes
    message: Message

    def reply(self, kind: str, frames: Sequence[Any] = (), /, **header: Any) -> None:
        """Send ``kind`` with ``re`` set."""
        header["re"] = self.message.header.get("id")
        send(self.socket, self.sender, Message(kind, header, tuple(frames)))


@dataclass
class ScriptedJob:
    header: dict[str, Any]
    frames: list[bytes]
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    state: str = "queued"
    watchers: set[bytes] = field(default_factory=set)
    """Routing ids on the control socket."""


def send(socket: Any, receiver: bytes, message: Message) -> None:
    """One message through a ROUTER; a receiver that is gone is ignored."""
    try:
        socket.send_multipart([receiver, *wire.pack(message)], copy=False)
    except zmq.ZMQError as error:
        if error.errno != zmq.EHOSTUNREACH:
            raise


class ScriptedEngine:
    """See the module; ``jobs`` may be handed from one engine to the next, like a journal."""

    def __init__(
        self,
        home: Path,
        *,
        jobs: dict[str, ScriptedJob] | None = None,
        heartbeat_ms: int = 0,
        protocol: tuple[int, int] = wire.PROTOCOL,
        welcome: dict[str, Any] | None = None,
        token: str | None = None,
        ports: tuple[int, int] = (0, 0),
    ) -> None:
        self.home = home
        self.jobs = jobs if jobs is not None else {}
        self.token = token or uuid.uuid4().hex
        self.boot = uuid.uuid4().hex
        self.protocol = protocol
        self.extra_welcome = welcome or {}
        self.ports = ports
        self.heartbeat_ms = heartbeat_ms
        self.received: list[Message] = []
        self.results: dict[str, list[Any]] = {}
        self.silent = False
        """True: messages are taken and nothing is answered, like a hung engine."""
        self._handlers: dict[str, Callable[[ScriptedEngine, Visit], None]] = {}
        self._sessions: dict[str, bytes] = {}
        self._bulk_session: dict[bytes, str] = {}
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._ready = threading.Event()

    def on(self, kind: str, handler: Callable[[ScriptedEngine, Visit], None]) -> None:
        """Answer messages of this kind with ``handler`` from now on."""
        self._handlers[kind] = handler

    def count(self, kind: str) -> int:
        """How many messages of this kind came so far."""
        return sum(message.kind == kind for message in self.received)

    def event(self, job: str, kind: str, **header: Any) -> None:
        """Number an event, keep it and send it to everybody who watches the job."""
        self._calls.put(lambda: self._event(job, kind, header))

    def progress(self, job: str, frames: Sequence[Any] = (), /, **header: Any) -> None:
        """Send an unnumbered ``progress``."""
        message = Message("progress", dict(header, job=job), tuple(frames))
        self._calls.put(lambda: self._to_watchers(job, message))

    def raw(self, job: str, kind: str, header: dict[str, Any]) -> None:
        """Send a message to the job's watchers as it is, without keeping it."""
        self._calls.put(lambda: self._to_watchers(job, Message(kind, dict(header, job=job))))

    def finish(self, job: str, layers: Sequence[Any], **header: Any) -> None:
        """Keep the layers, and frames behind them, for ``fetch`` and send ``finished``."""
        descriptions, _ = wire.encode_buffers([x for x in layers if x.frame_of is None])
        frames, _ = wire.encode_buffers([x for x in layers if x.frame_of is not None])
        if frames:
            header["frames"] = frames
        self.results[job] = list(layers)
        fields = {"layers": descriptions, "recipe": {}, "metrics": {}, "seconds": {}, "notes": []}
        self.event(job, "finished", **dict(fields, **header))

    def __enter__(self) -> ScriptedEngine:
        self._thread = threading.Thread(target=self._run, name="scripted-engine")
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the scripted engine did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, *, forget: bool = False) -> None:
        """End as if killed; ``forget`` also removes the endpoint file, as a clean exit does."""
        self._stop.set()
        self._thread.join(10)
        if forget:
            (self.home / "run" / "endpoint.json").unlink()

    # --- in the engine's thread ---------------------------------------------------------------

    def _run(self) -> None:
        context = zmq.Context()
        authenticator = zmq.auth.thread.ThreadAuthenticator(context)
        authenticator.start()
        authenticator.configure_plain("intarsia", {wire.USER.decode(): self.token})
        sockets = [self._bind(context, port) for port in self.ports]
        self.ports = tuple(int(s.last_endpoint.decode().rsplit(":", 1)[1]) for s in sockets)  # type: ignore[assignment]
        self._control, self._bulk = sockets
        self._write_endpoint()
        self._ready.set()
        poller = zmq.Poller()
        for socket in sockets:
            poller.register(socket, zmq.POLLIN)
        try:
            while not self._stop.is_set():
                for socket, _ in poller.poll(5):
                    sender, *frames = socket.recv_multipart()
                    self._take(Visit(socket, sender, wire.unpack(frames)))
                while not self._calls.empty():
                    self._calls.get()()
        finally:
            for socket in sockets:
                socket.close(0)
            authenticator.stop()
            context.term()

    def _bind(self, context: zmq.Context, port: int) -> Any:
        socket = context.socket(zmq.ROUTER)
        socket.linger = 0
        socket.plain_server = True
        socket.zap_domain = DOMAIN
        socket.router_mandatory = True
        if self.heartbeat_ms:
            socket.heartbeat_ivl = self.heartbeat_ms
            socket.heartbeat_timeout = 3 * self.heartbeat_ms
            socket.heartbeat_ttl = 3 * self.heartbeat_ms
        socket.bind(f"tcp://127.0.0.1:{port or '*'}")
        return socket

    def _write_endpoint(self) -> None:
        folder = self.home / "run"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps(
            {
                "protocol": list(self.protocol),
                "host": "127.0.0.1",
                "control": self.ports[0],
                "bulk": self.ports[1],
                "pid": os.getpid(),
                "boot": self.boot,
                "token": self.token,
                "version": "0.0-scripted",
            }
        )
        temporary = folder / f"endpoint-{self.boot}"
        temporary.touch(mode=0o600)
        temporary.write_text(text, "utf-8")
        os.replace(temporary, folder / "endpoint.json")

    def _take(self, visit: Visit) -> None:
        self.received.append(visit.message)
        if self.silent:
            return
        kind = visit.message.kind
        handler = self._handlers.get(kind)
        if handler is not None:
            handler(self, visit)
        else:
            getattr(self, f"_{kind}", self._done)(visit)

    def _done(self, visit: Visit) -> None:
        visit.reply("done")

    def _hello(self, visit: Visit) -> None:
        session = visit.message.header.get("session")
        if session is None:
            session = uuid.uuid4().hex
            self._sessions[session] = visit.sender
        else:
            self._bulk_session[visit.sender] = session
        fields = {
            "session": session,
            "boot": self.boot,
            "protocol": list(self.protocol),
            "version": "0.0-scripted",
            "features": [],
            "device": "cpu",
            "limits": {"frame": 2**28, "total": 2**30, "jobs": 8},
            "idle_s": 600,
        }
        visit.reply("welcome", **dict(fields, **self.extra_welcome))

    def _submit(self, visit: Visit) -> None:
        self.accept(visit)

    def accept(self, visit: Visit) -> ScriptedJob:
        """The usual answer to ``submit``, for handlers that do more."""
        header = visit.message.header
        duplicate = header["job"] in self.jobs
        job = self.jobs.setdefault(
            header["job"], ScriptedJob(header, [bytes(b) for b in visit.message.buffers])
        )
        job.watchers.add(self._sessions[self._bulk_session[visit.sender]])
        visit.reply(
            "accepted", job=header["job"], position=0, state=job.state, duplicate=duplicate
        )
        return job

    def _watch(self, visit: Visit) -> None:
        name, since = visit.message.header["job"], visit.message.header["since"]
        job = self.jobs.get(name)
        if job is None:
            self.refuse(visit, "NOT_FOUND", f"There is no job {name}.")
            return
        job.watchers.add(visit.sender)
        visit.reply("done", state=job.state)
        for kind, header in job.events[since:]:
            send(self._control, visit.sender, Message(kind, header))

    def refuse(self, visit: Visit, code: str, what: str, **header: Any) -> None:
        """Answer ``refused``."""
        fields = {"code": code, "what": what, "value": None, "remedy": "", "action": None}
        visit.reply("refused", **dict(fields, retryable=False, **header))

    def _fetch(self, visit: Visit) -> None:
        name = visit.message.header["job"]
        if name not in self.results:
            self.refuse(visit, "NOT_FOUND", f"There is no result of {name}.")
            return
        wanted = visit.message.header.get("frames")
        items = [x for x in self.results[name] if wanted or x.frame_of is None]
        descriptions, frames = wire.encode_buffers(items)
        visit.reply("pixels", frames, job=name, buffers=descriptions)

    def _ping(self, visit: Visit) -> None:
        visit.reply("pong", workers=[])

    def _pong(self, visit: Visit) -> None:
        pass

    def _event(self, job: str, kind: str, header: dict[str, Any]) -> None:
        kept = self.jobs[job]
        message = Message(kind, dict(header, job=job, seq=len(kept.events) + 1))
        kept.events.append((kind, message.header))
        kept.state = {"started": "running", "resumed": "running", "requeued": "queued"}.get(kind, kind)
        self._to_watchers(job, message)

    def _to_watchers(self, job: str, message: Message) -> None:
        for watcher in self.jobs[job].watchers:
            send(self._control, watcher, message)
