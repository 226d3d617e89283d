"""PyTorch's files (`torch.save`), read without PyTorch and without running what is in them.

Such a file is a zip archive: the bytes of the tensors, and a pickle that says which is where.  A pickle is a program
that may call anything.  This reader is no interpreter of pickles: it follows the few instructions that make
dictionaries, texts, numbers and descriptions of tensors, knows two functions of PyTorch by their meaning, calls none,
and refuses everything else.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from netdsl.filetype import open_file
from netdsl.runtime.stored import FLOATS, Array, Stored
from netdsl.source import Diagnostic, NetError, brief

SAVE = 'torch.save(model.state_dict(), "weights.pth")'
MAX_PICKLE = 16 * 2**20
_NESTED = ("state_dict", "model_state_dict", "model", "module", "net", "params", "weights")
"""Where training scripts keep the state dict among other things."""
_TENSOR, _PARAMETER = "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"
_DICT = "collections OrderedDict"
_STORAGES = {
    "torch FloatStorage": "F32",
    "torch DoubleStorage": "F64",
    "torch HalfStorage": "F16",
    "torch BFloat16Storage": "BF16",
    **{f"torch {kind}Storage": kind for kind in ("Long", "Int", "Short", "Char", "Byte", "Bool")},
}
_SIZES = {**FLOATS, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1}


class TorchFile:
    """A state dict in a file: `arrays` says what there is, by name, in the order of the modules; `read` reads one.

    Errors: NetError for a file that is damaged, holds more than tensors, or lies about sizes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._archive() as archive:
            members = {m.filename: m for m in archive.infolist()}
            (pickle, *others) = [n for n in members if n.endswith("/data.pkl")] or [""]
            root = pickle.removesuffix("data.pkl")
            if others or not pickle or f"{root}constants.pkl" in members:
                raise ValueError(f"it is no state dict; {SAVE} writes one")
            self._sizes = {name: _size(member, path) for name, member in members.items()}
            if self._sizes[pickle] > MAX_PICKLE:
                raise ValueError(f"its table of contents has {self._sizes[pickle]} bytes")
            order = archive.read(f"{root}byteorder") if f"{root}byteorder" in members else b"little"
            if order not in (b"little", b"big"):
                raise ValueError("its byte order is unknown")
            self._order = "<" if order == b"little" else ">"
            self.arrays = self._checked(_state_dict(_Machine(f"{root}data/").run(archive.read(pickle))))

    def read(self, name: str) -> Array:
        """An array as float32."""
        stored = self.arrays[name]
        with self._archive() as archive:
            return stored.read(archive.read(stored.storage), self._order)

    def _checked(self, found: Mapping[str, _Tensor]) -> dict[str, Stored]:
        for tensor in found.values():
            elements, size = tensor.elements, self._sizes.get(tensor.stored.storage)
            if type(elements) is not int or size != elements * _SIZES[tensor.stored.dtype]:
                raise ValueError("a part of it is missing, or of another size than it says")
            tensor.stored.check(elements)
        return {name: tensor.stored for name, tensor in found.items()}

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        wanted = "a file of weights"
        try:
            with open_file(self._path, "weights", wanted) as file, zipfile.ZipFile(file) as archive:
                yield archive
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
            OSError,
            ValueError,
            KeyError,
        ) as error:
            message = f"{self._path} cannot be read as a PyTorch state dict: {brief(str(error), 200)}"
            raise NetError(Diagnostic("weights", message, fix=SAVE)) from None


def _size(member: zipfile.ZipInfo, path: Path) -> int:
    """The bytes of a member, which PyTorch never compresses."""
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise ValueError("it is compressed, which PyTorch never does")
    if member.file_size > path.stat().st_size:
        raise ValueError("a part of it is larger than the file")
    return member.file_size


class _Name(NamedTuple):
    """A function or a class that a pickle names."""

    text: str


class _Part(NamedTuple):
    """The bytes of tensors: the type of their numbers, the member of the archive, how many they are."""

    dtype: str
    member: str
    elements: int


class _Tensor(NamedTuple):
    """A tensor, and how many numbers the part has that it is in."""

    stored: Stored
    elements: int


class _Mark:
    """Where the items of a collection begin on the stack."""


