"""What runs on a graphics card keeps everything there: shapes and devices, on a pretended card.

Numbers are compared by the tests marked ``gpu``, on a real one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from pretended_cuda import PretendedCuda, on_card
from small_generators import small_generator
from small_key_patches import small_key_patches
from torch import Tensor

from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.mosaic.model import MosaicModel, build_network
from intarsia_models.mosaic.render_phases import Norm
from intarsia_models.mosaic.rendering import render
from intarsia_models.mosaic.settings import MosaicSettings, Warp
from intarsia_models.mosaic.templates import PictureSource
from intarsia_models.single_image import critic
from intarsia_models.single_image.harmonization import harmonize
from intarsia_models.single_image.model import TrainedModel, build_networks
from intarsia_models.single_image.pyramid import pyramid_sizes
from intarsia_models.single_image.sampling import variations
from intarsia_models.single_image.settings import (
    TaskSettings,
    harmonization_settings,
    task_settings,
)

pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")


@pytest.fixture
def card() -> Iterator[PretendedCuda]:
    if torch.cuda.is_available():
        pytest.skip("there is a real one")
    with PretendedCuda() as pretended:
        yield pretended


def learnt(settings: TaskSettings) -> TrainedModel:
    sizes = pyramid_sizes(
        64, 80, stages=settings.stages, min_size=settings.min_size, max_size=settings.max_size,
        rule=settings.rule,
    )  # fmt: skip
    generator, discriminator = build_networks(settings, len(sizes))
    noises = [torch.randn(1, *shape).cuda() for shape in generator.noise_shapes(sizes)]
    return TrainedModel(
        generator=on_card(generator.eval()),
        discriminator=on_card(discriminator.eval()),
        sizes=sizes,
        fixed_noises=noises,
        real=picture(*sizes[-1]).cuda(),
        image_hash="",
        seed=0,
        training_seconds=0.0,
    )


def picture(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width) * 2 - 1


def test_two_devices_are_found_out(card: PretendedCuda) -> None:
    with pytest.raises(RuntimeError, match="two devices"):
        torch.add(torch.ones(2, device="cuda"), torch.ones(2))


def test_a_wait_for_the_card_is_noticed(card: PretendedCuda) -> None:
    float(torch.ones(2, device="cuda").sum())
    assert len(card.waits) == 1


@pytest.mark.parametrize("arithmetic", [None, torch.bfloat16])
def test_a_step_of_the_critic_never_waits(
    card: PretendedCuda, arithmetic: torch.dtype | None
) -> None:
    model = learnt(task_settings("generation", channels=8))
    fake, epsilon = picture(*model.sizes[-1]).cuda(), torch.rand((), device="cuda")
    losses = critic.critic_gradients(
        model.discriminator, model.real, fake, epsilon, penalty_weight=0.1, tick=lambda: None,
        arithmetic=arithmetic,
    )  # fmt: skip
    assert losses.penalty.is_cuda
    assert all(weight.grad is not None for weight in model.discriminator.parameters())
    assert card.waits == []


def test_variations_are_made_on_the_card(card: PretendedCuda) -> None:
    assert variations(learnt(task_settings("generation", channels=8))).is_cuda


def test_an_element_from_main_memory_is_harmonized_on_the_card(card: PretendedCuda) -> None:
    edit_mask = torch.zeros(1, 1, 64, 80)
    edit_mask[..., 20:40, 20:50] = 1
    model = learnt(harmonization_settings("draft"))
    assert harmonize(model, picture(64, 80), edit_mask).picture.is_cuda


@pytest.mark.parametrize("norm", ["exact", "fast"])
@pytest.mark.parametrize("warp", ["none", "flow", "affine"])
def test_a_mosaic_is_rendered_on_the_card(card: PretendedCuda, norm: Norm, warp: Warp) -> None:
    network = build_network(MosaicSettings(width=4, depth=2, heads=2, kernel=5, warp=warp))
    model = MosaicModel(on_card(network))
    pixels = torch.randint(0, 256, (4, 3, 30, 40), dtype=torch.uint8)
    found = render(
        model, picture(50, 70), PictureSource(list(pixels)).canvases(3, seed=0), (50, 70), tile=32,
        norm=norm,
    )  # fmt: skip
    assert found.picture.shape == (3, 50, 70)
    assert np.isfinite(found.picture).all()


def test_an_area_is_relabelled_on_the_card(card: PretendedCuda) -> None:
    generator = on_card(small_generator(companions=False))
    z = generator.sample_z(2, 0)
    weights = torch.zeros(2, generator.num_classes, 32, 32)
    weights[:, 1] = 1
    maps = ClassMaps.from_dense(weights).to(z.device)
    made = generator.synthesize(
        z, torch.zeros(2, dtype=torch.long, device=z.device), class_weights=maps
    )
    assert made.is_cuda


def test_parts_become_a_whole_on_the_card(card: PretendedCuda) -> None:
    model = small_key_patches(critic=False)
    on_card(model.generator)
    patches = torch.rand(1, model.parts, 3, 64, 64).cuda()
    pictures, placements = model.generate(patches, model.sample_z(1, 0))
    assert pictures.shape == (1, 3, 64, 64)
    assert placements is not None and placements.shape[-2:] == (64, 64)
    assert card.waits == []
