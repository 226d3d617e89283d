"""`netdsl run MODEL INPUT...`: predict with an artifact or a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from netdsl.backend.registry import find_target
from netdsl.cli.command import at_least_1, command, need_place, option, path
from netdsl.cli.common import (
    DEVICE,
    EXACT,
    FORMAT,
    PRECISION,
    THREADS,
    Format,
    diagnostics,
    fail,
    print_json,
    print_page,
    writing,
)
from netdsl.cli.sweeps import need_no_sweep
from netdsl.terminal import terminal_width


@command(
    option(
        "model",
        type=path,
        files="*",
        metavar="MODEL",
        help="an artifact, a checkpoint, or the folder of a run or of folds",
    ),
    option(
        "inputs",
        type=path,
        nargs="+",
        files="*",
        metavar="INPUT",
        help="pictures, sounds, folders of them, .csv, .npy, or .npz and .zarr (an array for each input)",
    ),
    option(
        "--out",
        type=path,
        files="*",
        metavar="FILE",
        help="write the outputs: .npz, .npy, .json, .csv for tables, .png or .jpg for pictures",
    ),
    option(
        "--with",
        dest="others",
        type=path,
        nargs="+",
        default=[],
        files="*",
        metavar="MODEL",
        help="more models: the mean of all predictions is taken",
    ),
    option("--resize", action="store_true", help="resize and cut pictures of another size"),
    option("--top", type=at_least_1, default=5, metavar="N", help="how many classes to print (default: 5)"),
    option("--seed", type=int, default=0, metavar="N", help="of dropout with monte_carlo (default: 0)"),
    DEVICE,
    PRECISION,
    EXACT,
    THREADS,
    FORMAT,
)
def app(
    model: Path,
    inputs: list[Path],
    others: list[Path],
    out: Path | None,
    resize: bool,
    top: int,
    seed: int,
    device: str,
    precision: str | None,
    exact: bool | None,
    threads: int | None,
    form: Format,
) -> None:
    """Run a trained network on pictures or arrays, as stored: 0 to 255 for bytes, whatever it was trained on.

    Arrays are `[N, *shape]` or one sample; tables, lists and sounds are read as in training.  What cannot be read is
    told at the end, exit status 1.  The folder of a run stands for its snapshots, whose predictions are averaged,
    else for its best checkpoint; that of folds for those of all of them.
    """
    from netdsl.predict import Destination, answers, load_models
    from netdsl.predict.text import as_json, lines
    from netdsl.train.folder import models_of

    need_place(out, "--out")

    def typed(run: str, net: str | None, settings: Mapping[str, str]) -> list[str]:
        return ["netdsl", "run", run, *map(str, inputs)]

    with diagnostics(form):
        need_no_sweep((model, *others), typed)
        computer = find_target(device, threads=threads, precision=precision, exact=exact)
        models = load_models([file for path in (model, *others) for file in models_of(path)])
        target = None if out is None else Destination(out, models.outputs, models.usage)
        outputs, samples = models.predict(inputs, resize, seed, computer)
        found = answers(outputs, models.usage, top)
        if target is not None:
            titles = [samples.title(k) for k in range(len(samples))]
            with writing(target.path):
                written = target.write(outputs, titles, lambda: json.dumps(as_json(outputs, found, samples)))
    if form is Format.json:
        print_json(as_json(outputs, found, samples))
    elif target is not None:
        print(f"written to {', '.join(map(str, written))}")
    else:
        head = [f"mean of {len(models)} models"] if len(models) > 1 else []
        print_page("\n".join([*head, *lines(outputs, found, samples, terminal_width())]))
    if samples.problems:
        fail(samples.problems)
