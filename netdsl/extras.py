"""What to type to get a library that is not installed, in the environment at hand.

netdsl's optional libraries are named by themselves, not as `netdsl[image]`: pip would look for that on its index,
where a copy that was installed from a folder or a wheel need not be.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path

EXTRAS = {"pillow": "image", "onnx": "onnx", "onnxruntime": "onnx", "matplotlib": "plot", "torch": "torch"}
"""The optional libraries, as pip calls them, and the extras of netdsl that ask for them."""


def install_hint(*libraries: str) -> str:
    """The command that installs optional libraries where this Python finds them: `pip install 'pillow>=10.3'`."""
    return " ".join([_installer(), *(shlex.quote(_requirement(library)) for library in libraries)])


def _requirement(library: str) -> str:
    """The library with the versions that netdsl asks for."""
    try:
        asked = metadata.requires("netdsl") or []
    except metadata.PackageNotFoundError:
        return library
    for line in asked:
        name, _, condition = line.partition(";")
        if re.split(r"[^\w-]", name)[0].lower() == library and EXTRAS[library] in condition:
            return name.strip()
    return library


def _installer() -> str:
    """`pip install` where that is the pip of this Python; else what is."""
    if _ours("pip"):
        return "pip install"
    python = "python" if _ours("python") else shlex.quote(sys.executable)
    if importlib.util.find_spec("pip") is not None:
        return f"{python} -m pip install"
    if shutil.which("uv"):
        return f"uv pip install --python {python}"
    return f"{python} -m ensurepip && {python} -m pip install"


def _ours(program: str) -> bool:
    """Whether this name on a command line is the program that belongs to this Python."""
    found = shutil.which(program)
    return found is not None and Path(found).parent == Path(sys.executable).parent
