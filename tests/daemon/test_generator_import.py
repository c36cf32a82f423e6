"""Generators from public files and folders of ours; hostile files leave no mark."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_generators import LABELS, RESOLUTION, small_generator
from tests.support import reference_data

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_daemon.cli.models import verify_model
from intarsia_daemon.model_card import generator_facts
from intarsia_daemon.model_families import Foreign, import_foreign
from intarsia_daemon.model_import import import_model
from intarsia_daemon.model_store import PNG, ModelStore
from intarsia_models.checkpoints import read_bundle, write_bundle
from intarsia_models.errors import UnreadableModel
from intarsia_models.generators.loading import load_generator, own_tensors, save_generator

REFERENCE = reference_data()
COLLAGE = REFERENCE / "golden" / "02_collage_chainer_sngan" if REFERENCE else None
COMPOSITION = REFERENCE / "golden" / "04_proggan_latentcomposition" if REFERENCE else None
needs_composition = pytest.mark.skipif(
    COMPOSITION is None or not COMPOSITION.is_dir(),
    reason="the reference data is not beside the project",
)
needs_collage = pytest.mark.skipif(
    COLLAGE is None or not COLLAGE.is_dir(), reason="the reference data is not beside the project"
)


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture(name="own", scope="module")
def _own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator's folder as we write it."""
    folder = tmp_path_factory.mktemp("own") / "fruit"
    save_generator(small_generator(), folder, card={"licence": "CC0"})
    return folder


def test_a_generators_folder_of_ours_arrives_with_all_that_people_look_for(
    store: ModelStore, own: Path
) -> None:
    model_id = import_foreign(Foreign(own), store)
    (entry,) = store.list(thumbnails=True)
    assert entry["id"] == model_id and entry["title"] == "fruit" and entry["task"] == "generator"
    assert (entry["resolution"], entry["num_classes"]) == (RESOLUTION, len(LABELS))
    assert "classes" in entry["capabilities"] and entry["label_count"] == len(LABELS)
    assert store.labels(model_id) == list(LABELS)
    loaded, known = load_generator(store.path(model_id)), small_generator()
    z, y = known.sample_z(2, 3), torch.tensor([0, 2])
    torch.testing.assert_close(loaded.synthesize(z, y), known.synthesize(z, y))
    for role in ("discriminator", "encoder", "auxiliary"):
        assert getattr(loaded, role) is not None, role


