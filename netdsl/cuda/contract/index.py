"""Index maps: where the element of an operand lies for a row and for a term of a product of matrices.

The address is the sum of what the row gives and what the term gives, and so are the coordinates of the pixel, which
may lie in the padding.  A row or a term is one of

- "unit": element after element;
- "linear": elements a stride apart;
- "pixels": (image, pixel along each axis);
- "taps": (tap along each axis, channel), element after element along the channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import divided, divisor_parameters
from netdsl.cuda.step import Parameter

Kind = Literal["unit", "linear", "pixels", "taps"]


@dataclass(frozen=True)
class Index:
    """One index of an operand in a source: `name` begins the names of its parameters.

    `axes` are the spatial axes of pixels and taps; `bounded` says that pixels may lie outside of the source.
    """

    name: str
    kind: Kind
    axes: int = 0
    bounded: bool = False

    @property
    def contiguous(self) -> bool:
        """Whether four in a row are neighbours in memory."""
        return self.kind in ("unit", "taps")

    def parameters(self) -> list[Parameter]:
        """The numbers that the index needs."""
        name, axes = self.name, range(self.axes)
        if self.kind == "unit":
            return []
        if self.kind == "linear":
            return [Parameter(f"{name}_stride", "i32")]
        sizes = range(self.axes) if self.kind == "pixels" else range(1, self.axes)
        found = [p for a in sizes for p in divisor_parameters(f"{self.kind}{a}")]
        found += [Parameter(f"{name}_stride{a}", "i32") for a in axes]
        found += [Parameter(f"{name}_start", "i32")]
        if self.kind == "pixels":
            found.append(Parameter(f"{name}_image", "i32"))
        else:
            found += divisor_parameters("channels")
        if self.bounded:
            found += [Parameter(f"{self.kind}_step{a}", "i32") for a in axes]
        if self.bounded and self.kind == "pixels":
            found += [Parameter(f"{self.kind}_origin{a}", "i32") for a in axes]
        return found

    def place(self, out: Lines, index: str, inside: str) -> Place:
        """The place of an int32 index; `inside` is the condition for it to be one of the operand."""
        if self.kind == "unit":
            return Place(index, inside)
        if self.kind == "linear":
            return Place(out.let(f"int32({index} * {self.name}_stride)"), inside)
        rest = out.let(f"uint32({index})")
        terms = [f"{self.name}_start"]
        if self.kind == "taps":
            rest, channel = divided(out, rest, "channels")
            terms.append(channel)
        at: list[str] = []
        for a in reversed(range(0 if self.kind == "pixels" else 1, self.axes)):
            rest, coordinate = divided(out, rest, f"{self.kind}{a}")
            at.insert(0, coordinate)
        if self.kind == "pixels":
            terms.append(f"{rest} * {self.name}_image")
        else:
            at.insert(0, rest)
        terms += [f"{c} * {self.name}_stride{a}" for a, c in enumerate(at)]
        offset = out.let(f"int32({' + '.join(terms)})")
        return Place(offset, inside, self._coordinates(out, at) if self.bounded else [])

    def _coordinates(self, out: Lines, at: Sequence[str]) -> list[str]:
        origin = [f" + {self.kind}_origin{a}" if self.kind == "pixels" else "" for a in range(self.axes)]
        return [out.let(f"int32({c} * {self.kind}_step{a}{origin[a]})") for a, c in enumerate(at)]


@dataclass(frozen=True)
class Place:
    """What a row or a term adds to the address and to coordinates of the pixel, and the condition for it to be."""

    offset: str
    inside: str
    coordinates: list[str] = field(default_factory=list)
