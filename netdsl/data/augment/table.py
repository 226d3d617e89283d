"""What the list `augment` may hold, by the names that files use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netdsl.data.augment.change import Change
from netdsl.data.augment.settings import BORDERS, INTERPOLATIONS
from netdsl.lazy import Table

CHANGES: Table[type[Change]] = Table(
    {
        "shift": "netdsl.data.augment.geometry:Shift",
        "flip": "netdsl.data.augment.geometry:Flip",
        "vertical_flip": "netdsl.data.augment.geometry:VerticalFlip",
        "rotate": "netdsl.data.augment.geometry:Rotate",
        "zoom": "netdsl.data.augment.geometry:Zoom",
        "shear": "netdsl.data.augment.geometry:Shear",
        "perspective": "netdsl.data.augment.perspective:Perspective",
        "elastic": "netdsl.data.augment.elastic:Elastic",
        "random_crop": "netdsl.data.augment.crop:RandomCrop",
        "random_resized_crop": "netdsl.data.augment.crop:RandomResizedCrop",
        "brightness": "netdsl.data.augment.look:Brightness",
        "contrast": "netdsl.data.augment.look:Contrast",
        "saturation": "netdsl.data.augment.look:Saturation",
        "hue": "netdsl.data.augment.look:Hue",
        "gamma": "netdsl.data.augment.look:Gamma",
        "invert": "netdsl.data.augment.look:Invert",
        "color_jitter": "netdsl.data.augment.look:ColorJitter",
        "pca_lighting": "netdsl.data.augment.look:PcaLighting",
        "gaussian_noise": "netdsl.data.augment.spoil:GaussianNoise",
        "salt_and_pepper": "netdsl.data.augment.spoil:SaltAndPepper",
        "blur": "netdsl.data.augment.spoil:Blur",
        "cutout": "netdsl.data.augment.spoil:Cutout",
        "jpeg": "netdsl.data.augment.spoil:Jpeg",
        "gain": "netdsl.data.augment.sound:Gain",
        "noise": "netdsl.data.augment.sound:Noise",
        "time_stretch": "netdsl.data.augment.sound:TimeStretch",
        "pitch_shift": "netdsl.data.augment.sound:PitchShift",
        "time_mask": "netdsl.data.augment.sound:TimeMask",
        "frequency_mask": "netdsl.data.augment.sound:FrequencyMask",
        "mixup": "netdsl.data.augment.mix:Mixup",
        "cutmix": "netdsl.data.augment.mix:Cutmix",
        "one_of": "netdsl.data.augment.choose:OneOf",
        "some_of": "netdsl.data.augment.choose:SomeOf",
    }
)
"""Every change."""
AUGMENTATIONS: Mapping[str, Any] = CHANGES | {name: name for name in (*BORDERS, *INTERPOLATIONS)}
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