def test_the_thumbnail_is_a_grid_of_different_samples(store: ModelStore, own: Path) -> None:
    import_foreign(Foreign(own), store)
    png = store.list(thumbnails=True)[0]["thumbnail"]
    assert png.startswith(PNG)
    grid = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(float)
    assert grid.shape == (2 * RESOLUTION, 2 * RESOLUTION, 3)
    half = RESOLUTION
    quarters = [grid[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
    distances = [np.abs(a - b).mean() for i, a in enumerate(quarters) for b in quarters[:i]]
    assert min(distances) > 1.0


def test_class_names_and_a_title_can_be_given(store: ModelStore, own: Path) -> None:
    names = ("a", "b", "c", "d")
    model_id = import_foreign(Foreign(own, labels=names, title="Letters"), store)
    assert store.labels(model_id) == list(names)
    assert store.card(model_id).title == "Letters"
    with pytest.raises(UnreadableModel, match="2 labels were given for 4 classes"):
        import_foreign(Foreign(own, labels=("a", "b")), store)


def test_verifying_makes_the_stored_sample_again(store: ModelStore, own: Path) -> None:
    model_id = import_foreign(Foreign(own), store)
    verify_model(store, model_id)
    # weights that are other ones, with every hash put right: only the picture tells
    changed = small_generator()
    with torch.no_grad():
        changed.output.weight.neg_()

    def forge(place: Path) -> None:
        write_bundle(place, own_tensors(changed), read_bundle(own).card)

    forged = store.add(forge, {"family": "sngan-projection", "task": "generator", "title": "F"})
    with pytest.raises(IntarsiaError, match="makes another picture") as caught:
        verify_model(store, forged)
    assert caught.value.code == "MODEL_LOAD_FAILED"


@needs_collage
def test_a_folder_of_chainer_snapshots_arrives_with_its_companions(tmp_path: Path) -> None:
    """Through the limited process; oracle: the public code's own pictures."""
    assert COLLAGE is not None
    models = tmp_path / "models"
    model_id = import_model(COLLAGE, models)
    store = ModelStore(models)
    card = store.verify(model_id)
    assert (card.family, card.resolution, card.num_classes) == ("sngan-projection", 128, 7)
    assert "ImageNet" in card.licence and len(card.source_hash) == 64
    generator = load_generator(store.path(model_id))
    assert generator.discriminator is not None
    assert generator.encoder is not None and generator.auxiliary is not None


# --- masked regressors ----------------------------------------------------------------------------


@needs_composition
def test_a_generator_arrives_with_its_masked_encoder(tmp_path: Path, store: ModelStore) -> None:
    """Named, in place of the generator that was there without, and found in a folder."""
    assert COMPOSITION is not None
    folder, encoder = tmp_path / "rooms", "pgan_encoder_RGBM_model_final.pth"
    folder.mkdir()
    main = Path(shutil.copy(COMPOSITION / "proggan_tiny-d8a89ff1.pth", folder))
    named = import_foreign(Foreign(main), store)
    assert "regressor" not in store.card(named).capabilities
    given = {"regressor": COMPOSITION / encoder}
    assert import_foreign(Foreign(main, given), store) == named
    shutil.copy(COMPOSITION / encoder, folder)
    other = ModelStore(tmp_path / "other")
    found = import_model(folder, tmp_path / "other")
    for place, model_id in ((store, named), (other, found)):
        verify_model(place, model_id)
        assert "regressor" in place.card(model_id).capabilities
        facts = generator_facts(place.path(model_id))
        assert facts.companions == ("regressor",)
        assert facts.regressor == ("ResNet-18, width 8, finds z of 24 numbers, known area centred")
        loaded = load_generator(place.path(model_id))
        assert loaded.regressor is not None and loaded.regressor.settings.mask_encoding == "centred"


@needs_composition
def test_an_encoder_of_another_generator_is_refused(tmp_path: Path, store: ModelStore) -> None:
    assert COMPOSITION is not None
    main = COMPOSITION / "proggan_tiny-d8a89ff1.pth"
    styles = {"regressor": COMPOSITION / "sgan_encoder_RGBM_model_final.pth"}
    with pytest.raises((UnreadableModel, ValueError), match=r"sgan_encoder|styles"):
        import_foreign(Foreign(main, styles), store)
    with pytest.raises(UnreadableModel, match="no masked encoder"):
        import_foreign(Foreign(main, {"regressor": main}), store)
    assert store.list() == []


def test_a_regressor_that_was_changed_is_noticed(store: ModelStore, tmp_path: Path) -> None:
    own = small_generator(regressor=True)
    save_generator(own, tmp_path / "own")
    verify_model(store, import_foreign(Foreign(tmp_path / "own"), store))
    assert own.regressor is not None
    with torch.no_grad():
        own.regressor.fc.weight.neg_()
    tensors = own_tensors(own)
    parts = {"regressor": {n: t for n, t in tensors.items() if n.startswith("regressor.")}}
    rest = {n: t for n, t in tensors.items() if not n.startswith("regressor.")}
    card = read_bundle(tmp_path / "own").card
    forged = store.add(
        lambda place: write_bundle(place, rest, card, parts=parts),
        {"family": "sngan-projection", "task": "generator", "title": "F"},
    )
    with pytest.raises(IntarsiaError, match="its regressor is not what it was"):
        verify_model(store, forged)


# --- hostile and broken files ---------------------------------------------------------------------


class _Attack:
    """Unpickled freely, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (os.mkdir, (str(self.mark),))


def _hostile(folder: Path, mark: Path) -> list[Path]:
    """The attack in every container that a model may come in."""
    attack = _Attack(mark)
    plain, newer, older, snapshot = (folder / n for n in ("a.pkl", "b.pth", "c.pth", "d.pkl"))
    plain.write_bytes(pickle.dumps(attack))
    torch.save({"G.linear.weight": torch.zeros(2), "x": attack}, newer)
    torch.save(
        {"G.linear.weight": torch.zeros(2), "x": attack},
        older,
        _use_new_zipfile_serialization=False,
    )
    snapshot.write_bytes(pickle.dumps({"G": None, "D": None, "G_ema": attack}))
    array = io.BytesIO()
    np.save(array, np.array([attack], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(folder / "e.npz", "w") as archive:
        archive.writestr("l1/W.npy", array.getvalue())
    return [plain, newer, older, snapshot, folder / "e.npz"]


def test_a_file_with_a_program_in_it_is_refused_and_not_run(
    tmp_path: Path, store: ModelStore
) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "files").mkdir()
    for path in _hostile(tmp_path / "files", mark):
        with pytest.raises((UnreadableModel, InvalidRequest)) as caught:
            import_foreign(Foreign(path), store)
        assert str(caught.value).rstrip().endswith("."), path.name
        assert not mark.exists(), path.name
    assert store.list() == []


def test_a_hostile_companion_is_refused_and_not_run(tmp_path: Path, store: ModelStore) -> None:
    if COLLAGE is None or not COLLAGE.is_dir():
        pytest.skip("the reference data is not beside the project")
    mark = tmp_path / "mark"
    (tmp_path / "files").mkdir()
    main = COLLAGE / "ResNetGenerator_450000.npz"
    for path in _hostile(tmp_path / "files", mark):
        for role in ("encoder", "regressor"):
            with pytest.raises(UnreadableModel):
                import_foreign(Foreign(main, {role: path}), store)
            assert not mark.exists(), path.name
    assert store.list() == []


@pytest.mark.parametrize("name", ["a.pkl", "b.pth"])
def test_the_limited_process_answers_a_hostile_file_with_a_sentence(
    tmp_path: Path, name: str
) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "files").mkdir()
    _hostile(tmp_path / "files", mark)
    with pytest.raises(IntarsiaError) as caught:
        import_model(tmp_path / "files" / name, tmp_path / "models")
    assert caught.value.code in ("MODEL_LOAD_FAILED", "FILE_REJECTED") and name in caught.value.what
    assert not mark.exists() and ModelStore(tmp_path / "models").list() == []


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x80\x04.", b"<html>404</html>", bytes(range(256)) * 4]
)
def test_a_broken_file_is_refused_with_its_name(
    tmp_path: Path, store: ModelStore, content: bytes
) -> None:
    (tmp_path / "broken.pth").write_bytes(content)
    with pytest.raises(UnreadableModel, match=r"broken\.pth"):
        import_foreign(Foreign(tmp_path / "broken.pth"), store)
    assert store.list() == []


@needs_collage
def test_a_file_that_is_cut_off_is_refused_wherever_the_cut_is(
    tmp_path: Path, store: ModelStore
) -> None:
    assert COLLAGE is not None
    whole = (COLLAGE / "ResNetGenerator_450000.npz").read_bytes()
    path = tmp_path / "cut.npz"
    for length in (10, len(whole) // 3, len(whole) - 30):
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadableModel, match=r"cut\.npz"):
            import_foreign(Foreign(path), store)
    assert store.list() == []


def test_a_damaged_folder_of_ours_is_refused(tmp_path: Path, store: ModelStore, own: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(own, folder)
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(UnreadableModel, match="damaged"):
        import_foreign(Foreign(folder), store)
    with pytest.raises(InvalidRequest, match="takes no further files"):
        import_foreign(Foreign(own, {"encoder": own / "card.json"}), store)
