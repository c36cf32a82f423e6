"""Taking over models: whole ones arrive exactly, hostile ones are a sentence."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support import reference_data

from intarsia_client.errors import IntarsiaError, InvalidRequest
from intarsia_daemon.model_import import import_model
from intarsia_daemon.model_store import PNG, ModelStore
from intarsia_daemon.picture_models import settings_hash
from intarsia_models.single_image.model import TrainedModel, build_networks
from intarsia_models.single_image.settings import task_settings
from intarsia_models.single_image.training import image_hash

REFERENCE = reference_data()
CASE = REFERENCE / "golden" / "06_consingan" if REFERENCE else None
needs_runs = pytest.mark.skipif(
    CASE is None or not CASE.is_dir(), reason="the reference data is not beside the project"
)


@pytest.fixture(name="models")
def _models(tmp_path: Path) -> Path:
    return tmp_path / "home" / "models"


def _run_folder(folder: Path) -> Path:
    """A run folder's outside: names that are recognised, and nothing in the files yet."""
    (folder / "2").mkdir(parents=True)
    (folder / "parameters.txt").write_text("train_mode\t-\tharmonization\n")
    for name in ("noise_amp.pth", "fixed_noise.pth", "reals.pth", "2/netG.pth", "2/netD.pth"):
        (folder / name).write_bytes(b"")
    return folder


@needs_runs
@pytest.mark.parametrize("name", ["harmonization_lrelu_bn", "generation_lrelu", "retarget_prelu"])
def test_a_run_of_the_public_code_arrives_with_its_outputs(models: Path, name: str) -> None:
    """Oracle: the public code's own output for its own noise, recorded with the reference data."""
    assert CASE is not None
    model_id = import_model(CASE / "TrainedModels" / name, models)
    store = ModelStore(models)
    card = store.verify(model_id)
    assert (card.family, card.task) == ("single-image", name.partition("_")[0])
    assert card.title == "train_image"
    loaded = TrainedModel.load(store.path(model_id))
    with np.load(CASE / "io.npz") as data, torch.inference_mode():
        expected = torch.from_numpy(data[f"{name}.rec"])
        rebuilt = loaded.generator.synthesize(loaded.fixed_noises, loaded.sizes)
    torch.testing.assert_close(rebuilt, expected.to(rebuilt), rtol=0, atol=1e-4)
    assert card.source_hash == loaded.image_hash == image_hash(loaded.real)
    assert card.settings_hash == settings_hash(loaded.settings.to_card(), 0)
    assert store.list(thumbnails=True)[0]["thumbnail"].startswith(PNG)


def test_a_run_with_the_published_settings_is_found_by_who_would_train_with_them(
    tmp_path: Path, models: Path
) -> None:
    published, run = task_settings("harmonization"), _run_folder(tmp_path / "run")
    generator, critic = build_networks(published, published.stages)
    pictures = [torch.rand(1, 3, 25 * n, 30 * n) * 2 - 1 for n in range(1, published.stages + 1)]
    noises = [pictures[0], *(torch.zeros(1, published.channels, 4, 4) for _ in pictures[1:])]
    torch.save(generator.state_dict(), run / "2" / "netG.pth")
    torch.save(critic.state_dict(), run / "2" / "netD.pth")
    torch.save([1.0, 0.1, 0.1], run / "noise_amp.pth")
    torch.save(noises, run / "fixed_noise.pth")
    torch.save(pictures, run / "reals.pth")
    options = {
        "train_mode": "harmonization",
        "activation": "lrelu",
        "lrelu_alpha": published.negative_slope,
        "min_size": published.min_size,
        "max_size": published.max_size,
        "niter": published.iterations,
        "train_depth": published.train_depth,
        "lr_scale": published.lr_scale,
        "lr_g": published.learning_rate,
    }
    lines = [f"{name}\t-\t{value}\n" for name, value in options.items()]
    (run / "parameters.txt").write_text("".join(lines))
    import_model(run, models)
    wanted = settings_hash(published.to_card(), 0)
    found = ModelStore(models).find(
        image_hash(pictures[-1]), "single-image", "harmonization", wanted
    )
    assert found is not None


@needs_runs
def test_a_title_can_be_given(models: Path) -> None:
    assert CASE is not None
    model_id = import_model(CASE / "TrainedModels" / "retarget_prelu", models, title="Ponds")
    assert ModelStore(models).card(model_id).title == "Ponds"


class _Attack:
    """Unpickled freely, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (os.mkdir, (str(self.mark),))


def test_a_run_with_a_program_in_it_is_refused_and_not_run(tmp_path: Path, models: Path) -> None:
    run, mark = _run_folder(tmp_path / "run"), tmp_path / "mark"
    (run / "2" / "netG.pth").write_bytes(pickle.dumps(_Attack(mark)))
    torch.save({"head": _Attack(mark)}, run / "2" / "netD.pth")
    with pytest.raises(IntarsiaError, match=r"netG\.pth does not hold plain tensors") as caught:
        import_model(run, models)
    assert caught.value.code == "MODEL_LOAD_FAILED"
    shutil.copy(run / "2" / "netD.pth", run / "2" / "netG.pth")
    with pytest.raises(IntarsiaError, match=r"netG\.pth does not hold plain tensors"):
        import_model(run, models)
    assert not mark.exists()
    assert ModelStore(models).list() == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04.", os.urandom(999)])
def test_a_run_that_is_broken_is_refused_with_its_file(
    tmp_path: Path, models: Path, content: bytes
) -> None:
    run = _run_folder(tmp_path / "run")
    (run / "2" / "netG.pth").write_bytes(content)
    with pytest.raises(IntarsiaError, match=r"netG\.pth") as caught:
        import_model(run, models)
    assert caught.value.code == "MODEL_LOAD_FAILED"
    assert not list(models.iterdir())


def test_an_unknown_folder_is_refused_with_what_is_known(tmp_path: Path, models: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(IntarsiaError, match="no model that can be imported") as caught:
        import_model(tmp_path / "photos", models)
    assert "ConSinGAN" in caught.value.remedy and caught.value.code == "FILE_REJECTED"


def test_a_missing_folder_is_refused(tmp_path: Path, models: Path) -> None:
    with pytest.raises(InvalidRequest, match="does not exist"):
        import_model(tmp_path / "none", models)


def _other_machine(tmp_path: Path) -> Path:
    store = ModelStore(tmp_path / "other")
    card = {"family": "single-image", "task": "harmonization", "title": "Ponds", "seconds": 9.0}
    model_id = store.add(
        lambda folder: (folder / "w.bin").write_bytes(b"weights"), card, thumbnail=PNG
    )
    return tmp_path / "other" / model_id


def test_a_stored_model_of_another_machine_arrives_as_it_was(tmp_path: Path, models: Path) -> None:
    folder = _other_machine(tmp_path)
    model_id = import_model(folder, models)
    before, after = (
        ModelStore(tmp_path / "other").card(folder.name),
        ModelStore(models).card(model_id),
    )
    assert model_id == folder.name
    assert (after.hash, after.title, after.seconds) == (before.hash, "Ponds", 9.0)
    assert ModelStore(models).list(thumbnails=True)[0]["thumbnail"] == PNG


def test_a_stored_model_that_is_damaged_is_not_taken(tmp_path: Path, models: Path) -> None:
    folder = _other_machine(tmp_path)
    (folder / "model" / "w.bin").write_bytes(b"Weights")
    with pytest.raises(IntarsiaError, match=r"w\.bin has changed"):
        import_model(folder, models)
    assert ModelStore(models).list() == []
