"""The device cuda for tests of every room: on an emulated card, or on the GPU of this machine."""

from __future__ import annotations

import pytest

from netdsl.backend.registry import find_target
from netdsl.backend.target import Target
from netdsl.source import NetError


def emulated(monkeypatch: pytest.MonkeyPatch) -> Target:
    """The device; the test is skipped where kernels cannot be compiled."""
    pytest.importorskip("numba_cuda", reason="the device cuda needs numba-cuda, which is not installed")
    monkeypatch.setenv("NETDSL_CUDA", "emulated")
    return find_target("cuda")


def real() -> Target:
    """The GPU of this machine; the test is skipped where there is none.

    With NETDSL_CUDA=emulated in the environment it is an emulated card, so that tests of GPUs are themselves tested.
    """
    pytest.importorskip("numba_cuda", reason="the device cuda needs numba-cuda, which is not installed")
    try:
        return find_target("cuda")
    except NetError as error:
        pytest.skip(str(error.diagnostics[0].message))
