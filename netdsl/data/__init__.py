"""Data sets, their preparation, and batches made in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.lazy import lazy

if TYPE_CHECKING:
    from netdsl.data.batches import Batch, Batches
    from netdsl.data.dataset import Dataset, Split, from_arrays
    from netdsl.data.load import load_dataset, load_split
    from netdsl.data.loader import Loader
    from netdsl.data.normalize import Normalization
    from netdsl.data.obtain import get, list_datasets
    from netdsl.data.plan import DataPlan
    from netdsl.data.preprocess import CenterCrop, Resize, Step
    from netdsl.data.sources import AUGMENTATIONS, NORMALIZERS, PREPROCESSING, SETTINGS, SOURCES
    from netdsl.data.usage import Meaning, Usage

__all__ = [
    "AUGMENTATIONS",
    "NORMALIZERS",
    "PREPROCESSING",
    "SETTINGS",
    "SOURCES",
    "Batch",
    "Batches",
    "CenterCrop",
    "DataPlan",
    "Dataset",
    "Loader",
    "Meaning",
    "Normalization",
    "Resize",
    "Split",
    "Step",
    "Usage",
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
    "CenterCrop": "netdsl.data.preprocess",
    "DataPlan": "netdsl.data.plan",
    "Dataset": "netdsl.data.dataset",
    "Loader": "netdsl.data.loader",
    "Meaning": "netdsl.data.usage",
    "NORMALIZERS": "netdsl.data.sources",
    "Normalization": "netdsl.data.normalize",
    "PREPROCESSING": "netdsl.data.sources",
    "Resize": "netdsl.data.preprocess",
    "SETTINGS": "netdsl.data.sources",
    "SOURCES": "netdsl.data.sources",
    "Split": "netdsl.data.dataset",
    "Step": "netdsl.data.preprocess",
    "Usage": "netdsl.data.usage",
    "from_arrays": "netdsl.data.dataset",
    "get": "netdsl.data.obtain",
    "list_datasets": "netdsl.data.obtain",
    "load_dataset": "netdsl.data.load",
    "load_split": "netdsl.data.load",
}

__getattr__, __dir__ = lazy("netdsl.data", _HOMES)
