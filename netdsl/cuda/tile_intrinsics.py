"""Instructions of tiles, which a kernel's source calls by name as those of `intrinsics`.

`p` is a pointer or an array of shared memory, `i` the int32 number of an element, `r` an array of a thread and `k` a
constant index into it.  The address of what is read or written with one instruction is a multiple of 16 bytes.

| call | what it does |
|---|---|
| `take4(r, k, p, i, o)` | `r[k:k + 4] = p[i + o:i + o + 4]` for a constant `o` |
| `fetch4(r, k, p, i, c)`, `fetch1(r, k, p, i, c)` | `r[k:k + 4]`, or one element, `= p[i:i + 4]` if `c`, else zeros |
| `put4(p, i, r, k)` | `p[i:i + 4] = r[k:k + 4]` |
| `spread4(p, i, s, r, k)` | `p[i]`, `p[i + s]`, `p[i + 2 s]`, `p[i + 3 s]` `= r[k:k + 4]` |
| `thread_again()` | `cuda.threadIdx.x`, which the compiler does not know to be read before |
| `outer8x4(r, a, b)` and others | `r` of 8 x 4 grows by the products of `a` of 8 and `b` of 4, each rounded once |

One call is one statement for `numba.cuda`, whose time grows with the number of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from llvmlite import ir

from netdsl.cuda.intrinsics import LANES, address, load_vector, store_vector

OUTER = ((8, 8), (8, 4), (4, 4))
"""The sizes of products."""


class IntrinsicCall:
    """Writes one call; `values` are its arguments."""

    def __init__(self, context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> None:
        self.context, self.builder, self.kinds, self.values = context, builder, signature.args, values

    def at(self, memory: int, index: Any) -> Any:
        """The address of an element of an argument."""
        return address(self.context, self.builder, self.kinds[memory], self.values[memory], index)

    def read(self, memory: int, index: Any, count: int) -> list[Any]:
        """Elements that lie one after the other, with one instruction."""
        place = self.at(memory, index)
        return [self.builder.load(place)] if count == 1 else load_vector(self.builder, place)

    def kept(self, memory: int, k: Any, count: int) -> list[Any]:
        """Elements of an array of the thread."""
        return [self.builder.load(self._own(memory, k, q)) for q in range(count)]

    def keep(self, memory: int, k: Any, values: Sequence[Any]) -> Any:
        """Elements of an array of the thread are set."""
        for q, value in enumerate(values):
            self.builder.store(value, self._own(memory, k, q))
        return self.context.get_dummy_value()

    def _own(self, memory: int, k: Any, q: int) -> Any:
        return self.at(memory, self.builder.add(k, ir.Constant(k.type, q)))


def tile_intrinsics(cuda: ModuleType, extending: ModuleType) -> dict[str, Callable[..., Any]]:
    """The functions by name, made with `numba.cuda` and its module `extending`."""
    types = cuda.types
    first = ir.Constant(ir.IntType(64), 0)

    def take4(typing: Any, r: Any, k: Any, p: Any, i: Any, o: Any) -> Any:
        def generate(*call: Any) -> Any:
            w = IntrinsicCall(*call)
            return w.keep(0, w.values[1], w.read(2, w.builder.add(w.values[3], w.values[4]), LANES))

        return types.void(r, types.intp, p, types.int32, types.int32), generate

    def fetching(count: int) -> Callable[..., Any]:
        def fetch(typing: Any, r: Any, k: Any, p: Any, i: Any, c: Any) -> Any:
            def generate(*call: Any) -> Any:
                w = IntrinsicCall(*call)
                b, zero = w.builder, ir.Constant(ir.FloatType(), 0.0)
                before = b.block
                with b.if_then(w.values[4]):
                    found, inside = w.read(2, w.values[3], count), b.block
                values = [b.phi(ir.FloatType()) for _ in found]
                for value, element in zip(values, found, strict=True):
                    value.add_incoming(zero, before)
                    value.add_incoming(element, inside)
                return w.keep(0, w.values[1], values)

            return types.void(r, types.intp, p, types.int32, types.boolean), generate

        return fetch

    def put4(typing: Any, p: Any, i: Any, r: Any, k: Any) -> Any:
        def generate(*call: Any) -> Any:
            w = IntrinsicCall(*call)
            store_vector(w.builder, w.at(0, w.values[1]), w.kept(2, w.values[3], LANES))
            return w.context.get_dummy_value()

        return types.void(p, types.int32, r, types.intp), generate

    def spread4(typing: Any, p: Any, i: Any, s: Any, r: Any, k: Any) -> Any:
        def generate(*call: Any) -> Any:
            w = IntrinsicCall(*call)
            index = w.values[1]
            for element in w.kept(3, w.values[4], LANES):
                w.builder.store(element, w.at(0, index))
                index = w.builder.add(index, w.values[2])
            return w.context.get_dummy_value()

        return types.void(p, types.int32, types.int32, r, types.intp), generate

    def outer(high: int, wide: int) -> Callable[..., Any]:
        def function(typing: Any, r: Any, a: Any, b: Any) -> Any:
            def generate(*call: Any) -> Any:
                w = IntrinsicCall(*call)
                left, right = w.kept(1, first, high), w.kept(2, first, wide)
                sums = w.kept(0, first, high * wide)
                products = [(x, y) for x in left for y in right]
                grown = [w.builder.fma(x, y, z) for (x, y), z in zip(products, sums, strict=True)]
                return w.keep(0, first, grown)

            return types.void(r, a, b), generate

        return function

    def thread_again(typing: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = ir.FunctionType(ir.IntType(32), [])
            return builder.asm(kind, "mov.u32 $0, %tid.x;", "=r", [], side_effect=True)

        return types.int32(), generate

    functions = {"take4": take4, "put4": put4, "spread4": spread4, "thread_again": thread_again}
    functions |= {f"fetch{n}": fetching(n) for n in (1, LANES)}
    functions |= {f"outer{high}x{wide}": outer(high, wide) for high, wide in OUTER}
    return {name: extending.intrinsic(function) for name, function in functions.items()}
