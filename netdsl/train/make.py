"""From a `CallValue` of a `.net` file to the object it names, checked."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Mapping, Set
from functools import partial
from typing import Any, TypeGuard

from netdsl import words
from netdsl.data.augment.table import EXAMPLES as CHANGE_EXAMPLES
from netdsl.elaborate import CallValue, shown
from netdsl.source import Diagnostic, NetError, Span, brief, counted, suggest

FLOAT32_MAX = 3.4e38
FLOAT32_MIN = 1.2e-38
"""The least number above 0 that float32 holds in full: what must be above 0 is this, or more."""

#: examples of values that need settings
EXAMPLES: Mapping[str, str] = {
    "step": "step(every = 30)",
    "exponential": "exponential(rate = 0.95)",
    "inverse_time": "inverse_time(rate = 0.5)",
    "cosine_restarts": "cosine_restarts(first = 10)",
    "cyclical": "cyclical(low = 0.001, high = 0.006)",
    "group": 'group("dense*", lr = 0.1)',
    "max_norm": "max_norm(3)",
    "non_neg": 'non_neg("dense1")',
    "idx": 'idx("images.gz", "labels.gz")',
    "npz": 'npz("data.npz")',
    "npy": 'npy("x.npy", "y.npy")',
    "twins": "twins(digits.train)",
    "only": "only(digits.train, [0, 1, 2])",
    "folder": 'folder("pics/train")',
    "images": 'images("list.csv")',
    "wav": 'wav("clips", rate = 16000)',
    "pairs": 'pairs(images = "img", masks = "msk")',
    "zarr": 'zarr("data.zarr", x = "images", label = "labels")',
    "csv": 'csv("table.csv", label = "species")',
    "resize": "resize(256)",
    "center_crop": "center_crop(224)",
    "mel_spectrogram": "mel_spectrogram(16000)",
    "load": 'load("best.safetensors")',
    "patience": "patience(5)",
    "stage": 'stage(epochs = 3, train = "head")',
    **CHANGE_EXAMPLES,
}

Hint = Callable[[str], str | None]


def meant(name: str, known: Mapping[str, Any]) -> str | None:
    """A hint with the name of `known` that was probably meant; None if none is similar."""
    foreign = words.named(name, known) or words.setting(name, known)
    near = foreign if foreign in known else suggest(name, known)
    return f"did you mean {near}?" if near else None


def make(value: Any, known: Mapping[str, Any], what: str, span: Span | None, hint: Hint | None = None) -> Any:
    """The object that a call names, with its settings; raises NetError for unknown names and wrong settings.

    `known` maps names to objects, or to functions and dataclasses that take the settings; `hint` may say what to
    write instead of an unknown name.  An error of theirs that begins with a setting's name stands at it.
    """
    if not isinstance(value, CallValue):
        return value
    place = value.span or span
    if value.name not in known:
        fix = (hint and hint(value.name)) or meant(value.name, known) or f"there are {', '.join(known)}"
        raise NetError(Diagnostic("setting", f"no {what} is called {value.name}", place, fix=fix))
    target = known[value.name]
    if not callable(target):
        if value.args or value.named:
            raise NetError(Diagnostic("setting", f"{value.name} takes no settings", place))
        return target
    _check_arguments(target, value, place)
    inner = partial(_nested, target=target, known=known, what=what, span=span, hint=hint)
    names = list(inspect.signature(target).parameters)
    free = not any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(target).parameters.values())
    args = [inner(names[k] if k < len(names) else "", v, free=free) for k, v in enumerate(value.args)]
    named = {key: inner(key, v) for key, v in value.named.items()}
    try:
        return target(*args, **named)
    except NetError as error:
        raise NetError(
            *(d.at(place_of(d.message, value, target) or place) for d in error.diagnostics)
        ) from None
    except (ValueError, TypeError) as error:
        at = place_of(str(error), value, target) or place
        raise NetError(Diagnostic("setting", f"{value.name}: {error}", at)) from None


def _nested(
    key: str,
    value: Any,
    target: Any,
    known: Mapping[str, Any],
    what: str,
    span: Span | None,
    hint: Hint | None,
    free: bool = False,
) -> Any:
    """The value of a setting: its own `choices`, where a class has some for it, or what may stand in its place.

    `names` of a class are settings that take the name of something else, such as a metric, as text.
    free: what a word that is no name, nor like one, means is for the target to say.
    """
    if key in getattr(target, "names", ()):
        return value.name if isinstance(value, CallValue) and not value.args and not value.named else value
    choices = getattr(target, "choices", {}).get(key)
    bare = isinstance(value, CallValue) and not (value.args or value.named) and value.name not in known
    if choices is None and bare and (kinds := _kinds(target, key)):
        return _word(key, value, kinds, known, hint)
    if choices is None and free and isinstance(value, CallValue) and value.name not in known:
        near = (hint and hint(value.name)) or meant(value.name, known)
        return make(value, known, what, span, hint) if near else value
    if choices is None:
        return make(value, known, what, span, hint)
    if isinstance(value, str) and value in choices and choices[value] != value:
        message = f"{key} is the text {brief(shown(value))}; it goes by its name"
        raise NetError(Diagnostic("setting", message, span, fix=f"without quotes: {value}"))
    return make(value, choices, key, span)


def _kinds(target: Any, key: str) -> frozenset[str]:
    """Which of texts, numbers and switches a setting of a dataclass takes, and "words" for one of a few."""
    found = (
        [f for f in dataclasses.fields(target) if f.name == key] if dataclasses.is_dataclass(target) else []
    )
    kinds = {kind for f in found for kind in re.findall(r"\b(str|Any|float|int|bool)\b", str(f.type))}
    return frozenset(kinds | {"words" for f in found if "words" in f.metadata})


def _word(key: str, value: CallValue, kinds: Set[str], known: Mapping[str, Any], hint: Hint | None) -> str:
    """The text of a name where one of a few words belongs; raises NetError for a name where something else does."""
    near = suggest(value.name, known)
    if "words" in kinds:
        return value.name
    fix = hint and hint(value.name)
    if near is not None and isinstance(known[near], str):
        fix = f"did you mean {near}?"
    elif kinds & {"str", "Any"}:
        fix = fix if fix and "quotes" in fix else f'a text stands in quotes: "{value.name}"'
    else:
        fix = "it is true or false" if kinds == {"bool"} else "it takes a number"
    raise NetError(
        Diagnostic("setting", f"{key} is {value.name}, and nothing is called so", value.span, fix=fix)
    )


def _check_arguments(target: Callable[..., Any], call: CallValue, place: Span | None) -> None:
    """Refuse settings that the target does not have, or lacks."""
    signature = inspect.signature(target)
    anything = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for key in call.named:
        if key not in signature.parameters and not anything:
            names = ", ".join(signature.parameters)
            fix = meant(key, signature.parameters) or (
                f"its settings are {names}" if names else "it has no settings"
            )
            at = call.spans.get(key, place)
            raise NetError(Diagnostic("setting", f"{call.name} has no setting {key}", at, fix=fix))
    message = _miscounted(call, list(signature.parameters.values()), getattr(target, "unnamed", None))
    if message is not None:
        raise NetError(Diagnostic("setting", message, place))


def _miscounted(call: CallValue, known: list[inspect.Parameter], unnamed: int | None = None) -> str | None:
    """The message for a call with too many settings, too few, or one given twice.

    Only the first `unnamed` settings may go without a name, where their order is another one elsewhere.
    """
    several = any(p.kind is p.VAR_POSITIONAL for p in known)
    known = [p for p in known if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    ordered = [p.name for p in known if p.kind is not p.KEYWORD_ONLY]
    if len(call.args) > len(ordered) and not several:
        count = f"{counted(len(ordered), 'setting')} ({', '.join(ordered)})"
        return f"{call.name} takes {count if ordered else 'no settings'}, not {len(call.args)}"
    if unnamed is not None and len(call.args) > unnamed:
        first, others = ", ".join(ordered[:unnamed]), ", ".join(f"{name} = ..." for name in ordered[unnamed:])
        return f"{call.name} takes only {first} without a name; others are {others}"
    given = ordered[: len(call.args)]
    twice = next((name for name in given if name in call.named), None)
    if twice is not None:
        return f"{call.name} got {twice} twice"
    missing = [p.name for p in known if p.default is p.empty and p.name not in {*given, *call.named}]
    usage = EXAMPLES.get(call.name, f"{call.name}({', '.join(ordered)})")
    return f"{call.name} needs {' and '.join(missing)}: {usage}" if missing else None


def place_of(message: str, call: Any, target: Callable[..., Any]) -> Span | None:
    """Where the setting stands in a call whose name a message begins with; None where it is not given."""
    found = re.match(r"\w+", message)
    if found is None or not isinstance(call, CallValue):
        return None
    names = list(inspect.signature(target).parameters)
    place = names.index(found[0]) if found[0] in names else None
    return call.spans.get(found[0]) or (None if place is None else call.spans.get(place))


def check_numbers(owner: Any) -> None:
    """Make the numeric fields of a dataclass floats within the `low` and `high` of their metadata.

    For use in `__post_init__`; raises ValueError naming the field.
    """
    for f in dataclasses.fields(owner):
        if "low" in f.metadata:
            value = check_number(f.name, getattr(owner, f.name), f.metadata["low"], f.metadata["high"])
            object.__setattr__(owner, f.name, value)


def check_number(name: str, value: object, low: float, high: float = FLOAT32_MAX) -> float:
    """A number between two bounds as a float; raises ValueError, naming the setting, for anything else."""
    if is_number(value) and low <= value <= high:
        return float(value)
    kind, rule = "number", bounds(low, high)
    if isinstance(value, float) and not math.isfinite(value):
        kind = "finite number"
    elif is_number(value) and value > high == FLOAT32_MAX:
        rule += f", {high} at most"
    elif is_number(value) and 0 < value < low == FLOAT32_MIN:
        rule = f"from {low} up"
    raise ValueError(f"{name} must be a {kind} {rule}, not {brief(shown(value))}")


def bounds(low: float, high: float) -> str:
    """Two bounds in words; the largest number of float32 is none, and its smallest one is above 0."""
    if low == FLOAT32_MIN:
        return "above 0" if high == FLOAT32_MAX else f"above 0, {high} at most"
    return f"from {low} up" if high == FLOAT32_MAX else f"from {low} to {high}"


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is an int or a float; true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def bounded(default: float, low: float, high: float = FLOAT32_MAX) -> Any:
    """A dataclass field for a number between bounds."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


def positive(default: float, high: float = FLOAT32_MAX) -> Any:
    """A dataclass field for a number above 0."""
    return bounded(default, FLOAT32_MIN, high)


def check_rate(name: str, value: object) -> None:
    """Raise ValueError, naming the setting, for a learning rate that moves nothing, or is none; None passes."""
    if value is not None:
        check_number(name, value, FLOAT32_MIN)


def name_in(known: Mapping[str, type], value: object) -> str:
    """The name in a table of the class of a value."""
    return next(name for name, kind in known.items() if kind is type(value))


def listed(value: object, name: str) -> tuple[str, ...]:
    """The names of a text with commas, or of a list; raises ValueError, naming the setting, for anything else."""
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, (list, tuple)) or not all(isinstance(e, str) and e.strip() for e in entries):
        raise ValueError(
            f'{name} must be text, such as "conv1, stage*.conv2", or a list, not {brief(shown(value))}'
        )
    return tuple(e.strip() for e in entries)
