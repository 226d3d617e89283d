"""`non_max_suppression` on the CPU: scores that are left in scratch memory, and the best of each class beside them.

Taking a candidate costs one pass over its class, which drops what it overlaps and finds the next best.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from llvmlite import ir

from netdsl.backend.arguments import Address, Arguments, Block
from netdsl.backend.step import SCRATCH, Slot, start_of
from netdsl.cpu.codegen.library import Kernel
from netdsl.cpu.codegen.nest import share
from netdsl.cpu.step import Generated, Step
from netdsl.native.emit import F32, I32, I64, Emitter, Value
from netdsl.native.host import LANES
from netdsl.primitives import NonMaxSuppression
from netdsl.schedule import View

BEST = 16  # bytes of a class in the table of the best: its score, and from byte 8 on its box


class SuppressBlock(Block):
    """`line` is `b` in whole vectors.

    `sample` and `class_` are the bytes from the boxes of one to those of the next, 0 where classes share them.
    """

    boxes: Address
    scores: Address
    kept: Address
    scratch: Address
    n: int
    k: int
    b: int
    line: int
    count: int
    iou: float
    score: float
    sample: int
    class_: int


def plan_suppress(op: NonMaxSuppression, operands: Sequence[View], results: Sequence[View]) -> list[Step]:
    """One step."""
    boxes, scores = operands
    n, k, b = scores.shape
    line = -(-b // max(LANES)) * max(LANES)
    threshold = -math.inf if op.score_threshold is None else op.score_threshold
    sample, class_ = (16 * b * k, 16 * b) if boxes.type.rank == 4 else (16 * b, 0)
    block = Arguments(SuppressBlock, boxes=Slot(boxes), scores=Slot(scores))
    block.fill(kept=Slot(results[0], written=True), scratch=Slot(start_of(SCRATCH), written=True))
    block.fill(n=n, k=k, b=b, line=line, count=op.count, sample=sample, class_=class_)
    block.fill(iou=op.iou_threshold, score=threshold)
    title = f"suppress {k} x {b}, keep {op.count}"
    scratch = n * k * (4 * line + BEST)
    kernel = Kernel(lambda e: _Emit(e).run())
    return [Step(title, Generated("non_max_suppression", "non_max_suppression", kernel), block, scratch)]


class _Emit:
    def __init__(self, e: Emitter) -> None:
        self.e = e
        self.block = block = e.fields(e.args[0], SuppressBlock)
        self.n, self.k, self.b, self.line, self.count = block.n, block.k, block.b, block.line, block.count
        self.lowest = e.constant(e.f32s, -math.inf)

    def run(self) -> None:
        """Units are samples."""
        e = self.e
        first, last = share(e, self.n)
        with e.loop(first, last) as unit:
            sample = e.mul(unit.index, self.k)
            self.boxes = e.add(self.block.boxes, e.mul(unit.index, self.block.sample))
            self.left = e.add(self.block.scratch, e.mul(e.mul(sample, self.line), 4))
            ends = e.mul(e.mul(e.mul(self.n, self.k), self.line), 4)
            self.best = e.add(e.add(self.block.scratch, ends), e.mul(sample, BEST))
            scores = e.add(self.block.scores, e.mul(e.mul(sample, self.b), 4))
            with e.loop(0, self.k) as loop:
                self._begin(loop.index, e.add(scores, e.mul(e.mul(loop.index, self.b), 4)))
            kept = e.add(self.block.kept, e.mul(e.mul(unit.index, self.count), 8))
            with e.loop(0, self.count) as loop:
                self._keep(e.add(kept, e.mul(loop.index, 8)))

    def _begin(self, row: Value, scores: Value) -> None:
        """Copy the scores of a class that are above the threshold."""
        e = self.e
        threshold = e.splat(self.block.score)

        def copied(place: Value, count: Value) -> Value:
            score = e.load_part(e.f32s, e.add(scores, e.mul(place, 4)), count)
            counts = e.b.and_(e.b.fcmp_ordered(">", score, threshold), e.first(count, e.f32s))
            return e.b.select(counts, score, self.lowest)

        self._pass(row, copied)

    def _pass(self, row: Value, score_of: Callable[[Value, Value], Value]) -> None:
        """Store new scores of a class, `score_of(place, count)` for each vector, and the best of them."""
        e = self.e
        line = e.add(self.left, e.mul(e.mul(row, self.line), 4))
        with e.loop(0, self.b, e.lanes, (self.lowest, ir.Constant(e.i32s, None))) as loop:
            place = loop.index
            score = score_of(place, e.min_int(e.sub(self.b, place), e.lanes))
            e.store(score, e.add(line, e.mul(place, 4)))
            best, number = loop.carried
            higher = e.b.fcmp_ordered(">", score, best)
            here = e.b.add(e.splat(e.b.trunc(place, I32)), e.iota())
            loop.next(e.b.select(higher, score, best), e.b.select(higher, here, number))
        best, numbers = loop.results
        highest = e.reduce(best, e.maximum)
        ties = e.b.fcmp_ordered("==", best, e.splat(highest))
        numbers = e.b.select(ties, numbers, e.constant(e.i32s, 2**31 - 1))
        number = e.reduce(numbers, lambda a, b: e.b.select(e.b.icmp_signed("<", a, b), a, b))
        place = e.add(self.best, e.mul(row, BEST))
        e.store(highest, place)
        e.store(e.b.sext(number, I64), place, 8)

    def _keep(self, target: Value) -> None:
        """Write the best candidate of all classes, and drop it and what it overlaps; -1 where none is left."""
        e = self.e
        none = e.constant(F32, -math.inf)
        with e.loop(0, self.k, 1, (none, e.i64(0))) as loop:
            score = e.load(F32, e.add(self.best, e.mul(loop.index, BEST)))
            higher = e.b.fcmp_ordered(">", score, loop.carried[0])
            loop.next(
                *(e.b.select(higher, a, b) for a, b in zip((score, loop.index), loop.carried, strict=True))
            )
        highest, row = loop.results
        some = e.b.fcmp_ordered(">", highest, none)
        with e.b.if_else(some) as (yes, no):
            with yes:
                number = e.load(I64, e.add(self.best, e.mul(row, BEST)), 8)
                e.store(e.add(e.mul(row, self.b), number), target)
                self._drop(row, number)
            with no:
                e.store(e.i64(-1), target)

    def _drop(self, row: Value, number: Value) -> None:
        """Leave nothing of a box and what it overlaps."""
        e, b = self.e, self.e.b
        zero, limit = e.constant(e.f32s, 0.0), e.splat(self.block.iou)
        boxes = e.add(self.boxes, e.mul(row, self.block.class_))
        lines = [e.add(boxes, e.mul(e.mul(self.b, k), 4)) for k in range(4)]
        one = [e.splat(e.load(F32, e.add(line, e.mul(number, 4)))) for line in lines]
        own = e.splat(b.trunc(number, I32))

        def area(x1: Value, y1: Value, x2: Value, y2: Value) -> Value:
            return b.fmul(e.maximum(b.fsub(x2, x1), zero), e.maximum(b.fsub(y2, y1), zero))

        size = area(*one)

        def left(place: Value, count: Value) -> Value:
            at = e.mul(place, 4)
            box = [e.load_part(e.f32s, e.add(line, at), count) for line in lines]
            low = [e.maximum(v, u) for v, u in zip(box[:2], one[:2], strict=True)]
            high = [e.minimum(v, u) for v, u in zip(box[2:], one[2:], strict=True)]
            common = area(*low, *high)
            overlap = b.fdiv(common, b.fsub(b.fadd(area(*box), size), common))
            here = b.add(e.splat(b.trunc(place, I32)), e.iota())
            gone = b.or_(b.fcmp_ordered(">", overlap, limit), b.icmp_signed("==", here, own))
            score = e.load(e.f32s, e.add(self.left, e.add(e.mul(e.mul(row, self.line), 4), at)))
            return b.select(gone, self.lowest, score)

        self._pass(row, left)
