"""The growing generator and the patch critic of a single-image model.

State dicts have the names of the public ConSinGAN code, so that its runs can be read.
Source: arXiv:2003.11512, section 3 and figure 3.
"""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia_models.convolutions.layers import convolution
from intarsia_models.single_image.pyramid import Size
from intarsia_models.single_image.settings import Activation, TaskSettings
from intarsia_models.single_image.upsampling import upsampled

BLOCKS = 3
"""Convolutions of a stage."""
MARGIN = BLOCKS
"""Pixels that a stage loses at every border."""
CRITIC_MARGIN = 5
"""Pixels that the critic loses at every border; its receptive field is 11 x 11."""


class ConvBlock(nn.Module):
    """3x3 convolution without padding, optional batch norm, activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        activation: Activation,
        negative_slope: float,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3)
        self.norm = nn.BatchNorm2d(out_channels) if batch_norm else None
        if activation == "prelu":
            self.prelu = nn.PReLU(init=0.25)
        self.activation = activation
        self.negative_slope = negative_slope

    def forward(self, x: Tensor, batch_statistics: bool, once: bool = False) -> Tensor:
        """(B, C, H, W) -> (B, C', H-2, W-2); faster where it is derived ``once`` at most."""
        if once and self.activation == "leaky_relu" and self.norm is None:
            return convolution(x, self.conv, self.negative_slope)
        x = convolution(x, self.conv) if once else self.conv(x)
        if self.norm is not None:
            x = self._normalized(self.norm, x, batch_statistics)
        if self.activation == "leaky_relu":
            return F.leaky_relu(x, self.negative_slope)
        if self.activation == "prelu":
            return self.prelu(x)
        return F.elu(x) if self.activation == "elu" else F.selu(x)

    def _normalized(self, norm: nn.BatchNorm2d, x: Tensor, batch_statistics: bool) -> Tensor:
        if self.training:
            return norm(x)  # batch statistics, and the running ones follow
        if batch_statistics:  # of every sample alone, as the public code, which samples one by one
            return F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps)
        return norm(x)


class Stage(nn.Module):
    """The three blocks that a pyramid stage adds."""

    def __init__(self, settings: TaskSettings, *, batch_norm: bool) -> None:
        super().__init__()
        for i in range(BLOCKS):
            block = ConvBlock(
                settings.channels,
                settings.channels,
                activation=settings.activation,
                negative_slope=settings.negative_slope,
                batch_norm=batch_norm,
            )
            self.add_module(f"block{i}", block)

    def blocks(self) -> Iterator[ConvBlock]:
        """The blocks in order."""
        for block in self.children():
            assert isinstance(block, ConvBlock)
            yield block

    def forward(
        self,
        x: Tensor,
        batch_statistics: bool,
        arithmetic: torch.dtype | None = None,
        once: bool = False,
    ) -> Tensor:
        """(B, C, H, W) -> (B, C, H-6, W-6), the convolutions computed in ``arithmetic``; what comes
        out is of the type of what goes in. See `ConvBlock` for ``once``."""
        like, kind = x.dtype, x.device.type
        with torch.autocast(kind, arithmetic, enabled=arithmetic is not None):
            for block in self.blocks():
                x = block(x, batch_statistics, once and arithmetic is None)
        return x.to(like)


