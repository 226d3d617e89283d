"""Changes to artifacts and checkpoints: of their bytes, and of what they say, under a checksum that is right again.

python -m tests.hostile.changed_files [COUNT [SEED]] reads COUNT changed files and says what became of them: the same
thing, another network that may be built, or a diagnostic.  Anything else - another exception, more than 2 s of
computing, more than 2 GiB - is a fault, printed with the number that `read_changed` repeats it by.
"""

import collections
import dataclasses
import json
import math
import random
import re
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from netdsl import passes
from netdsl.data import CenterCrop, Normalization, Preparation, Resize, Said, Usage
from netdsl.data.pixels import Pixels
from netdsl.ir import ShapeError
from netdsl.ir.parse import parse_graph
from netdsl.ops import LIBRARY, OPS
from netdsl.ops.expand import expand
from netdsl.ops.rebatch import with_batch
from netdsl.runtime.artifact import Artifact, Model, load_artifact, save_artifact
from netdsl.source import NetError
from netdsl.train.checkpoint import Checkpoint, EpochResult, Progress, Run, load_checkpoint, save_checkpoint
from netdsl.train.restore import restore_graph, weights_of
from tests.ops.samples import build
from tests.resealed import opened, resealed

SECONDS = 2.0
VALUES = [
    "0",
    "-1",
    "1",
    "2",
    "3",
    "65536",
    "4294967296",
    str(10**30),
    str(10**400),
    "0.5",
    "-0.5",
    "1e308",
    "1e999",
]
VALUES += ["nan", "inf", "-inf", "true", "false", "none", '"x"', '"same"', "()", "(1,)", "(1, 2)", "(-1, -1)"]
VALUES += ["((1, 2), (3, 4))", "(1, 77, -0.5, -4.0)", "f32[]", "f32[0]", "i64[4]", "f32[8,8,8,8,8,8,8,8,8]"]
VALUES += [
    "f32[99999999,99999999]",
    "`x0 * 2.0`",
    'array("float32", (1,), "AAAAAA==")',
    "(" * 200 + ")" * 200,
]
SETTINGS = [
    "5",
    "7",
    "16",
    "100",
    "1e-30",
    "1e30",
    "(2, 3)",
    "(0, 0)",
    "(1, 0)",
    "((0, 1), (2, 0))",
    "(3,)",
    "16777216",
]
SETTINGS += [
    '"valid"',
    '"full"',
    '"reflect"',
    '"wrap"',
    '"edge"',
    '"bilinear"',
    '"same_lower"',
    "(0, 2, 1)",
    "(0, 1)",
]
PLAIN = [
    None,
    True,
    -1,
    0,
    7,
    2**63,
    10**400,
    0.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "é\n\0",
    [],
    [[]],
    {},
]
PLAIN += [[1, "a"], {"peak": 0}, {"": None}, 10**9]


IMAGE = Preparation(
    (8, 8, 1),
    (Resize(9), CenterCrop(8, 8)),
    Normalization(255.0, (0.5,), (0.25,), Pixels("uint8", 0, 255, 255.0)),
)
USAGE = Usage({"x0": IMAGE}, {"y": Said("logits", ("cat", "dog"))})


def corpus(seed=0):
    """Files of each op with every sample of it, artifacts and checkpoints in turn."""
    rng, files = np.random.default_rng(seed), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m")
        for k, sample in enumerate(s for op in LIBRARY for s in op.samples() if s.error is None):
            graph, _ = build(sample)
            leaves = [n for n in graph if n.op.name in ("param", "state")]
            arrays = {n.id: rng.normal(size=n.types[0].shape).astype(np.float32) for n in leaves}
            model = Model("Net", str(graph), USAGE.to_json())
            if k % 2:
                history = [EpochResult(1, 0.1, {"loss": 0.5}, {"loss": 0.25})]
                progress = Progress(1, 2, 10, {"loss": [1.5, 24.0]}, 0.75, history)
                run = Run(7, 8, 40, "ab", "adam", {"train.batch": "8"})
                save_checkpoint(path, Checkpoint(model, arrays, progress, run))
            else:
                save_artifact(path, Artifact(model, arrays))
            files.append(path.read_bytes())
    return files


def changed(content, rng):
    """A changed file and what was done to it."""
    hows = [
        _flip,
        _flip,
        _cut,
        _header,
        _record,
        _record,
        _graph,
        _graph,
        _graph,
        _settled,
        _settled,
        _text,
        _array,
    ]
    how = rng.choice(hows)
    return how(content, rng), how.__name__.strip("_")


