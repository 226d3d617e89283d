"""`idx("images", "labels")` and `npy("x.npy", "y.npy")`: two files, of samples and of their labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from netdsl.arrays import Array
from netdsl.data.dataset import Split, from_arrays
from netdsl.data.idx import idx_header, read_idx
from netdsl.data.named import check_name
from netdsl.data.npy import npy_header, read_npy, values_of_npy
from netdsl.data.outline import Outline, is_small, outline_of_pair
from netdsl.data.stream import Header


@dataclass(frozen=True)
class Idx:
    """`idx("images", "labels")`: two IDX files, gzip or not; images [n, H, W] get a channel axis."""

    images: str
    labels: str

    def __post_init__(self) -> None:
        _check_text(self)

    def load(self, base: Path) -> Split:
        """Read both files."""
        images = read_idx(base / self.images)
        return from_arrays(images[..., None] if images.ndim == 3 else images, read_idx(base / self.labels))

    def outline(self, base: Path) -> Outline:
        """Look at the headers."""
        path = base / self.labels
        shape, _ = idx_header(base / self.images)
        return _outline((*shape, 1) if len(shape) == 3 else shape, idx_header(path), lambda: read_idx(path))


@dataclass(frozen=True)
class Npy:
    """`npy("x.npy", "y.npy")`: two .npy files; samples [n, ...] are taken as they are."""

    x: str
    y: str

    def __post_init__(self) -> None:
        _check_text(self)

    def load(self, base: Path) -> Split:
        """Read both files; samples of a GiB and more stay in theirs."""
        return from_arrays(values_of_npy(base / self.x), read_npy(base / self.y))

    def outline(self, base: Path) -> Outline:
        """Look at the headers."""
        path = base / self.y
        samples, _ = npy_header(base / self.x)
        return _outline(samples, npy_header(path), lambda: read_npy(path))


def _check_text(source: Idx | Npy) -> None:
    for f in fields(source):
        check_name(f.name, getattr(source, f.name), "a file")


def _outline(samples: tuple[int, ...], labels: Header, read: Callable[[], Array]) -> Outline:
    """The outline of two arrays by their headers; labels are read where they are few."""
    shape, dtype = labels
    return outline_of_pair(samples, shape, dtype.kind in "biu", read() if is_small(labels) else None)
