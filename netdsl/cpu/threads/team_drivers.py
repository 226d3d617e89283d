"""The threads of a team, as machine code: waiting for work, and taking the shares of a program's phases.

A phase is one or more steps that do not wait for each other, cut into shares, more than there are threads, and
whoever runs takes the next one.  So a thread that the system has put aside holds up one share at most, and one that
sleeps holds up nobody.  Who ends the last share of a phase opens the next.

The ticket is one word: a serial number of 32 bits, which is another one for each phase that is opened, and the
numbers of the first and of one past the last share that nobody has taken.  Even threads take from the front and odd
ones from the back, so that two threads find the halves of the step before in their caches.  A ticket that is out of
date cannot be changed, and a phase of which a share is taken stays open until that is done: so a thread that comes
late does no harm.

One that goes to sleep counts itself in `sleepers` and then looks at the ticket; one that writes the ticket then looks
at `sleepers`.  All of that is in one order for everybody, so that they cannot miss each other.
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

#: A row is a step: where its code and its argument block lie, its first share in its phase, and how many it has.
ROW_WORDS = 4
#: A phase: its first row, one past the last, and its shares.
PHASE_WORDS = 3
MOST_SHARES = 2**16 - 1
#: Turns of the loop that a thread waits in before it parks: fewer after each time that it had to.
MOST_SPINS, LEAST_SPINS = 16_384, 128
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine()) if sys.platform == "linux" else None


class TeamBlock(Block):
    """What the threads share; the fields lie 64 bytes apart, so that no two are in a cache line.

    `phase` is the number of the open one of `phases`, `left` how many of its shares are not done, `runs` how many
    programs have ended.  `workspaces` is where those of the threads begin: in memory of the team, so that a thread
    needs little stack.
    """

    apart = 64

    ticket: int = 0
    left: int = 0
    phase: int = 0
    runs: int = 0
    sleepers: int = 0
    rows: int = 0
    phases: int = 0
    count: int = 0
    stop: bool = False
    workspaces: int


def kernels() -> dict[str, Kernel]:
    """`worker(block, number)` runs until `stop` is set; `submit(block)` is thread 0 for one program."""
    return {"worker": Kernel(_worker, 2), "submit": Kernel(_submit, 1), "alone": Kernel(_alone, 3)}


def _submit(e: Emitter) -> None:
    (block,) = e.args
    team = _Team(e, block, e.i64(0))
    goal = e.add(team.read("runs"), 1)
    team.open(e.i64(0))
    team.take_shares(until=lambda: e.b.icmp_signed("==", team.read("runs"), goal))


def _worker(e: Emitter) -> None:
    block, number = e.args
    team = _Team(e, block, number)
    team.take_shares(until=lambda: e.b.icmp_signed("!=", team.read("stop"), e.i64(0)))


def _alone(e: Emitter) -> None:
    """`alone(rows, count, workspace)`: a program on one thread."""
    rows, count, workspace = e.args
    with e.loop(0, count) as loop:
        row = e.add(rows, e.mul(loop.index, 8 * ROW_WORDS))
        e.call(e.load(I64, row), e.load(I64, row, 8), 0, 1, workspace)


class _Team:
    """Emits what the threads do; `number` is that of this one."""

    def __init__(self, e: Emitter, block: Value, number: Value) -> None:
        self.e, self.b, self.number = e, e.b, number
        self.shared = e.fields(block, TeamBlock)
        self.workspace = e.add(self.shared.workspaces, e.mul(number, WORKSPACE_BYTES))
        self.front = self.b.icmp_signed("==", self.b.and_(number, e.i64(1)), e.i64(0))

    # --- shared words ----------------------------------------------------------------------------

    def read(self, field: str) -> Value:
        """A field, which others may change."""
        return self.b.load_atomic(self._pointer(field), "seq_cst", 8)

    def _write(self, field: str, value: Value) -> None:
        self.b.store_atomic(value, self._pointer(field), "seq_cst", 8)

    def _grow(self, field: str, by: int) -> Value:
        """Add to a field; its value before."""
        return self.b.atomic_rmw("add", self._pointer(field), self.e.i64(by), "seq_cst")

    def _pointer(self, field: str) -> Value:
        return self.e.pointer(I64, self.shared.address(field))

    # --- shares ----------------------------------------------------------------------------------

    def take_shares(self, until: Callable[[], Value]) -> None:
        """Take shares while there are any and wait while there are none, `until` there are none and it holds."""
        e, b = self.e, self.b
        before = b.block
        head, take, idle, wait, end = (
            b.append_basic_block(name) for name in ("head", "take", "idle", "wait", "end")
        )
        b.branch(head)
        b.position_at_end(head)
        spins = b.phi(I64)
        spins.add_incoming(e.i64(MOST_SPINS), before)
        ticket = self.read("ticket")
        first, last = (b.and_(b.lshr(ticket, e.i64(at)), e.i64(MOST_SHARES)) for at in (16, 0))
        b.cbranch(e.less(first, last), take, idle)
        b.position_at_end(take)
        self._take(ticket, first, last)
        spins.add_incoming(spins, b.block)
        b.branch(head)
        b.position_at_end(idle)
        b.cbranch(until(), end, wait)
        b.position_at_end(wait)
        spins.add_incoming(self._wait(ticket, spins), b.block)
        b.branch(head)
        b.position_at_end(end)

    def _take(self, ticket: Value, first: Value, last: Value) -> None:
        """Try to take a share, and do it."""
        e, b = self.e, self.b
        new = b.select(self.front, e.add(ticket, 1 << 16), e.sub(ticket, 1))
        tried = b.cmpxchg(self._pointer("ticket"), ticket, new, "seq_cst", "seq_cst")
        with e.when(b.extract_value(tried, 1)):
            phase = self.shared.phase
            self._run(self._phase(phase), b.select(self.front, first, e.sub(last, 1)))
            with e.when(b.icmp_signed("==", self._grow("left", -1), e.i64(1))):
                self.open(e.add(phase, 1))

    def _phase(self, number: Value) -> Value:
        return self.e.add(self.shared.phases, self.e.mul(number, 8 * PHASE_WORDS))

    def _run(self, phase: Value, share: Value) -> None:
        """What a share has of each step of a phase."""
        e, b = self.e, self.b
        with e.loop(e.load(I64, phase), e.load(I64, phase, 8)) as loop:
            row = e.add(self.shared.rows, e.mul(loop.index, 8 * ROW_WORDS))
            part, parts = e.sub(share, e.load(I64, row, 16)), e.load(I64, row, 24)
            with e.when(b.icmp_unsigned("<", part, parts)):
                e.call(e.load(I64, row), e.load(I64, row, 8), part, parts, self.workspace)

    def open(self, phase: Value) -> None:
        """Open the next phase with several shares; those before it run here, and behind the last the run ends."""
        e, b = self.e, self.b
        count = self.shared.count
        before = b.block
        head, look, small, large, end, told = (
            b.append_basic_block(name) for name in ("next", "look", "small", "large", "ended", "told")
        )
        b.branch(head)
        b.position_at_end(head)
        at = b.phi(I64)
        at.add_incoming(phase, before)
        b.cbranch(e.less(at, count), look, end)
        b.position_at_end(look)
        shares = e.load(I64, self._phase(at), 16)
        b.cbranch(e.less(1, shares), large, small)
        b.position_at_end(small)
        self._run(self._phase(at), e.i64(0))
        at.add_incoming(e.add(at, 1), b.block)
        b.branch(head)
        b.position_at_end(large)
        self._write("phase", at)
        self._write("left", shares)
        self._tell(shares)
        self._wake()
        b.branch(told)
        b.position_at_end(end)
        self._grow("runs", 1)
        self._tell(e.i64(0))
        with e.when(b.or_(self.shared.stop, b.icmp_signed("!=", self.number, e.i64(0)))):
            self._wake()
        b.branch(told)
        b.position_at_end(told)

    def _tell(self, shares: Value) -> None:
        """Write a new ticket, for a phase of so many shares."""
        e, b = self.e, self.b
        serial = e.add(b.lshr(self.read("ticket"), e.i64(32)), 1)
        self._write("ticket", b.or_(b.shl(serial, e.i64(32)), shares))

    # --- waiting ---------------------------------------------------------------------------------

    def _wait(self, ticket: Value, spins: Value) -> Value:
        """Wait for another ticket, at first in a loop of so many turns; returns how many the next wait may take.

        A wait that ends in time allows longer ones.  One that does not is a sign that others need the processor,
        or that there is no work: the thread parks, and parks sooner the next time.
        """
        e, b = self.e, self.b
        before = b.block
        head, turn, park, end = (b.append_basic_block(name) for name in ("spin", "turn", "park", "woken"))
        b.branch(head)
        b.position_at_end(head)
        turns = b.phi(I64)
        turns.add_incoming(e.i64(0), before)
        b.cbranch(b.icmp_signed("!=", self.read("ticket"), ticket), end, turn)
        b.position_at_end(turn)
        _pause(e)
        turns.add_incoming(e.add(turns, 1), turn)
        b.cbranch(e.less(turns, spins), head, park)
        b.position_at_end(park)
        self._sleep(ticket)
        parked = b.block
        b.branch(end)
        b.position_at_end(end)
        longer = b.phi(I64)
        longer.add_incoming(e.i64(1), head)
        longer.add_incoming(e.i64(0), parked)
        changed = b.select(
            b.icmp_signed("!=", longer, e.i64(0)), b.shl(spins, e.i64(1)), b.lshr(spins, e.i64(1))
        )
        return e.max_int(e.min_int(changed, MOST_SPINS), LEAST_SPINS)

    def _sleep(self, ticket: Value) -> None:
        """Park until there is another ticket: on a futex, elsewhere for a moment."""
        if _FUTEX is None:
            _nap(self.e)
            return
        wait_private = 128
        self._grow("sleepers", 1)
        self._futex(wait_private, self.b.trunc(self.b.lshr(ticket, self.e.i64(32)), I32))
        self._grow("sleepers", -1)

    def _wake(self) -> None:
        """Wake those that sleep, if any do."""
        if _FUTEX is not None:
            wake_private = 129
            with self.e.when(self.b.icmp_signed("!=", self.read("sleepers"), self.e.i64(0))):
                self._futex(wake_private, ir.Constant(I32, 2**31 - 1))

    def _futex(self, operation: int, value: Value) -> None:
        """A system call on the serial number of the ticket, its upper half."""
        e = self.e
        call = _declare(e, "syscall", I64, [I64], variadic=True)
        address = e.pointer(I8, self.shared.address("ticket"), 4 if sys.byteorder == "little" else 0)
        null = e.i64(0)
        arguments = [e.i64(_FUTEX or 0), address, ir.Constant(I32, operation), value, null, null, null]
        self.b.call(call, arguments)


def _pause(e: Emitter) -> None:
    """Tell the processor that this is a waiting loop."""
    if platform.machine() in ("x86_64", "AMD64"):
        e.b.call(_declare(e, "llvm.x86.sse2.pause", VOID, []), [])


def _nap(e: Emitter) -> None:
    if sys.platform == "win32":
        e.b.call(_declare(e, "Sleep", VOID, [I32]), [ir.Constant(I32, 1)])
    else:
        e.b.call(_declare(e, "usleep", I32, [I32]), [ir.Constant(I32, 100)])


def _declare(
    e: Emitter, name: str, result: ir.Type, arguments: list[ir.Type], variadic: bool = False
) -> ir.Function:
    module = e.b.module
    if name in module.globals:
        return module.globals[name]
    return ir.Function(module, ir.FunctionType(result, arguments, variadic), name)
