"""Small networks and data sets for the tests of this room."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.elaborate import elaborate
from netdsl.source import Source

TEXT = """
net Tiny {
  input x: [4]
  output logits = x -> dense(8) -> tanh -> dense(3)
}
train {
  loss = cross_entropy(logits, label)
  optimizer = sgd(lr = 0.1, momentum = 0.9)
  epochs = 3
  batch = 8
  metrics = [accuracy(logits, label)]
}
"""


def network(*changes, text=TEXT, elaborated=1, **overrides):
    """The tiny network with pairs of old and new text, settings of `train`, and the batch it is elaborated for."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    given = {f"train.{name}": str(value) for name, value in overrides.items()}
    return elaborate(Source("tiny.net", text), elaborated, given)


def arrays(count=40, seed=0, classes=3):
    """Points around one centre per class: images [n, 4], labels [n]."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = 2 * np.random.default_rng(1).normal(size=(classes, 4))
    return (centres[labels] + rng.normal(size=(count, 4))).astype(np.float32), labels


def plan(count=40, **settings):
    """A data section made in Python: training, validation and test data."""
    splits = {"train": from_arrays(*arrays(count)), "test": from_arrays(*arrays(20, seed=2))}
    return DataPlan({**splits, "validation": from_arrays(*arrays(13, seed=3)), **settings})


def timm_module(name):
    """A module of timm without all of timm, whose models need torchvision; skips the test where there is none."""
    found = importlib.util.find_spec("timm") if "timm" not in sys.modules else sys.modules["timm"].__spec__
    if found is None:
        pytest.skip("timm is not installed")
    room = name.partition(".")[0]
    for package, folder in (
        ("timm", Path(found.origin).parent),
        (f"timm.{room}", Path(found.origin).parent / room),
    ):
        if package not in sys.modules:
            sys.modules[package] = stub = ModuleType(package)
            stub.__path__, stub.__spec__ = [str(folder)], found
    return importlib.import_module(f"timm.{name}")
