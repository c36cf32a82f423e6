"""Models on disk: whole or absent, checked, and safe against hostile folders."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_daemon import model_store
from intarsia_daemon.model_card import Card, identity
from intarsia_daemon.model_store import PNG, ModelStore

CARD: dict[str, Any] = {
    "family": "single-image",
    "task": "harmonization",
    "title": "Ponds",
    "source_hash": "s" * 64,
    "settings_hash": "t" * 64,
    "operation": "harmonize",
    "seconds": 12.5,
}


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def _write(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "stages").mkdir()
    (folder / "stages" / "0.json").write_text("{}")


def _card_file(store: ModelStore, model_id: str) -> Path:
    return store.path(model_id).parent / "card.json"


# --- adding and finding ---------------------------------------------------------------------------


def test_a_model_is_found_by_what_it_was_made_from(store: ModelStore) -> None:
    model_id = store.add(_write, CARD)
    found = store.find(CARD["source_hash"], "single-image", "harmonization", CARD["settings_hash"])
    assert found == store.path(model_id)
    assert found is not None and (found / "weights.safetensors").read_bytes() == b"weights"
    for other in ("source", "family", "task", "settings"):
        wanted = {
            "source_hash": CARD["source_hash"],
            "family": "single-image",
            "task": "harmonization",
            "settings_hash": CARD["settings_hash"],
        }
        key = f"{other}_hash" if other in ("source", "settings") else other
        assert store.find(**{**wanted, key: "other"}) is None


def test_an_empty_store_finds_and_lists_nothing(store: ModelStore) -> None:
    assert store.find("a", "b", "c", "d") is None
    assert store.list() == [] and list(store.cards()) == []


def test_a_folder_can_be_added_as_well_as_a_function(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    _write(tmp_path / "run")
    model_id = store.add(tmp_path / "run", CARD)
    assert (store.path(model_id) / "stages" / "0.json").read_text() == "{}"
    assert (tmp_path / "run" / "weights.safetensors").exists(), "it is copied"


def test_the_card_has_size_hashes_and_a_date(store: ModelStore) -> None:
    before = time.time()
    card = store.card(store.add(_write, CARD))
    assert card.bytes == len(b"weights") + len("{}")
    assert card.files["weights.safetensors"].sha256 == hashlib.sha256(b"weights").hexdigest()
    assert set(card.files) == {"weights.safetensors", "stages/0.json"}
    assert before <= card.created <= time.time()
    assert (card.title, card.operation, card.seconds) == ("Ponds", "harmonize", 12.5)


def test_the_reference_for_recipes_changes_with_any_byte(store: ModelStore) -> None:
    def other(folder: Path) -> None:
        _write(folder)
        (folder / "stages" / "0.json").write_text("[]")

    first = store.reference(store.add(_write, CARD))
    again = store.reference(store.add(_write, CARD))
    changed = store.reference(store.add(other, CARD))
    assert first == again and set(first) == {"family", "id", "hash"}
    assert changed["id"] == first["id"] and changed["hash"] != first["hash"]


def test_adding_again_replaces(store: ModelStore, tmp_path: Path) -> None:
    store.add(_write, CARD)
    model_id = store.add(lambda folder: (folder / "a.bin").write_bytes(b"new"), CARD)
    assert [path.name for path in store.path(model_id).iterdir()] == ["a.bin"]
    assert len(store.list()) == 1
    assert [path.name for path in (tmp_path / "models").iterdir()] == [model_id]


def test_a_writer_that_fails_leaves_what_was_there(store: ModelStore, tmp_path: Path) -> None:
    model_id = store.add(_write, CARD)

    def half(folder: Path) -> None:
        (folder / "weights.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        store.add(half, CARD)
    assert store.verify(model_id).bytes == 9
    assert [path.name for path in (tmp_path / "models").iterdir()] == [model_id]


def test_everything_is_on_the_disk_before_the_model_is_there(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the rename every file and folder must have been synced; after it, the parent."""
    synced: list[str] = []
    renamed: list[int] = []
    rename = os.rename

    def note_rename(source: Any, target: Any) -> None:
        if Path(source).name.startswith(".adding"):
            renamed.append(len(synced))
        rename(source, target)

    real = model_store._sync
    monkeypatch.setattr(model_store, "_sync", lambda path: (synced.append(path.name), real(path)))
    monkeypatch.setattr(model_store.os, "rename", note_rename)
    store.add(_write, CARD, thumbnail=PNG)
    before = set(synced[: renamed[0]])
    assert before > {
        "weights.safetensors",
        "0.json",
        "card.json",
        "thumbnail.png",
        "stages",
        "model",
    }
    assert synced[renamed[0] :] == ["models"]


