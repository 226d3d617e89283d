"""What allocations take of a card: the driver gives memory by the page, which small ones share.

NVIDIA does not say how; this is what is known of it.  `tests/cuda/test_gpu.py` asks a card.
"""

from __future__ import annotations

from collections.abc import Sequence

PAGE = 2 << 20
PART = 512
"""Bytes of which a small allocation takes a multiple."""


def in_pages(sizes: Sequence[int]) -> int:
    """The bytes of the pages of allocations of these sizes, made in this order."""
    pages = left = 0
    for size in sizes:
        parts = -(-max(1, size) // PART) * PART
        if parts > PAGE // 2:
            pages += -(-parts // PAGE)
            continue
        if parts > left:
            pages, left = pages + 1, PAGE
        left -= parts
    return pages * PAGE
