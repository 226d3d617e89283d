"""What the kernels of a device can take in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from netdsl.cost import facts
from netdsl.ir import TensorType
from netdsl.passes.body import Body
from netdsl.primitives import Contract
from netdsl.primitives.epilogue import match_epilogue
from netdsl.primitives.precision import Precision
from netdsl.source import counted


@dataclass(frozen=True)
class Limits:
    """How far passes may fuse; each target has its own.

    `max_size` bounds the operations and leaves of all expressions of a node, written out, `max_operands` its operands
    and results; `epilogues` are the roles of contractions that take an epilogue.  A device that is a GPU has the
    number `index` among `gpus` on which nodes can be put.
    """

    max_size: int = 160
    max_operands: int = 12
    epilogues: tuple[str, ...] = ("forward", "backward_data")
    gpus: int = 0
    index: int = 0

    def no_gpu(self, gpu: int) -> str | None:
        """Why nothing is put on the GPU of this number, or None."""
        if gpu < self.gpus:
            return None
        return f"this machine has {counted(self.gpus, 'GPU')}" if self.gpus else "the device is no GPU"

    def place(self, gpu: int) -> int | None:
        """Where nodes go that are meant for a GPU: None, to the device, where it is that one or has not got it."""
        return None if gpu == self.index or self.no_gpu(gpu) is not None else gpu

    def fuses(self, op: Contract, operands: Sequence[TensorType], result: TensorType) -> bool:
        """Whether the kernel computes its epilogue while it stores, without a pass over the result of its own."""
        return match_epilogue(op.epilogue, operands, result)[1] is None

    def no_epilogue(self, op: Contract) -> str | None:
        """Why a contraction takes no epilogue, or None."""
        if op.role in self.epilogues:
            return None
        return f"the device adds no epilogue in role {op.role}"

    def oversize(self, body: Body, results: int) -> str | None:
        """Why a fused body would be too large, or None."""
        size = sum(facts(e).size for e in body.exprs)
        if size > self.max_size:
            return f"too large: {size} operations and operands, the limit is {self.max_size}"
        if (count := len(body.operands) + results) > self.max_operands:
            return f"too many tensors: {count}, the limit is {self.max_operands}"
        return None


class Computer(Protocol):
    """What passes must know of a device; targets are such."""

    @property
    def limits(self) -> Limits:
        """How far they may fuse."""

    @property
    def precision(self) -> Precision:
        """What contractions multiply in."""


@dataclass(frozen=True)
class Plain:
    """The bounds of no device in particular, and float32."""

    limits: Limits = Limits()
    precision: Precision = "f32"


PLAIN = Plain()
DEFAULT = PLAIN.limits
