import itertools
import json

import pytest

from netdsl.cli.main import warnings_shown
from netdsl.source import Diagnostic, NetError, NetWarning, Note, Source, Span, counted, suggest, warn


def span_of(source: Source, text: str) -> Span:
    start = source.text.index(text)
    return Span(source, start, start + len(text))


def test_positions_count_from_one():
    source = Source("a.net", "ab\r\ncd\n")
    assert [source.position(offset) for offset in (0, 1, 4, 5, 7)] == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)]
    assert source.line_text(1) == "ab"
    assert str(span_of(source, "d")) == "a.net:2:2"


def test_render_is_the_design():
    lines = [""] * 11 + ["  in -> concat {", "", "", "", "    | max_pool(3, stride = 2) -> conv(cp, 1)"]
    lines += [""] * 14 + ["        Inception()"]
    source = Source("googlenet.net", "\n".join(lines))
    pool = span_of(source, "max_pool(3, stride = 2)")
    diagnostic = Diagnostic(
        "shape",
        "cannot concat",
        span_of(source, "concat"),
        "branch 3 has height 28, the others 14",
        (Note("branch 3 starts here", pool, "did you mean stride = 1?"),),
        (("Inception(192)", span_of(source, "Inception()")),),
    )
    assert diagnostic.render().splitlines() == [
        "error[shape]: cannot concat",
        "  --> googlenet.net:12:9",
        "   |",
        "12 |   in -> concat {",
        "   |         ^^^^^^ branch 3 has height 28, the others 14",
        "note: branch 3 starts here",
        "  --> googlenet.net:16:7",
        "   |",
        "16 |     | max_pool(3, stride = 2) -> conv(cp, 1)",
        "   |       ^^^^^^^^^^^^^^^^^^^^^^^ did you mean stride = 1?",
        "  in Inception(192), used at googlenet.net:31:9",
    ]
    assert json.loads(json.dumps(diagnostic.to_json()))["notes"][0]["span"]["line"] == 16


@pytest.mark.parametrize(
    ("text", "marked", "carets"),
    [
        ("\tx y", "y", "      ^"),
        ("漢字 y", "y", "     ^"),
        ("e\u0301 y", "y", "  ^"),
        ("a 漢 b", "漢", "  ^^"),
        ("f(\n  1)", "f(\n  1)", "^^"),
    ],
)
def test_carets_stand_below(text: str, marked: str, carets: str):
    source = Source("a.net", text)
    rendered = Diagnostic("x", "m", span_of(source, marked)).render()
    assert rendered.splitlines()[-1] == f"  | {carets}"


def test_end_of_file_and_long_lines():
    source = Source("a.net", "x\n")
    assert Diagnostic("x", "m", Span(source, 2, 2)).render().endswith("2 |\n  | ^")
    long = Source("a.net", "a" * 10_000 + "!" + "b" * 10_000)
    shown, carets = Diagnostic("x", "m", span_of(long, "!")).render().splitlines()[-2:]
    assert len(shown) < 150
    assert shown[carets.index("^")] == "!"


@pytest.mark.parametrize("width", [20, 40, 60, 79])
@pytest.mark.parametrize("marked", ["aaaa", "conv(c3, 1)", "wörd = 字字", "}"])
def test_in_a_narrow_terminal_every_line_fits_and_the_carets_stand_below(width, marked):
    text = f"aaaa | max_pool(3, stride = 2) -> conv(c3, 1){'x' * 30}\twörd = 字字 {'y ' * 200}}}"
    source = Source("a.net", f"\n\n{text}\n")
    span, note = span_of(source, marked), Note("another place is here", span_of(source, "max_pool"))
    what = Diagnostic(
        "x", "a mistake that is told in many words", span, "the label", (note,), fix="do it better"
    )
    lines = what.render(width).splitlines()
    columns = [sum(2 if c == "字" else 1 for c in line) for line in lines]
    assert max(columns) <= width and lines[0].startswith("error[x]: a mistake")
    shown, carets = next((a, b) for a, b in itertools.pairwise(lines) if a.startswith("3 | "))
    begin, count = carets.index("^"), carets.count("^")
    wide = "".join(c + ("\0" if c == "字" else "") for c in shown)
    assert marked.startswith(wide[begin : begin + count].replace("\0", "").rstrip("…"))
    assert "the label" in carets or lines[lines.index(carets) + 1].strip(" |") == "the label"
    assert what.render(10_000) == what.render()


def test_errors_render_together():
    error = NetError(Diagnostic("a", "one"), Diagnostic("b", "two", fix="do"))
    assert str(error) == "error[a]: one\n\nerror[b]: two\nhelp: do"
    with pytest.raises(ValueError):
        NetError()


def test_suggest():
    assert suggest("desne", ["conv", "dense"]) == "dense"
    assert suggest("Conv", ["conv", "dense"]) == "conv"
    assert suggest("xyz", ["conv", "dense"]) is None


def test_warnings_are_diagnostics_that_stop_nothing(capsys):
    with pytest.warns(NetWarning, match="bytes") as caught:
        warn(Diagnostic("data", "taken for bytes", fix="normalize = raw"))
    assert caught[0].message.diagnostic.to_json()["severity"] == "warning"
    with warnings_shown():
        for _ in range(2):
            warn(Diagnostic("data", "taken for bytes", fix="normalize = raw"))
    out, err = capsys.readouterr()
    assert out == "" and err == "warning[data]: taken for bytes\nhelp: normalize = raw\n"


def test_a_mistake_without_a_place_takes_the_one_it_is_given():
    source = Source("a.net", "abc")
    here, there = Span(source, 0, 1), Span(source, 2, 3)
    found = NetError(Diagnostic("x", "m"), Diagnostic("x", "m", there)).at(here)
    assert [d.span for d in found.diagnostics] == [here, there]


@pytest.mark.parametrize(
    "one, many",
    [
        ("epoch", "epochs"),
        ("class", "classes"),
        ("batch", "batches"),
        ("branch", "branches"),
        ("box", "boxes"),
        ("entry", "entries"),
        ("spatial axis", "spatial axes"),
        ("index", "indices"),
        ("byte", "bytes"),
    ],
)
def test_counts_are_in_the_singular_or_the_plural(one, many):
    assert counted(1, one) == f"1 {one}"
    assert counted(0, one) == f"0 {many}"
    assert counted(1234, one) == f"1,234 {many}"
