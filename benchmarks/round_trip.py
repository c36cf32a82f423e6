"""How long pixels and small messages take to the engine and back, beside plainer ways to send them.

Ours is the whole way: the thin client, a real engine in a temporary home, its journal, the job's
files, a worker that copies the layer, and the result fetched again. The peers only echo: the same
bytes through a bare socket, through pyzmq, and as PNG over HTTP (which editors' plug-ins often
use). All alternate in one run, each peer as a process of its own; ratios are those of the medians.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SMALL = 200
"""Bytes of a small message."""
LENGTH = struct.Struct("<Q")
HOST = "127.0.0.1"
ROOM = 256 << 20
"""Bytes of the largest layer that a bare socket takes."""


# --- the peers' servers ---------------------------------------------------------------------------


def serve_socket() -> None:
    """Echo length-prefixed messages."""
    with socket.create_server((HOST, 0)) as server:
        print(server.getsockname()[1], flush=True)
        connection, _ = server.accept()
        tune(connection)
        room = bytearray(ROOM)
        with connection:
            while True:
                data = receive(connection, room)
                connection.sendall(LENGTH.pack(len(data)))
                connection.sendall(data)


def serve_zmq() -> None:
    """Echo from a ROUTER."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        print(router.bind_to_random_port(f"tcp://{HOST}"), flush=True)
        while True:
            router.send_multipart(router.recv_multipart(copy=False), copy=False)


class _Echo(BaseHTTPRequestHandler):
    """POST /raw gives the body back; POST /png<level> decodes it and encodes it again."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/png"):
            data = encode_png(decode_png(data), int(self.path[4:]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def serve_http() -> None:
    """Echo over HTTP 1.1 with a connection that stays."""
    with ThreadingHTTPServer((HOST, 0), _Echo) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


SERVERS = {"socket": serve_socket, "zmq": serve_zmq, "http": serve_http}


@contextmanager
def running(name: str) -> Iterator[int]:
    """A peer's server as a process; its port."""
    command = [sys.executable, __file__, "--serve", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


# --- the peers' clients ---------------------------------------------------------------------------


def tune(connection: socket.socket) -> None:
    """No waiting for more, and room for large writes."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        connection.setsockopt(socket.SOL_SOCKET, option, 4 << 20)


def receive(connection: socket.socket, room: bytearray) -> memoryview:
    """One length-prefixed message, in memory that is used again."""
    head = memoryview(bytearray(LENGTH.size))
    _fill(connection, head)
    data = memoryview(room)[: LENGTH.unpack(head)[0]]
    _fill(connection, data)
    return data


def _fill(connection: socket.socket, view: memoryview) -> None:
    while view:
        count = connection.recv_into(view)
        if not count:
            raise SystemExit(0)
        view = view[count:]


def encode_png(array: np.ndarray, level: int) -> bytes:
    """RGBA as PNG."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", compress_level=level)
    return file.getvalue()


def decode_png(data: bytes) -> np.ndarray:
    """PNG as RGBA."""
    return np.asarray(Image.open(io.BytesIO(data)))


def socket_echo(connection: socket.socket, data: bytes, room: bytearray) -> memoryview:
    connection.sendall(LENGTH.pack(len(data)))
    connection.sendall(data)
    return receive(connection, room)


def zmq_echo(dealer: zmq.Socket[bytes], data: bytes) -> Any:
    dealer.send(data, copy=False)
    return dealer.recv(copy=False).buffer


def http_echo(connection: http.client.HTTPConnection, path: str, data: bytes) -> bytes:
    connection.request("POST", path, data)
    return connection.getresponse().read()


def png_echo(connection: http.client.HTTPConnection, level: int, array: np.ndarray) -> np.ndarray:
    return decode_png(http_echo(connection, f"/png{level}", encode_png(array, level)))


# --- ours -----------------------------------------------------------------------------------------


@contextmanager
def our_client(folder: Path) -> Iterator[Any]:
    """A client of a real engine in a temporary home, with the test operation ``identity``."""
    sys.path.insert(0, str(ROOT))
    from tests.support import engine_environment, running_engine

    environment = engine_environment(folder)
    os.environ.update({k: v for k, v in environment.items() if k.startswith("INTARSIA_")})
    from intarsia_client.client import Client

    with running_engine(environment), Client.connect(app="benchmark", start=False) as client:
        yield client


def run_identity(client: Any, array: np.ndarray) -> Any:
    """One job: submit, wait, fetch, acknowledge; the result's bytes."""
    from intarsia_client.schema import Pixels

    height, width = array.shape[:2]
    pixels = Pixels("picture", width, height, 4, array.tobytes())
    return client.submit("identity", [pixels], {}).wait().layers[0].data


