"""What the kernel of attention over sets does with a vector of pixels: parts of its machine code.

The lanes of every vector are pixels side by side, and all else is counted in vectors: numbers of
one element of a set lie one vector after the other. Addresses are those of bytes. Elements come
four at a time, and so do results of products, so that what is loaded is used four times.

A kernel's stored code does not notice that a part of it has changed: raise `fused_sets.EDITION`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from intarsia_models.convolutions.vectors import REGISTER, Lanes, MachineCode

LANES = REGISTER // 4
"""Pixels side by side."""
FOUR = 4
EPSILON = 1e-5
"""Of the layer normalisation."""
LEAST_POWER = -126.0
ROUNDING = 1.5 * 2.0**23
"""Added to a number it rounds it to a whole one, which then stands in the lowest bits."""
POWERS_OF_TWO = (
    0.0013276418059356232,
    0.00967554090295486,
    0.05550713440324001,
    0.2402211973458205,
    0.69314696696263,
    1.0000000716513706,
)
"""Of f in 2^f for f in [-1/2, 1/2], the highest power first: relative error 8e-8."""
_INDEX = ir.IntType(64)
_BITS = ir.VectorType(ir.IntType(32), LANES)
_SIGNATURE = types.intp


class SetCode(MachineCode):
    """Machine code for float32 numbers of pixels."""

    def __init__(self, context: Any, builder: ir.IRBuilder) -> None:
        """Where it is written."""
        super().__init__(context, builder, types.float32)

    def vectors(self, start: Any, *steps: tuple[Any, Any]) -> Any:
        """The address after so many vectors, times as many; both may be known only when it runs."""
        for step, times in steps:
            number = self.builder.mul(self.whole(step), self.whole(times))
            start = self.builder.add(start, self.builder.mul(number, _INDEX(REGISTER)))
        return start

    def whole(self, number: Any) -> Any:
        """A whole number as the machine has it."""
        return _INDEX(number) if isinstance(number, int) else number

    @contextmanager
    def counted(self, start: Any, stop: Any, step: int = 1) -> Iterator[Any]:
        """A loop; gives its number."""
        first, last = self.whole(start), self.whole(stop)
        with cgutils.for_range_slice(self.builder, first, last, _INDEX(step), inc=True) as found:
            yield found[0]

    def variable(self, value: Lanes) -> Variable:
        """That loops can change."""
        return Variable(self, value)

    def all(self, number: float) -> Lanes:
        """A number in all lanes."""
        return Lanes(self.builder, ir.Constant(self.vector, [number] * LANES))

    def larger(self, one: Lanes, other: Lanes) -> Lanes:
        """Lane by lane."""
        greater = self.builder.fcmp_ordered(">", one.value, other.value)
        return Lanes(self.builder, self.builder.select(greater, one.value, other.value))

    def quotient(self, one: Lanes, other: Lanes) -> Lanes:
        """Lane by lane."""
        return Lanes(self.builder, self.builder.fdiv(one.value, other.value))

    def root(self, one: Lanes) -> Lanes:
        """Lane by lane."""
        kind = ir.FunctionType(self.vector, [self.vector])
        name = f"llvm.sqrt.v{LANES}f32"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return Lanes(self.builder, self.builder.call(function, [one.value]))

    def power_of_two(self, exponent: Lanes) -> Lanes:
        """2 to the power of numbers that are not positive."""
        builder = self.builder
        least = self.larger(exponent, self.all(LEAST_POWER))
        rounding = self.all(ROUNDING).value
        shifted = builder.fadd(least.value, rounding)  # no liberties: it must be rounded
        part = least - Lanes(builder, builder.fsub(shifted, rounding))
        made = self.all(POWERS_OF_TWO[0])
        for factor in POWERS_OF_TWO[1:]:
            made = made * part + self.all(factor)
        whole = builder.shl(builder.bitcast(shifted, _BITS), ir.Constant(_BITS, [23] * LANES))
        bits = builder.add(builder.bitcast(made.value, _BITS), whole)
        return Lanes(builder, builder.bitcast(bits, self.vector))

    def pointer(self, address: Any) -> Any:
        """To one number."""
        return self.builder.inttoptr(address, self.number.as_pointer())

    def line(self, places: Any, lane: int, base: Any) -> Any:
        """The address of a lane's pixel."""
        at = self.builder.inttoptr(self.builder.add(places, _INDEX(8 * lane)), _INDEX.as_pointer())
        return self.builder.add(base, self.builder.load(at))


class Variable:
    """A vector that loops change; the compiler keeps it in a register."""

    def __init__(self, code: SetCode, value: Lanes) -> None:
        """Begin with a value."""
        self._builder = code.builder
        self._place = cgutils.alloca_once_value(code.builder, value.value)
        code.builder.store(value.value, self._place)

    def get(self) -> Lanes:
        """What it is now."""
        return Lanes(self._builder, self._builder.load(self._place))

    def set(self, value: Lanes) -> None:
        """Change it."""
        self._builder.store(value.value, self._place)


