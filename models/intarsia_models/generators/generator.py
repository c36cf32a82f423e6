"""What every generator family offers, and the editing that is the same for all of them.

A picture is made level by level: level 0 is the output of the first layer, each further level that
of a block. A family says how one level follows from the one before (`Generator.begin`, `advance`,
`finish`); relabelling, transplanting, and recomputing only what an edit changes are written here
once.

Source: Suzuki et al. 2018, arXiv:1811.10153 (Neural Collage), eq. 2 and 3.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intarsia_models.generators.arguments import (
    check_label,
    check_latent,
    check_names,
    check_regressor,
)
from intarsia_models.generators.class_maps import ClassMaps
from intarsia_models.generators.levels import EditPoint, NormLayer, State, Trace, grouped
from intarsia_models.generators.transplants import Transplant, blend
from intarsia_models.latent_composition.regressor import MaskedRegressor

CAPABILITIES = ("classes", "spatial_classes", "w_plus", "noise", "truncation", "regressor")


class Discriminator(nn.Module, ABC):
    """Judges pictures; its last features measure how alike two pictures are."""

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """(B, F): the last features before pooling, flattened over space (psi of eq. 4).

        Args:
            x: (B, 3, R, R) in [-1, 1].
        """

    @abstractmethod
    def logits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, 1): how real, for class ids ``y`` (B,) where it knows classes."""