def test_who_wants_to_know_of_changes_is_told(tmp_path: Path) -> None:
    told: list[int] = []
    store = ModelStore(tmp_path / "models", on_change=lambda: told.append(1))
    model_id = store.add(_write, CARD)
    store.remove(model_id)
    assert len(told) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": "../x"}, "family"),
        ({"family": None}, "family"),
        ({"task": "Two Words"}, "task"),
        ({"seconds": "long"}, "seconds"),
        ({"seconds": -1}, "seconds"),
        ({"source_hash": "x" * 1000}, "source_hash"),
    ],
)
def test_a_card_with_a_wrong_field_is_refused_with_its_name(
    store: ModelStore, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        store.add(_write, {**CARD, **changes})
    assert store.list() == []


def test_a_title_is_made_printable_and_short(store: ModelStore) -> None:
    card = store.card(store.add(_write, {**CARD, "title": "A\x1b[2J\nB" + "c" * 1000}))
    assert card.title.startswith("A[2JBccc") and len(card.title) == 200


def test_a_model_without_files_is_refused(store: ModelStore) -> None:
    with pytest.raises(InvalidRequest, match="no files"):
        store.add(lambda folder: None, CARD)


def test_a_folder_with_a_link_is_refused(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "weights").symlink_to("/etc/passwd")
    with pytest.raises(InvalidRequest, match="'weights' is not a plain file"):
        store.add(tmp_path / "run", CARD)


# --- damage ---------------------------------------------------------------------------------------


def _cut(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"weigh")


def _flip(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"weightz")


def _lose(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()


def _slip_in(folder: Path) -> None:
    (folder / "extra.py").write_text("import os")


def _link(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, r"weights.safetensors should have 7 bytes"),
        (_flip, r"weights.safetensors has changed"),
        (_lose, r"weights.safetensors is missing"),
        (_slip_in, r"extra.py does not belong to the model"),
        (_link, r"'weights.safetensors' is not a plain file"),
    ],
)
def test_a_damaged_model_is_told_with_its_file_and_offered_for_removal(
    store: ModelStore, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    model_id = store.add(_write, CARD)
    damage(store.path(model_id))
    other_process = ModelStore(tmp_path / "models")
    for look in (
        lambda s: s.verify(model_id),
        lambda s: s.path(model_id),
        lambda s: s.find("s" * 64, "single-image", "harmonization", "t" * 64),
    ):
        for each in (store, other_process):
            with pytest.raises(IntarsiaError, match=message) as caught:
                look(each)
            assert caught.value.code == "MODEL_LOAD_FAILED" and caught.value.remedy
            assert caught.value.action == {
                "label": "Remove the damaged model",
                "do": "remove",
                "model": model_id,
            }
    store.remove(model_id)
    assert store.list() == []


def _change(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"title": 5},
        {"title": "x" * 1000},
        {"bytes": -1},
        {"bytes": 2**80},
        {"created": "yesterday"},
        {"created": float("inf")},
        {"seconds": 1e300},
        {"files": []},
        {"files": {"../../x": {"bytes": 1, "sha256": "0" * 64}}},
        {"files": {"/etc/passwd": {"bytes": 1, "sha256": "0" * 64}}},
        {"files": {"a/../../b": {"bytes": 1, "sha256": "0" * 64}}},
        {"files": {"C:\\x": {"bytes": 1, "sha256": "0" * 64}}},
        {"files": {".hidden": {"bytes": 1, "sha256": "0" * 64}}},
        {"files": {"": {"bytes": 1, "sha256": "0" * 64}}},
        {"files": {"w": {"bytes": 1, "sha256": "zz"}}},
        {"files": {"w": {"bytes": 2**80, "sha256": "0" * 64}}},
        {"settings_hash": "another"},
        {"family": "other"},
    ],
)
def test_a_hostile_card_is_refused_and_its_model_listed_as_damaged(
    store: ModelStore, changes: dict[str, Any]
) -> None:
    model_id = store.add(_write, CARD)
    _change(_card_file(store, model_id), **changes)
    with pytest.raises(IntarsiaError, match=r"card\.json") as caught:
        store.path(model_id)
    assert caught.value.code == "MODEL_LOAD_FAILED"
    (entry,) = store.list()
    assert entry["id"] == model_id and entry["title"] == "Damaged model"
    assert "card.json" in entry["problem"]
    assert list(store.cards()) == []
    assert store.remove(model_id) > 0


