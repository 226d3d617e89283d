"""Every optimiser, 100 steps, against its published formula in float64 NumPy and against PyTorch's."""

import dataclasses

import numpy as np
import pytest

from netdsl import passes
from netdsl.ir import TensorType, interpret
from netdsl.primitives import Input, Param, PrimitiveBuilder
from netdsl.runtime import Program
from netdsl.train.optimizers import (
    OPTIMIZERS,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lamb,
    Lars,
    Lion,
    Muon,
    NAdam,
    RmsProp,
    Sgd,
)
from netdsl.train.recipe import Recipe
from netdsl.train.step import HYPER, training_graph

SHAPE, STEPS = (3, 5), 100
CASES = [
    Sgd(lr=0.1),
    Sgd(lr=0.1, weight_decay=0.05),
    Sgd(lr=0.1, momentum=0.9),
    Sgd(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01),
    Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05),
    RmsProp(lr=0.01),
    RmsProp(lr=0.01, rho=0.99, eps=1e-8, momentum=0.9, weight_decay=0.05),
    RmsProp(lr=0.01, centered=True),
    RmsProp(lr=0.01, centered=True, momentum=0.5, weight_decay=0.01),
    Adam(lr=0.01),
    Adam(lr=0.01, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.05),
    Adam(lr=0.01, beta2=0.9, amsgrad=True),
    AdamW(lr=0.01),
    AdamW(lr=0.01, weight_decay=0.2, amsgrad=True),
    Adagrad(lr=0.1),
    Adagrad(lr=0.1, initial_accumulator_value=0.1, weight_decay=0.1),
    Adadelta(),
    Adadelta(lr=0.5, rho=0.95, weight_decay=0.1),
    Adamax(lr=0.01),
    Adamax(lr=0.01, beta1=0.8, weight_decay=0.1),
    NAdam(lr=0.01),
    NAdam(lr=0.01, momentum_decay=0.1, weight_decay=0.1),
    Lamb(lr=0.01),
    Lamb(lr=0.01, weight_decay=0.1),
    Lars(lr=1.0),
    Lars(lr=2.0, trust=0.01, weight_decay=0.1, nesterov=True),
    Lars(lr=1.0, momentum=0.0, weight_decay=0.1),
    Lion(lr=0.001),
    Lion(lr=0.001, weight_decay=1.0),
    Muon(),
    Muon(momentum=0.9, nesterov=False, weight_decay=0.1, ns_steps=3),
]
IDS = [f"{type(o).__name__}-{k}" for k, o in enumerate(CASES)]


def objective(shape=SHAPE, **leaf):
    """`sum(w * g)`: its gradient is whatever is fed as `g`."""
    b = PrimitiveBuilder()
    w = b.add1(Param(TensorType(shape), **leaf), name="w")
    g = b.add1(Input(TensorType(shape)), name="g")
    return b.finish({"loss": b.reduce("sum", lambda x, y: x * y, w, g, axes=range(len(shape)))})


def numbers(shape=SHAPE):
    rng = np.random.default_rng(1)
    w = rng.normal(size=shape).astype(np.float32)
    return w, rng.normal(size=(STEPS, *shape)).astype(np.float32)


def feeds_of(optimizer, step, g, momentum=None, lr=None):
    scalars = optimizer.scalars(step, optimizer.lr if lr is None else lr, momentum)
    return {"g": g, **{HYPER + name: np.asarray(v, np.float32) for name, v in scalars.items()}}


def start(graph, w):
    """The weight and its slots, as a training starts them."""
    held = {n.id: np.full(n.types[0].shape, n.op.value, np.float32) for n in graph.leaves("state")}
    return {**held, "w": w}


def ours(recipe, momenta=(None,) * STEPS, rates=(None,) * STEPS, shape=SHAPE, **leaf):
    """The weights after each step, by the interpreter."""
    recipe = recipe if isinstance(recipe, Recipe) else Recipe(recipe)
    graph = training_graph(objective(shape, **leaf), recipe)
    w, gradients = numbers(shape)
    held, course = start(graph, w), []
    for step, g in enumerate(gradients[: len(momenta)]):
        feeds = feeds_of(recipe.optimizer, step, g, momenta[step], rates[step])
        held |= interpret(graph, {**held, **feeds}).updates
        course.append(held["w"])
    return np.array(course)


def whitened(m, steps, eps=1e-7):
    """Newton-Schulz of Jordan et al. 2024 in float64, for [outputs, inputs]."""
    x = m.T if len(m) > m.shape[1] else m
    x = x / max(np.linalg.norm(x), eps)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if len(m) > m.shape[1] else x


