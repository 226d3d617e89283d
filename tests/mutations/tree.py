"""A copy of the tree in which mutants are tried."""

import contextlib
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutations.mutants import Mutant
from tests.mutations.rooms import stages

ROOT = Path(__file__).parent.parent.parent
#: what a process of tests need not import again; nothing of ours
PRELOADED = ["hypothesis", "numba", "numpy", "onnx.reference", "pytest"]


@dataclass(frozen=True)
class Tree:
    """A copy of the working tree in `folder`, with kernels of its own.

    A run of tests ends after `seconds` of processor time, or ten times as long where it only waits; then the mutant
    counts as killed.  `rooms` says how many stages of tests are tried, None for all.
    """

    folder: Path
    seconds: int
    rooms: int | None = None

    @classmethod
    def copied(cls, folder: Path, seconds: int, rooms: int | None = None) -> "Tree":
        """What git knows, as it lies in the working tree."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
        for name in filter(None, names.decode().split("\0")):
            if Path(ROOT, name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
        os.environ["NETDSL_CACHE"] = str(folder / "cache")
        return cls(folder, seconds, rooms)

    def stages(self, path: Path) -> list[tuple[str, ...]]:
        """The tests to try for a file."""
        return stages(path)[: self.rooms]

    def faults(self, paths: Iterable[Path]) -> list[str]:
        """The tests that fail as the tree is."""
        needed = dict.fromkeys(stage for path in paths for stage in self.stages(path))
        return [found for stage in needed if (found := self.failure(stage)) is not None]

    def notices(self, mutant: Mutant, number: int) -> bool:
        """Whether a test fails with the mutant in place."""
        path, start = self.folder / mutant.path, time.monotonic()
        source, status = path.read_bytes(), path.stat()
        line = source[: mutant.start].count(b"\n") + 1
        try:
            path.write_bytes(mutant.applied(source))
            # Python takes bytecode for that of a text by size and whole seconds: each mutant has seconds of its own.
            os.utime(path, (number + 1, number + 1))
            found = next(filter(None, map(self.failure, self.stages(mutant.path))), None)
        finally:
            path.write_bytes(source)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        took = f"{time.monotonic() - start:.0f} s"
        print(f"{number}: {mutant.path}:{line} {mutant.kind}: {found or 'SURVIVED'} ({took})", flush=True)
        return found is not None

    def failure(self, tests: tuple[str, ...]) -> str | None:
        """The first of the tests that fails, or `timeout`; None where all pass."""
        there = [t for t in tests if Path(self.folder, t).exists()]
        log = self.folder / "tests.log"
        context = multiprocessing.get_context("forkserver")
        process = context.Process(target=_run, args=(self.folder, there, log, self.seconds))
        process.start()
        process.join(10 * self.seconds)
        if process.exitcode in (None, -signal.SIGXCPU):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid or 0, signal.SIGKILL)
            process.join()
            return "timeout"
        if process.exitcode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return None
        text = log.read_text(encoding="utf-8", errors="replace")
        return next(_names(text), f"exit {process.exitcode}, {text[-300:]}")


def _names(text: str) -> Iterator[str]:
    yield from (m[1] for m in re.finditer(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", text, re.MULTILINE))


def _run(folder: Path, tests: Sequence[str], log: Path, seconds: int) -> None:
    """The tests in a process, and a group of processes, of their own."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    sys.path[:] = [str(folder), *(p for p in sys.path if Path(p).resolve() != ROOT)]
    os.environ["PYTHONPATH"] = str(folder)
    for name in [n for n in sys.modules if n.partition(".")[0] in ("netdsl", "tests")]:
        del sys.modules[name]
    code = pytest.main(["-x", "-q", "-rfE", "-p", "no:cacheprovider", "--tb=no", *tests])
    import netdsl

    assert Path(netdsl.__file__).is_relative_to(folder), "the tests ran elsewhere"
    sys.stdout.flush()
    os._exit(int(code))
