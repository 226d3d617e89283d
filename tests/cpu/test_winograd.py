"""Winograd's algorithm: its transforms as matrices, its results, its choice, and how far it rounds."""

import math

import numpy as np
import pytest

import netdsl
from netdsl.cpu.contract import plan as contract_plan
from netdsl.cpu.contract.arguments import TILE_BYTES
from netdsl.cpu.contract.correlate_plan import Correlations
from netdsl.cpu.contract.geometry import geometry
from netdsl.cpu.contract.problem import Options, Problem
from netdsl.cpu.contract.winograd import SQUARES, input_values, result_values, weight_values
from netdsl.cpu.contract.winograd_cut import Tiles, best_cut
from netdsl.cpu.contract.winograd_plan import WinogradTiles
from netdsl.ir import TensorType
from netdsl.native.emit import F32
from netdsl.primitives import Contract
from netdsl.primitives.epilogue import NOTHING, Epilogue
from netdsl.schedule import View
from netdsl.source import NetError
from tests.cpu.running import contraction, run_steps


class Numbers:
    """What the transforms ask of an emitter, on numbers."""

    class b:
        fadd = staticmethod(lambda a, b: Number(a.x + b.x))
        fsub = staticmethod(lambda a, b: Number(a.x - b.x))
        fmul = staticmethod(lambda a, b: Number(a.x * b.x))

    def fma(self, a, b, c):
        return Number(a.x * b.x + c.x)

    def constant(self, kind, value):
        return Number(value)


class Number:
    type = F32

    def __init__(self, x):
        self.x = float(x)


def matrix(transform, edge, size):
    """The matrix of a linear transform of `size` numbers."""
    columns = [transform(Numbers(), SQUARES[edge], [Number(x) for x in row]) for row in np.eye(size)]
    return np.array([[v.x for v in column] for column in columns]).T


@pytest.mark.parametrize("edge", SQUARES)
def test_the_transforms_are_a_convolution(edge):
    """result(weights(g) * input(d)) is the correlation of d and g, for numbers as exact as float64 is."""
    there, back, weights = (
        matrix(input_values, edge, edge + 2),
        matrix(result_values, edge, edge + 2),
        matrix(weight_values, edge, 3),
    )
    rng = np.random.default_rng(0)
    d, g = rng.standard_normal(edge + 2), rng.standard_normal(3)
    expected = np.correlate(d, g, "valid")
    np.testing.assert_allclose(back @ ((weights @ g) * (there @ d)), expected, rtol=0, atol=1e-13)


# name: x, features, padding (lo, hi) of rows and columns
SHAPES = {
    "same": ((2, 9, 11, 24), 16, ((1, 1), (1, 1))),
    "odd channels": ((1, 14, 14, 20), 37, ((1, 1), (1, 1))),
    "one side": ((1, 14, 13, 70), 40, ((0, 0), (2, 1))),
    "wider than the map": ((3, 5, 2, 16), 24, ((6, 3), (0, 5))),
    "one pixel": ((1, 1, 1, 17), 19, ((1, 1), (1, 1))),
    "valid": ((2, 8, 7, 16), 16, ((0, 0), (0, 0))),
    "many chunks": ((1, 6, 6, 600), 40, ((1, 1), (1, 1))),
    "many splits": ((1, 4, 4, 16), 700, ((1, 1), (1, 1))),
}


def arrays_of(name, role, seed=0):
    """The contraction of a role with its operands and the shape of its result."""
    x, features, pad = SHAPES[name]
    w = (3, 3, x[-1], features)
    y = Contract("forward", (1, 1), pad, (1, 1), 1).infer(TensorType(x), TensorType(w))[0].shape
    op = Contract(role, (1, 1), pad, (1, 1), 1, x[1:-1] if role == "backward_data" else None)
    source, result = (x, y) if role == "forward" else (y, x)
    rng = np.random.default_rng(seed)
    return op, [rng.standard_normal(s).astype(np.float32) for s in (source, w)], result


@pytest.mark.parametrize("lanes", ["4", "8", "16"])
@pytest.mark.parametrize("edge", SQUARES)
@pytest.mark.parametrize("role", ["forward", "backward_data"])
@pytest.mark.parametrize("name", SHAPES)
def test_equals_the_definition(name, role, edge, lanes, monkeypatch):
    monkeypatch.setenv("NETDSL_LANES", lanes)
    monkeypatch.setattr(contract_plan, "CANDIDATES", (WinogradTiles(edge),))
    op, (a, b), shape = arrays_of(name, role)
    rng = np.random.default_rng(1)
    bias, residual = (rng.standard_normal(s).astype(np.float32) for s in (shape[-1], shape))
    total = op.reference(a.astype(np.float64), b.astype(np.float64))[0]
    error = {2: 4e-7, 4: 1.5e-6}[edge] * math.sqrt(a.shape[-1] / 16) * np.abs(total).max()
    for epilogue, expected in (
        (NOTHING, total),
        (Epilogue(2, 3, -0.5, 1.5), np.clip(total + bias + residual, -0.5, 1.5)),
    ):
        found = []
        for parts in (1, 2, 7):
            plan, places, result = contraction(op, (a, b, bias, residual), shape, epilogue)
            run_steps([*plan.pack, *plan.steps], places, parts)
            found.append(result)
        np.testing.assert_allclose(found[0], expected, rtol=0, atol=error)
        assert all(f.tobytes() == found[0].tobytes() for f in found)


