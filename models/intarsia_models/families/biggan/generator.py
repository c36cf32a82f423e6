"""BigGAN and BigGAN-deep: one generator for all three public formats, built from its settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia_models.families.biggan.discriminator import BigGANDiscriminator
from intarsia_models.families.biggan.layers import (
    BasicBlock,
    BigGANCodes,
    BottleneckBlock,
    ConditionalNorm,
    OutputNorm,
    embedded,
)
from intarsia_models.families.biggan.settings import (
    BigGANSettings,
    BlockSettings,
    DiscriminatorSettings,
    StatisticsWeighting,
)
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.generator import Generator
from intarsia_models.generators.levels import EditPoint, NormLayer, State

Z_BOUND = 2.0
"""With statistics by truncation, z comes from a normal distribution cut off here."""


class BigGANGenerator(Generator):
    """Class-conditional residual generator.

    ``truncation_psi`` scales z: 1 is the whole distribution, smaller values are more typical
    pictures. Where the file has statistics by truncation (BigGAN-deep of
    pytorch-pretrained-BigGAN) it also chooses them, so z is given unscaled there.

    Source: Brock et al. 2019, arXiv:1809.11096. The spatial norm mixes the final scales and shifts
    of the classes (Neural Collage, eq. 2); as they are affine in the class embedding, this is the
    same as mixing embeddings by position. In BigGAN-deep the class also enters the first layer,
    which has no positions: the picture's own class rules there.

    Deviation: between two stored truncations the public code gives the row that is farther away
    the larger weight. `statistics_weighting` "public" does the same, so that pictures equal those
    of the public code; "linear" interpolates the right way round.

    Deviation: in eval mode the synchronized norm of the ajbrock code adds its gain where it should
    multiply (ajbrock/BigGAN-PyTorch issue 96), so files written with it (``bn1.bn.running_mean``)
    are read with `gain_is_added`. A network trained on several GPUs multiplied; for its pictures
    set `gain_is_added` to False.
    """

    statistics_weighting: StatisticsWeighting

    def __init__(self, settings: BigGANSettings) -> None:
        super().__init__()
        self._settings = settings
        self.family = settings.family
        self.resolution = settings.resolution
        self.z_dim, self.num_classes = settings.z_dim, settings.num_classes
        self.statistics_weighting = settings.statistics_weighting
        self.capabilities = frozenset({"classes", "spatial_classes", "truncation"})
        self.layers, self.norm_layers = _edit_points(settings)
        self.embedding = None
        if settings.embedding_dim:
            self.embedding = nn.Parameter(torch.empty(self.num_classes, settings.embedding_dim))
        start = settings.blocks[0].inputs * settings.bottom_width**2
        self.linear = nn.Linear(settings.first_inputs, start)
        make = BasicBlock if settings.kind == "basic" else BottleneckBlock
        self.blocks = nn.ModuleList(make(block, settings) for block in settings.blocks)
        last = settings.blocks[-1].outputs
        self.output_norm = OutputNorm(last, settings)
        self.output = nn.Conv2d(last, 3, 3, padding=1)

    def encode_latent(
        self,
        z: Tensor | None,
        y: Tensor | None = None,
        *,
        w_plus: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: str | Sequence[Tensor] = "const",
    ) -> BigGANCodes:
        """Embed the class and cut z into parts; ``w_plus``, cutoff and noise do not exist here.

        Raises:
            ValueError: ``truncation_psi`` is outside [0, 1].
        """
        if z is None or y is None:
            raise ValueError(f"{self.family} needs z and y.")
        if not 0.0 <= truncation_psi <= 1.0:
            raise ValueError(f"truncation_psi must lie in [0, 1], got {truncation_psi}.")
        classes = embedded(y, self.embedding, self.num_classes, like=z)
        return self.encode_embedding(z, classes, y, truncation_psi=truncation_psi)

    def encode_embedding(
        self, z: Tensor, classes: Tensor, y: Tensor, *, truncation_psi: float = 1.0
    ) -> BigGANCodes:
        """The same with a class embedding given outright.

        Args:
            z: (B, z_dim).
            classes: (B, S): embeddings, or class vectors where classes are not embedded.
            y: (B,) or (B, K): the label that is nearest; kept with the codes.
            truncation_psi: In [0, 1].
        """
        settings = self._settings
        z = z * truncation_psi if truncation_psi != 1.0 else z
        first, parts = z, [z[:, :0]] * len(self.blocks)
        if settings.conditioning == "hierarchical":
            first, *parts = z.split(settings.z_part, dim=1)
        elif settings.conditioning == "latent":
            first, parts = torch.cat((classes, z), 1), [z] * len(self.blocks)
        rows = self.statistics_rows(truncation_psi)
        return BigGANCodes(y, classes, self.embedding, first, tuple(parts), rows)

    def begin(self, codes: BigGANCodes, maps: ClassMaps | None) -> State:
        width = self._settings.bottom_width
        h = self.linear(codes.first).unflatten(1, (-1, width, width))
        return (h.contiguous(memory_format=torch.channels_last),)

    def advance(
        self, level: int, state: State, codes: BigGANCodes, maps: ClassMaps | None
    ) -> State:
        return (self.blocks[level - 1](state[0], codes, level - 1, maps),)

    def finish(self, state: State, codes: BigGANCodes, maps: ClassMaps | None) -> Tensor:
        return torch.tanh(self.output(self.output_norm(state[0], codes)))

    def settings(self) -> dict[str, Any]:
        values = self._settings.to_json()
        values["statistics_weighting"] = self.statistics_weighting
        values["gain_is_added"] = self.gain_is_added
        if isinstance(self.discriminator, BigGANDiscriminator):
            values["discriminator"] = self.discriminator.settings().to_json()
        return values

    @property
    def gain_is_added(self) -> bool:
        """Norms add gamma in place of multiplying by it; see the class's text."""
        return self.output_norm.gain_is_added

    @gain_is_added.setter
    def gain_is_added(self, value: bool) -> None:
        for module in self.modules():
            if isinstance(module, ConditionalNorm | OutputNorm):
                module.gain_is_added = value

    def sample_z(self, n: int, seed: int, *, truncation: float | None = None) -> Tensor:
        """As every generator; with statistics by truncation never beyond `Z_BOUND`."""
        if self._settings.statistics > 1:
            truncation = Z_BOUND if truncation is None else min(truncation, Z_BOUND)
        return super().sample_z(n, seed, truncation=truncation)

    def statistics_rows(self, truncation: float) -> tuple[tuple[int, float], ...]:
        """Rows of the stored statistics that make those of a truncation in [0, 1], with weights.

        The position is computed as in the public code: 0.14 is a hair above row 7, which with its
        weights makes it row 8.
        """
        count = self._settings.statistics
        if count == 1:
            return ((0, 1.0),)
        fraction, whole = math.modf(truncation / (1.0 / (count - 1)))
        row = int(whole)
        if fraction == 0.0 or row + 1 >= count:
            return ((row, 1.0),)
        if self.statistics_weighting == "public":
            return ((row, fraction), (row + 1, 1.0 - fraction))
        return ((row, 1.0 - fraction), (row + 1, fraction))


