"""What the parser did not expect, in words for people."""

from lark import Token

from netdsl.source import Diagnostic, Source, Span
from netdsl.syntax.terminals import SIGNS

_OPERAND = {"NAME", "INT", "FLOAT", "STRING", "WORD", "LPAR", "LSQB", "MINUS", "NOT", "_IN", "_REPEAT"}
_BINARY = {"PLUS", "MINUS", "TIMES", "POWER", "COMPARE", "AND", "OR", "ARROW"}
_GOES_ON = _BINARY | {"LPAR", "LSQB", "DOT", "AT", "_IF"}
_STATEMENT = {"_INPUT", "_OUTPUT", "_AUX", "_LAYER", "_ASSERT", "_FOR", "_IF"}
_LINE_END = {"_NL", "SEMICOLON", "RBRACE", "$END"}
_DEFINITION = {"_NET", "_BLOCK", "_IMPORT", "_PRESET", "SECTION"}
_KINDS = {"NAME": "a name", "STRING": "a string", "INT": "a number", "FLOAT": "a number"}
_SIGNS = {terminal: sign for sign, terminal in SIGNS.items()}
_FOREIGN = {
    "elif": "write `else if`",
    "return": "the last expression of a block is its result: leave `return` out",
    "while": "there are `for` and `repeat`",
    "let": "write `name = value`",
    "var": "write `name = value`",
    "const": "write `name = value`",
    "def": "definitions start with `block` or `net`",
    "class": "definitions start with `block` or `net`",
    "fn": "definitions start with `block` or `net`",
    "func": "definitions start with `block` or `net`",
    "from": 'write `import "file.net" as name`',
}


def describe(source: Source, token: Token, previous: Token | None, accepts: set[str]) -> Diagnostic:
    """The diagnostic for a token the parser could not take, which accepts others behind the previous one."""
    start = len(source.text) if token.type == "$END" else token.start_pos or 0
    span = Span(source, start, start if token.type in ("$END", "_NL") else start + len(token))
    if previous is not None and "INT" in accepts and "_OUTPUT" not in accepts:
        behind = previous.end_pos or 0
        if "\n" in source.text[behind:start]:
            span = Span(source, behind, behind)
    if "NAME" in accepts and _is_reserved(token):
        message = f"`{token}` is a word of the language and cannot be a name"
    elif span.start == span.end:
        message = f"the {'file' if token.type == '$END' else 'line'} ends too early"
    else:
        message = f"unexpected `{token}`"
    label = f"expected {_expected(accepts)}"
    return Diagnostic("syntax", message, span, label, fix=_fix(token, previous, accepts))


def _is_complete(accepts: set[str]) -> bool:
    """Whether an expression stands before the token, which could go on or end."""
    return "INT" not in accepts and bool(accepts & _BINARY)


def _expected(accepts: set[str]) -> str:
    """The acceptable terminals in words; what could merely go on an expression is left out."""
    rest, words = set(accepts), []
    if "_OUTPUT" in rest:
        words.append("a statement")
        rest -= _OPERAND | _STATEMENT | _LINE_END - {"RBRACE"}
    elif "INT" in rest:
        words.append("an expression")
        rest -= _OPERAND | _LINE_END - {"RBRACE"}
    elif _is_complete(rest):
        rest -= _GOES_ON | ({"LBRACE"} if rest & {"_NL", "VBAR", "RPAR", "COMMA", "RSQB"} else set())
    if "_NET" in rest:
        words.append("`net`, `block`, `import`, `preset` or a section")
        rest -= _DEFINITION | _LINE_END
    if "_NL" in rest:
        words.append("the end of the line")
        rest -= _LINE_END
    words += sorted({_word(terminal) for terminal in rest})
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _word(terminal: str) -> str:
    if terminal in _KINDS:
        return _KINDS[terminal]
    return f"`{_SIGNS.get(terminal, terminal.strip('_').lower())}`"


def _is_reserved(token: Token) -> bool:
    return token.type.startswith("_") and token.isalpha()


def _fix(token: Token, previous: Token | None, accepts: set[str]) -> str | None:
    """A hint for the mistakes people make who come from other languages."""
    before = "" if previous is None else str(previous)
    starts_line = (
        "_OUTPUT" in accepts or "_NET" in accepts or (previous is not None and previous.type == "_NL")
    )
    if token.type in ("NAME", "STRING", "INT", "LPAR") and before in _FOREIGN:
        return _FOREIGN[before]
    if str(token) in _FOREIGN and (starts_line or "_NL" in accepts):
        return _FOREIGN[str(token)]
    if token == "=" and before in ("+", "-", "*", "/"):
        return f"write `x = x {before} …`"
    if token == "=" and _is_complete(accepts):
        return "two values are compared with `==`"
    if accepts == {"RBRACE"}:
        return "every branch starts with `|`"
    if token == ":" and "LBRACE" in accepts:
        return "a body stands in braces: `{ … }`"
    if token.type == "COMPARE" and "AND" in accepts:
        return "comparisons do not chain: write `a < b and b < c`"
    if starts_line:
        return _fix_line_start(token)
    if token == "," and "_NL" in accepts:
        return "a tuple stands in parentheses: `(a, b)`"
    if token == "." or (token == ">" and before == "="):
        return "write `0.5`" if token == "." else "write `->`"
    if token.type in _OPERAND and "COMMA" in accepts:
        return "put a `,` before it"
    return None


def _fix_line_start(token: Token) -> str | None:
    if token == "->":
        return "a flow starts with a value: `in -> …`"
    if token == "|":
        return "branches stand in the braces of a merge: `concat { | … | … }`"
    if token.type in ("PLUS", "TIMES", "POWER", "COMPARE", "AND", "OR"):
        return f"end the line above with `{token}`, or put the whole in ( )"
    return None
