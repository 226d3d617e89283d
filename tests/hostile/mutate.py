"""Mutations of a text that know its words: words, bracketed parts, lines, numbers at the edge, nesting."""

import re
from collections.abc import Callable, Sequence
from random import Random

from netdsl.source import NetError, Source
from netdsl.syntax.scan import CLOSING, scan

EDGES = [
    *("0", "1", "-1", "2", "3", "0.5", "-0.0", "1e-300", "1e308", "2 ** 100", "2 ** 1000", "10 ** 300"),
    *("9007199254740993", "4294967296", "100000", "100001", "65536", "true", "false", "none", '""', '"a"'),
    *(
        "[]",
        "[1]",
        "[[1]]",
        "(1, 2)",
        "relu",
        "in",
        "x",
        "-x",
        "l[0]",
        "1 / 3",
        "max",
        "range(9)",
        "conv(1, 1)",
    ),
]
WORDS = [
    *(
        "->",
        "|",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ";",
        "\n",
        "=",
        "==",
        "!=",
        "<",
        ">=",
        "+",
        "-",
        "*",
        "/",
    ),
    *("//", "%", "**", ".", "..", ":", "@", "if", "else", "for", "repeat", "in", "not", "and", "or", "input"),
    *("output", "aux", "layer", "assert", "net", "block", "import", "where", "as", "train", "data", "eval"),
    *("expect", "preset", "#", '"', "'", "\\", "é", "\0", "\t", "&", "concat", "add", "shape", "len", "int"),
    *("sum", "abs", "round", "reversed", "@freeze", "@lr(2)", '@name("a")', "identity", "same", "label"),
]

Words = list[str]


def words_of(text: str) -> Words:
    """A text cut into words, signs and the blanks between them; joined they are the text again."""
    try:
        lexemes = scan(Source("a.net", text)).lexemes
    except NetError:
        return [word for word in re.split(r"(\W)", text) if word]
    found, at = [], 0
    for lexeme in lexemes:
        found += [text[at : lexeme.start], lexeme.text]
        at = lexeme.end
    return [word for word in (*found, text[at:]) if word]


class Mutator:
    """Makes new texts of known ones, the same for the same seed."""

    def __init__(self, seed: int, texts: Sequence[str]) -> None:
        self.random = Random(seed)
        self.texts = [words_of(text) for text in texts]

    def learn(self, text: str) -> None:
        """Start from this text, too, from now on."""
        self.texts.append(words_of(text))

    def mutant(self, words: Words) -> str:
        """One to four mutations of a text."""
        words = list(words)
        for _ in range(self.random.choice((1, 1, 1, 2, 2, 3, 4))):
            self.random.choice(_MUTATIONS)(self, words)
            words[:] = filter(None, words)
        return "".join(words)

    def at(self, words: Words) -> int:
        """A place in a text."""
        return self.random.randrange(len(words) + 1)

    def part(self, words: Words) -> tuple[int, int]:
        """A bracketed part of a text with its brackets, or a word where it has none."""
        starts = [k for k, word in enumerate(words) if word in CLOSING]
        if not starts:
            at = self.at(words)
            return at, min(at + 1, len(words))
        start = self.random.choice(starts)
        depth = 0
        for end in range(start, len(words)):
            depth += (words[end] in CLOSING) - (words[end] in CLOSING.values())
            if depth == 0:
                return start, end + 1
        return start, len(words)

    def other(self) -> Words:
        """Another text."""
        return self.random.choice(self.texts) or ["x"]

    def word(self) -> str:
        """A word from anywhere."""
        other = self.other()
        return self.random.choice(
            (self.random.choice(WORDS), self.random.choice(EDGES), self.random.choice(other))
        )


def _delete(m: Mutator, words: Words) -> None:
    at = m.at(words)
    del words[at : at + m.random.choice((1, 1, 1, 2, 4, 9))]


def _insert(m: Mutator, words: Words) -> None:
    words.insert(m.at(words), f" {m.word()} ")


