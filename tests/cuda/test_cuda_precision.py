"""Contractions in tf32 and bf16, on tensor cores and elsewhere, as PTX that is emulated, against float64."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")

from netdsl.cuda.compiler import compile_ptx
from netdsl.cuda.contract import plan as planning
from netdsl.cuda.contract.plan import plan_contract
from netdsl.cuda.contract.tiles import TENSOR, TILES, cut
from netdsl.cuda.machine_code import machine_code
from netdsl.ir import TensorType
from netdsl.primitives import Contract
from netdsl.scalar import Arg, Lit, maximum
from netdsl.schedule import View
from netdsl.train import Trainer
from tests.cuda import card as cards
from tests.cuda.emulated import UNWANTED, emulated, run_emulated
from tests.cuda.test_cuda_contract import ROLES, case, made, normal
from tests.train.nets import plan
from tests.train.test_precision import with_precision

BOTH = ("tf32", "bf16")
BITS = {"tf32": 11, "bf16": 8}
"""Of a fraction, the hidden one among them."""
SMALL = {p: list(TENSOR[p])[-1] for p in BOTH}
SIMT = list(TILES)[-1]


def nearest(x, precision):
    """Float32 rounded to a precision, as float64: to even, or away from zero for tf32; too large becomes infinite."""
    with np.errstate(invalid="ignore"):
        x = x.astype(np.float64)
        _, exponent = np.frexp(np.where(np.isfinite(x), x, 0))
        unit = np.ldexp(1.0, np.maximum(exponent, -125) - BITS[precision])
        scaled = x / unit
        whole = np.rint(scaled) if precision == "bf16" else np.trunc(scaled + np.copysign(0.5, scaled))
        found = whole * unit
    return np.where(np.abs(found) >= 2.0**128, np.copysign(np.inf, x), found)


def wanted_of(op, a, b, *rest):
    factors = (nearest(x, op.precision) for x in (a, b))
    return replace(op, precision="f32").reference(*factors, *(x.astype(np.float64) for x in rest))[0]


def check(op, *arrays):
    (found,) = emulated(plan_contract, op, *arrays)
    wanted = wanted_of(op, *arrays)
    scale = max(1.0, np.abs(wanted).max(initial=0))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-6 * scale)


def use(monkeypatch, tile, parts=1):
    monkeypatch.setattr(planning, "cut", lambda *sizes: (tile, parts))


def launches(op, a, b):
    types = [TensorType(a.shape), TensorType(b.shape)]
    views = [View.dense(k, t) for k, t in enumerate((*types, *op.infer(*types)))]
    return plan_contract(op, views[:2], views[2:])


def past_a_tile(role, precision, wide):
    few, many = (4, 132) if wide else (3, 67)
    channels, features = (many, few) if role == "backward_data" else (few, many)
    found = case(role, (2, 9, 9, channels), (3, 3), features, (1, 1), ((1, 1), (1, 0)), (1, 1))
    return replace(found[0], precision=precision), *found[1:]


TENSOR_CASES = [(p, n, role) for p in BOTH for n in range(len(TENSOR[p])) for role in ROLES]


@pytest.mark.parametrize(("precision", "number", "role"), TENSOR_CASES)
def test_every_tile(precision, number, role, monkeypatch):
    """Sizes past a tile, and a rest of each; channels four by four and one by one."""
    use(monkeypatch, list(TENSOR[precision])[number])
    check(*past_a_tile(role, precision, (number + ROLES.index(role)) % 2 == 0))


NAMES = ("wide groups", "common steps", "empty padding", "3-D wide", "no image", "no channel")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_definition(name, role, monkeypatch):
    precision = BOTH[NAMES.index(name) % 2]
    use(monkeypatch, SMALL[precision])
    op, *arrays = made(name, role)
    check(replace(op, precision=precision), *arrays)


ELSEWHERE = {
    "wide groups": "tf32",
    "empty padding": "bf16",
    "depthwise wide": "bf16",
    "depthwise 3-D": "tf32",
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_takes_no_tensor_cores_rounds_as_well(name, role, monkeypatch):
    use(monkeypatch, SIMT)
    precision = ELSEWHERE[name]
    op, *arrays = made(name, role)
    check(replace(op, precision=precision), *arrays)


@pytest.mark.parametrize(("role", "precision"), [*zip(ROLES, ("bf16", "tf32", "bf16"), strict=True)])
def test_sums_in_parts(role, precision, monkeypatch):
    """The epilogue is of the whole sum."""
    use(monkeypatch, SMALL[precision], 3)
    epilogue = maximum(Arg(0) + Arg(1), Lit(0.0))
    op, a, b = case(role, (3, 5, 5, 20), (3, 3), 24, (2, 1), ((1, 1),) * 2, (1, 1), 1, epilogue)
    check(replace(op, precision=precision), a, b, normal(24 if role != "backward_data" else 20))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("precision", BOTH)
def test_no_bank_is_met_twice(precision, role, monkeypatch):
    use(monkeypatch, SMALL[precision])
    op, a, b = past_a_tile(role, precision, True)
    size = op.infer(TensorType(a.shape), TensorType(b.shape))[0].size
    buffers = {0: a.reshape(-1), 1: b.reshape(-1), 2: np.zeros(size, np.float32)}
    (found,) = run_emulated(launches(op, a, b), buffers, conflicts=True)
    assert found.bank_conflicts == 0


ODD = (2.0**-126 + 2.0**-149, 2.0**-149, 3e-39, -0.0)
TIES = [sign * (1 + n * 2.0**-k) for n in (1, 3, 5) for k in (8, 9, 11, 12) for sign in (1, -1)]
LARGE = (np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 3.4028235e38, 3.39e38, 3.4019e38)


@pytest.mark.parametrize("cores", ["tensor", "simt", "depthwise"])
@pytest.mark.parametrize("precision", BOTH)
def test_roundings(precision, cores, monkeypatch):
    """Ties, what has few bits, what rounds to infinity, infinities, and NaN with every bit set."""
    use(monkeypatch, SMALL[precision] if cores == "tensor" else SIMT)
    x = np.array([*ODD, *TIES, *LARGE, *normal(24)], np.float32)
    x = np.append(x, np.array([0x7FFFFFFF, 0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32))
    op = Contract("forward", precision=precision, groups=1)
    if cores == "depthwise":
        op = replace(op, groups=4)
        a, b = np.repeat(x[:, None], 4, axis=1), np.ones((1, 4), np.float32)
    else:
        a, b = x[:, None], np.ones((1, 4), np.float32)
    (found,) = emulated(plan_contract, op, a, b)
    wanted = nearest(x, precision)
    assert np.isinf(wanted).sum() >= 3 and np.isnan(wanted).sum() == 4
    np.testing.assert_array_equal(found, np.repeat(wanted[:, None], 4, axis=1).astype(np.float32))


def test_what_is_not_finite_stays_in_its_sums(monkeypatch):
    """Nothing of the padding or of a tile's rest is multiplied with a value of another pixel."""
    use(monkeypatch, SMALL["bf16"])
    op, a, b = case("forward", (1, 6, 6, 4), (3, 3), 8, (1, 1), ((1, 1),) * 2, (1, 1))
    op = replace(op, precision="bf16")
    a[0, 0, 0, 1], b[2, 2, 3, 7] = np.nan, np.inf
    (found,) = emulated(plan_contract, op, a, b)
    wanted = wanted_of(op, a, b)
    assert np.array_equal(np.isfinite(found), np.isfinite(wanted)) and np.isnan(found).any()


