"""Texts that mutation starts from: the examples, programs of tests, the pages of docs, and a net per op."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

from netdsl.ops import BY_NAME
from netdsl.source import Source

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```net[^\n]*\n(.*?)^```$", re.M | re.S)
_SETTINGS = (
    'net N(l = [1, [2, 3]], s = "a", f = relu, n = 3) { input x: [H = 8, 8, 4] where H > 2\n'
    ' a[0] = x; a["b"] = 2 * x; z = range(2, 9, 3) + reversed([1, 2])\n'
    ' for i, j in [(1, 2), (3, 4)] { x = x -> conv(i + j, 1) -> f @lr(0.5) @name("q") if i > 1 else x -> f }\n'
    ' assert len(z) == 5 and max(z) >= min(1, 2.5) or not (s != "b")\n'
    " layer d = dense(int(7 / 2) % 4 + 2 ** n // 3)\n"
    " output y, _ = (x -> flatten -> d, a -> concat -> flatten)\n aux w = in_(x) }\n"
    "block in_(k = none) in v { v -> global_avg_pool -> dense(2) }\n"
    "data { train = mnist.train; augment = [flip, shift(2)] }\n"
    "train { loss = cross_entropy(y, label) + 0.1 * mean(abs(y)); metrics = [accuracy(y, label)]\n"
    "  optimizer = sgd(lr = 0.1); schedule = cosine(warmup = 2); epochs = 2; batch = 4 }\n"
    "expect { params > 0; shape(y) == [5]; receptive_field(x) == [1, 1] and macs / 2 > 1 }\n"
    "preset big { n = 4; params > 1 }\n"
)


def corpus() -> list[Source]:
    """Small texts first; the same list everywhere, so that a seed names the same mutations."""
    texts = [Source("settings.net", _SETTINGS)]
    for page in sorted(
        [*(ROOT / "docs").glob("*.md"), *(ROOT / "tests").glob("**/*.md"), ROOT / "README.md"]
    ):
        for number, match in enumerate(_BLOCK.finditer(page.read_text(encoding="utf-8"))):
            texts.append(Source(f"{page.stem}-{number}.net", match[1]))
    texts += [Source(f"{name}.net", _use(name)) for name in sorted(BY_NAME)]
    for folder in ("tests/syntax/programs", "examples"):
        for path in sorted((ROOT / folder).glob("*.net")):
            texts.append(Source(str(path), path.read_text(encoding="utf-8")))
    return texts


def _use(name: str) -> str:
    """A net with one op and all its settings; a loss or a metric in its section."""
    op = BY_NAME[name]
    settings = [f"{f.name} = {_value(f.default)}" for f in fields(op) if f.default is not None]
    head = "x" if op.operands in (None, 0, 1) else f"({', '.join(['x'] * op.operands)})"
    call = f"{name}({', '.join(settings)})" if settings else name
    if getattr(op, "target", None):
        body = f"x -> flatten -> dense(4)\n}}\ntrain {{\n  loss = {name}(y, label)"
    elif "accuracy" in name:
        body = f"x -> flatten -> dense(4)\n}}\ntrain {{\n  loss = mse(y, t)\n  metrics = [{name}(y, label)]"
    else:
        body = f"{head} -> {call}"
    return f"net N {{\n  input x: [8, 8, 4]\n  output y = {body}\n}}\n"


def _value(default: object) -> str:
    if default is MISSING:
        return "2"
    if default is None or isinstance(default, bool):
        return str(default).lower()
    return str(list(default) if isinstance(default, tuple) else default)
