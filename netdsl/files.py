"""Writing files so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

Writer = Callable[[IO[bytes]], object]


def atomic_write(path: str | os.PathLike[str], data: bytes | Writer, *, private: bool = False) -> None:
    """Put `data` at `path` in one step: written beside, flushed to disk, then renamed.

    `data` is the content, or a function that writes it to the binary file it is given.
    The new file has mode 0666 less the umask, or 0600 less the umask when `private`. A symbolic
    link at `path` is replaced, not followed. When anything fails, KeyboardInterrupt included, the
    old file is untouched, nothing is left beside it and the exception goes on to the caller.
    A pipe or a character device, such as /dev/stdout, is written to as it is.

    Errors: OSError of the file system, and whatever `data` raises.
    """
    target = Path(path)
    if not private and _takes_a_stream(target):
        with target.open("wb") as stream:
            _write(stream, data)
        return
    with _temporary(target, 0o600 if private else 0o666) as (beside, file):
        _write(file, data)
        file.flush()
        os.fsync(file.fileno())
        file.close()
        beside.replace(target)
    _sync_directory(target.parent)


def obstacle(path: str | os.PathLike[str]) -> str | None:
    """Why `atomic_write` would fail at `path`, as far as can be told beforehand; None: nothing is in its way."""
    target = Path(path)
    if not target.absolute().parent.is_dir():
        return f"there is no folder {target.parent} for {target.name}"
    if target.is_dir():
        return f"{target} is a folder"
    if not _takes_a_stream(target) and not os.access(target.absolute().parent, os.W_OK | os.X_OK):
        return f"the folder {target.absolute().parent} may not be written to"
    return None


def private_directory(path: str | os.PathLike[str]) -> Path:
    """Return the directory `path`, made with mode 0700 (as are its missing parents) when not there.

    Errors: PermissionError when it is there but belongs to another user or others may write to it,
    because then what we read from it later need not be what we wrote.
    """
    folder = Path(path)
    for missing in reversed([folder, *folder.parents]):
        if not missing.exists():
            missing.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid"):
        status = folder.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise PermissionError(f"{folder} must belong to you and be writable by nobody else")
    return folder


def user_cache() -> Path:
    """Return the folder of this user's caches, not made yet: $XDG_CACHE_HOME/netdsl or ~/.cache/netdsl.

    Errors: FileNotFoundError for a user without a home.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path is invalid and to be ignored.
    if Path(base).is_absolute():
        return Path(base) / "netdsl"
    try:
        return Path.home() / ".cache" / "netdsl"
    except RuntimeError:
        raise FileNotFoundError("this user has no home; XDG_CACHE_HOME can name a folder instead") from None


def _takes_a_stream(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _write(file: IO[bytes], data: bytes | Writer) -> None:
    if callable(data):
        data(file)
    else:
        file.write(data)


@contextlib.contextmanager
def _temporary(target: Path, mode: int) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open a fresh file beside `target`; it is removed again when the body fails."""
    beside = target.with_name(f".{target.name[:200]}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield beside, file
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _sync_directory(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut (POSIX only: Windows cannot open a folder)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