def test_a_plan_takes_tensor_cores_where_there_is_much_to_multiply():
    for precision in BOTH:
        tile, parts = cut(100_352, 64, 576, 1, precision)
        assert tile.tensor and parts == 1
        assert cut(4096, 4096, 4096, 1, precision)[0].rows == cut(4096, 4096, 4096, 1, precision)[0].columns
    assert not cut(100_352, 64, 576, 1, "f32")[0].tensor


@pytest.mark.emulated
@pytest.mark.parametrize("precision", BOTH)
def test_a_training_is_that_of_the_reference(precision, monkeypatch):
    losses = []
    for device in ("reference", cards.emulated(monkeypatch)):
        found = Trainer(with_precision(precision), data=plan(), device=device).fit()
        losses.append([found.test["loss"], found.validation["loss"]])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


QUICK = (("tf32", 0, "forward", (9, 0)), ("bf16", 0, "backward_weights", (8, 0)))
CODES = [
    pytest.param(*of, card, wide, marks=() if (*of, card) in QUICK and wide else pytest.mark.emulated)
    for card in ((9, 0), (8, 0))
    for wide in (False, True)
    for of in TENSOR_CASES
]


@pytest.mark.parametrize(("precision", "number", "role", "card", "wide"), CODES)
def test_machine_code(precision, number, role, card, wide, monkeypatch):
    """Tensor cores multiply, registers hold everything, as many blocks as meant fit."""
    use(monkeypatch, list(TENSOR[precision])[number])
    (launch,) = launches(*past_a_tile(role, precision, wide))
    ptx, code = compile_ptx(launch.source, card), machine_code(launch.source, card)
    products = ptx.count(f"mma.sync.aligned.m16n8k{8 if precision == 'tf32' else 16}.row.col.f32.{precision}")
    assert products and not UNWANTED.findall(ptx)
    assert code.stack == code.stores == code.loads == 0 < code.shared <= 48 << 10
    # A kernel that would spill on this card is assembled for one block less.
    assert launch.source.bounds[1] - code.blocks in (0, 1)
    assert code.resident(launch, card) >= code.blocks
    if code.instructions is not None:
        assert code.count("matrix") >= products
