"""The messages of docs/diagnostics.md, and mistakes too large to be waited for."""

from pathlib import Path

import pytest

from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train.sections import check_sections
from tests.markdown_cases import run_cases

PAGE = Path(__file__).parent.parent.parent / "docs" / "diagnostics.md"


def message(source):
    """The mistakes that `netdsl check` finds, else its warnings."""
    try:
        network = elaborate(source)
        return "\n\n".join(warning.render() for warning in check_sections(network))
    except NetError as error:
        return str(error)


def test_every_message_is_as_documented():
    run_cases(PAGE, message)


LARGE = {
    "10^12 elements": "net N { input x: [1_000_000, 1_000_000, 1]\n output y = x }",
    "10^12 weights": "net N { input x: [1_000_000]\n output y = x -> dense(1_000_000) }",
    "100,000 parentheses": "net N { input x: [4]\n output y = x -> dense("
    + "(" * 100_000
    + "1"
    + ")" * 100_000
    + ") }",
    "5,000 digits": "net N { input x: [4]\n output y = x -> dense(" + "1" * 5_000 + ") }",
    "a tower of powers": "net N { input x: [4]\n output y = x -> dense(9 ** 9 ** 9 ** 9) }",
    "a block that doubles": "block A(n) { (in -> A(n - 1)) + (in -> A(n - 1)) if n > 0 else in }\n"
    "net N { input x: [4]\n output y = x -> A(60) }",
}


@pytest.mark.parametrize("name", LARGE)
def test_large_mistakes_are_diagnosed_at_once(name):
    assert message(Source("large.net", LARGE[name])).startswith("error[")