@pytest.mark.parametrize(
    "text", ["", "null", "[" * 100_000, '{"x":' * 50_000, "\xff\xfe", " " * (2 << 20)]
)
def test_a_card_that_is_none_is_refused(store: ModelStore, text: str) -> None:
    model_id = store.add(_write, CARD)
    _card_file(store, model_id).write_text(text, "latin-1")
    with pytest.raises(IntarsiaError, match=r"card\.json"):
        store.verify(model_id)
    assert "problem" in store.list()[0]


def test_unknown_fields_of_a_newer_release_are_ignored(store: ModelStore) -> None:
    model_id = store.add(_write, CARD)
    _change(_card_file(store, model_id), invented={"later": [1, 2]})
    assert store.verify(model_id).title == "Ponds"


@pytest.mark.parametrize(
    "model_id",
    ["..", ".", "", "../models", "a/b", "/etc", "A", "x\0", "-x", "single-image-0", "x" * 200],
)
def test_no_path_gets_out_of_the_folder(store: ModelStore, model_id: str) -> None:
    known = store.add(_write, CARD)
    for act in (store.path, store.card, store.verify, store.remove, store.reference):
        with pytest.raises(InvalidRequest, match="There is no model") as caught:
            act(model_id)
        assert caught.value.code == "NOT_FOUND" and known in caught.value.remedy


def test_a_linked_model_folder_is_not_one(store: ModelStore, tmp_path: Path) -> None:
    real = store.add(_write, CARD)
    (tmp_path / "models" / real).rename(tmp_path / "elsewhere")
    (tmp_path / "models" / real).symlink_to(tmp_path / "elsewhere")
    assert store.list() == []
    with pytest.raises(InvalidRequest):
        store.remove(real)
    assert (tmp_path / "elsewhere" / "card.json").exists()


def test_a_linked_content_folder_is_damage(store: ModelStore, tmp_path: Path) -> None:
    model_id = store.add(_write, CARD)
    content = store.path(model_id)
    content.rename(tmp_path / "elsewhere")
    content.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntarsiaError, match="the folder is a link"):
        store.path(model_id)


# --- lists ----------------------------------------------------------------------------------------


