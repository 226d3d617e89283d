"""The threads of a team, as machine code: waiting for work, and walking the steps of a program together.

One that goes to sleep counts itself in `sleepers` and then looks at `generation`; one that submits grows `generation`
and then looks at `sleepers`. All of that is in one order for everybody, so that they cannot miss each other.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable

from llvmlite import ir

from netdsl.backend.arguments import Block
from netdsl.cpu.codegen.library import Kernel
from netdsl.cpu.contract.arguments import WORKSPACE_BYTES
from netdsl.native.emit import I8, I32, I64, VOID, Emitter, Value

SPINS_AT_BARRIER = 2000
SPINS_BEFORE_SLEEP = 20_000
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine()) if sys.platform == "linux" else None


class TeamBlock(Block):
    """What the threads share; the fields lie 64 bytes apart, so that no two are in a cache line.

    `generation` counts runs and `arrived` the ends of steps; both only grow, so that nobody who comes late mistakes
    one run for another. `workspaces` is where those of the threads begin: in memory of the team, so that a thread
    needs little stack.
    """

    apart = 64

    generation: int = 0
    steps: int = 0
    count: int = 0
    arrived: int = 0
    sleepers: int = 0
    stop: bool = False
    workspaces: int


def kernels() -> dict[str, Kernel]:
    """`worker(block, part, parts)` runs until `stop` is set; `submit(block, parts)` runs share 0 and waits."""
    return {"worker": Kernel(_worker, 3), "submit": Kernel(_submit, 2), "alone": Kernel(_alone, 3)}


def _pointer(e: Emitter, block: Value, field: str) -> Value:
    return e.pointer(I64, e.fields(block, TeamBlock).address(field))


def _read(e: Emitter, block: Value, field: str) -> Value:
    return e.b.load_atomic(_pointer(e, block, field), "seq_cst", 8)


def _grow(e: Emitter, block: Value, field: str, by: int = 1) -> None:
    e.b.atomic_rmw("add", _pointer(e, block, field), e.i64(by), "seq_cst")


def _pause(e: Emitter) -> None:
    """Tell the processor that this is a waiting loop."""
    if platform.machine() in ("x86_64", "AMD64"):
        e.b.call(_declare(e, "llvm.x86.sse2.pause", VOID, []), [])


def _yield(e: Emitter) -> None:
    """Give the processor to another thread."""
    if sys.platform == "win32":
        e.b.call(_declare(e, "SwitchToThread", I32, []), [])
    else:
        e.b.call(_declare(e, "sched_yield", I32, []), [])


def _declare(
    e: Emitter, name: str, result: ir.Type, arguments: list[ir.Type], variadic: bool = False
) -> ir.Function:
    module = e.b.module
    if name in module.globals:
        return module.globals[name]
    return ir.Function(module, ir.FunctionType(result, arguments, variadic), name)


def _spin(e: Emitter, done: Callable[[], Value], limit: int, after: Callable[[], None]) -> None:
    """Wait until `done`; after `limit` turns do `after` in every further one."""
    b = e.b
    before = b.block
    head, body, end = (b.append_basic_block(name) for name in ("wait", "turn", "done"))
    b.branch(head)
    b.position_at_end(head)
    turns = b.phi(I64)
    turns.add_incoming(e.i64(0), before)
    b.cbranch(done(), end, body)
    b.position_at_end(body)
    _pause(e)
    with e.when(b.icmp_signed(">", turns, e.i64(limit))):
        after()
    turns.add_incoming(b.add(turns, e.i64(1)), b.block)
    b.branch(head)
    b.position_at_end(end)


def _walk(e: Emitter, block: Value, part: Value, parts: Value, arrived: Value) -> Value:
    """Run all steps, meeting the others after each; returns the arrivals at the end of the run."""
    team = e.fields(block, TeamBlock)
    steps, count, workspaces = team.steps, team.count, team.workspaces
    workspace = e.add(workspaces, e.mul(part, WORKSPACE_BYTES))
    with e.loop(0, count, 1, [arrived]) as loop:
        row = e.add(steps, e.mul(loop.index, 16))
        e.call(e.load(I64, row), e.load(I64, row, 8), part, parts, workspace)
        goal = e.add(loop.carried[0], parts)
        _grow(e, block, "arrived")
        _spin(
            e,
            lambda: e.b.icmp_signed(">=", _read(e, block, "arrived"), goal),
            SPINS_AT_BARRIER,
            lambda: _yield(e),
        )
        loop.next(goal)
    return loop.results[0]


def _worker(e: Emitter) -> None:
    block, part, parts = e.args
    b = e.b
    before = b.block
    head, run, end = (b.append_basic_block(name) for name in ("next", "run", "stop"))
    b.branch(head)
    b.position_at_end(head)
    seen, arrived = b.phi(I64), b.phi(I64)
    seen.add_incoming(e.i64(0), before)
    arrived.add_incoming(e.i64(0), before)
    _spin(
        e,
        lambda: b.icmp_signed("!=", _read(e, block, "generation"), seen),
        SPINS_BEFORE_SLEEP,
        lambda: _sleep(e, block, seen),
    )
    b.cbranch(b.icmp_signed("!=", _read(e, block, "stop"), e.i64(0)), end, run)
    b.position_at_end(run)
    new = _walk(e, block, part, parts, arrived)
    seen.add_incoming(b.add(seen, e.i64(1)), b.block)
    arrived.add_incoming(new, b.block)
    b.branch(head)
    b.position_at_end(end)


def _submit(e: Emitter) -> None:
    block, parts = e.args
    arrived = e.fields(block, TeamBlock).arrived
    _grow(e, block, "generation")
    with e.when(e.b.icmp_signed("!=", _read(e, block, "sleepers"), e.i64(0))):
        _wake(e, block)
    _walk(e, block, e.i64(0), parts, arrived)


def _alone(e: Emitter) -> None:
    """`alone(steps, count, workspace)`: a program on one thread."""
    steps, count, workspace = e.args
    with e.loop(0, count) as loop:
        row = e.add(steps, e.mul(loop.index, 16))
        e.call(e.load(I64, row), e.load(I64, row, 8), 0, 1, workspace)


def _sleep(e: Emitter, block: Value, seen: Value) -> None:
    """Park until the generation changes: on a futex, elsewhere for a moment."""
    if _FUTEX is None:
        _nap(e)
        return
    _grow(e, block, "sleepers")
    wait_private = 128
    _futex(e, block, wait_private, e.b.trunc(seen, I32))
    _grow(e, block, "sleepers", -1)


def _wake(e: Emitter, block: Value) -> None:
    if _FUTEX is not None:
        wake_private = 129
        _futex(e, block, wake_private, ir.Constant(I32, 2**31 - 1))


def _futex(e: Emitter, block: Value, operation: int, value: Value) -> None:
    call = _declare(e, "syscall", I64, [I64], variadic=True)
    address = e.pointer(I8, e.fields(block, TeamBlock).address("generation"))
    null = e.i64(0)
    e.b.call(call, [e.i64(_FUTEX or 0), address, ir.Constant(I32, operation), value, null, null, null])


def _nap(e: Emitter) -> None:
    if sys.platform == "win32":
        e.b.call(_declare(e, "Sleep", VOID, [I32]), [ir.Constant(I32, 1)])
    else:
        e.b.call(_declare(e, "usleep", I32, [I32]), [ir.Constant(I32, 100)])
