"""What losses have in common: a prediction, a target and optionally a weight per sample give one number, the mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.compat import override
from netdsl.ir import ShapeError, TensorType
from netdsl.ops.accumulator import Mean


@dataclass(frozen=True)
class Loss(Mean):
    """Base: operands are the prediction, the target and, optionally, one weight per sample `[N]`, or per part of it.

    A weight multiplies the losses of its sample; the mean is still taken over all elements (Keras' rule), not divided
    by the sum of the weights.
    """

    operands: ClassVar[int | None] = None

    @classmethod
    def target(cls, prediction: TensorType) -> TensorType:
        """The type of the target that belongs to a prediction."""
        return prediction

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        if not 2 <= len(types) <= 3:
            raise ShapeError(f"{self.name} takes a prediction, a target and perhaps weights", operand=0)
        self.check_target(types[0], types[1])
        if len(types) == 3 and not self.weights_fit(types[0], types[2]):
            raise ShapeError(f"weights are one per sample, not {list(types[2].shape[1:])}", operand=2)
        return (TensorType(()),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        return ["one number for the whole batch"]

    def weights_fit(self, prediction: TensorType, weights: TensorType) -> bool:
        """Whether weights of this type belong to the prediction."""
        return weights.shape == prediction.shape[:1]

    def check_target(self, prediction: TensorType, target: TensorType) -> None:
        """Raise ShapeError unless the target fits the prediction."""
        if target != prediction:
            raise ShapeError(f"{self.name} compares {prediction} with {target}", operand=1)
