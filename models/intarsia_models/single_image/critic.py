"""The critic's step of WGAN-GP in closed form.

The critic is convolutions with LeakyReLU: piecewise linear. So the gradient g of its summed
scores with respect to the picture is a product of convolutions and fixed 0/1-like factors, and
the derivative of a function of g with respect to a weight is that of a linear net: run the
derivative v of the penalty with respect to g forward through the same net (the tangent), and let
the tangent take the activation's place in the usual weight gradient. One forward sweep, one
backward sweep, one tangent sweep; no graph, and no double back-propagation.

Source: arXiv:2003.11512, section 3.2 (WGAN-GP, the norm per pixel over the three channels); the
closed form is ours and equal to automatic differentiation to rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from intarsia_models.single_image.critic_layers import CriticLayer, laid_out
from intarsia_models.single_image.networks import CRITIC_MARGIN, Discriminator

Tick = Callable[[], None]
LARGEST_BATCH_BYTES = 8 << 20
"""Activations above this size are made for one picture at a time: the C library hands larger ones
back to the system at once, and getting them again costs more than the arithmetic on them."""


@dataclass(frozen=True)
class CriticLosses:
    """Of one critic step, 0-dimensional tensors."""

    real: Tensor
    """Mean score of the training picture."""
    fake: Tensor
    """Mean score of the generated picture."""
    penalty: Tensor
    """Weighted gradient penalty."""


def has_closed_form(discriminator: Discriminator) -> bool:
    """Whether the critic is piecewise linear with fixed slopes."""
    return discriminator.head.activation == "leaky_relu"


@torch.no_grad()
def critic_gradients(
    discriminator: Discriminator,
    real: Tensor,
    fake: Tensor,
    epsilon: Tensor,
    *,
    penalty_weight: float,
    tick: Tick,
    arithmetic: torch.dtype | None = None,
) -> CriticLosses:
    """Set the gradients of the critic's weights for one step.

    Args:
        discriminator: With LeakyReLU; its ``.grad`` are replaced.
        real: (1, 3, H, W) in [-1, 1].
        fake: (1, 3, H, W) in [-1, 1].
        epsilon: () in [0, 1]; the penalty is taken at ``epsilon * real + (1 - epsilon) * fake``.
        penalty_weight: Weight of the gradient penalty.
        tick: Called between the layers; may wait, or raise to stop.
        arithmetic: What the convolutions are computed in; by default in the weights' own type.
            The loss, the norm, the sums and the weights keep theirs.

    Returns:
        The three parts of the loss ``fake - real + penalty``.
    """
    between = torch.lerp(fake, real, epsilon.to(real.dtype))
    layers = _Layers(discriminator, tick, arithmetic)
    pictures = _batches(discriminator, [real, fake, between], layers.dtype)
    forward = [layers.forward(picture) for picture in pictures]
    scores = torch.cat([trace.scores for trace in forward]).to(real.dtype)
    pixels = scores[0].numel()
    slopes = torch.ones(3, 1, 1, 1, dtype=layers.dtype, device=scores.device)
    slopes[0], slopes[1] = -1.0 / pixels, 1.0 / pixels  # filled on the device: no copy, no wait
    ups = [part.expand(-1, 1, *scores.shape[-2:]) for part in _split_like(slopes, pictures)]
    deltas = [
        layers.backward(trace, up, to_input=index == len(forward) - 1)
        for index, (trace, up) in enumerate(zip(forward, ups, strict=True))
    ]
    gradient = deltas[-1].input_gradient[-1:].to(real.dtype)
    norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    penalty = penalty_weight * (norm - 1).square().mean()
    weight = (2 * penalty_weight / norm.numel()) * (norm - 1) / norm
    tangent = gradient * torch.where(norm > 0, weight, 0.0)
    layers.replace_by_tangent(forward[-1], tangent.to(layers.dtype))
    layers.set_weight_gradients(forward, deltas)
    means = scores.mean(dim=(1, 2, 3))
    return CriticLosses(real=means[0], fake=means[1], penalty=penalty)


@torch.no_grad()
def score_gradient(
    discriminator: Discriminator,
    picture: Tensor,
    *,
    tick: Tick,
    arithmetic: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean score of a picture, and its gradient with respect to the picture.

    Args:
        discriminator: With LeakyReLU; no gradient of its weights is made.
        picture: (1, 3, H, W) in [-1, 1].
        tick: Called between the layers.
        arithmetic: See `critic_gradients`.

    Returns:
        () mean score and (1, 3, H, W) gradient.
    """
    layers = _Layers(discriminator, tick, arithmetic)
    trace = layers.forward(laid_out(picture, layers.dtype))
    up = torch.full_like(trace.scores, 1.0)
    gradient = layers.backward(trace, up, to_input=True).input_gradient
    return trace.scores.mean(dtype=picture.dtype), gradient.to(picture.dtype) / up.numel()


