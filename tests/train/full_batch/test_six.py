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


#: formulas of conjugate gradients differ in a line of float64
SLOW = [text for text in PAIRS if text.startswith("cg") and "polak" not in text]
NETWORKS = [
    pytest.param(problem, text, marks=[pytest.mark.slow] * (text in SLOW), id=f"{problem}-{text}")
    for problem, text in CASES
]


@pytest.mark.parametrize(("problem", "text"), NETWORKS)
def test_networks_in_float32(problem, text):
    learner, batch = learner_of(problem, method_of(problem, text))
    value, evaluations = scipy_on(problem.name, PAIRS[text])
    assert train(learner, batch) <= value + 1e-6 * (1 + value)
    assert learner.memory.ended
    assert learner.work()["evaluations"] <= 1.2 * evaluations
