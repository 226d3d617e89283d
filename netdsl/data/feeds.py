"""The inputs, targets and weights that a network takes of each sample, and the array of a data set for each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from netdsl.data.dataset import LABELS, SAMPLES
from netdsl.data.errors import data_error
from netdsl.data.outline import ArrayOutline, Outline
from netdsl.source import Diagnostic, NetError, Note, Span, suggest


class Kind(Enum):
    """What is fed: an input of the network, or a target or a weight of its losses and metrics."""

    INPUT = "input"
    TARGET = "target"
    WEIGHT = "weight"


@dataclass(frozen=True)
class Feed:
    """Something that a network, its losses and metrics take by name.

    shape: of one sample; None: as the data has it.  integers: whether it takes whole numbers, int64, or float32.
    span: where it is named first.  ignored: the class number that no loss and no metric counts, if there is one.
    classes: how many classes the loss tells apart, where it takes class numbers.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...] | None = None
    integers: bool = False
    span: Span | None = None
    ignored: int | None = None
    classes: int | None = None


def matched(feeds: Sequence[Feed], arrays: Collection[str]) -> dict[str, str]:
    """The array of a data set that feeds each: the one of its name.

    If a data set has only `image` or `x` and `label` or `y`, these feed the only input and the only target, whatever
    their names.  Arrays that are not taken are ignored.

    Errors: NetError for what has no array.
    """
    missing = [feed for feed in feeds if feed.name not in arrays]
    if not missing:
        return {feed.name: feed.name for feed in feeds}
    sample, label = ([name for name in names if name in arrays] for names in (SAMPLES, LABELS))
    if len(sample) != 1 or len(label) > 1 or len(arrays) > len(sample) + len(label):
        raise _no_array(missing, feeds, arrays)
    inputs = [feed for feed in feeds if feed.kind is Kind.INPUT]
    others = [feed for feed in feeds if feed.kind is not Kind.INPUT]
    if len(inputs) == 1 and len(others) > 1:
        raise _two_labels(others, label)
    if len(inputs) != 1 or (others and not label):
        raise _no_pair(inputs, feeds, arrays)
    return {inputs[0].name: sample[0], **{feed.name: label[0] for feed in others}}


def inputs_of(feeds: Sequence[Feed]) -> list[str]:
    """The names of the inputs."""
    return [feed.name for feed in feeds if feed.kind is Kind.INPUT]


def own_feeds(arrays: Mapping[str, tuple[tuple[int, ...], bool]]) -> tuple[Feed, ...]:
    """The feeds of a data set without a network: every array under its own name, the first as the input."""
    first, *others = arrays
    targets = (Feed(name, Kind.TARGET, integers=arrays[name][1]) for name in others)
    return (Feed(first, Kind.INPUT), *targets)


def fed(outline: Outline, feeds: Sequence[Feed]) -> Outline:
    """The outline of a set with its arrays under the names of what they feed; all of it, and nothing else."""
    arrays: dict[str, ArrayOutline] = {}
    for name, array in matched(feeds, outline.arrays).items():
        arrays[name] = outline.arrays[array]
    return Outline(outline.count, arrays)


def _no_array(missing: Sequence[Feed], feeds: Sequence[Feed], arrays: Collection[str]) -> NetError:
    found = []
    left = sorted(set(arrays) - {feed.name for feed in feeds})
    for feed in missing:
        near = suggest(feed.name, left)
        fix = f"did you mean {near}?" if near else f"its arrays: {', '.join(arrays)}"
        message = f"the data set has no array {feed.name}, which the network takes as {_words(feed)}"
        notes = () if feed.span is None else (Note(f"{feed.name} is named here", feed.span),)
        found.append(Diagnostic("data", message, notes=notes, fix=fix))
    return NetError(*found)


def _words(feed: Feed) -> str:
    return {Kind.INPUT: "an input", Kind.TARGET: "a target", Kind.WEIGHT: "weights of samples"}[feed.kind]


def _two_labels(targets: Sequence[Feed], label: Sequence[str]) -> NetError:
    """The first target is right, or the one that is called as the label of the data set is."""
    first, second = sorted(targets[:2], key=lambda feed: feed.name not in label)
    message = f"a data set has one label for a sample; {first.name} and {second.name} are two"
    notes = () if first.span is None else (Note(f"{first.name} is named here", first.span),)
    near = suggest(second.name, [first.name])
    fix = f"a loss and its metrics take the same label: {first.name}"
    return NetError(
        Diagnostic(
            "data", message, second.span, notes=notes, fix=f"did you mean {first.name}?" if near else fix
        )
    )


def _no_pair(inputs: Sequence[Feed], feeds: Sequence[Feed], arrays: Collection[str]) -> NetError:
    names = ", ".join(feed.name for feed in feeds)
    held = "one sample and one label" if len(arrays) > 1 else "one sample and no label"
    fix = 'npz("file.npz", left = "a", right = "b", label = "t") names arrays; from_mapping does so in Python'
    if len(arrays) == 1 and len(inputs) == 1:
        fix = 'csv and images have labels by label = "COLUMN", folder and wav by a folder for each class'
    error = data_error(f"the data set has {held}; the network takes {names}", fix=fix)
    return NetError(error.diagnostics[0].at(inputs[1].span if len(inputs) > 1 else None))
