"""netdsl: write a neural network down as text, understand it, train it and run it fast.

The names here are imported when they are first used, so that a shape report does not wait for a compiler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.lazy import lazy

if TYPE_CHECKING:
    from netdsl.api import Network as Network
    from netdsl.api import compile as compile  # noqa: A004 - the name of the thing
    from netdsl.api import device as device
    from netdsl.api import ensemble as ensemble
    from netdsl.api import load as load
    from netdsl.api import load_weights as load_weights
    from netdsl.api import restore as restore
    from netdsl.api import summary as summary
    from netdsl.autodiff import grad as grad
    from netdsl.runtime import Gradient as Gradient
    from netdsl.runtime import Program as Program
    from netdsl.source import NetError as NetError
    from netdsl.train import Trainer as Trainer
    from netdsl.train import cross_validate as cross_validate

__getattr__, __dir__, __all__ = lazy(__name__, __file__)