def _replace(m: Mutator, words: Words) -> None:
    at = m.at(words)
    words[at : at + 1] = [m.word()]


def _swap(m: Mutator, words: Words) -> None:
    if len(words) > 1:
        a, b = m.random.randrange(len(words)), m.random.randrange(len(words))
        words[a], words[b] = words[b], words[a]


def _double(m: Mutator, words: Words) -> None:
    start = m.at(words)
    words[start:start] = words[start : start + m.random.choice((1, 2, 5, 20))]


def _like(m: Mutator, words: Words) -> None:
    """A word in place of another of its kind: a name for a name, a number for a number."""
    names = [k for k, word in enumerate(words) if word[0].isalnum()]
    if names:
        at = m.random.choice(names)
        pool = EDGES if words[at][0].isdigit() else [w for w in m.other() if w[0].isalpha()]
        words[at] = m.random.choice(pool or EDGES)


def _edge(m: Mutator, words: Words) -> None:
    numbers = [k for k, word in enumerate(words) if word[0].isdigit()]
    if numbers:
        words[m.random.choice(numbers)] = m.random.choice(EDGES)


def _splice(m: Mutator, words: Words) -> None:
    other = m.other()
    start, end = m.part(words)
    first, last = m.part(other)
    words[start:end] = other[first:last]


def _argument(m: Mutator, words: Words) -> None:
    """One more setting in a call."""
    calls = [k for k, word in enumerate(words) if word == "("]
    if calls:
        text = m.random.choice((f"{m.random.choice(EDGES)}, ", f"{m.word()} = {m.random.choice(EDGES)}, "))
        words.insert(m.random.choice(calls) + 1, text)


def _wrap(m: Mutator, words: Words) -> None:
    start, end = m.part(words)
    before, after = m.random.choice(
        (("(", ")"), ("[", "]"), ("-", ""), ("not ", ""), ("relu", ""), ("[", ",]"), ("(", " -> flatten)"))
    )
    times = m.random.choice((1, 1, 1, 3, 60, 120))
    words[start:end] = [*[before] * times, *words[start:end], *[after] * times]


def _lines(m: Mutator, words: Words) -> None:
    """Lines of another text among these."""
    other = "".join(m.other()).split("\n")
    at = m.random.randrange(len(other))
    taken = "\n".join(other[at : at + m.random.choice((1, 1, 2, 3))])
    breaks = [k for k, word in enumerate(words) if "\n" in word] or [0]
    words.insert(m.random.choice(breaks), f"\n{taken}\n")


def _statement(m: Mutator, words: Words) -> None:
    """A statement that uses what a text may have defined."""
    e, f = m.random.choice(EDGES), m.random.choice(EDGES)
    names = [w for w in words if w[0].isalpha()] or ["x"]
    a, b = m.random.choice(names), m.random.choice(names)
    text = m.random.choice(
        (
            f"{a} = {b} -> {a}({e})", f"{a}[{e}] = {f}", f"z = {a}[{e}]", f"{a} = {e} {m.random.choice(WORDS)} {f}",
            f"z = {a}({b}, {e})", f"assert {e} == {f}", f"for {a} in {e} {{ {b} }}", f"layer {a} = {b}({e})",
            f"z = x -> repeat {e} {{ in -> {a} }}", f"z = x -> {a} {{ | {b} | {b}({e}) }}", f"z = {a}.{b}",
            f"z = len({e}) + int({f})", f"output {a} = {b}", f"{a}, {b} = {e}", f"z = {a} @{b}({e})",
        )
    )  # fmt: skip
    breaks = [k for k, word in enumerate(words) if "\n" in word] or [0]
    words.insert(m.random.choice(breaks), f"\n{text}\n")


_MUTATIONS: Sequence[Callable[[Mutator, Words], None]] = (
    *(_delete, _insert, _replace, _swap, _double, _like, _like, _edge, _edge, _splice, _splice, _argument),
    *(_argument, _wrap, _lines, _statement, _statement),
)