def build(settings: dict[str, Any], tensors: Mapping[str, Tensor]) -> BigGANGenerator:
    """The generator, and its discriminator where the settings have one, holding these tensors."""
    with torch.device("meta"):
        generator = BigGANGenerator(BigGANSettings.from_json(settings))
        if "discriminator" in settings:
            judge = DiscriminatorSettings.from_json(settings["discriminator"])
            if judge.num_classes != generator.num_classes:
                raise ValueError(
                    f"The discriminator knows {judge.num_classes} classes, "
                    f"the generator {generator.num_classes}."
                )
            generator.discriminator = BigGANDiscriminator(judge)
    own = {name.removeprefix("generator."): tensor for name, tensor in tensors.items()}
    generator.load_state_dict(own, assign=True)
    return generator


def _edit_points(
    settings: BigGANSettings,
) -> tuple[tuple[EditPoint, ...], tuple[NormLayer, ...]]:
    size = settings.bottom_width
    points = [EditPoint(settings.first_name, size, settings.blocks[0].inputs)]
    norms: list[NormLayer] = []
    for level, block in enumerate(settings.blocks, start=1):
        after = 2 * size if block.upsample else size
        norms += [
            NormLayer(name, *at, level)
            for name, at in zip(block.norms, _norm_sizes(settings, block, size, after), strict=True)
        ]
        size = after
        points.append(EditPoint(block.name, size, block.outputs))
    return tuple(points), tuple(norms)


def _norm_sizes(
    settings: BigGANSettings, block: BlockSettings, before: int, after: int
) -> list[tuple[int, int]]:
    """Size and channels of a block's norms."""
    if settings.kind == "basic":
        return [(before, block.inputs), (after, block.hidden)]
    hidden = block.hidden
    return [(before, block.inputs), (before, hidden), (after, hidden), (after, hidden)]
