"""Instructions of tensor cores, and roundings to what they multiply, which a kernel's source calls by name.

`p` is an array of shared memory, `i` the int32 number of an element of the precision and `o` a constant that is added
to it, `r` an array of a thread and `k` a constant index into it.  P is tf32, of 4 bytes, or bf16, of 2.

| call | what it does |
|---|---|
| `Px4(r, k)`, `Px1(r, k)` | four float32, or one, are rounded: ties of bf16 to even, those of tf32 away from zero |
| `pack4(p, i, r, k)` | `p[i:i + 4] = r[k:k + 4]`, rounded to bf16, 8 bytes at once |
| `put2(p, i, r, k)` | `p[i:i + 2] = r[k:k + 2]` of float32, 8 bytes at once |
| `P_fragment(r, k, p, i, o)` | `ldmatrix`: the thread names a row of 16 bytes, and `r[k:k + 4]` is its share of all |
| `bf16_turned_fragment(r, k, p, i, o, s)` | the same of matrices that lie turned around |
| `tf32_turned_fragment(r, k, p, i, o, s)` | `r[k:k + 4] = p[i + o]` and those 8, 4 s and 4 s + 8 behind |
| `P_product2x4(r, a, b)` and others | `r` of 2 x 4 products of 16 rows and 8 columns grows by fragments `a` and `b` |

All threads of a warp call fragments and products together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from llvmlite import ir

from netdsl.cuda.intrinsics import LANES
from netdsl.cuda.tile_intrinsics import IntrinsicCall

PRODUCTS = ((2, 8), (2, 4))
"""The sizes of products: fragments of rows, and halves of fragments of columns."""
SHARED = 3
"""The address space."""
REGISTERS = 4
_FLOAT, _WORD, _HALF, _LONG = ir.FloatType(), ir.IntType(32), ir.IntType(16), ir.IntType(64)
_ELEMENT = {"tf32": _WORD, "bf16": _HALF}
_SHAPE = {"tf32": "m16n8k8", "bf16": "m16n8k16"}


def tensor_intrinsics(cuda: ModuleType, extending: ModuleType) -> dict[str, Callable[..., Any]]:
    """The functions by name, made with `numba.cuda` and its module `extending`."""
    types = cuda.types
    functions: dict[str, Callable[..., Any]] = {"pack4": _pack(types), "put2": _put2(types)}
    for name in _ELEMENT:
        functions |= {f"{name}x{count}": _rounding(types, name, count) for count in (1, LANES)}
        functions |= {f"{name}_product{m}x{n}": _product(types, name, m, n) for m, n in PRODUCTS}
        functions[f"{name}_fragment"] = _fragment(types, name)
    functions["bf16_turned_fragment"] = _turned(types)
    functions["tf32_turned_fragment"] = _turned_words(types)
    return {name: extending.intrinsic(function) for name, function in functions.items()}


def _rounding(types: Any, name: str, count: int) -> Callable[..., Any]:
    def function(typing: Any, r: Any, k: Any) -> Any:
        def generate(*call: Any) -> Any:
            w = IntrinsicCall(*call)
            found = [_rounded(w.builder, name, x) for x in w.kept(0, w.values[1], count)]
            return w.keep(0, w.values[1], [w.builder.bitcast(x, _FLOAT) for x in found])

        return types.void(r, types.intp), generate

    return function


def _rounded(builder: Any, name: str, x: Any) -> Any:
    """The bits of a float32 that is rounded."""
    if name == "bf16":
        return _packed(builder, x, ir.Constant(_FLOAT, 0.0))
    return _assembly(builder, _WORD, "cvt.rna.tf32.f32 $0, $1;", "=r,f", [x])


def _packed(builder: Any, upper: Any, lower: Any) -> Any:
    """Two bf16 in a word."""
    return _assembly(builder, _WORD, "cvt.rn.bf16x2.f32 $0, $1, $2;", "=r,f,f", [upper, lower])


def _assembly(
    builder: Any, result: Any, text: str, registers: str, values: Sequence[Any], effect: bool = False
) -> Any:
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(ir.InlineAsm(kind, text, registers, side_effect=effect), values)


def _pair(builder: Any, place: Any, values: Sequence[Any]) -> None:
    """Two words are stored with one instruction."""
    vector = ir.VectorType(values[0].type, 2)
    pair = ir.Constant(vector, ir.Undefined)
    for q, value in enumerate(values):
        pair = builder.insert_element(pair, value, ir.Constant(_WORD, q))
    builder.store(pair, builder.bitcast(place, vector.as_pointer())).align = 8


def _place(w: IntrinsicCall, memory: int, index: Any, element: Any) -> Any:
    """The address of an element of shared memory that holds elements of this type."""
    start = w.at(memory, ir.Constant(_WORD, 0))
    return w.builder.gep(w.builder.bitcast(start, element.as_pointer()), [index])


def _pack(types: Any) -> Callable[..., Any]:
    def function(typing: Any, p: Any, i: Any, r: Any, k: Any) -> Any:
        def generate(*call: Any) -> Any:
            w = IntrinsicCall(*call)
            a, b, c, d = w.kept(2, w.values[3], LANES)
            words = [_packed(w.builder, upper, lower) for lower, upper in ((a, b), (c, d))]
            _pair(w.builder, _place(w, 0, w.values[1], _HALF), words)
            return w.context.get_dummy_value()

        return types.void(p, types.int32, r, types.intp), generate

    return function


def _put2(types: Any) -> Callable[..., Any]:
    def function(typing: Any, p: Any, i: Any, r: Any, k: Any) -> Any:
        def generate(*call: Any) -> Any:
            w = IntrinsicCall(*call)
            _pair(w.builder, w.at(0, w.values[1]), w.kept(2, w.values[3], 2))
            return w.context.get_dummy_value()

        return types.void(p, types.int32, r, types.intp), generate

    return function


def _fragment(types: Any, name: str) -> Callable[..., Any]:
    def function(typing: Any, r: Any, k: Any, p: Any, i: Any, o: Any) -> Any:
        def generate(*call: Any) -> Any:
            return _matrices(IntrinsicCall(*call), _ELEMENT[name], "")

        return types.void(r, types.intp, p, types.int32, types.int32), generate

    return function


def _turned(types: Any) -> Callable[..., Any]:
    def function(typing: Any, r: Any, k: Any, p: Any, i: Any, o: Any, s: Any) -> Any:
        def generate(*call: Any) -> Any:
            return _matrices(IntrinsicCall(*call), _HALF, ".trans")

        return types.void(r, types.intp, p, *[types.int32] * 3), generate

    return function


def _matrices(w: IntrinsicCall, element: Any, turned: str) -> Any:
    """Four matrices of 8 rows of 16 bytes; their addresses are of 32 bits, in shared memory."""
    b = w.builder
    place = _place(w, 2, b.add(w.values[3], w.values[4]), element)
    near = b.ptrtoint(b.addrspacecast(place, element.as_pointer(SHARED)), _WORD)
    text = f"ldmatrix.sync.aligned.m8n8.x4{turned}.shared.b16 {{$0, $1, $2, $3}}, [$4];"
    result = ir.LiteralStructType([_WORD] * REGISTERS)
    found = _assembly(b, result, text, "=r,=r,=r,=r,r,~{memory}", [near], effect=True)
    return w.keep(0, w.values[1], [b.extract_value(found, q) for q in range(REGISTERS)])


def _turned_words(types: Any) -> Callable[..., Any]:
    def function(typing: Any, r: Any, k: Any, p: Any, i: Any, o: Any, s: Any) -> Any:
        def generate(*call: Any) -> Any:
            w = IntrinsicCall(*call)
            b = w.builder
            start = b.add(w.values[3], w.values[4])
            further = b.mul(w.values[5], ir.Constant(_WORD, 4))
            rows = [b.add(x, ir.Constant(_WORD, n)) for x in (start, b.add(start, further)) for n in (0, 8)]
            return w.keep(0, w.values[1], [b.load(_place(w, 2, row, _WORD)) for row in rows])

        return types.void(r, types.intp, p, *[types.int32] * 3), generate

    return function


def _product(types: Any, name: str, rows: int, columns: int) -> Callable[..., Any]:
    """Fragment j of b holds the columns of products 2 j and 2 j + 1."""

    def function(typing: Any, r: Any, a: Any, b: Any) -> Any:
        def generate(*call: Any) -> Any:
            w = IntrinsicCall(*call)
            first = ir.Constant(_LONG, 0)
            left, right = w.kept(1, first, REGISTERS * rows), w.kept(2, first, 2 * columns)
            sums = w.kept(0, first, REGISTERS * rows * columns)
            grown: list[Any] = []
            for i in range(rows):
                for j in range(columns):
                    of_b = right[REGISTERS * (j // 2) + j % 2 : REGISTERS * (j // 2 + 1) : 2]
                    at = REGISTERS * (i * columns + j)
                    of_a = left[REGISTERS * i : REGISTERS * (i + 1)]
                    grown += _multiplied(w.builder, name, of_a, of_b, sums[at : at + REGISTERS])
            return w.keep(0, first, grown)

        return types.void(r, a, b), generate

    return function


def _multiplied(
    builder: Any, name: str, a: Sequence[Any], b: Sequence[Any], sums: Sequence[Any]
) -> list[Any]:
    """The sums of one product."""
    text = f"mma.sync.aligned.{_SHAPE[name]}.row.col.f32.{name}.{name}.f32 "
    text += "{$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, {$10, $11, $12, $13};"
    registers = ",".join(["=f"] * REGISTERS + ["r"] * len([*a, *b]) + ["f"] * REGISTERS)
    result = ir.LiteralStructType([_FLOAT] * REGISTERS)
    found = _assembly(builder, result, text, registers, [*a, *b, *sums], effect=True)
    return [builder.extract_value(found, q) for q in range(REGISTERS)]
