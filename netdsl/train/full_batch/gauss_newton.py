"""The Gauss-Newton method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.train.full_batch.function import Function, Point
from netdsl.train.full_batch.method import State
from netdsl.train.full_batch.newton import Curved


@dataclass(frozen=True)
class GaussNewton(Curved):
    """Newton's method for sums of squares, with `2 J'J` for the Hessian, J being the Jacobian of the residuals r.

    The direction p solves `(2 J'J + damping I) p = -2 J'r`: it falls wherever the gradient is not 0.  The loss must
    be made of residuals, as `mse` is.  Gauss 1809; Nocedal and Wright 2006, section 10.3.
    """

    residuals: ClassVar[bool] = True

    def direction(self, f: Function, start: Point, state: State) -> Array:
        """By the singular values of the Jacobian, or by conjugate gradients."""
        if not self.exact(len(start.x)):
            return self.solved(f, start, f.gauss_newton_product)
        r, jacobian = f.residuals(start)
        u, sizes, vt = np.linalg.svd(jacobian, full_matrices=False)
        smallest = max(f.resolution, 1e-12) * float(sizes.max(initial=0.0))
        kept = sizes > smallest
        scaled = np.where(kept, sizes / (sizes**2 + self.damping / 2 + ~kept), 0.0)
        found: Array = -(vt.T @ (scaled * (u.T @ r)))
        return found
