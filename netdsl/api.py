"""The functions of `import netdsl`: load a file, summarise it, compile it, run what was trained."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl import elaborate
from netdsl.arrays import Array
from netdsl.elaborate import need_network
from netdsl.elaborate.overrides import IN_PYTHON
from netdsl.report import summarize
from netdsl.source import Diagnostic, Mistakes, NetError
from netdsl.syntax.read import read_source

if TYPE_CHECKING:
    from netdsl.backend.registry import Device
    from netdsl.backend.target import Target
    from netdsl.ir import Graph
    from netdsl.predict import Ensemble, Trained
    from netdsl.predict.layers import NetworkProgram
    from netdsl.report.notebook import ShownSummary
    from netdsl.runtime import Gradient, Program


class Network(elaborate.Network):
    """What a `.net` file says, and what can be done with it; `load` gives it."""

    def gradient(
        self,
        of: str | None = None,
        wrt: str | Sequence[str] = "weights",
        *,
        training: bool = False,
        seed: int = 0,
        device: Device | None = None,
        threads: int | None = None,
        share: Program | None = None,
    ) -> Gradient:
        """A program that computes a value and its gradients, and updates nothing.

        `of` is what `train { loss = ... }` could say: a loss, or an output or another named tensor; None is that loss
        itself.  `wrt` names inputs, and weights that learn, one or several, by name, layer or pattern; "weights" are
        all of them.  In `training` batch norms use the statistics of the batch, and dropout drops.  Weights are
        freshly initialised with `seed`, or those of another program, `share`, such as `Trainer.program`.
        It runs on `device`: by default that of `share`, else the CPU.
        Raises NetError for what does not fit.
        """
        from netdsl.backend.registry import find_target
        from netdsl.elaborate.added import add_to_network
        from netdsl.runtime import Gradient, Program
        from netdsl.runtime.fresh import draw_weights
        from netdsl.train.inputs import label_check

        if of is None and self.objective is None:
            fix = 'gradient("cross_entropy(logits, label)"), or a section train with a loss'
            raise NetError(Diagnostic("gradient", f"{self.name} has no loss", fix=fix))
        if not isinstance(of, str | None):
            raise TypeError(f'of is text, such as "logits[3]", not a {type(of).__name__}')
        if not isinstance(share, Program | None):
            hint = "Trainer.program, or what netdsl.compile gives"
            raise TypeError(f"share is a program, such as {hint}, not a {type(share).__name__}")
        if not isinstance(training, bool):
            raise TypeError(f"training is True or False, not {training!r}")
        if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
            raise TypeError(f"seed is a whole number, not {seed!r}")
        wanted = "loss" if of is None else of
        graph = add_to_network(self, wanted, "of")
        target = find_target(device or (share.device if share else "cpu"), threads=threads)
        check = label_check(graph, {n.id for n in self.graph.leaves("input")})
        gradient = Gradient(graph, "of", wrt, wanted, training, target, share, check)
        if share is None:
            draw_weights((graph[name] for name in gradient.state_dict()), seed, gradient.set)
        return gradient


def load(
    path: str | os.PathLike[str],
    *,
    batch: int = 1,
    settings: Mapping[str, Any] | None = None,
    net: str | None = None,
) -> Network:
    """The network of a `.net` file, for `batch` samples per run.

    `settings` overrides settings by name: numbers, True and False, lists of them, None for `none`, and anything else
    as text in the language (`{"train.epochs": 3, "train.optimizer": "sgd(momentum = 0.9)"}`); `net` picks one of
    several nets.  Raises NetError with every mistake found, TypeError for other values.
    """
    given = {name: _written(name, value) for name, value in (settings or {}).items()}
    network = Network(**vars(elaborate.elaborate(read_source(os.fspath(path)), batch, given, net, IN_PYTHON)))
    _check_sections(network, given)
    return network


def _check_sections(network: Network, given: Collection[str]) -> None:
    """Check the values of the sections that settings are given for, as a training does; raises NetError."""
    kinds = {name.partition(".")[0] for name in given if "." in name}
    problems = Mistakes()
    if kinds:
        from netdsl.train.data_settings import data_plan
        from netdsl.train.settings import train_settings

        with problems.at():
            if kinds & {"train", "eval"}:
                train_settings(network)
        with problems.at():
            if "data" in kinds:
                data_plan(network, 0)
    problems.done()


def _written(name: str, value: Any) -> str:
    """A Python value as text of the language."""
    if isinstance(value, str):
        return value
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_written(name, v) for v in value)}]"
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return repr(float(value))
    kinds = "a finite number, True, False, None, a list of them, or text in the language"
    raise TypeError(f"the setting {name} is {value!r}, a {type(value).__name__}; {kinds} belongs there")


def summary(network: Network) -> ShownSummary:
    """Shapes, parameters and costs of a network, layer by layer; `print` shows the table."""
    from netdsl.ops.rebatch import with_batch
    from netdsl.report.notebook import shown_summary

    need_network(network, "netdsl.summary")
    return shown_summary(summarize(network.name, with_batch(network.graph, 1), network.names))


def compile(  # noqa: A001 - the name of the thing
    network: Network, *, seed: int = 0, device: Device = "cpu", threads: int | None = None
) -> NetworkProgram:
    """A program that predicts `network.batch` samples per run, with freshly initialised weights.

    Inputs and outputs go by their names in the file; auxiliary heads are left out.  `run(feeds, outputs=["conv3"])`
    gives the values of layers.  Replace weights with `set` or `load_state_dict`.  It runs on `device`, by name or as
    `netdsl.device` gives it; `threads` is the option of the CPU, for short.
    """
    from netdsl.backend.registry import find_target
    from netdsl.ops.rebatch import with_batch
    from netdsl.predict.layers import NetworkProgram
    from netdsl.runtime.fresh import draw_weights
    from netdsl.runtime.room import advising
    from netdsl.train.restore import inference_graph

    need_network(network, "netdsl.compile")
    target, ops = find_target(device, threads=threads), with_batch(network.graph, network.batch)

    def make(samples: int) -> Graph:
        return inference_graph(ops, samples, target)

    with advising(network.batch, make, target, "netdsl.load(..., batch={}) fits"):
        program = NetworkProgram(make(network.batch), ops, network.names, target)
    draw_weights((network.graph[name] for name in program.weights), seed, program.set)
    return program


def device(name: str = "cpu", **options: Any) -> Target[Any]:
    """A device to compute on, with options: `device("cpu", threads=2)`, `device("cuda:1")`.

    Raises NetError for a device that is not there, and for an option that it does not have.
    """
    from netdsl.backend.registry import find_target

    return find_target(name, **options)


def restore(path: str | os.PathLike[str]) -> Trained:
    """The trained network of a checkpoint or an artifact; `run` computes its outputs for arrays.

    Raises NetError for a file that is neither.
    """
    from netdsl.predict import load_trained

    return load_trained(Path(path))


def ensemble(*paths: str | os.PathLike[str]) -> Ensemble:
    """Several trained networks that answer together, by the mean of their probabilities; `run` computes it.

    A path is a checkpoint, an artifact, or the folder of a run, which stands for its snapshots if it has some, else
    for its best checkpoint.  Raises NetError for other files, and for networks that do not fit each other.
    """
    from netdsl.predict import load_models
    from netdsl.train.folder import models_of

    if not paths:
        raise NetError(
            Diagnostic("checkpoint", "an ensemble has at least one network", fix='ensemble("runs/a")')
        )
    return load_models([model for path in paths for model in models_of(Path(path))])


def load_weights(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The weights and statistics of a file by name, float32, in the file's own layout and order.

    It may be a checkpoint or an artifact of netdsl, safetensors, or a PyTorch state dict, which is read without
    running what is in it; slots of optimisers and arrays of whole numbers are left out.  Raises NetError for any
    other file, and a damaged one.
    """
    from netdsl.runtime.weight_file import open_weights

    file = open_weights(Path(path))
    return file.read(file.shapes)
