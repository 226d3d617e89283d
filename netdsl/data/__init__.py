"""Data sets, their preparation, and batches made in the background."""

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
