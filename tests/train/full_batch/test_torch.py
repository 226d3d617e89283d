"""L-BFGS against PyTorch's, iterate by iterate."""

from itertools import islice

import numpy as np
import pytest

from netdsl.train.full_batch.lbfgs import Lbfgs
from netdsl.train.turn import Turn
from tests.train.full_batch.minimise import iterates
from tests.train.full_batch.nets import learner_of, vector
from tests.train.full_batch.problems import SIX, Plain

pytestmark = pytest.mark.torch
STEPS = 15


def theirs(problem, line_search, history, steps):
    """PyTorch's iterates in float64."""
    torch = pytest.importorskip("torch")
    x = torch.nn.Parameter(torch.tensor(problem.start))
    lr = 1 if line_search else 0.1
    optimizer = torch.optim.LBFGS(
        [x], lr=lr, max_iter=1, max_eval=26, tolerance_grad=0, tolerance_change=0, history_size=history,
        line_search_fn=line_search,
    )  # fmt: skip

    def closure():
        value, gradient = problem.value(x.detach().numpy())
        x.grad = torch.tensor(gradient)
        return torch.tensor(value)

    found = []
    for _ in range(steps):
        optimizer.step(closure)
        found.append(x.detach().numpy().copy())
    return np.array(found)


@pytest.mark.parametrize("history", [10, 3])
@pytest.mark.parametrize("problem", SIX, ids=str)
def test_strong_wolfe_in_float64(problem, history):
    method = Lbfgs(history=history, tolerance=0.0)
    ours = [p.x for p, _ in islice(iterates(Plain(problem), problem.start, method), STEPS)]
    expected = theirs(problem, "strong_wolfe", history, len(ours))
    assert len(ours) >= 8
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("problem", SIX[1:5], ids=str)
def test_fixed_steps_in_float64(problem):
    method = Lbfgs(lr=0.1, line_search=None, tolerance=0.0)
    ours = [p.x for p, _ in islice(iterates(Plain(problem), problem.start, method), STEPS)]
    np.testing.assert_allclose(ours, theirs(problem, None, 10, STEPS), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("problem", SIX, ids=str)
def test_networks_in_float32(problem):
    learner, batch = learner_of(problem, Lbfgs(tolerance=0.0))
    ours = []
    for number in range(8):
        learner.step(batch, Turn(number, number, 1.0))
        ours.append(vector(learner))
    np.testing.assert_allclose(ours, theirs(problem, "strong_wolfe", 10, 8), rtol=2e-3, atol=2e-4)
