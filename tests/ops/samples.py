"""The samples of every op: the graph of one, numbers for it, and what its NumPy reference makes of them."""

import numpy as np

from netdsl.ir import Graph, Sample, TensorType, verify
from netdsl.ops import LIBRARY
from netdsl.ops.expand import expand
from netdsl.primitives import Input, Param, PrimitiveBuilder, State
from netdsl.primitives.builder import KEY

SAMPLES = [sample for op in LIBRARY for sample in op.samples()]
GOOD = [s for s in SAMPLES if s.error is None]
EXACT = [s for s in GOOD if not s.random]
RANDOM = [s for s in GOOD if s.random]
REFUSED = [s for s in SAMPLES if s.error is not None]
SEED = (7 << 32) | 3


def build(sample: Sample) -> tuple[Graph, list[str]]:
    """A graph of the op alone, and the names of its operands."""
    b = PrimitiveBuilder()
    values = []
    for k, shape in enumerate(sample.data):
        dtype = "i64" if k in sample.integers else "bool" if k in sample.booleans else "f32"
        values.append(b.add1(Input(TensorType(shape, dtype)), name=f"x{k}"))
    for spec in sample.op.params(*(b.type(v) for v in values)):
        leaf = Param if spec.trainable else State
        values.append(b.add1(leaf(TensorType(spec.shape)), name=spec.name))
    outputs = b.add(sample.op, *values, name="op")
    return b.finish({f"y{k}": v for k, v in enumerate(outputs)}), [v.node for v in values]


def feeds_of(sample: Sample, graph: Graph, names: list[str]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(len(str(sample)))
    feeds = {}
    for k, name in enumerate(names):
        t = graph[name].types[0]
        if t.dtype == "i64":
            feeds[name] = rng.integers(0, sample.integers[k], t.shape)
        elif t.dtype == "bool":
            feeds[name] = rng.random(t.shape) < 0.5
        elif graph[name].op.name == "state":
            feeds[name] = rng.uniform(0.5, 1.5, t.shape)
        elif k in sample.boxes:
            feeds[name] = boxes_within(rng, sample.boxes[k], t.shape)
        else:
            feeds[name] = rng.uniform(sample.low, sample.high, t.shape)
    return feeds


def boxes_within(rng: np.random.Generator, size: float, shape: tuple[int, ...]) -> np.ndarray:
    """Random boxes x1, y1, x2, y2."""
    return np.sort(rng.uniform(0, size, (*shape[:-1], 2, 2)), axis=-2).reshape(shape)


def reference(sample: Sample, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    training = getattr(sample.op, "reference_training", None)
    return (training if sample.training and training else sample.op.reference)(*arrays)


def expanded(sample: Sample) -> tuple[Graph, Graph, dict[str, np.ndarray], list[str]]:
    graph, names = build(sample)
    feeds = feeds_of(sample, graph, names)
    primitives = verify(expand(graph, sample.training))
    if KEY in primitives:
        feeds[KEY] = np.asarray(SEED)
    return graph, primitives, feeds, names
