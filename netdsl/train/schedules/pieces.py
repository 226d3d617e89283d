"""A list of schedules, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.compat import override
from netdsl.source import counted
from netdsl.train.schedules.base import Clock, Rates, RateSchedule


@dataclass(frozen=True)
class Pieces(RateSchedule):
    """Schedules one after the other, each for its `epochs`, the last one for what is left.

    Each begins anew from the optimiser's rate, or from its own `lr`.  PyTorch SequentialLR.
    """

    pieces: tuple[RateSchedule, ...]

    @property
    def highest_momentum(self) -> float | None:
        """The largest momentum that any of them sets."""
        found = [p.highest_momentum for p in self.pieces]
        return max((m for m in found if m is not None), default=None)

    @property
    def watched(self) -> Sequence[str | None]:
        """The values that any of them watches."""
        return [name for p in self.pieces for name in p.watched]

    @override
    def rates(self, lr: float, clock: Clock) -> Rates:
        first = 0
        for piece in self.pieces[:-1]:
            steps = (piece.epochs or 0) * clock.per_epoch
            if clock.step < first + steps:
                return piece.at(lr, clock.part(first, steps))
            first += steps
        return self.pieces[-1].at(lr, clock.part(first, clock.steps - first))

    def check(self, lr: float, epochs: int) -> None:
        """All but the last have a length, and together no more than the training."""
        *before, last = self.pieces
        lengths = [piece.epochs for piece in before]
        if None in lengths:
            raise ValueError(
                "a list of schedules says how long each lasts but the last: constant(epochs = 5)"
            )
        total = sum(length or 0 for length in lengths)
        whole = total + (last.epochs or 0)
        if whole != epochs if last.epochs is not None else total >= epochs:
            message = f"the schedules have {counted(whole, 'epoch')} in all, the training has {epochs}"
            raise ValueError(
                message if last.epochs is not None else f"{message}: none is left for the last one"
            )
        for piece, length in zip(self.pieces, [*lengths, epochs - total], strict=True):
            piece.check_piece(lr, length or 0)

    def doubt(self, epochs: int) -> str | None:
        """The first doubt of one of them."""
        left = epochs - sum(piece.epochs or 0 for piece in self.pieces[:-1])
        found = (p.doubt(p.epochs or left) for p in self.pieces)
        return next((text for text in found if text is not None), None)
