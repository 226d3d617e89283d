"""Export a network with its weights as an artifact of netdsl or an ONNX model; the file's ending decides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netdsl.arrays import Array
from netdsl.data import Preparation, Said, Usage
from netdsl.elaborate import Network
from netdsl.extras import need
from netdsl.files import atomic_write, obstacle
from netdsl.ir import Graph
from netdsl.passes import Log
from netdsl.passes.dead_code import DeadCode
from netdsl.passes.drop_aux import DropAux
from netdsl.runtime.artifact import Artifact, Model, save_artifact
from netdsl.runtime.fresh import draw_weights
from netdsl.source import Diagnostic, NetError, suggest
from netdsl.train import load_checkpoint
from netdsl.train.meaning import meanings
from netdsl.train.restore import weights_of

ENDINGS = (".netdsl", ".onnx")
_ONNX_LIMIT = 2**31 - 2**20
"""Bytes of weights in one ONNX file: a protocol buffer ends at 2 GiB."""


def check_export(path: Path, graph: Graph) -> None:
    """Raise NetError, before anything is computed, where a network cannot be written to a file of this name."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        near = suggest(ending, ENDINGS) if ending else None
        fix = "an artifact ends in .netdsl, an ONNX model in .onnx"
        if near is not None:
            fix = f"did you mean {path.with_suffix(near)}? {fix}"
        raise _error(f"the ending of {path} does not say what to write", fix)
    if (reason := obstacle(path)) is not None:
        raise NetError(Diagnostic("file", f"cannot write {path}: {reason}"))
    if ending == ".onnx":
        need("onnx", "onnx", f"writing {path}", "output")
        _check_size(graph)


def _check_size(graph: Graph) -> None:
    size = sum(n.types[0].nbytes for kind in ("param", "state") for n in graph.leaves(kind))
    if size > _ONNX_LIMIT:
        raise _error(f"the weights have {size} bytes; an ONNX file holds 2 GiB", "write a .netdsl")


def export(network: Network, path: Path, checkpoint: Path | None = None) -> None:
    """Write a network with the weights of a checkpoint, or those of its initialisers.

    Errors: NetError where they do not fit or ONNX has no counterpart of an op, OSError of the file system.
    """
    check_export(path, network.graph)
    weights, usage = _weights(network, checkpoint)
    if path.suffix.lower() == ".onnx":
        _export_onnx(network.graph, path, weights, usage)
    else:
        plain = None if usage is None else usage.to_json()
        save_artifact(path, Artifact(Model(network.name, str(network.graph), plain), weights))


def _weights(network: Network, checkpoint: Path | None) -> tuple[Mapping[str, Array], Usage | None]:
    if checkpoint is not None:
        loaded = load_checkpoint(checkpoint)
        usage = None if loaded.model.usage is None else Usage.from_json(loaded.model.usage)
        return weights_of(network.graph, loaded.arrays, str(checkpoint)), usage
    leaves = (*network.graph.leaves("param"), *network.graph.leaves("state"))
    inputs = {n.id: Preparation(n.types[0].shape[1:]) for n in network.graph.leaves("input")}
    outputs = {name: Said(meaning) for name, meaning in meanings(network).items()}
    weights: dict[str, Array] = {}
    draw_weights(leaves, 0, weights.__setitem__)
    return weights, Usage(inputs, outputs)


def _export_onnx(graph: Graph, path: Path, weights: Mapping[str, Array], usage: Usage | None) -> None:
    model = inference_model(graph, weights)
    if usage is not None:
        entry = model.metadata_props.add()
        entry.key, entry.value = "netdsl.usage", json.dumps(usage.to_json())
    atomic_write(path, model.SerializeToString())


def inference_model(graph: Graph, weights: Mapping[str, Array]) -> Any:
    """A graph of ops, without what only training has, as an ONNX model; NetError where ONNX lacks an op."""
    from netdsl.interop.onnx import to_onnx

    _check_size(graph)
    log = Log()
    try:
        return to_onnx(DeadCode().run(DropAux().run(graph, log), log), weights)
    except ValueError as error:
        raise _error(str(error), "write a .netdsl") from error


def _error(message: str, fix: str | None = None) -> NetError:
    return NetError(Diagnostic("output", message, fix=fix))
