"""What `numba.cuda` has no function for: instructions that a kernel's source calls by name.

`load4(p, i)` reads four float32 from element `i` on with one instruction, a tuple; `store4(p, i, a, b, c, d)` writes
them.  `p` is a pointer or an array of shared memory, `i` an int32 or int64; the address is a multiple of 16 bytes.
`divided(n, d, factor, shift)` is the quotient and the remainder of uint32s, by multiplying, and
`place((c, ...), (s, ...))` sums the products of uint32s and int64s.  `pointer_f32(word)` and its like make an address
of an int64.  The two before could be text, but numba.cuda would infer
every type in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from llvmlite import ir

_ELEMENTS = {"f32": "float32", "i32": "int32", "i64": "int64", "u32": "uint32", "bool": "uint8"}
_GLOBAL = 1
"""The address space of the memory of a card."""
LANES = 4
BYTES = 16
_VECTOR = ir.VectorType(ir.FloatType(), LANES)


def address(context: Any, builder: Any, kind: Any, value: Any, index: Any) -> Any:
    """The place of an element of a pointer, or of an array, which has dimensions."""
    array = hasattr(kind, "ndim")
    start = context.make_array(kind)(context, builder, value).data if array else value
    return builder.gep(start, [index])


def load_vector(builder: Any, place: Any) -> list[Any]:
    """The four float32 from a place on, with one instruction."""
    found = builder.load(builder.bitcast(place, _VECTOR.as_pointer()))
    found.align = BYTES
    return [builder.extract_element(found, _lane(k)) for k in range(LANES)]


def store_vector(builder: Any, place: Any, elements: Sequence[Any]) -> None:
    """Write four float32 with one instruction."""
    value = ir.Constant(_VECTOR, ir.Undefined)
    for k, element in enumerate(elements):
        value = builder.insert_element(value, element, _lane(k))
    builder.store(value, builder.bitcast(place, _VECTOR.as_pointer())).align = BYTES


def _lane(k: int) -> Any:
    return ir.Constant(ir.IntType(32), k)


def intrinsics(cuda: ModuleType, extending: ModuleType) -> dict[str, Callable[..., Any]]:
    """The functions by name, made with `numba.cuda` and its module `extending`."""
    types = cuda.types

    def index(kind: Any) -> Any:
        return kind if kind == types.int64 else types.int32

    def load4(typing: Any, p: Any, i: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            found = load_vector(builder, address(context, builder, signature.args[0], *arguments))
            return context.make_tuple(builder, signature.return_type, found)

        return types.UniTuple(types.float32, LANES)(p, index(i)), generate

    def store4(typing: Any, p: Any, i: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = address(context, builder, signature.args[0], *arguments[:2])
            store_vector(builder, place, arguments[2:])
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

    def pointer(name: str) -> Callable[..., Any]:
        kind = types.CPointer(types.uint8 if name == "bool" else getattr(types, _ELEMENTS[name]))

        def pointer(typing: Any, word: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                generic = context.get_value_type(kind)
                there = builder.inttoptr(arguments[0], generic.pointee.as_pointer(_GLOBAL))
                return builder.addrspacecast(there, generic)

            return kind(types.int64), generate

        return pointer

    found = {f.__name__: f for f in (load4, store4, divided, place)}
    found |= {f"pointer_{name}": pointer(name) for name in _ELEMENTS}
    return {name: extending.intrinsic(f) for name, f in found.items()}
