"""Whatever a text says, it is a network or a `NetError`; and fuzzing finds what is there."""

import pytest

from netdsl.elaborate import elaborate, elaborate_each
from netdsl.ops import BY_NAME
from netdsl.source import NetError, Source
from tests.hostile import fuzz
from tests.hostile.corpus import corpus

HEAD = "net N {{ input x: [4]\n l = [1, 2]\n a[0] = 1\n {} \n output y = x -> dense(3) }}\n{}"


def message(statement="", section=""):
    with pytest.raises(NetError) as caught:
        elaborate(Source("a.net", HEAD.format(statement, section)))
    return caught.value.diagnostics[0].message


@pytest.mark.parametrize(
    "statement, expected",
    [
        ("z = l[relu]", "the function relu is no index"),
        ("z = l[[]]", "a list is no index"),
        ("z = l[[0]]", "a list is no index"),
        ("z = a[relu]", "the function relu is no index"),
        ("z = a[[]]", "a list is no index"),
        ("z = a[(0, [1])]", "a tuple is no index"),
        ("z = a[none]", "none is no index"),
        ("a[relu] = 1", "the function relu is no index"),
        ("a[(1, relu)] = 1", "a tuple is no index"),
        ("z = l[true]", "an index is an integer, not true"),
        ("z = range(2 ** 100)", "range has more than 100_000 items"),
        ("z = range(0, 2 ** 100)", "range has more than 100_000 items"),
        ("z = range(0, 2 ** 100, -1) + range(2 ** 100, 0, 2 ** 90)", None),
        ("z = int([1, 2])", "int takes one number, not a list"),
        ("z = round((1, 2))", "round takes one number, not a tuple"),
        ("z = ceil()", "ceil takes one number, not nothing"),
        ("z = floor(1, 2)", "floor takes one number, not 1, 2"),
        ("z = abs(1, 2)", "abs takes one number, not 1, 2"),
        ("z = abs(true)", "abs takes one number, not true"),
        ("z = sum([1e308, 1e308])", "sum makes a number that is too large"),
        ("n = 2 ** 400 * 2 ** 400 * 2 ** 223; z = (n - 1 + n) ** -1", "** makes a number that is too large"),
        ("z = x -> dense(3) @lr(1e300)", "@lr takes a number from 0 to 3.40e+38, not 1e+300"),
        ("for i in 0..2 ** 100 { z = x -> relu }", None),
        ("for i in 2 ** 100..0 { z = foo }", None),
        ("z = x -> repeat 2 ** 100 { in }", None),
    ],
)
def test_settings(statement, expected):
    text = HEAD.format(statement, "")
    if expected is None:
        try:
            elaborate(Source("a.net", text))
        except NetError as error:
            assert error.diagnostics[0].code in ("limit", "type", "name")
    else:
        assert message(statement) == expected


@pytest.mark.parametrize(
    "claim, expected",
    [
        ("params / 0", "/ divides by zero"),
        ('"a" > 1', '> compares numbers, not "a" and 1'),
        ("params", "a claim takes true or false, not 15"),
        ("params + 1 > relu", "> takes tensors and numbers, not the function relu"),
        ("params == 15 and params == 16", "expected params == 16"),
        ("params == 15 and foo == 1", "no name is called foo"),
        ("params == 15 or params", None),
        ("y == 1", "a claim is computed while compiling and cannot depend on a tensor's values"),
    ],
)
def test_claims(claim, expected):
    if expected is None:
        elaborate(Source("a.net", HEAD.format("", f"expect {{ {claim} }}")))
    else:
        assert message(section=f"expect {{ {claim} }}") == expected


@pytest.mark.parametrize("name", sorted(n for n, op in BY_NAME.items() if op.operands == 1))
def test_a_loss_is_fed_to_every_op(name):
    """A single value has no samples: an op that needs them says so, or says what else is wrong."""
    for settings in ("", "(1)", "(2, 2)", "([1])", "([-1])"):
        text = HEAD.format("", f"train {{ loss = cross_entropy(y, label) -> {name}{settings} }}")
        try:
            elaborate(Source("a.net", text))
        except NetError as error:
            assert "rank -1" not in str(error)


def test_abs_of_a_setting_is_a_setting():
    head = "net N { input x: [4]\n output y = x -> dense(abs(2 - 5)) -> abs\n"
    text = head + " output z = abs(x); output w = abs(x + 1) }"
    graph = elaborate(Source("a.net", text)).graph
    assert graph.type(graph.outputs["y"]).shape == (1, 3) and sum(n.op.name == "abs" for n in graph) == 3


def test_a_loss_is_no_sample():
    for step in (
        "flatten",
        "dense(3)",
        "reshape(1)",
        "channel_shuffle(1)",
        "upsample(2)",
        "apl",
        "spatial_dropout",
    ):
        name = step.partition("(")[0]
        section = f"train {{ loss = cross_entropy(y, label) -> {step} }}"
        assert message(section=section) == f"{name} takes samples, not a single value"


def test_the_corpus_is_mostly_well_formed():
    """Mutations of texts that are refused anyway would reach little."""
    good = 0
    for source in corpus():
        try:
            good += len(list(elaborate_each(source, [None])))
        except NetError:
            continue
    assert good > 120


def test_fuzzing_finds_nothing():
    found = fuzz.fuzz(seed=0, seconds=4, runs=150)
    assert found.tried > 0 and not found.failures, found.failures


def test_fuzzing_finds_what_is_there(monkeypatch):
    def broken(source):
        if "relu" in source.text:
            raise KeyError("relu")

    monkeypatch.setattr(fuzz, "_build", broken)
    found = fuzz.fuzz(seed=0, seconds=20, runs=60)
    assert [place.split(" at ")[0] for place in found.failures] == ["KeyError"]
