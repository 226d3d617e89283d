"""Which tests look at a room of the code: its own, then those of the rooms that stand on it."""

from pathlib import Path

_GRAPHS = ("tests/passes", "tests/test_autodiff.py", "tests/primitives")
_RUNS = ("tests/runtime", "tests/ops/test_conformance.py", "tests/backend")
#: after `tests/ROOM`: tests that are quick, then others
_NEIGHBOURS: dict[str, tuple[tuple[str, ...], ...]] = {
    "scalar": (_GRAPHS, ("tests/cpu", *_RUNS)),
    "ir": (_GRAPHS, ("tests/schedule", "tests/elaborate", "tests/report"), _RUNS, ("tests/train",)),
    "primitives": (_GRAPHS, ("tests/cpu", "tests/schedule"), _RUNS),
    "passes": (("tests/test_autodiff.py", "tests/schedule"), _RUNS, ("tests/train", "tests/test_docs.py")),
    "schedule": (("tests/cpu",), _RUNS, ("tests/report", "tests/train")),
    "backend": (("tests/schedule", "tests/cpu"), _RUNS),
    "cpu": (("tests/primitives",), _RUNS, ("tests/train", "tests/stress")),
    "runtime": (_RUNS, ("tests/train", "tests/predict")),
    "ops": (("tests/report", "tests/interop"), ("tests/elaborate", "tests/zoo"), ("tests/train",)),
    "elaborate": (("tests/report", "tests/cli"), ("tests/zoo", "tests/train")),
    "train": (("tests/cli", "tests/predict"),),
    "data": (("tests/train", "tests/predict"),),
    "syntax": (("tests/elaborate", "tests/hostile"),),
    "report": (("tests/cli", "tests/zoo"),),
}


def stages(path: Path) -> list[tuple[str, ...]]:
    """The tests of a file `netdsl/ROOM/...` or `netdsl/FILE.py`, in the order in which they are tried."""
    room = path.parts[1].removesuffix(".py")
    own = (f"tests/{room}", f"tests/test_{room}.py")
    return [own, *_NEIGHBOURS.get(room, (("tests/cli", "tests/train"),))]
