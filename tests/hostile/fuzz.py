"""Mutated texts through parser, elaboration and formatter: nothing but a `NetError` may come out.

`python -m tests.hostile.fuzz --seconds 60 --seed 0` tells how many it tried, prints every other exception once, with
the smallest text that raises it, and exits with 1 where there was one.  A text that gives a message not seen before
becomes a text to start from.
"""

import argparse
import re
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from netdsl.elaborate import budget, elaborate_each
from netdsl.source import NetError, Source
from netdsl.syntax.format import format_source
from netdsl.syntax.parse import parse
from tests.hostile.corpus import corpus
from tests.hostile.mutate import Mutator

SLOW = 10.0
"""Seconds of processor time past which a text hangs: a limit stops every text within 2 s on a quiet machine."""

_SHORT = 500  # characters
_WORD = re.compile(r"[A-Za-z]{2,}")


@dataclass
class Found:
    """What came out of the texts tried so far."""

    tried: int = 0
    well_formed: int = 0
    longest: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)

    def fail(self, place: str, text: str) -> None:
        """Keep the smallest text for each place that raised."""
        self.times[place] += 1
        if place not in self.failures or len(text) < len(self.failures[place]):
            self.failures[place] = text


def attempt(name: str, text: str, found: Found) -> tuple[str, ...]:
    """Read, build and format a text; the kinds of message that it gave."""
    source, kinds = Source(name, text), tuple[str, ...]()
    start = time.process_time()
    try:
        for step in (_build, format_source):
            try:
                step(source)
            except NetError as error:
                assert len(str(error)) < 200_000 and all(d.to_json() for d in error.diagnostics)
                kinds += tuple(_kind(d.message, text) for d in error.diagnostics)
    except Exception:
        found.fail(_place(), text)
    took = time.process_time() - start
    if took > SLOW:
        found.fail(f"{took:.0f} s", text)
    found.tried += 1
    found.well_formed += not kinds
    found.longest = max(found.longest, took)
    return kinds


def _kind(message: str, text: str) -> str:
    """A message without the words that it quotes."""
    return " ".join(word for word in _WORD.findall(message) if word not in text)


def _build(source: Source) -> None:
    file = parse(source)
    for _ in elaborate_each(source, [*(file.nets or [None]), *file.presets]):
        pass


def _place() -> str:
    """The exception and the last line of ours that it passed."""
    kind, value, trace = sys.exc_info()
    frames = [f for f in traceback.extract_tb(trace) if "netdsl" in f.filename]
    where = f"{frames[-1].filename.rpartition('netdsl/')[2]}:{frames[-1].lineno}" if frames else "?"
    return f"{kind.__name__ if kind else ''} at {where}: {str(value)[:80]}"


def fuzz(seed: int, seconds: float, runs: int, report: float = 60.0) -> Found:
    """Try mutated texts until the time is over, or as many as `runs`."""
    sources = corpus()
    found, seen = Found(), set[str]()
    mutator, names = Mutator(seed, [s.text for s in sources]), [s.name for s in sources]
    for source in sources:
        if len(source.text) < _SHORT:
            seen.update(attempt(source.name, source.text, found))
    end, told = time.monotonic() + seconds, time.monotonic()
    while found.tried < runs and time.monotonic() < end:
        at = _short(mutator, names)
        text = mutator.mutant(mutator.texts[at])
        kinds = attempt(names[at], text, found)
        if not seen.issuperset(kinds) and len(text) < _SHORT:
            seen.update(kinds)
            mutator.learn(text)
            names.append(names[at])
        if time.monotonic() > told + report:
            told = time.monotonic()
            print(line(found, len(seen)), flush=True)
    print(line(found, len(seen)), flush=True)
    return found


def _short(mutator: Mutator, names: Sequence[str]) -> int:
    """A text to start from: one in fifty is long, since those take fifty times as long."""
    for _ in range(50):
        at = mutator.random.randrange(len(names))
        if sum(map(len, mutator.texts[at])) < _SHORT:
            break
    return at


def line(found: Found, kinds: int) -> str:
    """How it went so far."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return (
        f"{found.tried:_} texts, {found.well_formed:_} well-formed, {kinds:_} kinds of message, "
        f"{len(found.failures)} failures, longest {found.longest:.2f} s, at most {memory} MB"
    )


def main(words: Sequence[str]) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--runs", type=int, default=10**9)
    parser.add_argument("--steps", type=int, default=20_000, help="the budget: less makes bombs end sooner")
    given = parser.parse_args(words)
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    budget.MAX_STEPS = given.steps
    found = fuzz(given.seed, given.seconds, given.runs)
    for place, text in found.failures.items():
        print(f"\n=== {place} ({found.times[place]} times)\n{text}")
    return 1 if found.failures else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
