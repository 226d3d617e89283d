"""Every optimiser against its formula in float64 NumPy, and against PyTorch's."""

import numpy as np
import pytest

from netdsl import passes
from netdsl.ir import TensorType, interpret
from netdsl.primitives import Input, Param, PrimitiveBuilder
from netdsl.runtime import Program
from netdsl.train.optimizers import Adam, AdamW, RmsProp, Sgd
from netdsl.train.step import HYPER, training_graph

SHAPE, STEPS = (3, 5), 12
OPTIMIZERS = [
    Sgd(lr=0.1),
    Sgd(lr=0.1, weight_decay=0.05),
    Sgd(lr=0.1, momentum=0.9),
    Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05),
    RmsProp(lr=0.01),
    RmsProp(lr=0.01, rho=0.99, eps=1e-8, momentum=0.9, weight_decay=0.05),
    Adam(lr=0.01),
    Adam(lr=0.01, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.05),
    AdamW(lr=0.01),
    AdamW(lr=0.01, weight_decay=0.2),
]
IDS = [f"{type(o).__name__}-{k}" for k, o in enumerate(OPTIMIZERS)]


def objective(**leaf):
    """`sum(w * g)`: its gradient is whatever is fed as `g`."""
    b = PrimitiveBuilder()
    w = b.add1(Param(TensorType(SHAPE), **leaf), name="w")
    g = b.add1(Input(TensorType(SHAPE)), name="g")
    return b.finish({"loss": b.reduce("sum", lambda x, y: x * y, w, g, axes=(0, 1))})


def numbers():
    rng = np.random.default_rng(1)
    w = rng.normal(size=SHAPE).astype(np.float32)
    return w, rng.normal(size=(STEPS, *SHAPE)).astype(np.float32)


def feeds_of(optimizer, step, g, momentum=None, lr=None):
    scalars = optimizer.scalars(step, optimizer.lr if lr is None else lr, momentum)
    return {"g": g, **{HYPER + name: np.asarray(v, np.float32) for name, v in scalars.items()}}


def ours(optimizer, momenta=(None,) * STEPS, rates=(None,) * STEPS, **leaf):
    """The weights after each step, by the interpreter."""
    graph = training_graph(objective(**leaf), optimizer)
    w, gradients = numbers()
    held = {"w": w, **{n.id: np.zeros(SHAPE, np.float32) for n in graph.leaves("state")}}
    course = []
    for step, g in enumerate(gradients):
        held |= interpret(graph, {**held, **feeds_of(optimizer, step, g, momenta[step], rates[step])}).updates
        course.append(held["w"])
    return np.array(course)


def formula(o):
    """The same from the papers, in float64."""
    w, gradients = numbers()
    w = w.astype(np.float64)
    m, s, course = np.zeros(SHAPE), np.zeros(SHAPE), []
    for t, g in enumerate(gradients.astype(np.float64), start=1):
        if o.weight_decay and not isinstance(o, AdamW):
            g = g + o.weight_decay * w
        match o:
            case Sgd():
                m = o.momentum * m + g
                w = w - o.lr * (g + o.momentum * m if o.nesterov else m)
            case RmsProp():
                s = o.rho * s + (1 - o.rho) * g**2
                m = o.momentum * m + g / (np.sqrt(s) + o.eps)
                w = w - o.lr * m
            case Adam():
                if isinstance(o, AdamW):
                    w = w - o.lr * o.weight_decay * w
                m, s = o.beta1 * m + (1 - o.beta1) * g, o.beta2 * s + (1 - o.beta2) * g**2
                mean, square = m / (1 - o.beta1**t), s / (1 - o.beta2**t)
                w = w - o.lr * mean / (np.sqrt(square) + o.eps)
        course.append(w)
    return np.array(course)


