"""What is missing or doubtful in a section `data`, and what to write there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from netdsl.data.locate import check_present
from netdsl.data.sources import SOURCES, DataSource, NamedSource
from netdsl.source import Diagnostic, Mistakes, Span


def advice(name: str, sources: Mapping[str, DataSource], has_validation: bool) -> str:
    """How a set that is missing is given: of the kind of the others."""
    if name == "validation":
        return "set data.validation, for example to 0.1"
    other = next(iter(sources.values()), None)
    kind = type(other).__name__.lower()
    if isinstance(other, NamedSource):
        fix = f"add: {name} = {other.dataset}.{name}"
    elif other is None:
        fix = f"add: {name} = mnist.{name}"
    else:
        fix = f"add: {name} = {kind}(...)" if kind in SOURCES else f"give it as {name}, as the other sets"
    return f"{fix}; or take the validation set: --on validation" if name == "test" and has_validation else fix


def doubts(
    sources: Mapping[str, DataSource], place: Callable[[str], Span | None], idle: Iterable[str]
) -> tuple[Diagnostic, ...]:
    """Warnings about sets that are the same as the training set, and `idle` arrays of it that feed nothing."""
    message = "the {} set is the training set: its values say nothing of samples that were not trained on"
    found = [
        Diagnostic("data", message.format(name), place(name), severity="warning")
        for name in ("validation", "test")
        if name in sources and sources[name] == sources.get("train")
    ]
    for name in idle:
        text = f"nothing takes the array {name} of the training set"
        found.append(Diagnostic("data", text, place("train"), severity="warning"))
    return tuple(found)


def missing(sources: Iterable[DataSource]) -> tuple[Diagnostic, ...]:
    """The known data sets among the sources that this machine does not have, each once."""
    problems = Mistakes()
    for source in sources:
        with problems.at():
            if isinstance(source, NamedSource):
                check_present(source.dataset)
    return tuple(problems.found)
