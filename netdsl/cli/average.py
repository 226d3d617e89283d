"""`netdsl average A B ... -o C`: one network with the mean of the weights of several."""

from __future__ import annotations

from pathlib import Path

from netdsl.cli.command import command, need_place, option, path
from netdsl.cli.common import diagnostics, print_page, writing
from netdsl.source import Diagnostic, NetError, counted


@command(
    option(
        "models",
        type=path,
        nargs="+",
        files="*",
        metavar="MODEL",
        help="checkpoints or artifacts of one network, or the folder of a run with snapshots",
    ),
    option(
        "-o",
        "--output",
        dest="out",
        type=path,
        required=True,
        files="*",
        metavar="FILE",
        help="the artifact to write",
    ),
)
def app(models: list[Path], out: Path) -> None:
    """Average the weights of checkpoints, each with the same part; running statistics are averaged as well."""
    from netdsl.runtime.artifact import save_artifact
    from netdsl.train.folder import folds_in, models_of
    from netdsl.train.transfer.average import average

    need_place(out, "-o")
    with diagnostics():
        for path in models:
            if folds_in(path):
                message = f"{path} holds the folds of a cross-validation: their weights have no sensible mean"
                fix = f"netdsl run {path} INPUT takes the mean of what they predict"
                raise NetError(Diagnostic("checkpoint", message, fix=fix))
        files = [file for path in models for file in models_of(path)]
        artifact = average(files)
        with writing(out):
            save_artifact(out, artifact)
    print_page(
        f"written to {out}: the mean of {len(files)} models, {counted(len(artifact.weights), 'array')}"
    )
