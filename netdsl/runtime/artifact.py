"""Artifacts: a network and its weights in one safetensors file, to run elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from netdsl.files import atomic_write
from netdsl.source import Diagnostic, NetError

FORMAT = "netdsl artifact 1"


@dataclass(frozen=True)
class Artifact:
    """The text of a graph of ops, its weights by name, and how inputs are normalised (None: not at all)."""

    name: str
    graph: str
    weights: Mapping[str, NDArray[Any]]
    normalization: Any = None


def save_artifact(path: Path, artifact: Artifact) -> None:
    """Write an artifact atomically."""
    about = {
        "format": FORMAT,
        "name": artifact.name,
        "graph": artifact.graph,
        "normalization": artifact.normalization,
    }
    arrays = {name: np.ascontiguousarray(a) for name, a in artifact.weights.items()}
    atomic_write(path, save(arrays, {"netdsl": json.dumps(about)}))


def load_artifact(path: Path) -> Artifact:
    """Read an artifact or a checkpoint; raises NetError for any other file."""
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {}).get("netdsl", "null"))
            if not isinstance(about, dict) or not str(about.get("format")).startswith("netdsl "):
                raise NetError(Diagnostic("artifact", f"{path} is neither an artifact nor a checkpoint"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return Artifact(str(about["name"]), str(about["graph"]), arrays, about.get("normalization"))
    except FileNotFoundError:
        raise NetError(Diagnostic("artifact", f"{path} does not exist")) from None
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise NetError(Diagnostic("artifact", f"{path} cannot be read: {error}")) from None
