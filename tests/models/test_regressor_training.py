"""Training a masked regressor: what it is shown, what it makes small, and that it goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_generators import LABELS, RESOLUTION, small_generator
from torch import Tensor
from torch.testing import assert_close

from intarsia_models.errors import ModelsError, TrainingDiverged, UnreadableModel
from intarsia_models.families.stylegan2.generator import StyleGAN2Generator
from intarsia_models.families.stylegan2.settings import GeneratorSettings
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.loop import TrainingProgress
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.loading import fingerprint
from intarsia_models.latent_composition import losses
from intarsia_models.latent_composition.cost import expected_seconds, training_operations
from intarsia_models.latent_composition.known_areas import (
    known_areas,
    noise_areas,
    rectangle_areas,
)
from intarsia_models.latent_composition.losses import Resemblance, latent_loss
from intarsia_models.latent_composition.reconstructions import measured
from intarsia_models.latent_composition.training import RegressorLoop, train_regressor
from intarsia_models.latent_composition.training_settings import (
    RegressorTraining,
    regressor_training,
)

QUICK = RegressorTraining(width=4, grid=4, batch=8, iterations=6, rate=2e-3, precision="float32")
SIZE = (RESOLUTION, RESOLUTION)


def _source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _weights(generator: Generator) -> dict[str, Tensor]:
    assert generator.regressor is not None
    return generator.regressor.state_dict()


# --- known areas


def test_noise_areas_keep_what_the_public_codes_keep() -> None:
    areas = [noise_areas(8, (64, 64), _source(seed)) for seed in range(400)]
    known = torch.cat(areas)
    assert set(known.unique().tolist()) == {0.0, 1.0}
    means = known.mean((1, 2, 3))
    assert float(means.mean()) == pytest.approx(0.69, abs=0.03)  # not 0.31, the paper's other sign
    assert float((means == 1).float().mean()) == pytest.approx(0.05, abs=0.03)


def test_one_threshold_serves_a_whole_batch() -> None:
    shares = torch.stack([noise_areas(16, SIZE, _source(s)).mean((1, 2, 3)) for s in range(60)])
    between, within = shares.mean(1).var(), shares.var(1).mean()
    assert float(between) > 4 * float(within)


def test_rectangles_are_pieces_of_many_sizes() -> None:
    areas = rectangle_areas(300, (40, 40), _source())
    shares = areas.mean((1, 2, 3))
    assert set(areas.unique().tolist()) == {0.0, 1.0}
    assert bool((shares > 0).all()) and float(shares.min()) < 0.05 and float(shares.max()) > 0.8


def test_both_kinds_of_areas_come_in_turn() -> None:
    source = _source(2)
    rectangular = 0
    for _ in range(40):
        area = known_areas("both", 1, SIZE, source)[0, 0]
        corners = area[:-1, :-1] - area[1:, :-1] - area[:-1, 1:] + area[1:, 1:]
        rectangular += int((corners != 0).sum() <= 40)
    assert 5 < rectangular < 38


# --- losses


def test_the_cosine_ignores_lengths_and_the_square_does_not() -> None:
    wanted = torch.randn(4, 6, generator=_source())
    assert float(latent_loss(3 * wanted, wanted, "cosine")) == pytest.approx(0.0, abs=1e-6)
    assert float(latent_loss(-wanted, wanted, "cosine")) == pytest.approx(2.0, abs=1e-6)
    assert_close(latent_loss(3 * wanted, wanted), (2 * wanted).square().mean())


def test_pictures_are_compared_by_the_discriminator_where_lpips_has_no_backbone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(losses, "find_backbone", lambda net: None)
    generator = small_generator()
    resemblance = Resemblance(generator)
    assert resemblance.name == "discriminator" and "vgg16-397923af.pth" in resemblance.note
    x = generator.synthesize(generator.sample_z(3, 0), torch.tensor([0, 1, 2]))
    assert_close(resemblance(x, x), torch.zeros(3), atol=1e-5, rtol=0)
    assert bool((resemblance(x, x.flip(0))[::2] > 1e-4).all())
    assert Resemblance(small_generator(companions=False)).name == "pixels"


def test_a_comparison_that_is_not_there_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UnreadableModel, match=r"vgg16-397923af\.pth and save it as"):
        Resemblance(small_generator(), "vgg")
    with pytest.raises(ModelsError, match="no discriminator"):
        Resemblance(small_generator(companions=False), "discriminator")


# --- training


def test_it_learns_to_bring_parts_of_unseen_pictures_back() -> None:
    settings = replace(QUICK, width=8, batch=12, pixel_weight=5.0, latent_weight=0.2)
    found: list[tuple[float, float]] = []
    for iterations in (1, 120):
        generator = small_generator()
        before = fingerprint(generator)
        trained = train_regressor(generator, replace(settings, iterations=iterations))
        assert "regressor" in generator.capabilities and fingerprint(generator) == before
        y = torch.arange(64) % len(LABELS)
        x = generator.synthesize(generator.sample_z(64, 77), y)
        _, parts, _ = measured(generator, x, y)
        assert parts.classes_read is not None
        found.append((parts.of_all, parts.classes_read))
    assert found[1][0] < 0.9 * found[0][0]
    assert found[1][1] > 0.6 > found[0][1]
    card = trained.card()
    assert set(card["losses"]) == {"pixels", "perceptual", "latent", "classes"}
    assert card["compared_by"] and card["training"]["areas"] == "noise" and card["pictures"] == 0


def _steps(folder: Path | None, stop: int | None = None) -> dict[str, Tensor]:
    """Six iterations' weights; stopped after some and taken up again where asked."""
    generator = small_generator()
    if stop is not None:
        assert folder is not None
        with pytest.raises(InterruptedError):
            train_regressor(
                generator,
                QUICK,
                seed=3,
                checkpoint_folder=folder,
                checkpoint_every_s=0.0,
                on_progress=_stopper(stop),
            )
        assert generator.regressor is None
    train_regressor(generator, QUICK, seed=3, checkpoint_folder=folder, checkpoint_every_s=0.0)
    return _weights(generator)


