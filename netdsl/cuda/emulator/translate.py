"""A kernel as steps: instructions become functions of all lanes, one basic block after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from netdsl.cuda.emulator.arithmetic import split
from netdsl.cuda.emulator.effects import effect
from netdsl.cuda.emulator.memory_effects import SPACES, Effect
from netdsl.cuda.emulator.operands import (
    DTYPES,
    Address,
    Immediate,
    Instruction,
    Name,
    Operand,
    Register,
    Special,
    Variable,
)
from netdsl.cuda.emulator.parse import Body
from netdsl.cuda.emulator.program import EXIT, BasicBlock, Placement, Step
from netdsl.cuda.emulator.rules import CARRY
from netdsl.cuda.emulator.steps import literal, masked, poison, pure, unwritten

_ENDS: Final = frozenset(["bra", "ret", "exit"])
_ACCESSES: Final = frozenset(["ld", "ldu", "st", "atom", "red", "cp", "ldmatrix"])


@dataclass
class Program:
    """A kernel that can run: its blocks, the first values of its registers, the places of its variables."""

    body: Body
    blocks: list[BasicBlock]
    placement: Placement
    registers: list[Any]
    specials: list[tuple[int, str]]
    variables: list[tuple[int, Variable]]
    granule: int
    global_granule: int
    opcodes: list[frozenset[str]]


def _condition(block: BasicBlock) -> set[int]:
    """The register that says where a block goes on."""
    return {block.condition[0]} if block.condition else set()


def _is_barrier(i: Instruction) -> bool:
    return i.opcode == "bar" and "warp" not in i.modifiers


class Translator:
    """Translates one kernel."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.kinds = [*body.kinds, "u32"]  # the last is the carry
        self.carry = len(body.kinds)
        self.values: list[Any] = [poison(kind) for kind in body.kinds] + [np.uint32(0)]
        self.constants: dict[tuple[Operand, str], int] = {}
        self.specials: list[tuple[int, str]] = []
        self.variables: list[tuple[int, Variable]] = []
        self.placement = Placement()
        self.blocks = self._split()
        self._place()
        self.effects = [[effect(i) for i in block.instructions] for block in self.blocks]
        self.touched = [
            [self._registers(i, e) for i, e in zip(block.instructions, effects, strict=True)]
            for block, effects in zip(self.blocks, self.effects, strict=True)
        ]
        exposed, known = self._exposed(), self._assigned()
        for block in self.blocks:
            self._translate(block, exposed, known[block.number])

    def program(self) -> Program:
        """The result."""
        opcodes = [
            frozenset(i.name for i in [*b.instructions, *([b.end] if b.end else [])]) for b in self.blocks
        ]
        return Program(
            self.body,
            self.blocks,
            self.placement,
            self.values,
            self.specials,
            self.variables,
            self._granule("shared"),
            self._granule("global") or 4,
            opcodes,
        )

    # -- blocks ---------------------------------------------------------------------------------------------

    def _split(self) -> list[BasicBlock]:
        """Basic blocks: each ends with a branch, a barrier or an exit, or where a label begins the next."""
        flat, labels = self.body.instructions, self.body.labels
        starts = {
            0,
            *labels.values(),
            *(k + 1 for k, i in enumerate(flat) if i.opcode in _ENDS or _is_barrier(i)),
        }
        ordered = sorted(s for s in starts if s < len(flat))
        numbers = {start: k for k, start in enumerate(ordered)}
        blocks: list[BasicBlock] = []
        for k, start in enumerate(ordered):
            stop = ordered[k + 1] if k + 1 < len(ordered) else len(flat)
            block = BasicBlock(k, flat[start:stop], following=k + 1 if stop < len(flat) else EXIT)
            last = flat[stop - 1]
            if last.opcode in _ENDS or _is_barrier(last):
                block.end = block.instructions.pop()
                self._finish(block, last, lambda at: numbers.get(at, EXIT))
            blocks.append(block)
        if not blocks:
            blocks.append(BasicBlock(0, []))
        return blocks

    def _finish(self, block: BasicBlock, i: Instruction, number: Callable[[int], int]) -> None:
        def target(name: str) -> int:
            if name not in self.body.labels:
                raise i.refuse(f"there is no label {name}")
            return number(self.body.labels[name])

        names = [o.name for o in i.operands if isinstance(o, Name)]
        if _is_barrier(i):
            if i.guard:
                raise i.refuse("the emulator knows no barrier with a guard")
            if i.modifiers not in (("sync",), ("sync", "aligned")) or i.operands != (Immediate(0),):
                raise i.refuse(f"the emulator knows no {i.name} but that of all threads, bar.sync 0")
            block.barrier = True
            return
        if i.guard:
            block.condition = (i.guard.index, i.guard.negated)
        if i.opcode == "bra" and len(names) == 1:
            block.targets = (target(names[0]),)
        elif i.opcode in ("ret", "exit") and not i.operands:
            block.targets = (EXIT,)
        else:
            raise i.refuse(f"the emulator knows no {i.name}")

    # -- variables and constants ----------------------------------------------------------------------------

    def _place(self) -> None:
        found: dict[Variable, None] = {}
        for i in self.body.instructions:
            for operand in i.operands:
                base = operand.base if isinstance(operand, Address) else operand
                if isinstance(base, Variable) and base.space in ("shared", "local"):
                    found[base] = None
        self.placement.settle(list(found))

    def _granule(self, space: str) -> int:
        """The narrowest access to shared or global memory in bytes; 0 where there is none."""
        widths: list[int] = []
        for i in (i for block in self.blocks for i in block.instructions if i.opcode in _ACCESSES):
            spaces = {m.split("::")[0] for m in i.modifiers} & set(SPACES)
            if not spaces or space in spaces:
                widths += [DTYPES[k].itemsize for k in split(i)[1]] or [4]
        return min(*widths, 8) if widths else 0

    def _slot(self, i: Instruction, operand: Operand, kind: str) -> int:
        """The slot of an operand that is read as a type."""
        if isinstance(operand, Register):
            have, want = DTYPES[operand.kind], DTYPES[kind]
            if (have.kind == "b") != (want.kind == "b") or have.itemsize < want.itemsize:
                raise i.refuse(f"a register .{operand.kind} is no .{kind}")
            return operand.index
        if operand == Name(CARRY):
            return self.carry
        key = (operand, kind)
        if key not in self.constants:
            self.constants[key] = len(self.values)
            self.values.append(self._constant(i, operand, kind))
            self.kinds.append(kind)
        return self.constants[key]

    def _constant(self, i: Instruction, operand: Operand, kind: str) -> Any:
        dtype, slot = DTYPES[kind], len(self.values)
        if isinstance(operand, Special):
            self.specials.append((slot, operand.name))
            return dtype.type(0)
        if isinstance(operand, Variable):
            if operand.space in ("global", "const"):
                self.variables.append((slot, operand))
                return dtype.type(0)
            parameters = {p.name: p.offset for p in self.body.parameters}
            own = operand.space == "param"
            return dtype.type(parameters[operand.name] if own else self.placement.place(operand))
        if not isinstance(operand, Immediate):
            name = operand.name if isinstance(operand, Name) else "this"
            raise i.refuse(f"nothing is called {name}")
        return literal(i, operand, kind)

    # -- steps ----------------------------------------------------------------------------------------------

    def _registers(self, i: Instruction, found: Effect) -> tuple[set[int], set[int]]:
        """The registers that an instruction reads and writes; one with a guard also keeps what it does not write."""
        reads = {o.index for o, _ in found.reads if isinstance(o, Register)}
        writes = {o.index for o, _ in found.writes if isinstance(o, Register)}
        reads |= {self.carry} if any(o == Name(CARRY) for o, _ in found.reads) else set()
        writes |= {self.carry} if any(o == Name(CARRY) for o, _ in found.writes) else set()
        return reads | ({i.guard.index} if i.guard else set()), writes

    def _exposed(self) -> set[int]:
        """Registers that carry values from one block to another; all others need no mask."""
        exposed: set[int] = set()
        for block, touched in zip(self.blocks, self.touched, strict=True):
            written: set[int] = set()
            for i, (reads, writes) in zip(block.instructions, touched, strict=True):
                exposed |= (reads | (writes if i.guard else set())) - written
                written |= writes
            exposed |= _condition(block) - written
        return exposed

    def _assigned(self) -> list[set[int]]:
        """For each block, the registers that some way to it has written."""
        written = [{slot for _, writes in touched for slot in writes} for touched in self.touched]
        known: list[set[int]] = [set() for _ in self.blocks]
        changed = set(range(len(self.blocks)))
        while changed:
            number = min(changed)
            changed.discard(number)
            block = self.blocks[number]
            after = known[number] | written[number]
            open_end = block.condition is not None or not block.targets
            for target in {*block.targets, *([block.following] if open_end else [])} - {EXIT}:
                if not after <= known[target]:
                    known[target] |= after
                    changed.add(target)
        return known

    def _translate(self, block: BasicBlock, exposed: set[int], known: set[int]) -> None:
        written: set[int] = set()
        effects, touched = self.effects[block.number], self.touched[block.number]
        for i, found, (reads, writes) in zip(block.instructions, effects, touched, strict=True):
            missing = reads - known - written - {self.carry}
            if missing:
                block.steps.append(unwritten(i))
            block.steps.append(self._step(i, found))
            written |= writes
            block.collective |= found.collective
        if block.end and _condition(block) - known - written:
            block.steps.append(unwritten(block.end))
        block.merged = tuple(sorted(written & exposed))

    def _step(self, i: Instruction, found: Effect) -> Step:
        reads = [self._reader(i, *typed) for typed in found.reads]
        writes = [self._writer(i, *typed) for typed in found.writes]
        if found.pure and not i.guard:
            return pure(found.function, reads, writes)
        return masked(found, i.guard, reads, writes)

    def _reader(self, i: Instruction, operand: Operand, kind: str) -> tuple[int, np.dtype[Any], int]:
        """Slot, type, and the width to cut a wider register to."""
        slot, want = self._slot(i, operand, kind), DTYPES[kind]
        narrower = want.itemsize < DTYPES[self.kinds[slot]].itemsize
        negated = isinstance(operand, Register) and operand.negated
        return slot, want, -1 if negated else want.itemsize if narrower else 0

    def _writer(self, i: Instruction, operand: Operand, kind: str) -> tuple[int, np.dtype[Any] | None]:
        """Slot, and the type to extend narrower values to; slot -1 throws the value away."""
        if isinstance(operand, Name) and operand.name == CARRY:
            return self.carry, None
        if isinstance(operand, Name) and operand.name == "_":
            return -1, None
        if not isinstance(operand, Register) or operand.negated:
            raise i.refuse("the result of this is a register")
        have, want = DTYPES[operand.kind], DTYPES[kind]
        if (have.kind == "b") != (want.kind == "b") or have.itemsize < want.itemsize:
            raise i.refuse(f"a register .{operand.kind} holds no .{kind}")
        sign = "i" if kind[0] == "s" else "u"
        return operand.index, None if have.itemsize == want.itemsize else np.dtype(f"{sign}{have.itemsize}")


def translate(body: Body) -> Program:
    """A kernel as steps; raises PTXError for instructions that the emulator does not know."""
    return Translator(body).program()