def _flip(content, rng):
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _cut(content, rng):
    at, size = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    middle = rng.choice([b"", bytes(8), content[at:size] * 2, rng.randbytes(16)])
    return content[:at] + middle + (content[size:] if rng.random() < 0.7 else b"")


def _header(content, rng):
    size = int.from_bytes(content[:8], "little")
    text = _characters(content[8 : 8 + size].decode(), rng).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def _record(content, rng):
    """The JSON with a value replaced, taken away or added."""
    title, text, arrays = opened(content)
    about = json.loads(text)
    place, parents = about, []
    while isinstance(place, (dict, list)) and place and rng.random() < 0.8:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        parents.append((place, key))
        place = place[key]
    if parents:
        parent, key = parents[-1]
        if rng.random() < 0.2:
            del parent[key]
        else:
            parent[key] = rng.choice(PLAIN)
    elif rng.random() < 0.5:
        about[rng.choice(["more", "model", "run"])] = rng.choice(PLAIN)
    else:
        about = rng.choice(PLAIN)
    return resealed(title, json.dumps(about), arrays)


def _graph(content, rng):
    """The graph with a token or a line changed."""
    title, text, arrays = opened(content)
    about = json.loads(text)
    graph = about["model"]["graph"]
    for _ in range(rng.choice([1, 1, 1, 2])):
        graph = rng.choice([_token, _token, _token, _lines, _characters])(graph, rng)
    about["model"]["graph"] = graph
    return resealed(title, json.dumps(about), arrays)


def _settled(content, rng):
    """A setting changed, and the types that follow from it too: a network that nobody wrote, whole in itself."""
    title, text, arrays = opened(content)
    about = json.loads(text)
    graph = about["model"]["graph"]
    op, written = re.search(r"%op = (\w+)(?:\{(.*)\})?\(%", graph).groups()
    settings = dict(re.findall(r"(\w+)=(.*?)(?=, \w+=|$)", written or ""))
    names = [f.name for f in dataclasses.fields(OPS[op])]
    for name in rng.sample(names, min(len(names), rng.choice([0, 1, 1, 2]))):
        settings[name] = rng.choice([*VALUES, *SETTINGS])
    new = ", ".join(f"{name}={value}" for name, value in settings.items())
    old = f"%op = {op}" + (f"{{{written}}}" if written else "")
    graph = graph.replace(old, f"%op = {op}{{{new}}}" if new else f"%op = {op}")
    if rng.random() < 0.5:
        sizes = re.findall(r"%x0 = input\{type=(\w+\[[\d,]*\])", graph)
        if sizes:
            shape = [
                str(rng.choice([1, 2, 3, 4, 5, 7, 8, 64])) for _ in range(rng.choice([1, 2, 3, 4, 4, 5]))
            ]
            graph = graph.replace(sizes[0], f"f32[{','.join(shape)}]")
    about["model"]["graph"], arrays = _consistent(graph, arrays)
    return resealed(title, json.dumps(about), arrays)


def _consistent(graph, arrays):
    """A graph with the types that its rules say, and weights of these types."""
    for _ in range(6):
        try:
            parse_graph(graph, OPS)
            break
        except NetError as error:
            (found,) = error.diagnostics
            if match := re.match(r"%\S+: the text says (.*), the rule (.*)", found.message):
                line = graph.split("\n")[found.span.line - 1]
                graph = graph.replace(line, line.rpartition(" : ")[0] + f" : {match[2]}")
            elif match := re.match(r"the weights of \w+ are (.*), not (.*)", found.message):
                graph = _with_weights(graph, re.findall(r"\w+\[[\d,]*\]", match[1]))
            else:
                break
    leaves = re.findall(r"%(\S+) = (?:param|state)\{type=f32\[([\d,]*)\]", graph)
    shapes = {name: tuple(int(n) for n in dims.split(",") if n) for name, dims in leaves}
    small = {name: shape for name, shape in shapes.items() if math.prod(shape) < 2**20}
    return graph, {name: np.ones(shape, np.float32) for name, shape in small.items()} or arrays


def _with_weights(graph, types):
    """The graph whose op has weights of these types, so far as there are leaves."""
    leaves = re.findall(r"^  %(\S+) = (?:param|state)\{", graph, re.MULTILINE)
    for name, t in zip(leaves, types, strict=False):
        graph = re.sub(rf"(%{name} = \w+\{{type=)\w+\[[\d,]*\](.* : ).*", rf"\g<1>{t}\g<2>{t}", graph)
    return graph