@pytest.mark.parametrize("edge", SQUARES)
def test_threads_do_not_change_bits(edge, monkeypatch):
    monkeypatch.setattr(contract_plan, "CANDIDATES", (WinogradTiles(edge),))
    op, arrays, shape = arrays_of("many chunks", "forward")
    found = []
    for threads in (1, 2, 3, 16):
        plan, places, result = contraction(op, arrays, shape, options=Options(threads))
        run_steps([*plan.pack, *plan.steps], places, 2)
        found.append(result.tobytes())
    assert len(set(found)) == 1


def problem(x, features, options, role="forward", kernel=3, stride=1, dilation=1, groups=1):
    """A convolution that keeps the size of its map."""
    pad = (dilation * (kernel // 2),) * 2
    op = Contract(
        role, (stride,) * 2, (pad, pad), (dilation,) * 2, groups, x[1:-1] if role != "forward" else None
    )
    w = (kernel, kernel, x[-1] // groups, features)
    y = (x[0], *(-(-n // stride) for n in x[1:-1]), features)
    views = [View.dense(k, TensorType(s)) for k, s in enumerate((x, w, y))]
    g = geometry(op, *views)
    operands, result = (views[:2], views[2]) if role == "forward" else (views[:0:-1], views[0])
    return Problem(role, g, operands, result, NOTHING, options)


REFUSED = {
    "5x5": {"kernel": 5},
    "stride": {"stride": 2},
    "dilation": {"dilation": 2},
    "groups": {"groups": 2},
    "exact": {"options": Options(2, exact=True)},
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_it_does_not_fit(why):
    given = {"options": Options(2), **REFUSED[why]}
    assert WinogradTiles(4).applies(problem((1, 56, 56, 64), 64, Options(2)))
    assert not WinogradTiles(4).applies(problem((1, 56, 56, 64), 64, **given))


def chosen(*args, **kwargs):
    found = contract_plan.choose(problem(*args, **kwargs))
    return found.edge if isinstance(found, WinogradTiles) else type(found)


@pytest.mark.parametrize("lanes", ["4", "8", "16"])
def test_what_is_chosen(lanes, monkeypatch):
    monkeypatch.setenv("NETDSL_LANES", lanes)
    fixed = Options(2, fixed=True)
    assert chosen((1, 56, 56, 64), 64, fixed) == 4
    assert chosen((1, 224, 224, 64), 64, fixed) == 4
    assert chosen((1, 28, 28, 128), 128, fixed) == 4
    assert chosen((1, 224, 224, 3), 64, fixed) is Correlations
    assert chosen((16, 28, 28, 128), 128, fixed, role="backward_data") == 4
    # Of a small batch the weights, which change from step to step, cost more than they save.
    assert chosen((1, 3, 3, 512), 512, Options(2)) is Correlations


@pytest.mark.parametrize("edge", SQUARES)
def test_the_choice_does_not_depend_on_threads(edge):
    costs = {WinogradTiles(edge).cost(problem((1, 14, 14, 256), 256, Options(n))) for n in (1, 2, 3, 64)}
    assert len(costs) == 1


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_all_cuts_fit_the_second_level_cache(lanes, monkeypatch):
    monkeypatch.setenv("NETDSL_LANES", str(lanes))
    for edge in SQUARES:
        for size, channels in ((1, 512), (7, 2048), (56, 16), (300, 64)):
            for threads in (1, 2, 64):
                tiles = Tiles(edge, 2, size, size, channels, channels)
                cut = best_cut(tiles, threads, lanes)
                assert tiles.positions * (cut.position + cut.result_position) <= TILE_BYTES


NET = """net W {
  input x: [30, 30, 32]
  output y = x -> conv(32, 3, pad = 1) -> relu -> conv(32, 3, pad = 1)
}
"""


def test_exact_is_the_plain_sum(tmp_path):
    """With `exact` no step is Winograd's; both are right, and not by the same bits."""
    (tmp_path / "w.net").write_text(NET)
    network = netdsl.load(tmp_path / "w.net")
    x = np.random.default_rng(0).standard_normal((1, 30, 30, 32)).astype(np.float32)
    programs = [netdsl.compile(network, device=netdsl.device("cpu", exact=exact)) for exact in (False, True)]
    titles = [[step.title for step in program.steps if "contract" in step.title] for program in programs]
    assert all("winograd 4x4" in title for title in titles[0])
    assert not any("winograd" in title for title in titles[1])
    fast, exact = (program.run({"x": x})["y"] for program in programs)
    assert 0 < np.abs(fast - exact).max() < 5e-6 * np.abs(exact).max()


def test_exact_is_an_option_of_the_cpu():
    with pytest.raises(NetError, match="reference has no option exact"):
        netdsl.device("reference", exact=True)
    with pytest.raises(TypeError, match="exact is True or False"):
        netdsl.device("cpu", exact="no")


@pytest.mark.parametrize("channels", [16, 64, 256])
def test_errors_are_near_those_of_the_plain_sum(channels, monkeypatch):
    """As documented: against float64, 4x4 within three times the plain sum, 2x2 below it."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 16, 16, channels)), rng.standard_normal((3, 3, channels, 64))
    op = Contract("forward", (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    arrays = [a.astype(np.float32) for a in (x, w * math.sqrt(2 / 9 / channels))]
    expected = op.reference(*(a.astype(np.float64) for a in arrays))[0]
    errors = []
    for candidate in (Correlations(), WinogradTiles(2), WinogradTiles(4)):
        monkeypatch.setattr(contract_plan, "CANDIDATES", (candidate,))
        plan, places, result = contraction(op, arrays, expected.shape)
        run_steps([*plan.pack, *plan.steps], places)
        errors.append(np.abs(result - expected).max() / np.abs(expected).max())
    plain, two, four = errors
    assert two < plain and four < 3 * plain, errors
