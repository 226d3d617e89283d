"""Every op, every sample: shape rule, expansion, NumPy reference, gradient in float64; ONNX is in `tests/interop`.

One function per check: a new op is tested by its line in `PLACES`, a new backend by one function here.  A sample that
a check has nothing to say of is skipped, with the reason.
"""

import math
import re

import numpy as np
import pytest

from netdsl import passes
from netdsl.autodiff import grad
from netdsl.backend.registry import find_target
from netdsl.backend.target import Target
from netdsl.ir import Graph, Sample, ShapeError, interpret, verify
from netdsl.ops import LIBRARY
from netdsl.primitives import PrimitiveBuilder
from netdsl.primitives.builder import KEY
from netdsl.runtime import Program
from tests.cuda.card import emulated, real
from tests.ops.extremes import LARGEST, TINY, extremes
from tests.ops.samples import EXACT, GOOD, RANDOM, REFUSED, SEED, build, expanded, feeds_of, reference


@pytest.mark.parametrize("sample", EXACT, ids=str)
def test_expansion_equals_reference(sample):
    graph, primitives, feeds, names = expanded(sample)
    expected = reference(sample, [feeds[n] for n in names])
    got = interpret(primitives, feeds, np.float64)
    for k, array in enumerate(expected):
        assert array.shape == graph.type(graph.outputs[f"y{k}"]).shape
        np.testing.assert_allclose(got.outputs[f"y{k}"], array, rtol=1e-9, atol=1e-9)
    if sample.training and hasattr(sample.op, "reference_updates"):
        for k, array in sample.op.reference_updates(*(feeds[n] for n in names)).items():
            np.testing.assert_allclose(got.updates[names[k]], array, rtol=1e-9)


@pytest.mark.parametrize("sample", [s for s in GOOD if s.smooth], ids=str)
def test_gradient_equals_finite_differences(sample):
    _, primitives, feeds, names = expanded(sample)
    rng = np.random.default_rng(1)
    b = PrimitiveBuilder(primitives)
    y = primitives.outputs["y0"]
    shape = b.type(y).shape
    weights = b.const(rng.standard_normal(shape))
    loss = b.reduce("sum", lambda a, w: a * w, y, weights, axes=range(len(shape))) if shape else y
    varied = [n for k, n in enumerate(names) if k not in sample.fixed and primitives[n].op.name != "state"]
    wrt = [n for n in varied if primitives[n].types[0].dtype == "f32"]
    graph = b.finish({"loss": loss})
    grads = interpret(verify(grad(graph, "loss", wrt)), feeds, np.float64).outputs
    for name in wrt:
        flat = rng.permutation(feeds[name].size)[:6]
        for index in flat:
            at = np.unravel_index(index, feeds[name].shape)
            difference = slope(graph, feeds, name, at)
            assert math.isclose(grads[f"grad/{name}"][at], difference, rel_tol=2e-5, abs_tol=2e-6), (name, at)


def slope(graph, feeds, name, at, step=1e-5):
    values = []
    for h in (step, -step):
        moved = {**feeds, name: feeds[name].astype(np.float64).copy()}
        moved[name][at] += h
        values.append(float(interpret(graph, moved, np.float64).outputs["loss"]))
    return (values[0] - values[1]) / (2 * step)


class Compiled:
    """A sample with its gradients, after the passes, and its program on a device."""

    def __init__(self, sample: Sample, primitives: Graph, names: list[str], device: Target) -> None:
        graph = with_gradients(primitives, [n for k, n in enumerate(names) if k not in sample.fixed])
        pipeline = passes.training if sample.training else passes.inference
        self.graph = pipeline(device).run(graph)
        self.program = Program(self.graph, device)

    def run(self, feeds: dict[str, np.ndarray]) -> tuple[dict, dict]:
        """What the program gives in float32, and the interpreter in float64."""
        for leaf in (*self.graph.leaves("param"), *self.graph.leaves("state")):
            self.program.set(leaf.id, feeds[leaf.id])
        got = self.program.run({name: feeds[name] for name in self.program.inputs})
        wide = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in feeds.items()}
        exact = interpret(self.graph, wide, np.float64)
        got |= {name: self.program.get(name) for name in exact.updates}
        return got, {**exact.outputs, **exact.updates}


