"""`netdsl compile FILE`: compile a network and say what was done."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.backend.registry import find_target
from netdsl.cli.command import Choice, UsageError, command, need_place, option, path
from netdsl.cli.common import (
    BATCH,
    DEVICE,
    EXACT,
    FILE,
    FORMAT,
    NET,
    PRECISION,
    SET,
    THREADS,
    TRAINING,
    Format,
    diagnostics,
    load_network,
    need_no_precision,
    print_json,
    print_page,
    waiting,
    with_precision,
    writing,
)
from netdsl.source import counted

if TYPE_CHECKING:
    from netdsl.backend.target import Target
    from netdsl.elaborate import Network
    from netdsl.ir import Graph
    from netdsl.passes import Hooks
    from netdsl.runtime import Program


class Stage(StrEnum):
    """What `--emit` can show."""

    tree = "tree"
    graph = "graph"
    primitives = "primitives"
    schedule = "schedule"
    kernels = "kernels"
    asm = "asm"


@command(
    FILE,
    SET,
    NET,
    BATCH,
    option(
        "--emit",
        type=Choice(Stage),
        metavar="STAGE",
        help=f"print a stage instead of the report: {', '.join(Stage)}",
    ),
    option(
        "-o",
        "--output",
        dest="out",
        type=path,
        files="*",
        metavar="FILE",
        help="write an artifact (.netdsl) or an ONNX model (.onnx)",
    ),
    option(
        "--weights",
        type=path,
        files="*.safetensors",
        metavar="CHECKPOINT",
        help="trained weights for what -o writes",
    ),
    TRAINING,
    option("--explain", action="store_true", help="what the passes did and refused, and why"),
    option("--print-after", action="append", default=[], metavar="PASS", help="print the graph after a pass"),
    option("--without", action="append", default=[], metavar="PASS", help="skip a pass"),
    option("--check-passes", action="store_true", help="interpret the graph before and after each pass"),
    DEVICE,
    PRECISION,
    EXACT,
    THREADS,
    FORMAT,
)
def app(
    file: Path,
    settings: list[str],
    net: str | None,
    batch: int,
    emit: Stage | None,
    out: Path | None,
    weights: Path | None,
    training: bool,
    explain: bool,
    print_after: list[str],
    without: list[str],
    check_passes: bool,
    device: str,
    precision: str | None,
    exact: bool | None,
    threads: int | None,
    form: Format,
) -> None:
    """Compile a network; print the passes, the kernels, the memory plan and the time."""
    from netdsl.passes import Hooks

    if weights is not None and out is None:
        raise UsageError("--weights is for what -o writes")
    if out is not None and (emit is not None or explain):
        raise UsageError("-o writes a file, --emit and --explain print something else instead")
    if not training:
        need_no_precision(settings)
    need_place(out, "-o")
    with diagnostics(form):
        if emit is Stage.tree:
            print(_tree(file))
            return
        given = with_precision(settings, precision) if training else settings
        network = load_network(file, given, net, batch)
        if out is not None:
            from netdsl.interop.export import check_export

            check_export(out, network.graph)
        if emit is Stage.graph:
            print(network.graph)
            return
        hooks = Hooks(print_after=tuple(print_after), check=check_passes)
        if training:
            target, primitives = _training(network, find_target(device, threads=threads, exact=exact))
        else:
            target = find_target(device, threads=threads, precision=precision, exact=exact)
            primitives = _prediction(network)

        from netdsl import passes
        from netdsl.runtime.room import advising

        manager = (passes.training if training else passes.inference)(target).without(without)
        graph = manager.run(primitives(batch), hooks)
        if emit is Stage.primitives:
            print(graph)
            return
        if explain:
            print_page("\n".join(map(str, hooks.log.events)))
            return
        with advising(batch, lambda n: manager.run(primitives(n)), target, "--batch {} fits"):
            _finish(network, graph, hooks, emit, target, form)
        if out is not None:
            _write(network, out, weights, form)


def _tree(file: Path) -> str:
    from netdsl.syntax.parse import parse
    from netdsl.syntax.read import read_source

    return "\n".join(repr(item) for item in parse(read_source(file)).items)


def _prediction(network: Network) -> Callable[[int], Graph]:
    """What a prediction computes of so many samples, before passes."""
    from netdsl.ops.expand import expand
    from netdsl.ops.rebatch import with_batch

    return lambda samples: expand(with_batch(network.graph, samples))


def _training(network: Network, device: Target[Any]) -> tuple[Target[Any], Callable[[int], Graph]]:
    """What computes a training step, and what it computes of so many samples, before passes."""
    from netdsl.ops.rebatch import with_batch
    from netdsl.source import warn
    from netdsl.train.computer import computer
    from netdsl.train.sections import training_sections
    from netdsl.train.whole_step import step_graph

    sections = training_sections(network)
    for warning in sections.warnings:
        warn(warning)
    objective = sections.network.objective
    assert objective is not None
    target = computer(sections.network, sections.settings, device)
    return target, lambda samples: step_graph(with_batch(objective, samples), sections.settings)


def _finish(
    network: Network,
    graph: Graph,
    hooks: Hooks,
    emit: Stage | None,
    target: Target[Any],
    form: Format,
) -> None:
    from netdsl.runtime import Program

    start = time.perf_counter()
    with waiting("compiling"):
        program = Program(graph, target)
    seconds = time.perf_counter() - start
    if emit is Stage.schedule:
        print("\n".join(f"{k:4}  {step.title}" for k, step in enumerate(program.steps)))
        return
    if emit in (Stage.kernels, Stage.asm):
        if text := program.executable.listing("ir" if emit is Stage.kernels else "asm"):
            print(text)
        return
    facts = _facts(network, graph, hooks, program, seconds)
    if form is Format.json:
        print_json(facts)
    else:
        print_page(_table(facts))


def _write(network: Network, out: Path, weights: Path | None, form: Format) -> None:
    from netdsl.interop.export import export

    with writing(out):
        export(network, out, weights)
    if form is Format.table:
        source = f"with the weights of {weights}" if weights else "not trained: --weights CHECKPOINT for that"
        print(f"written to {out}, {source}")


def _facts(network: Network, graph: Graph, hooks: Hooks, program: Program, seconds: float) -> dict[str, Any]:
    kernels = program.executable.kernels
    return {
        "network": network.name,
        "batch": network.batch,
        "ops": len(network.graph),
        "primitives": len(graph),
        "passes": [
            {"name": t.by, "seconds": round(t.seconds, 4), "before": t.before, "after": t.after}
            for t in hooks.log.timings
        ],
        "steps": len(program.steps),
        "generated_kernels": kernels.count,
        "kernels_from_cache": kernels.cached,
        "weight_bytes": program.footprint.weights,
        "kept_bytes": program.footprint.prepared,
        "arena_bytes": program.footprint.arena,
        "compile_seconds": round(seconds, 3),
    }


def _table(facts: dict[str, Any]) -> str:
    saved = [
        f"{p['name']} {p['before']} -> {p['after']}" for p in facts["passes"] if p["before"] != p["after"]
    ]
    kernels = counted(facts["generated_kernels"], "generated kernel")
    source = "from the cache" if facts["kernels_from_cache"] else "compiled now"
    lines = [
        f"{facts['network']}, batch {facts['batch']}",
        f"  graph    {facts['ops']} ops and leaves, {facts['primitives']} after the passes",
        *(f"           {line}" for line in saved),
        f"  program  {counted(facts['steps'], 'step')}, {kernels} {source}",
        f"  memory   {_mib(facts['weight_bytes'])} weights, {_mib(facts['kept_bytes'])} packed weights, "
        f"{_mib(facts['arena_bytes'])} for one run",
        f"  time     {facts['compile_seconds']:.2f} s",
    ]
    return "\n".join(lines)


def _mib(size: int) -> str:
    return f"{size / 2**20:.2f} MiB"
