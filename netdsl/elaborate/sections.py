"""The sections `data`, `train` and `eval`: settings for other rooms, and the loss and metrics as a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netdsl import words
from netdsl.elaborate.context import Poisoned
from netdsl.elaborate.values import CallValue, Function, Symbol, describe
from netdsl.ir import TensorType, Value
from netdsl.ops.accumulator import Accumulator
from netdsl.source import Diagnostic, NetError, Span, suggest
from netdsl.syntax import tree

if TYPE_CHECKING:
    from netdsl.elaborate.expressions import ExpressionEvaluator

#: the settings of each section; the rooms that read them define their meaning
KNOWN: Mapping[str, tuple[str, ...]] = {
    "data": (
        "train",
        "test",
        "validation",
        "subset",
        "folds",
        "fold",
        "class_weights",
        "classes",
        "preprocess",
        "normalize",
        "augment",
        "boxes",
        "shuffle",
        "drop_last",
        "workers",
    ),
    "train": (
        "loss",
        "metrics",
        "optimizer",
        "schedule",
        "epochs",
        "batch",
        "seed",
        "clip_norm",
        "clip_value",
        "accumulate",
        "groups",
        "constraints",
        "average",
        "checkpoint_seconds",
        "precision",
        "start",
        "stages",
        "snapshots",
        "cache_features",
        "stop",
    ),
    "eval": ("metrics", "batch"),
}
#: the settings that are tensor expressions over the outputs of the net
TENSOR_SETTINGS = ("loss", "metrics")


@dataclass(frozen=True)
class SectionSetting:
    """A setting of a section: a plain value, a list or a `CallValue`.  It knows its place and those of list items."""

    value: Any
    span: Span
    items: tuple[Span, ...] = ()

    def place(self, k: int) -> Span:
        """Where item k of a list stands."""
        return self.items[k] if k < len(self.items) else self.span


#: sections that must not be empty, and what to write in them
NEEDED: Mapping[str, str] = {
    "data": "data { train = mnist.train; test = mnist.test }",
    "train": "train { loss = cross_entropy(logits, label) }",
}


def settings_of(
    evaluator: ExpressionEvaluator, file: tree.File, kind: str, given: Mapping[str, tree.Expr]
) -> dict[str, SectionSetting]:
    """The settings of a section, overridden ones in their place; mistakes go to the context."""
    section = file.sections.get(kind)
    entries = {e.name.id: e for e in section.entries if isinstance(e, tree.Setting)} if section else {}
    if section and not section.entries and not given and kind in NEEDED:
        fix = NEEDED[kind]
        problem = Diagnostic("setting", f"the section {kind} is empty", section.span, fix=fix)
        evaluator.context.problems.append(problem)
    for name, entry in entries.items():
        if name not in KNOWN[kind]:
            near = words.entry(name, KNOWN[kind]) or suggest(name, KNOWN[kind])
            fix = words.question(near) or f"{kind} has {', '.join(KNOWN[kind])}"
            problem = Diagnostic("setting", f"{kind} has no setting {name}", entry.name.span, fix=fix)
            evaluator.context.problems.append(problem)
    values = {name: e.value for name, e in entries.items() if name in KNOWN[kind]}
    values |= given
    result = {}
    with _only_settings(evaluator):
        for name, e in values.items():
            if name in TENSOR_SETTINGS:
                continue
            try:
                items = tuple(x.span for x in e.items) if isinstance(e, (tree.List, tree.Tuple)) else ()
                result[name] = SectionSetting(_call(evaluator.evaluate(e)), e.span, items)
            except NetError as error:
                evaluator.context.problems.extend(error.diagnostics)
            except Poisoned:
                continue  # reported where the value was made
    return result


@contextmanager
def _only_settings(evaluator: ExpressionEvaluator) -> Iterator[None]:
    """Keep names that are not settings of the net, for the room that reads the section."""
    frame = evaluator.frame
    saved, frame.symbols = frame.symbols, True
    try:
        yield
    finally:
        frame.symbols = saved


def _call(value: Any) -> Any:
    """Symbols and ops as calls: `mnist.train`, `flip`, `softmax`."""
    if isinstance(value, Symbol):
        return CallValue(str(value), span=value.span)
    if isinstance(value, (Function, CallValue)):
        args = tuple(map(_call, value.args))
        return CallValue(value.name, args, _calls(value.named), value.span, value.spans)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_call, value))
    return value


def _calls(named: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _call(v) for key, v in named.items()}


def objectives(
    evaluator: ExpressionEvaluator, file: tree.File, given: Mapping[str, Mapping[str, tree.Expr]]
) -> tuple[dict[str, Value], dict[str, Value]] | None:
    """The outputs `loss` and `metric/NAME`, to train and to evaluate; None without a loss, or with mistakes.

    Mistakes go to the context.
    """
    train, evaluation = (_tensor_settings(file, kind) | dict(given[kind]) for kind in ("train", "eval"))
    problems = evaluator.context.problems
    if "loss" not in train:
        for kind, settings in (("train", train), ("eval", evaluation)):
            if "metrics" in settings:
                message = f"{kind} has metrics, but the section train has no loss"
                fix = "train { loss = cross_entropy(logits, label) }"
                problems.append(Diagnostic("setting", message, settings["metrics"].span, fix=fix))
        return None
    evaluator.frame.targets = True
    before, loss = len(problems), dict[str, Value]()
    try:
        with _collected(evaluator):
            loss = {"loss": _scalar(evaluator, train["loss"], "the loss")}
        metrics = _metrics(evaluator, train.get("metrics"))
        own = _metrics(evaluator, evaluation["metrics"]) if "metrics" in evaluation else metrics
    finally:
        evaluator.frame.targets = False
    return (loss | metrics, loss | own) if loss and len(problems) == before else None


@contextmanager
def _collected(evaluator: ExpressionEvaluator) -> Iterator[None]:
    """Collect mistakes in the context."""
    try:
        yield
    except NetError as error:
        evaluator.context.problems.extend(error.diagnostics)
    except Poisoned:
        return  # reported where the value was made


def _tensor_settings(file: tree.File, kind: str) -> dict[str, tree.Expr]:
    """The loss and the metrics of a section, as written."""
    section = file.sections.get(kind)
    entries = section.entries if section else ()
    return {
        e.name.id: e.value for e in entries if isinstance(e, tree.Setting) and e.name.id in TENSOR_SETTINGS
    }


def _metrics(evaluator: ExpressionEvaluator, e: tree.Expr | None) -> dict[str, Value]:
    """The outputs of a list of metrics."""
    results: dict[str, Value] = {}
    with _collected(evaluator):
        for item in _metric_list(evaluator, e):
            with _collected(evaluator):
                results[_metric_name(item, results)] = _scalar(evaluator, item, "a metric")
    return results


def _metric_list(evaluator: ExpressionEvaluator, e: tree.Expr | None) -> tuple[tree.Expr, ...]:
    if e is None or (isinstance(e, tree.Constant) and e.value is None):
        return ()
    if not isinstance(e, (tree.List, tree.Tuple)):
        evaluator.context.fail("type", "metrics is a list", e.span, fix=f"[{e.span.text}]")
    return e.items


def _metric_name(e: tree.Expr, taken: Mapping[str, Value]) -> str:
    root: tree.Expr = e
    while isinstance(root, tree.Call):
        root = root.function
    base = f"metric/{root.id}" if isinstance(root, tree.Name) else "metric/value"
    number = 1
    name = base
    while name in taken:
        number += 1
        name = f"{base}_{number}" if base[-1].isdigit() else f"{base}{number}"
    return name


def _scalar(evaluator: ExpressionEvaluator, e: tree.Expr, what: str) -> Value:
    value = evaluator.evaluate(e)
    if not isinstance(value, Value):
        example = "cross_entropy(logits, label)" if what == "the loss" else "accuracy(logits, label)"
        fix = f"{example}, for example"
        evaluator.context.fail(
            "type", f"{what} is a number of the batch, not {describe(value)}", e.span, fix=fix
        )
    t, node = evaluator.context.builder.type(value), evaluator.context.builder.nodes[value.node]
    if t != TensorType(()) and (what == "the loss" or not isinstance(node.op, Accumulator)):
        evaluator.context.fail("type", f"{what} is one number, not {list(t.shape)}", e.span)
    return value
