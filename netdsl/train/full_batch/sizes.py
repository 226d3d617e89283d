"""How a batch is cut into pieces."""

from __future__ import annotations


def sizes(samples: int, piece: int) -> list[int]:
    """The sizes of as few pieces as there can be, which differ by one sample at most."""
    count = -(-samples // piece)
    return [samples // count + (k < samples % count) for k in range(count)]
