"""What the steps of preprocessing have in common."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.elaborate.values import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


@dataclass(frozen=True)
class PreprocessingStep:
    """Base: what becomes of samples; a file names it, with its settings.

    sounds: whether it takes sounds instead of pictures.  moves: whether masks must go along with their pictures.
    """

    name: ClassVar[str]
    sounds: ClassVar[bool] = False
    moves: ClassVar[bool] = False

    def shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that a sample gets. Errors: NetError for samples that it does not take."""
        raise NotImplementedError

    def __call__(self, samples: NDArray[Any]) -> NDArray[Any]:
        """The samples [n, ...] after it."""
        raise NotImplementedError

    def moved(self, masks: NDArray[Any], fill: int) -> NDArray[Any]:
        """The masks [n, H, W] or [n, H, W, C] of pictures after it; fill: what borders get."""
        raise NotImplementedError

    def __str__(self) -> str:
        """As a file has it: what must be given, and what is not as usual."""
        given: list[str] = []
        for f in fields(self):
            value = getattr(self, f.name)
            if f.default is MISSING or (f.name == "width" and value is not None):
                given.append(_word(value))
            elif value != f.default:
                given.append(f"{f.name} = {_word(value)}")
        return f"{self.name}({', '.join(given)})" if given else self.name


def _word(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)