def in_pytorch(torch, o, parameters):
    """The optimiser of PyTorch with the same settings."""
    if isinstance(o, Sgd):
        return torch.optim.SGD(parameters, o.lr, o.momentum, weight_decay=o.weight_decay, nesterov=o.nesterov)
    if isinstance(o, RmsProp):
        return torch.optim.RMSprop(parameters, o.lr, o.rho, o.eps, o.weight_decay, o.momentum)
    kind = torch.optim.AdamW if isinstance(o, AdamW) else torch.optim.Adam
    return kind(parameters, o.lr, (o.beta1, o.beta2), o.eps, o.weight_decay)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=IDS)
def test_equals_the_formula(optimizer):
    np.testing.assert_allclose(ours(optimizer), formula(optimizer), rtol=2e-6, atol=2e-6)


@pytest.mark.torch
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=IDS)
def test_equals_pytorch(optimizer):
    torch = pytest.importorskip("torch")
    w, gradients = numbers()
    parameter = torch.nn.Parameter(torch.tensor(w))
    other = in_pytorch(torch, optimizer, [parameter])
    course = []
    for g in gradients:
        parameter.grad = torch.tensor(g)
        other.step()
        course.append(parameter.detach().numpy().copy())
    np.testing.assert_allclose(ours(optimizer), np.array(course), rtol=1e-6, atol=1e-6)


@pytest.mark.torch
@pytest.mark.parametrize("optimizer", [Sgd(0.1, momentum=0.9), RmsProp(momentum=0.9), Adam(), AdamW()])
def test_one_cycle_of_rate_and_momentum_equals_pytorch(optimizer):
    torch = pytest.importorskip("torch")
    from netdsl.train.schedules import Clock, OneCycle

    schedule = OneCycle(peak=0.05)
    values = [schedule.at(optimizer.lr, Clock(k, STEPS, STEPS)) for k in range(STEPS)]
    w, gradients = numbers()
    parameter = torch.nn.Parameter(torch.tensor(w))
    other = in_pytorch(torch, optimizer, [parameter])
    cycle = torch.optim.lr_scheduler.OneCycleLR(other, 0.05, total_steps=STEPS)
    course = []
    for g in gradients:
        parameter.grad = torch.tensor(g)
        other.step()
        cycle.step()
        course.append(parameter.detach().numpy().copy())
    rates, momenta = zip(*values, strict=True)
    np.testing.assert_allclose(ours(optimizer, momenta, rates), np.array(course), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("optimizer", [OPTIMIZERS[3], OPTIMIZERS[5], OPTIMIZERS[7], OPTIMIZERS[9]])
def test_compiled_step_equals_the_interpreter(optimizer):
    program = Program(passes.training().run(training_graph(objective(), optimizer)), threads=1)
    w, gradients = numbers()
    program.set("w", w)
    for step, g in enumerate(gradients):
        program.run(feeds_of(optimizer, step, g))
    np.testing.assert_allclose(program.get("w"), ours(optimizer)[-1], rtol=1e-6, atol=1e-6)


def test_a_weight_may_learn_slower_keep_its_size_or_stay():
    decayed = Sgd(lr=0.1, weight_decay=0.5)
    np.testing.assert_array_equal(ours(decayed, decay=False), ours(Sgd(lr=0.1)))
    np.testing.assert_allclose(ours(Sgd(lr=0.1), lr=0.5), ours(Sgd(lr=0.05)), rtol=1e-6)
    assert "w" not in training_graph(objective(trainable=False), Sgd()).updates


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sgd(lr="fast"), "lr must be a number"),
        (lambda: Sgd(lr=-1.0), "lr must be from 0"),
        (lambda: Sgd(lr=10**400), "lr must be from 0"),
        (lambda: Sgd(lr=float("inf")), "lr must be from 0"),
        (lambda: Sgd(momentum=1.5), "momentum must be from 0.0 to 1.0"),
        (lambda: Sgd(nesterov=True), "nesterov needs a momentum"),
        (lambda: Sgd(momentum=0.9, nesterov=1), "nesterov must be true or false"),
        (lambda: Adam(beta1=1.0), "beta1 must be from"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()
