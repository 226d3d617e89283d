"""`netdsl run MODEL INPUT`: predict with an artifact or a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from netdsl.cli.command import command, option
from netdsl.cli.common import DEVICE, FORMAT, THREADS, Format, diagnostics, need_device, print_json, writing
from netdsl.ir import Node
from netdsl.source import Diagnostic, NetError

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")


@command(
    option("model", type=Path, metavar="MODEL", help="an artifact or a checkpoint"),
    option(
        "inputs",
        type=Path,
        metavar="INPUT",
        help=".npy, an image, or .npz (key x, or the inputs' names)",
    ),
    option("--out", type=Path, metavar="FILE", help=".npz for the outputs"),
    option("--seed", type=int, default=0, metavar="N", help="of dropout with monte_carlo (default: 0)"),
    DEVICE,
    THREADS,
    FORMAT,
)
def app(
    model: Path, inputs: Path, out: Path | None, seed: int, device: str, threads: int | None, form: Format
) -> None:
    """Run a trained network; inputs are `[N, *shape]` or one sample, as stored (0 to 255 for images)."""
    with diagnostics(form):
        need_device(device)
        outputs = predict(model, inputs, seed, threads)
    if out is not None:
        from netdsl.files import atomic_write

        with writing(out):
            atomic_write(out, lambda file: np.savez(file, **outputs))
    if form is Format.json:
        print_json({name: _plain(array) for name, array in outputs.items()})
    elif out is None:
        _show(outputs)


def predict(model: Path, inputs: Path, seed: int, threads: int | None) -> dict[str, Any]:
    """The outputs by name; raises NetError."""
    from netdsl.data import Normalization
    from netdsl.primitives.builder import KEY, random_key
    from netdsl.runtime.artifact import load_artifact
    from netdsl.train import restore_graph, restored_program

    artifact = load_artifact(model)
    graph = restore_graph(artifact.model, model)
    leaves = tuple(graph.leaves("input"))
    if len(leaves) > 1 and inputs.suffix != ".npz":
        names = ", ".join(leaf.id for leaf in leaves)
        raise NetError(
            Diagnostic("data", f"the network takes {names}: an .npz file with arrays of these names")
        )
    feeds = {leaf.id: _fitted(leaf, inputs, leaf.id if len(leaves) > 1 else "x") for leaf in leaves}
    if artifact.model.normalization is not None:
        normalize = Normalization.from_json(artifact.model.normalization)
        feeds = {name: normalize(x) for name, x in feeds.items()}
    counts = {len(x) for x in feeds.values()}
    if len(counts) > 1:
        shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in feeds.items())
        raise NetError(Diagnostic("data", f"the inputs have different numbers of samples: {shapes}"))
    program = restored_program(graph, artifact.weights, counts.pop(), threads)
    keys = {KEY: random_key(seed, 0)} if KEY in program.inputs else {}
    return program.run({**feeds, **keys})


def _fitted(leaf: Node, path: Path, key: str) -> Any:
    """What an input is fed, with a batch axis and an axis for one channel where the file leaves them out."""
    shape = leaf.types[0].shape[1:]
    x = _read(path, key)
    x = x[None] if x.ndim == len(shape) else x
    if x.ndim == len(shape) and shape[-1:] == (1,):
        x = x[..., None]
    if x.shape[1:] != shape:
        message = f"{leaf.id} takes [{', '.join(map(str, ('N', *shape)))}], {path} has {list(x.shape)}"
        raise NetError(Diagnostic("data", message))
    return x


def _plain(array: Any) -> Any:
    """Lists of numbers; JSON has no numbers that are not finite, which become null."""
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    return plain.tolist()


def _read(path: Path, key: str) -> Any:
    from netdsl.data.npy import read_npy, read_npz

    if path.suffix.lower() in IMAGES:
        try:
            from PIL import Image
        except ImportError:
            fix = 'pip install "netdsl[image]"'
            raise NetError(Diagnostic("data", "reading images needs Pillow", fix=fix)) from None
        array = np.asarray(Image.open(path))
        return array[..., None] if array.ndim == 2 else array
    if path.suffix == ".npz":
        return read_npz(path, key)
    return read_npy(path)


def _show(outputs: dict[str, Any]) -> None:
    for name, array in outputs.items():
        for k, row in enumerate(array.reshape(len(array), -1)[:20]):
            values = " ".join(f"{v:.4g}" for v in row[:12]) + (" ..." if row.size > 12 else "")
            print(f"{name}[{k}] best {int(row.argmax())}: {values}")