def _token(graph, rng):
    """A number, a type, a name, a string or a setting's value replaced by something hostile or from elsewhere."""
    tokens = list(
        re.finditer(r"(?<==)\([^()]*\)|%[\w.]+|f32\[[\d,]*\]|i64\[[\d,]*\]|\"[^\"]*\"|-?[\d.]+|\w+", graph)
    )
    m = rng.choice(tokens)
    new = rng.choice(VALUES) if rng.random() < 0.6 else rng.choice(tokens).group()
    return graph[: m.start()] + new + graph[m.end() :]


def _lines(graph, rng):
    lines = graph.split("\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            del lines[a]
        case 1:
            lines.insert(a, lines[b])
        case 2:
            lines[a], lines[b] = lines[b], lines[a]
        case 3:
            lines[a] = lines[a].replace("(%", f"({rng.choice(['%x0, ', '', '%op, '])}%", 1)
    return "\n".join(lines)


def _characters(text, rng):
    for _ in range(rng.choice([1, 1, 3])):
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(["", *'0129-.,:"(){}[]%=é ', text[at] * 2]) + text[at + 1 :]
    return text


def _text(content, rng):
    """The JSON with characters changed, or nested without end."""
    title, text, arrays = opened(content)
    text = '{"model": ' + "[" * 100_000 if rng.random() < 0.02 else _characters(text, rng)
    return resealed(title, text, arrays)


def _array(content, rng):
    """Arrays renamed, lost, added, of other shapes and types; versions and kinds that are others."""
    title, text, arrays = opened(content)
    name = rng.choice(sorted(arrays)) if arrays else "x"
    match rng.randrange(6):
        case 0:
            arrays.pop(name, None)
        case 1:
            arrays[rng.choice(["", "é", "op.weight", "x0"])] = np.zeros(3, np.float32)
        case 2:
            arrays[name] = np.zeros(rng.choice([(), (0,), (3, 3), (1,) * 20]), np.float32)
        case 3:
            arrays[name] = np.zeros(3, rng.choice([np.float16, np.float64, np.int64, np.bool_]))
        case 4:
            title = rng.choice(["netdsl artifact 3", "netdsl checkpoint 4", "netdsl", "", "netdsl spell 1"])
        case 5:
            title = re.sub(r"\d+", rng.choice(["0", "1", "99", "9" * 30, ""]), title)
    return resealed(title, text, arrays)


def read(path):
    """Do with a file what `run` does before it computes."""
    try:
        load_checkpoint(path)
    except NetError as error:
        if "is a netdsl artifact" not in error.diagnostics[0].message:
            raise
    artifact = load_artifact(path)
    Usage.from_json(artifact.model.usage)
    graph = restore_graph(artifact.model, path)
    weights_of(graph, artifact.weights, str(path))
    try:
        primitives = expand(with_batch(graph, 3))
    except ShapeError:  # what `inference_program` says in words
        return artifact
    passes.inference().run(primitives)
    return artifact


def outcome(content, original, path):
    """`same`, `another network` or the code of the diagnostic; raises whatever else comes."""
    path.write_bytes(content)
    try:
        artifact = read(path)
    except NetError as error:
        (first, *_) = error.diagnostics
        assert first.message and len(error.diagnostics) < 20 and len(str(error)) < 5000, first
        return f"refused: {first.code}"
    path.write_bytes(original)
    before = load_artifact(path)
    equal = artifact.weights.keys() == before.weights.keys() and all(
        np.array_equal(a, before.weights[name], equal_nan=True) for name, a in artifact.weights.items()
    )
    same = equal and artifact.model == before.model
    return "same" if same else "another network"


def read_changed(files, number, path):
    """Change a file by the number of a try, and read it; returns what was done and what came of it."""
    rng = random.Random(number)
    original = rng.choice(files)
    content, how = changed(original, rng)
    return how, outcome(content, original, path)


def main(count=100_000, seed=0):
    resource.setrlimit(resource.RLIMIT_AS, (2**31 + 2**30, -1))
    files, faults, counts = corpus(), 0, collections.Counter()
    slowest = (0.0, 0)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(seed * 1_000_000, seed * 1_000_000 + count):
            start = time.process_time()
            try:
                counts[read_changed(files, number, Path(folder, "m.safetensors"))] += 1
            except Exception as error:
                faults += 1
                place = traceback.extract_tb(error.__traceback__)[-1]
                kind = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
                counts["fault", kind] += 1
                if counts["fault", kind] <= 3:
                    print(f"try {number}: {kind}: {str(error)[:200]}", flush=True)
            slowest = max(slowest, (time.process_time() - start, number))
    for (how, what), n in sorted(counts.items()):
        print(f"{how:8} {what:40} {n:7}")
    print(f"{count} tries, {faults} faults; slowest {slowest[0]:.2f} s, try {slowest[1]}")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    return 1 if faults or slowest[0] > SECONDS else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
