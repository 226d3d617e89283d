"""The checks notice what is wrong in kernels in use, or the numbers do: every change of one instruction."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")

from tests.cuda.mutants import CASES, Case

#: what a check must name: the numbers may be right by chance of the order here
CHECKED = ("barrier dropped", "wait for copies dropped")


def caught(name: str, every: int) -> Counter[tuple[str, str]]:
    """Outcomes of a part of the mutants, by kind."""
    case = Case(name)
    return Counter(
        (m.kind, case.outcome(m)) for m in itertools.islice(case.mutants(), every // 2, None, every)
    )


def assert_caught(found: Counter[tuple[str, str]]) -> None:
    """What synchronises is noticed by checks; of the rest few changes make no difference."""
    assert not [(kind, how) for kind, how in found if kind in CHECKED and how not in ("check", "")]
    missed = sum(n for (_, how), n in found.items() if how == "missed")
    assert missed <= 0.25 * found.total(), found


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_mutant(name):
    """Those that are missed compare equal keys, or read an equal number."""
    assert_caught(caught(name, 1))


@pytest.mark.emulated
def test_some_mutants():
    assert_caught(sum((caught(name, 61) for name in CASES), Counter()))


@pytest.mark.parametrize("name", ["map", "reduce rows", "scatter"])
def test_a_few_mutants(name):
    """Of kernels that are small: one with bounds, one with shuffles and barriers, one that loops."""
    found = caught(name, 2)
    assert_caught(found)
    assert sum(n for (_, how), n in found.items() if how in ("check", "numbers")) >= 3
