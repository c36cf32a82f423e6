"""What goes wrong on a bad day, done for real: real engine, real worker, real client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from engine_runs import Peer, endpoint_of, wait_until
from tests.support import engine_environment, running_engine

from intarsia_client.client import Client, Job
from intarsia_client.endpoint import write_engine_file
from intarsia_client.errors import EngineRefused, JobCancelled, JobFailed
from intarsia_client.schema import Pixels, Result
from intarsia_client.wire import EVENTS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

SIDE = 64
QUICK = {
    "INTARSIA_PING_S": "0.2",
    "INTARSIA_CANCEL_S": "1",
    "INTARSIA_STALL_LIMIT_S": "2",
    "INTARSIA_BEAT_LIMIT_S": "3",
    "INTARSIA_DISK_RESERVE_BYTES": "1000000",
    "INTARSIA_STORM_DEATHS": "1000",  # these tests are one
}


def pixels() -> Pixels:
    return Pixels("picture", SIDE, SIDE, 4, bytes(range(256)) * (SIDE * SIDE // 64))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**engine_environment(tmp_path_factory.mktemp("engine")), **QUICK}


@pytest.fixture(scope="module")
def engine(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with running_engine(environment) as process:
        yield process


@pytest.fixture
def client(
    engine: subprocess.Popen[bytes], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    yield from connected(environment, monkeypatch)


def connected(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    for name, value in environment.items():
        if name.startswith("INTARSIA_"):
            monkeypatch.setenv(name, value)
    with Client.connect(app="test", start=False) as one:
        yield one


class Story:
    """Collects a job's events while it is waited for."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.kinds: list[str] = []
        self.headers: list[dict[str, Any]] = []
        self.steps: list[int] = []
        self.breaks: list[str] = []

    def wait(self, timeout_s: float = 60.0) -> Result:
        return self.job.wait(
            on_event=self._event,
            on_progress=lambda progress: self.steps.append(progress.step),
            timeout_s=timeout_s,
        )

    def _event(self, kind: str, header: dict[str, Any]) -> None:
        if kind in EVENTS:
            self.kinds.append(kind)
            self.headers.append(header)
        else:
            self.breaks.append(kind)


def still_works(client: Client) -> None:
    sent = pixels()
    result = client.submit("identity", [sent], {}).wait(timeout_s=60)
    assert bytes(result.layers[0].data) == bytes(sent.data)


def running(client: Client, job: Job) -> dict[str, Any]:
    """The list's entry of a job, once it makes progress."""
    return wait_until(
        lambda: next(
            (
                item
                for item in client.jobs()
                if item["job"] == job.id and item["state"] == "running" and item["step"] > 0
            ),
            None,
        ),
        60,
    )


def worker_process(engine: subprocess.Popen[bytes]) -> psutil.Process:
    """The newest process that the fork server made."""
    children = psutil.Process(engine.pid).children()
    return max((w for c in children for w in c.children()), key=lambda process: process.pid)


# --- a worker dies --------------------------------------------------------------------------------


def test_a_worker_killed_in_mid_job_costs_one_attempt(
    client: Client, engine: subprocess.Popen[bytes]
) -> None:
    story = Story(client.submit("sleep", [], {"seconds": 1.5}))
    found = running(client, story.job)
    assert found["attempt"] == 1
    worker_process(engine).kill()
    result = story.wait()
    assert story.kinds == ["started", "requeued", "started", "finished"]
    assert [h["seq"] for h in story.headers] == [1, 2, 3, 4]
    assert result.recipe["operation"] == "sleep"
    still_works(client)


@pytest.mark.parametrize("how", ["segfault", "exit"])
def test_a_job_that_always_ends_its_worker_is_given_up_and_the_next_one_works(
    client: Client, how: str
) -> None:
    story = Story(client.submit("crash", [], {"how": how}))
    with pytest.raises(JobFailed, match="not tried again") as caught:
        story.wait()
    assert caught.value.code == "POISONED" and caught.value.remedy
    assert story.kinds.count("started") == 3
    still_works(client)


def test_a_job_that_ends_its_worker_once_succeeds(client: Client) -> None:
    story = Story(client.submit("crash", [], {"times": 1}))
    assert story.wait().layers[0].name == "Dot"
    assert story.kinds == ["started", "requeued", "started", "finished"]


def test_a_training_worker_killed_in_mid_training_resumes_to_the_same_result(
    client: Client,
) -> None:
    undisturbed = client.submit("train_counter", [], {"steps": 60}, seed=5).wait(timeout_s=60)
    story = Story(
        client.submit("train_counter", [], {"steps": 60, "crash_at": 33, "times": 2}, seed=5)
    )
    disturbed = story.wait()
    assert bytes(disturbed.layers[0].data) == bytes(undisturbed.layers[0].data)
    assert story.kinds.count("requeued") == 2
    assert disturbed.notes == ("Began at step 30.",)
    assert undisturbed.notes == ("Began at step 0.",)


# --- memory, disk, hangs --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["torch", "python", "cuda"])
def test_out_of_memory_is_told_with_a_remedy_and_the_next_job_works(
    client: Client, how: str
) -> None:
    story = Story(client.submit("out_of_memory", [], {"how": how, "quality": "normal"}))
    with pytest.raises(JobFailed) as caught:
        story.wait()
    assert caught.value.code == "OUT_OF_MEMORY" and caught.value.remedy
    assert story.kinds == ["started", "failed"]
    still_works(client)


@pytest.mark.parametrize("how", ["sleep", "lock"])
def test_a_hanging_edit_is_ended_and_the_next_job_works(client: Client, how: str) -> None:
    story = Story(client.submit("hang", [], {"how": how}))
    with pytest.raises(JobFailed) as caught:
        story.wait()
    assert caught.value.code == "WORKER_TIMEOUT" and caught.value.retryable
    still_works(client)


