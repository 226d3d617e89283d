"""Activations, functions and losses at the ends of float32, at their kinks and between, against PyTorch.

A result is right when it is PyTorch's in float32, or within 2e-6 of PyTorch's in float64; where PyTorch has no number
in float32 and there is one, ours has to be this one.
"""

import numpy as np
import pytest

from netdsl import passes
from netdsl.autodiff import grad, gradients, hessian_vector
from netdsl.ir import TensorType, verify
from netdsl.ops import OPS
from netdsl.primitives import Input, PrimitiveBuilder
from netdsl.runtime import Program

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.torch

SIZES = [
    0.0,
    1e-40,
    1.2e-38,
    1e-20,
    1e-10,
    1e-4,
    0.01,
    0.5,
    1.0,
    2.0,
    3.0,
    5.0,
    6.0,
    8.0,
    9.0,
    9.5,
    12.0,
    16.7,
]
SIZES += [20.0, 50.0, 88.0, 89.0, 100.0, 104.0, 1e4, 1e10, 1e20, 1e30, 3.4028235e38]
POINTS = np.array([*SIZES, *(-p for p in SIZES)], np.float32)
FUNCTIONS = [
    ("relu", (), torch.relu),
    ("relu6", (), F.relu6),
    ("thresholded_relu", (1.0,), lambda x: F.threshold(x, 1.0, 0.0)),
    ("leaky_relu", (), F.leaky_relu),
    ("elu", (), F.elu),
    ("elu", (0.7,), lambda x: F.elu(x, 0.7)),
    ("selu", (), F.selu),
    ("gelu", (), F.gelu),
    ("gelu", (True,), lambda x: F.gelu(x, approximate="tanh")),
    ("silu", (), F.silu),
    ("swish", (1.702,), lambda x: x * torch.sigmoid(1.702 * x)),
    ("hard_swish", (), F.hardswish),
    ("mish", (), F.mish),
    ("sigmoid", (), torch.sigmoid),
    ("hard_sigmoid", (), F.hardsigmoid),
    ("tanh", (), torch.tanh),
    ("softsign", (), F.softsign),
    ("softplus", (), lambda x: F.softplus(x, threshold=1e9 if x.dtype == torch.float64 else 20)),
    ("exp", (), torch.exp),
    ("log", (), torch.log),
    ("sqrt", (), torch.sqrt),
    ("abs", (), torch.abs),
    *(("power", (p,), lambda x, p=p: x**p) for p in (0.0, 1.0, 2.0, 3.0, 0.5, -1.0, 2.5)),
    ("clip", (-1.0, 2.0), lambda x: x.clamp(-1.0, 2.0)),
    ("clip", (0.0, 6.0), lambda x: x.clamp(0.0, 6.0)),
    ("clip", (1.0,), lambda x: x.clamp(min=1.0)),
]


def focal(gamma, alpha):
    """torchvision's sigmoid_focal_loss, the mean."""

    def loss(x, t):
        p = torch.sigmoid(x)
        entropy = F.binary_cross_entropy_with_logits(x, t, reduction="none")
        wrong = t * torch.sigmoid(-x) + (1 - t) * p
        return ((alpha * t + (1 - alpha) * (1 - t)) * wrong**gamma * entropy).mean()

    return loss


LOSSES = [
    ("mse", (), F.mse_loss),
    ("mae", (), F.l1_loss),
    ("huber", (0.5,), lambda x, t: F.huber_loss(x, t, delta=0.5)),
    ("smooth_l1", (0.5,), lambda x, t: F.smooth_l1_loss(x, t, beta=0.5)),
    ("binary_cross_entropy", (), F.binary_cross_entropy_with_logits),
    *(("focal", (gamma,), focal(gamma, 0.25)) for gamma in (0.0, 0.5, 1.0, 1.5, 2.0, 5.0)),
]


def ours(op, arrays):
    b = PrimitiveBuilder(training=True)
    inputs = [b.add1(Input(TensorType(a.shape)), name=f"x{k}") for k, a in enumerate(arrays)]
    (y,) = op.expand(b, *inputs)
    loss = b.reduce("sum", lambda a: a, y, axes=range(b.type(y).rank)) if b.type(y).rank else y
    graph = passes.training().run(verify(grad(b.finish({"y": y, "loss": loss}), "loss", ["x0"])))
    program = Program(graph, threads=1)

    def run(arrays):
        got = program.run({f"x{k}": a for k, a in enumerate(arrays)})
        return got["y"].copy(), got["grad/x0"].copy()

    return run