def _turned(builder: ir.IRBuilder, lines: list[Any]) -> list[Any]:
    """A square of numbers with its lines as columns, by log2(LANES) rounds of interleaving."""
    half = LANES // 2
    order = ir.VectorType(ir.IntType(32), LANES)
    low = [n // 2 + LANES * (n % 2) for n in range(LANES)]
    high = [n + half for n in low]
    rounds = LANES.bit_length() - 1
    for _ in range(rounds):
        made = []
        for n in range(half):
            pair = lines[n], lines[n + half]
            made.append(builder.shuffle_vector(*pair, ir.Constant(order, low)))
            made.append(builder.shuffle_vector(*pair, ir.Constant(order, high)))
        lines = made
    return lines


def _part(count: int) -> Any:
    """Makes an intrinsic of a function that writes machine code, of so many addresses and
    counts."""

    def wrapped(write: Any) -> Any:
        def typed(typingctx: Any, *arguments: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                write(SetCode(context, builder), *args)
                return context.get_dummy_value()

            return types.void(*(_SIGNATURE,) * count), generate

        names = ", ".join(f"a{n}" for n in range(count))
        scope: dict[str, Any] = {"typed": typed}
        exec(f"def part(typingctx, {names}):\n    return typed(typingctx, {names})", scope)
        return intrinsic(scope["part"])

    return wrapped


@_part(7)
def read_pixels(code, source, places, x, count, scale, shift, leak):
    """``count`` channels of the pixels at ``places`` (byte steps from ``source``, one per lane)
    -> x, times ``scale`` plus ``shift``; what is not positive times the number at ``leak``."""
    builder = code.builder
    slope = code.load_same(leak)

    def finish(lanes: Any, c: Any) -> None:
        factor = code.load_same(code.at(scale, (c, 1)))
        made = Lanes(builder, lanes) * factor + code.load_same(code.at(shift, (c, 1)))
        code.store(code.vectors(x, (c, 1)), made.where_positive(made, made * slope))

    lines = [code.line(places, lane, source) for lane in range(LANES)]
    whole = builder.mul(builder.udiv(count, _INDEX(LANES)), _INDEX(LANES))
    with code.counted(0, whole, LANES) as c:
        square = [code.load(code.at(line, (c, 1))).value for line in lines]
        for n, lanes in enumerate(_turned(builder, square)):
            finish(lanes, builder.add(c, _INDEX(n)))
    with code.counted(whole, count) as c:
        lanes = ir.Constant(code.vector, ir.Undefined)
        for n, line in enumerate(lines):
            number = builder.load(code.pointer(code.at(line, (c, 1))))
            lanes = builder.insert_element(lanes, number, _INDEX(n))
        finish(lanes, c)


@_part(4)
def write_pixels(code, x, count, target, places):
    """The other way round, without a change; lanes with the same place must be the same."""
    builder = code.builder
    lines = [code.line(places, lane, target) for lane in range(LANES)]
    whole = builder.mul(builder.udiv(count, _INDEX(LANES)), _INDEX(LANES))
    with code.counted(0, whole, LANES) as c:
        square = [
            code.load(code.vectors(x, (builder.add(c, _INDEX(n)), 1))).value for n in range(LANES)
        ]
        for line, lanes in zip(lines, _turned(builder, square), strict=True):
            code.store(code.at(line, (c, 1)), Lanes(builder, lanes))
    with code.counted(whole, count) as c:
        lanes = code.load(code.vectors(x, (c, 1))).value
        for n, line in enumerate(lines):
            number = builder.extract_element(lanes, _INDEX(n))
            builder.store(number, code.pointer(code.at(line, (c, 1))))


@_part(5)
def layer_norm(code, x, out, count, gamma, beta):
    """Layer normalisation of one element's ``count`` channels; ``out`` may be ``x``."""
    builder = code.builder
    size = code.same(builder.sitofp(count, ir.FloatType()))
    total = code.variable(code.zeros())
    with code.counted(0, count) as c:
        total.set(total.get() + code.load(code.vectors(x, (c, 1))))
    mean = code.quotient(total.get(), size)
    total.set(code.zeros())
    with code.counted(0, count) as c:
        away = code.load(code.vectors(x, (c, 1))) - mean
        total.set(total.get() + away * away)
    spread = code.root(code.quotient(total.get(), size) + code.all(EPSILON))
    factor = code.quotient(code.all(1.0), spread)
    with code.counted(0, count) as c:
        made = (code.load(code.vectors(x, (c, 1))) - mean) * factor
        made = made * code.load_same(code.at(gamma, (c, 1)))
        made = made + code.load_same(code.at(beta, (c, 1)))
        code.store(code.vectors(out, (c, 1)), made)


def _products(adds: bool, positive: bool) -> Any:
    @_part(8)
    def products(code, weight, bias, x, x_apart, count, out, out_apart, results):
        """weight (``count``, ``results``) times the ``count`` numbers of four elements, plus
        ``bias``; ``results`` is a multiple of four, and elements lie ``x_apart`` and
        ``out_apart`` vectors apart."""
        with code.counted(0, results, FOUR) as m:
            line = code.at(bias, (m, 1))
            sums = []
            for n in range(FOUR):
                for r in range(FOUR):
                    begin = code.load_same(code.at(line, (_INDEX(r), 1)))
                    if adds:
                        place = code.vectors(out, (out_apart, n), (m, 1), (r, 1))
                        begin = begin + code.load(place)
                    sums.append(code.variable(begin))
            with code.counted(0, count) as c:
                place = code.at(weight, (code.builder.add(code.builder.mul(c, results), m), 1))
                factors = [code.load_same(code.at(place, (_INDEX(r), 1))) for r in range(FOUR)]
                for n in range(FOUR):
                    given = code.load(code.vectors(x, (x_apart, n), (c, 1)))
                    for r in range(FOUR):
                        sums[FOUR * n + r].set(sums[FOUR * n + r].get() + factors[r] * given)
            for n in range(FOUR):
                for r in range(FOUR):
                    made = sums[FOUR * n + r].get()
                    if positive:
                        made = code.larger(made, code.zeros())
                    code.store(code.vectors(out, (out_apart, n), (m, 1), (r, 1)), made)

    return products


products = _products(False, False)
positive_products = _products(False, True)
added_products = _products(True, False)


@_part(6)
def scores(code, q, k, apart, channels, made, many):
    """Products of four queries with ``many`` keys, a multiple of four: four rows of ``many``
    vectors. Queries and keys lie ``apart`` vectors apart."""
    with code.counted(0, many, FOUR) as j:
        sums = [code.variable(code.zeros()) for _ in range(FOUR * FOUR)]
        with code.counted(0, channels) as e:
            queries = [code.load(code.vectors(q, (apart, n), (e, 1))) for n in range(FOUR)]
            for r in range(FOUR):
                key = code.load(code.vectors(k, (j, apart), (apart, r), (e, 1)))
                for n in range(FOUR):
                    at = sums[FOUR * n + r]
                    at.set(at.get() + queries[n] * key)
        for n in range(FOUR):
            for r in range(FOUR):
                code.store(code.vectors(made, (many, n), (j, 1), (r, 1)), sums[FOUR * n + r].get())


@_part(4)
def exponentials(code, made, apart, many, totals):
    """2^(s - max s) of four rows of ``many`` scores that lie ``apart`` vectors apart, in their
    place; 1 / their sums -> ``totals``."""
    tops = [code.variable(code.load(code.vectors(made, (apart, n)))) for n in range(FOUR)]
    with code.counted(1, many) as j:
        for n, top in enumerate(tops):
            top.set(code.larger(top.get(), code.load(code.vectors(made, (apart, n), (j, 1)))))
    highest = [top.get() for top in tops]
    sums = [code.variable(code.zeros()) for _ in range(FOUR)]
    with code.counted(0, many) as j:
        for n in range(FOUR):
            place = code.vectors(made, (apart, n), (j, 1))
            power = code.power_of_two(code.load(place) - highest[n])
            code.store(place, power)
            sums[n].set(sums[n].get() + power)
    for n in range(FOUR):
        part = code.quotient(code.all(1.0), sums[n].get())
        code.store(code.vectors(totals, (n, 1)), part)


@_part(8)
def weighted_sums(code, made, apart, many, v, v_apart, channels, totals, out):
    """Four rows of weights that lie ``apart`` vectors apart times the ``channels`` (a multiple of
    four) of ``many`` values, times ``totals`` -> ``out``, elements ``v_apart`` vectors apart."""
    with code.counted(0, channels, FOUR) as e:
        sums = [code.variable(code.zeros()) for _ in range(FOUR * FOUR)]
        with code.counted(0, many) as j:
            weights = [code.load(code.vectors(made, (apart, n), (j, 1))) for n in range(FOUR)]
            for r in range(FOUR):
                value = code.load(code.vectors(v, (j, v_apart), (e, 1), (r, 1)))
                for n in range(FOUR):
                    at = sums[FOUR * n + r]
                    at.set(at.get() + weights[n] * value)
        for n in range(FOUR):
            part = code.load(code.vectors(totals, (n, 1)))
            for r in range(FOUR):
                place = code.vectors(out, (v_apart, n), (e, 1), (r, 1))
                code.store(place, sums[FOUR * n + r].get() * part)
