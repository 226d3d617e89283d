"""How to install an optional library in the user's environment.

The hint names the library itself, not `netdsl[image]`: pip would look for netdsl on its index, but netdsl may
have been installed from a folder or a wheel.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from netdsl.source import Diagnostic, NetError

EXTRAS = {
    "pillow": "image",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "openvino": "peers",
    "soundfile": "sound",
    "zarr": "zarr",
    "numba-cuda": "gpu",
    "nvtx": "profile",
    "tensorboard": "tensorboard",
}
"""The optional libraries, as pip calls them, and the extras of netdsl that ask for them."""


def need(module: str, library: str, what: str, code: str) -> Any:
    """Import a module of an optional library, which `what` needs; raises NetError that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        message = f"{what} needs {library}, which is not installed"
        raise NetError(Diagnostic(code, message, fix=install_hint(library))) from None


def install_hint(library: str) -> str:
    """The command that installs an optional library where this Python finds it: `pip install 'pillow>=10.3'`."""
    return f"{_installer()} {shlex.quote(_requirement(library))}"


def _requirement(library: str) -> str:
    """The library with the versions that netdsl asks for."""
    # Imported here because it is slow: it imports the parser of e-mails.
    from importlib import metadata

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
    """`pip install` if that is the pip of this Python; else the command that runs the right pip."""
    if _ours("pip"):
        return "pip install"
    python = "python" if _ours("python") else shlex.quote(sys.executable)
    if importlib.util.find_spec("pip") is not None:
        return f"{python} -m pip install"
    if shutil.which("uv"):
        return f"uv pip install --python {python}"
    return f"{python} -m ensurepip && {python} -m pip install"


def _ours(program: str) -> bool:
    """Whether this command is the one that belongs to this Python."""
    found = shutil.which(program)
    return found is not None and Path(found).parent == Path(sys.executable).parent
