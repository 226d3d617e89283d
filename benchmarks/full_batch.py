"""Evaluations until the optimum of six problems, of the full-batch methods and of SciPy's.

    python -m benchmarks.full_batch

From the root of the repository. It prints the table of docs/full-batch.md: of networks in float32, beside SciPy on
the same functions in NumPy in float64. The problems are those of tests/train/full_batch/problems.py.
"""

from __future__ import annotations

from tests.train.full_batch.nets import learner_of, method_of, train
from tests.train.full_batch.peers import PAIRS, scipy_on
from tests.train.full_batch.problems import SIX


def main() -> None:
    names = [p.name for p in SIX]
    print(f"| method | {' | '.join(names)} | SciPy's |")
    print("|---|" + "---|" * (len(names) + 1))
    for text, peer in PAIRS.items():
        cells = []
        for problem in SIX:
            if text == "levenberg_marquardt" and not problem.residuals:
                cells.append("")
                continue
            learner, batch = learner_of(problem, method_of(problem, text))
            train(learner, batch)
            cells.append(f"{learner.work()['evaluations']} / {scipy_on(problem.name, peer)[1]}")
        print(f"| `{text}` | {' | '.join(cells)} | `{peer}` |", flush=True)


if __name__ == "__main__":
    main()
