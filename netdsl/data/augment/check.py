"""Which changes fit which samples and labels: said before anything is computed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from netdsl.data.augment.change import Change, Size
from netdsl.data.augment.choose import flattened
from netdsl.data.augment.elastic import Elastic
from netdsl.data.augment.geometry import Geometry, Shift
from netdsl.data.augment.heard import Sound, of_sounds
from netdsl.data.augment.look import Look
from netdsl.data.augment.mix import Mix, Mixup
from netdsl.data.augment.ways import Label, Way, label_of
from netdsl.data.errors import data_error
from netdsl.data.feeds import Feed, Kind
from netdsl.data.outline import ArrayOutline, Outline
from netdsl.source import NetError

Shape = tuple[int, ...]


def check_augment(
    changes: Sequence[Change],
    feeds: Sequence[Feed],
    arrays: Mapping[str, ArrayOutline],
    boxes: Collection[str] = (),
) -> dict[str, Label]:
    """How each target moves, by name, when samples are changed; arrays: what the feeds take, by their names.

    Errors: NetError for inputs that cannot be changed so, and labels of which nobody knows what becomes of them.
    What the outlines do not tell passes.
    """
    samples = [arrays[feed.name].shape for feed in feeds if feed.kind is Kind.INPUT]
    pictures = [shape for shape in samples if len(shape) == 3]
    targets = [feed for feed in feeds if feed.kind is Kind.TARGET]
    _check_boxes(boxes, {f.name: arrays[f.name].shape for f in targets})
    labels = {f.name: label_of(f, arrays[f.name], pictures, boxes) for f in targets}
    listed = tuple(flattened(changes))
    if of_sounds(listed, bool(pictures)):
        _check_sounds(listed, samples)
    else:
        _check_sides(changes, pictures)
    for change in listed:
        if isinstance(change, Look):
            _check_look(change, pictures)
        if isinstance(change, Mix):
            _check_mix(change, changes, labels)
        if isinstance(change, Geometry) and not change.keep_labels and pictures:
            for name, label in labels.items():
                if label.way is Way.UNKNOWN:
                    raise _unknown(change.name, arrays[name].label)
                if label.way is Way.BOXES and isinstance(change, Elastic):
                    raise data_error(
                        f"elastic bends the sides of the boxes {name}: what is around them then is not known",
                        fix="elastic(keep_labels = true) leaves them as they are",
                    )
    return labels


def augmented_outline(
    outline: Outline, changes: Sequence[Change], feeds: Sequence[Feed], boxes: Collection[str] = ()
) -> Outline:
    """The outline of a set, as its feeds take it, after all changes: pictures, and the labels that move with them."""
    arrays = dict(outline.arrays)
    pictures = [
        arrays[f.name].shape for f in feeds if f.kind is Kind.INPUT and len(arrays[f.name].shape) == 3
    ]
    for feed in feeds:
        array = arrays[feed.name]
        moves = feed.kind is Kind.TARGET and label_of(feed, array, pictures, boxes).way in (
            Way.CELLS,
            Way.VALUES,
        )
        if moves or (feed.kind is Kind.INPUT and len(array.shape) == 3):
            size = _size_after(changes, (array.shape[0], array.shape[1]), keep=moves)
            arrays[feed.name] = replace(array, shape=(*size, *array.shape[2:]))
    return replace(outline, arrays=arrays)


def check_white(changes: Sequence[Change], whites: Iterable[float | None]) -> None:
    """Check that full intensity is known where changes of appearance need it. Errors: NetError."""
    look = next((change for change in flattened(changes) if isinstance(change, Look)), None)
    if look is not None and None in whites:
        message = f"{look.name} needs to know which number is white, and these samples are no pixels"
        raise data_error(message, fix="pixels are bytes, or floats from 0 to 1")


def _check_boxes(boxes: Collection[str], targets: Mapping[str, Shape]) -> None:
    """Check that what is named as boxes are targets that may be some. Errors: NetError."""
    for name in boxes:
        if name not in targets:
            fix = f"targets: {', '.join(targets)}" if targets else None
            raise data_error(f"boxes names {name}, which is no target of the losses and metrics", fix=fix)
        if targets[name][-1:] != (4,):
            raise data_error(f"boxes are [..., 4], x1, y1, x2, y2, and {name} is {list(targets[name])}")


def _check_sounds(listed: Sequence[Change], samples: Sequence[Shape]) -> None:
    """Check that all changes are for sounds or their spectra, and that samples are what each of them takes."""
    sound = next((change for change in listed if isinstance(change, Sound)), None)
    for change in listed:
        if not isinstance(change, Sound | Shift | Mixup):
            if sound is None:
                raise not_images(change.name, samples[0])
            raise data_error(
                f"{change.name} changes pictures and {sound.name} sounds: a list is for one of them"
            )
        for shape in samples:
            sounds = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
            spectra = len(shape) == 2 or (len(shape) == 3 and shape[2] == 1)
            if isinstance(change, Sound) and not ((sounds and change.sounds) or (spectra and change.spectra)):
                wanted = ["sounds [T] or [T, 1]"] * change.sounds
                wanted += ["spectra [frames, bands] or [frames, bands, 1]"] * change.spectra
                raise data_error(f"{change.name} needs {', or '.join(wanted)}, not {list(shape)}")
            if isinstance(change, Shift) and not sounds and not spectra:
                raise not_images(change.name, shape)
            sides = shape[:1] if sounds or isinstance(change, Shift) else shape[:2]
            change.check_sides(sides)


def _check_sides(changes: Sequence[Change], pictures: Sequence[Shape]) -> None:
    """Check that each change leaves something of every picture, in the size that it has by then. Errors: NetError."""
    for height, width, _ in pictures:
        size = height, width
        for change in changes:
            for part in flattened([change]):
                part.check_sides(size)
            if isinstance(change, Geometry):
                size = change.size(size)


def _check_look(change: Look, pictures: Sequence[Shape]) -> None:
    for shape in pictures:
        if change.colours and shape[2] != 3:
            raise data_error(
                f"{change.name} needs pictures [H, W, 3] of red, green and blue, not {list(shape)}"
            )


def _check_mix(change: Mix, changes: Sequence[Change], labels: Mapping[str, Label]) -> None:
    last = changes[list(changes).index(change) :]
    if not all(isinstance(other, Mix) for other in last):
        other = next(other for other in last if not isinstance(other, Mix))
        raise data_error(
            f"{change.name} mixes samples that are done: {other.name} stands behind it",
            fix=f"put {change.name} last",
        )
    for name, label in labels.items():
        if label.way not in change.mixes:
            what = {Way.CELLS: "classes of pixels, of which there are no shares", Way.BOXES: "boxes"}[
                label.way
            ]
            raise data_error(f"{change.name} cannot mix the labels {name}: they are {what}")


def _size_after(changes: Sequence[Change], size: Size, keep: bool) -> Size:
    """The size of a picture after all changes, or of a label, whose geometry may be kept."""
    for change in changes:
        if isinstance(change, Geometry) and not (keep and change.keep_labels):
            size = change.size(size)
    return size


def not_images(name: str, sample: Shape) -> NetError:
    """The error for a change of pictures that is given something else."""
    return data_error(f"{name} needs images of shape [H, W, C], not {list(sample)}")


def _unknown(name: str, label: Shape) -> NetError:
    what = f"labels of shape {list(label)}" if label else "labels that are numbers"
    return data_error(
        f"{name} moves the images, but what that does to {what} is not known",
        "classes stay, maps of the size of the image move with it, and so do the arrays that `boxes` names",
        fix=f"{name}(keep_labels = true) where moving the image does not change its labels",
    )
