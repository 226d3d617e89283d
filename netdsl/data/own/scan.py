"""Look at many files before training: what they hold, and which of them are broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from netdsl.data.errors import data_error
from netdsl.data.parallel import default_workers, ordered
from netdsl.elaborate.values import shown
from netdsl.source import NetError, brief, counted

H = TypeVar("H")
H_co = TypeVar("H_co", covariant=True)
T = TypeVar("T")

BROKEN = ("refuse", "skip")
_NAMED = 5


@dataclass(frozen=True)
class Scanned(Generic[H_co]):
    """Files by their numbers in the list that was looked at, what each holds, and what is wrong with the others."""

    kept: tuple[int, ...]
    headers: tuple[H_co, ...]
    skipped: tuple[str, ...]

    def of(self, listed: Sequence[T]) -> list[T]:
        """Those entries of a list that belong to the files that were kept."""
        return [listed[k] for k in self.kept]


def scan(files: Sequence[T], look: Callable[[T], H], broken: str, where: str, noun: str) -> Scanned[H]:
    """What `look` finds in each file, by several threads; with `skip` broken ones are left out.

    `where` names all of them in messages, and `noun` what one is. Errors: NetError for broken files with `refuse`,
    or when none is left.
    """
    kept, headers, skipped = list[int](), list[H](), list[str]()
    for number, found in enumerate(ordered(lambda file: _tried(look, file), files, default_workers(), 256)):
        if isinstance(found, NetError):
            skipped.append(found.diagnostics[0].message)
            if len(files) == 1:
                raise found
        else:
            kept.append(number)
            headers.append(found)
    if skipped and (broken == "refuse" or not kept):
        raise _broken(skipped, len(files), where, noun)
    return Scanned(tuple(kept), tuple(headers), tuple(skipped))


@contextmanager
def advised() -> Iterator[None]:
    """Say how to leave out what turns out to be broken while training."""
    try:
        yield
    except NetError as error:
        fix = 'broken = "skip" decodes every file before training and leaves such ones out'
        raise NetError(*(replace(d, fix=d.fix or fix) for d in error.diagnostics)) from error


def check_broken(value: object) -> None:
    """Check a value of the setting `broken`. Errors: NetError."""
    if value not in BROKEN:
        raise data_error(f'broken is "refuse" or "skip", not {brief(shown(value))}')


def _tried(look: Callable[[T], H], file: T) -> H | NetError:
    try:
        return look(file)
    except NetError as error:
        return error


def _broken(messages: Sequence[str], count: int, where: str, noun: str) -> NetError:
    more = [f"and {len(messages) - _NAMED:,} more"] if len(messages) > _NAMED else []
    message = f"{len(messages):,} of {counted(count, noun)} in {where} cannot be read"
    fix = 'broken = "skip" leaves them out' if len(messages) < count else None
    return data_error(message, *messages[:_NAMED], *more, fix=fix)