class Generator(nn.Module, ABC):
    """Makes square pictures from latents; see the module's text. Made in eval mode."""

    family: str
    resolution: int
    z_dim: int
    num_classes: int = 0
    labels: tuple[str, ...] = ()
    layers: tuple[EditPoint, ...]
    """One per level, in order."""
    norm_layers: tuple[NormLayer, ...] = ()
    """In the order they run."""
    capabilities: frozenset[str] = frozenset()
    """Of `CAPABILITIES`."""
    discriminator: Discriminator | None
    encoder: nn.Module | None
    """``encoder(x, y) -> z``, (B, 3, h, w) in [-1, 1] to (B, z_dim)."""
    auxiliary: nn.Module | None
    """Extended latent space: ``extend(z) -> zeta`` and ``reduce(zeta) -> z``."""
    regressor: MaskedRegressor | None
    """Latents of pictures of which parts are known; see `attach_regressor`."""
    latent_metric: Literal["mse", "cosine"] = "mse"
    """How far apart two latents are: "cosine" where their length makes no difference."""
    projection_space: str = ""
    """Where pictures are best looked for ("z", "extended"), as measured by who made the model;
    empty: by what it has."""
    half_precision: bool = False
    """Run in float16 where the device is a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.discriminator = None
        self.encoder = None
        self.auxiliary = None
        self.regressor = None

    def attach_regressor(self, regressor: MaskedRegressor | None) -> None:
        """Give it a regressor, and the capability of that name; None takes both away.

        Raises:
            ValueError: It finds latents of another kind or size than the generator takes.
        """
        if regressor is not None:
            check_regressor(self, regressor)
        self.regressor = regressor
        own = self.capabilities - {"regressor"}
        self.capabilities = own if regressor is None else own | {"regressor"}

    # --- what a family implements

    @abstractmethod
    def encode_latent(
        self,
        z: Tensor | None,
        y: Tensor | None = None,
        *,
        w_plus: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: str | Sequence[Tensor] = "const",
    ) -> Any:
        """Prepare a latent for the levels; see `synthesize` for the arguments."""

    @abstractmethod
    def begin(self, codes: Any, maps: ClassMaps | None) -> State:
        """Level 0."""

    @abstractmethod
    def advance(self, level: int, state: State, codes: Any, maps: ClassMaps | None) -> State:
        """From ``level - 1`` to ``level``."""

    @abstractmethod
    def finish(self, state: State, codes: Any, maps: ClassMaps | None) -> Tensor:
        """(B, 3, R, R) from the last level."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Plain JSON values from which its family builds the same module again."""

    # --- latents

    def sample_z(self, n: int, seed: int, *, truncation: float | None = None) -> Tensor:
        """Random latents, the same for a seed on every device.

        Args:
            n: How many.
            seed: Any integer.
            truncation: Values beyond this size are drawn again; None draws from the whole normal
                distribution.

        Returns:
            (n, z_dim) float32.
        """
        source = torch.Generator().manual_seed(seed)
        z = torch.randn(n, self.z_dim, generator=source)
        if truncation is not None:
            if not truncation > 0:
                raise ValueError(f"truncation must be above 0, got {truncation}.")
            while bool((outside := z.abs() > truncation).any()):
                again = torch.randn(int(outside.sum()), generator=source)
                z = z.masked_scatter(outside, again)
        return z.to(self._device())

    def style_shape(self) -> tuple[int, int]:
        """(L, w_dim): how many styles ``w_plus`` has, and their length.

        Raises:
            ValueError: There are no styles.
        """
        raise ValueError(f"{self.family} has no styles.")

    # --- pictures

    def synthesize(
        self,
        z: Tensor | None,
        y: Tensor | None = None,
        *,
        w_plus: Tensor | None = None,
        class_weights: Tensor | ClassMaps | None = None,
        class_layers: Iterable[str] | None = None,
        transplants: Sequence[Transplant] = (),
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: str | Sequence[Tensor] = "const",
    ) -> Tensor:
        """Make pictures, edited or not.

        Args:
            z: (B, z_dim); None where ``w_plus`` is given.
            y: (B,) class ids, or (B, K) rows summing to 1; None only where there are no classes.
            w_plus: (B, layers, w_dim), for families with styles.
            class_weights: (B, K, H, W) at any resolution, summing to 1 over K, or `ClassMaps`:
                which class rules where (eq. 2).
            class_layers: Names of the norms that use them; None: all. The others keep ``y``.
            transplants: Parts of other pictures (eq. 3).
            truncation_psi: In [0, 1]; what it means is the family's (1: no truncation).
            truncation_cutoff: Number of first styles that are truncated; None: all.
            noise: "const", "none", "random", or one tensor per noise input, where there is noise.

        Returns:
            (B, 3, R, R), in [-1, 1] where the family bounds its output.

        Raises:
            ValueError: A shape, a class id or a name does not fit the generator.
        """
        with self._precision():
            codes = self._codes(z, y, w_plus, truncation_psi, truncation_cutoff, noise)
            maps = self._maps(class_weights, class_layers)
            return self._run(codes, maps, tuple(transplants), None, 0)[0]

    def features(
        self, z: Tensor | None, y: Tensor | None = None, **latent: Any
    ) -> dict[str, Tensor]:
        """Features by edit point's name, each (B, C, h, w); arguments as `synthesize`."""
        states = self.trace(z, y, **latent).states
        return {point.name: state[0] for point, state in zip(self.layers, states, strict=True)}

    def trace(
        self,
        z: Tensor | None,
        y: Tensor | None = None,
        *,
        w_plus: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: str | Sequence[Tensor] = "const",
    ) -> Trace:
        """The features of all levels of an unedited picture; arguments as `synthesize`."""
        with self._precision():
            codes = self._codes(z, y, w_plus, truncation_psi, truncation_cutoff, noise)
            states = [self.begin(codes, None)]
            for level in range(1, len(self.layers)):
                states.append(self.advance(level, states[-1], codes, None))
        return Trace(codes, tuple(states), y)

    def render(self, trace: Trace) -> Tensor:
        """(B, 3, R, R): the unedited picture of a trace."""
        with self._precision():
            return self.finish(trace.states[-1], trace.codes, None).float()

    def edit(
        self,
        trace: Trace,
        *,
        class_weights: Tensor | ClassMaps | None = None,
        class_layers: Iterable[str] | None = None,
        transplants: Sequence[Transplant] = (),
    ) -> Tensor:
        """Edit a traced picture; only levels from the first edited one are computed.

        Args:
            trace: Of `Generator.trace`.
            class_weights: As `synthesize`.
            class_layers: As `synthesize`.
            transplants: As `synthesize`.

        Returns:
            (B, 3, R, R), equal to `synthesize` with the same edit.
        """
        maps = self._maps(class_weights, class_layers)
        acting = tuple(transplants)
        first = self.first_edited(maps, acting)
        if first is None:
            return self.render(trace)
        with self._precision():
            return self._run(trace.codes, maps, acting, trace, first)[0]

    def frames(
        self,
        trace: Trace,
        amounts: Sequence[float],
        *,
        class_weights: Tensor | ClassMaps | None = None,
        class_layers: Iterable[str] | None = None,
        transplants: Sequence[Transplant] = (),
        batch: int = 4,
        tick: Callable[[], object] | None = None,
    ) -> Iterator[Tensor]:
        """The pictures on the way to an edit, one per amount.

        Args:
            trace: Of one picture (B = 1).
            amounts: In [0, 1]: 0 is the unedited picture, 1 the whole edit.
            class_weights: As `synthesize`; mixed with the picture's own class by the amount.
            class_layers: As `synthesize`.
            transplants: As `synthesize`; their weights grow with the amount.
            batch: How many are computed at once.
            tick: Called between batches; may raise to cancel.

        Yields:
            (1, 3, R, R) each, in the order of the amounts.

        Raises:
            ValueError: An amount is outside [0, 1], or the trace holds several pictures.
        """
        if trace.codes.batch != 1:
            raise ValueError(f"Frames are made of one picture, got {trace.codes.batch}.")
        if any(not 0.0 <= amount <= 1.0 for amount in amounts):
            raise ValueError(f"Amounts lie in [0, 1], got {list(amounts)}.")
        whole = self._maps(class_weights, class_layers)
        acting = self._traced(tuple(transplants), trace.codes, whole)
        first = self.first_edited(whole, acting)
        for start in range(0, len(amounts), batch):
            if tick is not None:
                tick()
            chosen = torch.tensor(amounts[start : start + batch], device=self._device())
            count = len(chosen)
            if first is None:
                yield from self.render(trace).expand(count, -1, -1, -1).split(1)
                continue
            maps = None
            if whole is not None and trace.base is not None:
                maps = whole.blended(trace.base, chosen)
            grown = tuple(_scaled(transplant, chosen) for transplant in acting)
            codes = trace.codes.expand(count)
            states = [
                tuple(part.expand(count, -1, -1, -1) for part in state) for state in trace.states
            ]
            stretched = Trace(codes, tuple(states), trace.base)
            with self._precision():
                yield from self._run(codes, maps, grown, stretched, first)[0].split(1)

    def first_edited(self, maps: ClassMaps | None, transplants: Sequence[Transplant]) -> int | None:
        """The lowest level that an edit changes; the number of levels if only the end changes;
        None if nothing does."""
        levels = []
        if maps is not None:
            levels += [norm.level for norm in self.norm_layers if maps.uses(norm.name)]
        for level, point in enumerate(self.layers):
            if any(transplant.acts_at(point.name) for transplant in transplants):
                levels.append(level)
        return min(levels, default=None)

    # --- layers in words

    def layer_groups(self) -> dict[str, tuple[str, ...]]:
        """Names of the conditional norms by `GROUPS`, by the size they work at."""
        return grouped(self.norm_layers)

    def point_groups(self) -> dict[str, tuple[str, ...]]:
        """Names of the edit points by `GROUPS`."""
        return grouped(self.layers)

    def label_of(self, y: int) -> str:
        """The class's name for people; its number where it has none."""
        return self.labels[y] if y < len(self.labels) else str(y)

    # --- the machinery

    def _run(
        self,
        codes: Any,
        maps: ClassMaps | None,
        transplants: tuple[Transplant, ...],
        trace: Trace | None,
        first: int,
    ) -> tuple[Tensor, State]:
        """Levels from ``first`` on, then the picture."""
        transplants = self._traced(transplants, codes, maps)
        if trace is None or first == 0:
            state, first = self._blend(0, self.begin(codes, maps), transplants), 1
        else:
            state = trace.states[first - 1]
        for level in range(first, len(self.layers)):
            state = self._blend(level, self.advance(level, state, codes, maps), transplants)
        return self.finish(state, codes, maps).float(), state

    def _blend(self, level: int, state: State, transplants: tuple[Transplant, ...]) -> State:
        point = self.layers[level]
        acting = [
            (transplant, transplant.trace.states[level])
            for transplant in transplants
            if transplant.trace is not None and transplant.acts_at(point.name)
        ]
        return blend(state, acting, point, self.resolution) if acting else state

    def _traced(
        self, transplants: tuple[Transplant, ...], codes: Any, maps: ClassMaps | None
    ) -> tuple[Transplant, ...]:
        """Transplants with the features of their references."""
        names = {point.name for point in self.layers}
        result = []
        for transplant in transplants:
            if isinstance(transplant.strengths, Mapping):
                check_names(transplant.strengths, names, "edit point")
            if transplant.trace is not None:
                result.append(transplant)
                continue
            own = transplant.y is None and self.num_classes > 0
            y = codes.y if own else transplant.y
            with_maps = maps if own else None
            reference = self._codes(transplant.z, y, transplant.w_plus, 1.0, None, "const")
            states = [self.begin(reference, with_maps)]
            for level in range(1, len(self.layers)):
                states.append(self.advance(level, states[-1], reference, with_maps))
            found = Trace(reference, tuple(states), y)
            result.append(replace(transplant, trace=found, z=None, w_plus=None))
        return tuple(result)

    def _codes(
        self,
        z: Tensor | None,
        y: Tensor | None,
        w_plus: Tensor | None,
        truncation_psi: float,
        truncation_cutoff: int | None,
        noise: str | Sequence[Tensor],
    ) -> Any:
        check_latent(self, z, w_plus)
        check_label(self, y, with_styles=w_plus is not None)
        return self.encode_latent(
            z,
            y,
            w_plus=w_plus,
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
            noise=noise,
        )

    def _maps(
        self, class_weights: Tensor | ClassMaps | None, class_layers: Iterable[str] | None
    ) -> ClassMaps | None:
        if class_weights is None:
            return None
        if "spatial_classes" not in self.capabilities:
            raise ValueError(f"This {self.family} has no classes that could be mixed by position.")
        if isinstance(class_weights, Tensor):
            if class_weights.ndim == 4 and class_weights.shape[1] != self.num_classes:
                raise ValueError(
                    f"class_weights must be (B, {self.num_classes}, H, W), "
                    f"got {tuple(class_weights.shape)}."
                )
            class_weights = ClassMaps.from_dense(class_weights)
        names = {norm.name for norm in self.norm_layers}
        chosen = None if class_layers is None else tuple(class_layers)
        check_names(chosen or (), names, "conditional layer")
        check_names(class_weights.layers or (), names, "conditional layer")
        if max(class_weights.classes) >= self.num_classes:
            raise ValueError(f"Classes go from 0 to {self.num_classes - 1}.")
        return class_weights.select(chosen).to(self._device())

    def _device(self) -> torch.device:
        return next(iter(self.parameters())).device

    def _precision(self) -> AbstractContextManager[Any]:
        device = self._device()
        if self.half_precision and device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.float16)
        return contextlib.nullcontext()


def _scaled(transplant: Transplant, amounts: Tensor) -> Transplant:
    """The transplant for several frames: weights times the amount of each."""
    steps = amounts.view(-1, 1, 1, 1)
    if isinstance(transplant.weight, Tensor):
        return replace(transplant, weight=transplant.weight.to(steps.device) * steps)
    grown = {name: weight.to(steps.device) * steps for name, weight in transplant.weight.items()}
    return replace(transplant, weight=grown)
