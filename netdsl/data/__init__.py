"""Data sets, their preparation, and batches made in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.lazy import lazy

if TYPE_CHECKING:
    from netdsl.data.batches import Batch, Batches
    from netdsl.data.dataset import Dataset, Split, from_arrays
    from netdsl.data.get import get, list_datasets
    from netdsl.data.load import load_dataset, load_split
    from netdsl.data.loader import Loader
    from netdsl.data.normalize import Normalization
    from netdsl.data.plan import DataPlan
    from netdsl.data.sources import AUGMENTATIONS, NORMALIZERS, SETTINGS, SOURCES

__all__ = [
    "AUGMENTATIONS",
    "NORMALIZERS",
    "SETTINGS",
    "SOURCES",
    "Batch",
    "Batches",
    "DataPlan",
    "Dataset",
    "Loader",
    "Normalization",
    "Split",
    "from_arrays",
    "get",
    "list_datasets",
    "load_dataset",
    "load_split",
]

_HOMES = {
    "AUGMENTATIONS": "netdsl.data.sources",
    "Batch": "netdsl.data.batches",
    "Batches": "netdsl.data.batches",
    "DataPlan": "netdsl.data.plan",
    "Dataset": "netdsl.data.dataset",
    "Loader": "netdsl.data.loader",
    "NORMALIZERS": "netdsl.data.sources",
    "Normalization": "netdsl.data.normalize",
    "SETTINGS": "netdsl.data.sources",
    "SOURCES": "netdsl.data.sources",
    "Split": "netdsl.data.dataset",
    "from_arrays": "netdsl.data.dataset",
    "get": "netdsl.data.get",
    "list_datasets": "netdsl.data.get",
    "load_dataset": "netdsl.data.load",
    "load_split": "netdsl.data.load",
}

__getattr__, __dir__ = lazy("netdsl.data", _HOMES)
