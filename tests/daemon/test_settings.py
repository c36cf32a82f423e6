"""Settings: defaults, file, environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.settings import load_settings


def test_defaults_need_no_file(tmp_path: Path) -> None:
    found = load_settings(tmp_path, {})
    assert found.home == str(tmp_path)
    assert (found.idle_s, found.attempts, found.device) == (1800.0, 3, "auto")
    assert found.to_dict()["cancel_s"] == 3.0


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("idle_s = 60\nattempts = 5\n", "utf-8")
    found = load_settings(tmp_path, {"INTARSIA_IDLE_S": "2.5", "INTARSIA_HOME": "/elsewhere"})
    assert (found.idle_s, found.attempts, found.home) == (2.5, 5, str(tmp_path))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("idle = 60", "no setting named 'idle'"),
        ("home = '/x'", "no setting named 'home'"),
        ("idle_s = 0", "> 0.*idle_s"),
        ("idle_s = 'soon'", "idle_s"),
        ("attempts = 1.5", "attempts"),
        ("training_share = 2", "training_share"),
        ("idle_s =", "cannot be read"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "settings.toml").write_text(text, "utf-8")
    with pytest.raises(InvalidRequest, match=match) as caught:
        load_settings(tmp_path, {})
    assert caught.value.remedy


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="queue_limit"):
        load_settings(tmp_path, {"INTARSIA_QUEUE_LIMIT": "many"})
