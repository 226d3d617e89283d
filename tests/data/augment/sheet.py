"""The sheet docs/pictures/augmentation.png: what each change makes of one picture."""

import numpy as np
from PIL import Image, ImageDraw

from netdsl.data import (
    Blur,
    Brightness,
    ColorJitter,
    Contrast,
    Cutmix,
    Cutout,
    Elastic,
    Flip,
    Gamma,
    GaussianNoise,
    Hue,
    Invert,
    Jpeg,
    Mixup,
    PcaLighting,
    Perspective,
    RandomCrop,
    RandomResizedCrop,
    Rotate,
    SaltAndPepper,
    Saturation,
    Shear,
    Shift,
    VerticalFlip,
    Zoom,
)
from netdsl.data.augment.augmenter import Augmenter

SIDE, COPIES, COLUMNS, TITLE, GAP = 64, 4, 3, 14, 4
SEED = 88
SHOWN = [
    ("shift(12)", Shift(12)),
    ("flip", Flip(0.5)),
    ("vertical_flip", VerticalFlip(0.5)),
    ("rotate(30)", Rotate(30)),
    ("rotate(30, border = reflect)", Rotate(30, border="reflect")),
    ("zoom(0.6, 1.4)", Zoom(0.6, 1.4)),
    ("shear(25)", Shear(25)),
    ("perspective(0.5)", Perspective(0.5)),
    ("elastic(alpha = 150, sigma = 6)", Elastic(150, 6)),
    ("random_crop(64, padding = 12)", RandomCrop(64, padding=12)),
    ("random_resized_crop(64)", RandomResizedCrop(64)),
    ("brightness(0.5)", Brightness(0.5)),
    ("contrast(0.7)", Contrast(0.7)),
    ("saturation(0.9)", Saturation(0.9)),
    ("hue(0.5)", Hue(0.5)),
    ("gamma(0.4, 2.5)", Gamma(0.4, 2.5)),
    ("invert", Invert(0.5)),
    ("color_jitter(0.4, 0.4, 0.4, 0.1)", ColorJitter(0.4, 0.4, 0.4, 0.1)),
    ("pca_lighting(0.5)", PcaLighting(0.5)),
    ("gaussian_noise(0.1)", GaussianNoise(0.1)),
    ("salt_and_pepper(0.05)", SaltAndPepper(0.05)),
    ("blur(3)", Blur(3)),
    ("cutout(24)", Cutout(24)),
    ("jpeg(5, 20)", Jpeg(5, 20)),
    ("mixup(1.0)", Mixup(1.0)),
    ("cutmix(1.0)", Cutmix(1.0)),
]


def picture(other=False):
    """A sun, a striped tent, a line of hills; the other one has two suns and no tent."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    colours = np.stack([0.2 + 0.7 * x, 0.3 + 0.5 * y, 0.8 - 0.5 * x * y], -1)
    if other:
        colours = colours[::-1, :, ::-1].copy()
        colours[(x - 0.7) ** 2 + (y - 0.3) ** 2 < 0.03] = [0.95, 0.95, 0.9]
    else:
        tent = (abs(x - 0.68) < 0.17) & (abs(y - 0.66) < 0.2)
        colours[tent] = [0.8, 0.15, 0.2]
        colours[tent & (x * 10 % 1 < 0.25)] = 0.95
    colours[(x - 0.3) ** 2 + (y - 0.35) ** 2 < 0.04] = [0.95, 0.8, 0.2]
    colours[np.abs(np.sin(x * 40) * 0.03 + 0.9 - y) < 0.02] = 0.1
    return (colours * 255).astype(np.uint8)


def changed(change):
    """The picture after a change, as often as it is shown."""
    before = np.stack([picture(), *([picture(True), picture()] * COPIES)])[:COPIES]
    if not isinstance(change, Mixup | Cutmix):
        before = np.repeat(picture()[None], COPIES, 0)
    after, _ = Augmenter([change], SEED, {"x": 255.0}, {}, 1)({"x": before}, {}, 0, np.arange(COPIES))
    return np.floor(after["x"] + 0.5).astype(np.uint8)


def sheet():
    """All of them, each under what is written for it."""
    wide, high = COPIES * (SIDE + GAP) + 3 * GAP, SIDE + TITLE + 2 * GAP
    rows = -(-len(SHOWN) // COLUMNS)
    made = Image.new("RGB", (COLUMNS * wide, rows * high), "white")
    pen = ImageDraw.Draw(made)
    for number, (title, change) in enumerate(SHOWN):
        left, top = number % COLUMNS * wide + GAP, number // COLUMNS * high
        pen.text((left, top + 1), title, fill="black")
        for k, one in enumerate(changed(change)):
            made.paste(Image.fromarray(one), (left + k * (SIDE + GAP), top + TITLE + GAP))
    return made
