"""Do the tests notice small faults?  `python -m tests.mutations --count 60 --seed 0 netdsl/ir netdsl/passes`.

Draws so many mutants of the files and folders with the seed, puts one after the other into a copy of the tree and
runs the tests of its room there, then those of the rooms that use it, until one fails.  Prints who killed each, in
the end the survivors with their diffs, and exits with 1 where there are some.  `--first 20` leaves out the first 20
of the draw, to go on or to share the work; `--only 3 17` tries these again.  A survivor asks for a test, or computes
the same in another way.
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
    paths = [path.resolve().relative_to(ROOT) for path in options.paths]
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree.copied(Path(folder), options.seconds, options.stages)
        every = dict(enumerate(draw(tree.folder, paths, options.seed)))
        chosen = options.only or range(options.first, min(options.first + options.count, len(every)))
        drawn = {number: every[number] for number in chosen}
        faults = [] if options.list else tree.faults(dict.fromkeys(m.path for m in drawn.values()))
        if faults:
            sys.exit(f"without a mutant fail: {', '.join(faults)}")
        survivors = [m for k, m in drawn.items() if options.list or not tree.notices(m, k)]
        for m in survivors:
            print(f"\n{m.diff((tree.folder / m.path).read_bytes())}")
    if options.list:
        return 0
    print(f"\n{len(drawn)} mutants, {len(drawn) - len(survivors)} killed, {len(survivors)} survived")
    return 1 if survivors else 0


def draw(root: Path, paths: Sequence[Path], seed: int) -> list[Mutant]:
    """All mutants of files and folders below `root`, in the order of the draw."""
    files = {f for p in paths for f in ([root / p] if p.suffix else Path(root, p).rglob("*.py"))}
    every = [m for f in sorted(files) for m in mutants(f.relative_to(root), f.read_bytes())]
    random.Random(seed).shuffle(every)
    return every


if __name__ == "__main__":
    sys.exit(main())
