"""The networks in the docs are well-formed, and what the README points at is there."""

import re
from pathlib import Path

import pytest

from netdsl.elaborate import elaborate
from netdsl.source import Source

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```net\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)#:]+)\)")


def test_networks_of_the_language_page_elaborate():
    texts = BLOCK.findall((ROOT / "docs" / "language.md").read_text())
    assert texts
    for text in texts:
        assert elaborate(Source("language.md", text)).claims


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readme_network_is_the_example():
    readme = (ROOT / "README.md").read_text()
    example = (ROOT / "examples" / "lenet5.net").read_text()
    network = example[example.index("net LeNet5") : example.index("data {")]
    assert network.split()[:40] == readme[readme.index("net LeNet5") :].split()[:40]


def test_python_of_the_readme_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert code is not None
    exec(compile(code.group(1), "README.md", "exec"), {})
    assert "61,706 params" in capsys.readouterr().out
