"""Runs of the public code as models of ours."""

import shutil
from pathlib import Path

import pytest
import torch
from tests.models.consingan_reference import reference_arrays, reference_folder

from intarsia_models.errors import UnreadableModel
from intarsia_models.single_image.animation import animate
from intarsia_models.single_image.enlarging import enlarge
from intarsia_models.single_image.fine_tuning import fine_tune
from intarsia_models.single_image.model import TrainedModel
from intarsia_models.single_image.retouching import retouch
from intarsia_models.single_image.runs import import_run
from intarsia_models.single_image.sampling import variations


def run_folder(run: str) -> Path:
    return reference_folder() / "TrainedModels" / run


@pytest.mark.parametrize("run", ["generation_lrelu", "retarget_prelu", "harmonization_lrelu_bn"])
def test_an_imported_run_is_a_whole_model(run: str, tmp_path: Path) -> None:
    model = import_run(run_folder(run))
    model.save(tmp_path / "m")
    loaded = TrainedModel.load(tmp_path / "m")
    torch.testing.assert_close(loaded.reconstruct(), model.reconstruct(), rtol=0, atol=1e-5)
    if not model.settings.batch_norm:  # the reference was made with running statistics
        expected = torch.from_numpy(reference_arrays()[f"{run}.rec"])
        torch.testing.assert_close(model.reconstruct(), expected, rtol=0, atol=3e-5)
    tuned = fine_tune(model, model.real.flip(3), iterations=2)
    assert torch.isfinite(tuned.reconstruct()).all()


def test_an_imported_run_does_what_ours_do() -> None:
    model = import_run(run_folder("generation_lrelu"))
    height, width = model.sizes[-1]
    assert variations(model, 2, size=(height, 2 * width)).shape == (2, 3, height, 2 * width)
    assert len(list(animate(model, 3))) == 3
    area = torch.zeros(1, 1, height, width)
    area[..., 10:20, 10:20] = 1
    assert retouch(model, model.real, area).picture.shape == model.real.shape
    assert enlarge(model).shape[-1] == 2 * width


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folder("generation_lrelu"), folder)
    other = run_folder("retarget_prelu") / "fixed_noise.pth"
    shutil.copy(other, folder / "fixed_noise.pth")
    with pytest.raises(UnreadableModel, match="do not belong together: 3 stages"):
        import_run(folder)
    (folder / "reals.pth").unlink()
    with pytest.raises(UnreadableModel, match=r"reals\.pth is missing"):
        import_run(folder)
