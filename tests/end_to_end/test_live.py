"""A preview that follows: many requests, one engine, only the newest result; real sockets."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from engine_runs import scripted_environment
from tests.support import running_engine

from intarsia_client import catalog
from intarsia_client.client import Client, Job
from intarsia_client.latest import LatestOnly
from intarsia_client.schema import Pixels, Result

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return scripted_environment(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def client(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    for name, value in environment.items():
        if name.startswith("INTARSIA_"):
            monkeypatch.setenv(name, value)
    with running_engine(environment), Client.connect(app="test", start=False) as one:
        yield one


class Preview:
    """Sends numbers as pictures; a job takes as long as the number says."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.jobs: list[Job] = []
        self.told: list[Any] = []
        self.arrived = threading.Condition()
        self.live: LatestOnly[float] = LatestOnly(self.send, self.show, self.complain)

    def send(self, seconds: float) -> Job:
        pixels = Pixels("picture", 2, 2, 4, bytes(range(16)))
        job = self.client.submit(
            catalog.operation("sleep"),
            [pixels],
            {"seconds": seconds},
            on_disconnect="cancel",
            keep_s=60,
        )
        with self.arrived:
            self.jobs.append(job)
            self.arrived.notify_all()
        return job

    def show(self, seconds: float, result: Result) -> None:
        self.told.append((seconds, len(result.layers)))

    def complain(self, seconds: float, error: Exception) -> None:
        self.told.append((seconds, type(error).__name__))

    def wait_for_jobs(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.jobs) >= count, PATIENCE_S)


def test_the_newest_result_comes_and_the_older_jobs_are_cancelled(client: Client) -> None:
    preview = Preview(client)
    for count in (1, 2, 3):
        preview.live.request(500.0 + count)
        preview.wait_for_jobs(count)
    preview.live.request(0.0)

    assert preview.live.wait_idle(PATIENCE_S)
    assert preview.told == [(0.0, 1)]
    assert [job.state for job in preview.jobs] == ["cancelled"] * 3 + ["finished"]


def test_it_survives_an_engine_that_is_gone(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        if name.startswith("INTARSIA_"):
            monkeypatch.setenv(name, value)
    with running_engine(environment) as process:
        client = Client.connect(app="test", start=False, timeout_s=1.0)
        preview = Preview(client)
        preview.live.request(500.0)
        preview.wait_for_jobs(1)
        process.kill()
        process.wait()
        assert preview.live.wait_idle(PATIENCE_S)
    assert preview.told == [(500.0, "EngineNotRunning")]
    preview.live.request(0.0)
    assert preview.live.wait_idle(PATIENCE_S)
    with running_engine(environment):
        preview.live.request(0.5)
        assert preview.live.wait_idle(PATIENCE_S)
    client.close()
    assert preview.told[1:] == [(0.0, "EngineNotRunning"), (0.5, 1)]
