"""`contract`: sums of products under an affine index map: convolution, dense layers and all their gradients.

There is one trilinear form in an input x, a kernel w and an output y,

    T(x, w, y) = sum of  x[n, o*stride + k*dilation - pad, g, c] * w[k, c, g, f] * y[n, o, g, f]

over n, o, k, g, c, f, and three primitives: its partial derivatives.  `role` says which of the three tensors
is produced from the other two, so the gradient of a contraction is two contractions, and transposed
convolution is role "backward_data".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import Array, np
from netdsl.ir.graph import Value
from netdsl.ir.op import Op, ShapeError
from netdsl.ir.types import TensorType
from netdsl.primitives.map import check_expr, common_shape, floating_of
from netdsl.primitives.precision import PRECISIONS, Precision, rounded
from netdsl.scalar import Expr, evaluate
from netdsl.source import counted

if TYPE_CHECKING:
    from netdsl.primitives.builder import PrimitiveBuilder

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Contract(Op):
    """A contraction; the operands are (x, w), (y, w) or (x, y) for roles "forward", "backward_data",
    "backward_weights".

    Shapes: x `[N, *S, groups*C]`, w `[*K, C, groups*F]`, y `[N, *O, groups*F]`.  `stride`, `pad` and
    `dilation` have one entry per spatial axis; `size` is the spatial size of the result for role "backward_data" (S)
    and "backward_weights" (K).  `epilogue` is a scalar expression of the sum (`x0`) and of further operands that
    broadcast to the result.  `precision` is that in which the two tensors are multiplied: they are rounded to it, the
    sums are of float32, and so are the gradients' factors.
    """

    name: ClassVar[str] = "contract"
    role: str
    stride: tuple[int, ...] = ()
    pad: Pads = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    size: tuple[int, ...] | None = None
    epilogue: Expr | None = None
    precision: Precision = "f32"

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
        return len(self.stride)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The shape of the missing tensor."""
        if self.role not in ("forward", "backward_data", "backward_weights") or not (
            len(self.pad) == len(self.dilation) == self.dims
        ):
            raise ShapeError("contract takes a role and one stride, pad and dilation per spatial axis")
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise ShapeError(f"contract multiplies in {known}, not in {self.precision}", setting="precision")
        steps, cells = (*self.stride, *self.dilation, self.groups), (n for pair in self.pad for n in pair)
        if any(s < 1 for s in steps) or any(n < 0 for n in cells):
            raise ShapeError("contract takes strides, dilations and groups from 1 and pads from 0")
        a, b = types[:2]
        for k, t in enumerate((a, b)):
            if t.rank != self.dims + 2 or t.dtype != "f32":
                raise ShapeError(f"contract takes f32 of rank {self.dims + 2}, not {t}", operand=k)
        shape = getattr(self, f"_{self.role}")(a.shape, b.shape)
        result = TensorType(shape)
        if self.epilogue is None:
            if len(types) != 2:
                raise ShapeError("contract without an epilogue takes two operands")
            return (result,)
        extra = (result, *types[2:])
        common_shape(extra, shape)
        return (TensorType(shape, check_expr(self.epilogue, extra, len(shape)).dtype),)

    def _forward(self, x: tuple[int, ...], w: tuple[int, ...]) -> tuple[int, ...]:
        if x[-1] != w[-2] * self.groups or w[-1] % self.groups:
            channels, groups = counted(x[-1], "channel"), counted(self.groups, "group")
            raise ShapeError(f"{channels} in {groups} and a kernel {list(w)} do not fit", operand=1)
        return (x[0], *self.out_size(x[1:-1], w[:-2]), w[-1])

    def _backward_data(self, y: tuple[int, ...], w: tuple[int, ...]) -> tuple[int, ...]:
        if y[-1] != w[-1] or w[-1] % self.groups:
            raise ShapeError(f"{counted(y[-1], 'channel')} and a kernel {list(w)} do not fit", operand=1)
        if self.size is None or self.out_size(self.size, w[:-2]) != y[1:-1]:
            raise ShapeError(f"an input of size {self.size} does not give {list(y[1:-1])}")
        return (y[0], *self.size, w[-2] * self.groups)

    def _backward_weights(self, x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
        if x[0] != y[0] or x[-1] % self.groups or y[-1] % self.groups:
            raise ShapeError(
                f"{list(x)} and {list(y)} do not fit in {counted(self.groups, 'group')}", operand=1
            )
        if self.size is None or self.out_size(x[1:-1], self.size) != y[1:-1]:
            raise ShapeError(f"a kernel of size {self.size} does not give {list(y[1:-1])}")
        return (*self.size, x[-1] // self.groups, y[-1])

    def out_size(self, size: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
        """Spatial size of y from those of x and w; raises ShapeError when the kernel does not fit."""
        out = []
        for s, k, step, (lo, hi), d in zip(size, kernel, self.stride, self.pad, self.dilation, strict=True):
            room = s + lo + hi - (k - 1) * d - 1
            if room < 0:
                raise ShapeError(f"a kernel of {(k - 1) * d + 1} does not fit into {s} + {lo} + {hi}", 0)
            out.append(room // step + 1)
        return tuple(out)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """A sum over kernel taps of matrix products."""
        types = [TensorType(a.shape) for a in arrays[:2]]
        shape = getattr(self, f"_{self.role}")(*(t.shape for t in types))
        a, b = (rounded(array, self.precision) for array in arrays[:2])
        total = getattr(self, f"_sum_{self.role}")(a, b, shape)
        if self.epilogue is not None:
            total = np.array(evaluate(self.epilogue, [total, *arrays[2:]], shape, floating_of(arrays)))
        return (total,)

    def _taps(
        self, kernel: tuple[int, ...], out: tuple[int, ...]
    ) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        for tap in itertools.product(*map(range, kernel)):
            start = [t * d for t, d in zip(tap, self.dilation, strict=True)]
            cut = [slice(a, a + (o - 1) * s + 1, s) for a, o, s in zip(start, out, self.stride, strict=True)]
            yield tap, (slice(None), *cut)

    def _padded(self, x: Array) -> Array:
        return np.pad(x, ((0, 0), *self.pad, (0, 0)))

    def _grouped(self, a: Array) -> Array:
        return a.reshape(*a.shape[:-1], self.groups, a.shape[-1] // self.groups)

    def _sum_forward(self, x: Array, w: Array, shape: tuple[int, ...]) -> Array:
        y = np.zeros(self._grouped(np.empty(shape, np.bool_)).shape, np.result_type(x, w))
        xs, ws = self._grouped(self._padded(x)), self._grouped(w)
        for tap, cut in self._taps(w.shape[:-2], shape[1:-1]):
            y += np.einsum("...gc,cgf->...gf", xs[cut], ws[tap])
        return y.reshape(shape)

    def _sum_backward_data(self, y: Array, w: Array, shape: tuple[int, ...]) -> Array:
        padded = [s + lo + hi for s, (lo, hi) in zip(shape[1:-1], self.pad, strict=True)]
        x = np.zeros((shape[0], *padded, self.groups, w.shape[-2]), np.result_type(y, w))
        ys, ws = self._grouped(y), self._grouped(w)
        for tap, cut in self._taps(w.shape[:-2], y.shape[1:-1]):
            x[cut] += np.einsum("...gf,cgf->...gc", ys, ws[tap])
        crop = [slice(lo, lo + s) for s, (lo, _) in zip(shape[1:-1], self.pad, strict=True)]
        return x[(slice(None), *crop)].reshape(shape)

    def _sum_backward_weights(self, x: Array, y: Array, shape: tuple[int, ...]) -> Array:
        xs, ys = self._grouped(self._padded(x)), self._grouped(y)
        w = np.zeros((*shape[:-1], self.groups, shape[-1] // self.groups), np.result_type(x, y))
        axes = "abde"[: self.dims + 1]
        for tap, cut in self._taps(shape[:-2], y.shape[1:-1]):
            w[tap] = np.einsum(f"{axes}gc,{axes}gf->cgf", xs[cut], ys)
        return w.reshape(shape)

    def vjp(
        self,
        b: PrimitiveBuilder,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        grads: Sequence[Value | None],
    ) -> list[Value | None]:
        """The two other partial derivatives of the trilinear form."""
        (g,) = grads
        assert g is not None and self.epilogue is None, "differentiate before fusing"
        first, second = inputs
        tensors = {
            "forward": (first, second, g),
            "backward_data": (g, second, first),
            "backward_weights": (first, g, second),
        }
        x, w, y = tensors[self.role]
        sizes = {
            "forward": None,
            "backward_data": b.type(x).shape[1:-1],
            "backward_weights": b.type(w).shape[:-2],
        }
        operands = {"forward": (x, w), "backward_data": (y, w), "backward_weights": (x, y)}
        wanted = {
            "forward": ("backward_data", "backward_weights"),
            "backward_data": ("forward", "backward_weights"),
            "backward_weights": ("backward_data", "forward"),
        }
        return [
            b.add1(
                replace(self, role=role, size=sizes[role]),
                *operands[role],
            )
            for role in wanted[self.role]
        ]
