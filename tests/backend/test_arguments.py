"""Argument blocks: words follow from the declaration, and a plan that fills one wrongly is refused."""

import struct
from typing import Annotated

import numpy as np
import pytest

from netdsl.backend.arguments import (
    NOWHERE,
    Address,
    Arguments,
    Block,
    Code,
    Ints,
    Reading,
    Rows,
    Three,
    extended,
    layout_of,
)
from netdsl.backend.step import Slot
from netdsl.ir import TensorType
from netdsl.schedule import View


class Pair(Block):
    first: int
    taps: Ints = NOWHERE
    factor: float = 2


class Base(Block):
    x: Address
    count: int


class Whole(Base):
    low: float
    merged: bool = False
    size: Three
    code: Code
    table: Ints = NOWHERE
    rows: Rows[Pair] = NOWHERE
    odd: Annotated[Ints, 2]


class Apart(Block):
    apart = 64

    generation: int
    stop: bool = False


SLOT = Slot(View.dense(3, TensorType((4,)), 16))


def filled(**changes):
    values = {"x": SLOT, "count": 7, "low": 1.5, "size": (1, 2, 3), "code": lambda: 99, "odd": [5, -6]}
    return Arguments(Whole, **values | changes)


def closed(**changes):
    block = filled(**changes)
    block.close()
    return block


def test_fields_lie_in_the_order_of_their_declaration_those_of_the_base_first():
    assert {name: f.word for name, f in layout_of(Whole).fields.items()} == {
        "x": 0,
        "count": 1,
        "low": 2,
        "merged": 3,
        "size": 4,
        "code": 7,
        "table": 8,
        "rows": 9,
        "odd": 10,
    }
    assert layout_of(Whole).words == 12
    assert layout_of(Apart)["stop"].word == 8 and layout_of(Apart).words == 16


def test_fields_that_only_a_plan_knows_lie_behind():
    layout = extended(Base, sizes=Annotated[Ints, 3], start=Address)
    assert (layout["sizes"].word, layout["start"].word, layout.words) == (2, 5, 6)


def test_words():
    expected = [0, 7, *struct.unpack("<I", struct.pack("<f", 1.5)), 0, 1, 2, 3, 0, 0, 0, 5, -6]
    assert closed().words.tolist() == expected
    assert closed(merged=True).words[3] == 1
    low = closed(low=-np.inf).words[2:3].view(np.float32)
    assert low[0] == -np.inf and low[1] == 0  # nothing is left of a sign in the upper half


def test_addresses_are_written_when_they_are_known():
    block = closed()
    block.bind(lambda buffer: 1000 * buffer)
    block.link()
    assert block.words[[0, 7]].tolist() == [3016, 99]
    assert block.address == block.words.ctypes.data
    block.put(count=8)
    assert block.words[1] == 8 and block["count"] == 7


def test_tables_are_kept():
    pairs = [Arguments(Pair, first=k, taps=[k, 2 * k]) for k in range(3)]
    block = closed(rows=pairs, table=np.arange(4), x=np.zeros(5, np.float32))
    kept = block.keep
    assert all(array.ctypes.data == address for address, array in kept.items())
    assert kept[int(block.words[0])].dtype == np.float32
    assert kept[int(block.words[8])].tolist() == [0, 1, 2, 3]
    table = kept[int(block.words[9])]
    assert table.shape == (3, 3) and (table[:, 2] == 0x40000000).all() and table[:, 0].tolist() == [0, 1, 2]
    assert [kept[address].tolist() for address in table[:, 1].tolist()] == [[0, 0], [1, 2], [2, 4]]
    (none,) = closed(rows=[]).keep.values()
    assert none.shape == (0, 3)


def test_a_block_is_read_back_by_name():
    block = closed(table=[4, 5])
    read = Reading(block.layout, block.words.tolist())
    assert (read.count, read.size, read.odd) == (7, [1, 2, 3], [5, -6])
    assert read.table.address == block.words[8] and read.table.row is None
    assert read.rows.address == 0 and read.rows.row is layout_of(Pair)
    with pytest.raises(AttributeError):
        read.sizes


WRONG = {
    "an int that is a float": ({"count": 1.0}, "Whole.count takes INT, not 1.0"),
    "an int of NumPy": ({"count": np.int64(1)}, "Whole.count takes INT"),
    "an int that is a bool": ({"count": True}, "Whole.count takes INT, not True"),
    "a bool that is an int": ({"merged": 1}, "Whole.merged takes BOOL, not 1"),
    "a float that is a text": ({"low": "1"}, "Whole.low takes FLOAT, not '1'"),
    "an address that is an int": ({"x": 0}, "Whole.x takes ADDRESS, not 0"),
    "code that is an address": ({"code": 12}, "Whole.code takes CODE, not 12"),
    "too few words": ({"size": (1, 2)}, r"Whole.size takes 3 INTS, not \(1, 2\)"),
    "words that are floats": ({"odd": [1.0, 2.0]}, "Whole.odd takes 2 INTS"),
    "a table of floats": ({"table": np.zeros(3)}, "Whole.table takes INTS"),
    "rows that are no blocks": ({"rows": [(1, 2)]}, r"Whole.rows takes rows of Pair, not \(1, 2\)"),
    "rows of another block": ({"rows": [Arguments(Apart, generation=1)]}, "Whole.rows takes rows of Pair"),
    "a field that is not there": ({"sizes": (1, 2, 3)}, "Whole has no field sizes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_values_of_another_type_are_refused(name):
    change, message = WRONG[name]
    with pytest.raises(TypeError, match=message):
        filled(**change)


def test_a_field_that_is_filled_twice_is_refused():
    block = filled()
    with pytest.raises(TypeError, match=r"Whole\.count is filled twice"):
        block.fill(count=7)


def test_a_field_that_is_missing_is_refused():
    block = Arguments(Whole, count=1)
    with pytest.raises(TypeError, match=r"Whole\.x is missing"):
        block.close()
    with pytest.raises(TypeError, match=r"Pair\.first is missing"):
        filled(rows=[Arguments(Pair)])


class Pointing(Block):
    x: Address


class Table(Block):
    rows: Rows[Pointing]


def test_rows_that_wait_for_an_address_are_refused():
    """A table is made at once: nobody could write the address later."""
    with pytest.raises(TypeError, match=r"Table\.rows takes rows of Pointing"):
        Arguments(Table, rows=[Arguments(Pointing, x=SLOT)])
