"""Schedules are functions of the step, equal to PyTorch's where it has them."""

import math
import re

import pytest

from netdsl.source import NetError
from netdsl.train.schedules import (
    SCHEDULES,
    Clock,
    ConstantRate,
    Cosine,
    CosineRestarts,
    Cyclical,
    Exponential,
    InverseTime,
    OneCycle,
    Pieces,
    Plateau,
    Polynomial,
    StepDecay,
)
from netdsl.train.sections import training_sections

from .nets import TEXT, network, plan, timm_module

EPOCHS, PER_EPOCH, LR = 12, 5, 0.2


def course(schedule, lr=LR):
    """Learning rate and momentum of every step."""
    steps = EPOCHS * PER_EPOCH
    return [schedule.at(lr, Clock(k, steps, PER_EPOCH)) for k in range(steps)]


def rates(schedule, lr=LR):
    return [rate for rate, _ in course(schedule, lr)]


def pytorch(make, each="epoch"):
    """Rates and momenta of a PyTorch scheduler, made by `make(schedulers, optimizer)`."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], LR, momentum=0.9)
    optimizer.step()
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    values = []
    for step in range(EPOCHS * PER_EPOCH):
        group = optimizer.param_groups[0]
        values.append((group["lr"], group["momentum"]))
        optimizer.step()
        if each == "step" or (step + 1) % PER_EPOCH == 0:
            scheduler.step()
    return values


def test_constant():
    assert course(ConstantRate()) == [(LR, None)] * (EPOCHS * PER_EPOCH)


@pytest.mark.torch
def test_step_equals_pytorch():
    expected = [rate for rate, _ in pytorch(lambda s, o: s.StepLR(o, 4, 0.3))]
    assert rates(StepDecay(every=4, factor=0.3)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.torch
def test_milestones_equal_pytorch():
    expected = [rate for rate, _ in pytorch(lambda s, o: s.MultiStepLR(o, [2, 3, 9], 0.1))]
    assert rates(StepDecay(milestones=[2, 3, 9])) == pytest.approx(expected, rel=1e-12)


@pytest.mark.torch
def test_cosine_equals_pytorch():
    steps = EPOCHS * PER_EPOCH
    expected = [rate for rate, _ in pytorch(lambda s, o: s.CosineAnnealingLR(o, steps, 0.01), each="step")]
    assert rates(Cosine(minimum=0.01)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.torch
@pytest.mark.parametrize("rise", [0.3, 0.5, 0.1])
def test_one_cycle_equals_pytorch(rise):
    steps = EPOCHS * PER_EPOCH
    expected = pytorch(lambda s, o: s.OneCycleLR(o, 0.7, steps, pct_start=rise), each="step")
    found = course(OneCycle(peak=0.7, rise=rise))
    assert [lr for lr, _ in found] == pytest.approx([lr for lr, _ in expected], rel=1e-9)
    assert [m for _, m in found] == pytest.approx([m for _, m in expected], rel=1e-9)


def test_warmup_rises_in_a_line_to_the_rate():
    found = rates(Cosine(warmup=2))
    assert found[:10] == pytest.approx([LR * (k + 1) / 10 for k in range(10)])
    assert found[10] == LR and found[11] < LR
    middle = 10 + (EPOCHS * PER_EPOCH - 10) // 2
    assert found[middle] == pytest.approx(LR / 2)


@pytest.mark.parametrize(
    ("warmup", "per_epoch", "steps"),
    [(0.55, 5, 3), (0.5, 5, 2), (0.29, 100, 29), (0.1, 4, 0)],  # 0.29 * 100 is 28.999999999999996
)
def test_a_warmup_ends_with_the_nearest_step(warmup, per_epoch, steps):
    found = [Cosine(warmup=warmup).at(LR, Clock(k, 10 * per_epoch, per_epoch))[0] for k in range(steps + 2)]
    assert found[:steps] == pytest.approx([LR * (k + 1) / steps for k in range(steps)])
    assert found[steps] == LR and found[steps + 1] < LR


def test_one_cycle_by_its_ends():
    found = course(OneCycle(peak=1.0, rise=0.5, divisor=10.0, final=100.0))
    assert found[0] == pytest.approx((0.1, 0.95))
    assert max(found)[0] == pytest.approx(1.0)
    assert found[29] == pytest.approx((1.0, 0.85))
    assert found[-1] == pytest.approx((0.001, 0.95))


def test_one_cycle_takes_the_optimiser_rate_and_may_leave_the_momentum_alone():
    schedule = OneCycle(momentum=False)
    assert max(rates(schedule)) == pytest.approx(LR, rel=1e-2)
    assert {m for _, m in course(schedule)} == {None}
    assert schedule.highest_momentum is None and OneCycle().highest_momentum == 0.95


def triangle(k):
    """Smith 2015 in closed form: 3 epochs of 5 updates up, as many down."""
    cycle = math.floor(1 + k / 30)
    return cycle, max(0.0, 1 - abs(k / 15 - 2 * cycle + 1))


#: schedules and their closed forms: the rate of update k
FORMULAS = {
    "exponential": (Exponential(0.9), lambda k: LR * 0.9 ** (k / 5)),
    "exponential, every": (Exponential(0.5, every=2), lambda k: LR * 0.5 ** (k / 10)),
    "exponential, staircase": (Exponential(0.9, staircase=True), lambda k: LR * 0.9 ** (k // 5)),
    "inverse_time": (InverseTime(0.5), lambda k: LR / (1 + 0.5 * k / 5)),
    "inverse_time, staircase": (InverseTime(2, 3, staircase=True), lambda k: LR / (1 + 2 * (k // 15))),
    "polynomial": (Polynomial(), lambda k: LR * (1 - k / 60)),
    "polynomial, 2": (Polynomial(2, 0.05), lambda k: 0.05 + 0.15 * (1 - k / 60) ** 2),
    "cosine_restarts": (
        CosineRestarts(4, minimum=0.02),
        lambda k: 0.02 + 0.18 * (1 + math.cos(math.pi * (k % 20) / 20)) / 2,
    ),
    "cosine_restarts, 2": (
        CosineRestarts(1, 2, decay=0.5),
        lambda k: next(
            LR * 0.5**i * (1 + math.cos(math.pi * (k - 5 * (2**i - 1)) / (5 * 2**i))) / 2
            for i in range(9)
            if k < 5 * (2 ** (i + 1) - 1)
        ),
    ),
    "cyclical": (Cyclical(0.01, 0.1, 3), lambda k: 0.01 + 0.09 * triangle(k)[1]),
    "triangular2": (
        Cyclical(0.01, 0.1, 3, mode="triangular2"),
        lambda k: 0.01 + 0.09 * triangle(k)[1] / 2 ** (triangle(k)[0] - 1),
    ),
    "exp_range": (
        Cyclical(0.01, 0.1, 3, mode="exp_range", gamma=0.98),
        lambda k: 0.01 + 0.09 * triangle(k)[1] * 0.98**k,
    ),
    "one after the other": (
        Pieces((ConstantRate(epochs=2), Polynomial(epochs=4, lr=0.1), Cosine(warmup=1, lr=0.4))),
        lambda k: (
            LR
            if k < 10
            else 0.1 * (1 - (k - 10) / 20)
            if k < 30
            else 0.4 * (k - 29) / 5
            if k < 35
            else 0.2 * (1 + math.cos(math.pi * (k - 35) / 25))
        ),
    ),
    "warm-up of a step": (
        StepDecay(every=3, warmup=2),
        lambda k: LR * (k + 1) / 10 if k < 10 else LR * 0.1 ** ((k - 10) // 15),
    ),
    "warm-up of a cycle": (
        Cyclical(0.01, 0.1, 3, warmup=1),
        lambda k: 0.01 * (k + 1) / 5 if k < 5 else 0.01 + 0.09 * triangle(k - 5)[1],
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_equals_the_closed_form(name):
    schedule, formula = FORMULAS[name]
    assert rates(schedule) == pytest.approx([formula(k) for k in range(EPOCHS * PER_EPOCH)], rel=1e-9)


def test_the_momentum_of_a_cycle_goes_the_other_way():
    found = [m for _, m in course(Cyclical(0.08, 0.8, 3, momentum=(0.95, 0.85)))]
    assert found == pytest.approx([0.95 - 0.1 * triangle(k)[1] for k in range(60)])
    assert {m for _, m in course(Cyclical(0.1, 0.2, momentum=False))} == {None}
    assert Cyclical(0.1, 0.2).highest_momentum == 0.9
    assert Pieces((ConstantRate(epochs=1), OneCycle())).highest_momentum == 0.95


def plateaus(schedule, losses):
    """The rate of every epoch, where the losses of those before it are known."""
    signs = {"loss": -1}
    return [
        schedule.at(LR, Clock(5 * k, 5 * len(losses), 5, [{"loss": x} for x in losses[:k]], signs))[0]
        for k in range(len(losses))
    ]


LOSSES = [3, 2, 2.5, 2.2, 2.1, 1.9, 1.95, 1.91, 1.92, 1.9, 1.8, 1.85]


def test_plateau_is_keras_rule():
    expected, rate, best, wait = [], LR, math.inf, 0
    for loss in LOSSES:
        expected.append(rate)
        if loss < best - 1e-4:
            best, wait = loss, 0
        else:
            wait += 1
            if wait >= 2:
                rate, wait = max(rate * 0.5, 0.06), 0
    assert plateaus(Plateau(0.5, 2, minimum=0.06), LOSSES) == expected and len(set(expected)) == 3


def test_a_plateau_of_a_list_sees_its_own_epochs_alone():
    whole = plateaus(Pieces((ConstantRate(epochs=2), Plateau(0.5, 2))), LOSSES)
    assert whole[2:] == plateaus(Plateau(0.5, 2), LOSSES[2:])


@pytest.mark.parametrize("schedule", [Cosine(), Cosine(warmup=1), OneCycle(peak=0.1), OneCycle(rise=1.0)])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_very_short_runs(schedule, steps):
    for step in range(steps):
        lr, _ = schedule.at(LR, Clock(step, steps, 1))
        assert math.isfinite(lr) and lr >= 0


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("step", {}, "takes either every"),
        ("step", {"every": 2, "milestones": [3]}, "takes either every"),
        ("step", {"milestones": 3}, "milestones is a list of whole epochs from 1"),
        ("step", {"milestones": []}, "milestones is a list of whole epochs from 1"),
        ("step", {"milestones": [0, 3]}, "milestones is a list of whole epochs from 1"),
        ("step", {"every": 1.5}, "every must be a whole number of epochs from 1, not 1.5"),
        ("step", {"every": 0}, "every must be a whole number of epochs from 1, not 0"),
        ("step", {"every": 1, "factor": 0}, "factor must be a number above 0"),
        ("step", {"milestones": [5, 3]}, "ascending"),
        ("step", {"milestones": [3, 3]}, "each of them once"),
        ("cosine", {"warmup": -1}, "warmup must be a number from 0"),
        ("one_cycle", {"momentum": 0.9}, "two numbers"),
        ("one_cycle", {"momentum": (0.9, 1.5)}, "two numbers"),
        ("one_cycle", {"peak": "high"}, "peak must be a number above 0"),
        ("one_cycle", {"peak": 0}, "peak must be a number above 0"),
        ("one_cycle", {"rise": 2}, "rise must be a number from 0.0 to 1.0"),
        ("one_cycle", {"peak": 2, "lr": 1}, "peak is what lr would say"),
        ("exponential", {"rate": 2}, "rate must be a number above 0, 1 at most, not 2"),
        ("exponential", {"rate": 0.5, "staircase": 1}, "staircase must be true or false"),
        ("exponential", {"rate": 0}, "rate must be a number above 0"),
        ("inverse_time", {"rate": -1}, "rate must be a number above 0"),
        ("cosine_restarts", {"first": 0}, "first must be a number from 1e-06"),
        ("cosine_restarts", {"first": 1, "factor": 0.5}, "factor must be a number from 1"),
        ("cyclical", {"low": 2, "high": 1}, "low = 2 is above high = 1"),
        ("cyclical", {"low": 0, "high": 0}, "high must be a number above 0"),
        ("cyclical", {"low": 1, "high": 2, "lr": 1}, "lr is what its own settings say"),
        ("cyclical", {"low": 1, "high": 2, "mode": "square"}, "mode must be one of triangular"),
        ("cyclical", {"low": 1, "high": 2, "gamma": 0.5}, "gamma is for mode = exp_range"),
        ("cyclical", {"low": 1, "high": 2, "down": 0}, "down must be a number from 1e-06 up"),
        ("cyclical", {"low": 1, "high": 2, "momentum": 0.9}, "two numbers"),
        ("plateau", {"patience": 0}, "patience must be a whole number of epochs from 1"),
        ("plateau", {"factor": 1}, "factor must be a number above 0, 0.999999 at most, not 1"),
        ("plateau", {"metric": 3}, "metric is the name of a value"),
        ("constant", {"lr": -1}, "lr must be a number above 0"),
        ("constant", {"lr": 0}, "lr must be a number above 0"),
        ("constant", {"epochs": 0}, "epochs must be a whole number from 1"),
    ],
)
def test_wrong_settings(name, settings, message):
    with pytest.raises(ValueError, match=message):
        SCHEDULES[name](**settings)


TOO_LONG = [
    ((ConstantRate(), Cosine()), "says how long each lasts but the last"),
    ((ConstantRate(epochs=10), Cosine()), "have 10 epochs in all, the training has 10: none is left"),
    ((ConstantRate(epochs=3), Cosine(epochs=5)), "have 8 epochs in all, the training has 10"),
    (
        (ConstantRate(epochs=3), Cosine(warmup=8)),
        "warmup = 8 is longer than the training, which has 7 epochs",
    ),
    ((ConstantRate(epochs=3), Cosine(minimum=1)), "minimum = 1 is above the optimiser's learning rate, 0.2"),
]


@pytest.mark.parametrize(("pieces", "message"), TOO_LONG)
def test_lists_that_do_not_fit(pieces, message):
    with pytest.raises(ValueError, match=message):
        Pieces(pieces).check(LR, 10)


def test_a_length_is_for_lists():
    with pytest.raises(ValueError, match="epochs is for a list of schedules"):
        Cosine(epochs=3).check(LR, 10)
    assert "never restarts" in CosineRestarts(10).doubt(10)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("schedule", "make", "each"),
    [
        (Exponential(0.9, staircase=True), lambda s, o: s.ExponentialLR(o, 0.9), "epoch"),
        (Exponential(0.9), lambda s, o: s.ExponentialLR(o, 0.9 ** (1 / 5)), "step"),
        (Polynomial(2), lambda s, o: s.PolynomialLR(o, 60, 2), "step"),
        (CosineRestarts(4, minimum=0.01), lambda s, o: s.CosineAnnealingWarmRestarts(o, 20, 1, 0.01), "step"),
        (CosineRestarts(1, 2), lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 2), "step"),
        *(
            (
                Cyclical(0.08, 0.8, 2, 1, mode, gamma, (0.95, 0.85)),
                lambda s, o, m=mode, g=gamma: s.CyclicLR(
                    o, 0.08, 0.8, 10, 5, m, g, base_momentum=0.85, max_momentum=0.95
                ),
                "step",
            )
            for mode, gamma in (("triangular", 1.0), ("triangular2", 1.0), ("exp_range", 0.97))
        ),
        (
            Cosine(warmup=2),
            lambda s, o: s.SequentialLR(
                o, [s.LinearLR(o, 0.1, 1.0, 9), s.CosineAnnealingLR(o, 50)], milestones=[10]
            ),
            "step",
        ),
        (
            Pieces((ConstantRate(epochs=4), StepDecay(every=2, factor=0.5))),
            lambda s, o: s.SequentialLR(o, [s.ConstantLR(o, 1.0), s.StepLR(o, 2, 0.5)], milestones=[4]),
            "epoch",
        ),
    ],
)
def test_equals_pytorch(schedule, make, each):
    expected, found = pytorch(make, each), course(schedule)
    assert [lr for lr, _ in found] == pytest.approx([lr for lr, _ in expected], rel=1e-9)
    if found[0][1] is not None:
        assert [m for _, m in found] == pytest.approx([m for _, m in expected], rel=1e-9)


@pytest.mark.torch
def test_plateau_equals_pytorch():
    """Which lowers the rate after one bad epoch more than its patience."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], LR)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=1, threshold=1e-4, threshold_mode="abs", min_lr=0.06, eps=0
    )
    expected = []
    for loss in LOSSES:
        expected.append(optimizer.param_groups[0]["lr"])
        scheduler.step(loss)
    assert plateaus(Plateau(0.5, 2, minimum=0.06), LOSSES) == pytest.approx(expected)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("schedule", "name", "settings"),
    [
        (Cosine(minimum=0.01), "cosine_lr.CosineLRScheduler", {"t_initial": 60, "lr_min": 0.01}),
        (
            CosineRestarts(2, 2, decay=0.5, minimum=0.001),
            "cosine_lr.CosineLRScheduler",
            {"t_initial": 10, "cycle_mul": 2, "cycle_decay": 0.5, "cycle_limit": 9, "lr_min": 0.001},
        ),
        (Polynomial(2), "poly_lr.PolyLRScheduler", {"t_initial": 60, "power": 2}),
        (StepDecay(every=3, factor=0.3), "step_lr.StepLRScheduler", {"decay_t": 15, "decay_rate": 0.3}),
    ],
)
def test_equals_timm(schedule, name, settings):
    torch = pytest.importorskip("torch")
    module, _, kind = name.partition(".")
    made = getattr(timm_module(f"scheduler.{module}"), kind)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], LR)
    scheduler, expected = made(optimizer, t_in_epochs=False, **settings), []
    for k in range(60):
        scheduler.step_update(k)
        expected.append(optimizer.param_groups[0]["lr"])
    assert rates(schedule) == pytest.approx(expected, rel=1e-6)


PLATEAU = TEXT.replace("  epochs = 3", "  schedule = plateau(metric = METRIC)\n  epochs = 3")


@pytest.mark.parametrize(
    ("metric", "data", "message"),
    [
        ("acuracy", {}, "schedule watches acuracy, which is no value .*did you mean accuracy"),
        ("loss", {"validation": 0}, "schedule watches the validation set, and there is none"),
    ],
)
def test_a_plateau_of_nothing_is_refused(metric, data, message):
    with pytest.raises(NetError, match=re.compile(message, re.DOTALL)):
        training_sections(network(text=PLATEAU.replace("METRIC", metric)), plan(**data))
