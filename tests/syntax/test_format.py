import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.source import NetError, Source
from netdsl.syntax.format import WIDTH, format_source
from netdsl.syntax.parse import parse
from netdsl.syntax.read import read_source

HERE = Path(__file__).parent
PROGRAMS = sorted((HERE / "programs").glob("*.net"))


def formatted(text: str) -> str:
    return format_source(Source("case.net", text))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs_keep_tree_and_comments(path: Path):
    source = read_source(path)
    result = formatted(source.text)
    assert formatted(result) == result
    assert parse(Source("a", result)) == parse(source)
    comments = r"#[^\n]*"
    assert re.findall(comments, result) == [c.rstrip() for c in re.findall(comments, source.text)]
    assert max(map(len, result.splitlines())) <= WIDTH


def test_constructs_are_golden():
    result = format_source(read_source(HERE / "programs" / "constructs.net"))
    assert result == (HERE / "constructs.formatted").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("\n\n# only\n", "# only\n"),
        ("net A{}", "net A {}\n"),
        ("net A {\n\n}", "net A {}\n"),
        ("net A{x=1;y=-x**-2}", "net A { x = 1; y = -x**-2 }\n"),
        ("net A{x=1;\n\n\n\ny=2\n\n}\n\n", "net A {\n  x = 1\n\n  y = 2\n}\n"),
        ("net A\n{ x =\n 1 }", "net A { x = 1 }\n"),
        ("train{a=1\nlong = 2\n\nb=3}", "train {\n  a    = 1\n  long = 2\n\n  b = 3\n}\n"),
        ("net A { if a {\n1 }\nelse {2} }", "net A {\n  if a {\n    1\n  } else { 2 }\n}\n"),
        ("net A{ # c\n x = a ->\n f\n}", "net A {  # c\n  x = a\n    -> f\n}\n"),
        (
            "net A { x=4*c; y=4 * c; z=(a,)[0]; w=[1 , 2] }",
            "net A { x = 4*c; y = 4 * c; z = (a,)[0]; w = [1, 2] }\n",
        ),
        ("block B(a=1,) in x,y { f (x) @ t -> g[1] . h }", "block B(a = 1,) in x, y { f(x) @t -> g[1].h }\n"),
        ("block B { in->add{|a|b}->c }", "block B { in -> add { | a | b } -> c }\n"),
        ("block B { x = f(a,# one\n b) }", "block B {\n  x = f(\n    a,  # one\n    b\n  )\n}\n"),
        ("net A { for i in[1,2]{ x=in [0] } }", "net A { for i in [1, 2] { x = in[0] } }\n"),
    ],
)
def test_small_texts(text: str, expected: str):
    assert formatted(text) == expected
    assert formatted(expected) == expected


