"""Changes run on arrays, and what they draw."""

import numpy as np

from netdsl.data.augment.augmenter import Augmenter
from netdsl.data.augment.choose import leaves
from netdsl.data.augment.draw import draws, keys
from netdsl.data.augment.stages import Drawn
from netdsl.data.augment.ways import Label, Way

CELLS, VALUES, BOXES = Label(Way.CELLS), Label(Way.VALUES), Label(Way.BOXES)


def pictures(count=6, size=(20, 24), channels=3, dtype=np.uint8, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (count, *size, channels))
    return (values / 255).astype(dtype) if dtype == np.float32 else values.astype(dtype)


def white_of(images):
    return 255.0 if images.dtype == np.uint8 else 1.0


def change(images, *changes, labels=None, ways=None, seed=0, epoch=0, indices=None, threads=1):
    """Images, or images and labels by name, after changes."""
    made = Augmenter(changes, seed, {"x": white_of(images)}, ways or {}, threads)
    indices = np.arange(len(images)) if indices is None else indices
    inputs, targets = made({"x": images}, labels or {}, epoch, indices)
    return inputs["x"] if labels is None else (inputs["x"], targets)


def drawn(count, *changes, seed=0, epoch=0):
    """The numbers [places, count, n] that the changes get."""
    key = keys(seed, leaves(changes)[1], epoch)
    return Drawn(draws(key, np.arange(count)), key, np.arange(count))


def maps(count, one, size, seed=0):
    """Where the pixels of results come from, as a change says."""
    return one.maps(drawn(count, one, seed=seed).draws[0], size)
