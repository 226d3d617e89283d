"""NumPy for the rooms that describe networks, imported when something is first computed with it.

A report computes no array, and importing NumPy would take it as long as all the rest of its imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    Array = NDArray[Any]
else:
    Array = DTypeLike = Any

    class _NumPy:
        """A stand-in for the module `numpy`; it keeps every name it was asked for as an attribute."""

        def __getattr__(self, name: str) -> Any:
            import numpy

            value = getattr(numpy, name)
            setattr(self, name, value)
            return value

    np = _NumPy()

__all__ = ["Array", "DTypeLike", "np"]
