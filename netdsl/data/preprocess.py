"""Preprocessing of samples, before augmentation and normalisation: the list.

Steps work on stored samples [n, ...]; those on pictures [n, H, W] or [n, H, W, C] keep their type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.pixels import Pixels
from netdsl.data.step import PreprocessingStep
from netdsl.lazy import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS: Table[type[PreprocessingStep]] = Table(
    {
        "resize": "netdsl.data.resize:Resize",
        "center_crop": "netdsl.data.resize:CenterCrop",
        "pad_to_square": "netdsl.data.square:PadToSquare",
        "grey": "netdsl.data.square:Grey",
        "mel_spectrogram": "netdsl.data.mel:MelSpectrogram",
    }
)
"""What the list `preprocess` may hold."""


def preprocessed(steps: Sequence[PreprocessingStep], images: NDArray[Any], pixels: Pixels) -> NDArray[Any]:
    """Images [n, ...] after all steps; bytes that do not use their range, such as 0 to 16, as floats."""
    if steps and (pixels.white != 255 or any(step.sounds for step in steps)):
        images = images.astype(np.float32)
    for step in steps:
        images = step(images)
    return images


def shape_after(steps: Sequence[PreprocessingStep], sample: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a sample after all steps. Errors: NetError for samples that are no pictures."""
    for step in steps:
        sample = step.shape(sample)
    return sample


def steps_by_input(
    steps: Sequence[PreprocessingStep], samples: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[PreprocessingStep, ...]]:
    """The steps that each input goes through, by the shapes of their samples: those of all that are pictures.

    The only input must be one; of several, those of shape [H, W, C] are. Errors: NetError where there is none.
    """
    pictures = {name for name, shape in samples.items() if len(samples) == 1 or len(shape) == 3}
    if any(step.sounds for step in steps):
        pictures = {
            name for name, shape in samples.items() if len(shape) == 1 or shape[1:] == (1,)
        } or pictures
    if steps and not pictures:
        shapes = ", ".join(f"{name} {list(shape)}" for name, shape in samples.items())
        raise data_error(f"preprocess needs a picture of shape [H, W, C], and there is none: {shapes}")
    return {name: tuple(steps) if name in pictures else () for name in samples}


def steps_by_label(
    steps: Mapping[str, Sequence[PreprocessingStep]],
    samples: Mapping[str, tuple[int, ...]],
    labels: Mapping[str, tuple[int, ...]],
) -> dict[str, tuple[PreprocessingStep, ...]]:
    """The steps that each label goes through, by its shape: masks go along with the picture of their size.

    steps: those of each input; samples: its shape before them.  Errors: NetError for other labels that are maps.
    """
    found: dict[str, tuple[PreprocessingStep, ...]] = {}
    for name, label in labels.items():
        owners = [own for each, own in steps.items() if is_mask(label, samples[each])]
        if len(label) > 1 and not owners and any(steps.values()):
            message = "preprocess changes the size of samples, but not of labels that are maps"
            fix = "masks of the size of the picture change with it"
            raise data_error(f"{message}, {list(label)}", fix=fix)
        moving = owners[0] if owners else ()
        found[name] = tuple(step for step in moving if step.moves)
    return found


def is_mask(label: tuple[int, ...], sample: tuple[int, ...]) -> bool:
    """Whether a label has something for each pixel of a picture."""
    return 2 <= len(label) <= 3 and len(sample) in (2, 3) and label[:2] == sample[:2]


def preprocessed_labels(steps: Sequence[PreprocessingStep], labels: NDArray[Any], fill: int) -> NDArray[Any]:
    """Masks [n, H, W] or [n, H, W, C] that go along; fill: what borders get."""
    for step in steps:
        labels = step.moved(labels, fill)
    return labels


def steps_to_json(steps: Sequence[PreprocessingStep]) -> list[dict[str, Any]]:
    """Plain values; `steps_from_json` reads them back."""
    return [{"step": step.name, **asdict(step)} for step in steps]


def steps_from_json(values: object) -> tuple[PreprocessingStep, ...]:
    """What `steps_to_json` made plain. Errors: ValueError, NetError."""
    if not isinstance(values, list):
        raise ValueError("not a list of steps of preprocessing")
    return tuple(map(_step, values))


def _step(value: Any) -> PreprocessingStep:
    settings = dict(value) if isinstance(value, dict) else {}
    kind = STEPS.get(str(settings.pop("step", None)))
    if kind is None or settings.keys() != {f.name for f in fields(kind)}:
        raise ValueError("not a step of preprocessing")
    return kind(**settings)
