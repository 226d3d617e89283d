"""npy and npz: what NumPy writes is read back; pickles, lies and broken archives are diagnostics."""

import io
import os
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
        (b"", "is empty; an array in .npy format belongs here"),
        (b"\x93NUMPY", "ends too early"),
        (b"not an array at all", "is a text; an array in .npy format belongs here"),
        (b"\x93NUMPY\x03\x00" + bytes(20), "is of version 3 of .npy; 1 and 2 can be read"),
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31), "header of 2147483648 bytes"),
        (b"\x93NUMPY\x01\x00\xff\x0f{", "ends too early"),
        (npy("{"), "broken .npy header: {"),
        (npy(""), "broken .npy header: nothing"),
        (npy("}"), "broken .npy header"),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'shape': (2,)}", bytes(8)),
            "broken .npy",
        ),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': True}", bytes(4)),
            "broken .npy",
        ),
        (npy("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}", bytes(4)), "broken .npy header"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1-2,)}", bytes(4)), "broken .npy header"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': ((1,),)}", bytes(4)), "broken .npy header"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': True}", bytes(4)), "broken .npy header"),
        (npy("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "only booleans"),
        (npy("{'descr': '<U9', 'fortran_order': False, 'shape': (1,)}", bytes(36)), "only booleans"),
        (npy("{'descr': '(2,)f4', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "only booleans"),
        (npy("{'descr': 'f4,f4', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "only booleans"),
        (npy("{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}", bytes(16)), "only booleans"),
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


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'shape':(2,3),'fortran_order':False,'descr':'<f4'}",
        '{"descr": "<f4", "fortran_order": False, "shape": (2, 3)}',
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L)}",
        "{'descr': '=f4', 'fortran_order': False, 'shape': (6,)}",
    ],
)
def test_headers_of_other_writers(tmp_path, header):
    (tmp_path / "a.npy").write_bytes(npy(header, np.arange(6, dtype="<f4").tobytes()))
    assert read_npy(tmp_path / "a.npy").ravel().tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes of POSIX")
@pytest.mark.parametrize("read", [read_npy, lambda path: read_npz(path, "x")], ids=["npy", "npz"])
def test_what_is_no_file(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    for path, what in [(tmp_path / "pipe", "a pipe"), ("/dev/zero", "a device"), (tmp_path, "a folder")]:
        with pytest.raises(NetError, match=f"{path} is {what}; an ar"):
            read(path)


def test_a_file_with_holes_is_not_too_large_for_its_header_alone(tmp_path, monkeypatch):
    """A file that takes no room on disk may announce more than the memory of the machine."""
    monkeypatch.setattr("netdsl.machine.machine_memory", lambda: 2**28)
    path = tmp_path / "a.npy"
    head = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (134217728,)}")
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + 2**29)
    with pytest.raises(NetError, match=r"a\.npy needs 0\.5 GiB, this machine has 0\.2 GiB"):
        read_npy(path)


def test_a_bomb(tmp_path):
    """A megabyte that unpacks to more than it may be."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(
            "x.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1000,)}", bytes(2**24))
        )
    with pytest.raises(NetError, match=r"says .1000. of uint8, 1,000 bytes, but has 16,777,216 bytes"):
        read_npz(tmp_path / "a.npz", "x")


@pytest.mark.parametrize("cut", [20, 200, -30, -1])
def test_an_archive_without_its_end_is_damaged(tmp_path, cut):
    np.savez(tmp_path / "a.npz", x=np.arange(60))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[:cut])
    with pytest.raises(NetError, match=r"a\.npz is damaged: its end"):
        read_npz(tmp_path / "a.npz", "x")
