"""Settings of ops as text: what stands between the braces in the text form of graphs."""

from __future__ import annotations

import base64
from typing import Any

from netdsl.arrays import np
from netdsl.ir.types import TensorType
from netdsl.scalar import Expr, format_expr


def format_setting(value: Any) -> str:
    """A setting's value as text."""
    if isinstance(value, Expr):
        return f"`{format_expr(value)}`"
    if isinstance(value, TensorType):
        return str(value)
    if isinstance(value, (bool, type(None))):
        return repr(value).lower()
    if isinstance(value, tuple):
        inner = ", ".join(format_setting(v) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return f'array("{value.dtype.name}", {format_setting(value.shape)}, "{data}")'
    raise TypeError(f"a setting of type {type(value).__name__} has no text form")
