"""Messages for syntax errors: what the parser found, and what it expected."""

import re

from netdsl import words
from netdsl.source import Diagnostic, Source, Span, suggest
from netdsl.syntax.lalr import Unexpected
from netdsl.syntax.scan import Lexeme

_CONSTANTS = {"true", "false", "none"}
_OPERAND = {"NAME", "NUMBER", "STRING", "(", "[", "-", "not", "in", "repeat"} | _CONSTANTS
_COMPARE = {"==", "!=", "<=", ">=", "<", ">"}
_BINARY = {"+", "-", "*", "/", "//", "%", "**", "and", "or", "->"} | _COMPARE
_GOES_ON = _BINARY | {"(", "[", ".", "@", "if"}
_STATEMENT = {"input", "output", "aux", "layer", "assert", "for", "if"}
_LINE_END = {"_NL", ";", "}", "$END"}
_DEFINITION = {"net", "block", "import", "preset", "data", "train", "eval", "expect"}
_KINDS = {"NAME": "a name", "STRING": "a string", "NUMBER": "a number"}
#: a comment sign of other languages, unless a number follows (then it may be a division)
_COMMENT = re.compile(r"//(?!\s*[\d(\[])|/\*")
#: a share, as people write it
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%$")
#: a setting behind what it belongs to, in a list
_OUTSIDE = re.compile(r"(\w+)(?:\(([^()]*)\))?\s*,\s*(\w+)\s*=\s*([\w.]*)")
#: a section that is not closed
_IN_SECTION = re.compile(r"\b(data|train|eval)\s*\{[^{}]*$")
#: what people call the sections
_SECTIONS = {
    "dataset": "data",
    "training": "train",
    "evaluation": "eval",
    "validation": "eval",
    "test": "eval",
}


def describe(source: Source, error: Unexpected) -> Diagnostic:
    """The diagnostic for a lexeme the parser could not take."""
    lexeme, previous, accepts = error.lexeme, error.previous, error.accepts
    if (share := _share(source, previous)) is not None:
        return share
    span = Span(source, lexeme.start, lexeme.end)
    if previous is not None and (lexeme.kind == "newline" or _line_ended(source, error)):
        span = Span(source, previous.end, previous.end)
    if "NAME" in accepts and _is_reserved(error.terminal, accepts):
        message = f"`{lexeme.text}` is a word of the language and cannot be a name"
    elif span.start == span.end:
        message = f"the {'file' if lexeme.kind == 'end' else 'line'} ends too early"
    else:
        message = f"unexpected `{lexeme.text}`"
    label = f"expected {_expected(accepts)}"
    ahead = source.text[lexeme.start : lexeme.start + 2]
    line = source.text[source.text.rfind("\n", 0, lexeme.start) + 1 : lexeme.end + 8].partition("\n")[0]
    fix = _fix(error, ahead, line)
    if lexeme.text == "," and _IN_SECTION.search(source.text[max(0, lexeme.start - 1000) : lexeme.start]):
        fix = "settings are separated by `;` or a new line"
    return Diagnostic("syntax", message, span, label, fix=fix)


def _share(source: Source, previous: Lexeme | None) -> Diagnostic | None:
    """The diagnostic for a number in percent; None where what was taken last is none."""
    if previous is None or previous.text != "%":
        return None
    found = _SHARE.search(source.text[max(0, previous.start - 40) : previous.end])
    if found is None:
        return None
    span = Span(source, previous.end - len(found[0]), previous.end)
    message = f"`{found[0]}` is no number: `%` is the remainder of a division"
    return Diagnostic("syntax", message, span, fix=f"write {float(found[1]) / 100:g}")


def _line_ended(source: Source, error: Unexpected) -> bool:
    """Whether something should stand between the lexeme before and the end of its line."""
    lexeme, previous, accepts = error.lexeme, error.previous, error.accepts
    if previous is None or previous.kind == "newline" or accepts & {"output", "net", "_NL"}:
        return False
    if "NUMBER" not in accepts and accepts & {")", "]", "}"}:
        return False
    return "\n" in source.text[previous.end : lexeme.start]


def _is_complete(accepts: set[str]) -> bool:
    """Whether an expression stands before the token, which could go on or end."""
    return "NUMBER" not in accepts and bool(accepts & _BINARY)


def _expected(accepts: set[str]) -> str:
    """The expected terminals in words, without operators that could continue an expression."""
    rest, words = set(accepts), []
    if "output" in rest:
        words.append("a statement")
        rest -= _OPERAND | _STATEMENT | _LINE_END - {"}"}
    elif "NUMBER" in rest:
        words.append("an expression")
        rest -= _OPERAND | _LINE_END - {"}"}
    elif _is_complete(rest):
        rest -= _GOES_ON | ({"{"} if rest & {"_NL", "|", ")", ",", "]"} else set())
    if "net" in rest:
        words.append("`net`, `block`, `import`, `preset` or a section")
        rest -= _DEFINITION | _LINE_END
    if "_NL" in rest:
        words.append("the end of the line")
        rest -= _LINE_END
    words += sorted({_word(terminal) for terminal in rest})
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _word(terminal: str) -> str:
    return _KINDS.get(terminal, f"`{terminal}`")


