"""Bundles of tensors: whole or absent, checked when read."""

import json
from pathlib import Path

import pytest
import torch

from intarsia_models import checkpoints
from intarsia_models.checkpoints import (
    read_bundle,
    read_latest_checkpoint,
    remove_checkpoints,
    write_bundle,
    write_checkpoint,
)
from intarsia_models.errors import DamagedCheckpoint, UnreadableModel

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(7, dtype=torch.int64)}


def test_a_bundle_comes_back_exactly(tmp_path: Path) -> None:
    write_bundle(tmp_path / "model", TENSORS, {"name": "ä", "sizes": [[1, 2]]})
    found = read_bundle(tmp_path / "model")
    assert found.card == {"name": "ä", "sizes": [[1, 2]]}
    assert all(torch.equal(found.tensors[name], TENSORS[name]) for name in TENSORS)


def test_writing_again_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    for number in (1, 2):
        write_bundle(tmp_path / "model", TENSORS, {"number": number})
    assert read_bundle(tmp_path / "model").card == {"number": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failed_write_leaves_the_old_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "model", TENSORS, {"number": 1})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(tmp_path / "model", TENSORS, {"number": 2})
    assert read_bundle(tmp_path / "model").card == {"number": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["weights.safetensors", "card.json"])
def test_a_changed_byte_is_noticed(tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path / "model", TENSORS, {"number": 1})
    file = tmp_path / "model" / name
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedCheckpoint, match=f"{name} is damaged"):
        read_bundle(tmp_path / "model")


def test_a_missing_file_is_noticed(tmp_path: Path) -> None:
    write_bundle(tmp_path / "model", TENSORS, {})
    (tmp_path / "model" / "weights.safetensors").unlink()
    with pytest.raises(DamagedCheckpoint):
        read_bundle(tmp_path / "model")


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(UnreadableModel, match=r"has no manifest\.json"):
        read_bundle(tmp_path)


def test_the_newest_whole_checkpoint_is_read_and_damage_is_told(tmp_path: Path) -> None:
    for step in (9, 10):
        write_checkpoint(tmp_path, step, TENSORS, {"step": step})
    (tmp_path / "step-000000010" / "weights.safetensors").write_bytes(b"cut")
    told: list[str] = []
    found = read_latest_checkpoint(tmp_path, on_damaged=lambda path, _: told.append(path.name))
    assert found is not None and found.card == {"step": 9}
    assert told == ["step-000000010"]


def test_a_manifest_that_is_cut_off_is_damage(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 1, TENSORS, {})
    manifest = tmp_path / "step-000000001" / "manifest.json"
    manifest.write_text(manifest.read_text()[:20])
    assert read_latest_checkpoint(tmp_path) is None


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in range(5):
        write_checkpoint(tmp_path, step, TENSORS, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000003", "step-000000004"]
    remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert read_latest_checkpoint(tmp_path / "nowhere") is None


def test_the_card_is_plain_json(tmp_path: Path) -> None:
    write_bundle(tmp_path / "model", TENSORS, {"x": 0.1})
    assert json.loads((tmp_path / "model" / "card.json").read_text()) == {"x": 0.1}
