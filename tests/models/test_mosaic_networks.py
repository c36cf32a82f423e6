"""A mosaic's networks and pooling: sets without an order, sizes, statistics, warps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from intarsia_models.mosaic.model import MagicNetwork, MosaicModel, build_network
from intarsia_models.mosaic.networks import (
    PatchCritic,
    PictureNorm,
    RefinementUNet,
    Statistics,
    enlarged_convolution,
    picture_norms,
)
from intarsia_models.mosaic.pooling import (
    RunningPool,
    normalized,
    pooled,
    warp_positions,
    warped,
)
from intarsia_models.mosaic.settings import MosaicSettings

SMALL = MosaicSettings(width=8, depth=2, heads=2)


def _random(*shape: int, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=source, dtype=torch.float64) * 2 - 1


def _network(**changes: Any) -> MagicNetwork:
    """In double precision, with weights large enough that everything has an effect."""
    network = build_network(replace(SMALL, **changes), seed=3).double()
    assert isinstance(network, MagicNetwork)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "convolution.weight" in name:
                parameter.copy_(_random(*parameter.shape, seed=len(name)) * 0.3)
    return network.eval()


def _logits(network: MagicNetwork, content: Tensor | None, templates: Tensor) -> Tensor:
    return network.output(content, templates).logits


def _most(x: Tensor) -> float:
    return float(x.detach().abs().max())


VARIANTS: list[dict[str, Any]] = [
    {},
    {"guided": False, "induced": 3, "activation": "leaky", "norm_first": False},
    {"set_levels": (2,), "kernel": 3, "norm": "none", "feed_forward": 2.0},
]


@pytest.mark.parametrize("changes", VARIANTS)
def test_permuting_the_templates_permutes_the_weights_and_keeps_the_picture(
    changes: dict[str, Any],
) -> None:
    network, order = _network(**changes), torch.tensor([4, 2, 0, 1, 3])
    templates = _random(2, 5, 3, 12, 8)
    content = _random(2, 3, 12, 8, seed=1) if network.settings.guided else None
    straight = _logits(network, content, templates)
    permuted = _logits(network, content, templates[:, order])
    assert_close(permuted, straight[:, order], atol=1e-11, rtol=0)
    assert _most(straight[:, 0] - straight[:, 1]) > 1e-3
    one, other = (network.compose(content, t) for t in (templates, templates[:, order]))
    assert one.weights is not None and other.weights is not None
    assert_close(other.weights, one.weights[:, order], atol=1e-11, rtol=0)
    assert_close(other.picture, one.picture, atol=1e-11, rtol=0)


def test_any_number_of_templates_is_composed_by_the_same_network() -> None:
    network = _network()
    content = _random(1, 3, 8, 8, seed=1)
    for count in (1, 2, 9):
        made = network.compose(content, _random(1, count, 3, 8, 8))
        assert made.weights is not None and made.weights.shape == (1, count, 8, 8)
        assert_close(made.weights.sum(1), torch.ones(1, 8, 8).double())


def test_sets_of_different_sizes_share_a_batch() -> None:
    network = _network()
    templates, content = _random(2, 5, 3, 8, 8), _random(2, 3, 8, 8, seed=1)
    present = torch.tensor([[True, True, False, True, False], [True] * 5])
    together = network.compose(content, templates, present)
    assert together.weights is not None
    assert _most(together.weights[0, [2, 4]]) == 0.0
    for index, there in enumerate(present):
        part = slice(index, index + 1)
        alone = network.compose(content[part], templates[part][:, there])
        assert alone.weights is not None
        assert_close(together.weights[part][:, there], alone.weights, atol=1e-11, rtol=0)
        assert_close(together.picture[part], alone.picture, atol=1e-11, rtol=0)


def test_the_content_moves_the_weights_and_the_templates_too() -> None:
    network = _network()
    templates, content = _random(1, 3, 3, 8, 8), _random(1, 3, 8, 8, seed=1)
    base = _logits(network, content, templates)
    assert _most(_logits(network, -content, templates) - base) > 1e-3
    assert _most(_logits(network, content, -templates) - base) > 1e-3


def test_logits_can_be_bounded() -> None:
    network = _network(logit_bound=0.5)
    templates, content = _random(1, 3, 3, 8, 8), _random(1, 3, 8, 8, seed=1)
    logits = network.output(content, templates).logits
    assert _most(logits) <= 0.5
    free = _logits(_network(), content, templates)
    assert_close(logits, 0.5 * torch.tanh(free / 0.5))


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_the_enlarged_convolution_is_that_of_the_enlarged_picture(kernel: int) -> None:
    x, weight, bias = _random(2, 3, 5, 4), _random(6, 3, kernel, kernel, seed=1), _random(6, seed=2)
    large = F.interpolate(x, scale_factor=2.0, mode="nearest")
    wanted = F.conv2d(large, weight, bias, padding=kernel // 2)
    assert_close(enlarged_convolution(x, weight, bias), wanted, atol=1e-12, rtol=0)


@pytest.mark.parametrize("channels", [(32, 8), (32, 1)])
@pytest.mark.parametrize("padded", [False, True])
def test_without_gradients_it_is_the_same(channels: tuple[int, int], padded: bool) -> None:
    """By other ways: Winograd's, or products summed."""
    before, after = channels
    x = _random(3, before, 20, 19).float().contiguous(memory_format=torch.channels_last)
    weight, bias = _random(after, before, 5, 5, seed=1).float(), _random(after, seed=2).float()
    wanted = enlarged_convolution(x, weight, bias, padded=padded)
    with torch.no_grad():
        made = enlarged_convolution(x, weight, bias, padded=padded)
    assert_close(made, wanted, atol=1e-3, rtol=1e-4)
    assert not torch.equal(made, wanted) or (after == 1 and not padded)