def _is_reserved(terminal: str, accepts: set[str]) -> bool:
    """Whether a reserved word is used as a name, and not as an operator like `and` that lacks an operand."""
    return terminal.islower() and ("NUMBER" not in accepts or terminal not in {"and", "or", "not"})


def _fix(error: Unexpected, ahead: str, line: str) -> str | None:
    """A hint for habits from other languages.

    `ahead` are the next two characters, `line` is the line up to where no lexeme can be taken, and a little more.
    """
    text, previous, accepts = error.lexeme.text, error.previous, error.accepts
    before = previous.text if previous is not None else ""
    if _COMMENT.search(line):
        return words.COMMENT
    if text == "=" and "]" in accepts and (outside := _OUTSIDE.search(line)):
        inner = ", ".join(filter(None, (outside[2], f"{outside[3]} = {outside[4] or '…'}")))
        return f"a setting stands in the parentheses of what it is for: {outside[1]}({inner})"
    starts_line = (
        "output" in accepts or "net" in accepts or (previous is not None and previous.kind == "newline")
    )
    if error.terminal in ("NAME", "STRING", "NUMBER", "(") and words.statement(before):
        return words.statement(before)
    if words.statement(text) and (starts_line or "_NL" in accepts):
        return words.statement(text)
    if ahead in ("=>", "|>") or before + text in ("=>", ">>"):
        return "write `->`"
    return (
        _fix_names(text, before, accepts)
        or _fix_structure(error, before)
        or (_fix_line_start(text) if starts_line else _fix_expression(error))
        or _fix_word(error, before)
    )


def _fix_word(error: Unexpected, before: str) -> str | None:
    """A hint for a misspelt keyword: it was read as a name, so the next token does not fit."""
    text, accepts = error.lexeme.text, error.accepts
    if "net" in accepts and error.terminal == "NAME":
        return words.question(suggest(text, _DEFINITION))
    if "_NL" in accepts and error.terminal in ("NAME", "NUMBER", "(") and before.isidentifier():
        near = suggest(before, _STATEMENT | {"repeat"})
        return words.question(near) if near != before else None
    return None


def _fix_names(text: str, before: str, accepts: set[str]) -> str | None:
    """Hints for mistakes in names."""
    if text == "=" and before in ("+", "-", "*", "/"):
        return f"write `x = x {before} …`"
    if text == "=" and "in" in accepts <= {",", "in"}:
        return "write `for i in …`"
    if text == "=" and _is_complete(accepts):
        return "two values are compared with `==`"
    if "net" in accepts and text.isidentifier():
        near = _SECTIONS.get(text.lower()) or suggest(text, _DEFINITION)
        return f"did you mean {near}?" if near else None
    if text in (":", "==") and "=" in accepts:
        return "a name is given a value with `=`"
    if text in ("(", "[") and before in ("output", "aux", "for"):
        return "several names have no brackets: `a, b`"
    return None


def _fix_structure(error: Unexpected, before: str) -> str | None:
    """Hints for mistakes in bodies and branches."""
    text, accepts = error.lexeme.text, error.accepts
    if accepts and accepts <= {"|", "}"}:
        return "every branch starts with `|`"
    if text == "|" or (text == "{" and before == "->"):
        return "branches stand in the braces of a merge: `concat { | … | … }`"
    if text == "," and "|" in accepts:
        return "a branch ends where the next `|` stands"
    if "{" in accepts and "NUMBER" not in accepts and not accepts & {"_NL", "|", ")", ",", "]", "}"}:
        return "a body stands in braces: `{ … }`"
    return None


def _fix_expression(error: Unexpected) -> str | None:
    text, accepts = error.lexeme.text, error.accepts
    if text in _COMPARE and "and" in accepts:
        return "comparisons do not chain: write `a < b and b < c`"
    if text in _BINARY and "->" in accepts:
        return f"`->` comes last: write `(x -> f) {text} …`"
    if text == "," and "_NL" in accepts:
        return "a tuple stands in parentheses: `(a, b)`"
    if text == "..":
        return "`0..n` stands behind `for i in`; elsewhere it is `range(0, n)`"
    if text == "." and "NUMBER" in accepts:
        return "write `0.5`"
    if error.terminal in _OPERAND and "," in accepts and accepts & {")", "]"}:
        return "put a `,` before it"
    return None


def _fix_line_start(text: str) -> str | None:
    if text == "->":
        return "a flow starts with a value: `in -> …`"
    if text in _BINARY - {"-"}:
        return f"end the line above with `{text}`, or put the whole in ( )"
    return None
