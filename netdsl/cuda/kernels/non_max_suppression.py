"""`non_max_suppression` on the GPU: candidates are sorted, then a block for each sample takes 64 at a time.

Each of the 64 is held against what is kept, and against those before it as a mask of bits; one thread then goes
through the masks.  Memory grows with the candidates, not with their pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from netdsl.backend.step import Slot
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import coordinates, nest_parameters, space_values
from netdsl.cuda.codegen.scalar import combined
from netdsl.cuda.kernels.keys import LAST, Keys, Pairs, Scratch, falling, words
from netdsl.cuda.kernels.sort import sort_rows
from netdsl.cuda.step import Launch, Parameter, Source
from netdsl.primitives import NonMaxSuppression
from netdsl.schedule import View

THREADS = 512
CHUNK = 64
TEAMS = THREADS // CHUNK
"""Threads that hold one candidate against others."""
SIDES = ("x1", "y1", "x2", "y2", "area")


def plan_suppress(op: NonMaxSuppression, operands: Sequence[View], results: Sequence[View]) -> list[Launch]:
    """A sort, and a launch that drops; TooLarge for more than 2^31 candidates."""
    boxes, scores = operands
    n, k, b = scores.shape
    if not n or not op.count:
        return []
    scratch = Scratch()
    launches, found = sort_rows(_candidates(op, scores), n, k * b, 32, scratch) if k * b else ([], _nothing())
    kept, classes = scratch.words(n * op.count * len(SIDES)), scratch.words(n * op.count)
    own = boxes.type.rank == 4
    values: dict[str, int | float] = {**space_values(k, max(b, 1)), "count": k * b, "most": op.count}
    values |= {
        "sample": 4 * b * (k if own else 1),
        "class_": 4 * b if own else 0,
        "iou": _single(op.iou_threshold),
    }
    slots = found.slots("in") | {"boxes": Slot(boxes), "out": Slot(results[0], written=True)}
    slots |= {"kept": Slot(kept, written=True), "classes": Slot(classes, written=True)}
    launches.append(Launch("drop", _drop(), n, THREADS, values, slots))
    title = f"suppress {k} x {b}, keep {op.count}"
    return [replace(launch, title=f"{title}: {launch.title}", scratch=scratch.size) for launch in launches]


def _nothing() -> Pairs:
    return Pairs.new(Scratch(), 0)


def _single(x: float) -> float:
    """The float32 of a number."""
    with np.errstate(over="ignore"):
        return float(np.float32(x))


def _candidates(op: NonMaxSuppression, scores: View) -> Keys:
    """Falling scores, last what is no candidate."""

    def write(out: Lines, at: str, place: str) -> tuple[str, str]:
        score = out.let(f"scores[{at}]")
        return out.let(f"{falling(out, score)} if {score} > least else uint32({LAST})"), place

    least = -math.inf if op.score_threshold is None else op.score_threshold
    parameters = (Parameter("scores", to="f32"), Parameter("least", "f32"))
    return Keys(parameters, write, {"scores": Slot(scores)}, {"least": _single(least)})


def _area(out: Lines, x1: str, y1: str, x2: str, y2: str) -> str:
    """0 of a box that is none; rounded by itself, as on the CPU."""
    zero = "float32(0.0)"
    sides = [
        combined(out, "max", out.let(f"{high} - {low}"), zero, "f32") for low, high in ((x1, x2), (y1, y2))
    ]
    return out.let(f"libdevice.fmul_rn({sides[0]}, {sides[1]})")


def _overlap(out: Lines, a: Sequence[str], b: Sequence[str]) -> str:
    """Whether two boxes with their areas overlap too much; not where both are empty."""
    low = [combined(out, "max", p, q, "f32") for p, q in zip(a[:2], b[:2], strict=True)]
    high = [combined(out, "min", p, q, "f32") for p, q in zip(a[2:4], b[2:4], strict=True)]
    common = _area(out, *low, *high)
    return out.let(f"{common} / ({a[4]} + {b[4]} - {common}) > iou")


_PARAMETERS = (
    *words("in_keys", "in_places"),
    *(Parameter(name, to="f32") for name in ("boxes", "kept")),
    *words("classes"),
    Parameter("out", to="i64"),
    *nest_parameters(2, 0),
    Parameter("most", "u32"),
    Parameter("sample", "i64"),
    Parameter("class_", "i64"),
    Parameter("iou", "f32"),
)


def _drop() -> Source:
    """A block for each sample."""
    out = Lines()
    with out.kernel(_PARAMETERS):
        out.write(f"""
            box = cuda.shared.array({len(SIDES) * CHUNK}, float32)
            of_class = cuda.shared.array({CHUNK}, uint32)
            hits = cuda.shared.array({THREADS}, uint32)
            parts = cuda.shared.array({THREADS}, uint32)
            masks = cuda.shared.array({CHUNK}, uint64)
            alive = cuda.shared.array(2, uint32)
            chosen = cuda.shared.array(1, uint64)
            thread = uint32(cuda.threadIdx.x)
            one = uint32(thread & uint32({CHUNK - 1}))
            team = uint32(thread >> uint32(6))
            start = int64(cuda.blockIdx.x) * int64(count)
            image = int64(cuda.blockIdx.x) * sample
            result = int64(cuda.blockIdx.x) * int64(most)
            held = result * int64({len(SIDES)})
            full = uint32(0)
            first = uint32(0)
        """)
        with out.block("while (first < count) & (full < most)"):
            _load(out)
            out.add("cuda.syncthreads()")
            own = [out.let(f"box[one + uint32({CHUNK * k})]") for k in range(len(SIDES))]
            _against_kept(out, own)
            _against_chunk(out, own)
            out.add("cuda.syncthreads()")
            out.write(_SCAN)
            _keep(out)
            out.write(f"""
                full = uint32(full + uint32(cuda.popc(chosen[0])))
                first = uint32(first + uint32({CHUNK}))
                if ends:
                    first = count
            """)
        out.write(f"""
            rest = uint32(full + thread)
            while rest < most:
                out[result + int64(rest)] = int64(-1)
                rest = uint32(rest + uint32({THREADS}))
        """)
    return out.source(_PARAMETERS)


def _load(out: Lines) -> None:
    """The boxes of the next candidates, with their areas; `ends` in all threads where no more are behind them."""
    last = f"uint32(first + uint32({CHUNK - 1}))"
    out.write(f"""
        ends = True
        if {last} < count:
            ends = in_keys[start + int64({last})] == uint32({LAST})
        valid = False
        number = uint32(0)
        if (thread < uint32({CHUNK})) & (uint32(first + one) < count):
            valid = in_keys[start + int64(uint32(first + one))] != uint32({LAST})
    """)
    with out.block("if valid"):
        out.add("number = in_places[start + int64(uint32(first + one))]")
        kind, place = coordinates(out, "number", 2)
        out.add(f"at = image + int64({kind}) * class_ + int64({place})")
        sides = [out.let(f"boxes[at + int64({k}) * int64(size1)]") for k in range(4)]
        for k, side in enumerate([*sides, _area(out, *sides)]):
            out.add(f"box[thread + uint32({CHUNK * k})] = {side}")
        out.add(f"of_class[thread] = {kind}")
    with out.block(f"elif thread < uint32({CHUNK})"):
        for k in range(len(SIDES)):
            out.add(f"box[thread + uint32({CHUNK * k})] = float32(0.0)")
        out.add(f"of_class[thread] = uint32({LAST})")


def _against_kept(out: Lines, own: Sequence[str]) -> None:
    """Whether a candidate overlaps one of those that are kept, of which each team takes its share."""
    out.write("""
        kind = of_class[one]
        hit = uint32(0)
        other = team
    """)
    with out.block("while (other < full) & (hit == uint32(0))"):
        with out.block("if classes[result + int64(other)] == kind"):
            theirs = [
                out.let(f"kept[held + int64(most) * int64({k}) + int64(other)]") for k in range(len(SIDES))
            ]
            out.add(f"hit = uint32({_overlap(out, own, theirs)})")
        out.add(f"other = uint32(other + uint32({TEAMS}))")
    out.add("hits[thread] = hit")


def _against_chunk(out: Lines, own: Sequence[str]) -> None:
    """A bit for each of 8 candidates that come later and that this one would drop."""
    out.add("bits = uint32(0)")
    with out.block(f"for k in range({CHUNK // TEAMS})"):
        out.add(f"other = uint32(team * uint32({CHUNK // TEAMS}) + uint32(k))")
        with out.block("if (other > one) & (of_class[other] == kind)"):
            theirs = [out.let(f"box[other + uint32({CHUNK * k})]") for k in range(len(SIDES))]
            out.add(f"bits = uint32(bits | (uint32({_overlap(out, own, theirs)}) << uint32(k)))")
    out.add("parts[thread] = bits")


# The masks of all candidates, then which of them are kept: the first that is left, until none is.
_SCAN = f"""
    if thread < uint32({CHUNK}):
        mask = uint64(0)
        for k in range({TEAMS}):
            if hits[thread + uint32(k) * uint32({CHUNK})] != uint32(0):
                valid = False
            mask = mask | (uint64(parts[thread + uint32(k) * uint32({CHUNK})]) << uint64({CHUNK // TEAMS} * k))
        masks[thread] = mask
        voted = uint32(cuda.ballot_sync(uint32(0xFFFFFFFF), valid))
        if (thread & uint32(31)) == uint32(0):
            alive[thread >> uint32(5)] = voted
    cuda.syncthreads()
    if thread == uint32(0):
        left = uint64(alive[0]) | (uint64(alive[1]) << uint64(32))
        taken = uint64(0)
        while left != uint64(0):
            low = left & (uint64(0) - left)
            taken = taken | low
            left = left & ~(low | masks[uint32(cuda.popc(low - uint64(1)))])
        chosen[0] = taken
    cuda.syncthreads()
"""


def _keep(out: Lines) -> None:
    """Write the numbers of those that are kept, and their boxes beside those of before."""
    with out.block(f"if thread < uint32({CHUNK})"):
        out.write("""
            low = uint64(1) << uint64(thread)
            place = uint32(full + uint32(cuda.popc(chosen[0] & (low - uint64(1)))))
        """)
        with out.block("if ((chosen[0] & low) != uint64(0)) & (place < most)"):
            out.write("""
                out[result + int64(place)] = int64(number)
                classes[result + int64(place)] = of_class[thread]
            """)
            for k in range(len(SIDES)):
                out.add(
                    f"kept[held + int64(most) * int64({k}) + int64(place)] = box[thread + uint32({CHUNK * k})]"
                )
