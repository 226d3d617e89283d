"""Kernels that copy operands into the layouts the GEMM micro-kernels read fast.

Rows of pixels become runs of contiguous channels with zeros for padding (`copy_runs`); matrices become panels of
a few vectors (`copy_panel`, and `copy_panel_transposed` from a matrix that lies the other way round).
"""

from __future__ import annotations

from collections.abc import Callable

from netdsl.cpu.codegen.library import Kernel
from netdsl.native.emit import Emitter, Value


def kernels() -> dict[str, Kernel]:
    """Return the packing kernels under their names."""
    return {
        "copy_runs": Kernel(_copy_runs, 8),
        "copy_panel": Kernel(_copy_panel, 6),
        "copy_panel_transposed": Kernel(_copy_panel_transposed, 6),
        "add_parts": Kernel(_add_parts, 6),
    }


def _copy_runs(e: Emitter) -> None:
    """(to, to_step, row, start, start_step, length, limit, count): `count` runs of `length` floats.

    Run i is row[start + i*start_step :][:length], with zeros for indices outside of [0, limit), and goes to the
    byte address to + i*to_step. Starts, lengths and the limit are in floats. The last vector of a run is copied
    whole: up to a vector after the run is read and written, so runs that follow each other come in their order.
    """
    to, to_step, row, start, start_step, length, limit, count = e.args
    with e.loop(0, count, 1, [to, start]) as loop:
        to, start = loop.carried
        end = e.add(start, length)
        inside = e.b.and_(e.b.icmp_signed(">=", start, e.i64(0)), e.b.icmp_signed("<=", end, limit))
        with e.b.if_else(inside) as (whole, clipped):
            with whole:
                source = e.add(row, e.mul(start, 4))
                with e.loop(0, e.mul(length, 4), e.bytes) as vectors:
                    e.store(e.load(e.f32s, source, vectors.index), to, vectors.index)
            with clipped:
                first = e.min_int(e.max_int(e.sub(0, start), 0), length)
                last = e.max_int(e.min_int(e.sub(limit, start), length), first)
                with e.loop(0, e.mul(length, 4), e.bytes) as vectors:
                    e.store(e.constant(e.f32s, 0), to, vectors.index)
                source, inner = e.add(row, e.mul(e.add(start, first), 4)), e.add(to, e.mul(first, 4))
                with e.loop(0, e.sub(last, first), e.lanes) as vectors:
                    at, left = e.mul(vectors.index, 4), e.sub(e.sub(last, first), vectors.index)
                    e.store(e.load_part(e.f32s, e.add(source, at), left), inner, at)
        loop.next(e.add(to, to_step), e.add(start, start_step))


def _copy_panel(e: Emitter) -> None:
    """(to, source, step, count, columns, vectors): rows of `columns` floats, `step` bytes apart, made
    `vectors` whole vectors wide with zeros."""
    to, source, step, count, columns, vectors = e.args
    width = e.mul(vectors, e.lanes)
    with e.b.if_else(e.less(columns, width)) as (partial, whole):
        with partial:
            _panel_rows(e, to, source, step, count, lambda at, v: _part(e, at, v, columns), vectors)
        with whole:
            _panel_rows(
                e, to, source, step, count, lambda at, v: e.load(e.f32s, at, e.mul(v, e.bytes)), vectors
            )


def _part(e: Emitter, row: Value, vector: Value, columns: Value) -> Value:
    left = e.max_int(e.sub(columns, e.mul(vector, e.lanes)), 0)
    return e.load_part(e.f32s, row, left, e.mul(vector, e.bytes))


def _panel_rows(
    e: Emitter,
    to: Value,
    source: Value,
    step: Value,
    count: Value,
    load: Callable[[Value, Value], Value],
    vectors: Value,
) -> None:
    with e.loop(0, count, 1, [to, source]) as rows:
        to, source = rows.carried
        with e.loop(0, vectors) as columns:
            e.store(load(source, columns.index), to, e.mul(columns.index, e.bytes))
        rows.next(e.add(to, e.mul(vectors, e.bytes)), e.add(source, step))


def _copy_panel_transposed(e: Emitter) -> None:
    """(to, source, step, count, columns, vectors): like copy_panel, but column j lies contiguous at
    source + j*step. Columns that are not there repeat the last one."""
    to, source, step, count, columns, vectors = e.args
    row_bytes = e.mul(vectors, e.bytes)
    with e.loop(0, count, e.lanes) as rows:
        here = e.min_int(e.sub(count, rows.index), e.lanes)
        with e.loop(0, vectors) as block:
            starts = []
            for j in range(e.lanes):
                column = e.min_int(e.add(e.mul(block.index, e.lanes), j), e.sub(columns, 1))
                starts.append(e.add(e.add(source, e.mul(column, step)), e.mul(rows.index, 4)))
            at = e.add(e.add(to, e.mul(rows.index, row_bytes)), e.mul(block.index, e.bytes))
            with e.b.if_else(e.less(here, e.lanes)) as (partial, whole):
                with partial:
                    _store_rows(
                        e, transpose(e, [e.load_part(e.f32s, s, here) for s in starts]), at, row_bytes, here
                    )
                with whole:
                    _store_rows(e, transpose(e, [e.load(e.f32s, s) for s in starts]), at, row_bytes, None)


def _store_rows(e: Emitter, rows: list[Value], at: Value, step: Value, count: Value | None) -> None:
    for i, row in enumerate(rows):
        if count is None:
            e.store(row, e.add(at, e.mul(step, i)))
        else:
            with e.when(e.less(i, count)):
                e.store(row, e.add(at, e.mul(step, i)))


def _add_parts(e: Emitter) -> None:
    """(to, source, stride, parts, count, _): element by element the sum of `parts` arrays of `count` floats."""
    to, source, stride, parts, count, _ = e.args
    with e.loop(0, count, e.lanes) as loop:
        at = e.mul(loop.index, 4)
        here = e.min_int(e.sub(count, loop.index), e.lanes)
        with e.loop(0, parts, 1, [e.constant(e.f32s, 0)]) as each:
            part = e.add(e.add(source, at), e.mul(each.index, stride))
            each.next(e.b.fadd(each.carried[0], e.load_part(e.f32s, part, here)))
        e.store_part(each.results[0], e.add(to, at), here)


def transpose(e: Emitter, rows: list[Value]) -> list[Value]:
    """Return the transpose of a square of `lanes` vectors: log2(lanes) rounds that swap ever larger blocks."""
    n, rows = len(rows), list(rows)
    bit = 1
    while bit < n:
        for i in range(n):
            if not i & bit:
                a, b = rows[i], rows[i | bit]
                rows[i] = e.take(a, [n + (k ^ bit) if k & bit else k for k in range(n)], b)
                rows[i | bit] = e.take(a, [n + k if k & bit else k ^ bit for k in range(n)], b)
        bit *= 2
    return rows
