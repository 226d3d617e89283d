"""What `numba.cuda` has no function for: instructions that a kernel's source calls by name.

`load4(p, i)` reads four float32 from element `i` on with one instruction, a tuple; `store4(p, i, a, b, c, d)` writes
them.  `p` is a pointer or an array of shared memory, `i` an int32 or int64; the address is a multiple of 16 bytes.
`divided(n, d, factor, shift)` is the quotient and the remainder of uint32s, by multiplying, and
`place((c, ...), (s, ...))` sums the products of uint32s and int64s.  Both could be text, but numba.cuda would infer
every type in it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

LANES = 4
BYTES = 16


def intrinsics(cuda: ModuleType, extending: ModuleType, ir: ModuleType) -> dict[str, Callable[..., Any]]:
    """The functions by name, made with `numba.cuda`, its module `extending` and `llvmlite.ir`."""
    types = cuda.types
    vector = ir.VectorType(ir.FloatType(), LANES)

    def address(context: Any, builder: Any, kind: Any, value: Any, index: Any) -> Any:
        start = (
            value
            if isinstance(kind, types.CPointer)
            else context.make_array(kind)(context, builder, value).data
        )
        return builder.bitcast(builder.gep(start, [index]), vector.as_pointer())

    def lane(k: int) -> Any:
        return ir.Constant(ir.IntType(32), k)

    def index(kind: Any) -> Any:
        return kind if kind == types.int64 else types.int32

    def load4(typing: Any, p: Any, i: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            found = builder.load(address(context, builder, signature.args[0], *arguments))
            found.align = BYTES
            return context.make_tuple(
                builder,
                signature.return_type,
                [builder.extract_element(found, lane(k)) for k in range(LANES)],
            )

        return types.UniTuple(types.float32, LANES)(p, index(i)), generate

    def store4(typing: Any, p: Any, i: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = ir.Constant(vector, ir.Undefined)
            for k, element in enumerate(arguments[2:]):
                value = builder.insert_element(value, element, lane(k))
            place = address(context, builder, signature.args[0], *arguments[:2])
            builder.store(value, place).align = BYTES
            return context.get_dummy_value()

        return types.void(p, index(i), *[types.float32] * LANES), generate

    word, double = ir.IntType(32), ir.IntType(64)

    def divided(typing: Any, n: Any, d: Any, factor: Any, shift: Any) -> Any:
        result = types.UniTuple(types.uint32, 2)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            given, divisor, *wide = arguments
            by, places = (builder.zext(v, double) for v in wide)
            quotient = builder.lshr(builder.mul(builder.zext(given, double), by), places)
            quotient = builder.trunc(quotient, word)
            rest = builder.sub(given, builder.mul(quotient, divisor))
            return context.make_tuple(builder, result, [quotient, rest])

        return result(*[types.uint32] * 4), generate

    def place(typing: Any, at: Any, strides: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            total = ir.Constant(double, 0)
            for k in range(len(at)):
                c, s = (builder.extract_value(t, k) for t in arguments)
                total = builder.add(total, builder.mul(builder.zext(c, double), s))
            return total

        return types.int64(types.UniTuple(types.uint32, len(at)), strides), generate

    return {f.__name__: extending.intrinsic(f) for f in (load4, store4, divided, place)}
