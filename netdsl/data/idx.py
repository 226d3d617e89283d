"""IDX, the format of MNIST: two zero bytes, a type, the number of axes, the sizes, then the values.

Numbers are big-endian. Definition: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.stream import Header, Stream, open_stream
from netdsl.limits import MAX_RANK

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read an IDX file, compressed by gzip or not, as an array in native byte order.

    Errors: NetError when the file is missing, cut off or too long, or its header is not IDX or lies.
    """
    with open_stream(path, "an IDX file") as stream:
        return decode_idx(stream)


def idx_header(path: str | os.PathLike[str]) -> Header:
    """The shape and the type that the header of an IDX file states; errors as in `read_idx`."""
    with open_stream(path) as stream:
        return _header(stream)


def decode_idx(stream: Stream) -> NDArray[Any]:
    """Read an IDX array from an open stream; see `read_idx`."""
    shape, dtype = _header(stream)
    values = stream.read_array(shape, dtype)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _header(stream: Stream) -> Header:
    """Read the shape and the type; the stream is then at the values."""
    zeros, kind, rank = struct.unpack(">HBB", stream.read(4))
    if zeros != 0 or kind not in _TYPES:
        raise data_error(f"{stream.name} is not an IDX file: it starts with {zeros:04x}{kind:02x}{rank:02x}")
    if not 1 <= rank <= MAX_RANK:
        raise data_error(f"{stream.name} has {rank} axes; 1 to {MAX_RANK} are supported")
    shape = struct.unpack(f">{rank}I", stream.read(4 * rank))
    stream.size -= 4 + 4 * rank
    dtype = np.dtype(_TYPES[kind])
    stream.check_size(shape, dtype)
    return shape, dtype
