"""Losses and metrics as people read them."""

from __future__ import annotations


def value_text(name: str, value: float) -> str:
    """`0.1234`, or `97.25 %` for a share."""
    if name.startswith(("accuracy", "binary_accuracy", "top_k_accuracy")):
        return f"{100 * value:.2f} %"
    plain = value == 0 or 1e-3 <= abs(value) < 1e6
    return f"{value:.4f}" if plain else f"{value:.3g}"
