"""The geometry of contractions: roles "forward" and "backward_data" as correlations of a source, in three dimensions.

Role "forward" is one correlation of x. Role "backward_data" (data gradient, transposed convolution) is one
correlation of y for each phase of the stride: the pixels of x with the same remainder modulo the stride see the same
taps, at distance one in y, so nothing is multiplied by zeros that were put between pixels.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from netdsl.primitives import Contract
from netdsl.schedule import View

Three = tuple[int, int, int]
Lists = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Geometry:
    """A contraction with three spatial axes (leading ones of size 1), sizes in elements.

    x is `[n, *x, groups*c]`, w `[*k, c, groups*f]`, y `[n, *y, groups*f]`; `lo` is the padding before each axis.
    Pixels of x and y are `x_pitch` and `y_pitch` floats apart.
    """

    n: int
    x: Three
    y: Three
    k: Three
    stride: Three
    dilation: Three
    lo: Three
    groups: int
    c: int
    f: int
    x_pitch: int
    y_pitch: int

    @property
    def channels(self) -> int:
        """Channels of x."""
        return self.groups * self.c

    @property
    def features(self) -> int:
        """Channels of y."""
        return self.groups * self.f

    def title(self, role: str) -> str:
        """A short name for profiles, such as `contract output 3x3 64->128 @ 28x28`."""
        k, y = (sizes if sizes[0] > 1 else sizes[1:] for sizes in (self.k, self.y))
        groups = f" in {self.groups} groups" if self.groups > 1 else ""
        return f"contract {role} {times(k)} {self.channels}->{self.features}{groups} @ {times(y)}"


def geometry(op: Contract, x_view: View, w_view: View, y_view: View) -> Geometry:
    """The geometry of a contraction of these three tensors."""
    x, w, y = x_view.shape, w_view.shape, y_view.shape
    return Geometry(
        x[0],
        _three(x[1:-1]),
        _three(y[1:-1]),
        _three(w[:-2]),
        _three(op.stride),
        _three(op.dilation),
        _three([lo for lo, _ in op.pad], 0),
        op.groups,
        w[-2],
        w[-1] // op.groups,
        x_view.pitch // 4,
        y_view.pitch // 4,
    )


def times(sizes: Iterable[int]) -> str:
    """Sizes as people write them: 3x3."""
    return "x".join(map(str, sizes))


@dataclass(frozen=True)
class Correlation:
    """out[n, q, g, :] = sum over taps and channels of source[n, q*step + offset, g, :] times the kernel at the tap.

    `source` is (N, D, H, W) with `channels` in each of `groups`; `offsets` has, for each axis, those of the taps in
    rising order, and `taps` their indices in the kernel. Pixel q of the `count` of the result lies at
    `origin` + q*`stride` of an image of `size`; it has `columns` in each group. Pixels of the source are `width`
    floats apart, those of the image of the result `pitch`.
    """

    source: tuple[int, int, int, int]
    channels: int
    groups: int
    columns: int
    count: Three
    step: Three
    offsets: Lists
    taps: Lists
    size: Three
    width: int
    pitch: int
    origin: Three = (0, 0, 0)
    stride: Three = (1, 1, 1)

    @property
    def gapless(self) -> bool:
        """Whether the pixels of the source follow each other, in a single group."""
        return self.groups == 1 and self.width == self.channels

    @property
    def depth(self) -> int:
        """Terms of each sum: taps times channels of a group."""
        return math.prod(len(t) for t in self.taps) * self.channels

    @property
    def pixels(self) -> int:
        """Pixels of the result, of all images together."""
        return self.source[0] * math.prod(self.count)

    @property
    def compact(self) -> bool:
        """Whether the pixels of the result follow each other in memory."""
        return self.stride == (1, 1, 1) and self.count == self.size

    @property
    def padded(self) -> bool:
        """Whether some tap reads outside of the source."""
        return any(
            o and (o[0] < 0 or (q - 1) * s + o[-1] >= size)
            for o, q, s, size in zip(self.offsets, self.count, self.step, self.source[1:], strict=True)
        )

    @property
    def joined(self) -> bool:
        """Whether the taps along a row read one contiguous run of floats."""
        return self.gapless and all(b - a == 1 for a, b in itertools.pairwise(self.offsets[2]))

    @property
    def _whole(self) -> bool:
        """Whether the taps of the first pixel are all pixels of an image, in their order."""
        return all(
            len(o) == size and o == tuple(range(size))
            for o, size in zip(self.offsets, self.source[1:], strict=True)
        )

    @property
    def pointwise(self) -> bool:
        """Whether each pixel of the result reads only its own."""
        return self.offsets == ((0,), (0,), (0,)) and (self.step, self.count) == ((1, 1, 1), self.source[1:])

    def flattened(self) -> Correlation:
        """The same with all pixels in one row where that can be, else itself.

        It can where each pixel of the result reads only its own, and where it reads a whole image.
        """
        if self.compact and self.pointwise:
            m, channels, width = self.pixels, self.channels, self.width
        elif self.compact and self.count == (1, 1, 1) and self._whole and self.gapless:
            m, channels, width = self.source[0], self.depth, self.depth
        else:
            return self
        one = ((0,), (0,), (0,))
        return replace(
            self,
            source=(1, 1, 1, m),
            channels=channels,
            width=width,
            count=(1, 1, m),
            step=(1, 1, 1),
            offsets=one,
            taps=one,
            size=(1, 1, m),
        )


def forward(g: Geometry) -> Correlation:
    """The correlation of x that gives y."""
    offsets = [tuple(k * d - p for k in range(n)) for n, d, p in zip(g.k, g.dilation, g.lo, strict=True)]
    taps = [tuple(range(n)) for n in g.k]
    return Correlation(
        (g.n, *g.x),
        g.c,
        g.groups,
        g.f,
        g.y,
        g.stride,
        _lists(offsets),
        _lists(taps),
        g.y,
        g.x_pitch,
        g.y_pitch,
    )


def backward(g: Geometry) -> Iterator[Correlation]:
    """The correlations of y that give x, one for each phase of the stride."""
    axes = [_hits(*axis) for axis in zip(g.k, g.stride, g.dilation, g.lo, strict=True)]
    for phase in itertools.product(*(range(min(s, n)) for s, n in zip(g.stride, g.x, strict=True))):
        hits = [found.get(r, ()) for found, r in zip(axes, phase, strict=True)]
        offsets, taps = ([tuple(pair[k] for pair in axis) for axis in hits] for k in (0, 1))
        count = [-(-(n - r) // s) for n, r, s in zip(g.x, phase, g.stride, strict=True)]
        yield Correlation(
            (g.n, *g.y),
            g.f,
            g.groups,
            g.c,
            _three(count),
            (1, 1, 1),
            _lists(offsets),
            _lists(taps),
            g.x,
            g.y_pitch,
            g.x_pitch,
            _three(phase),
            g.stride,
        )


def _hits(taps: int, stride: int, dilation: int, lo: int) -> dict[int, list[tuple[int, int]]]:
    """By phase of an axis, the offsets in y of the taps that its pixels see, in rising order, and the taps."""
    found: dict[int, list[tuple[int, int]]] = {}
    for k in reversed(range(taps)):
        phase = (k * dilation - lo) % stride
        found.setdefault(phase, []).append(((phase + lo - k * dilation) // stride, k))
    return found


@dataclass(frozen=True)
class Run:
    """A contiguous piece of the terms of a sum: `length` floats, the first of which is term `first`.

    Pixel q reads it in plane q*step + `depth`, row q*step + `height`, from float q*step*channels + `start` on (plus
    the channels of the groups before). `plane` numbers the planes that are read.
    """

    first: int
    length: int
    depth: int
    height: int
    start: int
    plane: int


def runs(c: Correlation) -> list[Run]:
    """The terms of every sum in order, as the longest contiguous runs."""
    across = c.offsets[2]
    pieces = (
        [(across[0], len(across) * c.channels)] if c.joined and across else [(o, c.channels) for o in across]
    )
    found: list[Run] = []
    first = 0
    for (plane, z), y, (x, length) in itertools.product(enumerate(c.offsets[0]), c.offsets[1], pieces):
        if length:
            found.append(Run(first, length, z, y, x * c.width, plane))
            first += length
    return found


def cut(found: list[Run], first: int, last: int) -> list[Run]:
    """The parts of runs that hold the terms from `first` up to `last`."""
    pieces = []
    start = max(0, bisect.bisect_right(found, first, key=lambda r: r.first) - 1)
    for k in range(start, len(found)):
        r = found[k]
        if r.first >= last:
            break
        a, b = max(first, r.first), min(last, r.first + r.length)
        if a < b:
            pieces.append(replace(r, first=a, length=b - a, start=r.start + a - r.first))
    return pieces


def split(total: int, most: int, multiple: int = 1) -> list[tuple[int, int]]:
    """[0, total) in the fewest pieces of at most `most`, nearly even, with inner bounds that are multiples."""
    count = max(1, -(-total // most))
    bounds = [min(total, round(total * k / count / multiple) * multiple) for k in range(count)] + [total]
    return [(a, b) for a, b in itertools.pairwise(bounds) if a < b or total == 0]


def run_chunks(found: list[Run], most: int) -> list[list[Run]]:
    """Whole runs in groups of at most `most` terms; runs that are longer are cut."""
    if not found:
        return [[]]
    length = found[0].length
    if length > most:
        return [cut(found, r.first + a, r.first + b) for r in found for a, b in split(r.length, most)]
    return [found[a:b] for a, b in split(len(found), most // length)]


def _lists(values: Sequence[tuple[int, ...]]) -> Lists:
    a, b, c = values
    return a, b, c


def _three(values: Sequence[int], fill: int = 1) -> Three:
    a, b, c = (*[fill] * (3 - len(values)), *values)
    return a, b, c
