"""What an op's `onnx` facet writes with: the part of an ONNX model builder that ops know.

The builder itself is `netdsl.interop.onnx.OnnxGraph`; ops never import onnx.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from netdsl.arrays import Array


class OnnxBuilder(Protocol):
    """Adds nodes of ONNX' default domain, opset 20; values are named by text."""

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one result; returns its name."""

    def nodes(self, op_type: str, results: int, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        """Add a node with several results; returns their names."""

    def const(self, array: Array | Sequence[int]) -> str:
        """An initialiser; integers are int64, floats float32."""

    def channels_first(self, x: str, rank: int) -> str:
        """`[N, *S, C]` as `[N, C, *S]`, the layout of ONNX; nothing below rank 3."""

    def channels_last(self, x: str, rank: int) -> str:
        """`[N, C, *S]` as `[N, *S, C]`."""

    def transpose(self, x: str, order: Sequence[int]) -> str:
        """Axes in another order; nothing when it is the same, and undone transposes are dropped."""
