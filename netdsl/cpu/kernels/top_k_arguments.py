"""The argument block of `top_k`."""

from netdsl.backend.arguments import Address, Block


class TopKBlock(Block):
    """`rows` rows of `size` elements, each with `count` indices."""

    x: Address
    out: Address
    rows: int
    size: int
    count: int