@dataclass
class _Trace:
    """A forward sweep: what each layer was given (for the last picture of a step: the tangent,
    later)."""

    inputs: list[Tensor]
    scores: Tensor


@dataclass
class _Deltas:
    """A backward sweep: the gradient at each convolution's output, first layer first."""

    outputs: list[Tensor]
    input_gradient: Tensor


class _Layers:
    """The critic's convolutions."""

    def __init__(
        self, discriminator: Discriminator, tick: Tick, arithmetic: torch.dtype | None
    ) -> None:
        self.dtype = arithmetic or discriminator.tail.weight.dtype
        modules = [*(block.conv for block in discriminator.blocks()), discriminator.tail]
        slope = discriminator.head.negative_slope
        self.layers = [CriticLayer(module, slope, self.dtype) for module in modules]
        self.tick = tick

    def forward(self, picture: Tensor) -> _Trace:
        inputs = [picture]
        for layer in self.layers[:-1]:
            self.tick()
            inputs.append(layer.activated(inputs[-1]))
        return _Trace(inputs, self.layers[-1].linear(inputs[-1]))

    def backward(self, trace: _Trace, up: Tensor, *, to_input: bool) -> _Deltas:
        outputs = [up]
        for n in range(len(self.layers) - 1, 0, -1):
            self.tick()
            outputs.insert(0, self.layers[n].delta_before(outputs[0], trace.inputs[n]))
        gradient = up
        if to_input:  # of the last picture only: nothing else asks for it
            gradient = self.layers[0].input_gradient(outputs[0][-1:], trace.inputs[0][-1:])
        return _Deltas(outputs, gradient)

    def replace_by_tangent(self, trace: _Trace, tangent: Tensor) -> None:
        """Let the tangent of the last picture take its activations' place."""
        for n, layer in enumerate(self.layers[:-1]):
            self.tick()
            trace.inputs[n] = _with_last(trace.inputs[n], tangent)
            tangent = layer.tangent(tangent, trace.inputs[n + 1][-1:])
        trace.inputs[-1] = _with_last(trace.inputs[-1], tangent)

    def set_weight_gradients(self, traces: list[_Trace], deltas: list[_Deltas]) -> None:
        for n, layer in enumerate(self.layers):
            self.tick()
            pairs = [(t.inputs[n], d.outputs[n]) for t, d in zip(traces, deltas, strict=True)]
            dtype = layer.convolution.weight.dtype
            ups = torch.cat([up.sum(dim=(2, 3), dtype=dtype) for _, up in pairs])
            layer.set_gradients(pairs, ups[0] + ups[1])  # the penalty has no bias in it


def _batches(
    discriminator: Discriminator, pictures: list[Tensor], dtype: torch.dtype
) -> list[Tensor]:
    """One batch, or one picture each where the activations would be large."""
    height, width = pictures[0].shape[-2:]
    channels = discriminator.head.conv.out_channels
    size = channels * (height - CRITIC_MARGIN) * (width - CRITIC_MARGIN) * dtype.itemsize
    whole = not pictures[0].is_cuda and size * len(pictures) > LARGEST_BATCH_BYTES
    batches = pictures if whole else [torch.cat(pictures)]
    return [laid_out(batch, dtype) for batch in batches]


def _split_like(values: Tensor, batches: list[Tensor]) -> list[Tensor]:
    return list(values.split([len(batch) for batch in batches]))


def _with_last(batch: Tensor, last: Tensor) -> Tensor:
    if len(batch) == 1:
        return last
    batch[-1:] = last
    return batch