def _stopper(iteration: int):
    def follow(progress: TrainingProgress) -> None:
        if progress.iteration == iteration:
            raise InterruptedError

    return follow


def test_a_training_that_was_stopped_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole, resumed = _steps(None), _steps(tmp_path, stop=4)
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


def test_a_tick_may_stop_it(tmp_path: Path) -> None:
    calls = 0

    def tick() -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise InterruptedError

    generator = small_generator()
    with pytest.raises(InterruptedError):
        train_regressor(generator, QUICK, tick=tick)
    assert calls == 5 and generator.regressor is None


def test_real_pictures_take_their_share_and_only_known_classes_count() -> None:
    pixels = torch.randint(256, (20, 3, *SIZE), dtype=torch.uint8, generator=_source())
    pictures = PictureSet(pixels, torch.arange(20) % 2, ("plum", "stone"), ("x.png",) * 20)
    generator = small_generator()
    told: list[str] = []
    settings = replace(QUICK, real_share=0.5, iterations=2)
    trained = train_regressor(generator, settings, pictures=pictures, on_notice=told.append)
    assert trained.pictures == 10 and any("stone" in text for text in told)
    loop = RegressorLoop(generator, settings, pictures, None, seed=0, devices=Devices("cpu"))
    assert (loop._made_count, loop._real_count) == (4, 4)
    with pytest.raises(ValueError, match="they need each other"):
        train_regressor(generator, settings)
    with pytest.raises(ValueError, match="they need each other"):
        train_regressor(generator, QUICK, pictures=pictures)


def test_a_further_distance_is_a_plug() -> None:
    seen: list[tuple[int, ...]] = []

    def identity(made: Tensor, wanted: Tensor) -> Tensor:
        seen.append(tuple(made.shape))
        return (made - wanted).abs().mean((1, 2, 3))

    settings = replace(QUICK, iterations=1)
    trained = train_regressor(small_generator(), settings, identity=identity)
    assert seen == [(8, 3, *SIZE)] and "identity" in trained.card()["losses"]


