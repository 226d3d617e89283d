"""Data sets, their preparation, and batches made in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.lazy import lazy

if TYPE_CHECKING:
    from netdsl.data.augment.choose import OneOf as OneOf
    from netdsl.data.augment.choose import SomeOf as SomeOf
    from netdsl.data.augment.crop import RandomCrop as RandomCrop
    from netdsl.data.augment.crop import RandomResizedCrop as RandomResizedCrop
    from netdsl.data.augment.elastic import Elastic as Elastic
    from netdsl.data.augment.geometry import Flip as Flip
    from netdsl.data.augment.geometry import Rotate as Rotate
    from netdsl.data.augment.geometry import Shear as Shear
    from netdsl.data.augment.geometry import Shift as Shift
    from netdsl.data.augment.geometry import VerticalFlip as VerticalFlip
    from netdsl.data.augment.geometry import Zoom as Zoom
    from netdsl.data.augment.look import Brightness as Brightness
    from netdsl.data.augment.look import ColorJitter as ColorJitter
    from netdsl.data.augment.look import Contrast as Contrast
    from netdsl.data.augment.look import Gamma as Gamma
    from netdsl.data.augment.look import Hue as Hue
    from netdsl.data.augment.look import Invert as Invert
    from netdsl.data.augment.look import PcaLighting as PcaLighting
    from netdsl.data.augment.look import Saturation as Saturation
    from netdsl.data.augment.mix import Cutmix as Cutmix
    from netdsl.data.augment.mix import Mixup as Mixup
    from netdsl.data.augment.perspective import Perspective as Perspective
    from netdsl.data.augment.sound import FrequencyMask as FrequencyMask
    from netdsl.data.augment.sound import Gain as Gain
    from netdsl.data.augment.sound import Noise as Noise
    from netdsl.data.augment.sound import PitchShift as PitchShift
    from netdsl.data.augment.sound import TimeMask as TimeMask
    from netdsl.data.augment.sound import TimeStretch as TimeStretch
    from netdsl.data.augment.spoil import Blur as Blur
    from netdsl.data.augment.spoil import Cutout as Cutout
    from netdsl.data.augment.spoil import GaussianNoise as GaussianNoise
    from netdsl.data.augment.spoil import Jpeg as Jpeg
    from netdsl.data.augment.spoil import SaltAndPepper as SaltAndPepper
    from netdsl.data.batches import Batch as Batch
    from netdsl.data.batches import Batches as Batches
    from netdsl.data.dataset import Dataset as Dataset
    from netdsl.data.dataset import Split as Split
    from netdsl.data.dataset import from_arrays as from_arrays
    from netdsl.data.dataset import from_mapping as from_mapping
    from netdsl.data.load import load_dataset as load_dataset
    from netdsl.data.load import load_split as load_split
    from netdsl.data.loader import Loader as Loader
    from netdsl.data.mel import MelSpectrogram as MelSpectrogram
    from netdsl.data.normalize import Normalization as Normalization
    from netdsl.data.normalize import Raw as Raw
    from netdsl.data.normalize import Scale as Scale
    from netdsl.data.normalize import Standardize as Standardize
    from netdsl.data.obtain import get as get
    from netdsl.data.obtain import list_datasets as list_datasets
    from netdsl.data.own.generator import from_function as from_function
    from netdsl.data.own.generator import from_generator as from_generator
    from netdsl.data.plan import DataPlan as DataPlan
    from netdsl.data.resize import CenterCrop as CenterCrop
    from netdsl.data.resize import Resize as Resize
    from netdsl.data.sources import AUGMENTATIONS as AUGMENTATIONS
    from netdsl.data.sources import NORMALIZERS as NORMALIZERS
    from netdsl.data.sources import PREPROCESSING as PREPROCESSING
    from netdsl.data.sources import SETTINGS as SETTINGS
    from netdsl.data.sources import SOURCES as SOURCES
    from netdsl.data.square import Grey as Grey
    from netdsl.data.square import PadToSquare as PadToSquare
    from netdsl.data.step import PreprocessingStep as PreprocessingStep
    from netdsl.data.usage import Meaning as Meaning
    from netdsl.data.usage import Preparation as Preparation
    from netdsl.data.usage import Said as Said
    from netdsl.data.usage import Usage as Usage

__getattr__, __dir__, __all__ = lazy(__name__, __file__)
