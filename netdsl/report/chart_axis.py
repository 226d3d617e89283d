"""An axis of a chart: where values are, and which of them are marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ChartAxis:
    """Values from `low` to `high` at places from `start` to `end`, evenly or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def around(
        cls, values: Sequence[float], start: float, end: float, log: bool = False, share: float = 0.04
    ) -> ChartAxis:
        """An axis with the values on it, and with room of a share of their range at both ends.

        Values of a logarithmic one are above 0.
        """
        low, high = (_scaled(v, log) for v in (min(values), max(values)))
        if low == high == 0 and not log:
            high = 1.0  # counts and shares that are 0 throughout do not go below it
        room = share * (high - low) + (0.0 if high > low else 0.5 if log else 0.1 * abs(high) or 0.5)
        low, high = low - room, high + room
        return cls(10**low, 10**high, start, end, log) if log else cls(low, high, start, end)

    def place(self, value: float) -> float:
        """Where a value is."""
        low, high = (_scaled(v, self.log) for v in (self.low, self.high))
        return self.start + (_scaled(value, self.log) - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int = 12, whole: bool = False) -> list[float]:
        """About as many round values as there is room for: 1, 2 and 5 times powers of ten.

        A logarithmic axis over less than two of them has evenly spaced ones; `whole` marks no fractions.
        """
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            for digits in ((1, 2, 5), (1,)):
                found = [d * 10.0**k for k in range(first, last + 1) for d in digits]
                found = [v for v in found if self.low <= v <= self.high]
                if 2 <= len(found) <= most:
                    return found
            if len(found) > most:
                return found[:: -(-len(found) // most)]
        step = _step(max((self.high - self.low) / most, 1.0 if whole else 0.0))
        numbers = range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
        return [float(f"{k * step:.12g}") for k in numbers]


def _scaled(value: float, log: bool) -> float:
    return math.log10(value) if log else value


def _step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= least * (1 - 1e-9))
