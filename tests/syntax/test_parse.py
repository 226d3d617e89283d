import time
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.limits import MAX_NESTING, MAX_SOURCE_SIZE
from netdsl.source import NetError, Source
from netdsl.syntax import tree as t
from netdsl.syntax.parse import parse
from netdsl.syntax.read import read_source
from tests.markdown_cases import run_cases

HERE = Path(__file__).parent
PROGRAMS = sorted((HERE / "programs").glob("*.net"))


def parse_text(text: str) -> t.File:
    return parse(Source("case.net", text))


def expression(text: str) -> t.Expr:
    (statement,) = parse_text(f"block B {{ {text} }}").blocks["B"].body
    assert isinstance(statement, t.Evaluate)
    return statement.value


def show(node: t.Node, depth: int = 0) -> str:
    """The tree as indented text: class, plain fields, then what is below."""
    plain = [repr(v) for k, v in vars(node).items() if k != "span" and not isinstance(v, (t.Node, tuple))]
    line = "  " * depth + " ".join([type(node).__name__, *plain])
    return "\n".join([line, *(show(child, depth + 1) for child in node.children)])


def diagnostics(source: Source) -> str:
    with pytest.raises(NetError) as caught:
        parse(source)
    return str(caught.value)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs_parse(path: Path):
    file = parse(read_source(path))
    for node in file.walk():
        assert 0 <= node.span.start <= node.span.end <= len(node.span.source.text)


def test_tree_of_resnet_is_golden():
    shown = show(parse(read_source(HERE / "programs" / "resnet50.net"))) + "\n"
    assert shown == (HERE / "resnet50.tree").read_text(encoding="utf-8")


def test_diagnostics_are_golden():
    run_cases(HERE / "errors.md", diagnostics)


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("a + b * c ** d", "a + (b * (c ** d))"),
        ("-a ** b", "-(a ** b)"),
        ("a ** -b ** c", "a ** (-(b ** c))"),
        ("a - b - c", "(a - b) - c"),
        ("a or b and not c == d + e", "a or (b and (not (c == (d + e))))"),
        ("a + b -> f -> g", "(a + b) -> f -> g"),
        ("a -> f if c else d -> g", "(a -> f) if c else (d -> g)"),
        ("a if b else c if d else e", "a if b else (c if d else e)"),
        ("-a * b % c // d / e", "((((-a) * b) % c) // d) / e"),
        ("a\n\n  # c\n\n -> f", "a -> f"),
        ("(a\n + b # c\n)", "a + b"),
        ("f(a,\n\n b,)", "f(a, b)"),
        ("a -> f(1) @x @y(2)", "a -> (f(1) @x @y(2))"),
    ],
)
def test_precedence_and_layout(text: str, same_as: str):
    assert expression(text) == expression(same_as)


def test_numbers_are_exact():
    values = [expression(text).value for text in ("61_706", "9" * 100, "1e-4", "2.5", '"a\\n\\"b"', "none")]
    assert values == [61706, int("9" * 100), 1e-4, 2.5, 'a\n"b', None]
    assert expression("1") != expression("1.0")
    assert expression("1") != expression("true")


def test_words_that_are_not_reserved_can_be_names():
    assert expression("where(data, as, train.eval, expect = inputs)") is not None


def test_a_step_carries_its_own_tag():
    value = expression("in -> conv(1) @freeze -> relu")
    assert isinstance(value, t.Pipe)
    assert isinstance(value.head, t.In)
    assert value.steps[0].span.text == "conv(1) @freeze"
    assert isinstance(value.steps[0], t.Tagged)


def test_else_if_is_an_if():
    body = parse_text("block B { if a { 1 } else if b { 2 } else { 3 } }").blocks["B"].body
    assert isinstance(body[0], t.If)
    assert isinstance(body[0].otherwise[0], t.If)
    assert body[0].otherwise[0].otherwise[0].value.value == 3