def test_the_list_is_newest_first_and_has_what_the_wire_says(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        monkeypatch.setattr(model_store.time, "time", lambda n=number: 1000.0 + n)
        store.add(_write, {**CARD, "title": str(number), "source_hash": str(number)})
    entries = store.list()
    assert [entry["title"] for entry in entries] == ["2", "1", "0"]
    assert set(entries[0]) == {
        *("id", "family", "task", "title", "name", "detail", "created", "bytes", "seconds"),
        *("operation", "source_hash", "capabilities", "resolution", "num_classes"),
        *("label_count", "licence", "shipped"),
    }
    assert entries[0]["id"] == identity("2", "single-image", "harmonization", "t" * 64)


def test_models_of_one_name_are_listed_with_what_tells_them_apart(store: ModelStore) -> None:
    store.add(_write, {**CARD, "detail": "draft, 160 px"})
    store.add(_write, {**CARD, "detail": "normal, 250 px", "settings_hash": "u" * 64})
    store.add(_write, {**CARD, "title": "Night", "source_hash": "n" * 64})
    titles = {entry["title"]: entry["name"] for entry in store.list()}
    wanted = {"Ponds (draft, 160 px)": "Ponds", "Ponds (normal, 250 px)": "Ponds"}
    assert titles == {**wanted, "Night": "Night"}


def test_thumbnails_come_as_far_as_there_is_room(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_store, "LIST_LIMIT", 250)
    for number in range(3):
        store.add(_write, {**CARD, "source_hash": str(number)}, thumbnail=PNG + bytes(92))
    assert sum("thumbnail" in entry for entry in store.list(thumbnails=True)) == 2
    assert not any("thumbnail" in entry for entry in store.list())


@pytest.mark.parametrize("trick", ["link", "large", "other", "folder"])
def test_a_thumbnail_that_is_none_is_left_out(
    store: ModelStore, tmp_path: Path, trick: str
) -> None:
    model_id = store.add(_write, CARD, thumbnail=PNG)
    picture = tmp_path / "models" / model_id / "thumbnail.png"
    picture.unlink()
    if trick == "link":
        (tmp_path / "secret").write_bytes(PNG + b"secret")
        picture.symlink_to(tmp_path / "secret")
    elif trick == "large":
        picture.write_bytes(PNG + bytes(1 << 20))
    elif trick == "other":
        picture.write_bytes(b"GIF89a")
    else:
        picture.mkdir()
    assert "thumbnail" not in store.list(thumbnails=True)[0]


def test_cards_come_with_their_ids(store: ModelStore) -> None:
    model_id = store.add(_write, {**CARD, "fingerprint": "f" * 1024})
    ((found, card),) = store.cards()
    assert found == model_id and isinstance(card, Card) and card.fingerprint == "f" * 1024


def test_removing_returns_the_bytes(store: ModelStore, tmp_path: Path) -> None:
    model_id = store.add(_write, CARD)
    assert store.remove(model_id) >= 9
    assert list((tmp_path / "models").iterdir()) == []
    with pytest.raises(InvalidRequest):
        store.path(model_id)


def test_only_old_leftovers_are_swept(store: ModelStore, tmp_path: Path) -> None:
    model_id = store.add(_write, CARD)
    folder = tmp_path / "models"
    for name in (".adding-old", ".removed-old", ".adding-new"):
        (folder / name).mkdir()
        (folder / name / "file").write_text("x")
    for name in (".adding-old", ".removed-old", model_id):
        os.utime(folder / name, (1, 1))
    store.sweep()
    assert {path.name for path in folder.iterdir()} == {".adding-new", model_id}


# --- generators and packs -------------------------------------------------------------------------

GENERATOR: dict[str, Any] = {**CARD, "family": "sngan-projection", "task": "generator"}
LABELS = ["lemon", "lime"]


def _write_generator(folder: Path, **changes: Any) -> None:
    facts = {
        "labels": LABELS,
        "capabilities": ["spatial_classes", "classes"],
        "resolution": 32,
        "num_classes": 2,
        "licence": "CC0",
        "settings": {"deep": [{"er": 1}]},
    }
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "card.json").write_text(json.dumps({**facts, **changes}))


@pytest.fixture(name="shipping")
def _shipping(tmp_path: Path) -> ModelStore:
    """A store with one pack, called ``fruit``."""
    maker = ModelStore(tmp_path / "maker")
    made = maker.add(_write_generator, {**GENERATOR, "title": "Fruit"}, thumbnail=PNG)
    (tmp_path / "packs").mkdir()
    (tmp_path / "maker" / made).rename(tmp_path / "packs" / "fruit")
    (tmp_path / "packs" / "fruit" / "README.md").write_text("# Fruit")
    return ModelStore(tmp_path / "models", packs=tmp_path / "packs")


