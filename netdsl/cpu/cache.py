"""Compiled code on disk, private to the user: written atomically, checked when read, bounded in size."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from netdsl.files import atomic_write, private_directory, user_cache

MAX_BYTES = 512 * 2**20
_MAGIC = b"netdsl-1"
_DIGEST = 32


def directory() -> Path:
    """Return the folder of compiled code, made when missing: $NETDSL_CACHE_DIR, else the user's.

    Errors: OSError when it cannot be made, or may be written to by others, naming the variable that moves it.
    """
    asked = os.environ.get("NETDSL_CACHE_DIR")
    try:
        return private_directory(Path(asked).absolute() if asked else user_cache() / "cpu")
    except OSError as error:
        error.add_note("compiled kernels are kept there; set NETDSL_CACHE_DIR to a folder of your own")
        raise


def load(name: str) -> bytes | None:
    """Return what was stored under `name`, or None; an entry that was damaged is deleted."""
    path = directory() / name
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    start = len(_MAGIC) + _DIGEST
    payload = data[start:]
    if data[:start] != _MAGIC + hashlib.sha256(payload).digest():
        path.unlink(missing_ok=True)
        return None
    os.utime(path)
    return payload


def store(name: str, payload: bytes) -> None:
    """Keep `payload` under `name`, and forget the entries unused for longest when there are too many."""
    folder = directory()
    atomic_write(folder / name, _MAGIC + hashlib.sha256(payload).digest() + payload, private=True)
    _prune(folder)


def _prune(folder: Path) -> None:
    entries: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        try:
            status = path.stat()
        except FileNotFoundError:  # another process pruned it first
            continue
        entries.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= MAX_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= size
