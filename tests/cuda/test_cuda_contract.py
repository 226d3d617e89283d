"""Contractions on the GPU, as PTX that is emulated, against their meaning in float64."""

import itertools

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")

from netdsl.backend.step import SCRATCH
from netdsl.cuda.contract import plan as planning
from netdsl.cuda.contract.plan import accepts, plan_contract
from netdsl.cuda.contract.tiles import TILES, cut
from netdsl.cuda.limits import CudaLimits
from netdsl.ir import Node, TensorType, Value
from netdsl.passes.limits import Limits
from netdsl.primitives import Contract
from netdsl.scalar import Arg, Index, Lit, Uniform, cast_float, exp, maximum, tanh, where
from netdsl.schedule import View
from tests.cpu.test_contract import SHAPES, tensors
from tests.cuda.emulated import emulated, run_emulated

ROLES = ("forward", "backward_data", "backward_weights")
ROLE_ORDER = {"forward": (0, 1, 2), "backward_data": (2, 1, 0), "backward_weights": (0, 2, 1)}
SUM, X1, X2, X3 = (Arg(k) for k in range(4))

# x, kernel, features, stride, pad, dilation, groups: what is not among SHAPES
MORE = {
    "wide": ((2, 5, 5, 8), (3, 3), 12, (2, 1), ((1, 1), (0, 2)), (1, 2), 1),
    "wide groups": ((2, 6, 5, 16), (3, 2), 8, (1, 2), ((1, 1), (1, 0)), (1, 1), 2),
    "stride beyond the kernel": ((2, 7, 7, 4), (1, 1), 4, (3, 2), ((0, 0), (0, 0)), (1, 1), 1),
    "common steps": ((1, 13, 9, 4), (3, 2), 4, (4, 2), ((1, 2), (0, 0)), (2, 4), 1),
    "empty padding": ((1, 1, 1, 3), (3, 3), 2, (1, 1), ((2, 2), (1, 1)), (1, 1), 1),
    "3-D wide": ((2, 3, 4, 5, 4), (2, 2, 3), 8, (1, 2, 2), ((1, 0), (0, 0), (1, 1)), (1, 1, 1), 1),
    "depthwise wide": ((2, 7, 6, 12), (3, 2), 12, (2, 1), ((1, 1), (1, 0)), (1, 2), 12),
    "depthwise of points": ((2, 3, 3, 8), (1, 1), 8, (1, 1), ((0, 0), (0, 0)), (1, 1), 8),
    "depthwise 3-D": ((1, 4, 3, 3, 3), (2, 3, 1), 3, (1, 1, 2), ((0, 1), (1, 1), (0, 0)), (1, 1, 1), 3),
    "depthwise in parts": ((2, 40, 40, 8), (3, 3), 8, (1, 1), ((1, 1), (1, 1)), (1, 1), 8),
    "no image": ((0, 4, 4, 4), (3, 3), 8, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "no feature": ((2, 4, 4, 4), (3, 3), 0, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "no channel": ((2, 4, 4, 0), (3, 3), 4, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
}


def normal(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def made(name, role):
    """The primitive and its two operands."""
    if name in SHAPES:
        return tensors(name, role)[:3]
    x_shape, kernel, features, *steps, groups = MORE[name]
    return case(role, x_shape, kernel, features, *steps, groups)


def case(role, x, kernel, features, stride=(), pad=(), dilation=(), groups=1, epilogue=None):
    w = (*kernel, x[-1] // groups, features)
    op = Contract("forward", stride, pad, dilation, groups)
    y = op.infer(TensorType(x), TensorType(w))[0].shape
    size = {"forward": None, "backward_data": x[1:-1], "backward_weights": kernel}[role]
    a, b, _ = (((x, w, y))[k] for k in ROLE_ORDER[role])
    return Contract(role, stride, pad, dilation, groups, size, epilogue), normal(*a), normal(*b, seed=4)


def check(op, *arrays, rtol=3e-6):
    (found,) = emulated(plan_contract, op, *arrays)
    (wanted,) = op.reference(*(a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays))
    scale = max(1.0, np.abs(wanted).max(initial=0))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=rtol * scale)
    return found


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", [*SHAPES, *MORE])
def test_equals_the_definition(name, role):
    check(*made(name, role))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("number", range(len(TILES)))
def test_every_tile(number, role, monkeypatch):
    """Sizes past a tile, and a rest of each; channels four by four and one by one."""
    wide = (number + ROLES.index(role)) % 2 == 0
    few, many = (4, 132) if wide else (3, 67)
    channels, features = (many, few) if role == "backward_data" else (few, many)
    monkeypatch.setattr(planning, "cut", lambda *sizes: (list(TILES)[number], 1))
    check(*case(role, (2, 9, 9, channels), (3, 3), features, (1, 1), ((1, 1), (1, 0)), (1, 1)))


@pytest.mark.parametrize("role", ["forward", "backward_weights"])
def test_no_bank_is_met_twice(role, monkeypatch):
    monkeypatch.setattr(planning, "cut", lambda *sizes: (next(iter(TILES)), 1))
    op, a, b = case(role, (2, 9, 9, 4), (3, 3), 132, (1, 1), ((1, 1), (1, 0)), (1, 1))
    (y,) = op.infer(TensorType(a.shape), TensorType(b.shape))
    views = [View.dense(k, t) for k, t in enumerate((TensorType(a.shape), TensorType(b.shape), y))]
    buffers = {0: a.reshape(-1), 1: b.reshape(-1), 2: np.zeros(y.size, np.float32)}
    (found,) = run_emulated(plan_contract(op, views[:2], views[2:]), buffers, conflicts=True)
    assert found.bank_conflicts == 0


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_sums_in_parts(role, parts, monkeypatch):
    """The epilogue is of the whole sum."""
    tile = list(TILES)[-1]
    monkeypatch.setattr(planning, "cut", lambda *sizes: (tile, parts))
    epilogue = maximum(SUM + X1, Lit(0.0))
    op, a, b = case(role, (3, 5, 5, 20), (3, 3), 24, (2, 1), ((1, 1),) * 2, (1, 1), 1, epilogue)
    check(op, a, b, normal(24 if role != "backward_data" else 20))


EPILOGUES = {
    "bias": (SUM + X1, ["channel"]),
    "bias, residual, bound": (maximum(SUM + X1 + X2, Lit(0.0)), ["channel", "all"]),
    "one number": (SUM * X1, [()]),
    "what is long": (tanh(SUM * X1 + X2) * exp(X3 * 0.1), ["channel", "all", "pixel"]),
    "an image's factor": (SUM * X1, ["image"]),
    "a row's factor": (SUM * X1 + X2, ["row", "channel"]),
    "coordinates": (SUM + cast_float(Index(0) * 100 + Index(1) * 10 + Index(3)), []),
    "dropout": (where(Uniform(5, X1) < 0.5, SUM, 0.0), ["key"]),
    "a condition": (SUM > X1, ["channel"]),
    "an operand twice": (SUM * X1 - X1, ["all"]),
    "no sum": (X1 * 2.0, ["all"]),
}


def further(kind, shape):
    if kind == "key":
        return np.array(12345)
    if isinstance(kind, tuple):
        return normal(*kind)
    kept = {"channel": (3,), "all": (0, 1, 2, 3), "pixel": (1, 2), "image": (0,), "row": (1,)}[kind]
    sizes = shape[-1:] if kind == "channel" else [n if k in kept else 1 for k, n in enumerate(shape)]
    return normal(*sizes, seed=7)


ENDS = [*((name, "backward_data") for name in EPILOGUES), *(("a row's factor", role) for role in ROLES[::2])]


def test_the_log_of_passes_counts_every_epilogue_as_saved():
    op = Contract("forward", epilogue=tanh(SUM * X1))
    types = [TensorType(s) for s in ((4, 8), (8, 6), (6,))]
    assert CudaLimits().fuses(op, types, *op.infer(*types)) and not Limits().fuses(
        op, types, TensorType((4, 6))
    )


@pytest.mark.parametrize(("name", "role"), ENDS)
def test_epilogues(name, role):
    epilogue, kinds = EPILOGUES[name]
    plain, a, b = case(role, (2, 7, 6, 5), (3, 2), 6, (2, 1), ((1, 1), (0, 1)), (1, 1))
    (result,) = plain.infer(TensorType(a.shape), TensorType(b.shape))
    op = case(role, (2, 7, 6, 5), (3, 2), 6, (2, 1), ((1, 1), (0, 1)), (1, 1), 1, epilogue)[0]
    check(op, a, b, *(further(kind, result.shape) for kind in kinds))


def test_what_is_not_finite_stays_in_its_sums():
    """Nothing of the padding or of a tile's rest is multiplied with a value of another pixel."""
    op, a, b = case("forward", (1, 6, 6, 4), (3, 3), 8, (1, 1), ((1, 1),) * 2, (1, 1))
    a[0, 0, 0, 1], b[2, 2, 3, 7] = np.nan, np.inf
    (found,) = emulated(plan_contract, op, a, b)
    (wanted,) = op.reference(a.astype(np.float64), b.astype(np.float64))
    assert np.array_equal(np.isfinite(found), np.isfinite(wanted)) and np.isnan(found).any()
    fine = np.isfinite(wanted)
    np.testing.assert_allclose(found[fine], wanted[fine], atol=1e-5)


def test_a_plan_follows_from_sizes_alone():
    assert cut(10, 10, 10, 1, "f32") == cut(10, 10, 10, 1, "f32")
    for sizes in itertools.product((1, 7, 4096), (1, 64, 1000), (0, 9, 1_000_000), (1, 32)):
        tile, parts = cut(*sizes, "f32")
        chunks = max(1, -(-sizes[2] // tile.depth))
        assert 1 <= parts <= chunks and -(-chunks // -(-chunks // parts)) == parts


@pytest.mark.parametrize("role", ROLES)
def test_channels_of_a_wider_tensor(role):
    """Pixels of operands and of the result lie apart, as in the operands of a concatenation."""
    epilogue = SUM + X1
    op, a, b = case(role, (2, 5, 5, 8), (3, 3), 12, (1, 1), ((1, 1),) * 2, (1, 1), 1, epilogue)
    (result,) = Contract(role, op.stride, op.pad, op.dilation, 1, op.size).infer(
        TensorType(a.shape), TensorType(b.shape)
    )
    extra = normal(*result.shape, seed=9)
    views, buffers = [], {}
    for k, array in enumerate((a, b, extra, np.full(result.shape, 77, np.float32))):
        node = Node(0, op, (Value(1),) * 3, (result,))
        wide = np.full((*array.shape[:-1], array.shape[-1] + 8), np.nan, np.float32)
        wide[..., 4:-4] = array
        view = View.dense(k, TensorType(wide.shape)).sliced([0] * 3 + [4], [1] * 4, array.shape)
        side, index = ("operand", k) if k < 3 else ("result", 0)
        if not accepts(node, side, index, view):
            assert (k == 1 and role != "backward_weights") or (k == 3 and role == "backward_weights")
            wide, view = array.copy(), View.dense(k, TensorType(array.shape))
        views.append(view)
        buffers[k] = wide.reshape(-1)
    run_emulated(plan_contract(op, views[:3], views[3:]), buffers)
    (wanted,) = op.reference(*(x.astype(np.float64) for x in (a, b, extra)))
    found = buffers[3].reshape(*result.shape[:-1], -1)
    if found.shape != wanted.shape:
        assert np.isnan(found[..., :4]).all() and np.isnan(found[..., -4:]).all()
        found = found[..., 4:-4]
    np.testing.assert_allclose(found, wanted, atol=2e-5 * max(1, np.abs(wanted).max()))


def test_rows_of_an_image_that_is_cropped():
    op, a, b = case("forward", (2, 4, 5, 4), (3, 3), 8, (1, 1), ((1, 1),) * 2, (1, 1))
    whole = normal(2, 7, 9, 4, seed=8)
    whole[:, 2:6, 1:6] = a
    x = View.dense(0, TensorType(whole.shape)).sliced([0, 2, 1, 0], [1] * 4, a.shape)
    (wanted,) = op.reference(a.astype(np.float64), b.astype(np.float64))
    buffers = {0: whole.reshape(-1), 1: b.reshape(-1), 2: np.zeros(wanted.size, np.float32)}
    views = [x, View.dense(1, TensorType(b.shape)), View.dense(2, TensorType(wanted.shape))]
    run_emulated(plan_contract(op, views[:2], views[2:]), buffers)
    np.testing.assert_allclose(buffers[2].reshape(wanted.shape), wanted, atol=2e-5)


def test_sources_are_the_same_for_other_sizes():
    def key(size, channels):
        op, a, b = case("forward", (2, size, size, channels), (3, 3), 8, (1, 1), ((1, 1),) * 2, (1, 1))
        (y,) = op.infer(TensorType(a.shape), TensorType(b.shape))
        views = [View.dense(k, t) for k, t in enumerate((TensorType(a.shape), TensorType(b.shape), y))]
        (launch,) = plan_contract(op, views[:2], views[2:])
        return launch.source.key

    assert key(5, 4) == key(6, 8)


def test_more_elements_than_an_index_counts():
    op = Contract("forward")
    shapes = ((2**16, 2**10), (2**10, 2**16), (2**16, 2**16))
    views = [View.dense(k, TensorType(s)) for k, s in enumerate(shapes)]
    with pytest.raises(LookupError, match="contract over 4_294_967_296 elements"):
        plan_contract(op, views[:2], views[2:])


def test_memory_of_the_call_is_what_the_parts_need(monkeypatch):
    monkeypatch.setattr(planning, "cut", lambda *sizes: (list(TILES)[-1], 3))
    op, a, b = case("forward", (4, 100), (), 7)
    views = [View.dense(k, TensorType(s)) for k, s in enumerate((a.shape, b.shape, (4, 7)))]
    launches = plan_contract(op, views[:2], views[2:])
    assert [launch.scratch for launch in launches] == [4 * 3 * 28] * 2
    assert SCRATCH in {slot.view.buffer for slot in launches[0].slots.values()}
