"""What README and docs show is true: networks elaborate, commands print what stands there, Python runs."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from netdsl.cli.main import main
from netdsl.elaborate import elaborate
from netdsl.ir.parse import parse_graph
from netdsl.passes import Log
from netdsl.primitives import LEAVES, PRIMITIVES
from netdsl.source import Source
from netdsl.syntax.parse import parse
from tests.markdown_sessions import run_sessions

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
FENCE = re.compile(r"^```(?P<kind>\w*)[ \t]*(?P<name>\S*)\n(?P<body>.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)#:]+)\)")
BY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)

# How each kind of block is tested, here or in the test named; a block of another kind is not.
KINDS = {"net", "error", "console", "python", "ir", "text", "sh"}


def blocks(page: Path, kind: str) -> Iterator[tuple[str, str]]:
    """Name and text of the fenced blocks of a kind."""
    for m in FENCE.finditer(page.read_text(encoding="utf-8")):
        if m["kind"] == kind:
            yield m["name"], m["body"]


def write_networks(page: Path, folder: Path) -> None:
    """The networks of a page that have a name of a file, as files."""
    for name, text in blocks(page, "net"):
        if name:
            (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    """A folder with the examples, in which commands may write."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def run(words: tuple[str, ...]) -> str:
    """What `netdsl ...` prints, errors included."""
    assert words[0] == "netdsl"
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), pytest.raises(SystemExit):
        main(words[1:])
    return out.getvalue()


@BY_PAGE
def test_every_block_is_of_a_kind_that_is_tested(page):
    assert {m["kind"] for m in FENCE.finditer(page.read_text(encoding="utf-8"))} <= KINDS


@BY_PAGE
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def need_card(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of the GPU is tried on an emulated one, which needs the compiler of a real one."""
    if page.name == "cuda.md":
        pytest.importorskip("numba_cuda", reason="the page needs numba-cuda, which is not installed")
        monkeypatch.setenv("NETDSL_CUDA", "emulated")


@BY_PAGE
def test_commands_print_what_the_page_shows(page, sandbox, monkeypatch):
    need_card(page, monkeypatch)
    write_networks(page, sandbox)
    run_sessions(page, run)


def has_python(page: Path) -> bool:
    """Whether a page has Python that runs by itself; that of `add-...` is part of netdsl, in other tests."""
    return not page.name.startswith("add-") and any(blocks(page, "python"))


@pytest.mark.parametrize("page", [p for p in PAGES if has_python(p)], ids=lambda p: p.name)
def test_python_runs(page, sandbox, monkeypatch):
    need_card(page, monkeypatch)
    write_networks(page, sandbox)
    for _, code in blocks(page, "python"):
        exec(compile(code, page.name, "exec"), {})


def test_networks_of_the_language_page_elaborate():
    for _, text in blocks(ROOT / "docs" / "language.md", "net"):
        assert elaborate(Source("language.md", text)).claims


def test_the_networks_of_the_readme():
    whole, part, _ = (text for _, text in blocks(ROOT / "README.md", "net"))
    assert elaborate(Source("README.md", whole)).claims
    assert parse(Source("README.md", part))


def test_the_op_of_the_page_passes_the_conformance_suite(tmp_path):
    """The page followed to the letter, in a copy of the sources."""
    for folder in ("netdsl", "grammar", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    _, (_, module), (_, line) = blocks(ROOT / "docs" / "add-an-op.md", "python")
    (tmp_path / "netdsl/ops/scale.py").write_text(module, encoding="utf-8")
    places = tmp_path / "netdsl/ops/__init__.py"
    text, before = places.read_text(encoding="utf-8"), '    "lrn": ('
    assert text.count(before) == 1
    places.write_text(text.replace(before, line + before), encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-p",
            "no:cacheprovider",
            "tests/ops/test_conformance.py",
            "-k",
            "scale",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    for name in (
        "expansion_equals_reference[scale(3x7)]",
        "gradient_equals_finite_differences[scale(3x7)]",
        "devices_equal_the_interpreter[scale(3x7)-cpu]",
        "devices_equal_the_interpreter[scale(3x7)-reference]",
    ):
        assert f"test_{name} PASSED" in done.stdout, done.stdout


def test_the_pass_of_the_page_works(monkeypatch):
    page = ROOT / "docs" / "add-a-pass.md"
    (_, code), *_ = blocks(page, "python")
    (_, text), *_ = blocks(page, "ir")
    monkeypatch.setitem(sys.modules, "page", module := ModuleType("page"))
    exec(compile(code, page.name, "exec"), vars(module))
    graph = parse_graph(text, {op.name: op for op in (*LEAVES, *PRIMITIVES)})
    log = Log()
    after = module.DoubleNegation().run(graph, log)
    assert str(after.outputs["b"]) == "%x" and log.events
