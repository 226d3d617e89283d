"""Walks over expressions: sharing is kept, and nothing is left for the garbage collector."""

import gc

import pytest

from netdsl.passes.affine import affine
from netdsl.passes.expressions import simplified
from netdsl.scalar import Arg, Index, Unary, Uniform, derivative, dtype_of, exp, substitute, walk, where

X, Y = Arg(0), Arg(1)
SHARED = exp(X * 2.0)
E = where(X > 0.0, SHARED + 1.0, SHARED * Y) + Uniform(0, Unary("int", Y)) * Index(0)


def test_what_is_not_replaced_stays_the_same_object():
    assert substitute(E, lambda _: None) is E
    new = substitute(E, lambda x: Arg(7) if x is Y else None)
    assert new != E and sum(x is SHARED for x in walk(new)) == 1
    assert substitute(new, lambda x: Y if x == Arg(7) else None) == E


def test_a_shared_part_is_replaced_once():
    new = substitute(E, lambda x: Arg(5) if x is X else None)
    assert len(walk(new)) == len(walk(E))


@pytest.mark.parametrize(
    "work",
    [
        lambda: walk(E),
        lambda: substitute(E, lambda x: Arg(3) if x == X else None),
        lambda: dtype_of(E, ("f32", "f32")),
        lambda: derivative(E, 0, Arg(2)),
        lambda: affine(X * Y + 2.0, 0),
        lambda: simplified.__wrapped__(E, ("f32", "f32")),
    ],
    ids=["walk", "substitute", "dtype_of", "derivative", "affine", "simplified"],
)
def test_no_walk_leaves_a_cycle_of_objects(work):
    def left():
        work()
        gc.collect()
        work()
        return gc.collect()

    # What other tests have left may end in between, but not every time.
    assert min(left() for _ in range(3)) == 0
