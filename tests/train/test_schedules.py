"""Schedules are functions of the step, equal to PyTorch's where it has them."""

import math

import pytest

from netdsl.train.schedules import SCHEDULES, Clock, ConstantRate, Cosine, OneCycle, StepDecay

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
        ("step", {"milestones": 3}, "takes either every"),
        ("step", {"every": 1.5}, "whole ones"),
        ("step", {"milestones": [5, 3]}, "ascending"),
        ("cosine", {"warmup": -1}, "warmup must be from 0"),
        ("one_cycle", {"momentum": 0.9}, "two numbers"),
        ("one_cycle", {"momentum": (0.9, 1.5)}, "two numbers"),
        ("one_cycle", {"peak": "high"}, "peak must be"),
        ("one_cycle", {"rise": 2}, "rise must be from 0.0 to 1.0"),
    ],
)
def test_wrong_settings(name, settings, message):
    with pytest.raises(ValueError, match=message):
        SCHEDULES[name](**settings)
