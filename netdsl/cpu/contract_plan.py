"""Plans contractions: how one becomes packing, padding and calls of the GEMM micro-kernels.

All three roles run the same driver.  An output pixel (role "output") or an input pixel (role "input") is a row of
the GEMM, whose reduction runs over kernel taps and channels in memory order; for role "kernel" a row is a
(tap, channel) pair and the reduction runs over pixels.  Padding is copied into zeros first, so that no kernel has
a boundary branch; strides of role "input" are split into phases, so that nothing is multiplied by zeros.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu import contract_words as d
from netdsl.cpu import gemm, host
from netdsl.cpu.library import KernelLibrary, NumbaKernel
from netdsl.cpu.step import Slot, Step
from netdsl.primitives import Contract

Ints = NDArray[np.int64]
Three = tuple[int, int, int]
CHUNK_BYTES = 384 * 1024
LINE_TILES = 8


@dataclass(frozen=True)
class Epilogue:
    """What the micro-kernels add while storing: operand numbers of a bias `[F]` and a residual, and bounds."""

    bias: int | None = None
    residual: int | None = None
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class ContractPlan:
    """Steps that pack the weights (place "packed", `packed` bytes) and those that compute."""

    pack: tuple[Step, ...]
    steps: tuple[Step, ...]
    packed: int
    scratch: int


@functools.cache
def library() -> KernelLibrary:
    """The micro-kernels and their drivers: one set for every network."""
    drivers = {name: NumbaKernel(functools.partial(_driver, name), 3) for name in ("contract", "pack", "pad")}
    return KernelLibrary("contract", {**gemm.kernels(), **drivers})


def _driver(name: str) -> Callable[..., None]:
    """A driver by name; importing them imports Numba, which only a cold cache needs."""
    from netdsl.cpu import contract_drivers

    return getattr(contract_drivers, name)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Geometry:
    """A contraction with three spatial axes (leading ones of size 1), sizes in elements."""

    n: int
    x: Three
    y: Three
    k: Three
    stride: Three
    dilation: Three
    lo: Three
    hi: Three
    groups: int
    c: int
    f: int

    @property
    def channels(self) -> int:
        """Channels of x."""
        return self.groups * self.c

    @property
    def features(self) -> int:
        """Channels of y."""
        return self.groups * self.f


def geometry(op: Contract, x: Sequence[int], w: Sequence[int], y: Sequence[int]) -> Geometry:
    """The geometry of a contraction whose three tensors have these shapes."""
    lead = (1,) * (3 - op.dims)

    def three(values: Sequence[int], fill: tuple[int, ...] = lead) -> Three:
        a, b, c = (*fill, *values)
        return a, b, c

    zeros = (0,) * (3 - op.dims)
    return Geometry(
        x[0],
        three(x[1:-1]),
        three(y[1:-1]),
        three(w[:-2]),
        three(op.stride),
        three(op.dilation),
        three([lo for lo, _ in op.pad], zeros),
        three([hi for _, hi in op.pad], zeros),
        op.groups,
        w[-2],
        w[-1] // op.groups,
    )


def plan_contract(op: Contract, g: Geometry, epilogue: Epilogue = Epilogue()) -> ContractPlan:
    """The steps of a contraction; operands 0 and 1 are those of the primitive, result 0 its result."""
    if op.role == "kernel":
        return _Planner(g, epilogue).kernel()
    return _Planner(g, epilogue).output() if op.role == "output" else _Planner(g, epilogue).input()


@dataclass
class _Rows:
    """Lines of rows of a GEMM: byte offsets of each line in a and c, and the rows in every one."""

    a: list[int]
    c: list[int]
    rows: int
    a_row: int
    c_row: int


@dataclass
class _Sum:
    """The reduction: chunks of (tap offsets in a, steps per tap, offset in b), and strides."""

    chunks: list[tuple[list[int], int, int]]
    a_step: int
    b_step: int


@dataclass
class _Columns:
    """Columns of each group: how many, vectors in a panel, and the strides of groups in a, b and c."""

    count: int
    vectors: int
    a_group: int
    b_group: int
    b_panel: int
    c_group: int


class _Planner:
    def __init__(self, g: Geometry, epilogue: Epilogue) -> None:
        self.g, self.epilogue = g, epilogue
        self.lanes = host.lanes()
        self.steps: list[Step] = []
        self.pack_steps: list[Step] = []
        self.packed = 0
        self.scratch = 0

    # --- the three roles -------------------------------------------------------------------------

    def output(self) -> ContractPlan:
        """y from x and w."""
        g = self.g
        size, source = self._padded(0, g.x, g.lo, g.hi, g.channels)
        runs = g.groups == 1 and g.dilation[2] == 1
        spans = [[k * d_ for k in range(n)] for n, d_ in zip(g.k, g.dilation, strict=True)]
        taps = [self._at(size, p, g.channels) for p in itertools.product(*spans)]
        lines = self._pixel_lines(size, g.channels, g.stride, g.y, g.features)
        vectors = self._vectors(lines.rows, g.f)
        sources = [4 * t * g.c * g.features for t in range(len(taps))]
        columns = self._pack(sources, g.c, g.f, vectors, 4 * g.features, 4, 4 * g.f)
        columns.a_group, columns.c_group = 4 * g.c, 4 * g.f
        if runs:
            taps, run = taps[:: g.k[2]], g.k[2] * g.c
        else:
            run = g.c
        reduction = self._chunked(taps, run, 4, 4 * self.lanes * vectors)
        self._gemm("output", source, ("packed", 0), lines, reduction, columns)
        return self._plan()

    def input(self) -> ContractPlan:
        """x from y and w: a correlation with the flipped kernel for each phase of the stride."""
        g = self.g
        axes = [_phases(*a) for a in zip(g.x, g.y, g.k, g.stride, g.dilation, g.lo, strict=True)]
        before = tuple(max([0, *(-t for p in axis for _, t in p.taps)]) for axis in axes)
        after = tuple(
            max([0, *(p.count - 1 + t - (o - 1) for p in axis for _, t in p.taps)])
            for axis, o in zip(axes, g.y, strict=True)
        )
        size, source = self._padded(0, g.y, _three(before), _three(after), g.features)
        for phase in itertools.product(*axes):
            if all(p.count for p in phase):
                self._phase(phase, size, source, before)
        return self._plan()

    def _phase(
        self, phase: Sequence[_Phase], size: Three, source: tuple[str, int], before: Sequence[int]
    ) -> None:
        g = self.g
        pairs = list(itertools.product(*(p.taps for p in phase)))
        taps = [
            self._at(size, [t + lo for (_, t), lo in zip(pair, before, strict=True)], g.features)
            for pair in pairs
        ]
        kernel = [(k[0] * g.k[1] + k[1]) * g.k[2] + k[2] for k in ([k for k, _ in pair] for pair in pairs)]
        lines = _Rows([], [], phase[2].count, 4 * g.features, 4 * g.stride[2] * g.channels)
        for n, qd, qh in itertools.product(range(g.n), range(phase[0].count), range(phase[1].count)):
            lines.a.append(self._at(size, (qd, qh, 0), g.features, n))
            place = [q * s + p.first for q, s, p in zip((qd, qh, 0), g.stride, phase, strict=True)]
            lines.c.append(self._at(g.x, place, g.channels, n))
        if g.stride == (1, 1, 1) and size == g.y and g.y == g.x:
            lines = _Rows([0], [0], g.n * math.prod(g.x), lines.a_row, lines.c_row)
        vectors = self._vectors(lines.rows, g.c)
        sources = [4 * k * g.c * g.features for k in kernel]
        offset = self.packed
        columns = self._pack(sources, g.f, g.c, vectors, 4, 4 * g.features, 4 * g.f)
        columns.a_group, columns.c_group = 4 * g.f, 4 * g.c
        last = [t for _, t in phase[2].taps]
        runs = g.groups == 1 and len(last) > 1 and last == list(range(last[0], last[0] + len(last)))
        width = len(last) if runs else 1
        reduction = self._chunked(taps[::width], width * g.f, 4, 4 * self.lanes * vectors)
        self._gemm("input", source, ("packed", offset), lines, reduction, columns)

    def kernel(self) -> ContractPlan:
        """w from x and y: rows are taps and channels, the reduction runs over pixels."""
        g = self.g
        size, source = self._padded(0, g.x, g.lo, g.hi, g.channels)
        merged = g.groups == 1 and g.dilation[2] == 1
        widths = (0,) if merged else range(g.k[2])
        rows = g.k[2] * g.c if merged else g.c
        lines = _Rows([], [], rows, 4, 4 * g.features)
        for kd, kh, kw in itertools.product(range(g.k[0]), range(g.k[1]), widths):
            place = [k * d_ for k, d_ in zip((kd, kh, kw), g.dilation, strict=True)]
            lines.a.append(self._at(size, place, g.channels))
            lines.c.append(4 * (((kd * g.k[1] + kh) * g.k[2] + kw) * g.c) * g.features)
        vectors = self._vectors(rows, g.f)
        pixels = [
            self._at(size, [o * s for o, s in zip((od, oh, 0), g.stride, strict=True)], g.channels, n)
            for n, od, oh in itertools.product(range(g.n), range(g.y[0]), range(g.y[1]))
        ]
        per_image = 4 * (math.prod(size) * g.channels + math.prod(g.y) * g.features)
        images = max(1, min(g.n, CHUNK_BYTES // max(1, per_image)))
        step, run = images * g.y[0] * g.y[1], g.y[2]
        chunks = [
            (pixels[at : at + step], run, 4 * at * run * g.features) for at in range(0, len(pixels), step)
        ]
        if g.y == (1, 1, 1) and g.n > 1:
            chunks = [([0], g.n, 0)]
        a_step = 4 * g.stride[2] * g.channels if g.y != (1, 1, 1) else 4 * math.prod(size) * g.channels
        reduction = _Sum(chunks, a_step, 4 * g.features)
        columns = _Columns(g.f, vectors, 4 * g.c, 4 * g.f, 4 * self.lanes * vectors, 4 * g.f)
        self._gemm("kernel", source, ("operand", 1), lines, reduction, columns)
        return self._plan()

    # --- pieces ----------------------------------------------------------------------------------

    def _plan(self) -> ContractPlan:
        return ContractPlan(tuple(self.pack_steps), tuple(self.steps), self.packed, self.scratch)

    @staticmethod
    def _at(size: Three, place: Sequence[int], channels: int, image: int = 0) -> int:
        """Byte offset of a pixel in `[N, *size, channels]`."""
        z, y, x = place
        return 4 * channels * (((image * size[0] + z) * size[1] + y) * size[2] + x)

    def _pixel_lines(self, size: Three, channels: int, stride: Three, out: Three, features: int) -> _Rows:
        """A line for each row of output pixels; all pixels in one where they lie at one distance."""
        g = self.g
        rows = _Rows([], [], out[2], 4 * stride[2] * channels, 4 * features)
        if size == out and stride == (1, 1, 1):
            return _Rows([0], [0], g.n * math.prod(out), rows.a_row, rows.c_row)
        if size == g.k and out == (1, 1, 1):
            return _Rows([0], [0], g.n, 4 * math.prod(size) * channels, 4 * features)
        for n, z, y in itertools.product(range(g.n), range(out[0]), range(out[1])):
            rows.a.append(self._at(size, (z * stride[0], y * stride[1], 0), channels, n))
            rows.c.append(self._at(out, (z, y, 0), features, n))
        return rows

    def _padded(
        self, operand: int, size: Three, lo: Three, hi: Three, channels: int
    ) -> tuple[Three, tuple[str, int]]:
        """Size and place of an operand with zeros around it."""
        full = _three([s + a + b for s, a, b in zip(size, lo, hi, strict=True)])
        if full == size:
            return size, ("operand", operand)
        block = np.zeros(d.PAD_WORDS, np.int64)
        block[d.IMAGES :] = [
            self.g.n,
            size[0],
            size[1],
            size[2] * channels,
            lo[0],
            lo[1],
            lo[2] * channels,
            full[0],
            full[1],
            full[2] * channels,
        ]
        slots = {d.IN: Slot("operand", operand), d.OUT: Slot("scratch", 0, self.scratch)}
        self.steps.append(
            Step(f"pad {_times(size)} to {_times(full)}", library().address("pad"), block, slots)
        )
        at = self.scratch
        self.scratch += _aligned(4 * self.g.n * math.prod(full) * channels + 256)
        return full, ("scratch", at)

    def _vectors(self, rows: int, columns: int) -> int:
        """Vectors in a panel: the tile that does the work in the fewest cycles."""
        wanted = -(-columns // self.lanes)

        def cycles(vectors: int) -> float:
            most = gemm.tile_rows()[vectors]
            tiles = -(-rows // most)
            tall = -(-rows // tiles)
            tile = max(tall * vectors / 2, 4.0, (tall + vectors) / 3)
            return tiles * tile * -(-wanted // vectors)

        return min(
            (v for v in gemm.tile_rows() if v <= max(1, wanted)), key=lambda v: (cycles(v), abs(v - 2))
        )

    def _pack(
        self, taps: list[int], rows: int, columns: int, vectors: int, row: int, column: int, group: int
    ) -> _Columns:
        """Copy the weights into panels of `vectors` vectors."""
        width = self.lanes * vectors
        panels = -(-columns // width)
        panel_bytes = 4 * width * len(taps) * rows
        if taps:
            table = np.array(taps, np.int64)
            block = np.zeros(d.PACK_WORDS, np.int64)
            words = [
                self.g.groups,
                panels,
                len(taps),
                rows,
                columns,
                width,
                table.ctypes.data,
                row,
                column,
                group,
            ]
            block[d.P_GROUPS :] = words
            slots = {d.SRC: Slot("operand", 1), d.DST: Slot("packed", 0, self.packed)}
            title = f"pack {len(taps)}x{rows}x{columns}"
            self.pack_steps.append(Step(title, library().address("pack"), block, slots, keep=(table,)))
        self.packed += self.g.groups * panels * panel_bytes
        return _Columns(columns, vectors, 0, panels * panel_bytes, panel_bytes, 0)

    @staticmethod
    def _chunked(taps: list[int], run: int, a_step: int, b_step: int) -> _Sum:
        """Cut the reduction so that the part of a panel it needs stays in the cache."""
        steps = max(1, CHUNK_BYTES // b_step)
        if run <= steps:
            many = max(1, steps // run)
            parts = [(taps[k : k + many], run, k * run * b_step) for k in range(0, len(taps), many)]
            return _Sum(parts or [([], run, 0)], a_step, b_step)
        parts = []
        for k, tap in enumerate(taps):
            for at in range(0, run, steps):
                size = min(steps, run - at)
                parts.append(([tap + at * a_step], size, (k * run + at) * b_step))
        return _Sum(parts, a_step, b_step)

    def _gemm(
        self, role: str, a: tuple[str, int], b: tuple[str, int], lines: _Rows, total: _Sum, cols: _Columns
    ) -> None:
        most = gemm.tile_rows()[cols.vectors]
        first, second = _balance(lines.rows, most)
        table = _line_table(lines, first, second)
        width = self.lanes * cols.vectors
        panels = -(-cols.count // width)
        calls, keep = self._calls(lines, total, cols)
        offsets = np.array([b_ for _, _, b_ in total.chunks], np.int64)
        zeros = np.zeros(width, np.float32)
        block = np.zeros(d.CONTRACT_WORDS, np.int64)
        block[[d.GROUPS, d.PANELS, d.LINES, d.CHUNKS]] = [
            self.g.groups,
            panels,
            len(table),
            len(total.chunks),
        ]
        block[d.ORDER] = 0 if self._weights_stay(lines, total, cols) else 1
        block[[d.TABLE, d.CALLS, d.CHUNK_B]] = [table.ctypes.data, calls.ctypes.data, offsets.ctypes.data]
        ending = -(-(cols.count - (panels - 1) * width) // self.lanes)
        sizes = [(rows, vectors) for vectors in (cols.vectors, ending) for rows in (first, second)]
        block[d.KERNELS :] = [library().address(gemm.kernel_name(*size)) if size[0] else 0 for size in sizes]
        block[[d.A_GROUP, d.B_GROUP, d.B_PANEL]] = [cols.a_group, cols.b_group, cols.b_panel]
        block[[d.C_GROUP, d.C_PANEL]] = [cols.c_group, 4 * width]
        block[[d.FIRST_A, d.FIRST_C]] = [first * lines.a_row, first * lines.c_row]
        slots = {d.A: _slot(a), d.B: _slot(b), d.C: Slot("result", 0)}
        if self.epilogue.bias is not None:
            slots[d.INIT], block[d.HAS_BIAS] = Slot("operand", self.epilogue.bias), 1
        else:
            block[d.INIT] = zeros.ctypes.data
        if self.epilogue.residual is not None:
            slots[d.RESIDUAL] = Slot("operand", self.epilogue.residual)
        g = self.g
        title = f"contract {role} {_times(g.k)} {g.channels}->{g.features} @ {_times(g.y)}"
        self.steps.append(
            Step(
                title, library().address("contract"), block, slots, keep=(table, calls, offsets, zeros, *keep)
            )
        )

    def _calls(self, lines: _Rows, total: _Sum, cols: _Columns) -> tuple[Ints, list[Ints]]:
        """For each chunk the call blocks of inner panels and of the last."""
        tail = (cols.count - 1) % self.lanes + 1
        table = np.zeros(2 * len(total.chunks), np.int64)
        keep: list[Ints] = []
        for k, (taps, run, _) in enumerate(total.chunks):
            offsets = np.array(taps, np.int64)
            keep.append(offsets)
            for last in (0, 1):
                call = np.zeros(gemm.Call.WORDS, np.int64)
                call[gemm.Call.A_STEP], call[gemm.Call.B_STEP] = total.a_step, total.b_step
                call[gemm.Call.C_ROW] = lines.c_row
                call[gemm.Call.INIT_ROW] = lines.c_row if k else 0
                call[gemm.Call.TAPS], call[gemm.Call.TAP_COUNT] = offsets.ctypes.data, len(taps)
                call[gemm.Call.RUN] = run
                call[gemm.Call.TAIL] = tail if last else self.lanes
                ends = (self.epilogue.low, self.epilogue.high) if k == len(total.chunks) - 1 else _FREE
                call[gemm.Call.LOW], call[gemm.Call.HIGH] = (_bits(x) for x in ends)
                call[gemm.Call.A_ROW :] = gemm.a_rows(lines.a_row)
                keep.append(call)
                table[2 * k + last] = call.ctypes.data
        return table, keep

    def _weights_stay(self, lines: _Rows, total: _Sum, cols: _Columns) -> bool:
        """Whether a panel of weights is used for all lines before the next, rather than the other way round."""
        weights = (
            total.b_step * sum(len(t) * run for t, run, _ in total.chunks) * -(-cols.count // self.lanes)
        )
        return len(total.chunks) > 1 or weights // cols.vectors > 256 * 1024


_FREE = (-math.inf, math.inf)


@dataclass(frozen=True)
class _Phase:
    """Every stride-th input of an axis from `first` on: how many, and (kernel index, offset in y) of their taps."""

    first: int
    count: int
    taps: tuple[tuple[int, int], ...] = field(default=())


def _phases(x: int, y: int, kernel: int, stride: int, dilation: int, lo: int) -> list[_Phase]:
    """The phases of one axis; taps in ascending order of their offset."""
    phases = []
    for r in range(min(stride, x)):
        taps = [
            (k, (r + lo - k * dilation) // stride)
            for k in range(kernel)
            if (r + lo - k * dilation) % stride == 0
        ]
        phases.append(_Phase(r, -(-(x - r) // stride), tuple(sorted(taps, key=lambda tap: tap[1]))))
    return phases


def _three(values: Sequence[int]) -> Three:
    a, b, c = values
    return a, b, c


def _balance(rows: int, most: int) -> tuple[int, int]:
    """Two tile heights that add up to `rows` nearly evenly; the second 0 when one is enough."""
    tiles = -(-rows // most)
    tall = -(-rows // tiles)
    return tall, (tall - 1 if tiles * tall != rows else 0)


def _line_table(lines: _Rows, first: int, second: int) -> Ints:
    """Lines of at most `LINE_TILES` tiles: offsets in a and c, tiles of the first and of the second height."""
    tiles = -(-lines.rows // first) if not second else 0
    if second:
        tiles = next(t for t in range(1, lines.rows + 1) if t * first >= lines.rows)
    short = tiles * first - lines.rows
    tall = tiles - short
    rows = []
    for a, c in zip(lines.a, lines.c, strict=True):
        for at in range(0, tiles, LINE_TILES):
            end = min(tiles, at + LINE_TILES)
            start = min(at, tall) * first + max(0, at - tall) * second
            n_tall = max(0, min(end, tall) - at)
            rows.append((a + start * lines.a_row, c + start * lines.c_row, n_tall, end - at - n_tall))
    return np.array(rows, np.int64)


def _slot(place: tuple[str, int]) -> Slot:
    name, at = place
    if name == "operand":
        return Slot("operand", at)
    return Slot("packed", 0, at) if name == "packed" else Slot("scratch", 0, at)


def _bits(x: float) -> int:
    return int(np.float32(x).view(np.uint32))


def _aligned(size: int) -> int:
    return -(-size // 64) * 64


def _times(size: Sequence[int]) -> str:
    return "x".join(map(str, size))
