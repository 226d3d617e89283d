"""Argument blocks: what a kernel is told, as named and typed fields of one array of int64 words.

A block is declared as a class, and the annotation of a field says what it holds:

    class Sum(Block):
        source: Address
        count: int
        stride: int = 0

Planners fill it by name, `Arguments(Sum, source=Slot(view), count=3)`; a field that is filled twice, left out without
a default, or of the wrong type is refused. Kernels and checks of plans read it by name: its `BlockLayout` says which
word each field is, a target makes loads of that, and a type checker knows the names from the class.
"""

from __future__ import annotations

import functools
import inspect
import operator
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from netdsl.backend.step import Slot

B_co = TypeVar("B_co", bound="Block", covariant=True)
B = TypeVar("B", bound="Block")

Link = Callable[[], int]
"""A word that is known when a program is linked: where code lies, or a table of it; asking may compile it."""


class Kind(Enum):
    """What a field holds."""

    INT = auto()
    BOOL = auto()
    FLOAT = auto()
    ADDRESS = auto()
    CODE = auto()
    INTS = auto()
    ROWS = auto()


class Block:
    """A block of fields of a word each, or of `apart` bytes; a subclass adds its fields behind those of its base."""

    apart = 8


Address = Annotated[int, Kind.ADDRESS]
"""Where data lies: filled with a `Slot`, or with an array that is kept with the block."""
Code = Annotated[int, Kind.CODE]
"""Where code lies: filled with a `Link`."""


class Ints(Protocol):
    """int64s: of an array that the block points at or, `Annotated` with their number, of the block itself."""

    def __getitem__(self, index: int, /) -> int: ...
    def __iter__(self) -> Iterator[int]: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


class Rows(Protocol[B_co]):
    """Blocks of one kind that follow each other in an array that the block points at."""

    def __getitem__(self, index: int, /) -> B_co: ...


Three = Annotated[Ints, 3]
NOWHERE: Any = 0
"""The default of a field that may point at nothing."""


@dataclass(frozen=True)
class Field:
    """A field of a layout: from which word on, `count` words where it is several, the kind of its rows."""

    word: int
    kind: Kind
    count: int | None = None
    row: type[Block] | None = None
    default: int | None = None

    @functools.cached_property
    def plain(self) -> type | None:
        """The type of values that are the word as they are."""
        return {Kind.INT: int, Kind.BOOL: bool}.get(self.kind)


@dataclass(frozen=True)
class BlockLayout:
    """The fields of a block by name, and its size in words."""

    name: str
    fields: Mapping[str, Field]
    words: int

    @functools.cached_property
    def blank(self) -> list[int | None]:
        """The words before any field is filled: None those of fields."""
        words: list[int | None] = [0] * self.words
        for field in self.fields.values():
            count = field.count or 1
            words[field.word : field.word + count] = [None] * count
        return words

    @functools.cached_property
    def wide(self) -> tuple[str, ...]:
        """The fields that are several words, or point at them."""
        return tuple(name for name, field in self.fields.items() if field.kind in (Kind.INTS, Kind.ROWS))

    @functools.cached_property
    def first_of(self) -> Callable[[list[int]], tuple[int, ...]]:
        """The first word of each field, of all words of a block."""
        places = [field.word for field in self.fields.values()]
        return operator.itemgetter(*places) if len(places) > 1 else lambda words: (words[places[0]],)

    def __getitem__(self, name: str) -> Field:
        if name not in self.fields:
            raise TypeError(f"{self.name} has no field {name}")
        return self.fields[name]


_LAYOUTS: dict[type[Block], BlockLayout] = {}


def layout_of(kind: type[Block]) -> BlockLayout:
    """The layout that a class declares."""
    if kind not in _LAYOUTS:
        _LAYOUTS[kind] = extended(kind)
    return _LAYOUTS[kind]


def extended(kind: type[Block], **more: Any) -> BlockLayout:
    """The layout of a class, with fields behind it that only a plan knows: annotations by name."""
    fields: dict[str, Field] = {}
    word = 0
    hints = get_type_hints(kind, include_extras=True)
    for name, hint in (*((n, hints[n]) for c in reversed(kind.__mro__) for n in _own(c)), *more.items()):
        field = _field(word, hint, getattr(kind, name, None))
        fields[name] = field
        word += kind.apart // 8 * (1 if field.count is None else field.count)
    return BlockLayout(kind.__name__, fields, word)


def _own(kind: type) -> Iterator[str]:
    return iter(inspect.get_annotations(kind))


def _field(word: int, hint: Any, default: Any) -> Field:
    if get_origin(hint) is Annotated:
        base, extra = get_args(hint)[:2]
        return Field(word, Kind.INTS, extra) if base is Ints else Field(word, extra, default=default)
    if get_origin(hint) is Rows:
        return Field(word, Kind.ROWS, row=get_args(hint)[0], default=default)
    kind = {int: Kind.INT, bool: Kind.BOOL, float: Kind.FLOAT, Ints: Kind.INTS}[hint]
    if kind is Kind.FLOAT and default is not None:
        default = _bits(default)
    return Field(word, kind, default=default)


