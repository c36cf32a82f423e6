"""The processor's vectors, for the inner loops of compiled kernels.

numba leaves it to the compiler to find vectors in loops over numbers. For a product of matrices it
finds too few, and for loops as short as those over the channels its checks cost too much. Here
`Lanes` are as many neighbouring numbers as a register holds; arithmetic on them is ordinary
Python, run once while numba compiles and leaving machine code behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.core.registry import cpu_target

_TARGET: Any = cpu_target.target_context
_MACHINE, _, _FEATURES = _TARGET.codegen().magic_tuple()
_AVX512 = "+avx512f" in _FEATURES
REGISTER = 64 if _AVX512 else 32 if "+avx2" in _FEATURES else 16
"""Bytes of a vector."""
REGISTERS = 32 if _AVX512 or _MACHINE.startswith(("aarch64", "arm64")) else 16
"""How many vectors the processor holds."""
_FUSED = ("contract", "nsz")  # a product and a sum may become one instruction
_INDEX = ir.IntType(64)


@dataclass(frozen=True)
class Lanes:
    """A vector of neighbouring numbers, while machine code is written."""

    builder: Any
    value: Any

    def __add__(self, other: Lanes) -> Lanes:
        return Lanes(self.builder, self.builder.fadd(self.value, other.value, flags=_FUSED))

    def __sub__(self, other: Lanes) -> Lanes:
        return Lanes(self.builder, self.builder.fsub(self.value, other.value, flags=_FUSED))

    def __mul__(self, factor: float | Lanes) -> Lanes:
        other = factor.value if isinstance(factor, Lanes) else self._all(factor)
        return Lanes(self.builder, self.builder.fmul(self.value, other, flags=_FUSED))

    def where_positive(self, sign: Lanes, other: Lanes) -> Lanes:
        """Itself where ``sign`` > 0, the other one elsewhere."""
        positive = self.builder.fcmp_ordered(">", sign.value, self._all(0.0))
        return Lanes(self.builder, self.builder.select(positive, self.value, other.value))

    def _all(self, number: float) -> ir.Constant:
        return ir.Constant(self.value.type, [number] * self.value.type.count)


class MachineCode:
    """Writes loads, stores and loops; addresses are those of bytes, all steps count numbers."""

    def __init__(self, context: Any, builder: ir.IRBuilder, number: Any) -> None:
        """For numbers of a type of numba's."""
        self.builder = builder
        self.number = context.get_data_type(number)
        self.bytes = number.bitwidth // 8
        self.lanes = REGISTER // self.bytes
        self.vector = ir.VectorType(self.number, self.lanes)

    def at(self, start: Any, *steps: tuple[Any, int]) -> Any:
        """The address after steps, each so many times."""
        for step, times in steps:
            way = self.builder.mul(step, _INDEX(times * self.bytes))
            start = self.builder.add(start, way)
        return start

    def load(self, address: Any) -> Lanes:
        """A vector."""
        pointer = self.builder.inttoptr(address, self.vector.as_pointer())
        return Lanes(self.builder, self.builder.load(pointer, align=self.bytes))

    def store(self, address: Any, lanes: Lanes) -> None:
        """A vector."""
        pointer = self.builder.inttoptr(address, self.vector.as_pointer())
        self.builder.store(lanes.value, pointer, align=self.bytes)

    def load_same(self, address: Any) -> Lanes:
        """One number in all lanes."""
        pointer = self.builder.inttoptr(address, self.number.as_pointer())
        return self.same(self.builder.load(pointer))

    def same(self, number: Any) -> Lanes:
        """A number in all lanes."""
        none = ir.Constant(self.vector, ir.Undefined)
        one = self.builder.insert_element(none, number, _INDEX(0))
        order = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return Lanes(self.builder, self.builder.shuffle_vector(one, none, order))

    def zeros(self) -> Lanes:
        """0 in all lanes."""
        return Lanes(self.builder, ir.Constant(self.vector, [0.0] * self.lanes))

    @contextmanager
    def each_vector(self, numbers: Any) -> Iterator[Any]:
        """A loop; gives where among the ``numbers`` a vector begins."""
        step = _INDEX(self.lanes)
        with cgutils.for_range_slice(self.builder, _INDEX(0), numbers, step, inc=True) as found:
            yield found[0]
