"""npy and npz: what NumPy writes is read back; pickles, lies and broken archives are diagnostics."""

import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from netdsl.data.npy import read_npy, read_npz
from netdsl.source import NetError

dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(endianness="?"),
)


@settings(max_examples=60)
@given(hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_side=4)), st.booleans(), st.booleans())
def test_round_trip(tmp_path_factory, array, fortran, packed):
    folder = tmp_path_factory.mktemp("npy")
    array = np.asfortranarray(array) if fortran else array
    np.save(folder / "a.npy", array)
    (np.savez_compressed if packed else np.savez)(folder / "a.npz", x=array, y=array[..., None])
    for read in (read_npy(folder / "a.npy"), read_npz(folder / "a.npz", "x")):
        assert read.dtype == array.dtype.newbyteorder("=") and read.flags.c_contiguous
        np.testing.assert_array_equal(read, array)
    np.testing.assert_array_equal(read_npz(folder / "a.npz", "y"), array[..., None])


def npy(header, body=b""):
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ends too early"),
        (b"not an array at all", "not an array in .npy format"),
        (b"\x93NUMPY\x03\x00" + bytes(20), "version 1 or 2"),
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31), "header of 2147483648 bytes"),
        (b"\x93NUMPY\x01\x00\xff\x0f{", "ends too early"),
        (npy("{'descr': '<f4', 'fortran_order': False}"), "broken .npy header"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "negative dimension"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10,)}", bytes(39)), "but has 39 bytes"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000)}"), "the limit is"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", bytes(4)), "9 axes"),
        (
            npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'9' * 3000},)}}"),
            "npy header|the limit",
        ),
        (npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {'(' * 1500}{')' * 1500}}}"), "npy header"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': ('a',)}"), "broken .npy header"),
        (npy("__import__('os').getpid()"), "broken .npy header"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "only booleans"),
        (npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "only booleans"),
        (npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", bytes(4)), "only booleans"),
    ],
)
def test_broken_headers(tmp_path, content, message):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(NetError, match=message):
        read_npy(tmp_path / "a.npy")


def test_pickled_objects_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(NetError, match="only booleans"):
        read_npy(tmp_path / "a.npy")


def test_missing_array_names_those_there(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros(3), labels=np.zeros(3))
    with pytest.raises(NetError, match="0 arrays named 'x'; it has: images, labels"):
        read_npz(tmp_path / "a.npz", "x")


def test_a_size_that_cannot_be_true(tmp_path):
    content = bytearray(_archive(np.zeros(10)))
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 2**31)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(NetError, match="cannot be true"):
        read_npz(tmp_path / "a.npz", "x")


def test_unsupported_compression(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}"))
    with pytest.raises(NetError, match="unsupported way"):
        read_npz(tmp_path / "a.npz", "x")


def _archive(array):
    file = io.BytesIO()
    np.savez_compressed(file, x=array)
    return file.getvalue()


GOOD = _archive(np.arange(64, dtype=np.float32).reshape(8, 8))


@settings(max_examples=400)
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=3), st.integers(0, 40)
)
def test_changed_archives_never_crash(tmp_path_factory, changes, cut):
    content = bytearray(GOOD)
    for position, value in changes:
        content[position] = value
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    path.write_bytes(content[: len(content) - cut])
    try:
        assert read_npz(path, "x").size <= 64
    except NetError as error:
        assert str(path) in str(error)