# --- measuring ------------------------------------------------------------------------------------


def picture(size: int) -> np.ndarray:
    """(size, size, 4) u8 with soft forms and fine grain, so that PNG has something to do."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:size, 0:size] / size
    channels = [128 + 90 * np.sin(5 * x + k) * np.cos(4 * y + 2 * k) for k in range(3)]
    rgb = np.stack(channels, axis=-1) + rng.normal(0, 3, (size, size, 3))
    alpha = np.full((size, size, 1), 255.0)
    return np.concatenate((rgb, alpha), axis=-1).clip(0, 255).round().astype(np.uint8)


def measure(ways: dict[str, Callable[[], Any]], wanted: bytes, rounds: int) -> dict[str, float]:
    """Median seconds of each way; in every round each comes once, beginning with another one."""
    names, taken = list(ways), {name: [] for name in ways}
    for turn in range(-1, rounds):  # the first round warms up
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.perf_counter()
            result = ways[name]()
            seconds = time.perf_counter() - began
            if turn >= 0:
                taken[name].append(seconds)
            elif result is not None and bytes(memoryview(result).cast("B")) != wanted:
                raise SystemExit(f"{name} gave other bytes back")
    return {name: statistics.median(values) for name, values in taken.items()}


def report(title: str, ours: str, medians: dict[str, float]) -> dict[str, Any]:
    """Median milliseconds, and how many times ours each peer takes."""
    return {
        "case": title,
        "ours": ours,
        "ms": {name: round(1000 * value, 3) for name, value in medians.items()},
        "peer_to_ours": {
            name: round(value / medians[ours], 3) for name, value in medians.items() if name != ours
        },
    }


def compare(size: int, rounds: int, small_rounds: int) -> list[dict[str, Any]]:
    """All cases, all ways."""
    layer, small = picture(size), picture(16)[:5, :10].copy()
    data, little = layer.tobytes(), small.tobytes()
    assert len(little) == SMALL
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        client = stack.enter_context(our_client(Path(folder)))
        ports = {name: stack.enter_context(running(name)) for name in SERVERS}
        plain = stack.enter_context(socket.create_connection((HOST, ports["socket"])))
        tune(plain)
        room = bytearray(ROOM)
        dealer = stack.enter_context(stack.enter_context(zmq.Context()).socket(zmq.DEALER))
        dealer.connect(f"tcp://{HOST}:{ports['zmq']}")
        web = http.client.HTTPConnection(HOST, ports["http"])
        stack.callback(web.close)
        web.connect()
        tune(web.sock)
        layers = {
            "intarsia job": lambda: run_identity(client, layer),
            "socket echo": lambda: socket_echo(plain, data, room),
            "pyzmq echo": lambda: zmq_echo(dealer, data),
            "HTTP raw": lambda: http_echo(web, "/raw", data),
            "HTTP + PNG 1": lambda: png_echo(web, 1, layer),
            "HTTP + PNG 6": lambda: png_echo(web, 6, layer),
        }
        messages = {
            "intarsia ping": lambda: client.ping() and None,
            "intarsia job": lambda: run_identity(client, small),
            "socket echo": lambda: socket_echo(plain, little, room),
            "pyzmq echo": lambda: zmq_echo(dealer, little),
            "HTTP raw": lambda: http_echo(web, "/raw", little),
        }
        return [
            report(f"{size}x{size} RGBA", "intarsia job", measure(layers, data, rounds)),
            report(f"{SMALL} bytes", "intarsia ping", measure(messages, little, small_rounds)),
        ]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="There and back, beside plainer ways.")
    parser.add_argument("--size", type=int, default=2048, help="pixels a side of the layer")
    parser.add_argument("--rounds", type=int, default=7, help="rounds with the layer")
    parser.add_argument("--small-rounds", type=int, default=200, help="rounds with 200 bytes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        SERVERS[arguments.serve]()
        return
    cases = compare(arguments.size, arguments.rounds, arguments.small_rounds)
    if arguments.json:
        print(json.dumps({"benchmark": "round_trip", "cores": os.cpu_count(), "cases": cases}))
        return
    for case in cases:
        print(f"{case['case']}: there and back, median")
        for name, milliseconds in case["ms"].items():
            ratio = case["peer_to_ours"].get(name)
            times = "" if ratio is None else f"{ratio:9.2f} x {case['ours']}"
            print(f"  {name:16}{milliseconds:11.2f} ms{times}")


if __name__ == "__main__":
    main()