class _Machine:
    """Follows a pickle that describes tensors; raises ValueError for one that does anything else."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        """What the pickle describes: dictionaries, lists, texts, numbers and `_Tensor`s."""
        try:
            # It reads instructions and carries none out.
            for opcode, argument, _ in pickletools.genops(data):
                if opcode.name == "STOP":
                    break
                step = _STEPS.get(opcode.name)
                if step is None:
                    raise ValueError(f"its pickle does more than describe tensors ({opcode.name})")
                step(self, argument)
            (result,) = self._stack
        except (IndexError, KeyError, TypeError, RecursionError, UnicodeError) as error:
            raise ValueError(f"its pickle makes no sense ({type(error).__name__})") from None
        return result

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        return self._stack.pop()

    def items(self) -> list[Any]:
        """Everything above the last mark, which goes too."""
        at = max(k for k, value in enumerate(self._stack) if isinstance(value, _Mark))
        found = self._stack[at + 1 :]
        del self._stack[at:]
        return found

    def last(self, count: int) -> tuple[Any, ...]:
        found = tuple(self._stack[-count:])
        if len(found) < count:
            raise IndexError
        del self._stack[-count:]
        return found

    def put(self, at: int) -> None:
        self._memo[at] = self._stack[-1]

    def get(self, at: int) -> None:
        self._stack.append(self._memo[at])

    def name(self, text: str) -> None:
        if text not in (_TENSOR, _PARAMETER, _DICT, *_STORAGES):
            raise ValueError(f"it holds more than tensors: {text.replace(' ', '.')}")
        self._stack.append(_Name(text))

    def part(self) -> None:
        """What a tensor refers to: `("storage", type, key, place, elements)`."""
        word, kind, key, _, elements = self._stack.pop()
        if word != "storage" or not isinstance(kind, _Name) or not isinstance(key, str):
            raise TypeError
        self._stack.append(_Part(_STORAGES[kind.text], self._folder + key, elements))

    def reduce(self) -> None:
        """What PyTorch's functions would make of their arguments."""
        name, arguments = self.last(2)
        if not isinstance(name, _Name):
            raise TypeError
        if name.text == _TENSOR:
            part, offset, shape, strides = arguments[:4]
            if not isinstance(part, _Part):
                raise TypeError
            stored = Stored(part.dtype, tuple(shape), tuple(strides), offset, part.member)
            self._stack.append(_Tensor(stored, part.elements))
        elif name.text == _PARAMETER and isinstance(arguments[0], _Tensor):
            self._stack.append(arguments[0])
        elif name.text == _DICT and arguments == ():
            self._stack.append({})
        else:
            raise TypeError

    def set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise TypeError
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise TypeError
            target[key] = value

    def append(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise TypeError
        self._stack[-1].extend(items)

    def build(self) -> None:
        """The attributes of a state dict, its versions: nobody needs them."""
        target, _ = self.last(2)
        if not isinstance(target, dict):
            raise TypeError
        self._stack.append(target)


_Step = Callable[[_Machine, Any], None]
_STEPS: Mapping[str, _Step] = {
    "PROTO": lambda _m, _: None,
    "GLOBAL": lambda m, x: m.name(x),
    "BINPERSID": lambda m, _: m.part(),
    "REDUCE": lambda m, _: m.reduce(),
    "BUILD": lambda m, _: m.build(),
    "MARK": lambda m, _: m.push(_Mark()),
    "TUPLE": lambda m, _: m.push(tuple(m.items())),
    "TUPLE1": lambda m, _: m.push(m.last(1)),
    "TUPLE2": lambda m, _: m.push(m.last(2)),
    "TUPLE3": lambda m, _: m.push(m.last(3)),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "SETITEM": lambda m, _: m.set_items(list(m.last(2))),
    "SETITEMS": lambda m, _: m.set_items(m.items()),
    "APPEND": lambda m, _: m.append([m.pop()]),
    "APPENDS": lambda m, _: m.append(m.items()),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    **{op: lambda m, x: m.push(x) for op in ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")},
    **{op: lambda m, x: m.push(x) for op in ("BINUNICODE", "SHORT_BINUNICODE")},
    **{op: lambda m, x: m.put(x) for op in ("BINPUT", "LONG_BINPUT")},
    **{op: lambda m, x: m.get(x) for op in ("BINGET", "LONG_BINGET")},
}


def _state_dict(found: Any) -> dict[str, _Tensor]:
    """The tensors of a state dict by name; of a training script's file, those under the name that is usual."""
    candidates = [found, *(found.get(key) for key in _NESTED)] if isinstance(found, dict) else []
    for candidate in candidates:
        if isinstance(candidate, dict):
            tensors = {k: v for k, v in candidate.items() if isinstance(k, str) and isinstance(v, _Tensor)}
            if tensors:
                return tensors
    raise ValueError(f"there is no state dict in it; {SAVE} writes one")
