import ctypes

import pytest

from netdsl.cpu.codegen.library import Kernel, KernelLibrary


@pytest.fixture(autouse=True, scope="session")
def _private_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETDSL_CACHE_DIR", str(tmp_path_factory.mktemp("kernels")))
        yield


@pytest.fixture
def compiled(monkeypatch):
    """compiled(emit, arguments, lanes) -> a Python function that runs the kernel."""
    keep = []

    def make(emit, arguments=3, lanes=8):
        monkeypatch.setenv("NETDSL_LANES", str(lanes))
        library = KernelLibrary("test", {"k": Kernel(emit, arguments)}, f"{emit.__qualname__} {id(emit)}")
        keep.append(library)
        return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * arguments)(library.address("k"))

    return make
