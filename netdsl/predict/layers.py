"""The values of a network's layers by name, those in the middle too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from netdsl import passes
from netdsl.backend.memory import Staged
from netdsl.backend.registry import Device
from netdsl.elaborate.naming import Naming
from netdsl.ir import Graph, Value
from netdsl.ops.expand import expand
from netdsl.runtime import Program
from netdsl.source import Diagnostic, NetError, first_of, suggest

Array = NDArray[Any]


def layers_of(graph: Graph, names: Iterable[Naming] = ()) -> dict[str, Value]:
    """What goes by a name: layers as reports show them, names that the text gives to tensors, and outputs."""
    found = {n.id: Value(n.id) for n in graph if n.op.name not in ("param", "state", "const")}
    found |= {naming.path: naming.value for naming in names if naming.value.node in graph}
    return found | dict(graph.outputs)


def chosen_layers(layers: Mapping[str, Value], wanted: str | Sequence[str]) -> dict[str, Value]:
    """The values of these names. Errors: NetError, with names that are near, for others."""
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    problems = [_unknown(layers, name) for name in names if name not in layers]
    if problems:
        raise NetError(*problems)
    return {name: layers[name] for name in names}


def _unknown(layers: Mapping[str, Value], name: str) -> Diagnostic:
    inside = [layer for layer in layers if layer.rpartition(".")[2] == name]
    near = inside[:3] or [found] if (found := suggest(name, layers)) else inside[:3]
    fix = f"did you mean {' or '.join(near)}?" if near else f"there are {first_of(layers, 8)}"
    return Diagnostic("name", f"no layer or output is called {name}", fix=fix)


class NetworkProgram(Program):
    """A program that predicts, and gives the values of layers when it is asked for them.

    graph: primitives, as `Program` takes them. ops: the graph of ops that they come from. names: those that its text
    gives to tensors.
    """

    def __init__(
        self, graph: Graph, ops: Graph, names: Iterable[Naming] = (), device: Device = "cpu"
    ) -> None:
        super().__init__(graph, device)
        self._ops, self._layers = ops, layers_of(ops, names)
        self._others: dict[tuple[str, ...], Program] = {}

    def run(
        self, feeds: Mapping[str, Array | Staged], outputs: str | Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Feed every input, run once, return every output as a new array; or the values of other `outputs`.

        These are names of layers as reports show them, `conv3` or `stage1.conv2`, names that the text gives to
        tensors, or outputs.  A program of its own is compiled for them at their first run, over the same weights.

        Errors: NetError for names that are not there, and for what auxiliary heads compute; else as in `Program`.
        """
        if outputs is None:
            return super().run(feeds)
        chosen = chosen_layers(self._layers, outputs)
        key = tuple(chosen)
        if key not in self._others:
            self._others[key] = self._compiled(chosen)
        program = self._others[key]
        missing = [name for name in program.inputs if name not in feeds]
        return program.run(feeds if missing else {name: feeds[name] for name in program.inputs})

    def _compiled(self, chosen: Mapping[str, Value]) -> Program:
        # Without outputs first: the name of an auxiliary head would be dropped with it.
        ops = self._ops.with_outputs({}).with_outputs(dict(chosen))
        graph = passes.inference(self.device).run(expand(ops))
        own = [n.id for n in (*graph.leaves("param"), *graph.leaves("state")) if n.id not in self.weights]
        if own:
            message = f"{', '.join(chosen)} takes {own[0]}, which no output of the program depends on"
            raise NetError(Diagnostic("name", message, fix="auxiliary heads are left out of what predicts"))
        return Program(graph, self.device, self)