def change(o, w, g, s, t):
    """The step of the papers: the new weight; `s` holds what is kept."""
    decoupled = isinstance(o, (AdamW, Lion, Lamb, Muon))
    if not decoupled:
        bare, g = g, g + o.weight_decay * w
    m, v = s.setdefault("m", 0 * w), s.setdefault("v", 0 * w)
    match o:
        case Sgd():
            m = s["m"] = o.momentum * m + (1 - o.dampening * (t > 1)) * g
            return w - o.lr * (g + o.momentum * m if o.nesterov else m)
        case RmsProp():
            v = s["v"] = o.rho * v + (1 - o.rho) * g**2
            a = s["a"] = o.rho * s.get("a", 0) + (1 - o.rho) * g
            m = s["m"] = o.momentum * m + g / (np.sqrt(v - a**2 if o.centered else v) + o.eps)
            return w - o.lr * m
        case Adagrad():
            v = s["v"] = (v if t > 1 else v + o.initial_accumulator_value) + g**2
            return w - o.lr * g / (np.sqrt(v) + o.eps)
        case Adadelta():
            v = s["v"] = o.rho * v + (1 - o.rho) * g**2
            step = np.sqrt(m + o.eps) / np.sqrt(v + o.eps) * g
            s["m"] = o.rho * m + (1 - o.rho) * step**2
            return w - o.lr * step
        case Lars():
            size, slope = np.linalg.norm(w), np.linalg.norm(bare)
            g = g * o.trust * size / (slope + o.weight_decay * size + o.eps)
            m = s["m"] = o.momentum * m + g
            return w - o.lr * (g + o.momentum * m if o.nesterov else m)
        case Lion():
            sign = np.sign(o.beta1 * m + (1 - o.beta1) * g)
            s["m"] = o.beta2 * m + (1 - o.beta2) * g
            return w - o.lr * (sign + o.weight_decay * w)
        case Muon():
            m = s["m"] = o.momentum * m + (1 - o.momentum) * g
            ahead = (1 - o.momentum) * g + o.momentum * m if o.nesterov else m
            scale = np.sqrt(max(1, w.shape[1] / w.shape[0]))
            return w * (1 - o.lr * o.weight_decay) - o.lr * scale * whitened(ahead.T, o.ns_steps).T
    m = s["m"] = o.beta1 * m + (1 - o.beta1) * g
    if isinstance(o, Adamax):
        v = s["v"] = np.maximum(o.beta2 * v, np.abs(g) + o.eps)
        return w - o.lr / (1 - o.beta1**t) * m / v
    v = s["v"] = o.beta2 * v + (1 - o.beta2) * g**2
    if getattr(o, "amsgrad", False):
        v = s["largest"] = np.maximum(s.get("largest", 0), v)
    root = np.sqrt(v / (1 - o.beta2**t)) + o.eps
    if isinstance(o, NAdam):
        mu = [o.beta1 * (1 - 0.5 * 0.96 ** (k * o.momentum_decay)) for k in range(1, t + 2)]
        step = (1 - mu[-2]) * g / (1 - np.prod(mu[:-1])) + mu[-1] * m / (1 - np.prod(mu))
        return w - o.lr * step / root
    step = m / (1 - o.beta1**t) / root
    if isinstance(o, Lamb):
        step = step + o.weight_decay * w
        step = step * np.linalg.norm(w) / np.linalg.norm(step)
    if isinstance(o, AdamW):
        w = w - o.lr * o.weight_decay * w
    return w - o.lr * step


def formula(o, clip=lambda g: g, shape=SHAPE):
    """The weights after each step, in float64."""
    w, gradients = numbers(shape)
    w, kept, course = w.astype(np.float64), {}, []
    for t, g in enumerate(gradients.astype(np.float64), start=1):
        w = change(o, w, clip(g), kept, t)
        course.append(w)
    return np.array(course)


def by_value(g):
    return np.clip(g, -0.5, 0.5)


def by_norm(g):
    return g * min(1, 1.5 / (np.linalg.norm(g) + 1e-6))


CLIPS = [
    (Recipe(clip_value=0.5), by_value),
    (Recipe(clip_norm=1.5), by_norm),
    (Recipe(clip_value=0.5, clip_norm=1.5), lambda g: by_norm(by_value(g))),
]


def test_every_optimiser_is_compared():
    assert {type(o) for o in CASES} == set(OPTIMIZERS.values())


@pytest.mark.parametrize("optimizer", CASES, ids=IDS)
def test_equals_the_formula(optimizer):
    np.testing.assert_allclose(ours(optimizer), formula(optimizer), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("recipe", "clip"), CLIPS)
@pytest.mark.parametrize("optimizer", [CASES[4], CASES[10], CASES[25]], ids=lambda o: type(o).__name__)
def test_clipped_gradients(optimizer, recipe, clip):
    found = ours(dataclasses.replace(recipe, optimizer=optimizer))
    np.testing.assert_allclose(found, formula(optimizer, clip), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4), (2, 3, 2, 5), (2, 2, 2, 7)])
