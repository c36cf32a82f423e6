"""Latents on disk: found by pixels, bounded, and never trusted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from intarsia_daemon.latent_store import GENERATED, Latent, LatentStore, pixels_hash


def _latent(seed: int = 0, size: int = 16) -> Latent:
    z = torch.randn(1, size, generator=torch.Generator().manual_seed(seed))
    return Latent(z, torch.tensor([2]), fit=0.5)


def _keys(count: int) -> list[str]:
    return [LatentStore.key("model", f"pixels {index}") for index in range(count)]


def test_what_was_put_in_comes_out_whole(tmp_path: Path) -> None:
    store, key = LatentStore(tmp_path), _keys(1)[0]
    styles = Latent(
        None, torch.tensor([[0.25, 0.75]]), torch.randn(1, 4, 8), 0.7, fit=0.25, generated=True
    )
    store.put(key, styles)
    found = LatentStore(tmp_path).get(key)
    assert found is not None and found.z is None
    assert found.w_plus is not None and styles.w_plus is not None
    assert found.y is not None and styles.y is not None
    assert torch.equal(found.w_plus, styles.w_plus) and torch.equal(found.y, styles.y)
    assert (found.truncation_psi, found.fit, found.generated) == (0.7, 0.25, True)


def test_a_key_tells_models_pixels_and_purposes_apart() -> None:
    keys = {
        LatentStore.key(model, pixels, purpose)
        for model in ("a", "b")
        for pixels in ("c", "d")
        for purpose in (GENERATED, "projection:200")
    }
    assert len(keys) == 8


def test_pixels_are_the_same_whatever_the_sample_type_they_came_in() -> None:
    levels = torch.randint(256, (1, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    eight = levels.float() / 127.5 - 1
    sixteen = (levels * 257).float() / 65535 * 2 - 1
    assert pixels_hash(eight) == pixels_hash(sixteen)
    changed = levels.clone()
    changed[0, 0, 0, 0] ^= 1
    assert pixels_hash(changed.float() / 127.5 - 1) != pixels_hash(eight)


def test_the_least_recently_used_leave_first(tmp_path: Path) -> None:
    keys = _keys(4)
    store = LatentStore(tmp_path, limit_count=3)
    for age, key in enumerate(keys[:3]):
        store.put(key, _latent())
        os.utime(tmp_path / f"{key}.safetensors", (1000 + age, 1000 + age))
    assert store.get(keys[0]) is not None  # now the newest
    store.put(keys[3], _latent())
    assert [store.get(key) is not None for key in keys] == [True, False, True, True]


def test_the_folder_stays_within_its_bytes(tmp_path: Path) -> None:
    store = LatentStore(tmp_path, limit_bytes=20_000)
    for key in _keys(12):
        store.put(key, _latent(size=1000))
    assert 0 < store.used_bytes <= 20_000
    assert store.get(_keys(12)[-1]) is not None


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _other_form(path: Path) -> None:
    save_file({"z": torch.zeros(1, 4)}, path, {"latent": json.dumps({"form": 99})})


def _without_description(path: Path) -> None:
    save_file({"z": torch.zeros(1, 4)}, path)


def _nan(path: Path) -> None:
    about = {"form": 1, "truncation_psi": 1, "fit": 1, "generated": True}
    save_file({"z": torch.full((1, 4), torch.nan)}, path, {"latent": json.dumps(about)})


def _deep(path: Path) -> None:
    save_file({"z": torch.zeros(1, 4)}, path, {"latent": "[" * 100_000})


def _nonsense(path: Path) -> None:
    path.write_bytes(b"\xff" * 300)


@pytest.mark.parametrize(
    "damage", [_cut, _other_form, _without_description, _nan, _deep, _nonsense]
)
def test_a_damaged_entry_is_as_good_as_none(tmp_path: Path, damage) -> None:
    store, (key, other) = LatentStore(tmp_path), _keys(2)
    store.put(key, _latent())
    store.put(other, _latent())
    damage(tmp_path / f"{key}.safetensors")
    assert store.get(key) is None
    assert store.get(other) is not None
    store.put(key, _latent(3))
    assert store.get(key) is not None


def test_a_name_that_is_no_key_reads_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        LatentStore(tmp_path).get("../../etc/passwd")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    store, (key, other) = LatentStore(tmp_path / "latents"), _keys(2)
    store.put(key, _latent())
    place = tmp_path / "latents" / f"{other}.safetensors"
    try:
        place.symlink_to(tmp_path / "latents" / f"{key}.safetensors")
    except OSError:
        pytest.skip("this system makes no links")
    assert store.get(other) is None


def test_a_folder_that_cannot_be_written_costs_only_the_memory(tmp_path: Path) -> None:
    (tmp_path / "latents").write_text("a file where the folder should be")
    store = LatentStore(tmp_path / "latents")
    store.put(_keys(1)[0], _latent())
    assert store.get(_keys(1)[0]) is None


def test_clearing_says_what_it_freed(tmp_path: Path) -> None:
    store = LatentStore(tmp_path)
    store.put(_keys(1)[0], _latent())
    used = store.used_bytes
    assert store.clear() == used > 0
    assert store.used_bytes == 0
