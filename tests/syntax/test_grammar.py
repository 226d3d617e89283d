import logging

import lark
import pytest

from netdsl.syntax.grammar import grammar_text, language_table


def test_grammar_has_no_conflicts(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG, logger=lark.logger.name):
        lark.Lark(grammar_text("netdsl.lark"), start="file", parser="lalr", lexer="basic", debug=True)
    assert "onflict" not in caplog.text


def test_the_table_is_made_once():
    assert language_table() is language_table()
