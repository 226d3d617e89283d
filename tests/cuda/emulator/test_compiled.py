"""What numba.cuda really compiled: results, any order of threads, and changes that the checks must notice."""

import importlib.util
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from netdsl.cuda.emulator import EmulatorError, KernelFault
from tests.cuda.emulator.running import Machine

PTX = Path(__file__).parent / "ptx"
NAMES = sorted(p.stem for p in PTX.glob("*.ptx"))


def text(name):
    return (PTX / f"{name}.ptx").read_text(encoding="utf-8")


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _fused():
    x, y = numbers(1000) * 3, numbers(1000, seed=1)
    a, b = x.astype(np.float64), y.astype(np.float64)
    want = a / (1 + np.exp(-a)) * np.tanh(b) + np.maximum(b, 0) * np.sin(a) + np.sqrt(np.abs(a))
    return [x, y], np.zeros_like(x), [1000], 4, 256, want, 5e-6


def _reduced():
    x = numbers(10_000)
    out = np.zeros(3, np.float32)
    padded = np.zeros(14 * 3 * 256)
    padded[:10_000] = x
    want = padded.reshape(14, 3, 256).sum((0, 2))
    return [x], out, [10_000], 3, 256, want, 1e-4


def _softmax(rows=6):
    x = numbers(rows, 200)
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    return [x], np.zeros_like(x), [200], rows, 128, e / e.sum(1, keepdims=True), 1e-6


def _sgemm(m=50, n=44, k=37, grid=(2, 2)):
    a, b = numbers(m, k), numbers(k, n, seed=1)
    return [a, b], np.zeros((m, n), np.float32), [m, n, k], grid, 128, a.astype(np.float64) @ b, 2e-5


def _transposed():
    x = numbers(45, 70)
    return [x], np.zeros((70, 45), np.float32), [45, 70], (5, 3), (16, 16), x.T, 0


def _histogram():
    x = np.random.default_rng(0).integers(0, 16, 300).astype(np.int32)
    return [x], np.zeros(16, np.int32), [300], 3, 128, np.bincount(x, minlength=16), 0


def _median():
    x = numbers(300)
    want = [np.sort(x[(k + np.arange(8)) % 300])[3] for k in range(300)]
    return [x], np.zeros(300, np.float32), [300], 3, 128, np.array(want), 0


def _largest():
    x = numbers(300)
    want = np.array([x.max(), (x > 0).sum()])
    return [x], np.array([-1e30, 0], np.float32), [300], 3, 128, want, 0


CASES = {
    "fused": _fused,
    "fused_fast": _fused,
    "reduced": _reduced,
    "softmax": _softmax,
    "sgemm": _sgemm,
    "transposed": _transposed,
    "histogram": _histogram,
    "median": _median,
    "largest": _largest,
}


def array(x, address):
    """An array as numba.cuda passes one of one dimension."""
    return [0, 0, x.size, x.itemsize, address, x.size, x.itemsize]


def launch(ptx, case, **options):
    inputs, out, scalars, grid, block, *_ = case
    machine = Machine()
    values = []
    for x in inputs:
        address = machine.put(x)
        machine.memory.protect(address, x.nbytes)
        values += array(x, address)
    result = machine.put(out)
    statistics = machine.launch(ptx, grid, block, [*values, *array(out, result), *scalars], **options)
    return machine.get(result, out), statistics


def right(got, case):
    want, tolerance = case[5], case[6]
    return bool((np.abs(got.astype(np.float64) - want) <= tolerance).all())


@pytest.mark.parametrize("name", NAMES)
def test_results_are_numpys_in_any_order_of_threads(name):
    case = CASES[name]()
    got, statistics = launch(text(name), case)
    assert right(got, case)
    assert statistics.lane_instructions > 10_000
    for seed in (1, 2):
        again, other = launch(text(name), case, seed=seed)
        assert again.tobytes() == got.tobytes()
        assert other.opcodes == statistics.opcodes


def mutants(ptx):
    """Texts with one barrier dropped, one address shifted by 4 bytes, or one comparison off by one."""
    lines = ptx.split("\n")
    swapped = {"ge": "gt", "gt": "ge", "lt": "le", "le": "lt"}
    for k, line in enumerate(lines):
        changed = []
        if "bar.sync" in line:
            changed.append(("barrier", ""))
        elif found := re.search(r"setp\.(ge|gt|lt|le)\.", line):
            changed.append(("comparison", line.replace(f".{found[1]}.", f".{swapped[found[1]]}.", 1)))
        elif re.search(r"(ld|st|atom)\.(global|shared)\S+\s.*\[%r?d?\d+(\+\d+)?\]", line):
            shifted = re.sub(r"\[(%\w+)(?:\+(\d+))?\]", lambda m: f"[{m[1]}+{int(m[2] or 0) + 4}]", line)
            changed.append(("address", shifted))
        for kind, new in changed:
            yield kind, "\n".join([*lines[:k], new, *lines[k + 1 :]])


def count_mutants(names, kinds=("barrier", "address", "comparison")):
    """For each kind: how many mutants a check notices, wrong numbers alone, nothing."""
    found = {kind: [0, 0, 0] for kind in kinds}
    for name in names:
        case = CASES[name]()
        for kind, changed in mutants(text(name)):
            if kind in kinds:
                try:
                    got, _ = launch(changed, case, steps=1_000)
                except KernelFault:
                    found[kind][0] += 1
                else:
                    found[kind][2 if right(got, case) else 1] += 1
    return found


def test_every_dropped_barrier_is_noticed():
    names = ("reduced", "softmax", "sgemm", "transposed", "histogram")
    assert count_mutants(names, ("barrier",)) == {"barrier": [23, 0, 0]}


def test_shifted_addresses_are_noticed():
    expected = {"address": [13, 0, 0], "comparison": [13, 1, 1]}
    assert count_mutants(("reduced", "transposed", "histogram"), ("address", "comparison")) == expected


def test_damaged_text_is_refused_or_runs_and_nothing_else():
    random = np.random.default_rng(0)
    base = text("histogram")
    case = CASES["histogram"]()
    outcomes = Counter()
    for n in range(300):
        data = bytearray(base.encode())
        if n % 5 == 0:
            data = data[: int(random.integers(len(data)))]
        for _ in range(int(random.integers(1, 4))):
            place = int(random.integers(len(data) or 1))
            piece = bytes(random.integers(32, 127, int(random.integers(0, 3))).astype(np.uint8))
            data[place : place + 1] = piece
        try:
            launch(data.decode(), case, steps=2000)
            outcomes["ran"] += 1
        except EmulatorError as error:
            assert str(error)
            outcomes[type(error).__name__] += 1
    assert outcomes["PTXError"] > 100


def test_the_texts_are_what_numba_cuda_compiles():
    if importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("numba-cuda is not installed")
    sources = pytest.importorskip("tests.cuda.emulator.ptx.sources", exc_type=ImportError)
    for name in NAMES:
        found = sources.compiled(name)
        if found.splitlines()[0] != text(name).splitlines()[0]:
            pytest.skip("another release of the CUDA toolkit compiled the texts")
        assert found == text(name)
