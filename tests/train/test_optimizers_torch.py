"""Every optimiser against PyTorch's, or timm's where PyTorch has none, for 100 steps."""

import numpy as np
import pytest

from netdsl.train.optimizers import Adadelta, Adagrad, Adam, Adamax, AdamW, Muon, NAdam, RmsProp, Sgd
from netdsl.train.recipe import Recipe
from netdsl.train.schedules import Clock, OneCycle

from .nets import timm_module
from .test_optimizers import CASES, IDS, STEPS, numbers, ours

pytestmark = pytest.mark.torch
THEIRS = [
    (o, name)
    for o, name in zip(CASES, IDS, strict=True)
    if name.split("-")[0] not in ("Lamb", "Lars", "Lion")
]


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """Muon orthogonalises in bfloat16; here in float32, as we do."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())


def in_pytorch(o, parameters):
    """The optimiser of PyTorch with the same settings."""
    torch = pytest.importorskip("torch")
    optim, decay = torch.optim, {"weight_decay": o.weight_decay}
    match o:
        case Sgd():
            return optim.SGD(parameters, o.lr, o.momentum, o.dampening, nesterov=o.nesterov, **decay)
        case RmsProp():
            return optim.RMSprop(parameters, o.lr, o.rho, o.eps, o.weight_decay, o.momentum, o.centered)
        case Adagrad():
            first = o.initial_accumulator_value
            return optim.Adagrad(parameters, o.lr, eps=o.eps, initial_accumulator_value=first, **decay)
        case Adadelta():
            return optim.Adadelta(parameters, o.lr, o.rho, o.eps, **decay)
        case Muon():
            return optim.Muon(
                parameters,
                o.lr,
                momentum=o.momentum,
                nesterov=o.nesterov,
                ns_steps=o.ns_steps,
                eps=o.eps,
                **decay,
            )
        case NAdam():
            betas = (o.beta1, o.beta2)
            return optim.NAdam(parameters, o.lr, betas, o.eps, momentum_decay=o.momentum_decay, **decay)
        case Adamax():
            return optim.Adamax(parameters, o.lr, (o.beta1, o.beta2), o.eps, **decay)
        case Adam():
            kind = optim.AdamW if isinstance(o, AdamW) else optim.Adam
            return kind(parameters, o.lr, (o.beta1, o.beta2), o.eps, amsgrad=o.amsgrad, **decay)
    raise LookupError(o)


def theirs(make, clip=lambda parameter: None, after=lambda: None):
    """The weights after each step, as we lay them out."""
    torch = pytest.importorskip("torch")
    w, gradients = numbers()
    parameter = torch.nn.Parameter(torch.tensor(w.T.copy()))
    optimizer, course = make([parameter]), []
    for g in gradients:
        parameter.grad = torch.tensor(g.T.copy())
        clip(parameter)
        optimizer.step()
        after()
        course.append(parameter.detach().numpy().T.copy())
    return np.array(course)


@pytest.mark.parametrize("optimizer", [o for o, _ in THEIRS], ids=[name for _, name in THEIRS])
def test_equals_pytorch(optimizer):
    expected = theirs(lambda parameters: in_pytorch(optimizer, parameters))
    np.testing.assert_allclose(ours(optimizer), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("optimizer", [Sgd(0.1, momentum=0.9), NAdam(0.01), Muon()])
@pytest.mark.parametrize("kind", ["norm", "value"])
def test_clipping_equals_pytorch(optimizer, kind):
    torch = pytest.importorskip("torch")
    utils = torch.nn.utils
    clips = {"norm": utils.clip_grad_norm_, "value": utils.clip_grad_value_}
    expected = theirs(lambda p: in_pytorch(optimizer, p), lambda p: clips[kind]([p], 0.7))
    found = ours(Recipe(optimizer, **{f"clip_{kind}": 0.7}))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "optimizer", [Sgd(0.1, momentum=0.9), RmsProp(momentum=0.9), Adam(), AdamW(), Adamax()]
)
def test_one_cycle_of_rate_and_momentum_equals_pytorch(optimizer):
    torch = pytest.importorskip("torch")
    cycles = []

    def make(parameters):
        made = in_pytorch(optimizer, parameters)
        cycles.append(torch.optim.lr_scheduler.OneCycleLR(made, 0.05, total_steps=STEPS + 1))
        return made

    schedule = OneCycle(peak=0.05)
    values = [schedule.at(optimizer.lr, Clock(k, STEPS + 1, STEPS + 1)) for k in range(STEPS)]
    rates, momenta = zip(*values, strict=True)
    expected = theirs(make, after=lambda: cycles[0].step())
    np.testing.assert_allclose(ours(optimizer, momenta, rates), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["Lamb", "Lars", "Lion"])
def test_equals_timm(name):
    kind = getattr(timm_module(f"optim.{name.lower()}"), name)
    for o in (o for o in CASES if type(o).__name__ == name):
        settings = {"lr": o.lr, "weight_decay": o.weight_decay}
        if name == "Lars":
            settings |= {"momentum": o.momentum, "nesterov": o.nesterov, "trust_coeff": o.trust, "eps": o.eps}
        else:
            settings |= {"betas": (o.beta1, o.beta2)}
        if name == "Lamb":
            settings |= {"eps": o.eps, "max_grad_norm": None}
        if name != "Lion":
            settings["always_adapt"] = True
        expected = theirs(lambda p, s=settings: kind(p, **s))
        np.testing.assert_allclose(ours(o), expected, rtol=1e-5, atol=1e-5)
