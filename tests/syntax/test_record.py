"""What the classes of the tree have in common."""

import pytest

from netdsl.source import Source, Span
from netdsl.syntax import tree as t

SOURCE = Source("case.net", "a + a")
LEFT, RIGHT = Span(SOURCE, 0, 1), Span(SOURCE, 4, 5)


def test_equal_wherever_they_stand():
    a, b = t.Name("a", span=LEFT), t.Name("a", span=RIGHT)
    assert a == b and hash(a) == hash(b)
    assert a != t.Name("b", span=LEFT) and a != "a"
    assert t.Evaluate(a, span=LEFT) != t.Claim(a, span=LEFT)


def test_repr_names_the_class_and_its_fields():
    assert repr(t.Unary("-", t.Name("a", span=LEFT), span=LEFT)) == "Unary(op='-', operand=Name(id='a'))"


def test_fields_are_those_of_the_class_and_its_bases_and_all_are_needed():
    assert t.In(span=LEFT).span is LEFT
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        t.Unary("-", span=LEFT)
    with pytest.raises(ValueError, match="argument 2 is longer"):
        t.In(1, span=LEFT)


def test_nothing_can_be_assigned():
    with pytest.raises(AttributeError, match=r"Name\.id cannot be assigned"):
        t.Name("a", span=LEFT).id = "b"
