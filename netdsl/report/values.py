"""Losses and metrics as people read them."""

from __future__ import annotations

from typing import Any

#: metrics that are shares of samples
SHARES = ("accuracy", "binary_accuracy", "top_k_accuracy")


def value_text(name: str, value: Any) -> str:
    """`0.1234`, or `97.25 %` for a share; `0.1234..0.9876` for numbers of classes, `[10, 10]` for a table."""
    if isinstance(value, list):
        if isinstance(value[0], list):
            return f"[{len(value)}, {len(value[0])}]"
        return f"{value_text(name, min(value))}..{value_text(name, max(value))}"
    if name.startswith(SHARES):
        return f"{100 * value:.2f} %"
    plain = value == 0 or 1e-3 <= abs(value) < 1e6
    return f"{value:.4f}" if plain else f"{value:.3g}"
