"""IDX: round trip against an encoder written from the format's definition, and files that lie."""

import gzip
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from netdsl.data.idx import read_idx
from netdsl.source import NetError

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}
FORMATS = {"uint8": "B", "int8": "b", "int16": "h", "int32": "i", "float32": "f", "float64": "d"}


def encode(array):
    head = struct.pack(">HBB", 0, CODES[array.dtype.name], array.ndim)
    sizes = b"".join(struct.pack(">I", size) for size in array.shape)
    values = struct.pack(f">{array.size}{FORMATS[array.dtype.name]}", *array.reshape(-1).tolist())
    return head + sizes + values


def header(code, *sizes):
    return struct.pack(f">HBB{len(sizes)}I", 0, code, len(sizes), *sizes)


@pytest.fixture
def write(tmp_path):
    def _write(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return _write


arrays = st.sampled_from(sorted(CODES)).flatmap(
    lambda name: hnp.arrays(
        name,
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
        elements={"allow_nan": False} if name.startswith("float") else None,
    )
)


@settings(max_examples=60)
@given(arrays, st.booleans())
def test_round_trip(tmp_path_factory, array, packed):
    path = tmp_path_factory.mktemp("idx") / "array"
    path.write_bytes(gzip.compress(encode(array)) if packed else encode(array))
    read = read_idx(path)
    assert read.dtype == array.dtype and read.dtype.isnative
    np.testing.assert_array_equal(read, array)


@settings(max_examples=150)
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_give_an_array_or_a_diagnostic(tmp_path_factory, content, packed):
    path = tmp_path_factory.mktemp("idx") / "array"
    path.write_bytes(gzip.compress(content) if packed else content)
    try:
        assert read_idx(path).nbytes <= 60
    except NetError as error:
        assert error.diagnostics[0].code == "data"


@settings(max_examples=150)
@given(st.integers(0, 200), st.integers(0, 255), st.booleans())
def test_one_changed_byte_never_crashes(tmp_path_factory, position, value, packed):
    good = encode(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    content = bytearray(gzip.compress(good) if packed else good)
    content[position % len(content)] = value
    path = tmp_path_factory.mktemp("idx") / "array"
    path.write_bytes(content)
    try:
        assert read_idx(path).size == 60 or not packed
    except NetError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ends too early: 4 more byte"),
        (b"\x00\x00\x08", "ends too early: 1 more byte"),
        (b"\x00\x01\x08\x01" + bytes(8), "is not an IDX file"),
        (header(0x07, 1) + b"1", "is not an IDX file"),
        (header(0x08), "0 axes"),
        (header(0x08, *[1] * 9) + b"1", "9 axes"),
        (header(0x08, 2, 3)[:-2], "ends too early: 2 more byte"),
        (header(0x08, 10) + bytes(9), "says [10] of uint8, 10 bytes, but has 9 bytes after its header"),
        (header(0x08, 10) + bytes(11), "but has 11 bytes"),
        (header(0x0E, 2**32 - 1, 2**32 - 1) + bytes(64), "the limit is"),
        (header(0x0E, 2**30) + bytes(64), "but has 64 bytes"),
    ],
)
def test_broken_headers(write, content, message):
    with pytest.raises(NetError) as error:
        read_idx(write(content))
    assert message in str(error.value)


def test_gzip_cut_off(write):
    packed = gzip.compress(encode(np.arange(10_000, dtype=np.int32)))
    for size in (5, 15, len(packed) // 2, len(packed) - 1):
        with pytest.raises(NetError, match="too early"):
            read_idx(write(packed[:size]))


def test_gzip_with_a_broken_checksum(write):
    packed = bytearray(gzip.compress(encode(np.arange(100, dtype=np.int32))))
    packed[-6] ^= 1
    with pytest.raises(NetError, match="CRC"):
        read_idx(write(packed))


def test_gzip_bomb_is_not_unpacked(write):
    # 64 MiB of zeros behind a header that announces 10 bytes: reading stops after them.
    bomb = gzip.compress(header(0x08, 10) + bytes(2**26), 9)
    with pytest.raises(NetError, match="has more than the 10 bytes"):
        read_idx(write(bomb))


def test_gzip_cannot_hold_what_its_header_says(write):
    shape = (2**15, 2**15, 8)
    with pytest.raises(NetError, match="holds at most") as error:
        read_idx(write(gzip.compress(header(0x08, *shape))))
    assert f"{math.prod(shape):,} bytes" in str(error.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(NetError, match="there is no file"):
        read_idx(tmp_path / "none")
    with pytest.raises(NetError, match="is a folder; an IDX file belongs here"):
        read_idx(tmp_path)
