"""Parse tables that are kept on disk."""

import pytest

from netdsl.source import NetWarning
from netdsl.syntax import table
from netdsl.syntax.grammar import grammar_text

GRAMMAR = grammar_text("netdsl.lark")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_second_process_reads_the_table_of_the_first(cache, monkeypatch):
    first = table.table_of(GRAMMAR)
    monkeypatch.setattr(table, "_make", None)
    assert table.table_of(GRAMMAR) == first


DAMAGES = [
    lambda data: data[:9999],
    lambda data: b"{}",
    lambda data: b"",
    lambda data: data.replace(b"34", b"35", 1),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_made_again(cache, damage, monkeypatch):
    first = table.table_of(GRAMMAR)
    (path,) = (p for p in cache.rglob("*") if p.is_file())
    path.write_bytes(damage(path.read_bytes()))
    made = table.table_of(GRAMMAR)
    assert made.rules == first.rules
    monkeypatch.setattr(table, "_make", None)
    assert table.table_of(GRAMMAR) == made


def test_a_home_that_cannot_be_written_costs_nothing_but_time(cache):
    cache.write_text("not a folder")
    with pytest.warns(NetWarning, match="nothing is kept for the next start"):
        assert table.table_of(GRAMMAR).rules
