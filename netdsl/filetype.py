"""Open files of unknown kind without waiting for pipes, and name the kind of a wrong file in the error."""

from __future__ import annotations

import os
import re
import stat
from io import BufferedReader
from itertools import islice
from pathlib import Path

from netdsl.source import Diagnostic, NetError, suggest

HEAD = 4096
"""Bytes from the start of a file by which `content` tells what it is."""

# Without blocking: a pipe may have replaced the file since the check.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them"),
    (b"\x1f\x8b", "a file packed by gzip"),
    (b"\x00\x00\x08\x01", "labels in IDX format, as MNIST has them"),
    (b"\x00\x00\x08\x03", "images in IDX format, as MNIST has them"),
    (b"\x7fELF", "a program"),
)
_NET = re.compile(r"^\s*(net\s+[A-Z]|block\s+[A-Z]|import\s+\")", re.MULTILINE)


def open_file(path: str | Path, code: str, wanted: str, fix: str | None = None) -> BufferedReader:
    """Open an ordinary file for reading.

    Errors: NetError with `code` where it is missing, a folder, a pipe or a device, or may not be read; the message
    names the file, what it is, and `wanted`, such as "a checkpoint", that belongs there; `fix` says how to get one.
    """
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            raise not_wanted(path, code, _special(mode), wanted, _inside(Path(path), wanted) or fix)
        return os.fdopen(os.open(path, _READ), "rb", -1)
    except FileNotFoundError:
        if Path(path).is_symlink():
            raise NetError(Diagnostic(code, f"{path} is a link that points to nothing", fix=fix)) from None
        fix = nearest_path(Path(path)) or fix
        raise NetError(Diagnostic(code, f"there is no file {path}", fix=fix)) from None
    except OSError as error:
        raise NetError(Diagnostic(code, f"cannot read {path}: {error.strerror}", fix=fix)) from None
    except ValueError as error:  # a NUL in the path
        raise NetError(Diagnostic(code, f"cannot read {str(path)!r}: {error}")) from None


def not_wanted(path: str | Path, code: str, found: str, wanted: str, fix: str | None = None) -> NetError:
    """The error for `found`, such as "a folder", where `wanted` belongs."""
    return NetError(Diagnostic(code, f"{path} is {found}; {wanted} belongs here", fix=fix))


def content(head: bytes) -> str:
    """What a file is, from its first bytes: "a PNG image", "a netdsl checkpoint", "a text"."""
    if not head:
        return "empty"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head.startswith(b"PK\x03\x04"):
        return _zip(head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP image"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**40:
        kind = re.search(rb"netdsl (checkpoint|artifact) \d", head)
        return f"a netdsl {kind[1].decode()}" if kind else "a safetensors file that netdsl did not write"
    if head[0] == 0x80 and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a Python pickle, as PyTorch used to write them"
    return _text(head)


def _zip(head: bytes) -> str:
    """What a zip archive is, from the name of its first member."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if name.endswith((b"/data.pkl", b"/byteorder", b"/version")):
        return "a PyTorch file (.pth)"
    if name.endswith(b".npy"):
        return "an archive of NumPy arrays (.npz)"
    return "a Keras file (.keras)" if name == b"metadata.json" else "a zip archive"


def _text(head: bytes) -> str:
    # The head may end within a character.
    text = head.decode("utf-8", errors="ignore")
    if any(c < " " and c not in "\t\n\r\f" for c in text):
        return "a binary file"
    return "a network's text (.net)" if _NET.search(text) else "a text"


def _inside(folder: Path, wanted: str) -> str | None:
    """The checkpoint to name instead of the folder of its training run."""
    names = ("best.safetensors", "last.safetensors") if "checkpoint" in wanted else ()
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    return f"did you mean {found}?" if found else None


def _special(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def nearest_path(path: Path) -> str | None:
    """A hint with a path that is there and called like a missing one, or like the first missing folder in it."""
    missing, rest = path, Path()
    try:
        while not missing.parent.exists() and missing.parent != missing:
            missing, rest = missing.parent, missing.name / rest
        with os.scandir(missing.parent) as entries:
            near = suggest(missing.name, [e.name for e in islice(entries, 1000)])
        found = None if near is None else missing.with_name(near)
        whole = found if found is None or not (found / rest).exists() else found / rest
    except (OSError, ValueError):
        return None
    return f"did you mean {whole}?" if whole else None
