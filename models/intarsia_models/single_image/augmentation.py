"""Random changes to the training picture that stand for what a user will paste or move.

All functions take and give (1, 3, h, w) pictures in [0, 1] on the CPU and draw from the generator
that they are handed. Source: arXiv:2003.11512, section 4.2, and the parameters of the public
code. That code hands 0..255 floats to transforms that expect 0..1, so that several of its changes
return a black picture; here all of them do what their names say.
"""

import torch
from torch import Tensor

_REFERENCE_SIDE = 120
"""Short side in pixels that the sizes of the holes are given for: the paper's coarsest stage."""


def augment_colours_and_holes(image01: Tensor, choices: torch.Generator) -> Tensor:
    """For harmonization: a change of colours or noise (one time in four), then holes of one
    colour (nine in ten).

    Args:
        image01: (1, 3, h, w) in [0, 1].
        choices: Source of randomness.

    Returns:
        (1, 3, h, w) in [0, 1], a new tensor.

    Deviation: the holes' sizes are in proportion to the picture (30..60 px at a short side of 120
    px), so that a smaller coarsest stage is not covered altogether.
    """
    image01 = image01.clone()
    if _uniform(choices) < 0.25:
        groups = (_noise, _tone, _channels, _hue_saturation_value)
        image01 = groups[_pick((0.5, 0.5, 0.5, 0.1), choices)](image01, choices)
    if _uniform(choices) < 0.9:
        image01 = _cut_holes(image01, choices)
    return image01.clamp_(0, 1)


def shuffle_patches(image01: Tensor, choices: torch.Generator) -> Tensor:
    """For editing: one to five rectangles are copied to places nearby.

    Args:
        image01: (1, 3, h, w) in [0, 1].
        choices: Source of randomness.

    Returns:
        (1, 3, h, w) in [0, 1], a new tensor.
    """
    count = _integer(1, 5, choices)
    low, high = {1: (0.2, 0.5), 2: (0.15, 0.3), 3: (0.1, 0.2)}.get(count, (0.1, 0.15))
    furthest = 0.15 if count == 1 else 0.1
    result = image01.clone()
    height, width = image01.shape[-2:]
    for _ in range(count):
        h, w = (max(1, round(_between(low, high, choices) * side)) for side in (height, width))
        top, left = _integer(0, height - h, choices), _integer(0, width - w, choices)
        to_top = _displaced(top, height, h, furthest, choices)
        to_left = _displaced(left, width, w, furthest, choices)
        patch = image01[..., top : top + h, left : left + w]
        result[..., to_top : to_top + h, to_left : to_left + w] = patch
    return result


def _noise(image01: Tensor, choices: torch.Generator) -> Tensor:
    kind = _pick((0.2, 0.5, 0.5), choices)
    if kind == 0:
        return image01 * (0.5 + torch.rand(image01.shape, generator=choices, dtype=image01.dtype))
    low, high = ((0.01, 0.05), (10**0.5 / 255, 50**0.5 / 255))[kind - 1]
    noise = torch.randn(image01.shape, generator=choices, dtype=image01.dtype)
    return image01 + _between(low, high, choices) * noise


def _tone(image01: Tensor, choices: torch.Generator) -> Tensor:
    if _uniform(choices) < 0.5:
        return 1 - image01
    sepia = image01.new_tensor(
        [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]]
    )
    return torch.einsum("oc,bchw->bohw", sepia, image01)


def _channels(image01: Tensor, choices: torch.Generator) -> Tensor:
    if _uniform(choices) < 0.5:
        image01[:, _integer(0, 2, choices)] = 0.0
        return image01
    return image01[:, torch.randperm(3, generator=choices)]


def _hue_saturation_value(image01: Tensor, choices: torch.Generator) -> Tensor:
    """Shifts of up to 20/180 of the hue circle, 30/255 of saturation, 20/255 of value."""
    limits = (20 / 180, 30 / 255, 20 / 255)
    hue, saturation, value = (_between(-limit, limit, choices) for limit in limits)
    h, s, v = _rgb_to_hsv(image01.clamp(0, 1))
    return _hsv_to_rgb((h + hue) % 1.0, (s + saturation).clamp(0, 1), (v + value).clamp(0, 1))


def _cut_holes(image01: Tensor, choices: torch.Generator) -> Tensor:
    height, width = image01.shape[-2:]
    scale = min(height, width) / _REFERENCE_SIDE
    count, low, high = ((1, 30, 60), (2, 15, 30))[_integer(0, 1, choices)]
    colour = torch.rand((1, 3, 1, 1), generator=choices, dtype=image01.dtype)
    for _ in range(count):
        h, w = (max(1, round(_between(low, high, choices) * scale)) for _ in range(2))
        top = _integer(0, height - 1, choices) - h // 2
        left = _integer(0, width - 1, choices) - w // 2
        image01[..., max(0, top) : top + h, max(0, left) : left + w] = colour
    return image01


def _rgb_to_hsv(image01: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    value, index = image01.max(dim=1)
    span = value - image01.amin(dim=1)
    red, green, blue = image01.unbind(1)
    safe = torch.where(span > 0, span, 1.0)
    sectors = torch.stack(
        [(green - blue) / safe, (blue - red) / safe + 2, (red - green) / safe + 4]
    )
    hue = sectors.gather(0, index[None])[0] / 6 % 1.0
    return hue, torch.where(value > 0, span / value.clamp_min(1e-12), 0.0), value


def _hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    k = (torch.tensor([5.0, 3.0, 1.0], dtype=hue.dtype)[:, None, None, None] + hue * 6) % 6
    rgb = value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1)
    return rgb.movedim(0, 1)


def _displaced(
    start: int, side: int, length: int, furthest: float, choices: torch.Generator
) -> int:
    step = round(_between(0.05, furthest, choices) * side)
    moved = start + (step if _uniform(choices) < 0.5 else -step)
    return min(max(moved, 0), side - length)


def _pick(weights: tuple[float, ...], choices: torch.Generator) -> int:
    return int(torch.multinomial(torch.tensor(weights), 1, generator=choices))


def _integer(low: int, high: int, choices: torch.Generator) -> int:
    """Uniform, both ends included."""
    return int(torch.randint(low, max(low, high) + 1, (), generator=choices))


def _between(low: float, high: float, choices: torch.Generator) -> float:
    return low + (high - low) * _uniform(choices)


def _uniform(choices: torch.Generator) -> float:
    return float(torch.rand((), generator=choices))
