"""Do the tests notice small faults?  `python -m tests.mutations --count 60 --seed 0 netdsl/ir netdsl/passes`.

Draws so many mutants of the files and folders with the seed, puts one after the other into a copy of the tree and
runs the tests of its room there, then those of the rooms that use it, until one fails.  Prints who killed each, in
the end the survivors with their diffs, and exits with 1 where there are some.  `--first 20` leaves out the first 20
of the draw, to go on or to share the work; `--only 3 17` tries these again.  A survivor asks for a test, or computes the same in another way.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.mutations.mutants import Mutant, mutants
from tests.mutations.tree import ROOT, Tree


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", type=Path, help="files and folders of the code")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="mutants of the draw that are left out")
    parser.add_argument("--seconds", type=int, default=120, help="processor time for the tests of a room")
    parser.add_argument("--stages", type=int, help="how many rooms are asked, the own one first; else all")
    parser.add_argument("--only", type=int, nargs="*", default=(), help="numbers of mutants: these alone")
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    options = parser.parse_args(argv)
    every = dict(enumerate(draw(options.paths, options.seed)))
    chosen = options.only or range(options.first, min(options.first + options.count, len(every)))
    drawn = {number: every[number] for number in chosen}
    if options.list:
        print("\n".join(m.diff((ROOT / m.path).read_bytes()) for m in drawn.values()))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree.copied(Path(folder), options.seconds, options.stages)
        faults = tree.faults(dict.fromkeys(m.path for m in drawn.values()))
        if faults:
            sys.exit(f"without a mutant fail: {', '.join(faults)}")
        survivors = [m for k, m in drawn.items() if not tree.notices(m, k)]
    for m in survivors:
        print(f"\n{m.diff((ROOT / m.path).read_bytes())}")
    print(f"\n{len(drawn)} mutants, {len(drawn) - len(survivors)} killed, {len(survivors)} survived")
    return 1 if survivors else 0


def draw(paths: Sequence[Path], seed: int) -> list[Mutant]:
    """All mutants of files and folders, in the order of the draw."""
    files = {f for path in paths for f in ([path] if path.suffix else path.rglob("*.py"))}
    own = sorted(f.resolve().relative_to(ROOT) for f in files)
    every = [m for f in own for m in mutants(f, (ROOT / f).read_bytes())]
    random.Random(seed).shuffle(every)
    return every


if __name__ == "__main__":
    sys.exit(main())
