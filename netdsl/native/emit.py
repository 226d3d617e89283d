"""A small typed layer over llvmlite's IRBuilder for writing vector kernels.

A kernel is a function of int64 arguments, most of them addresses; there are no pointers in its signature.
Vectors have `lanes` elements whatever the machine: LLVM splits those that are wider than its registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from netdsl.backend.arguments import Block, BlockLayout, Kind, layout_of

Value = Any  # llvmlite has no types: an ir.Value
Int = Any  # an i64 ir.Value, or a Python int

VOID = ir.VoidType()
F32, F64 = ir.FloatType(), ir.DoubleType()
I1, I8, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
_SHORT = {F32: "f32", F64: "f64", I1: "i1", I8: "i8", I32: "i32", I64: "i64"}


class LoopBuilder:
    """A loop under construction: `index`, the `carried` values of this turn and, afterwards, `results`."""

    def __init__(self, emitter: Emitter, start: Value, stop: Value, step: Value, initial: Sequence[Value]):
        self._e, self._stop, self._step = emitter, stop, step
        b = emitter.b
        before = b.block
        self._body, self._end = b.append_basic_block("loop"), b.append_basic_block("after")
        b.cbranch(b.icmp_signed("<", start, stop), self._body, self._end)
        b.position_at_end(self._body)
        self._phis = [b.phi(v.type) for v in (start, *initial)]
        for phi, value in zip(self._phis, (start, *initial), strict=True):
            phi.add_incoming(value, before)
        self._before, self._initial, self._closed = before, list(initial), False
        self.index: Value = self._phis[0]
        self.carried: list[Value] = self._phis[1:]
        self.results: list[Value] = []

    def next(self, *values: Value) -> None:
        """End the body; `values` are what the next turn carries."""
        b, last = self._e.b, self._e.b.block
        index = b.add(self.index, self._step, flags=("nsw",))
        for phi, value in zip(self._phis, (index, *values), strict=True):
            phi.add_incoming(value, last)
        b.cbranch(b.icmp_signed("<", index, self._stop), self._body, self._end)
        b.position_at_end(self._end)
        for value, initial in zip(values, self._initial, strict=True):
            phi = b.phi(value.type)
            phi.add_incoming(initial, self._before)
            phi.add_incoming(value, last)
            self.results.append(phi)
        self._closed = True

    def close(self) -> None:
        """End a body that carries nothing and did not call `next`."""
        if not self._closed:
            self.next()


class Fields:
    """An argument block: its fields are attributes, loaded by the code where they are asked for.

    A field that is several words is as many loads, by position.
    """

    def __init__(self, emitter: Emitter, block: Value, layout: BlockLayout) -> None:
        self._e, self._block, self._layout = emitter, block, layout

    def __getattr__(self, name: str) -> Any:
        field = self._layout[name]
        if field.count is not None:
            return _Words(self._e, self._block, field.word, field.count)
        value = self._e.load(F32 if field.kind is Kind.FLOAT else I64, self._block, 8 * field.word)
        return self._e.b.icmp_signed("!=", value, self._e.i64(0)) if field.kind is Kind.BOOL else value

    def address(self, name: str) -> Value:
        """Where a field lies."""
        return self._e.add(self._block, 8 * self._layout[name].word)


class _Words(Sequence[Value]):
    """Words that are loaded one by one."""

    def __init__(self, emitter: Emitter, block: Value, word: int, count: int) -> None:
        self._e, self._block, self._word, self._count = emitter, block, word, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Value:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._e.load(I64, self._block, 8 * (self._word + index))


class Emitter:
    """Emits one kernel: `args` are its arguments, `b` the IRBuilder for what has no helper here."""

    def __init__(self, builder: ir.IRBuilder, args: Sequence[Value], lanes: int) -> None:
        self.b, self.lanes = builder, lanes
        self.args: tuple[Value, ...] = tuple(args)
        self.f32s, self.i32s, self.masks = (ir.VectorType(t, lanes) for t in (F32, I32, I1))
        self.bytes = 4 * lanes

    # --- constants and scalars -------------------------------------------------------------------

    def i64(self, value: Int) -> Value:
        """An i64: `value` itself, or the constant."""
        return ir.Constant(I64, value) if isinstance(value, int) else value

    def constant(self, kind: ir.Type, value: float) -> Value:
        """A constant of a scalar type, or the same in every lane of a vector type."""
        if isinstance(kind, ir.VectorType):
            return ir.Constant(kind, [self.constant(kind.element, value)] * kind.count)
        return ir.Constant(kind, float(value) if kind in (F32, F64) else int(value))

    def add(self, a: Int, b: Int) -> Value:
        """An i64 sum."""
        if isinstance(b, int) and b == 0:
            return self.i64(a)
        return self.b.add(self.i64(a), self.i64(b))

    def sub(self, a: Int, b: Int) -> Value:
        """An i64 difference."""
        return self.b.sub(self.i64(a), self.i64(b))

    def mul(self, a: Int, b: Int) -> Value:
        """An i64 product."""
        if isinstance(b, int) and b == 1:
            return self.i64(a)
        return self.b.mul(self.i64(a), self.i64(b))

    def less(self, a: Int, b: Int) -> Value:
        """`a < b` of i64, signed."""
        return self.b.icmp_signed("<", self.i64(a), self.i64(b))

    def min_int(self, a: Int, b: Int) -> Value:
        """The smaller i64."""
        return self.b.select(self.less(a, b), self.i64(a), self.i64(b))

    def max_int(self, a: Int, b: Int) -> Value:
        """The larger i64."""
        return self.b.select(self.less(a, b), self.i64(b), self.i64(a))

    # --- control ---------------------------------------------------------------------------------

    @contextmanager
    def loop(
        self, start: Int, stop: Int, step: Int = 1, carried: Sequence[Value] = ()
    ) -> Iterator[LoopBuilder]:
        """`for index in range(start, stop, step)` with a positive step; it may run zero times.

        A body that carries values ends with `loop.next(...)`; afterwards they are in `loop.results`.
        """
        loop = LoopBuilder(self, self.i64(start), self.i64(stop), self.i64(step), carried)
        yield loop
        loop.close()

    def choose(
        self, condition: Value, then: Callable[[], Sequence[Value]], other: Callable[[], Sequence[Value]]
    ) -> list[Value]:
        """Branch on an i1; both sides return as many values of the same types, which are merged."""
        with self.b.if_else(condition) as (yes, no):
            with yes:
                a, block_a = list(then()), self.b.block
            with no:
                b, block_b = list(other()), self.b.block
        merged = []
        for x, y in zip(a, b, strict=True):
            phi = self.b.phi(x.type)
            phi.add_incoming(x, block_a)
            phi.add_incoming(y, block_b)
            merged.append(phi)
        return merged

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Run the body where an i1 holds; no values leave it."""
        with self.b.if_then(condition):
            yield

    def call(self, address: Value, *args: Int) -> None:
        """Call the kernel at `address`, which takes as many int64 and returns nothing."""
        kind = ir.FunctionType(VOID, [I64] * len(args))
        self.b.call(self.b.inttoptr(address, kind.as_pointer()), [self.i64(a) for a in args])

    # --- memory ----------------------------------------------------------------------------------

    def pointer(self, kind: ir.Type, address: Value, offset: Int = 0) -> Value:
        """A pointer to `kind` at a byte address."""
        return self.b.inttoptr(self.add(address, offset), kind.as_pointer())

    def load(self, kind: ir.Type, address: Value, offset: Int = 0) -> Value:
        """Load a scalar or a whole vector; no alignment beyond that of the element is assumed."""
        return self.b.load(self.pointer(kind, address, offset), align=self._align(kind))

    def store(self, value: Value, address: Value, offset: Int = 0) -> None:
        """Store a scalar or a whole vector."""
        self.b.store(value, self.pointer(value.type, address, offset), align=self._align(value.type))

    def fields(self, block: Value, kind: type[Block] | BlockLayout) -> Fields:
        """The fields of the argument block at an address."""
        return Fields(self, block, kind if isinstance(kind, BlockLayout) else layout_of(kind))

    def load_part(self, kind: ir.VectorType, address: Value, count: Int, offset: Int = 0) -> Value:
        """Load the first `count` (0 to lanes) elements and zero in the others; touches no other memory."""
        f = self._declare(
            f"llvm.masked.load.{self._suffix(kind)}.p0",
            kind,
            [kind.as_pointer(), I32, self.mask_type(kind), kind],
        )
        pointer = self.pointer(kind, address, offset)
        zeros = ir.Constant(kind, None)
        return self.b.call(f, [pointer, ir.Constant(I32, self._align(kind)), self.first(count, kind), zeros])

    def store_part(self, value: Value, address: Value, count: Int, offset: Int = 0) -> None:
        """Store the first `count` (0 to lanes) elements; touches no other memory."""
        kind = value.type
        address = self.add(address, offset)
        if kind.count > 8:
            f = self._declare(
                f"llvm.masked.store.{self._suffix(kind)}.p0",
                VOID,
                [kind, kind.as_pointer(), I32, self.mask_type(kind)],
            )
            pointer, mask = self.pointer(kind, address), self.first(count, kind)
            self.b.call(f, [value, pointer, ir.Constant(I32, self._align(kind)), mask])
            return
        # A masked AVX2 store costs Zen processors 12 cycles: store halves instead, by the bits of count.
        count, size = self.i64(count), self._align(kind)
        with self.when(self.b.icmp_unsigned(">=", count, self.i64(kind.count))):
            self.store(value, address)
        width = kind.count // 2
        while width:
            has = self.b.icmp_unsigned("!=", self.b.and_(count, self.i64(width)), self.i64(0))
            low, high = self.take(value, range(width)), self.take(value, range(width, 2 * width))
            with self.when(has):
                self.store(low, address)
            value = self.b.select(has, high, low)
            address = self.b.select(has, self.add(address, width * size), address)
            width //= 2

    def first(self, count: Int, kind: ir.VectorType) -> Value:
        """A mask of the lanes below `count`."""
        lanes = ir.VectorType(I32, kind.count)
        iota = ir.Constant(lanes, [ir.Constant(I32, k) for k in range(kind.count)])
        return self.b.icmp_signed("<", iota, self.splat(self.b.trunc(self.i64(count), I32), kind.count))

    def prefetch(self, address: Value, offset: Int = 0) -> None:
        """Ask for the cache line at an address, to be read soon."""
        f = self._declare("llvm.prefetch.p0", VOID, [I8.as_pointer(), I32, I32, I32])
        read, near, data = (ir.Constant(I32, k) for k in (0, 3, 1))
        self.b.call(f, [self.pointer(I8, address, offset), read, near, data])

    # --- vectors ---------------------------------------------------------------------------------

    def splat(self, scalar: Value, lanes: int | None = None) -> Value:
        """A vector with a scalar in every lane."""
        lanes = lanes or self.lanes
        undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
        one = self.b.insert_element(undefined, scalar, ir.Constant(I32, 0))
        return self.b.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(I32, lanes), None))

    def iota(self) -> Value:
        """The i32 vector 0, 1, 2, ..."""
        return ir.Constant(self.i32s, [ir.Constant(I32, k) for k in range(self.lanes)])

    def take(self, vector: Value, lanes: Sequence[int], other: Value | None = None) -> Value:
        """The named lanes of `vector` (and of `other`, counted on from its end), as a vector."""
        other = ir.Constant(vector.type, ir.Undefined) if other is None else other
        index = ir.Constant(ir.VectorType(I32, len(lanes)), [ir.Constant(I32, k) for k in lanes])
        return self.b.shuffle_vector(vector, other, index)

    def lane(self, vector: Value, index: int) -> Value:
        """One element of a vector."""
        return self.b.extract_element(vector, ir.Constant(I32, index))

    def reduce(self, vector: Value, combine: Callable[[Value, Value], Value]) -> Value:
        """Combine all lanes into a scalar, halving the vector each time (a fixed order)."""
        count = vector.type.count
        while count > 1:
            count //= 2
            low, high = self.take(vector, range(count)), self.take(vector, range(count, 2 * count))
            vector = combine(low, high)
        return self.lane(vector, 0)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """`a * b + c` of f32 scalars or vectors: rounded once where the processor has FMA, else twice."""
        return self.math("fmuladd", a, b, c)

    def maximum(self, a: Value, b: Value) -> Value:
        """The larger element of floats; NaN where `a` is NaN or both are unordered (`a` wins)."""
        return self.b.select(self.b.fcmp_ordered("<", a, b), b, a)

    def minimum(self, a: Value, b: Value) -> Value:
        """The smaller element of floats; `a` where they are unordered, so a NaN in `a` stays."""
        return self.b.select(self.b.fcmp_ordered(">", a, b), b, a)

    def math(self, name: str, *values: Value) -> Value:
        """LLVM's intrinsic `llvm.<name>` on values of one type: sqrt, floor, ceil, rint, copysign, ..."""
        kind = values[0].type
        f = self._declare(f"llvm.{name}.{self._suffix(kind)}", kind, [v.type for v in values])
        return self.b.call(f, list(values))

    def to_float(self, value: Value) -> Value:
        """Signed integers to f32, lane by lane."""
        return self.b.sitofp(value, self.like(value.type, F32))

    def bits(self, value: Value, element: ir.Type) -> Value:
        """The same bits read as another element type of the same size."""
        return self.b.bitcast(value, self.like(value.type, element))

    def like(self, kind: ir.Type, element: ir.Type) -> ir.Type:
        """The scalar or vector type of the shape of `kind` with another element."""
        return ir.VectorType(element, kind.count) if isinstance(kind, ir.VectorType) else element

    def mask_type(self, kind: ir.Type) -> ir.Type:
        """The i1 type of the shape of `kind`."""
        return self.like(kind, I1)

    def _declare(self, name: str, result: ir.Type, arguments: Sequence[ir.Type]) -> ir.Function:
        module = self.b.module
        if name in module.globals:
            return module.globals[name]
        return ir.Function(module, ir.FunctionType(result, arguments), name)

    @staticmethod
    def _suffix(kind: ir.Type) -> str:
        if isinstance(kind, ir.VectorType):
            return f"v{kind.count}{_SHORT[kind.element]}"
        return _SHORT[kind]

    @staticmethod
    def _align(kind: ir.Type) -> int:
        element = kind.element if isinstance(kind, ir.VectorType) else kind
        return {I1: 1, I8: 1, I64: 8, F64: 8}.get(element, 4)
