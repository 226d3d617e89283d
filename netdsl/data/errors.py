"""Errors about data."""

from __future__ import annotations

from netdsl.source import Diagnostic, NetError, Note, Span


def data_error(message: str, *notes: str, fix: str | None = None, span: Span | None = None) -> NetError:
    """Make (not raise) the NetError of one diagnostic with code `data`."""
    return NetError(Diagnostic("data", message, span, notes=tuple(Note(note) for note in notes), fix=fix))