class SingleImageGenerator(nn.Module):
    """A generator that grows by a stage at a time.

    In training mode batch norm uses batch statistics and its running statistics follow. In
    evaluation mode it uses the running ones, unless `synthesize` is told otherwise.
    """

    def __init__(self, settings: TaskSettings) -> None:
        super().__init__()
        self.settings = settings
        self.head = ConvBlock(
            3,
            settings.channels,
            activation=settings.activation,
            negative_slope=settings.negative_slope,
            batch_norm=settings.batch_norm,
        )
        self.body = nn.ModuleList([Stage(settings, batch_norm=settings.batch_norm)])
        self.tail = nn.Sequential(nn.Conv2d(settings.channels, 3, 3), nn.Tanh())
        self.noise_amplitudes: list[float] = [1.0]
        """Standard deviation of the noise of every stage; that of stage 0 is not used (always
        1)."""
        self.arithmetic: torch.dtype | None = None
        """What the stages' convolutions are computed in while training; None: in the weights' own
        type. Head, tail, resizing and the sums between the stages keep theirs."""
        self.derived_once = True
        """Whether nobody asks for a second derivative, which the faster convolutions do not have.
        """

    @property
    def stages(self) -> int:
        """How many stages it has grown to."""
        return len(self.body)

    def grow(self) -> None:
        """Add a stage that starts as a copy of the newest one; its noise amplitude starts as 0."""
        self.body.append(copy.deepcopy(self.body[-1]))
        self.noise_amplitudes.append(0.0)

    def noise_shapes(self, sizes: Sequence[Size]) -> list[tuple[int, int, int]]:
        """(channels, height, width) of the noise that each stage takes for pictures of these
        sizes."""
        extra = 2 * MARGIN if self.settings.border == "noise" else 0
        inner = [(self.settings.channels, h + extra, w + extra) for h, w in sizes[1:]]
        return [(3, *sizes[0]), *inner]

    def forward(self, noises: Sequence[Tensor], sizes: Sequence[Size]) -> Tensor:
        """See `synthesize`; batch norm as the mode of the module says, shapes unchecked,
        gradients kept."""
        features = self.first_features(noises[0])
        for n in range(1, len(noises)):
            features = self.next_features(features, n, noises[n], sizes[n])
        return self.to_image(features)

    def first_features(self, z: Tensor, *, batch_statistics: bool = False) -> Tensor:
        """Head and stage 0: (B, 3, h, w) -> (B, C, h, w)."""
        x = self.head(F.pad(z, (1, 1, 1, 1)), batch_statistics)
        return self._first_stage(x, batch_statistics)

    def next_features(
        self, features: Tensor, n: int, z: Tensor, size: Size, *, batch_statistics: bool = False
    ) -> Tensor:
        """Stage n >= 1: features of any size -> (B, C, *size)."""
        up = upsampled(features, size)
        amplitude = self.noise_amplitudes[n]
        if self.settings.border == "noise":
            wide = upsampled(features, (size[0] + 2 * MARGIN, size[1] + 2 * MARGIN))
            noisy = torch.add(wide, z, alpha=amplitude)
            return up + self.body[n](noisy, batch_statistics, *self._how())
        noisy = F.pad(torch.add(up, z, alpha=amplitude), (MARGIN,) * 4)
        return up + self.body[n](noisy, batch_statistics, *self._how())

    def to_image(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, h, w) in (-1, 1)."""
        padded = F.pad(features, (1, 1, 1, 1))
        conv, tanh = self.tail
        if self.derived_once and isinstance(conv, nn.Conv2d):
            return tanh(convolution(padded, conv))
        return self.tail(padded)

    @torch.no_grad()
    def synthesize(
        self,
        noises: Sequence[Tensor],
        sizes: Sequence[Size],
        *,
        batch_statistics: bool | None = None,
    ) -> Tensor:
        """Make pictures.

        Args:
            noises: For each stage (B, c, h, w), N(0, 1) or a picture at stage 0, of the shapes that
                `noise_shapes` tells. As many as the picture is to have stages; at most `stages`.
            sizes: (height, width) of each stage; any sizes do, not only those of the training.
            batch_statistics: Where the model has batch norm: normalise with the statistics of
                each sample (as the public code samples) or with the running ones. By default what
                the module's mode says: running ones in evaluation mode.

        Returns:
            (B, 3, H, W) in [-1, 1], H x W = ``sizes[-1]``.

        Raises:
            ValueError: The number of noises or sizes, or a shape, does not fit.

        Source: arXiv:2003.11512, section 3.1; border rules by task as in the public code.
        """
        return self.to_image(self.last_features(noises, sizes, batch_statistics=batch_statistics))

    @torch.no_grad()
    def last_features(
        self,
        noises: Sequence[Tensor],
        sizes: Sequence[Size],
        *,
        batch_statistics: bool | None = None,
    ) -> Tensor:
        """What `synthesize` makes its picture of: (B, C, H, W); see there for the arguments."""
        sizes = [(int(size[-2]), int(size[-1])) for size in sizes]
        sizes = sizes[: len(noises)] if len(sizes) > len(noises) else sizes
        self._check(noises, sizes)
        own = self.training if batch_statistics is None else batch_statistics
        was_training = self.training
        self.eval()
        try:
            features = self.first_features(noises[0], batch_statistics=own)
            for n in range(1, len(noises)):
                z, size = noises[n], sizes[n]
                features = self.next_features(features, n, z, size, batch_statistics=own)
            return features
        finally:
            self.train(was_training)

    @torch.no_grad()
    def features(
        self,
        noises: Sequence[Tensor],
        sizes: Sequence[Size],
        *,
        batch_statistics: bool = False,
    ) -> dict[str, Tensor]:
        """Activations by name: ``head`` and ``body.n`` (the output of stage n's blocks, before
        the skip is added).

        Args:
            noises: See `synthesize`.
            sizes: See `synthesize`.
            batch_statistics: See `synthesize`.
        """
        found: dict[str, Tensor] = {}

        def note(name: str) -> torch.utils.hooks.RemovableHandle:
            def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
                found[name] = output

            return self.get_submodule(name).register_forward_hook(keep)

        handles = [note(name) for name in ("head", *(f"body.{n}" for n in range(len(noises))))]
        try:
            self.synthesize(noises, sizes, batch_statistics=batch_statistics)
        finally:
            for handle in handles:
                handle.remove()
        return found

    def _first_stage(self, x: Tensor, batch_statistics: bool) -> Tensor:
        if self.settings.border == "noise":
            x = upsampled(x, (x.shape[-2] + 2, x.shape[-1] + 2))
            x = F.pad(x, (MARGIN - 1,) * 4)
        else:
            x = F.pad(x, (MARGIN,) * 4)
        return self.body[0](x, batch_statistics, *self._how())

    def _how(self) -> tuple[torch.dtype | None, bool]:
        return (self.arithmetic if self.training else None), self.derived_once

    def _check(self, noises: Sequence[Tensor], sizes: Sequence[Size]) -> None:
        if not 1 <= len(noises) <= self.stages or len(noises) != len(sizes):
            raise ValueError(
                f"This generator has {self.stages} stages and takes one noise and one size for "
                f"each (or for the first few), got {len(noises)} noises and {len(sizes)} sizes."
            )
        for n, (noise, shape) in enumerate(zip(noises, self.noise_shapes(sizes), strict=True)):
            if noise.ndim != 4 or tuple(noise.shape[1:]) != shape:
                raise ValueError(
                    f"The noise of stage {n} must be (B, {', '.join(map(str, shape))}) for a "
                    f"picture of {sizes[n][1]} x {sizes[n][0]} px, got {tuple(noise.shape)}."
                )


class Discriminator(nn.Module):
    """Patch critic: five 3x3 convolutions without padding, receptive field 11 x 11, no norm."""

    def __init__(self, settings: TaskSettings) -> None:
        super().__init__()
        self.head = ConvBlock(
            3,
            settings.channels,
            activation=settings.activation,
            negative_slope=settings.negative_slope,
        )
        self.body = Stage(settings, batch_norm=False)
        self.tail = nn.Conv2d(settings.channels, 1, 3)

    def blocks(self) -> list[ConvBlock]:
        """The blocks in order; the tail is not among them."""
        return [self.head, *self.body.blocks()]

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 1, H-10, W-10) scores, higher = more real."""
        x = image
        for block in self.blocks():
            x = block(x, False)
        return self.tail(x)


def initialize(module: nn.Module, generator: torch.Generator) -> None:
    """Weights N(0, 0.02), norm gains N(1, 0.02), biases 0, as in the public code.

    Deviation: the public code leaves the convolutions' biases at PyTorch's random default.
    """
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.normal_(0.0, 0.02, generator=generator)
                if part.bias is not None:
                    part.bias.zero_()
            elif isinstance(part, nn.BatchNorm2d):
                part.weight.normal_(1.0, 0.02, generator=generator)
                part.bias.zero_()
