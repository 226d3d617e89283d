"""The device cuda on an emulated card, for tests of every room."""

from __future__ import annotations

import pytest

from netdsl.backend.registry import find_target
from netdsl.backend.target import Target


def emulated(monkeypatch: pytest.MonkeyPatch) -> Target:
    """The device; the test is skipped where kernels cannot be compiled."""
    pytest.importorskip("numba_cuda", reason="the device cuda needs numba-cuda, which is not installed")
    monkeypatch.setenv("NETDSL_CUDA", "emulated")
    return find_target("cuda")