def test_muon_takes_a_kernel_for_the_matrix_of_what_comes_in(shape):
    """[*K, C, F] is [K*K*C, F]: the steps of its matrix."""
    flat = (int(np.prod(shape[:-1])), shape[-1])
    rng = np.random.default_rng(1)
    assert rng.normal(size=shape).reshape(flat).shape == flat
    found = ours(Muon(), momenta=(None,) * 5, shape=shape)
    expected = formula(Muon(), shape=flat)[:5].reshape(5, *shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("leaf", [{"decay": False}, {}])
def test_muon_takes_adamw_for_biases_and_for_those_that_are_named(leaf):
    muon = Muon() if leaf else Muon(adam="w")
    aside = AdamW(3e-4, 0.0, beta1=0.9, beta2=0.95, eps=1e-10)
    np.testing.assert_allclose(ours(muon, **leaf), formula(aside), rtol=1e-5, atol=1e-6)
    half = ours(muon, rates=(0.01,) * STEPS, **leaf)
    aside = dataclasses.replace(aside, lr=1.5e-4)
    np.testing.assert_allclose(half, formula(aside), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", [Lamb(lr=0.01), Lars(lr=0.1)], ids=["lamb", "lars"])
def test_biases_and_zeros_are_no_layers_to_adapt_to(optimizer):
    """Without decay a bias takes the step of adam or sgd, and so does a weight of zeros."""
    plain = Adam(0.01, eps=1e-6) if isinstance(optimizer, Lamb) else Sgd(0.1, momentum=0.9)
    np.testing.assert_allclose(ours(optimizer, decay=False), formula(plain), rtol=1e-5, atol=1e-5)
    graph = training_graph(objective(), Recipe(optimizer))
    zeros, gradients = np.zeros(SHAPE, np.float32), numbers()[1]
    after = interpret(graph, {**start(graph, zeros), **feeds_of(optimizer, 0, gradients[0])}).updates
    expected = change(plain, zeros.astype(np.float64), gradients[0].astype(np.float64), {}, 1)
    np.testing.assert_allclose(after["w"], expected, rtol=1e-5)


@pytest.mark.parametrize("optimizer", CASES[3:], ids=IDS[3:])
def test_compiled_step_equals_the_interpreter(optimizer):
    graph = training_graph(objective(), Recipe(optimizer))
    program = Program(passes.training().run(graph), threads=1)
    w, gradients = numbers()
    for name, array in start(graph, w).items():
        program.set(name, array)
    for step, g in enumerate(gradients[:12]):
        program.run(feeds_of(optimizer, step, g))
    np.testing.assert_allclose(program.get("w"), ours(optimizer, (None,) * 12)[-1], rtol=1e-5, atol=1e-6)


def test_a_weight_may_learn_slower_keep_its_size_or_stay():
    decayed = Sgd(lr=0.1, weight_decay=0.5)
    np.testing.assert_array_equal(ours(decayed, decay=False), ours(Sgd(lr=0.1)))
    np.testing.assert_allclose(ours(Sgd(lr=0.1), lr=0.5), ours(Sgd(lr=0.05)), rtol=1e-5, atol=1e-6)
    assert "w" not in training_graph(objective(trainable=False), Recipe(Sgd())).updates


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sgd(lr="fast"), "lr must be a number"),
        (lambda: Sgd(lr=-1.0), "lr must be a number above 0"),
        (lambda: Sgd(lr=10**400), r"lr must be a number above 0, 3.4e\+38 at most"),
        (lambda: Sgd(lr=float("inf")), "lr must be a finite number above 0, not inf"),
        (lambda: Sgd(lr=float("nan")), "lr must be a finite number above 0, not nan"),
        (lambda: Adam(eps=1e39), r"eps must be a number from 0.0 up, 3.4e\+38 at most, not 1e\+39"),
        (lambda: Sgd(momentum=float("inf")), "momentum must be a finite number from 0.0 to 1.0, not inf"),
        (lambda: Sgd(momentum=1.5), "momentum must be a number from 0.0 to 1.0"),
        (lambda: Sgd(nesterov=True), "nesterov needs a momentum"),
        (lambda: Sgd(dampening=0.1), "dampening needs a momentum"),
        (lambda: Sgd(momentum=0.9, nesterov=True, dampening=0.1), "dampening needs .* and no nesterov"),
        (lambda: Sgd(momentum=0.9, nesterov=1), "nesterov must be true or false"),
        (lambda: Adam(beta1=1.0), "beta1 must be a number from"),
        (lambda: Adam(amsgrad=1), "amsgrad must be true or false"),
        (lambda: RmsProp(centered="yes"), "centered must be true or false"),
        (lambda: Lars(momentum=0.0, nesterov=True), "nesterov needs a momentum"),
        (lambda: Muon(ns_steps=0), "ns_steps must be a whole number from 1 to 99, not 0"),
        (lambda: Muon(adam=3), "adam must be text"),
        (lambda: Adagrad().with_momentum(0.9), "has no momentum that a schedule could move"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()
