"""Generator and critic of single-image models, and reading runs of the public code."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.consingan_reference import reference_arrays, reference_folder

from intarsia_models.errors import UnreadableModel
from intarsia_models.single_image.model import build_networks
from intarsia_models.single_image.networks import SingleImageGenerator
from intarsia_models.single_image.runs import (
    load_run,
    load_run_discriminator,
    load_run_noises,
    load_run_pictures,
    read_parameters,
)
from intarsia_models.single_image.settings import task_settings
from intarsia_models.single_image.upsampling import upsampled

RUNS = ["generation_lrelu", "retarget_prelu", "harmonization_lrelu_bn"]
TOLERANCE = 3e-5
"""The public code finds its resizing weights in single precision, ours are rounded once."""
SIZES = [(11, 14), (15, 19), (20, 26)]


def run_folder(run: str) -> Path:
    return reference_folder() / "TrainedModels" / run


def run_inputs(
    run: str, variant: str = ""
) -> tuple[list[torch.Tensor], list[tuple[int, int]], np.ndarray]:
    arrays, name = reference_arrays(), f"{run}{variant}"
    noises = [torch.from_numpy(arrays[f"{name}.noise.{n}"]) for n in range(3)]
    sizes = [(int(h), int(w)) for h, w in arrays[f"{name}.real_shapes"][:, 2:]]
    return noises, sizes, arrays[f"{name}.out"]


def random_noises(generator: SingleImageGenerator, batch: int = 1) -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(3)
    shapes = generator.noise_shapes(SIZES)
    return [torch.randn(batch, *shape, generator=source) for shape in shapes]


@pytest.mark.parametrize("run", RUNS)
def test_a_public_run_synthesizes_what_the_public_code_does(run: str) -> None:
    noises, sizes, expected = run_inputs(run)
    made = load_run(run_folder(run)).synthesize(noises, sizes)
    assert np.abs(made.numpy() - expected).max() < TOLERANCE


@pytest.mark.parametrize("run", RUNS)
def test_a_public_run_rebuilds_its_picture_from_its_fixed_noise(run: str) -> None:
    _, sizes, _ = run_inputs(run)
    rebuilt = load_run(run_folder(run)).synthesize(load_run_noises(run_folder(run)), sizes)
    assert np.abs(rebuilt.numpy() - reference_arrays()[f"{run}.rec"]).max() < TOLERANCE


def test_a_public_run_makes_another_shape() -> None:
    noises, sizes, expected = run_inputs("generation_lrelu", ".wide")
    made = load_run(run_folder("generation_lrelu"), task="generation").synthesize(noises, sizes)
    assert np.abs(made.numpy() - expected).max() < TOLERANCE


def test_features_equal_the_public_code() -> None:
    noises, sizes, _ = run_inputs("generation_lrelu")
    features = load_run(run_folder("generation_lrelu")).features(noises, sizes)
    assert list(features) == ["head", "body.0", "body.1", "body.2"]
    for name, found in features.items():
        expected = reference_arrays()[f"generation_lrelu.feature.{name}"]
        assert np.abs(found.numpy() - expected).max() < TOLERANCE


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("which", ["D_of_out", "D_of_real2"])
def test_critic_maps_equal_the_public_code(run: str, which: str) -> None:
    arrays = reference_arrays()
    made = torch.from_numpy(arrays[f"{run}.out"])
    picture = made if which == "D_of_out" else load_run_pictures(run_folder(run))[2]
    with torch.no_grad():
        scores = load_run_discriminator(run_folder(run))(picture)
    assert np.abs(scores.numpy() - arrays[f"{run}.{which}"]).max() < TOLERANCE


def test_batch_statistics_are_of_each_sample_alone() -> None:
    settings = task_settings("harmonization", channels=5, stages=3)
    generator = build_networks(settings, 3)[0].eval()
    noises = random_noises(generator, batch=2)
    both = generator.synthesize(noises, SIZES, batch_statistics=True)
    second = generator.synthesize([z[1:] for z in noises], SIZES, batch_statistics=True)
    assert torch.allclose(both[1:], second, atol=1e-4)
    running = generator.synthesize(noises, SIZES)
    assert (both - running).abs().max() > 1e-3


def test_synthesis_leaves_running_statistics_and_mode_alone() -> None:
    settings = task_settings("editing", channels=5, stages=3)
    generator = build_networks(settings, 3)[0].train()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    generator.synthesize(random_noises(generator), SIZES)
    assert generator.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


@pytest.mark.parametrize("task", ["generation", "retarget", "animation", "editing"])
def test_every_task_gives_pictures_of_the_asked_size(task: str) -> None:
    generator = build_networks(task_settings(task, channels=4, stages=3), 3)[0].eval()
    made = generator.synthesize(random_noises(generator), SIZES)
    assert made.shape == (1, 3, 20, 26)
    assert made.abs().max() <= 1


def test_fewer_noises_give_the_picture_of_an_earlier_stage() -> None:
    generator = build_networks(task_settings("retarget", channels=4, stages=3), 3)[0].eval()
    assert generator.synthesize(random_noises(generator)[:2], SIZES[:2]).shape[-2:] == SIZES[1]


def test_a_new_stage_starts_as_a_copy() -> None:
    generator, _ = build_networks(task_settings("generation", channels=4), 1)
    generator.grow()
    old, new = (stage.state_dict() for stage in generator.body)
    assert all(torch.equal(old[name], new[name]) for name in old)
    assert generator.noise_amplitudes == [1.0, 0.0]


def test_parameter_counts_are_those_of_the_paper() -> None:
    def count(module: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    generator, discriminator = build_networks(task_settings("generation"), 6)
    assert (count(generator), count(discriminator)) == (668_227, 113_153)


def test_upsampling_can_be_learnt_through_after_it_was_used_for_a_picture() -> None:
    with torch.inference_mode():
        upsampled(torch.ones(1, 2, 5, 7), (6, 9))
    features = torch.ones(1, 2, 5, 7, requires_grad=True)
    upsampled(features, (6, 9)).sum().backward()
    assert features.grad is not None and float(features.grad.sum()) == pytest.approx(108, rel=1e-5)


@pytest.mark.parametrize("size", [(7, 5), (13, 20), (7, 9), (40, 6), (1, 1)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_upsampling_equals_the_ready_made_function(
    size: tuple[int, int], order: torch.memory_format
) -> None:
    source = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 7, 5, generator=source, dtype=torch.float64)
    x = x.contiguous(memory_format=order).requires_grad_()
    expected = torch.nn.functional.interpolate(x, size, mode="bicubic", align_corners=True)
    made = upsampled(x, size)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)
    up = torch.randn(expected.shape, generator=source, dtype=torch.float64)
    (slope,), (wanted,) = (torch.autograd.grad(y, x, up) for y in (made, expected))
    torch.testing.assert_close(slope, wanted, rtol=0, atol=1e-12)


def test_large_features_are_upsampled_the_ready_made_way(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(1, 2, 4, 5)
    products = upsampled(x, (9, 12))
    monkeypatch.setattr("intarsia_models.single_image.upsampling.LARGEST_SIDE", 8)
    torch.testing.assert_close(upsampled(x, (9, 12)), products)


def test_wrong_noise_is_named_with_the_shape_that_would_fit() -> None:
    generator = build_networks(task_settings("generation", channels=4, stages=3), 3)[0].eval()
    noises = random_noises(generator)
    noises[1] = noises[1][..., 1:]
    with pytest.raises(ValueError, match=r"stage 1 must be \(B, 4, 21, 25\) for a picture of 19 x"):
        generator.synthesize(noises, SIZES)
    with pytest.raises(ValueError, match="has 3 stages"):
        generator.synthesize([*noises, noises[-1]], [*SIZES, SIZES[-1]])


def test_parameters_with_hyphens_are_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "parameters.txt"
    file.write_text("input_name\t-\tImages/old-bridge - copy.jpg\nlr_g\t-\t5e-05\nnaive_img\t-\t\n")
    assert read_parameters(file) == {
        "input_name": "Images/old-bridge - copy.jpg",
        "lr_g": "5e-05",
        "naive_img": "",
    }


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableModel, match=r"no numbered folder with a netG\.pth"):
        load_run(tmp_path)


def test_whole_module_pickles_are_refused(tmp_path: Path) -> None:
    stage = tmp_path / "0"
    stage.mkdir()
    torch.save(torch.nn.Linear(2, 2), stage / "netG.pth")
    (tmp_path / "parameters.txt").write_text("train_mode\t-\tgeneration\n")
    with pytest.raises(UnreadableModel, match="does not hold plain tensors"):
        load_run(tmp_path)