def with_gradients(graph: Graph, names: list[str]) -> Graph:
    """The graph with the gradients of a weighted sum of its first output."""
    y = graph.outputs["y0"]
    wrt = [n for n in names if graph[n].op.name != "state" and graph[n].types[0].dtype == "f32"]
    b = PrimitiveBuilder(graph)
    b.updates.update(graph.updates)
    shape, dtype = b.type(y).shape, b.type(y).dtype
    if dtype != "f32":
        return graph
    weights = b.const(np.random.default_rng(5).uniform(0.5, 1.5, shape).astype(np.float32))
    loss = b.reduce("sum", lambda a, w: a * w, y, weights, axes=range(len(shape))) if shape else y
    return verify(grad(b.finish({**graph.outputs, "loss": loss}), "loss", wrt))


# Their squares, or areas, overflow from 1.8e19 on, in PyTorch too; the powers of subnormal numbers are 0.
SQUARED = {"lrn", "l2_normalize", "batch_norm", "group_norm", "instance_norm", "layer_norm"}
SQUARED |= {"stochastic_pool", "iou", "giou"}
WITHOUT = {"lp_pool": {LARGEST, TINY}} | {name: {LARGEST} for name in SQUARED}
# A GPU sums in parts, of which one may overflow to each side.
WITHOUT_ON_GPUS = WITHOUT | {"reduce_sum": {LARGEST}}


ON_DEVICES = {"cpu": find_target("cpu", threads=2), "reference": find_target("reference", poison=True)}


def equals_the_interpreter(sample, device):
    """In float32 as in float64: results and gradients."""
    _, primitives, base, names = expanded(sample)
    got, expected = Compiled(sample, primitives, names, device).run(base)
    for name, array in expected.items():
        scale = max(1.0, float(np.abs(array).max(initial=0)))
        np.testing.assert_allclose(got[name], array, rtol=1e-4, atol=2e-5 * scale, err_msg=name)


@pytest.mark.parametrize("device", ON_DEVICES)
@pytest.mark.parametrize("sample", GOOD, ids=str)
def test_devices_equal_the_interpreter(sample, device):
    equals_the_interpreter(sample, ON_DEVICES[device])


#: each sample compiles kernels of its own, which takes a second or two the first time
SOME = [pytest.param(s, marks=() if k % 12 == 0 else pytest.mark.emulated) for k, s in enumerate(GOOD)]


@pytest.mark.parametrize("sample", SOME, ids=str)
def test_cuda_equals_the_interpreter(sample, monkeypatch):
    """The PTX of every kernel, executed with every check of the emulator."""
    equals_the_interpreter(sample, emulated(monkeypatch))


@pytest.mark.gpu
@pytest.mark.parametrize("sample", GOOD, ids=str)
def test_a_gpu_equals_the_interpreter(sample):
    equals_the_interpreter(sample, real())


@pytest.mark.parametrize("sample", [s for s in GOOD if not s.random], ids=str)
def test_cpu_kernels_at_extremes(sample):
    right_at_extremes(sample, find_target("cpu", threads=1), WITHOUT)


@pytest.mark.emulated
@pytest.mark.parametrize("sample", [s for s in GOOD if not s.random], ids=str)
def test_cuda_kernels_at_extremes(sample, monkeypatch):
    right_at_extremes(sample, emulated(monkeypatch), WITHOUT_ON_GPUS)


def right_at_extremes(sample, device, without):
    """For large, subnormal and equal operands and zeros too."""
    _, primitives, base, names = expanded(sample)
    compiled = Compiled(sample, primitives, names, device)
    for label, numbers, feeds in extremes(sample, primitives, names, base):
        if not numbers & without.get(sample.op.name, set()):
            with np.errstate(all="ignore"):
                compare_extreme(*compiled.run(feeds), label, LARGEST in numbers)


