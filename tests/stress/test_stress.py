"""A small share of the stress runs; `python -m tests.stress.plans --count 5000` and its like are the rest."""

import pytest

from tests.stress.survive import survey


def clean(found):
    return {status: notes for status, notes in found.items() if status not in ("right", "degenerate")}


SHARES = [range(30), pytest.param(range(30, 330), marks=pytest.mark.slow)]


@pytest.mark.parametrize("seeds", SHARES, ids=str)
def test_extreme_plans_are_right(seeds):
    found = survey("tests.stress.plans", seeds)
    assert clean(found) == {}
    assert len(found["right"]) == len(seeds)


@pytest.mark.torch
def test_random_networks_equal_pytorch():
    pytest.importorskip("torch", reason="needs the extra torch")
    found = survey("tests.stress.networks", range(60))
    assert clean(found) == {}
    assert len(found["right"]) > 40


def test_a_death_is_a_result():
    found = survey("tests.stress.dying", [1, 2, 3, 4])
    assert {k: [seed for seed, _ in v] for k, v in found.items()} == {
        "right": [1, 4],
        "fault": [2],
        "error": [3],
    }
    assert found["fault"] == [(2, "SIGSEGV")]
