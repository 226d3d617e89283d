"""What people are told to type for a library that is missing: it works in the environment at hand."""

import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata, util
from pathlib import Path

import pytest

from netdsl import extras
from netdsl.extras import EXTRAS, install_hint, need
from netdsl.source import NetError

ROOT = Path(__file__).parent.parent
PYTHON = Path(sys.executable)


def environment(monkeypatch, programs=(), modules=("pip",)):
    """A machine on whose path these programs are, and whose Python has these modules."""
    monkeypatch.setattr(shutil, "which", lambda name: dict(programs).get(name))
    monkeypatch.setattr(util, "find_spec", lambda name: object() if name in modules else None)


WAYS = [
    ({"pip": str(PYTHON.parent / "pip")}, ("pip",), "pip install"),
    ({"pip": "/elsewhere/pip", "python": str(PYTHON)}, ("pip",), "python -m pip install"),
    ({"pip": "/elsewhere/pip"}, ("pip",), f"{shlex.quote(sys.executable)} -m pip install"),
    ({"uv": "/usr/bin/uv"}, (), f"uv pip install --python {shlex.quote(sys.executable)}"),
    ({"python": str(PYTHON)}, (), "python -m ensurepip && python -m pip install"),
]


@pytest.mark.parametrize(("programs", "modules", "command"), WAYS)
def test_the_installer_is_the_one_of_this_python(monkeypatch, programs, modules, command):
    environment(monkeypatch, programs, modules)
    assert install_hint("pillow") == f"{command} 'pillow>=10.3'"


def test_libraries_are_named_by_themselves(monkeypatch):
    """Not as an extra of netdsl, which pip would look for on its index."""
    environment(monkeypatch, {"pip": str(PYTHON.parent / "pip")})
    # What the text of the project asks for: an installation may be older.
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lines = [f"{line}; extra == '{extra}'" for extra, asked in extras.items() for line in asked]
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    for library in EXTRAS:
        assert "netdsl" not in install_hint(library) and "=" in install_hint(library)

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    assert install_hint("onnx") == "pip install onnx"


def test_pip_takes_the_command():
    """What is suggested here, but with the library that is already there: nothing is fetched."""
    command = shlex.split(install_hint("pillow"))
    if command[:2] == ["uv", "pip"] or "ensurepip" in command:
        pytest.skip("this Python has no pip")
    found = subprocess.run([*command, "--no-index", "--dry-run"], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_what_needs_it_is_said(monkeypatch):
    assert need("json", "pillow", "reading a.png", "data").loads("1") == 1
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(
        NetError, match=r"(?s)error\[data\]: reading a\.png needs pillow, .*help: .*install 'pillow>="
    ):
        need("PIL.Image", "pillow", "reading a.png", "data")


def test_no_other_way_of_asking_is_left():
    """Every missing library goes through `need`: nothing else in the code names pip or an extra."""
    for path in Path(extras.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert path.name == "extras.py" or ("pip install" not in text and "netdsl[" not in text), path
