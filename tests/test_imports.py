"""Rooms import only the rooms above them, and reports do not wait for a compiler."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent / "netdsl"
ORDER = [
    "lazy",
    "terminal",
    "words",
    "source",
    "limits",
    "files",
    "cache",
    "extras",
    "filetype",
    "records",
    "arrays",
    "syntax",
    "scalar",
    "ir",
    "primitives",
    "ops",
    "elaborate",
]
ORDER += [
    "autodiff",
    "passes",
    "report",
    "schedule",
    "cpu",
    "runtime",
    "data",
    "train",
    "predict",
    "interop",
    "api",
    "cli",
    "__main__",
]
#: the text form of graphs is read with the loader of grammars; counters of the data room are the same Threefry
MODULES = [p for p in sorted(ROOT.rglob("*.py")) if p.parent != ROOT or p.stem != "__init__"]


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("netdsl."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "netdsl":
            names |= {a.name for a in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downwards(path):
    own = ORDER.index(room(path))
    for name in imported(path):
        assert ORDER.index(name) <= own, f"{room(path)} imports {name}"


@pytest.mark.parametrize(
    ("command", "names"), [("check", "resnet.net"), ("report", "*.net"), ("draw", "*.net")]
)
def test_descriptions_wait_for_no_library_that_computes(command, names):
    """Neither for a compiler nor for NumPy, whatever the network."""
    code = (
        "import sys; from netdsl.cli.main import main\n"
        "for file in sys.argv[2:]:\n"
        "    try: main([sys.argv[1], file])\n"
        "    except SystemExit as e: assert not e.code, file\n"
        "    found = {'numba', 'llvmlite', 'numpy', 'networkx'} & sys.modules.keys()\n"
        "    assert not found, (file, found)"
    )
    files = [p for p in sorted((ROOT.parent / "examples").glob(names)) if "\nnet " in p.read_text()]
    subprocess.run([sys.executable, "-c", code, command, *files], check=True, stdout=subprocess.DEVNULL)


def test_sections_are_read_without_a_library_that_computes():
    code = "import sys, netdsl.train.sections\nassert not {'numba', 'llvmlite', 'numpy'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_lark_is_there_only_to_make_tables_and_to_read_graphs():
    code = "import netdsl.elaborate, netdsl.report, sys; assert 'lark' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_the_cpu_room_imports_numba():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(n.split(".")[0] in ("numba", "llvmlite") for n in names):
                assert room(path) == "cpu", path


PACKAGES = [
    "netdsl",
    *(".".join(p.parent.relative_to(ROOT.parent).parts) for p in ROOT.glob("*/__init__.py")),
]


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_not_replaced_by_modules(package):
    """Python puts an imported module into its package under the module's name, over whatever was meant."""
    room = importlib.import_module(package)
    for found in pkgutil.iter_modules(room.__path__):
        if found.name != "__main__":
            importlib.import_module(f"{package}.{found.name}")
    names = getattr(room, "__all__", [])
    modules = [name for name in names if isinstance(getattr(room, name), ModuleType)]
    assert not modules
    for name, home in getattr(room, "_HOMES", {}).items():
        assert getattr(room, name) is getattr(importlib.import_module(home), name)
