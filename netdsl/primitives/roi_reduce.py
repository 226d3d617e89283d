"""`roi_reduce` and `roi_reduce_grad`: rows and columns of maps, weighted by boxes that are data; and the adjoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir.graph import Value
from netdsl.ir.op import Op, ShapeError
from netdsl.ir.types import TensorType
from netdsl.primitives.first import first_place, place_along, value_at
from netdsl.scalar import Arg, eq, logical_and, ne
from netdsl.source import counted

if TYPE_CHECKING:
    from netdsl.primitives.builder import PrimitiveBuilder

Grads = Sequence[Value | None]
Cell = tuple[int, int, int, int]


@dataclass(frozen=True)
class Regions(Op):
    """Base of both: cells (p, q) of R regions per sample, over a map of H x W.

    `kind` is "sum" or "max".  With `split` each of the P * Q cells has channels of its own: cell (p, q) reads those
    from `(p * Q + q) * C` on, of P * Q * C.
    """

    kind: str
    split: bool = False

    def check(self, x: TensorType, rows: TensorType, columns: TensorType) -> TensorType:
        """The type of the cells, `f32[N, R, P, Q, C]`; raises ShapeError."""
        if self.kind not in ("sum", "max"):
            raise ShapeError(f"no region is called {self.kind}")
        if (x.rank, rows.rank, columns.rank) != (4, 4, 4) or {x.dtype, rows.dtype, columns.dtype} != {"f32"}:
            raise ShapeError(f"regions take [N, H, W, C] and two of rank 4, not {x}, {rows}, {columns}")
        n, r, p, q = *rows.shape[:3], columns.shape[2]
        if (n, x.shape[1]) != (x.shape[0], rows.shape[3]):
            raise ShapeError(f"rows {rows} do not weight {x}")
        if (n, r, x.shape[2]) != (*columns.shape[:2], columns.shape[3]):
            raise ShapeError(f"columns {columns} do not weight {x} as the rows {rows} do")
        if self.split and x.shape[3] % (p * q):
            raise ShapeError(f"cannot split {counted(x.shape[3], 'channel')} into {p} x {q}", operand=0)
        return TensorType((n, r, p, q, x.shape[3] // (p * q) if self.split else x.shape[3]))

    def cells(self, rows: Array, columns: Array, channels: int) -> Iterator[tuple[Cell, Array, slice]]:
        """Each cell (n, r, p, q) with the weights of the map and the channels that it reads."""
        n, r, p = rows.shape[:3]
        q = columns.shape[2]
        for i, j, k, m in np.ndindex(n, r, p, q):
            first = (k * q + m) * channels if self.split else 0
            yield (i, j, k, m), np.outer(rows[i, j, k], columns[i, j, m]), slice(first, first + channels)


@dataclass(frozen=True)
class RoiReduce(Regions):
    """`out[n,r,p,q,c]` = the sum over y, x of `rows[n,r,p,y] * columns[n,r,q,x] * map[n,y,x,c]`.

    For "max" the largest `map[n,y,x,c]` where both weights are not 0, and 0 where there is none.  Operands: the map
    `f32[N,H,W,C]`, rows `f32[N,R,P,H]`, columns `f32[N,R,Q,W]`.  No gradient flows into rows and columns: they say
    where to look, like the index of `gather`.
    """

    name: ClassVar[str] = "roi_reduce"

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """P x Q cells for each region."""
        return (self.check(*types),)

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        x, rows, columns = arrays
        y = self.check(*(TensorType(a.shape) for a in arrays))
        out = np.zeros(y.shape, x.dtype)
        for at, weights, channels in self.cells(rows, columns, y.shape[-1]):
            seen = x[at[0], :, :, channels]
            if self.kind == "sum":
                out[at] = np.tensordot(weights, seen, 2)
            elif weights.any():
                out[at] = seen[weights != 0].max(0)
        return (out,)

    def vjp(
        self, b: PrimitiveBuilder, inputs: Sequence[Value], outputs: Sequence[Value], grads: Grads
    ) -> list[Value | None]:
        """`roi_reduce_grad` for the map."""
        (g,) = grads
        assert g is not None
        x, rows, columns = inputs
        seen = (x, outputs[0]) if self.kind == "max" else ()
        return [b.add1(RoiReduceGrad(self.kind, self.split), rows, columns, g, *seen), None, None]


@dataclass(frozen=True)
class RoiReduceGrad(Regions):
    """The adjoint: operands (rows, columns, dy), for max (rows, columns, dy, x, y); the gradient of the map.

    For max it goes to the first cell of the map, in row-major order, that attains the maximum.  Sums run in the order
    of the regions.
    """

    name: ClassVar[str] = "roi_reduce_grad"

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        rows, columns, g = types[:3]
        if (rows.rank, columns.rank, g.rank) != (4, 4, 5):
            raise ShapeError(f"the gradient of regions {rows}, {columns} is not {g}", operand=2)
        blocks = g.shape[2] * g.shape[3] if self.split else 1
        x = TensorType((g.shape[0], rows.shape[3], columns.shape[3], blocks * g.shape[4]))
        if self.check(x, rows, columns) != g or types[3:] != ((x, g) if self.kind == "max" else ()):
            raise ShapeError(f"the gradient of regions {rows}, {columns} is not {g}", operand=2)
        return (x,)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """Each cell's gradient back to where it looked."""
        rows, columns, g = arrays[:3]
        (t,) = self.infer(*(TensorType(a.shape) for a in arrays))
        out = np.zeros(t.shape, g.dtype)
        for at, weights, channels in self.cells(rows, columns, g.shape[-1]):
            target = out[at[0], :, :, channels]
            if self.kind == "sum":
                target += weights[:, :, None] * g[at]
            else:
                hit = (arrays[3][at[0], :, :, channels] == arrays[4][at]) & (weights != 0)[:, :, None]
                flat = hit.reshape(-1, hit.shape[-1])
                first = flat & (np.cumsum(flat, axis=0) == 1)
                target += first.reshape(hit.shape) * g[at]
        return (out,)

    def vjp(
        self, b: PrimitiveBuilder, inputs: Sequence[Value], outputs: Sequence[Value], grads: Grads
    ) -> list[Value | None]:
        """Regions again; for max what arrives at the cells that attain the maxima: a small change moves none."""
        (g,) = grads
        assert g is not None
        rows, columns, dy, *seen = inputs
        if self.kind == "sum":
            return [None, None, b.add1(RoiReduce("sum", self.split), g, rows, columns)]
        n, r, p, q, c = b.type(dy).shape
        h, w = b.type(g).shape[1:3]
        x, arrived = (self._by_cell(b, v, (p, q, c)) for v in (seen[0], g))
        over = (
            x,
            b.reshape(seen[1], (n, r, p, q, 1, 1, c)),
            b.reshape(rows, (n, r, p, 1, h, 1, 1)),
            b.reshape(columns, (n, r, 1, q, 1, w, 1)),
        )
        hit = logical_and(eq(Arg(0), Arg(1)), logical_and(ne(Arg(2), 0.0), ne(Arg(3), 0.0)))
        place, axes = place_along((4, 5), (h, w)), (4, 5)
        first = first_place(b, hit, over, place, axes)
        return [None, None, value_at(b, arrived, first, place, axes), None, None]

    def _by_cell(self, b: PrimitiveBuilder, x: Value, cells: tuple[int, int, int]) -> Value:
        """The map as `[N, 1, P, Q, H, W, C]`, of P and Q 1 where all cells read the same channels."""
        n, h, w, _ = b.type(x).shape
        p, q, c = cells if self.split else (1, 1, cells[2])
        split = b.reshape(x, (n, h, w, p, q, c))
        return b.reshape(b.transpose(split, (0, 3, 4, 1, 2, 5)), (n, 1, p, q, h, w, c))
