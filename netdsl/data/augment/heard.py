"""What changes of sounds have in common, apart from how they are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netdsl.data.augment.change import Change

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from netdsl.arrays import Array, np
    from netdsl.data.augment.change import Draws

    Key = NDArray[np.uint32]


@dataclass(frozen=True)
class Sound(Change):
    """A change of a sound or its spectra; labels stay as they are."""

    #: whether it changes spectra too, or alone
    spectra: ClassVar[bool] = False
    sounds: ClassVar[bool] = True

    def heard(self, x: Array, draws: Draws, key: Key) -> Array:
        """A sample, [T] or [frames, bands], changed by its numbers [n] and the key of its own stream of numbers."""
        raise NotImplementedError


def of_sounds(changes: Iterable[Change], pictures: bool) -> bool:
    """Whether changes are made of sounds or their spectra: where one is for them alone, or there are no pictures."""
    return not pictures or any(isinstance(change, Sound) for change in changes)
