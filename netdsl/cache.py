"""A cache on disk: private to the user, checked when read, bounded in size; every entry can be made again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from netdsl.files import atomic_write, private_directory, user_cache
from netdsl.source import Diagnostic, warn

MAX_BYTES = 512 * 2**20
_MAGIC = b"netdsl-2"
_DIGEST = 32
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Cache:
    """Entries by name in the folder `kind` of the user's cache, or where the environment variable `moved_by` says.

    Where the folder cannot be used or an entry cannot be written, nothing is stored, and one warning says why.
    """

    kind: str
    moved_by: str = ""

    def directory(self) -> Path:
        """The folder, made when missing; raises OSError when it cannot be, or may be written to by others."""
        asked = os.environ.get(self.moved_by) if self.moved_by else None
        return private_directory(Path(asked).absolute() if asked else user_cache() / self.kind)

    def load(self, name: str) -> bytes | None:
        """The entry `name`, or None.  A damaged entry, or one stored under another name, is deleted."""
        try:
            path = self.directory() / name
            data = _content(path)
        except OSError:
            return None
        start = len(_MAGIC) + _DIGEST
        payload = data[start:]
        whole = data[:start] == _head(name, payload)
        with contextlib.suppress(OSError):  # a read-only folder
            os.utime(path) if whole else path.unlink()
        return payload if whole else None

    def store(self, name: str, payload: bytes) -> None:
        """Store `payload` under `name`; when there are too many entries, delete the least recently used."""
        try:
            folder = self.directory()
            atomic_write(folder / name, _head(name, payload) + payload, private=True)
            _prune(folder)
        except OSError as error:
            moved_by = self.moved_by if self.moved_by in os.environ else "XDG_CACHE_HOME"
            fix = f"set {moved_by} to a folder of your own"
            warn(Diagnostic("cache", f"nothing is kept for the next start, {_reason(error)}", fix=fix))


def _reason(error: OSError) -> str:
    """The reason, the same text for all entries of a folder, so that it is printed once."""
    where = f"in {Path(str(error.filename)).parent}: " if error.filename else "as "
    return f"{where}{error.strerror or error}"


def _head(name: str, payload: bytes) -> bytes:
    """The header of an entry.  It holds the name, so a copy under another name is not accepted."""
    return _MAGIC + hashlib.sha256(name.encode() + b"\0" + payload).digest()


def _content(path: Path) -> bytes:
    """The bytes of an ordinary file; raises OSError for a folder, a pipe, a link or one that is too large."""
    with os.fdopen(os.open(path, _READ), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise OSError(f"{path} is no entry")
        return file.read()


def _prune(folder: Path) -> None:
    """Delete the entries used longest ago where there are too many; files of others are none of ours."""
    files: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process pruned it first
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                files.append((status.st_mtime, status.st_size, path))
    if sum(size for _, size, _ in files) <= MAX_BYTES:
        return
    entries = [file for file in files if _is_entry(file[2])]
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= MAX_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= size


def _is_entry(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False
