"""Diversity and likeness of patches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from intarsia_models.errors import UnreadableModel
from intarsia_models.single_image import measures
from intarsia_models.single_image.measures import (
    INCEPTION_FILE,
    InceptionFeatures,
    PatchFeatures,
    diversity,
    has_inception,
    single_image_distance,
)


def texture(seed: int, step: int = 3, side: int = 48) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, side // step, side // step, generator=source) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (side, side), mode="nearest")


def test_diversity_is_the_spread_of_pixels_over_that_of_the_picture() -> None:
    real = torch.zeros(1, 3, 1, 2)
    real[..., 1] = 1.0  # standard deviation 0.5
    samples = torch.stack([torch.full((3, 1, 2), level) for level in (0.0, 0.2)])
    assert diversity(samples, real) == pytest.approx(0.1 / 0.5)
    assert diversity(real.expand(5, -1, -1, -1), real) == 0
    independent = torch.cat([texture(seed) for seed in range(40)])
    assert diversity(independent, texture(99)) == pytest.approx(1.0, abs=0.15)


def test_diversity_needs_samples_and_contrast() -> None:
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        diversity(texture(0), texture(0))
    with pytest.raises(ValueError, match="of one colour"):
        diversity(texture(0).expand(2, -1, -1, -1), torch.zeros(1, 3, 4, 4))


def test_the_distance_is_that_of_two_gaussians() -> None:
    """Against the closed form for diagonal covariances."""
    source = np.random.default_rng(0)
    one, other = source.normal(0, 1, (20000, 2)), source.normal((1, 0), (3, 2), (20000, 2))

    class Given:
        name = "given"

        def __call__(self, picture: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(one if picture.shape[-1] == 1 else other)

    found = single_image_distance(torch.zeros(1, 3, 1, 1), torch.zeros(1, 3, 1, 2), Given())
    assert found == pytest.approx(1 + (3 - 1) ** 2 + (2 - 1) ** 2, rel=0.03)


def test_patches_tell_the_texture_from_another_and_not_from_its_like() -> None:
    features = PatchFeatures()
    real = texture(0)
    assert single_image_distance(real, real, features) == pytest.approx(0, abs=1e-6)
    alike = single_image_distance(real, texture(1), features)
    mirrored = single_image_distance(real, real.flip(3), features)
    finer = single_image_distance(real, texture(1, step=2), features)
    darker = single_image_distance(real, texture(1) * 0.4 - 0.5, features)
    assert mirrored < alike < 0.3 * finer
    assert alike < 0.3 * darker
    assert "DCT" in features.name


def test_tiny_pictures_have_patches_of_fewer_sizes() -> None:
    assert PatchFeatures()(texture(0)[..., :12, :12]).shape == (8 * 8 + 2 * 2, 75)


def test_inception_is_read_from_a_file_and_never_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not has_inception(tmp_path)
    with pytest.raises(UnreadableModel, match=f"save it as .*{INCEPTION_FILE}"):
        InceptionFeatures(folder=tmp_path)
    with pytest.raises(ValueError, match="64 or 192, got 2048"):
        InceptionFeatures(2048)
    monkeypatch.setattr(measures, "INCEPTION_FILE", "inception.pth")  # no digits to check
    torch.save(_random_inception(), tmp_path / "inception.pth")
    for dimensions in (64, 192):
        features = InceptionFeatures(dimensions, folder=tmp_path)
        assert features(texture(0)).shape[1] == dimensions
        assert single_image_distance(texture(0), texture(0), features) < 1e-4
        assert str(dimensions) in features.name


def test_a_damaged_inception_file_is_refused(tmp_path: Path) -> None:
    torch.save(_random_inception(), tmp_path / INCEPTION_FILE)
    with pytest.raises(UnreadableModel, match="is damaged"):
        InceptionFeatures(folder=tmp_path)


def _random_inception() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    sizes = {
        "Conv2d_1a_3x3": (32, 3, 3),
        "Conv2d_2a_3x3": (32, 32, 3),
        "Conv2d_2b_3x3": (64, 32, 3),
        "Conv2d_3b_1x1": (80, 64, 1),
        "Conv2d_4a_3x3": (192, 80, 3),
    }
    state = {}
    for name, (out, into, side) in sizes.items():
        state[f"{name}.conv.weight"] = 0.1 * torch.randn(out, into, side, side)
        for part in ("weight", "bias", "running_mean"):
            state[f"{name}.bn.{part}"] = torch.rand(out)
        state[f"{name}.bn.running_var"] = torch.rand(out) + 0.5
    return state