def test_given_statistics_make_a_part_equal_to_the_whole() -> None:
    norm = PictureNorm(3)
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    x = _random(2, 3, 8, 8).float()
    whole = norm(x)
    norm.given = Statistics(x.mean((2, 3)), x.var((2, 3), correction=0))
    assert_close(norm(x), whole)
    assert_close(norm(x[..., 2:5, :3]), whole[..., 2:5, :3])


def test_the_norms_are_where_the_paper_of_famos_has_them() -> None:
    network = _network()
    assert len(picture_norms(network.set_network)) == 2 * (SMALL.depth - 1)
    first, last = network.set_network.unet.encoder[0], network.set_network.unet.decoder[-1]
    assert first.norm is None and last.norm is None  # type: ignore[union-attr]


def test_a_single_pixel_has_no_deviation() -> None:
    norm = PictureNorm(2)
    norm.bias.data.fill_(0.5)
    assert_close(norm(torch.ones(1, 2, 1, 1)), torch.full((1, 2, 1, 1), 0.5))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_nothing_beyond_the_reach_is_seen(depth: int) -> None:
    network = _network(depth=depth, norm="none", refine=False)
    reach, multiple = network.settings.reach, network.settings.multiple
    side = -(-(2 * reach + 3 * multiple) // multiple) * multiple
    middle = side // 2
    seen = []
    templates, content = _random(1, 2, 3, 4, side), _random(1, 3, 4, side, seed=1)
    if multiple > 4:
        templates, content = (t.repeat_interleave(multiple // 4, -2) for t in (templates, content))
    content.requires_grad_()
    for at in (middle, middle + multiple - 1):
        made = _logits(network, content, templates)[0, 0, 0, at]
        (grad,) = torch.autograd.grad(made, content)
        columns = grad[0].abs().sum((0, 1)).nonzero().flatten()
        seen.append(max(at - int(columns[0]), int(columns[-1]) - at))
    assert max(seen) <= reach < 2 * max(seen)


def test_a_fresh_refinement_keeps_the_collage_and_stays_in_range() -> None:
    collage = _random(1, 3, 8, 8).float()
    network = build_network(SMALL, seed=1)
    assert isinstance(network, MagicNetwork) and network.refinement is not None
    assert torch.equal(network.refinement(collage), collage)
    for kind in ("residual", "direct"):
        refinement = RefinementUNet(replace(SMALL, refinement=kind))  # type: ignore[arg-type]
        nn.init.normal_(refinement.unet.last.weight, std=3.0)
        assert _most(refinement(collage)) <= 1.0


# --- pooling


def test_the_collage_lies_between_its_templates() -> None:
    templates = _random(2, 5, 3, 6, 7).float()
    weights = normalized(3 * _random(2, 5, 6, 7, seed=1))
    collage = pooled(weights, templates)
    assert bool((collage <= templates.amax(1) + 1e-6).all())
    assert bool((collage >= templates.amin(1) - 1e-6).all())
    one = torch.zeros(2, 5, 6, 7)
    one[:, 3] = 1.0
    assert torch.equal(pooled(one, templates), templates[:, 3])


def test_templates_in_parts_give_the_same_collage_and_weights() -> None:
    logits = 40 * _random(2, 7, 6, 5).float()
    logits[:, 2] = -torch.inf
    templates = _random(2, 7, 3, 6, 5, seed=1).float()
    weights = normalized(logits)
    parts = [slice(2, 3), slice(0, 2), slice(3, 7)]
    pool = RunningPool()
    with pytest.raises(ValueError, match="no templates"):
        pool.collage()
    for part in parts:
        pool.add(logits[:, part], templates[:, part])
    assert_close(pool.collage(), pooled(weights, templates), atol=1e-6, rtol=1e-6)
    for part in parts:
        assert_close(pool.weights_of(logits[:, part]), weights[:, part], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("warp", ["affine", "flow"])
def test_a_fresh_warp_changes_nothing(warp: Any) -> None:
    network = build_network(replace(SMALL, warp=warp), seed=1)
    assert isinstance(network, MagicNetwork)
    templates, content = _random(1, 3, 3, 8, 12).float(), _random(1, 3, 8, 12, seed=1).float()
    theta = network.output(content, templates).theta
    assert theta is not None and _most(theta) == 0.0
    assert_close(warped(templates, theta, warp), templates, atol=1e-5, rtol=0)


def test_a_flow_moves_by_pixels_and_mirrors_at_the_border() -> None:
    templates = _random(1, 2, 3, 5, 6).float()
    theta = torch.zeros(1, 2, 2, 5, 6)
    theta[:, 1, 0] = 2.0
    moved = warped(templates, theta, "flow")
    assert_close(moved[:, 0], templates[:, 0], atol=1e-5, rtol=0)
    assert_close(moved[:, 1, :, :, :4], templates[:, 1, :, :, 2:], atol=1e-5, rtol=0)
    assert_close(moved[:, 1, :, :, 4:], templates[:, 1, :, :, [5, 4]], atol=1e-5, rtol=0)


def test_an_affine_warp_of_a_part_is_that_of_the_whole() -> None:
    theta = 3 * _random(1, 2, 6).float()
    whole = warp_positions(theta, "affine", (10, 12))
    part = warp_positions(theta, "affine", (4, 5), corner=(3, 6), whole=(10, 12))
    assert_close(part + torch.tensor([6.0, 3.0]), whole[:, :, 3:7, 6:11])
    middle = whole[0, 0, 4:6, 5:7].mean((0, 1)) - torch.tensor([5.5, 4.5])
    assert_close(middle, theta[0, 0, :2])


# --- critic and settings


def test_the_critic_halves_the_size_at_every_layer_and_caps_its_channels() -> None:
    critic = PatchCritic(width=8, depth=4, cap=16)
    assert critic(torch.zeros(2, 3, 32, 32)).shape == (2, 1, 2, 2)
    widths = [layer.out_channels for layer in critic.layers if isinstance(layer, nn.Conv2d)]
    assert widths == [8, 16, 16, 1]


def test_settings_come_back_from_their_card() -> None:
    settings = replace(SMALL, set_levels=(1, 2), warp="flow")
    assert MosaicSettings.from_card(settings.to_card()) == settings
    with pytest.raises(ValueError, match="no setting 'colour'"):
        MosaicSettings.from_card({"colour": 1})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"width": 10, "heads": 4}, "multiple of heads"),
        ({"kernel": 4}, "odd"),
        ({"depth": 0}, r"\[1, 8\]"),
        ({"set_levels": (3,)}, r"\[1, 2\], got 3"),
        ({"style": "oil"}, "style must be one of"),
        ({"style": "fixed_memory"}, "slots"),
        ({"warp_reach": 0.0}, "warp_reach"),
    ],
)
def test_networks_that_cannot_be_built_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(SMALL, **changes)


def test_a_model_takes_any_size_and_says_what_does_not_fit() -> None:
    model = MosaicModel(build_network(SMALL, seed=1))
    templates, content = _random(1, 3, 3, 9, 14).float(), _random(1, 3, 9, 14, seed=1).float()
    made = model.compose(content, templates)
    assert made.picture.shape == (1, 3, 9, 14) and made.weights is not None
    assert_close(model.weights(content, templates).weights, made.weights)
    with pytest.raises(ValueError, match="give one"):
        model.compose(None, templates)
    with pytest.raises(ValueError, match=r"content must be \(1, 3, 9, 14\)"):
        model.compose(content[..., 1:], templates)
    with pytest.raises(ValueError, match=r"\(B, K, 3, H, W\)"):
        model.compose(content, templates[0])
    unguided = MosaicModel(build_network(replace(SMALL, guided=False)))
    with pytest.raises(ValueError, match="without contents"):
        unguided.compose(content, templates)
