"""Artifacts: a network and its weights in one file, to run elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netdsl.runtime.container import Array, read_container, write_container


@dataclass(frozen=True)
class Model:
    """A network without its weights, as artifacts and checkpoints have it.

    `graph` is the text of its graph of ops, `usage` what becomes of samples before it sees them and what its
    outputs say, as `netdsl.data.Usage` has it (None: nobody said).
    """

    name: str
    graph: str
    usage: Any = None


@dataclass(frozen=True)
class Artifact:
    """A network and its weights by name."""

    model: Model
    weights: Mapping[str, Array]


def save_artifact(path: Path, artifact: Artifact) -> None:
    """Write an artifact atomically; raises OSError of the file system."""
    write_container(path, "artifact", {"model": artifact.model}, artifact.weights)


def load_artifact(path: Path) -> Artifact:
    """Read an artifact, or a checkpoint as one; raises NetError for any other file."""
    container = read_container(path, "artifact", "checkpoint")
    return Artifact(container.record("model", Model), container.arrays)
