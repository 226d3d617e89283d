"""What the standard library of newer Pythons has."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import override
elif sys.version_info >= (3, 12):
    from typing import override
else:

    def override(method: Callable[..., Any]) -> Callable[..., Any]:
        """The method as it is: it does what the base class says, for this class."""
        return method


__all__ = ["override"]
