"""Short files that ask for more than any machine has end in a diagnostic: soon, and in little memory."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from netdsl.elaborate import budget, context, elaborate, elaborate_each
from netdsl.ir import TensorType
from netdsl.ops import BY_NAME
from netdsl.source import NetError, Source
from netdsl.syntax.parse import parse
from netdsl.syntax.read import read_source
from tests.hostile.bombs import MISTAKEN, TEXTS, folders

BOMBS = TEXTS | MISTAKEN

#: what one file takes, all its nets and presets, in a process of its own
MEASURE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
from pathlib import Path
from netdsl.elaborate import elaborate_each
from netdsl.source import NetError
from netdsl.syntax.parse import parse
from netdsl.syntax.read import read_source
try:
    source = read_source(Path(sys.argv[1]))
    tree = parse(source)
    print(len(list(elaborate_each(source, [*(tree.nets or [None]), *tree.presets]))), "networks")
except NetError as error:
    print(len(error.diagnostics), "mistakes,", len(str(error)), "characters")
# Not ru_maxrss, which a process takes over from the one that starts it.
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def messages(source):
    try:
        tree = parse(source)
        list(elaborate_each(source, [*(tree.nets or [None]), *tree.presets]))
    except NetError as error:
        return [f"{d.code}: {d.message}" for d in error.diagnostics], str(error)
    return [], ""


@pytest.fixture
def a_tenth(monkeypatch):
    """The same limits, smaller, so that the tests take less time."""
    monkeypatch.setattr(budget, "MAX_STEPS", 60_000)
    monkeypatch.setattr(context, "MAX_NODES", 2_000)


@pytest.mark.parametrize("name", [name for name, text in BOMBS.items() if len(text) < 50_000])
def test_a_short_file_ends(name, a_tenth):
    found, text = messages(Source("bomb.net", BOMBS[name]))
    assert found and len(found) <= 22 and len(text) < 30_000
    if name in TEXTS:
        assert found[-1].startswith(("limit: ", "type: ", "assert: "))


def test_imports_end(tmp_path, a_tenth):
    found = {name: messages(read_source(path))[0] for name, path in folders(tmp_path)}
    assert found["diamonds"] == []
    for name, expected in {
        "a chain of 700": "limit: files import each other more than 50 deep",
        "2,000 files": "limit: this takes more than 60_000 steps to build",
        "large files": "limit: this takes more than 60_000 steps to build",
        "one file 20,000 times": "limit: a text of more than 50_000 words, numbers and signs",
        "a FIFO": "import: f.net is a pipe; a .net file belongs here",
        "a loop of links": "import: cannot read f.net: ",
        "a file outside": "import: ../secret.net lies outside the folder of the file that is read first",
        "a link outside": "import: f.net lies outside the folder of the file that is read first",
        "itself": "import: main.net imports itself",
        "a folder": "import: f.net is a folder; a .net file belongs here",
    }.items():
        assert [m.startswith(expected) for m in found[name]] == [True], (name, found[name])


def test_an_import_may_look_up_within_the_folder_of_the_first_file(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "main.net").write_text('import "a/a.net" as a\nnet N { input x: [4]\n output y = x -> a.A }')
    (tmp_path / "a" / "a.net").write_text('import "../b/b.net" as b\nblock A { in -> b.B }')
    (tmp_path / "b" / "b.net").write_text("block B { in -> relu }")
    elaborate(read_source(tmp_path / "main.net"))
    with pytest.raises(NetError, match=r"\.\./b/b\.net lies outside"):
        elaborate(
            Source(str(tmp_path / "a" / "a.net"), (tmp_path / "a" / "a.net").read_text() + "\nnet N { }")
        )


def test_a_block_that_comes_in_on_two_ways_is_one_block(tmp_path):
    (tmp_path / "b.net").write_text("block B { in -> dense(3) }")
    for name in ("p", "q"):
        text = f'import "b.net"\nblock {name.upper()} {{ in -> B }}'
        (tmp_path / f"{name}.net").write_text(text)
    main = tmp_path / "main.net"
    net = "net N { input x: [4]\n output y = x -> B -> P -> Q }"
    main.write_text(f'import "p.net"\nimport "b.net"\nimport "q.net"\n{net}')
    assert len(elaborate(read_source(main)).graph.leaves("param")) == 6
    (tmp_path / "c.net").write_text(
        "block B { in }"
    )  # another block of the same name, and one of the file's own
    main.write_text(f'import "p.net"\nimport "c.net"\n{net}')
    with pytest.raises(NetError, match=r"B is defined here and in c\.net"):
        elaborate(read_source(main))
    main.write_text(f'import "p.net"\nblock B {{ in }}\n{net}')
    with pytest.raises(NetError, match=r"B is defined here and in p\.net"):
        elaborate(read_source(main))


def test_a_plain_diamond_of_imports_ends(tmp_path):
    for k in range(26):
        below = f'import "a{k + 1}.net"\nimport "b{k + 1}.net"\n' if k < 25 else ""
        (tmp_path / f"a{k}.net").write_text(f"{below}block A{k} {{ in -> relu }}")
        (tmp_path / f"b{k}.net").write_text(f"{below}block B{k} {{ in -> relu }}")
    main = tmp_path / "main.net"
    main.write_text('import "a0.net"\nimport "b0.net"\nnet N { input x: [4]\n output y = x -> A25 -> B25 }')
    assert len(elaborate(read_source(main)).graph) == 3


@pytest.mark.parametrize("name", ["add", "mul", "concat", "stack", "l1", "l2"])
def test_the_work_for_operands_grows_as_their_number(name):
    """A limit far from what it takes: 0.1 s; what compares all with all takes 30."""
    start = time.process_time()
    BY_NAME[name].make([], {}).infer(*[TensorType((1, 8))] * 40_000)
    assert time.process_time() - start < 5


def test_the_presets_of_a_file_share_one_budget(a_tenth):
    net = "net N(n = 1) { input x: [4]\n output y = x -> repeat n { in -> relu } }\n"
    presets = "".join(f"preset p{k} {{ n = 900 }}\n" for k in range(8))
    assert messages(Source("a.net", net + presets))[0] == [
        "limit: this takes more than 60_000 steps to build"
    ]
    elaborate(Source("a.net", net + presets), net="p7")


def test_a_mistake_is_reported_once_per_place_and_the_rest_is_counted():
    body = "\n".join(["x -> B", "x -> B", "x -> repeat 2 { in -> B }", *["a = b"] * 25, "output y = x"])
    text = f"net N {{ input x: [4]\n {body} }}\nblock B {{ in -> foo }}"
    found, shown = messages(Source("a.net", text))
    assert found[0] == "name: no name is called foo" and sum("foo" in m for m in found) == 1
    assert len(found) == 21 and found[-1] == "more: 6 more mistakes, not shown" and "6 more" in shown


def test_threads_leave_the_process_as_it_was():
    text = "block B(n) { in -> B(n - 1) -> relu if n > 0 else in }\nnet N { input x: [4]\n output y = x -> B(40) }"
    before, failures = sys.getrecursionlimit(), []

    def work(k):
        for i in range(5):
            try:
                elaborate(Source(f"{k}-{i}.net", text))
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and sys.getrecursionlimit() == before


@pytest.mark.slow
def test_every_bomb_alone(tmp_path):
    """Each in a process of its own: at most 500 MB, and far from 30 s, which a hang takes."""
    jobs = {}
    for k, (name, text) in enumerate(BOMBS.items()):
        jobs[name] = tmp_path / f"{k}.net"
        jobs[name].write_text(text)
    (tmp_path / "folders").mkdir()
    jobs |= dict(folders(tmp_path / "folders"))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for name, path in jobs.items():
        words = [sys.executable, "-c", MEASURE, str(path)]
        result = subprocess.run(words, capture_output=True, text=True, timeout=120, env=env)
        assert result.returncode == 0, (name, result.stderr)
        assert int(result.stdout.split()[-1]) < 500_000, (name, result.stdout)