def test_a_generators_own_card_fills_the_stores(store: ModelStore) -> None:
    card = store.card(store.add(_write_generator, GENERATOR))
    assert card.capabilities == ("classes", "spatial_classes")
    assert (card.resolution, card.num_classes, card.label_count) == (32, 2, 2)
    assert card.licence == "CC0"
    plain = store.card(store.add(_write, CARD))
    assert (plain.capabilities, plain.resolution, plain.label_count) == ((), 0, 0)


def test_labels_are_told_by_model_and_of_the_best(shipping: ModelStore) -> None:
    assert shipping.labels() == shipping.labels("fruit") == LABELS
    mine = shipping.add(lambda folder: _write_generator(folder, labels=["a", "b"]), GENERATOR)
    other = shipping.add(_write, CARD)
    assert shipping.labels(mine) == ["a", "b"]
    assert shipping.labels() == LABELS, "one that ships is the best"
    assert shipping.labels(other) == []
    with pytest.raises(InvalidRequest, match="There is no model 'nothing'"):
        shipping.labels("nothing")


def test_without_packs_the_best_is_the_newest_with_classes(store: ModelStore) -> None:
    assert store.labels() == []
    store.add(_write_generator, GENERATOR)
    store.add(_write, CARD)
    assert store.labels() == LABELS


def test_packs_come_last_and_can_be_loaded_and_verified(
    shipping: ModelStore, tmp_path: Path
) -> None:
    mine = shipping.add(_write, CARD)
    entries = shipping.list(thumbnails=True)
    assert [(entry["id"], entry["shipped"]) for entry in entries] == [
        (mine, False),
        ("fruit", True),
    ]
    assert entries[1]["thumbnail"] == PNG and entries[1]["resolution"] == 32
    assert shipping.path("fruit") == tmp_path / "packs" / "fruit" / "model"
    assert shipping.verify("fruit").title == "Fruit"
    assert shipping.reference("fruit")["id"] == "fruit"
    assert [model_id for model_id, _ in shipping.cards()] == [mine, "fruit"]
    assert shipping.folder == tmp_path / "models"


def test_a_pack_cannot_be_removed_and_a_damaged_one_offers_no_removal(
    shipping: ModelStore, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match="comes with the release and cannot be removed"):
        shipping.remove("fruit")
    (tmp_path / "packs" / "fruit" / "model" / "weights.safetensors").write_bytes(b"weightz")
    with pytest.raises(IntarsiaError, match="install Intarsia again") as caught:
        shipping.path("fruit")
    assert caught.value.action is None and caught.value.code == "MODEL_LOAD_FAILED"


def test_the_users_own_model_is_taken_before_a_pack_of_the_same_id(
    shipping: ModelStore, tmp_path: Path
) -> None:
    mine = shipping.add(_write_generator, {**GENERATOR, "title": "Mine"})
    (tmp_path / "packs" / "fruit").rename(tmp_path / "packs" / mine)
    assert [entry["title"] for entry in shipping.list()] == ["Mine"]
    assert shipping.card(mine).title == "Mine"
    shipping.remove(mine)
    assert shipping.card(mine).title == "Fruit"


@pytest.mark.parametrize(
    "text", ["[1]", "{", '{"labels": 5}', "[" * 100_000, '{"labels": ["x", 3]}', "\xff"]
)
def test_a_generators_card_that_is_none_is_damage(store: ModelStore, text: str) -> None:
    model_id = store.add(_write_generator, GENERATOR)
    (store.path(model_id) / "card.json").write_text(text, "latin-1")
    with pytest.raises(IntarsiaError, match=r"model/card\.json") as caught:
        store.labels(model_id)
    assert caught.value.code == "MODEL_LOAD_FAILED"
