"""`netdsl run MODEL INPUT`: predict with an artifact or a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from netdsl.cli.command import command, option
from netdsl.cli.common import FORMAT, THREADS, Format, diagnostics, print_json
from netdsl.source import Diagnostic, NetError

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")


@command(
    option("model", type=Path, metavar="MODEL", help="an artifact or a checkpoint"),
    option("inputs", type=Path, metavar="INPUT", help=".npy, .npz (key x) or an image"),
    option("--out", type=Path, metavar="FILE", help=".npz for the outputs"),
    option("--seed", type=int, default=0, metavar="N", help="of dropout with monte_carlo (default: 0)"),
    THREADS,
    FORMAT,
)
def app(model: Path, inputs: Path, out: Path | None, seed: int, threads: int | None, form: Format) -> None:
    """Run a trained network; inputs are `[N, *shape]` or one sample, as stored (0 to 255 for images)."""
    with diagnostics(form):
        outputs = predict(model, inputs, seed, threads)
    if out is not None:
        from netdsl.files import atomic_write

        atomic_write(out, lambda file: np.savez(file, **outputs))
    if form is Format.json:
        print_json({name: array.tolist() for name, array in outputs.items()})
    elif out is None:
        _show(outputs)


def predict(model: Path, inputs: Path, seed: int, threads: int | None) -> dict[str, Any]:
    """The outputs by name; raises NetError."""
    from netdsl.data import Normalization
    from netdsl.primitives.builder import KEY, random_key
    from netdsl.runtime.artifact import load_artifact
    from netdsl.train import restore_graph, restored_program

    artifact = load_artifact(model)
    graph = restore_graph(artifact.graph)
    (leaf,) = graph.leaves("input")
    shape = leaf.types[0].shape[1:]
    x = _read(inputs)
    x = x[None] if x.ndim == len(shape) else x
    if x.ndim == len(shape) and shape[-1] == 1:
        x = x[..., None]
    if x.shape[1:] != shape:
        message = f"{leaf.id} takes [N, {', '.join(map(str, shape))}], {inputs} has {list(x.shape)}"
        raise NetError(Diagnostic("data", message))
    if artifact.normalization is not None:
        x = Normalization.from_json(artifact.normalization)(x)
    program = restored_program(graph, artifact.weights, len(x), threads)
    keys = {KEY: random_key(seed, 0)} if KEY in program.inputs else {}
    return program.run({leaf.id: x, **keys})


def _read(path: Path) -> Any:
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
        return read_npz(path, "x")
    return read_npy(path)


def _show(outputs: dict[str, Any]) -> None:
    for name, array in outputs.items():
        for k, row in enumerate(array.reshape(len(array), -1)[:20]):
            values = " ".join(f"{v:.4g}" for v in row[:12]) + (" ..." if row.size > 12 else "")
            print(f"{name}[{k}] best {int(row.argmax())}: {values}")
