"""The functions of `import netdsl`: load a file, summarise it, compile it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from netdsl.elaborate import Network, elaborate
from netdsl.report import Summary, summarize
from netdsl.syntax.read import read_source

if TYPE_CHECKING:
    from netdsl.runtime import Program


def load(
    path: str | os.PathLike[str],
    *,
    batch: int = 1,
    settings: Mapping[str, str] | None = None,
    net: str | None = None,
) -> Network:
    """The network of a `.net` file, for `batch` samples per run.

    `settings` overrides settings by name, as text in the language (`{"classes": "100"}`); `net` picks one of
    several nets.  Raises NetError with every mistake found.
    """
    return elaborate(read_source(os.fspath(path)), batch, settings, net)


def summary(network: Network) -> Summary:
    """Shapes, parameters and costs of a network, layer by layer; `print` shows the table."""
    from netdsl.ops.rebatch import with_batch

    return summarize(network.name, with_batch(network.graph, 1), network.names)


def compile(  # noqa: A001 - the name of the thing
    network: Network, *, seed: int = 0, threads: int | None = None
) -> Program:
    """A program that predicts `network.batch` samples per run, with freshly initialised weights.

    Inputs and outputs go by their names in the file; auxiliary heads are left out.  Replace weights with
    `Program.set` or `Program.load_state_dict`.
    """
    from netdsl.ops.initializers import initialize
    from netdsl.train import inference_program

    program = inference_program(network.graph, network.batch, threads)
    for name in program.weights:
        program.set(name, initialize(network.graph[name], seed))
    return program