def test_empty_files_and_bodies():
    for text in ("", "\n\n", "# only a comment", "net A {}", "net A {\n # c\n}\n;\n", "data {}"):
        parse_text(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("net A { x = " + "(" * 100_000, "limit"),
        ("net A { x = " + "(" * 100_000 + ")" * 100_000 + "}", "limit"),
        ("net A { x = " + "9" * 5_000 + " }", "limit"),
        ("net A { x = " + "0." + "9" * 5_000 + " }", "limit"),
        ("net A { x = " + " + ".join("x" * 1_000) + " }", "limit"),
        ("net A { x = \0 }", "syntax"),
        ("x" * (MAX_SOURCE_SIZE + 1), "limit"),
        ("net A {" + "for i in x {" * 5_000, "limit"),
        ("net A { x = 1e999 }", "limit"),
        ("net A { x = 1e-999 }", "limit"),
        ("\n" * 40_000 + "-> x", "syntax"),
        ("\n" * 200_000 + "-> x", "limit"),
        ("a " * 100_000, "limit"),
        ("net A { x = " + "[1" + ",1" * 100_000 + "] }", "limit"),
        ("net A { x = " + "a" * 100_000 + " }", "limit"),
        ("net A { x = " + '"' + "a" * 100_000 + '" }', "limit"),
        ("net A { x = 1 +" + " " * 900_000 + "}", "syntax"),
        ('"' * 10_001, "syntax"),
    ],
)
def test_hostile_texts_are_diagnosed_fast(text: str, code: str):
    start = time.process_time()
    with pytest.raises(NetError) as caught:
        parse_text(text)
    # Half a second alone; wide, because what must not happen is a time that grows with the square of the text.
    assert time.process_time() - start < 10
    assert caught.value.diagnostics[0].code == code
    assert len(str(caught.value)) < 10_000


@settings(max_examples=100)
@given(st.sampled_from(PROGRAMS), st.integers(0, 2**32))
def test_damaged_programs_are_diagnosed(path: Path, seed: int):
    """Whatever is cut out, doubled or put in: a tree or a `NetError` that renders, nothing else."""
    random = Random(seed)
    text = path.read_text(encoding="utf-8")
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(text))
        end = at + random.choice([0, 1, 2, 10])
        text = (
            text[:at]
            + random.choice(["", text[at:end] * 2, *'(){}[]|=->;,.@\n"#\0é', " in ", " else "])
            + text[end:]
        )
    try:
        parse_text(text)
    except NetError as error:
        assert str(error)


def test_nesting_up_to_the_limit():
    depth = MAX_NESTING - 1
    parse_text("net A { x = " + "(" * depth + "x" + ")" * depth + " }")
    chain = " ".join("if a { x } else" for _ in range(60))
    parse_text(f"net A {{ {chain} {{ y }} }}")


def test_reading_files(tmp_path: Path):
    path = tmp_path / "a.net"
    path.write_bytes(b"\xef\xbb\xbfnet A {\r\n x = 1\r}\n")
    assert read_source(path).text == "net A {\n x = 1\n}\n"
    cases = {
        "latin1.net": (b"# caf\xe9\n", "syntax"),
        "large.net": (b"#" * 10_000_000, "limit"),
        "missing.net": (None, "file"),
    }
    for name, (data, code) in cases.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(NetError) as caught:
            read_source(tmp_path / name)
        assert caught.value.diagnostics[0].code == code
    with pytest.raises(NetError):
        read_source(tmp_path)
    with pytest.raises(NetError):
        read_source("a\0b")


@pytest.mark.parametrize(
    "text, word",
    [
        ("net N { input net: [4] }", "net"),
        ("net N { input none: [4] }", "none"),
        ("net N(true = 3) { }", "true"),
        ("net N { net = 3 }", "net"),
        ("net N { x = B(block = 3) }", "block"),
        ("net N { layer import = relu }", "import"),
        ("block none { in }", "none"),
    ],
)
def test_a_word_of_the_language_is_no_name(text, word):
    assert f"`{word}` is a word of the language and cannot be a name" in diagnostics(Source("a.net", text))


@pytest.mark.parametrize(
    "text, meant",
    [
        ("nte N { }", "net"),
        ("blok B { in }", "block"),
        ('improt "a.net"', "import"),
        ("trian { }", "train"),
        ("net N { inputs x: [4] }", "input"),
        ("net N { outpt y = x }", "output"),
        ("net N { layr c = relu }", "layer"),
        ("net N { asert 1 == 1 }", "assert"),
        ("net N { fr k in 0..3 { } }", "for"),
        ("net N { y = x -> repat 3 { in } }", "repeat"),
        ("net N { y = x z }", None),
    ],
)
def test_a_word_with_a_letter_wrong_is_recognised(text, meant):
    said = diagnostics(Source("a.net", text))
    assert (f"help: did you mean {meant}?" in said) if meant else "did you mean" not in said
