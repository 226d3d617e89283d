"""The grammars, and the parsers that are kept on disk."""

import logging
import pickle

import lark
import pytest

from netdsl.source import NetWarning, Source
from netdsl.syntax import grammar
from netdsl.syntax.grammar import LANGUAGE, key_of, parser_of, table_of
from netdsl.syntax.lalr import language_parser
from netdsl.syntax.parse import parse


def made():
    return parser_of.__wrapped__(LANGUAGE)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entry(cache):
    (path,) = (p for p in cache.rglob("*") if p.is_file())
    return path


def test_grammar_has_no_conflicts(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG, logger=lark.logger.name):
        lark.Lark(LANGUAGE.text(), start="file", parser="lalr", lexer="basic", debug=True)
    assert "onflict" not in caplog.text


def test_the_parser_is_made_once():
    assert language_parser() is language_parser()


def test_the_second_process_loads_the_parser_of_the_first(cache, monkeypatch):
    first = made()
    monkeypatch.setattr(lark.Lark, "__init__", None)
    assert made().rules == first.rules


def test_another_version_of_lark_makes_its_own(cache, monkeypatch):
    made()
    monkeypatch.setattr(lark, "__version__", "9.0")
    made()
    assert len([p for p in cache.rglob("*") if p.is_file()]) == 2


def test_a_wheel_has_the_tables(cache, tmp_path, monkeypatch):
    """Nothing is made and nothing is kept at the first start; a damaged file costs time alone."""
    shipped = tmp_path / "_grammar"
    shipped.mkdir()
    (shipped / LANGUAGE.file).write_text(LANGUAGE.text(), encoding="utf-8")
    table = shipped / key_of(LANGUAGE)
    table.write_bytes(table_of(LANGUAGE))
    monkeypatch.setattr(grammar, "SHIPPED", shipped)
    with monkeypatch.context() as context:
        context.setattr(lark.Lark, "__init__", None)
        assert made().rules and not cache.exists()
    table.write_bytes(table.read_bytes()[:999])
    assert made().rules and entry(cache).name == table.name


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:9999],
        lambda data: b"{}",
        lambda data: b"",
        lambda data: data.replace(b"34", b"35", 1),
    ],
)
def test_a_damaged_entry_is_made_again(cache, damage, monkeypatch):
    first = made()
    path = entry(cache)
    path.write_bytes(damage(path.read_bytes()))
    assert made().rules == first.rules
    monkeypatch.setattr(lark.Lark, "__init__", None)
    assert made().rules == first.rules


@pytest.mark.parametrize(
    "other",
    [b"", b"N", b"\x82\x01.", b"NNR.", b"}]Ns.", *map(pickle.dumps, (3, {}, {"data": {}, "memo": {}}))],
)
def test_something_else_under_a_right_checksum_is_made_again(cache, other, monkeypatch):
    first = made()
    grammar.CACHE.store(entry(cache).name, other)
    assert made().rules == first.rules
    monkeypatch.setattr(lark.Lark, "__init__", None)
    assert made().rules == first.rules


class Touch:
    """Would make a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_an_entry_that_would_run_code_runs_none(cache, tmp_path):
    """Even one with a right checksum."""
    made()
    grammar.CACHE.store(entry(cache).name, pickle.dumps(Touch(tmp_path / "touched")))
    pickle.loads(pickle.dumps(Touch(tmp_path / "control")))
    assert (tmp_path / "control").exists()
    assert made().rules and not (tmp_path / "touched").exists()


def test_a_home_that_cannot_be_written_costs_nothing_but_time(cache):
    cache.write_text("not a folder")
    with pytest.warns(NetWarning, match="nothing is kept for the next start"):
        assert made().rules


def test_brackets_belong_to_what_is_around_them():
    text = "net N { y = (a) -> b\n z = (c)[1] }"
    pipe, index = (s.value for s in parse(Source("case.net", text)).nets["N"].body)
    assert (pipe.span.text, pipe.head.span.text) == ("(a) -> b", "a")
    assert (index.span.text, index.value.span.text) == ("(c)[1]", "c")
