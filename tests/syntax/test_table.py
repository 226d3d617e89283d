"""Parse tables that are kept on disk."""

import json

import pytest

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


@pytest.mark.parametrize("damage", [lambda data: data[:9999], lambda data: b"{}", lambda data: b"[1]"])
def test_a_damaged_table_is_made_again(cache, damage):
    first = table.table_of(GRAMMAR)
    (path,) = cache.rglob("*.json")
    path.write_bytes(damage(path.read_bytes()))
    made = table.table_of(GRAMMAR)
    assert made.rules == first.rules
    assert json.loads(path.read_bytes())["start"] == made.start


def test_a_home_that_cannot_be_written_costs_nothing_but_time(cache):
    cache.write_text("not a folder")
    assert table.table_of(GRAMMAR).rules
