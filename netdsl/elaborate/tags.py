"""Tags: `@freeze`, `@lr(0.1)`, `@name("fc7")` and `@gpu(1)` behind layers and flows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

from netdsl.elaborate.arithmetic import is_number
from netdsl.elaborate.context import Context, with_tags
from netdsl.elaborate.values import Symbol, Tags, shown
from netdsl.ir import TaggedGpu
from netdsl.ir.types import FLOAT_MAX
from netdsl.limits import MAX_GPU, MAX_NAME
from netdsl.source import suggest
from netdsl.syntax import tree

if TYPE_CHECKING:
    from netdsl.elaborate.expressions import ExpressionEvaluator

_NAME = re.compile(rf"\w{{1,{MAX_NAME}}}")
_TAKES = {
    "name": f"1 to {MAX_NAME} letters, digits and _ in quotes",
    "lr": f"a number from 0 to {FLOAT_MAX:.2e}",
    "gpu": f"the number of a GPU, 0 to {MAX_GPU}",
}
_USAGE = {"freeze": "@freeze", "lr": "@lr(0.1)", "name": '@name("fc7")', "gpu": "@gpu(1)"}
_ALIASES = dict.fromkeys(("device", "cuda", "card", "to"), "gpu")


def no_name(context: Context, tags: tuple[tree.Tag, ...]) -> NoReturn:
    """Fail for a name behind what makes no layer of its own."""
    (span,) = (tag.span for tag in tags if tag.name.id == "name")
    fix = 'put it directly behind one of them: conv(8, 3) @name("fc7")'
    context.fail("type", "@name is for one op, block or merge", span, fix=fix)


def tags_of(evaluator: ExpressionEvaluator, tags: tuple[tree.Tag, ...]) -> Tags:
    """What the tags behind a layer or a flow say together."""
    result = Tags()
    for tag in tags:
        if tag.name.id == "gpu" and result.gpu is not None:
            fix = "one of them is enough; those of parts stand within: (x -> f @gpu(1)) @gpu(0)"
            evaluator.context.fail("type", "@gpu is there twice", tag.span, fix=fix)
        with evaluator.symbols():
            values = [evaluator.setting(a.value, "a tag") for a in tag.arguments]
        result = with_tags(result, _tag(evaluator.context, tag, values))
    return result


def _tag(context: Context, tag: tree.Tag, values: list[Any]) -> Tags:
    match tag.name.id, values:
        case "freeze", []:
            return Tags(freeze=True)
        case "lr", [x] if is_number(x) and 0 <= x <= FLOAT_MAX:
            return Tags(lr=float(x))
        case "name", [str(x)] if not isinstance(x, Symbol) and _NAME.fullmatch(x):
            return Tags(name=x)
        case "gpu", [int(x)] if not isinstance(x, bool) and 0 <= x <= MAX_GPU:
            return Tags(gpu=TaggedGpu(x, tag.span))
    if tag.name.id in _TAKES and len(values) == 1:
        message = f"@{tag.name.id} takes {_TAKES[tag.name.id]}, not {shown(values[0])}"
        context.fail("type", message, tag.span, fix=f"a tag is written {_USAGE[tag.name.id]}")
    if tag.name.id in _USAGE:
        context.fail("type", f"a tag is written {_USAGE[tag.name.id]}", tag.span)
    near = suggest(_ALIASES.get(tag.name.id, tag.name.id), _USAGE)
    fix = f"did you mean @{near}?" if near else f"there are {', '.join(_USAGE.values())}"
    return context.fail("name", f"no tag is called {tag.name.id}", tag.span, fix=fix)