def test_the_preview_shows_parts_and_what_comes_back() -> None:
    grids: list[Tensor] = []
    train_regressor(
        small_generator(),
        replace(QUICK, iterations=1),
        on_progress=lambda progress: grids.append(progress.preview()),
    )
    assert grids[0].shape == (1, 3, 8 * RESOLUTION, 8 * RESOLUTION)
    rows = grids[0][0].unflatten(1, (8, RESOLUTION))
    grey = [float((rows[:, row].abs() < 1e-6).all(0).float().mean()) for row in (0, 1)]
    assert grey[0] > 0.05 > grey[1]  # hidden places are mid-grey


def test_losses_that_are_no_numbers_end_it() -> None:
    settings = replace(QUICK, iterations=40, rate=1e30)
    with pytest.raises(TrainingDiverged, match="lower learning rates"):
        train_regressor(small_generator(), settings)


def _styled() -> StyleGAN2Generator:
    sizes = GeneratorSettings(channels=(8, 8, 8, 8), z_dim=8, w_dim=8, mapping_layers=2)
    return StyleGAN2Generator(sizes).eval()


def test_styles_are_found_and_every_layer_s_target_is_the_same() -> None:
    generator = _styled()
    settings = replace(QUICK, grid=1, depth=18, iterations=2)
    loop = RegressorLoop(generator, settings, None, None, seed=0, devices=Devices("cpu"))
    batch = loop._drawn()
    assert batch.latents.shape == (8, *generator.style_shape())
    assert torch.equal(batch.latents, batch.latents[:, :1].expand_as(batch.latents))
    train_regressor(generator, settings)
    assert generator.regressor is not None
    found = generator.regressor.settings
    assert (found.latent, found.mask_encoding) == ("w_plus", "unit")
    assert generator.regressor(batch.x).shape == batch.latents.shape


def test_the_papers_regressors_are_what_settings_make_by_themselves() -> None:
    made = RegressorTraining().regressor(small_generator(classes=False))
    assert (made.depth, made.width, made.mask_encoding, made.small_input) == (
        18,
        64,
        "centred",
        True,
    )
    assert RegressorTraining().regressor(_styled()).depth == 34


def test_the_expected_time_follows_the_work() -> None:
    generator = small_generator()
    plain = expected_seconds(QUICK, generator)
    assert expected_seconds(replace(QUICK, iterations=60), generator) == pytest.approx(
        10 * plain, rel=0.01
    )
    assert expected_seconds(QUICK, generator, speed=2.0) == pytest.approx(plain / 2, rel=0.01)
    work = training_operations(QUICK, generator)
    assert training_operations(replace(QUICK, width=8), generator) > 1.5 * work
    assert training_operations(replace(QUICK, perceptual_weight=0.0), generator) < work


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"areas": "blobs"}, "areas must be one of"),
        ({"depth": 50}, "depth must be one of"),
        ({"look": "resnet"}, "look must be one of"),
        ({"real_share": 1.5}, r"real_share must lie in \[0, 1\]"),
        ({"batch": 1}, "batch must be at least 2"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        regressor_training("draft", **change)
    with pytest.raises(ValueError, match="quality must be one of"):
        regressor_training("best")  # pyright: ignore[reportArgumentType]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_it_trains_on_a_gpu_in_mixed_precision() -> None:
    generator = small_generator()
    settings = replace(QUICK, width=8, iterations=60, precision="auto", pixel_weight=5.0)
    trained = train_regressor(generator, settings, device="cuda")
    assert generator.regressor is not None
    x = generator.synthesize(generator.sample_z(4, 1), torch.arange(4, device="cuda"))
    assert x.is_cuda and generator.regressor(x).shape == (4, generator.z_dim)
    assert trained.card()["losses"]["pixels"] < 5.0
