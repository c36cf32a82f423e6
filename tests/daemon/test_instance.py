"""One engine per home, and its endpoint file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from intarsia_client.endpoint import Endpoint
from intarsia_client.errors import EngineNotRunning, EngineRefused
from intarsia_daemon.instance import AlreadyRunning, EndpointFile, InstanceLock, prepare_home


def test_the_home_is_private(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    (home / "run").chmod(0o755)
    home.chmod(0o755)
    prepare_home(home)
    for name in ("", "run", "log", "jobs", "models"):
        assert (home / name).is_dir()
        if os.name != "nt":
            assert (home / name).stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngineRefused, match="not a folder of this user"):
        prepare_home(tmp_path / "home")


def test_the_lock_is_held_by_one_and_freed_with_its_process(tmp_path: Path) -> None:
    prepare_home(tmp_path)
    program = (
        "import sys; from pathlib import Path; from intarsia_daemon.instance import InstanceLock\n"
        "with InstanceLock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline().strip() == b"held"
    with pytest.raises(AlreadyRunning), InstanceLock(tmp_path):
        pass
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    with InstanceLock(tmp_path):
        pass


def test_the_endpoint_file_is_what_clients_read(tmp_path: Path) -> None:
    prepare_home(tmp_path)
    file = EndpointFile(tmp_path)
    file.write(control=1001, bulk=1002, token="secret", boot="b1")
    found = Endpoint.read(tmp_path)
    assert (found.control, found.bulk, found.token, found.boot) == (1001, 1002, "secret", "b1")
    assert found.pid == os.getpid()
    if os.name != "nt":
        assert file.path.stat().st_mode & 0o777 == 0o600
    file.remove()
    with pytest.raises(EngineNotRunning):
        Endpoint.read(tmp_path)


def test_an_engine_removes_only_its_own_endpoint_file(tmp_path: Path) -> None:
    prepare_home(tmp_path)
    old, new = EndpointFile(tmp_path), EndpointFile(tmp_path)
    old.write(control=1, bulk=2, token="t", boot="old")
    new.write(control=3, bulk=4, token="t", boot="new")
    old.remove()
    assert Endpoint.read(tmp_path).boot == "new"
