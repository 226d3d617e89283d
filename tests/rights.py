"""Commands run as a user whom permissions bind, whoever runs the tests."""

import ctypes
import os
import subprocess
import sys

#: of Linux: to pass over the permissions of files, and over their owner
_CAPABILITIES = (1, 2, 3)
_DROP = 24


def without_rights(code, cwd, **environment):
    """Python code run with this environment alone; by root without the right to pass over permissions."""
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=paths | environment,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        preexec_fn=_drop if os.getuid() == 0 else None,
    )


def _drop():
    libc = ctypes.CDLL(None)
    for capability in _CAPABILITIES:
        assert libc.prctl(_DROP, capability, 0, 0, 0) == 0
