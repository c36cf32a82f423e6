"""The projection discriminators of BigGAN and BigGAN-deep.

Source: Brock et al. 2019, arXiv:1809.11096, appendix B; Miyato and Koyama 2018, arXiv:1802.05637
(projection on the class).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from intarsia_models.families.biggan.layers import (
    Attention,
    JudgeBasicBlock,
    JudgeBottleneckBlock,
    embedded,
)
from intarsia_models.families.biggan.settings import DiscriminatorSettings
from intarsia_models.generators.generator import Discriminator


class BigGANDiscriminator(Discriminator):
    """Residual blocks, sum over positions, a linear score and the projection on the class."""

    def __init__(self, settings: DiscriminatorSettings) -> None:
        super().__init__()
        self._settings = settings
        basic = settings.kind == "basic"
        make = JudgeBasicBlock if basic else JudgeBottleneckBlock
        self.input = None if basic else nn.Conv2d(3, settings.blocks[0].inputs, 3, padding=1)
        self.blocks = nn.ModuleList(
            make(b.inputs, b.hidden, b.outputs, b.skip) for b in settings.blocks
        )
        self.attentions = nn.ModuleDict(
            {str(i): Attention(b.outputs) for i, b in enumerate(settings.blocks) if b.attention}
        )
        features = settings.blocks[-1].outputs
        self.linear = nn.Linear(features, 1)
        self.embedding = nn.Parameter(torch.empty(settings.num_classes, features))

    def settings(self) -> DiscriminatorSettings:
        """All from which it can be built again."""
        return self._settings

    def maps(self, x: Tensor) -> Tensor:
        """(B, F, h, w): the last features before pooling, after ReLU; arguments as `features`."""
        h = x if self.input is None else self.input(x)
        for index, (block, sizes) in enumerate(
            zip(self.blocks, self._settings.blocks, strict=True)
        ):
            h = block(h, sizes.downsample, index == 0)
            if str(index) in self.attentions:
                h = self.attentions[str(index)](h)
        return relu(h)

    def features(self, x: Tensor) -> Tensor:
        return self.maps(x).flatten(1)

    def logits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        pooled = self.maps(x).sum((2, 3))
        score = self.linear(pooled)
        if y is None:
            return score
        classes = embedded(y, self.embedding, self._settings.num_classes, like=pooled)
        return score + (classes * pooled).sum(1, keepdim=True)

    def class_scores(self, x: Tensor) -> Tensor:
        """(B, K): the class term of every class, in one pass."""
        return self.maps(x).sum((2, 3)) @ self.embedding.t()
