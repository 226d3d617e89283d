"""Inference against onnxruntime: the same network and threads, in one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from common import Row, alternate, arguments, row, show

import netdsl
from netdsl.interop.onnx import to_onnx
from netdsl.ops.initializers import initialize
from netdsl.train import restored_program

EXAMPLES = Path(__file__).parent.parent / "examples"
NETWORKS = {  # file, net or preset, batch, rounds
    "lenet5": ("lenet5", None, 1, 8),
    "resnet18": ("resnet", "resnet18", 1, 3),
    "resnet50": ("resnet", "resnet50", 1, 2),
    "mobilenet_v2": ("mobilenet_v2", None, 1, 4),
    "densenet121": ("densenet", "densenet121", 1, 2),
}


def weights_of(network: Any) -> dict[str, Any]:
    graph = network.graph
    return {n.id: initialize(n, 0) for n in (*graph.leaves("param"), *graph.leaves("state"))}


def ours(network: Any, threads: int, image: Any) -> Callable[[], object]:
    program = restored_program(
        network.graph, weights_of(network), network.batch, netdsl.device("cpu", threads=threads)
    )
    return lambda: program.run({"image": image})


def runtime(network: Any, threads: int, image: Any) -> Callable[[], object]:
    """onnxruntime on the same graph, exported by netdsl, with the weights as constants."""
    model = to_onnx(network.graph)
    weights = weights_of(network)
    inputs = [v for v in model.graph.input if v.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    model.graph.initializer.extend(tensors)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings)
    return lambda: session.run(None, {"image": image})


def main() -> None:
    options = arguments(__doc__ or "")
    rows: list[Row] = []
    for name, (file, net, batch, rounds) in NETWORKS.items():
        if options.only not in (None, name):
            continue
        network = netdsl.load(EXAMPLES / f"{file}.net", batch=batch, net=net)
        shape = network.graph["image"].types[0].shape
        image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        contenders = {
            "ours": ours(network, options.threads, image),
            "onnxruntime": runtime(network, options.threads, image),
        }
        rows.append(row(name, batch, options.threads, alternate(contenders, min(rounds, options.rounds))))
    show(rows, options.json)


if __name__ == "__main__":
    main()
