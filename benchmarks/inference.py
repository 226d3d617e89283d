"""Inference against onnxruntime, and OpenVINO where it is installed: the same network and threads, in one run."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from common import Row, arguments, row, show

import netdsl
from netdsl.measure.peers import PEERS, onnx_of
from netdsl.measure.subject import prediction
from netdsl.measure.timing import alternate

EXAMPLES = Path(__file__).parent.parent / "examples"
NETWORKS = {  # file, net or preset, batch, rounds
    "lenet5": ("lenet5", None, 1, 8),
    "resnet18": ("resnet", "resnet18", 1, 3),
    "resnet50": ("resnet", "resnet50", 1, 2),
    "vgg16": ("vgg", "vgg16", 1, 2),
    "googlenet": ("googlenet", None, 1, 3),
    "mobilenet_v2": ("mobilenet_v2", None, 1, 4),
    "densenet121": ("densenet", "densenet121", 1, 2),
    "efficientnet_b0": ("efficientnet", "efficientnet_b0", 1, 3),
    "unet": ("unet", None, 1, 1),
    "yolo_v3": ("yolo_v3", None, 1, 1),
}


def contenders_of(name: str, threads: int) -> dict[str, Callable[[], object]]:
    """Ours and the peers that are installed, ready to run."""
    file, net, batch, _ = NETWORKS[name]
    network = netdsl.load(EXAMPLES / f"{file}.net", batch=batch, net=net)
    subject = prediction(network, netdsl.device("cpu", threads=threads))
    found: dict[str, Callable[[], object]] = {"ours": subject.run}
    for peer, make in PEERS.items():
        if find_spec(peer) is not None:
            found[peer] = make(onnx_of(subject, peer), subject.feeds, threads)
    return found


def main() -> None:
    options = arguments(__doc__ or "")
    rows: list[Row] = []
    for name, (_, _, batch, rounds) in NETWORKS.items():
        if options.only not in (None, name):
            continue
        times = alternate(contenders_of(name, options.threads), min(rounds, options.rounds))
        rows.append(row(name, batch, options.threads, times))
    show(rows, options.json)


if __name__ == "__main__":
    main()
