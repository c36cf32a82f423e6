"""The averaged generator: smoother pictures than those of any one moment of its training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from intarsia_models.families.sngan.layers import MOMENTUM, ConditionalBatchNorm

Network = TypeVar("Network", bound=nn.Module)


class WeightAverage(Generic[Network]):
    """An exponential moving average of a network's weights and batch statistics.

    Source: Yazici et al. 2019, arXiv:1806.04498. At the beginning the average is short, so that it
    forgets the first weights: after n updates the decay is at most (1 + n) / (10 + n).
    """

    def __init__(self, network: Network, decay: float) -> None:
        """Begin with the network as it is.

        Args:
            network: What is followed.
            decay: Share of the old average per update, in [0, 1).
        """
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Follow the network one step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        own, new = _tensors(self.network), _tensors(network)
        for old, fresh in zip(own, new, strict=True):
            old.lerp_(fresh, 1.0 - decay)
        self.updates += 1


@torch.no_grad()
def settle_statistics(network: nn.Module, run: Callable[[], object], batches: int) -> None:
    """Replace the running statistics of batch normalization by the plain mean over some batches.

    Averaged weights have never seen a batch themselves; their statistics follow from them.

    Args:
        network: Changed in place; left in eval mode.
        run: Makes one batch with the network in training mode.
        batches: How often.

    Source: "standing statistics", Brock et al. 2019, arXiv:1809.11096, section 2 and appendix.
    """
    norms = [part for part in network.modules() if isinstance(part, ConditionalBatchNorm)]
    network.train()
    sums = [(torch.zeros_like(n.running_mean), torch.zeros_like(n.running_var)) for n in norms]
    for _ in range(batches):
        before = [(n.running_mean.clone(), n.running_var.clone()) for n in norms]
        run()
        for norm, (mean, var), old in zip(norms, sums, before, strict=True):
            mean += _newest(norm.running_mean, old[0])
            var += _newest(norm.running_var, old[1])
            norm.running_mean.copy_(old[0])
            norm.running_var.copy_(old[1])
    for norm, (mean, var) in zip(norms, sums, strict=True):
        norm.running_mean.copy_(mean / batches)
        norm.running_var.copy_(var / batches)
    network.eval()


def _newest(after: Tensor, before: Tensor) -> Tensor:
    """The statistic of the batch that moved a running one."""
    return (after - (1.0 - MOMENTUM) * before) / MOMENTUM


def _tensors(network: nn.Module) -> list[Tensor]:
    return [t for t in (*network.parameters(), *network.buffers()) if t.is_floating_point()]
