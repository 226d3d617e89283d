"""Checking the plain values of a `data { }` section: numbers, shares, true and false."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl import words
from netdsl.data.errors import data_error
from netdsl.data.parallel import MOST
from netdsl.data.sources import SETTINGS
from netdsl.elaborate.values import shown
from netdsl.source import Diagnostic, NetError, brief, suggest


def check_names(settings: Mapping[str, object]) -> None:
    """Check that all of these are settings of the section. Errors: NetError."""
    diagnostics: list[Diagnostic] = []
    for name in settings:
        if name not in SETTINGS:
            near = words.question(words.entry(name, SETTINGS) or suggest(name, SETTINGS))
            hint = near or f"settings: {', '.join(SETTINGS)}"
            diagnostics += data_error(f"data has no setting {name}", fix=hint).diagnostics
    if diagnostics:
        raise NetError(*diagnostics)


def as_share(value: float) -> float:
    """Check a share of the training set. Errors: NetError."""
    if isinstance(value, bool) or not 0 <= value < 1:
        raise data_error(f"validation is {shown(value)}; it must be a share from 0 to below 1, or a source")
    return float(value)


def as_workers(value: object) -> int | None:
    """Check a number of threads. Errors: NetError."""
    if value is None or (type(value) is int and 0 <= value <= MOST):
        return value
    raise data_error(f"workers is {brief(shown(value))}; it must be a whole number from 0 to {MOST}")


def as_flag(values: Mapping[str, object], name: str) -> bool:
    """Check a setting that is true or false. Errors: NetError."""
    value = values[name]
    if not isinstance(value, bool):
        raise data_error(f"{name} is {brief(shown(value))}; it must be true or false")
    return value


def as_whole(values: Mapping[str, object], name: str, low: int) -> int | None:
    """Check a setting that is a whole number, or none. Errors: NetError."""
    value = values[name]
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= low):
        return value
    raise data_error(f"{name} is {brief(shown(value))}; it must be a whole number from {low}, or none")


def as_balanced(value: object) -> bool:
    """Whether classes are weighted. Errors: NetError for what is neither `balanced` nor none."""
    if value not in (None, "balanced"):
        fix = "cross_entropy(logits, label, class_weights = [1, 2]) takes weights of your own"
        given = brief(value if isinstance(value, str) else shown(value))
        raise data_error(f"class_weights is {given}; it must be balanced, or none", fix=fix)
    return value is not None
