"""What kernels of CUDA take in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.compat import override
from netdsl.ir import TensorType
from netdsl.passes.limits import Limits
from netdsl.primitives import Contract


@dataclass(frozen=True)
class CudaLimits(Limits):
    """Those of the CPU, but for epilogues: whatever the expression, it is part of the kernel that ends the sums.

    Gradients of kernels could have epilogues too; but then an update of weights would not be in their place.
    """

    @override
    def fuses(self, op: Contract, operands: Sequence[TensorType], result: TensorType) -> bool:
        return True
