"""What becomes of labels when their picture is moved: classes stay, masks and boxes move with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.augment.run import Work, in_threads, moving_run, run_pictures
from netdsl.data.augment.stages import Drawn, Moving
from netdsl.data.augment.ways import Label, Way

if TYPE_CHECKING:
    from numpy.typing import NDArray


def moved(
    labels: Mapping[str, NDArray[Any]],
    ways: Mapping[str, Label],
    stages: Sequence[Moving],
    drawn: Drawn,
    size: tuple[int, int],
    threads: int,
) -> dict[str, NDArray[Any]]:
    """Labels by name after the geometry of a batch; size: that of the pictures."""
    found = dict(labels)
    for name, values in labels.items():
        label, at = ways[name], size
        for stage in stages:
            if not stage.keep_labels and label.way is not Way.STAYS:
                values = _moved(values, label, stage, drawn, at, threads)
            at = stage.size(at)
        found[name] = values
    return found


def _moved(
    values: NDArray[Any], label: Label, stage: Moving, drawn: Drawn, size: tuple[int, int], threads: int
) -> NDArray[Any]:
    if label.way is Way.BOXES:
        return moved_boxes(values, stage, drawn, size)
    flat = values.reshape(*values.shape[:3], -1)
    if label.way is Way.CELLS:
        result = _cells(flat, label.fill, stage, drawn, threads)
    else:
        run = moving_run(stage, drawn, flat.shape[1:3], flat.shape[3], None)
        shape = (*run.new, flat.shape[3])
        result = run_pictures(flat.astype(np.float32, copy=False), shape, [run], threads).astype(values.dtype)
    return result.reshape(*result.shape[:3], *values.shape[3:])


def _cells(cells: NDArray[Any], fill: int, stage: Moving, drawn: Drawn, threads: int) -> NDArray[Any]:
    """Cells [B, H, W, K], each where its picture's pixel goes."""
    run = moving_run(stage, drawn, cells.shape[1:3], 1, None)
    size = run.new[0] * run.new[1]
    places = np.empty((len(cells), size), np.int64)

    def part(first: int, last: int) -> None:
        run.places(places[first:].ctypes.data, Work(0), first, last - first)

    in_threads(part, len(cells), size, threads)
    flat = cells.reshape(len(cells), -1, cells.shape[3])
    found = np.take_along_axis(flat, np.maximum(places, 0)[..., None], axis=1)
    found[places < 0] = fill
    return found.reshape(len(cells), *run.new, cells.shape[3])


def moved_boxes(boxes: NDArray[Any], stage: Moving, drawn: Drawn, size: tuple[int, int]) -> NDArray[Any]:
    """Boxes [B, ..., 4] of x1, y1, x2, y2 in pixels: the smallest ones around what they become, within the picture.

    A pixel is 1 wide, the first one from 0 to 1.  Empty boxes, x2 <= x1 or y2 <= y1, stay as they are.
    """
    height, width = stage.size(size)
    forward = np.linalg.inv(stage.maps(drawn, size))
    rows = boxes.reshape(len(boxes), -1, 4).astype(np.float64)
    corners = rows[..., [[0, 1], [2, 1], [2, 3], [0, 3]]] - 0.5
    points = np.concatenate([corners, np.ones((*corners.shape[:-1], 1))], axis=-1)
    placed = np.einsum("bij,bnkj->bnki", forward, points)
    placed = placed[..., :2] / np.maximum(placed[..., 2:], 1e-9) + 0.5
    found = np.concatenate([placed.min(axis=2), placed.max(axis=2)], axis=-1)
    found = found.clip(0, [width, height, width, height])
    empty = (rows[..., 2] <= rows[..., 0]) | (rows[..., 3] <= rows[..., 1])
    found = np.where(empty[..., None], rows, found)
    return found.reshape(boxes.shape).astype(boxes.dtype)