PAIR = "(12345678, 12345678)"
NUMBERS = """x = in
    -> gather([
      {}
    ])
    -> f"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # numbers and names fill lines, and a list that is alone in a call opens with it
        (
            f"x = in -> gather([{', '.join(['1234'] * 24)}]) -> f",
            NUMBERS.format(", ".join(["1234"] * 15) + ",\n      " + ", ".join(["1234"] * 9)),
        ),
        # tuples have a line each where the author had them all on one, and as many as fit where he did not
        (f"x = [{', '.join([PAIR] * 5)}]", "x = [\n    " + ",\n    ".join([PAIR] * 5) + "\n  ]"),
        (
            f"x = [\n{', '.join([PAIR] * 5)},\n(1, 2), (3, 4)]",
            f"x = [\n    {', '.join([PAIR] * 4)},\n    {PAIR},\n    (1, 2), (3, 4)\n  ]",
        ),
        ("x = [(1, 2),\n (3, 4)]", "x = [\n    (1, 2),\n    (3, 4)\n  ]"),
        ("x = f([\n1, 2,\n])", "x = f([\n    1, 2,\n  ])"),
        ("x = [ # first\n 1, 2]", "x = [  # first\n    1, 2\n  ]"),
        # an empty list at the bottom of brackets that fill the line
        (f"x = {'(' * 60}[]{')' * 60}", f"x = {'(' * 60}\n    []\n  {')' * 60}"),
    ],
)
def test_long_lists(text: str, expected: str):
    whole = f"net A {{\n  {expected}\n}}\n"
    assert formatted(f"net A {{\n{text}\n}}") == whole
    assert formatted(whole) == whole


def test_long_lines_break():
    steps = " -> ".join(f"conv({i}, 3, pad = same)" for i in range(8))
    items = ", ".join(f"name_{i} = {i}" for i in range(15))
    total = " + ".join(f"0.3 * cross_entropy(head{i}, label)" for i in range(5))
    result = formatted(f"net A {{ x = in -> {steps}; y = f({items}); z = {total} }}")
    assert result.splitlines()[:4] == [
        "net A {",
        "  x = in -> conv(0, 3, pad = same) -> conv(1, 3, pad = same) -> conv(2, 3, pad = same)",
        "    -> conv(3, 3, pad = same) -> conv(4, 3, pad = same) -> conv(5, 3, pad = same)",
        "    -> conv(6, 3, pad = same) -> conv(7, 3, pad = same)",
    ]
    assert max(map(len, result.splitlines())) <= WIDTH
    assert formatted(result) == result


def test_broken_sources_are_diagnosed():
    with pytest.raises(NetError):
        formatted("net A {")


# Random programs: texts with marks where blanks (~), line ends (^) and statement ends ($) may be chosen.

names = st.sampled_from(["x", "relu", "conv", "a_rather_long_name_for_an_op", "data", "where", "skip"])
atoms = names | st.sampled_from(["1", "0.5", "1e-4", "61_706", '"a # b"', "true", "none", "in", "[]"])


def _expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "==", "<", " and ", " or "])
    arguments = st.lists(inner, max_size=4).map(lambda items: "(^" + "^~,^".join(items) + "^)")
    return st.one_of(
        st.tuples(inner, operator, inner).map(lambda p: f"({p[0]}~{p[1]}~{p[2]})"),
        st.tuples(names, arguments).map("".join),
        st.tuples(names, inner, inner).map(lambda p: f"{p[0]}(^{p[1]},^k~=~{p[2]})"),
        st.tuples(inner, names, inner).map(
            lambda p: f"({p[0]}|^->~{p[1]}|^->~f({p[2]})~@t)".replace("|", "")
        ),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: "[^" + ",^".join(items) + "^]"),
        inner.map(lambda e: f"-{e}"),
        inner.map(lambda e: f"(not {e})"),
        st.tuples(names, inner).map(lambda p: f"{p[0]}[{p[1]}].y"),
    )


expressions = st.recursive(atoms, _expressions, max_leaves=8)
branches = st.lists(expressions, min_size=1, max_size=3).map(lambda items: "".join(f"&|~{e}" for e in items))
flows = st.one_of(
    expressions,
    st.tuples(expressions, st.lists(names, min_size=1, max_size=6)).map(
        lambda p: p[0] + "".join(f"&->~{step}" for step in p[1])
    ),
    st.tuples(names, branches).map(lambda p: f"in&->~add~{{{p[1]}~}}&->~{p[0]}"),
    st.tuples(expressions, expressions).map(lambda p: f"{p[0]} if {p[1]}& else {p[0]}"),
)


def _bodies(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=3).map(lambda items: "{~" + "$".join(items) + "~}")
    return st.one_of(
        st.tuples(expressions, body, body).map(lambda p: f"if {p[0]}~{p[1]}& else {p[2]}"),
        st.tuples(expressions, body).map(lambda p: f"for i, j in {p[0]}~{p[1]}"),
        st.tuples(names, body).map(lambda p: f"y~=~x&->~repeat 3~{p[1]}&->~{p[0]}"),
    )


statements = st.recursive(
    st.one_of(flows, flows.map(lambda e: f"x[i]~=~{e}"), flows.map(lambda e: f"layer y~=~{e}")),
    _bodies,
    max_leaves=6,
)
programs = st.lists(statements, max_size=5).map(
    lambda items: "net A~{~" + "$".join(items) + "~}$train~{ loss~=~1$epochs = 2~}"
)
CHOICES = {
    "~": ["", " ", "  "],
    "^": ["", "", "", " ", "\n", "\n\n  ", "# (in\n"],
    "&": [" ", " ", "\n", " # it's\n", "\n\n# a\n\n"],
    "$": ["\n", "\n\n\n", "; ", ";\n", " # c\n# d\n", "\n\n# e\n\n"],
}


def written(program: str, random: Random) -> str:
    """The program with blanks and line ends chosen; the marks within strings are none."""
    return "".join(random.choice(CHOICES[char]) if char in CHOICES else char for char in program)


@settings(max_examples=80)
@given(programs, st.integers(0, 2**32))
def test_random_programs(program: str, seed: int):
    text = written(program, Random(seed))
    tree = parse(Source("a.net", text))
    result = formatted(text)
    assert parse(Source("b.net", result)) == tree
    assert formatted(result) == result
    assert result.count("#") == text.count("#")