def test_a_hanging_job_can_be_cancelled(client: Client) -> None:
    job = client.submit("hang", [], {})
    wait_until(lambda: client.jobs()[0]["state"] == "running", 60)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait(timeout_s=30)
    still_works(client)


def test_a_full_disk_in_the_worker_is_told(client: Client) -> None:
    with pytest.raises(JobFailed) as caught:
        client.submit("fault", [], {"how": "disk"}).wait(timeout_s=60)
    assert caught.value.code == "DISK_FULL" and caught.value.remedy
    still_works(client)


def test_a_disk_that_is_full_at_submit_takes_no_job_and_loses_none(
    client: Client, engine: subprocess.Popen[bytes]
) -> None:
    big = Pixels("picture", 1024, 1024, 4, bytes(4 << 20))
    process = psutil.Process(engine.pid)
    before = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (2 << 20, before[1]))  # writes fail as on a full disk
    try:
        with pytest.raises(EngineRefused) as caught:
            client.submit("identity", [big], {})
        assert caught.value.code == "DISK_FULL" and caught.value.remedy
        still_works(client)
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, before)
    assert bytes(client.submit("identity", [big], {}).wait(timeout_s=60).layers[0].data) == big.data


def test_a_mistake_in_an_operation_tells_no_secrets(client: Client) -> None:
    with pytest.raises(JobFailed) as caught:
        client.submit("fault", [], {"how": "program"}).wait(timeout_s=60)
    assert caught.value.code == "OPERATION_FAILED" and "secret" not in str(caught.value)
    still_works(client)


def test_a_broken_device_costs_only_its_process(client: Client) -> None:
    with pytest.raises(JobFailed):
        client.submit("fault", [], {"how": "device"}).wait(timeout_s=60)
    still_works(client)


# --- clients come and go --------------------------------------------------------------------------


@pytest.mark.parametrize(("wish", "state"), [("cancel", "cancelled"), ("keep", "finished")])
def test_a_client_that_vanishes(
    client: Client, environment: dict[str, str], wish: str, state: str
) -> None:
    program = (
        "import sys, time\n"
        "from intarsia_client.client import Client\n"
        "client = Client.connect(start=False)\n"
        "job = client.submit('sleep', [], {'seconds': 1.5}, on_disconnect=sys.argv[1])\n"
        "print(job.id, flush=True)\n"
        "time.sleep(60)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, wish], env=environment, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    job = other.stdout.readline().decode().strip()
    wait_until(lambda: [j for j in client.jobs() if j["job"] == job and j["step"] > 0], 60)
    other.kill()
    other.wait()
    other.stdout.close()
    wait_until(lambda: [j for j in client.jobs() if (j["job"], j["state"]) == (job, state)], 30)
    if state == "finished":
        assert client.attach(job).wait(timeout_s=10).layers


def test_a_second_engine_leaves_and_the_first_works_on(
    client: Client, environment: dict[str, str]
) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "intarsia_daemon", "serve"],
        env=environment,
        capture_output=True,
        timeout=60,
    )
    assert second.returncode == 75
    still_works(client)


# --- the engine is killed -------------------------------------------------------------------------


def test_an_engine_killed_in_mid_training_goes_on_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The client notices, starts the engine again, and gets every event once and the result."""
    environment = {**engine_environment(tmp_path), **QUICK}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    parameters = {"steps": 80, "step_ms": 20.0}
    with running_engine(environment) as process, Client.connect(app="test") as client:
        path = "PYTHONPATH=" + environment["PYTHONPATH"]  # the client gives its engine none
        write_engine_file(["/usr/bin/env", path, sys.executable, "-m", "intarsia_daemon", "serve"])
        undisturbed = client.submit("train_counter", [], parameters, seed=9).wait(timeout_s=60)
        story = Story(client.submit("train_counter", [], parameters, seed=9))
        family: list[psutil.Process] = []

        def kill() -> None:
            wait_until(lambda: story.steps and story.steps[-1] >= 30, 60)
            family.extend(psutil.Process(process.pid).children(recursive=True))
            os.kill(process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            disturbed = story.wait(timeout_s=120)
        finally:
            killer.join()
            second = psutil.Process(endpoint_of(environment)["pid"])
            request.addfinalizer(lambda: second.is_running() and second.kill())
        assert process.wait(5) == -signal.SIGKILL
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == [], "a worker outlived its engine"
        assert bytes(disturbed.layers[0].data) == bytes(undisturbed.layers[0].data)
        assert story.kinds == ["started", "started", "requeued", "started", "finished"]
        assert [header["seq"] for header in story.headers] == [1, 2, 3, 4, 5]
        assert story.breaks[:1] == ["disconnected"] and story.breaks[-1] == "reconnected"
        assert disturbed.metrics["steps_taken"] <= 80 - 25
        still_works(client)
        client.shutdown(now=True)
        second.wait(20)


def test_sigterm_in_mid_training_keeps_it_for_the_next_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**engine_environment(tmp_path), **QUICK}
    with running_engine(environment) as process:
        with Peer(endpoint_of(environment)) as peer:
            parameters = {"steps": 300, "step_ms": 10.0}
            job = peer.submit("train_counter", parameters=parameters)["job"]
            wait_until(lambda: (m := peer.receive()) and m.header.get("step", 0) > 50, 60)
        began = time.monotonic()
        process.terminate()
        assert process.wait(15) == 0
        assert time.monotonic() - began < 12
    with running_engine(environment):
        for client in connected(environment, monkeypatch):
            result = client.attach(job).wait(timeout_s=60)
            assert result.metrics["steps_taken"] <= 250
            assert result.notes[0] != "Began at step 0."
