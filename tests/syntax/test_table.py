"""Parse tables that are kept on disk."""

import json
from pathlib import Path

import pytest

from netdsl.syntax import grammar, table


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    grammar.language_parser.cache_clear()
    yield tmp_path / "cache"
    grammar.language_parser.cache_clear()


def again():
    grammar.language_parser.cache_clear()
    return grammar.language_parser()


def test_the_second_process_reads_the_table_of_the_first(cache, monkeypatch):
    text = (Path(__file__).parents[2] / "examples" / "googlenet.net").read_text()
    first = again().parse(text)
    monkeypatch.setattr(grammar, "Lark", None)
    assert again().parse(text) == first


def test_a_damaged_table_is_made_again(cache):
    again()
    (path,) = cache.rglob("*.json")
    path.write_bytes(path.read_bytes()[:9999])
    again()
    assert len(json.loads(path.read_bytes())) == 2


def test_a_home_that_cannot_be_written_costs_nothing_but_time(cache):
    cache.write_text("not a folder")
    assert again() is not None and table.load_parser("x") is None
