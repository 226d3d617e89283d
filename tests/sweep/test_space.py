"""What `--set NAME=VALUES` of a sweep means."""

import collections

import pytest

from netdsl.sweep.space import MOST, axis, trials


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("16,32,64", ["16", "32", "64"]),
        ("32..512", ["32", "64", "128", "256", "512"]),
        ("0.001..1", ["0.001", "0.01", "0.1", "1"]),
        ("0.1..0.8", ["0.1", "0.2", "0.4", "0.8"]),
        ("1_000..4_000", ["1000", "2000", "4000"]),
        ("8, 32..128, 8", ["8", "32", "64", "128"]),
        ("sgd(lr = 0.1, momentum = 0.9),adam", ["sgd(lr = 0.1, momentum = 0.9)", "adam"]),
        ('[flip, shift(1)],none,"a,b"', ["[flip, shift(1)]", "none", '"a,b"']),
        ("true", ["true"]),
    ],
)
def test_values(text, values):
    assert list(axis("x", text, ranges=False).values) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,,2", "x has a value that is empty"),
        ("32..500", "32..256 would, and --random draws numbers from 32 to 500"),
        ("8..8", "does not go up from a number above 0"),
        ("0..8", "lo..hi doubles, as 32..512 does"),
    ],
)
def test_what_makes_no_sense_is_told(text, message):
    with pytest.raises(ValueError, match=message):
        axis("x", text, ranges=False)
    if text != "8..8":
        return
    with pytest.raises(ValueError, match="begins where it ends"):
        axis("x", text, ranges=True)


def test_a_grid_has_every_combination_once():
    axes = [axis("a", "1..4", ranges=False), axis("b", "x,y", ranges=False)]
    assert [tuple(t.values()) for t in trials(axes, None, 0)] == [
        ("1", "x"),
        ("1", "y"),
        ("2", "x"),
        ("2", "y"),
        ("4", "x"),
        ("4", "y"),
    ]
    with pytest.raises(ValueError, match="combinations are more than"):
        trials([axis(str(k), "1..1024", ranges=False) for k in range(4)], None, 0)


def draws(text, count, seed=0):
    return [t["x"] for t in trials([axis("x", text, ranges=True)], count, seed)]


def test_draws_are_different_and_follow_the_seed():
    once = draws("1..1000", 50)
    assert once == draws("1..1000", 50) != draws("1..1000", 50, seed=1) and len({*once}) == 50
    assert sorted(draws("1..5", 5), key=int) == ["1", "2", "3", "4", "5"]
    for count, text in ((6, "1..5"), (3, "a,b"), (MOST + 1, "0.1..1")):
        with pytest.raises(ValueError, match="can be drawn, not"):
            draws(text, count)


def test_over_decades_draws_are_even_by_their_logarithm():
    found = collections.Counter(int(float(x) >= 0.1) + int(float(x) >= 0.01) for x in draws("0.001..1", 900))
    assert all(abs(n - 300) < 60 for n in found.values()) and len(found) == 3
    low = sum(float(x) < 1.5 for x in draws("1..2.0", 900))
    assert abs(low - 450) < 70
    whole = collections.Counter(len(x) for x in draws("1_000..999_999", 900))
    assert all(abs(whole[k] - 300) < 60 for k in (4, 5, 6))
