"""PyTorch's files written by hand, without PyTorch, for tests of the reader; `torch` tests read real ones."""

import struct
import zipfile

import numpy as np

STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
}


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    return b"J" + struct.pack("<i", value)


def called(module, name):
    return f"c{module}\n{name}\n".encode()


def row(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(key, array, *, offset=0, shape=None, strides=None, elements=None, storage=None, rebuild=None):
    """The instructions that describe a tensor."""
    shape = array.shape if shape is None else shape
    strides = [s // array.itemsize for s in array.strides] if strides is None else strides
    kind = called("torch", storage or STORAGES[array.dtype.name])
    count = number(array.size if elements is None else elements)
    part = b"(" + text("storage") + kind + text(key) + text("cpu") + count + b"tQ"
    function = rebuild or called("torch._utils", "_rebuild_tensor_v2")
    hooks = called("collections", "OrderedDict") + b")R"
    return function + b"(" + part + number(offset) + row(shape) + row(strides) + b"\x89" + hooks + b"tR"


def pickled(entries):
    """A state dict of names and instructions."""
    body = b"".join(text(name) + value for name, value in entries)
    return b"\x80\x02" + called("collections", "OrderedDict") + b")R(" + body + b"u."


def save(path, arrays, pickle=None, compression=zipfile.ZIP_STORED, **more):
    """Write arrays as `torch.save` writes a state dict; `pickle` instead of theirs, `more` members."""
    arrays = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    keys = {name: str(k) for k, name in enumerate(arrays)}
    whole = pickled((name, tensor(keys[name], a)) for name, a in arrays.items())
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a/data.pkl", whole if pickle is None else pickle)
        archive.writestr("a/byteorder", "little")
        for name, array in arrays.items():
            archive.writestr(f"a/data/{keys[name]}", array.tobytes())
        for name, data in more.items():
            archive.writestr(f"a/{name}", data)
    return path
