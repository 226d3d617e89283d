"""Known data sets as arrays, from the package or from local files; nothing is ever downloaded here."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from netdsl.arrays import np
from netdsl.data.cifar import decode_records
from netdsl.data.dataset import Dataset, Split, from_arrays
from netdsl.data.errors import data_error
from netdsl.data.idx import decode_idx
from netdsl.data.locate import Located, located, read_content
from netdsl.data.npy import read_npz
from netdsl.data.registry import Known, known
from netdsl.data.stream import Stream


def load_dataset(name: str, folder: Path | None = None) -> Dataset:
    """Load all splits of a known data set; see `load_split`."""
    return Dataset(name, {split: load_split(name, split, folder) for split in known(name).sizes})


def load_split(name: str, split: str, folder: Path | None = None) -> Split:
    """Load one split of a known data set: `image`, uint8 [n, H, W, C], and `label`, int64 [n], with names of classes.

    `folder` is a folder of data sets to look in instead of the usual ones (`data_folders`).
    Errors: NetError for an unknown name or split, for files that are not there (saying how to get them) and
    for files whose checksum is not the known one.
    """
    dataset = known(name)
    if split not in dataset.sizes:
        raise data_error(f"{name} has no split {split!r}; it has {', '.join(dataset.sizes)}")
    if dataset.format == "npz":
        return _embedded(dataset, split)
    return _from_files(dataset, split, located(dataset, folder))


def _embedded(dataset: Known, split: str) -> Split:
    """The optical digits; DIGITS.md beside the file says where they are from and how they were split."""
    from importlib import resources

    with resources.as_file(resources.files("netdsl.data") / f"{dataset.name}.npz") as path:
        images, labels = (read_npz(path, f"{split}_{part}") for part in ("images", "labels"))
    return from_arrays(images, labels, white=16.0, classes=dataset.classes)


def _from_files(dataset: Known, split: str, found: Located) -> Split:
    contents = [read_content(content, found.paths[content.name]) for content in dataset.files[split]]
    names = [str(found.paths[content.name]) for content in dataset.files[split]]
    if dataset.format == "cifar":
        parts = [decode_records(*pair) for pair in zip(contents, names, strict=True)]
        images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    else:
        images, labels = (
            decode_idx(Stream(BytesIO(data), name, len(data), exact=True))
            for data, name in zip(contents, names, strict=True)
        )
        images = images[..., np.newaxis]
    return from_arrays(images, labels, classes=dataset.classes)
