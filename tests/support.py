"""What several rooms' tests share: the reference data beside the project, and an engine."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAKES = ROOT / "tests" / "fakes"
TEST_OPERATIONS = "engine_test_operations"
"""The module in tests/fakes with small operations for tests: identity, sleep, crash, hang, …"""

_LIST_OPERATIONS = """
import importlib, json, sys
from intarsia_daemon import operation
module = importlib.import_module(sys.argv[1])
found = [r.declaration.to_dict() for r in operation._registry.values()
         if r.run.__module__ == module.__name__]
print(json.dumps({"operations": found}))
"""


def reference_data() -> Path | None:
    """The folder of golden cases and sample files, or None where it is absent.

    It lies beside the project as ``../shared``; the environment variable INTARSIA_REFERENCE names
    another place. Tests that need it skip with a reason.
    """
    folder = Path(os.environ.get("INTARSIA_REFERENCE") or ROOT.parent / "shared")
    return folder if (folder / "golden").is_dir() or (folder / "data").is_dir() else None


@functools.cache
def _test_catalog() -> str:
    """The test operations' declarations, read in a fresh process: importing registers them."""
    environment = dict(os.environ, PYTHONPATH=str(FAKES))
    done = subprocess.run(
        [sys.executable, "-c", _LIST_OPERATIONS, TEST_OPERATIONS],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f"the test operations cannot be read:\n{done.stderr}")
    return done.stdout


def engine_environment(tmp_path: Path) -> dict[str, str]:
    """Environment variables for an engine of its own, in a new home, with the test operations.

    Give it to every process that should meet that engine, or to ``monkeypatch.setenv`` for code in
    the test's own process.
    """
    home = tmp_path / "intarsia-home"
    home.mkdir(mode=0o700, exist_ok=True)
    catalog = tmp_path / "test-catalog.json"
    catalog.write_text(_test_catalog(), "utf-8")
    environment = dict(os.environ)
    environment.update(
        INTARSIA_HOME=str(home),
        INTARSIA_EXTRA_OPERATIONS=TEST_OPERATIONS,
        INTARSIA_EXTRA_CATALOG=str(catalog),
        PYTHONPATH=os.pathsep.join([str(FAKES), str(ROOT)]),
        OMP_NUM_THREADS="1",
    )
    return environment


@contextlib.contextmanager
def running_engine(
    environment: Mapping[str, str], *, timeout_s: float = 60.0
) -> Iterator[subprocess.Popen[bytes]]:
    """An engine as a process of its own, ready to answer; killed at the end if it still runs.

    Raises:
        RuntimeError: It ended before it was ready, or was not ready in time; with what it printed.
    """
    home = Path(environment["INTARSIA_HOME"])
    endpoint, printed = home / "run" / "endpoint.json", home / "engine-output.txt"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "intarsia_daemon", "serve"],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + timeout_s
            while not _belongs_to(endpoint, process.pid):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("no engine:\n" + printed.read_text("utf-8", "replace"))
                time.sleep(0.05)
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()


def _belongs_to(endpoint: Path, pid: int) -> bool:
    try:
        return json.loads(endpoint.read_text("utf-8")).get("pid") == pid
    except (OSError, ValueError):
        return False