def compare_extreme(got: dict, exact: dict, label: str, large: bool) -> None:
    """Right numbers; where there are large ones a sum beyond 1e35 may overflow on its way."""
    for name, array in exact.items():
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        there = np.isfinite(array) & (np.abs(array) < 1e35)
        found, wanted = np.asarray(got[name])[there], array[there]
        assert not np.isnan(found).any(), (label, name)
        if not large:
            scale = max(1.0, float(np.abs(wanted).max(initial=0)))
            np.testing.assert_allclose(found, wanted, 2e-3, 1e-4 * scale, err_msg=f"{label} {name}")


@pytest.mark.parametrize("sample", REFUSED, ids=str)
def test_what_does_not_fit_is_refused(sample):
    with pytest.raises(ShapeError) as caught:
        build(sample)
    assert sample.error in caught.value.message


@pytest.mark.parametrize("sample", RANDOM, ids=str)
def test_random_ops(sample):
    _, primitives, feeds, names = expanded(sample)
    x = feeds[names[0]]
    first, again = (interpret(primitives, feeds).outputs["y0"] for _ in range(2))
    other = interpret(primitives, {**feeds, KEY: np.asarray(SEED + 1)}).outputs["y0"]
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert abs(first.mean() - sample.op.reference(x)[0].mean()) < 0.05
    if hasattr(sample.op, "rate"):
        assert abs((first == 0).mean() - sample.op.rate) < 0.03
    if hasattr(sample.op, "std"):
        assert abs((first - x).std() - sample.op.std) < 0.03


@pytest.mark.parametrize("sample", GOOD, ids=str)
def test_a_shape_that_changes_explains_itself(sample):
    """Every new size is named, and what stands left of a = is what stands right of it."""
    graph, _ = build(sample)
    result, *operands = [graph["op"].types[0], *(graph.type(v) for v in graph["op"].inputs)]
    before, after = operands[0].shape[1:] if operands else (), result.shape[1:]
    lines = sample.op.explain(operands, result)
    assert lines or (before == after and operands)
    for line in lines:
        found = re.search(r"(?:^|: )((?:[\d+*/() -]|floor|ceil)+) = (\d+)(?:$|,)", line)
        names = {"floor": math.floor, "ceil": math.ceil}
        assert not found or eval(found[1], {"__builtins__": {}}, names) == int(found[2]), line
    if lines and len(before) == len(after):
        new = {b for a, b in zip(before, after, strict=True) if a != b and b > 1}
        assert all(re.search(rf"\b{n}\b", "\n".join(lines)) for n in new)


@pytest.mark.parametrize("op", LIBRARY, ids=lambda op: op.name)
def test_every_op_is_documented(op):
    assert op.__doc__ and len(op.__doc__) > 20


@pytest.mark.parametrize("sample", [s for s in EXACT if not s.training], ids=str)
def test_no_cell_sees_more_than_its_reach(sample):
    graph, names = build(sample)
    x = graph[names[0]].types[0]
    reach = sample.op.reach([graph[n].types[0] for n in names], graph["op"].types[0])
    if reach is None:
        pytest.skip("a cell may see all of its sample")
    if not reach:
        pytest.skip("there are no spatial axes")
    if x.dtype != "f32":
        pytest.skip("the operand is not of numbers")
    assert len(reach) == x.rank - 2
    arrays = list(feeds_of(sample, graph, names).values())
    at = tuple(n // 2 for n in x.shape[1:-1])
    changed = arrays[0].copy()
    changed[(slice(None), *at)] += 0.37
    before, after = (reference(sample, [a, *arrays[1:]])[0] for a in (arrays[0], changed))
    for cell in zip(*np.nonzero((before != after).any((0, -1))), strict=True):
        for i, o, window in zip(at, cell, reach, strict=True):
            assert i in {c for k in range(window.size) for c in window.cells(int(o), k)}
