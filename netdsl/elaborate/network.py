"""A whole file made into a network: its graph, its objective, its settings and its claims."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from netdsl.elaborate.apply import Applier
from netdsl.elaborate.budget import PER_NET, Budget, Exhausted
from netdsl.elaborate.claims import Claim, check_claims
from netdsl.elaborate.context import POISON, Context, Frame, Problems, shortened
from netdsl.elaborate.definitions import Definitions, collect
from netdsl.elaborate.expressions import ExpressionEvaluator
from netdsl.elaborate.naming import Naming
from netdsl.elaborate.overrides import COMMAND_LINE, Overrides, Written
from netdsl.elaborate.sections import SectionSetting, objectives, settings_of
from netdsl.elaborate.statements import OUTPUTS, run
from netdsl.ir import Graph, Value
from netdsl.ir.settings import positive
from netdsl.ops.initializers import resolve_initializers
from netdsl.process import deep_recursion, no_collection
from netdsl.source import Diagnostic, NetError, Note, Source, Span, suggest
from netdsl.syntax import tree
from netdsl.syntax.parse import parse


@dataclass(frozen=True)
class Network:
    """What a `.net` file says.

    `graph` is the net alone, with its outputs and `aux` heads, for a batch of `batch` samples.  `objective`, there
    with a train section, has the same nodes and further the outputs `loss` and `metric/NAME` and the inputs that
    they need, such as `label`; `evaluation` is the same with the metrics of the section `eval`, if it has its own.
    `data`, `train` and `eval` are the settings of those sections; `settings` those of
    the net and its named dimensions; `claims` what `expect` says, found to hold; `names` those given to tensors.
    """

    name: str
    source: Source
    batch: int
    graph: Graph
    objective: Graph | None
    evaluation: Graph | None
    data: Mapping[str, SectionSetting]
    train: Mapping[str, SectionSetting]
    eval: Mapping[str, SectionSetting]
    settings: Mapping[str, Any]
    claims: tuple[Claim, ...]
    names: tuple[Naming, ...]


def need_network(value: object, function: str) -> None:
    """Raise TypeError where `function` is given something else, such as the path of a network."""
    if isinstance(value, str | os.PathLike):
        path = str(os.fspath(value))
        raise TypeError(f"{function} takes a network, not a path: netdsl.load({path!r}) reads one")
    if not isinstance(value, Network):
        raise TypeError(f"{function} takes a network, as netdsl.load gives it, not a {type(value).__name__}")


def elaborate(
    source: Source,
    batch: int = 1,
    overrides: Mapping[str, str] | None = None,
    net: str | None = None,
    written: Written = COMMAND_LINE,
) -> Network:
    """The network of a source text.

    `batch` is the number of samples per run, `overrides` maps settings to text (`{"train.epochs": "3"}`), `net`
    picks a preset, or a net where the file has several, and `written` says where these two come from.  Raises
    NetError with every mistake found.
    """
    network, problems = _elaborate(source, batch, overrides, net, Budget(), written)
    if problems:
        raise NetError(*problems)
    return network


def elaborate_each(
    source: Source,
    nets: Iterable[str | None],
    batch: int = 1,
    overrides: Mapping[str, str] | None = None,
) -> Iterator[Network]:
    """Several networks of one source text, which share one budget; see `elaborate`."""
    for found in elaborate_all(source, nets, overrides, batch):
        if isinstance(found, NetError):
            raise found
        yield found


def elaborate_all(
    source: Source,
    nets: Iterable[str | None],
    overrides: Mapping[str, str] | None = None,
    batch: int = 1,
) -> Iterator[Network | NetError]:
    """Like `elaborate_each`, with the mistakes of a network in its place; none follows when the budget is spent."""
    budget = Budget()
    for net in nets:
        try:
            network, problems = _elaborate(source, batch, overrides, net, budget)
        except NetError as error:
            yield error
        else:
            yield NetError(*problems) if problems else network
        if budget.left < 0:
            return


def elaborate_partial(
    source: Source, batch: int = 1, overrides: Mapping[str, str] | None = None, net: str | None = None
) -> tuple[Network, tuple[Diagnostic, ...]]:
    """The network as far as it could be built, and the mistakes; raises NetError when there is no net at all."""
    return _elaborate(source, batch, overrides, net, Budget())


def _elaborate(
    source: Source,
    batch: int,
    overrides: Mapping[str, str] | None,
    net: str | None,
    budget: Budget,
    written: Written = COMMAND_LINE,
) -> tuple[Network, tuple[Diagnostic, ...]]:
    problems = Problems()
    try:
        positive(batch)
    except ValueError as error:
        raise NetError(Diagnostic("setting", f"batch {error}")) from None
    try:
        with no_collection(), deep_recursion():
            file = parse(source)
            budget.spend(PER_NET + len(file.items), file.span)
            home = collect(file, source, budget)
            preset = file.presets.get(net or "")
            chosen = _choose(file, source, None if preset else net, written.choice)
            given = Overrides(overrides or {}, file, chosen, preset, written)
            name = (preset or chosen).name.id
            context = Context(batch, budget, problems)
            network, found = _Elaboration(context, file, home, chosen, source, given, name).result()
            return network, tuple(in_preset(d, preset) for d in found)
    except Exhausted as end:
        last = replace(end.diagnostic, trail=shortened(end.diagnostic.trail))
        raise NetError(*problems.shown(), last) from None
    except RecursionError:
        message = "expressions and blocks are nested too deeply"
        raise NetError(*problems.shown(), Diagnostic("limit", message, Span(source, 0, 0))) from None


def in_preset(problem: Diagnostic, preset: tree.Preset | None) -> Diagnostic:
    """A mistake with a note that names the preset."""
    if preset is None or any(note.span == preset.name.span for note in problem.notes):
        return problem
    note = Note(f"with the settings of the preset {preset.name.id}", preset.name.span)
    return replace(problem, notes=(*problem.notes, note))


def _choose(file: tree.File, source: Source, name: str | None, choice: str) -> tree.Net:
    nets = file.nets
    if not nets:
        message = "there is no net in this file"
        raise NetError(
            Diagnostic("name", message, Span(source, 0, 0), fix="net Name { input ... output ... }")
        )
    if name is not None and name not in nets:
        known = [*nets, *file.presets]
        near = suggest(name, known)
        fix = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
        raise NetError(Diagnostic("name", f"no net or preset is called {name}", fix=fix))
    if name is None and len(nets) > 1:
        message = f"the file has several nets: {', '.join(nets)}"
        raise NetError(
            Diagnostic("name", message, [*nets.values()][1].name.span, fix=f"choose one with {choice}")
        )
    return nets[name] if name is not None else next(iter(nets.values()))


class _Elaboration:
    def __init__(
        self,
        context: Context,
        file: tree.File,
        home: Definitions,
        net: tree.Net,
        source: Source,
        given: Overrides,
        name: str,
    ) -> None:
        self.context, self.file, self.net, self.source, self.given = context, file, net, source, given
        self.name = name
        frame = Frame(home)
        self.evaluator = ExpressionEvaluator(self.context, frame, Applier(self.context, frame))
        self.variables = frame.variables

    def result(self) -> tuple[Network, tuple[Diagnostic, ...]]:
        problems = self.context.problems
        problems.extend(self.given.problems)
        self._settings()
        run(self.evaluator, self.net.body)
        found: Mapping[str, tuple[Value, bool]] = self.variables.get(OUTPUTS, {})
        if not found and not problems:
            message = f"the net {self.net.name.id} has no output"
            problems.append(Diagnostic("name", message, self.net.name.span, fix="output name = ..."))
        outputs = {name: value for name, (value, _) in found.items()}
        aux = [name for name, (_, is_aux) in found.items() if is_aux]
        graph = resolve_initializers(self.context.builder.finish(outputs, aux))
        full: tuple[Graph | None, Graph | None] = None, None
        claims: tuple[Claim, ...] = ()
        if not problems:
            expect = self.file.sections.get("expect")
            entries = (*(expect.entries if expect else ()), *self.given.claims)
            claims = check_claims(self.evaluator, graph, entries)
            full = self._objectives(outputs, aux)
        sections = {
            kind: settings_of(self.evaluator, self.file, kind, self.given.section(kind))
            for kind in ("data", "train", "eval")
        }
        names = self.given.net_names
        settings = {k: v for k, v in self.variables.items() if k in names and v is not POISON}
        network = Network(
            self.name,
            self.source,
            self.context.batch,
            graph,
            *full,
            sections["data"],
            sections["train"],
            sections["eval"],
            settings=settings,
            claims=claims,
            names=tuple(self.context.namings),
        )
        return network, problems.shown()

    def _settings(self) -> None:
        """The settings of the net: overridden, or their defaults."""
        params = {p.name.id for p in self.net.params}
        for name, e in self.given.net_values.items():
            key = name if name in params else f"set {name}"
            self._guarded(key, e)
        for param in self.net.params:
            if param.name.id in self.given.net_values:
                continue
            if param.default is None:
                message = f"the net needs the setting {param.name.id}"
                fix = f"--set {param.name.id}=..."
                self.context.problems.append(Diagnostic("setting", message, param.name.span, fix=fix))
                self.variables[param.name.id] = POISON
            else:
                self._guarded(param.name.id, param.default)

    def _guarded(self, key: str, e: tree.Expr) -> None:
        try:
            self.evaluator.frame.symbols = True
            self.variables[key] = self.evaluator.setting(e, "a setting")
        except NetError as error:
            self.context.problems.extend(error.diagnostics)
            self.variables[key] = POISON
        finally:
            self.evaluator.frame.symbols = False

    def _objectives(
        self, outputs: Mapping[str, Value], aux: list[str]
    ) -> tuple[Graph, Graph] | tuple[None, None]:
        """The graphs to train and to evaluate: the same graph with two sets of metrics."""
        given = {kind: self.given.section(kind) for kind in ("train", "eval")}
        results = objectives(self.evaluator, self.file, given)
        if results is None:
            return None, None
        train, evaluation = results
        # An aux head called loss is part of the loss, so the loss takes its name.
        heads = [name for name in aux if name not in train and name not in evaluation]
        graph = resolve_initializers(self.context.builder.finish({**outputs, **train}, heads))
        return graph, graph.with_outputs({**outputs, **evaluation})
