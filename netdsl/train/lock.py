"""One training run at a time per folder: a file lock, which the system releases when a process dies."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netdsl.source import Diagnostic, NetError, warn

LOCK = ".lock"
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder that is there for the body; a file in it says who does, for the one who is refused.

    The file alone means nothing: what a killed process left is taken over.  A file system that has no locks, as some
    of clusters, is trained on with a warning.  Errors: NetError when another training holds the folder, OSError of
    the file system.
    """
    descriptor = _acquire(folder)
    try:
        yield
    finally:
        # Removed while it is held: whoever opened it meanwhile sees that it is no longer the file of that name.
        with suppress(OSError):
            (folder / LOCK).unlink()
        os.close(descriptor)


def _acquire(folder: Path) -> int:
    path = folder / LOCK
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor)
            if _is_still(path, descriptor):
                _sign(descriptor)
                return descriptor
        except BlockingIOError:
            refusal = _refusal(folder, _holder(descriptor))
            os.close(descriptor)
            raise NetError(refusal) from None
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                what = f"{folder} cannot be locked: {error.strerror}"
                warn(Diagnostic("output", what, fix="start no second training into it"))
                return descriptor
            os.close(descriptor)
            raise
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        """Lock a byte far after the text, so that others can still read the text."""
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        """Lock the whole file, or raise BlockingIOError."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the file we hold is the one of that name, and not one that its holder has just removed."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    """Write who holds the lock."""
    about = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(about).encode())


def _holder(descriptor: int) -> str:
    """Who holds the lock, as the file says."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        about = json.loads(os.read(descriptor, 1000))
        pid, host, since = int(about["pid"]), str(about["host"]), str(about["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    place = "" if host == socket.gethostname() else f" on {host}"
    return f": process {pid}{place}, since {since}"


def _refusal(folder: Path, holder: str) -> Diagnostic:
    message = f"another training is writing into {folder}{holder}"
    return Diagnostic("output", message, fix="wait for its end, or take another folder by --out DIR")
