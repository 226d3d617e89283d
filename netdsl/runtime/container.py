"""The form of netdsl's own files, artifacts and checkpoints: safetensors whose metadata has the rest as JSON.

The metadata `netdsl` is a line such as "netdsl checkpoint 4 CHECKSUM", then JSON: records by name.  The checksum is
SHA-256 over this text and over name, shape, type and bytes of every array, so that a damaged file is always detected.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from netdsl import records
from netdsl.files import atomic_write
from netdsl.filetype import HEAD, content, not_wanted, open_file
from netdsl.machine import check_fits
from netdsl.source import Diagnostic, NetError

Array = NDArray[Any]
T = TypeVar("T")

VERSIONS = {"artifact": 3, "checkpoint": 4}
"""The kinds of files and the version of each that is written and read."""

TYPES = {"F32": "float32", "F64": "float64", "I64": "int64"}
"""What arrays may hold, by the names of safetensors and of NumPy: artifacts hold float32 alone."""

_MAKE = {
    "artifact": "netdsl compile FILE -o FILE.netdsl writes artifacts",
    "checkpoint": "netdsl train FILE --out DIR writes checkpoints",
}


@dataclass(frozen=True)
class Container:
    """A file as read: its path and kind, its records as JSON has them, its arrays by name."""

    path: Path
    kind: str
    about: Any
    arrays: Mapping[str, Array]

    def record(self, name: str, kind: type[T]) -> T:
        """The record `name` as a dataclass; raises NetError where it is not one."""
        try:
            if not isinstance(self.about, dict) or name not in self.about:
                raise ValueError(f"it has no {name}")
            return records.from_json(kind, self.about[name], name)
        except ValueError as error:
            raise NetError(Diagnostic(self.kind, f"{self.path} cannot be read: {error}")) from None


def write_container(path: Path, kind: str, about: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write dataclasses and arrays by name, atomically; raises OSError of the file system."""
    text = json.dumps({name: records.to_json(record) for name, record in about.items()})
    whole = {name: np.asarray(a, order="C") for name, a in arrays.items()}
    atomic_write(path, save(whole, {"netdsl": sealed(f"netdsl {kind} {VERSIONS[kind]}", text, whole)}))


def sealed(title: str, text: str, arrays: Mapping[str, Array]) -> str:
    """The metadata: title and checksum, then the text."""
    digest = hashlib.sha256(f"{title}\n{text}".encode())
    for name in sorted(arrays):
        array = arrays[name]
        kind = [] if array.dtype == np.float32 else [array.dtype.name]
        digest.update(json.dumps([name, list(array.shape), *kind]).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return f"{title} {digest.hexdigest()}\n{text}"


def read_container(path: Path, *kinds: str) -> Container:
    """Read a file of one of the `kinds`, whole and unchanged; the first kind is the code of errors.

    Errors: NetError for a file that is missing, damaged, too large, of another version or something else.
    """
    open_file(path, kinds[0], *_wanted(kinds)).close()
    try:
        with safe_open(path, "numpy") as file:
            words = (file.metadata() or {}).get("netdsl", "")
            kind = _kind(path, kinds, words)
            # safetensors only opens files that hold all bytes that their header states.
            check_fits(path.stat().st_size, f"the {kind}")
            types = [*TYPES] if kind == "checkpoint" else ["F32"]
            arrays = {name: _array(file, name, types) for name in file.keys()}  # noqa: SIM118 - not a mapping
        text = words.partition("\n")[2]
        if words != sealed(f"netdsl {kind} {VERSIONS[kind]}", text, arrays):
            raise ValueError("its content is not what its checksum is of")
        return Container(path, kind, json.loads(text), arrays)
    except SafetensorError:
        raise _unreadable(path, kinds) from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise _damaged(path, kinds[0], str(error)) from None


def _kind(path: Path, kinds: Sequence[str], words: str) -> str:
    """The kind of a file by its metadata; raises NetError for another kind or version."""
    # Files of older versions begin with {"format": "netdsl checkpoint 2".
    found = re.match(r'(?:\{"format": ")?netdsl (\w+) (\d{1,9})\b', words)
    if found is None or found[1] not in kinds:
        raise _unreadable(path, kinds)
    kind, version = found[1], int(found[2])
    if version != VERSIONS[kind]:
        raise _other_version(path, kinds[0], kind, version)
    return kind


def _array(file: Any, name: str, types: Sequence[str]) -> Array:
    dtype = file.get_slice(name).get_dtype()
    if dtype not in types:
        raise ValueError(f"{name[:100]} holds {dtype}, not {' or '.join(types)}")
    array: Array = file.get_tensor(name)
    return array


def _unreadable(path: Path, kinds: Sequence[str]) -> NetError:
    """The error for a file of another kind, or with a damaged header."""
    with open_file(path, kinds[0], *_wanted(kinds)) as file:
        found = content(file.read(HEAD))
    if found in (f"a netdsl {kind}" for kind in kinds):
        return _damaged(path, kinds[0], "it is cut off, or its header was changed")
    return not_wanted(path, kinds[0], found, *_wanted(kinds))


def _wanted(kinds: Sequence[str]) -> tuple[str, str]:
    """The wanted kind of file, and how to get one."""
    return " or ".join("an artifact" if k == "artifact" else f"a {k}" for k in kinds), _MAKE[
        "checkpoint" if "checkpoint" in kinds else kinds[-1]
    ]


def _damaged(path: Path, code: str, how: str) -> NetError:
    return NetError(Diagnostic(code, f"{path} is damaged: {how}", fix="take another copy of the file"))


def _other_version(path: Path, code: str, kind: str, version: int) -> NetError:
    now = VERSIONS[kind]
    if version > now:
        age, fix = "a newer", "update netdsl"
    else:
        age, fix = "an older", f"make it anew ({_MAKE[kind]}), or use the netdsl that wrote it"
    message = f"{path} is of {age} netdsl: {kind} {version}, where this one reads {kind} {now}"
    return NetError(Diagnostic(code, message, fix=fix))