class Arguments:
    """A block that a plan fills, and what its words wait for or point at.

    `slots` are the fields whose address a run gives, `links` those that linking gives, `keep` the arrays that words
    point at, by address.

    Errors: TypeError for a field that is filled twice or with a value of another type, for one that the block has
    not, and from `close` for one that is missing.
    """

    words: NDArray[np.int64]
    address: int

    def __init__(self, kind: type[Block] | BlockLayout, **values: Any) -> None:
        self.layout = kind if isinstance(kind, BlockLayout) else layout_of(kind)
        self.slots: dict[str, Slot] = {}
        self.links: dict[str, Link] = {}
        self.keep: dict[int, NDArray[Any]] = {}
        self._words: list[Any] = list(self.layout.blank)
        self.fill(**values)

    def fill(self, **values: Any) -> None:
        """Fill fields by name."""
        fields, words = self.layout.fields, self._words
        for name, value in values.items():
            field = fields.get(name)
            if field is None:
                raise TypeError(f"{self.layout.name} has no field {name}")
            at = field.word
            if words[at] is not None:
                raise TypeError(f"{self.layout.name}.{name} is filled twice")
            if type(value) is field.plain:
                words[at] = value
            elif field.count is None:
                words[at] = self._word(name, field, value)
            elif _integers(value) and len(value) == field.count:
                words[at : at + field.count] = value
            else:
                raise self._wrong(name, field, value)

    def __getitem__(self, name: str) -> Any:
        """The word that a field was filled with."""
        return self._words[self.layout[name].word]

    def close(self) -> None:
        """Make the array that kernels read, once all fields are filled."""
        self.words = np.array(self.row(), np.int64)
        self.address = int(self.words.ctypes.data)

    def row(self) -> list[int]:
        """All words, in their order; fields that are not filled have their defaults."""
        words = self._words
        if None in words:
            for name, field in self.layout.fields.items():
                if words[field.word] is None:
                    if field.default is None:
                        raise TypeError(f"{self.layout.name}.{name} is missing")
                    words[field.word] = field.default
        return words

    def bind(self, where: Callable[[int], int]) -> None:
        """Write the addresses of all slots; `where` is that of a buffer by number."""
        self.put(**{n: where(s.view.buffer) + s.view.offset for n, s in self.slots.items()})

    def link(self) -> None:
        """Write what is known when a program is linked."""
        self.put(**{name: link() for name, link in self.links.items()})

    def put(self, **words: int) -> None:
        """Change words of fields, once they are made."""
        for name, word in words.items():
            self.words[self.layout[name].word] = word

    def _word(self, name: str, field: Field, value: Any) -> int:
        kind = field.kind
        if kind is Kind.ADDRESS and type(value) is Slot:
            self.slots[name] = value
            return 0
        if kind is Kind.CODE and callable(value):
            self.links[name] = value
            return 0
        if kind is Kind.FLOAT and type(value) in (float, int):
            return _bits(value)
        if kind is Kind.ADDRESS and isinstance(value, np.ndarray):
            return self._hold(value)
        if kind is Kind.INTS and (
            _integers(value) or (isinstance(value, np.ndarray) and value.dtype == np.int64)
        ):
            return self._hold(np.asarray(value, np.int64))
        if kind is Kind.ROWS and isinstance(value, list):
            return self._table(name, field, value)
        raise self._wrong(name, field, value)

    def _wrong(self, name: str, field: Field, value: Any) -> TypeError:
        number = "" if field.count is None else f"{field.count} "
        return TypeError(f"{self.layout.name}.{name} takes {number}{field.kind.name}, not {value!r}")

    def _table(self, name: str, field: Field, rows: list[Any]) -> int:
        assert field.row is not None
        layout = layout_of(field.row)
        for row in rows:
            if not isinstance(row, Arguments) or row.layout is not layout or row.slots or row.links:
                raise TypeError(f"{self.layout.name}.{name} takes rows of {layout.name}, not {row!r}")
            self.keep |= row.keep
        return self._hold(np.array([row.row() for row in rows], np.int64).reshape(-1, layout.words))

    def _hold(self, array: NDArray[Any]) -> int:
        address = int(array.ctypes.data)
        self.keep[address] = array
        return address


def _bits(value: float) -> int:
    """The bits of an f32."""
    return int.from_bytes(struct.pack("<f", value), "little")


def _integers(value: Any) -> bool:
    return isinstance(value, list | tuple) and set(map(type, value)) <= {int}


class Pointer(NamedTuple):
    """What a field that points at a table holds."""

    address: int
    row: BlockLayout | None


class Reading:
    """A block read back by name, from its words alone: for checks of plans. Floats are their bits."""

    def __init__(self, layout: BlockLayout, words: list[int]) -> None:
        fields = self.__dict__
        fields.update(zip(layout.fields, layout.first_of(words), strict=True))
        for name in layout.wide:
            field = layout.fields[name]
            if field.count is not None:
                fields[name] = words[field.word : field.word + field.count]
            else:
                fields[name] = Pointer(fields[name], None if field.row is None else layout_of(field.row))
