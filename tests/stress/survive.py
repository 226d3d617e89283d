"""Runs numbered cases in a child process that may die: what killed it becomes a result like any other.

A module of cases calls `main(case)`: without `--worker` it is the parent, which counts and prints.
"""

import argparse
import collections
import json
import os
import select
import signal
import subprocess
import sys
import time

TIMEOUT = 300


class Child:
    """`python -m MODULE --worker`: takes a seed a line and answers with a line of JSON."""

    def __init__(self, module, environment):
        self.command = [sys.executable, "-m", module, "--worker"]
        self.environment = {**os.environ, **environment}
        self.process = None

    def ask(self, seed):
        """The result of a case: {"status": ..., "note": ...}; a death or a hang is one too."""
        if self.process is None:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment
            )
        start = time.perf_counter()
        self.process.stdin.write(f"{seed}\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], TIMEOUT)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return {**json.loads(line), "seconds": time.perf_counter() - start}
        return {"status": "fault", "note": self._end(hung=not ready), "seconds": time.perf_counter() - start}

    def _end(self, hung):
        if hung:
            self.process.kill()
        code = self.process.wait()
        self.process = None
        if hung:
            return f"no answer within {TIMEOUT} s"
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()


def serve(case):
    """The child: a line of JSON for each seed."""
    for line in sys.stdin:
        try:
            status, note = case(int(line))
        except Exception as error:
            status, note = "error", f"{type(error).__name__}: {str(error)[:600]}"
        print(json.dumps({"status": status, "note": note}), flush=True)


def survey(module, seeds, environment=None, tell=None):
    """The results of all seeds by status: {status: [(seed, note), ...]}."""
    child = Child(module, environment or {})
    found = collections.defaultdict(list)
    for seed in seeds:
        result = child.ask(seed)
        found[result["status"]].append((seed, result["note"]))
        if tell is not None:
            tell(seed, result)
    child.close()
    return found


def main(module, case, document):
    parser = argparse.ArgumentParser(description=document.splitlines()[0])
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    if options.worker:
        serve(case)
        return

    def tell(seed, result):
        slow = f"  {result['seconds']:.1f} s" if result["seconds"] > 10 else ""
        if result["status"] not in ("right", "degenerate") or slow:
            print(f"{seed}: {result['status']}: {result['note']}{slow}", flush=True)

    found = survey(module, range(options.first, options.first + options.count), tell=tell)
    print(f"{options.count} cases:", ", ".join(f"{len(v)} {k}" for k, v in sorted(found.items())))
    for reason, number in collections.Counter(note for _, note in found["degenerate"]).most_common():
        print(f"  degenerate, {number}: {reason}")
    raise SystemExit(1 if set(found) - {"right", "degenerate"} else 0)
