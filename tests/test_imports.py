"""Rooms import only the rooms above them, and reports import no compiler."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator, Set
from pathlib import Path
from types import ModuleType

import networkx
import pytest

from netdsl.backend.registry import TARGETS
from netdsl.lazy import public_names

ROOT = Path(__file__).parent.parent / "netdsl"
ORDER = [
    "compat",
    "lazy",
    "terminal",
    "words",
    "source",
    "limits",
    "machine",
    "process",
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
    "cost",
    "elaborate",
]
ORDER += [
    "autodiff",
    "passes",
    "report",
    "schedule",
    "backend",
    "native",
    "cpu",
    "cuda",
    "reference",
    "runtime",
    "data",
    "train",
    "predict",
    "interop",
    "api",
    "measure",
    "sweep",
    "cli",
    "__main__",
]
#: every file but the package's own __init__
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


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def files_imported(tree: ast.AST, known: Set[str]) -> Iterator[str]:
    """The files of netdsl that a file imports, within functions too; what only type checkers read is left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (n if (n := f"{node.module}.{a.name}") in known else node.module for a in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        yield from files_imported(node, known)


def test_no_two_files_import_each_other():
    """Not even by way of others."""
    files = {module(path): path for path in ROOT.rglob("*.py")}
    graph = networkx.DiGraph()
    for name, path in files.items():
        found = files_imported(ast.parse(path.read_text()), files.keys())
        graph.add_edges_from((name, other) for other in found if other in files)
    assert graph.has_edge("netdsl.api", "netdsl.report.notebook")  # within a function
    assert not [sorted(knot) for knot in networkx.strongly_connected_components(graph) if len(knot) > 1]


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


#: the rooms of devices, behind the wall of `backend`
DEVICES = {"cpu", "reference", "cuda"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nobody_imports_a_device(path):
    """Targets are found by name in `backend.registry`; they do not import each other either."""
    assert not imported(path) & DEVICES - {room(path)}


def test_every_device_is_found_by_name():
    assert {module.split(".")[1] for module in TARGETS.values()} == set(TARGETS) == DEVICES


def may_import(path: Path, library: str) -> bool:
    """Compilers are for the devices that they are made for."""
    if library.startswith("numba.cuda"):
        return path == ROOT / "cuda" / "compiler.py"
    return room(path) in ("cpu", "native", "cuda") or library.split(".")[0] not in ("numba", "llvmlite")


def test_compilers_are_imported_by_the_devices_that_they_are_made_for():
    found = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names += [f"{node.module}.{a.name}" for a in node.names]
            assert all(may_import(path, name) for name in names), path
            found |= {name.split(".")[0] for name in names}
    assert {"numba", "llvmlite"} <= found


def test_what_computes_waits_for_the_device_that_is_asked_for():
    """Not even a program on another device needs a compiler."""
    code = (
        "import sys, netdsl.cli.main, netdsl.train, netdsl.predict, netdsl.runtime, netdsl.data\n"
        "from netdsl.elaborate import elaborate\n"
        "from netdsl.source import Source\n"
        "network = elaborate(Source('a.net', 'net A { input x: [3]\\n output y = x -> dense(2) }'))\n"
        "netdsl.compile(network, device='reference')\n"
        "assert not {'numba', 'llvmlite', 'netdsl.cpu'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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
    made_by = getattr(vars(room).get("__getattr__"), "__module__", None)
    homes = public_names(Path(room.__file__)) if made_by == "netdsl.lazy" else {}
    assert names == sorted(homes) or not homes
    guards = [n for n in ast.parse(Path(room.__file__).read_text()).body if isinstance(n, ast.If)]
    imports = [n for guard in guards for n in guard.body if isinstance(n, ast.ImportFrom)]
    assert homes in ({}, {a.name: n.module for n in imports for a in n.names})
    for name, home in homes.items():
        assert getattr(room, name) is getattr(importlib.import_module(home), name)


def test_the_options_of_commands_need_no_primitives():
    code = "import sys, netdsl.cli.train\nassert not {'netdsl.primitives', 'netdsl.ir'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
