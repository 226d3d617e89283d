"""From lexemes to the terminals of the grammar: reserved words, and the line ends that separate statements."""

from collections.abc import Callable, Container, Iterable, Iterator

from lark import Token

from netdsl.syntax.scan import Lexeme

#: words that cannot be names
RESERVED = {
    **{word: f"_{word.upper()}" for word in ("net", "block", "import", "input", "output", "aux", "layer")},
    **{word: f"_{word.upper()}" for word in ("assert", "for", "in", "if", "else", "repeat")},
    **{word: word.upper() for word in ("or", "and", "not")},
    **dict.fromkeys(("true", "false", "none"), "WORD"),
}
#: words that mean something only where no name can stand
WORDS = {
    **{word: f"_{word.upper()}" for word in ("as", "preset", "where")},
    **dict.fromkeys(("data", "train", "eval", "expect"), "SECTION"),
}
SIGNS = {
    "(": "LPAR", ")": "RPAR", "[": "LSQB", "]": "RSQB", "{": "LBRACE", "}": "RBRACE", "=": "EQUAL",
    "|": "VBAR", "->": "ARROW", "..": "DOTS", ".": "DOT", "@": "AT", ";": "SEMICOLON", ",": "COMMA",
    ":": "COLON",
}  # fmt: skip
OPERATORS = {
    "+": "PLUS",
    "-": "MINUS",
    "**": "POWER",
    **dict.fromkeys(("*", "/", "//", "%"), "TIMES"),
    **dict.fromkeys(("==", "!=", "<=", ">=", "<", ">"), "COMPARE"),
}
#: what a statement goes on with on the next line
CONTINUES = frozenset({"->", "|", "else", ")", "]", ","})

_FIXED = {**RESERVED, **SIGNS, **OPERATORS}


def terminals(lexemes: Iterable[Lexeme], choices: Callable[[], Container[str]]) -> Iterator[Token]:
    """The tokens for the parser; `choices` are the terminals that it can take next.

    A line end where no statement can end, or before what goes on with one, is a blank.
    """
    end, lines = 0, ""
    for kind, text, start in lexemes:
        if kind == "newline":
            lines += text
            continue
        if lines and text not in CONTINUES and "_NL" in choices():
            yield Token("_NL", lines, end, end_pos=start)
        terminal = _FIXED.get(text) or _open(kind, text, choices)
        lines, end = "", start + len(text)
        yield Token(terminal, text, start, end_pos=end)
    if lines and "_NL" in choices():
        yield Token("_NL", lines, end, end_pos=end + len(lines))


def _open(kind: str, text: str, choices: Callable[[], Container[str]]) -> str:
    """The terminal of a name, a word that can be one, a number or a string."""
    if kind == "word":
        word = WORDS.get(text)
        return word if word is not None and word in choices() and "NAME" not in choices() else "NAME"
    if kind == "string":
        return "STRING"
    return "INT" if text.replace("_", "").isdecimal() else "FLOAT"
