"""What the list `augment` may hold, by the names that files use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netdsl.data.augment.change import Change
from netdsl.data.augment.choose import OneOf, SomeOf
from netdsl.data.augment.crop import RandomCrop, RandomResizedCrop
from netdsl.data.augment.elastic import Elastic
from netdsl.data.augment.geometry import Flip, Rotate, Shear, Shift, VerticalFlip, Zoom
from netdsl.data.augment.look import (
    Brightness,
    ColorJitter,
    Contrast,
    Gamma,
    Hue,
    Invert,
    PcaLighting,
    Saturation,
)
from netdsl.data.augment.mix import Cutmix, Mixup
from netdsl.data.augment.perspective import Perspective
from netdsl.data.augment.settings import BORDERS, INTERPOLATIONS
from netdsl.data.augment.sound import FrequencyMask, Gain, Noise, PitchShift, TimeMask, TimeStretch
from netdsl.data.augment.spoil import Blur, Cutout, GaussianNoise, Jpeg, SaltAndPepper

_KINDS: tuple[type[Change], ...] = (
    Shift,
    Flip,
    VerticalFlip,
    Rotate,
    Zoom,
    Shear,
    Perspective,
    Elastic,
    RandomCrop,
    RandomResizedCrop,
    Brightness,
    Contrast,
    Saturation,
    Hue,
    Gamma,
    Invert,
    ColorJitter,
    PcaLighting,
    GaussianNoise,
    SaltAndPepper,
    Blur,
    Cutout,
    Jpeg,
    Gain,
    Noise,
    TimeStretch,
    PitchShift,
    TimeMask,
    FrequencyMask,
    Mixup,
    Cutmix,
    OneOf,
    SomeOf,
)
CHANGES: Mapping[str, type[Change]] = {kind.name: kind for kind in _KINDS}
"""Every change."""
AUGMENTATIONS: Mapping[str, Any] = {**CHANGES, **{name: name for name in (*BORDERS, *INTERPOLATIONS)}}
"""The changes, and the words in their settings."""

EXAMPLES: Mapping[str, str] = {
    "shift": "shift(2)",
    "rotate": "rotate(15)",
    "zoom": "zoom(0.9, 1.1)",
    "shear": "shear(10)",
    "perspective": "perspective(0.2)",
    "elastic": "elastic(alpha = 34, sigma = 4)",
    "random_crop": "random_crop(32, padding = 4)",
    "random_resized_crop": "random_resized_crop(224)",
    "brightness": "brightness(0.2)",
    "contrast": "contrast(0.2)",
    "saturation": "saturation(0.2)",
    "hue": "hue(0.05)",
    "gamma": "gamma(0.8, 1.2)",
    "color_jitter": "color_jitter(0.4, 0.4, 0.4, 0.1)",
    "pca_lighting": "pca_lighting(0.1)",
    "gaussian_noise": "gaussian_noise(0.05)",
    "salt_and_pepper": "salt_and_pepper(0.01)",
    "blur": "blur(1.5)",
    "cutout": "cutout(8)",
    "jpeg": "jpeg(60, 95)",
    "gain": "gain(-6, 6)",
    "noise": "noise(10, 40)",
    "time_stretch": "time_stretch(0.8, 1.25)",
    "pitch_shift": "pitch_shift(2)",
    "time_mask": "time_mask(20)",
    "frequency_mask": "frequency_mask(8)",
    "mixup": "mixup(0.2)",
    "cutmix": "cutmix(1.0)",
    "one_of": "one_of(rotate(15), shear(10))",
    "some_of": "some_of(2, rotate(15), shear(10), flip)",
}
"""Examples of those that need settings."""
