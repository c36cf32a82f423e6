"""What Winograd's kernels do with a tile: parts of the machine code that `kernels` has compiled.

Addresses are those of bytes; every other length counts numbers of the type of ``unit``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numba import types
from numba.extending import intrinsic

from intarsia_models.convolutions import transforms
from intarsia_models.convolutions.transforms import REACH, SIDE, TILE
from intarsia_models.convolutions.vectors import REGISTERS, Lanes, MachineCode

ROWS = REGISTERS // 4
"""Of a product at once."""
COLUMNS = 2
"""Vectors of a product at once: its sums fill half of the registers."""
Line = Callable[[Sequence[Lanes]], list[Lanes]]


def _both_ways(line: Line, tile: list[list[Lanes]]) -> list[list[Lanes]]:
    """A transform of the columns and then of the rows of a tile."""
    columns = [line(column) for column in zip(*tile, strict=True)]
    return [line(row) for row in zip(*columns, strict=True)]


def _transform(size: int, line: Line) -> Any:
    """A tile of ``size`` x ``size`` -> the transformed one, without more."""

    def part(typing, unit, source, row, step, place, place_row, place_step, numbers):
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            code = MachineCode(context, builder, signature.args[0])
            _, source, row, step, place, place_row, place_step, numbers = args
            with code.each_vector(numbers) as c:
                first, to = code.at(source, (c, 1)), code.at(place, (c, 1))
                tile = [
                    [code.load(code.at(first, (row, i), (step, j))) for j in range(size)]
                    for i in range(size)
                ]
                for i, lanes in enumerate(_both_ways(line, tile)):
                    for j, value in enumerate(lanes):
                        code.store(code.at(to, (place_row, i), (place_step, j)), value)
            return context.get_dummy_value()

        return types.void(unit, *(types.intp,) * 7), generate

    return intrinsic(part)


input_factors = _transform(REACH, transforms.inputs)
gradient_factors = _transform(TILE, transforms.gradients)
filter_factors = _transform(SIDE, transforms.filters)
turned_filter_factors = _transform(SIDE, transforms.turned_filters)
filter_gradients = _transform(REACH, transforms.filter_gradients)


def _activated_results(typing, unit, source, apart, bias, own, signs, place, row, numbers):
    """36 sums of products -> y + bias, times ``unit`` where a sign is not positive: y's own sign,
    or that of what lies at ``signs`` as the results at ``place`` do."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = MachineCode(context, builder, signature.args[0])
        unit, source, apart, bias, own, signs, place, row, numbers = args
        slope = code.same(unit)
        with code.each_vector(numbers) as c:
            first = code.at(source, (c, 1))
            tile = [
                [code.load(code.at(first, (apart, REACH * i + j))) for j in range(REACH)]
                for i in range(REACH)
            ]
            shift = code.load(code.at(bias, (c, 1)))
            for i, lanes in enumerate(_both_ways(transforms.results, tile)):
                for j, value in enumerate(lanes):
                    steps = ((c, 1), (row, i), (numbers, j))
                    y, other = value + shift, code.load(code.at(signs, *steps))
                    sign = Lanes(builder, builder.select(own, y.value, other.value))
                    code.store(code.at(place, *steps), y.where_positive(sign, y * slope))
        return context.get_dummy_value()

    return types.void(unit, *(types.intp,) * 3, types.boolean, *(types.intp,) * 4), generate


activated_results: Any = intrinsic(_activated_results)


def _product(*, adds: bool) -> Any:
    def part(typing, unit, a, a_row, a_step, b, b_step, c, c_row, depth):
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            code = MachineCode(context, builder, signature.args[0])
            _, a, a_row, a_step, b, b_step, c, c_row, depth = args
            whole = depth.type
            width = whole(code.lanes)
            places = [
                code.at(c, (c_row, i), (width, j)) for i in range(ROWS) for j in range(COLUMNS)
            ]
            begun = [code.load(place) if adds else code.zeros() for place in places]
            before, loop = builder.block, builder.append_basic_block("product")
            after = builder.append_basic_block("sums")
            builder.branch(loop)
            builder.position_at_end(loop)
            counters = [builder.phi(whole) for _ in range(3)]  # how many, where in a, where in b
            sums = [builder.phi(code.vector) for _ in places]
            n, left, right = counters
            columns = [code.load(code.at(right, (width, j))) for j in range(COLUMNS)]
            made = []
            for i in range(ROWS):
                factor = code.load_same(code.at(left, (a_row, i)))
                made += [
                    Lanes(builder, phi) + column * factor
                    for phi, column in zip(sums[COLUMNS * i :], columns, strict=False)
                ]
            following = [
                builder.add(n, whole(1)),
                code.at(left, (a_step, 1)),
                code.at(right, (b_step, 1)),
            ]
            for phi, first, later in zip(
                [*counters, *sums],
                [whole(0), a, b, *(lanes.value for lanes in begun)],
                [*following, *(lanes.value for lanes in made)],
                strict=True,
            ):
                phi.add_incoming(first, before)
                phi.add_incoming(later, loop)
            builder.cbranch(builder.icmp_signed("<", following[0], depth), loop, after)
            builder.position_at_end(after)
            for place, lanes in zip(places, made, strict=True):
                code.store(place, lanes)
            return context.get_dummy_value()

        return types.void(unit, *(types.intp,) * 8), generate

    return intrinsic(part)


product = _product(adds=False)
"""`ROWS` x `COLUMNS` vectors of c = a b: ``a[row, n]``, ``b[n, lane]``, ``c[row, lane]``; n from 0
to ``depth`` > 0."""
added_product = _product(adds=True)
"""c += a b, as `product`."""
