"""CIFAR-10's two safe forms: binary records, and one PNG per batch with labels in JSON.

The "python version" is pickled and is never opened. Source: Krizhevsky, "Learning Multiple Layers of Features
from Tiny Images", 2009; the record format is described on the data set's page.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.picture import pillow
from netdsl.data.stream import reading
from netdsl.source import NetError, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PIXELS = 3 * 32 * 32
_RECORD = 1 + _PIXELS


def decode_records(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Take binary records apart: a label byte, then 1024 red, 1024 green, 1024 blue bytes.

    Returns images uint8 [n, 32, 32, 3] and labels int64 [n]. Errors: NetError for a size that is not whole
    records or a label above 9.
    """
    if not content or len(content) % _RECORD:
        raise data_error(
            f"{name} has {counted(len(content), 'byte')}, which is no whole number of records of {_RECORD}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise data_error(f"{name} has a label {labels.max()}; CIFAR-10 has labels 0 to 9")
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def records_from_png(picture: Path, labels: Path, first: int, count: int) -> bytes:
    """Turn a PNG with one image per row (RGB, HWC order, 1024 x count) into binary records.

    `labels` is a JSON list, of which entries first..first+count-1 belong to this picture. Needs Pillow (extra
    `image`). Errors: NetError when Pillow or a file is missing or is not of this form.
    """
    numbers = _read_labels(labels)[first : first + count]
    if len(numbers) != count:
        raise data_error(f"{labels} has too few labels: {first + count} are needed")
    pixels = _read_png(picture, count)
    records = np.empty((count, _RECORD), np.uint8)
    records[:, 0] = numbers
    records[:, 1:] = pixels.reshape(count, 32, 32, 3).transpose(0, 3, 1, 2).reshape(count, _PIXELS)
    return records.tobytes()


def _read_png(path: Path, rows: int) -> NDArray[np.uint8]:
    library = pillow(f"reading {path}")
    try:
        # Opening reads the header alone; formats=PNG keeps other decoders away.
        with library.open(path, formats=["PNG"]) as image:
            if image.size != (1024, rows) or image.mode != "RGB":
                raise data_error(f"{path} is {image.size} {image.mode}; (1024, {rows}) RGB was expected")
            return np.asarray(image, np.uint8)
    except NetError:
        raise
    except (OSError, SyntaxError, ValueError, library.DecompressionBombError) as error:
        raise data_error(f"cannot read {path} as PNG: {error}") from error


def _read_labels(path: Path) -> list[int]:
    with reading(path):
        if path.stat().st_size > 1_000_000:
            raise data_error(f"{path} is too large for a list of labels")
        text = path.read_bytes()
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise data_error(f"{path} is not JSON: {error}") from error
    if not isinstance(values, list) or not all(type(value) is int and 0 <= value <= 9 for value in values):
        raise data_error(f"{path} is not a list of labels 0 to 9")
    return values
