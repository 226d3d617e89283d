"""Random changes of training samples: what the list `augment` may hold, and how it is made.

A list becomes leaves (`choose`), leaves become stages (`stages`), and stages run on pictures (`run`) by kernels that
Numba compiles (`kernels`).  What is drawn for a sample depends on (seed, epoch, place in the list, sample) alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.lazy import lazy

if TYPE_CHECKING:
    from netdsl.data.augment.augmenter import Augmenter as Augmenter
    from netdsl.data.augment.check import augmented_outline as augmented_outline
    from netdsl.data.augment.check import check_augment as check_augment
    from netdsl.data.augment.check import check_white as check_white

__getattr__, __dir__, __all__ = lazy(__name__, __file__)