def theirs(function, arrays, dtype):
    tensors = [torch.tensor(a, dtype=dtype) for a in arrays]
    tensors[0].requires_grad_()
    y = function(*tensors)
    y.sum().backward()
    return y.detach().numpy(), tensors[0].grad.numpy()


def check(got, single, double, at):
    for name, a, b, c in zip(("value", "gradient"), got, single, double, strict=True):
        with np.errstate(all="ignore"):
            c32 = c.astype(np.float32)
            right = (a == b) | (np.isnan(b) & ~np.isfinite(c32))
            right |= (a == c32) | (np.abs(a - c) <= 2e-6 * np.abs(c) + 1e-15)
            # Ours is no worse than theirs.
            right |= np.abs(a - c) <= 2 * np.abs(b - c)
        assert right.all(), (name, at, a[~right], b[~right], c[~right])


@pytest.mark.parametrize(
    "name, settings, function", FUNCTIONS, ids=lambda v: v if isinstance(v, str) else None
)
def test_functions(name, settings, function):
    got = ours(OPS[name](*settings), [POINTS])([POINTS])
    check(got, *(theirs(function, [POINTS], t) for t in (torch.float32, torch.float64)), POINTS)


@pytest.mark.parametrize("name, settings, function", LOSSES, ids=lambda v: v if isinstance(v, str) else None)
def test_losses(name, settings, function):
    run = ours(OPS[name](*settings), [POINTS[:1, None]] * 2)
    for x in POINTS:
        for t in (0.0, 1.0, 0.3, float(x)):
            if t not in (0.0, 1.0, 0.3) and name in ("binary_cross_entropy", "focal"):
                continue
            arrays = [np.array([[v]], np.float32) for v in (x, t)]
            both = (theirs(function, arrays, d) for d in (torch.float32, torch.float64))
            check(run(arrays), *both, (x, t))


#: where a second derivative jumps, which side is taken is a convention
JUMPS = {"elu": {0.0}, "selu": {0.0}, "huber": {0.5}, "smooth_l1": {0.5}}


@pytest.mark.parametrize(
    "name, settings, function", [*FUNCTIONS, *LOSSES], ids=lambda v: v if isinstance(v, str) else None
)
def test_second_derivatives(name, settings, function):
    """Compiled in float32, against double backward in float64; where PyTorch finds no number, ours is one."""
    if name == "hard_sigmoid":
        pytest.skip("PyTorch has no second derivative of it")
    pair = [POINTS[:, None], np.float32(np.arange(POINTS.size) % 3 == 0)[:, None]]
    arrays = pair if (name, settings, function) in LOSSES else pair[:1]
    b = PrimitiveBuilder(training=True)
    inputs = [b.add1(Input(TensorType(a.shape)), name=f"x{k}") for k, a in enumerate(arrays)]
    (y,) = OPS[name](*settings).expand(b, *inputs)
    total = b.sum(y, range(b.type(y).rank)) if b.type(y).rank else b.map(lambda v: v * float(POINTS.size), y)
    ones = {inputs[0]: b.const(np.ones(arrays[0].shape, np.float32))}
    products = hessian_vector(b, gradients(b, total, inputs[:1]), ones)
    graph = passes.training().run(verify(b.finish({"found": products[inputs[0]]})))
    found = Program(graph, threads=1).run({f"x{k}": a for k, a in enumerate(arrays)})["found"]
    tensors = [torch.tensor(a, dtype=torch.float64) for a in arrays]
    x = tensors[0].requires_grad_()
    value = function(*tensors)
    value = value.sum() if value.ndim else value * POINTS.size
    (slope,) = torch.autograd.grad(value, x, create_graph=True)
    expected = np.zeros_like(arrays[0])
    if slope.requires_grad:
        (curvature,) = torch.autograd.grad(slope.sum(), x)
        with np.errstate(over="ignore"):
            expected = curvature.numpy(force=True).astype(np.float32)
    assert name in ("log", "sqrt", "power", "exp") or np.isfinite(found).all()
    there = np.isfinite(expected) & ~np.isin(arrays[0], list(JUMPS.get(name, ())))
    np.testing.assert_allclose(found[there], expected[there], rtol=2e-3, atol=1e-5)
