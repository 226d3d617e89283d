"""Programs: compiled graphs with their memory, ready to run."""

from netdsl.runtime.gradient import Gradient
from netdsl.runtime.profile import StepTime
from netdsl.runtime.program import Program

__all__ = ["Gradient", "Program", "StepTime"]
