"""Whether every layer can be trained on batches of a size: a batch norm needs more than one value."""

from __future__ import annotations

from netdsl.ir import Graph, Op, ShapeError
from netdsl.ops.base import LibraryOp
from netdsl.ops.rebatch import with_batch
from netdsl.source import Diagnostic, Mistakes, counted

FULL_BATCH = "train with a batch of 2 or more"
LAST_BATCH = "drop_last = true leaves out the last, smaller batch; or choose another batch"


def check_batch_size(objective: Graph, size: int, fix: str) -> None:
    """Raise NetError, with the fix in words, at every layer that cannot be trained on batches of `size` samples."""
    particular = [n.id for n in objective if _checks_training(n.op)]
    if not particular:
        return
    where = f"in a batch of {counted(size, 'sample')}"
    graph, problems = with_batch(objective, size), Mistakes()
    for node in map(graph.__getitem__, particular):
        assert isinstance(node.op, LibraryOp)
        try:
            node.op.check_training(*(graph.type(v) for v in node.inputs))
        except ShapeError as error:
            problems.found.append(Diagnostic("shape", f"{where}, {error.message}", node.span, fix=fix))
    problems.done()


def _checks_training(op: Op) -> bool:
    return isinstance(op, LibraryOp) and type(op).check_training is not LibraryOp.check_training
