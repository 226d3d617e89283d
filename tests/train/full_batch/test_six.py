"""Six problems: SciPy's optimum, in no more than 1.2 times its evaluations."""

import pytest

from tests.train.full_batch.minimise import minimise
from tests.train.full_batch.nets import learner_of, method_of, train
from tests.train.full_batch.peers import PAIRS, scipy_on
from tests.train.full_batch.problems import SIX, SQUARES, Plain

CASES = [
    (problem, method)
    for problem in SIX
    for method in PAIRS
    if problem.residuals or method != "levenberg_marquardt"
]
CASES += [(problem, "levenberg_marquardt") for problem in SQUARES]
IDS = [f"{problem}-{method}" for problem, method in CASES]


@pytest.mark.parametrize(("problem", "text"), CASES, ids=IDS)
def test_functions_in_float64(problem, text):
    f = Plain(problem)
    found = minimise(f, problem.start, method_of(problem, text))
    value, evaluations = scipy_on(problem.name, PAIRS[text])
    assert found.ended and found.point.value <= value + 1e-6 * (1 + value)
    assert f.evaluations <= 1.2 * evaluations


def slow(problem, text):
    """Whether a network is left out of the default run; formulas of `cg` differ in a line of float64."""
    formula = text.startswith("cg") and "polak" not in text
    return formula or problem.name in ("softmax", "decision", "linear") or (problem.name, text) in SLOWEST


#: by products, which the logistic regression shows too
SLOWEST = [("rosenbrock", "newton(solve = cg)"), ("fit", "newton(solve = cg)")]
NETWORKS = [
    pytest.param(problem, text, marks=[pytest.mark.slow] * slow(problem, text), id=f"{problem}-{text}")
    for problem, text in CASES
]


@pytest.mark.parametrize(("problem", "text"), NETWORKS)
def test_networks_in_float32(problem, text):
    learner, batch = learner_of(problem, method_of(problem, text))
    value, evaluations = scipy_on(problem.name, PAIRS[text])
    assert train(learner, batch) <= value + 1e-6 * (1 + value)
    assert learner.memory.ended
    assert learner.work()["evaluations"] <= 1.2 * evaluations
