"""Mixtures of samples: `mixup` and `cutmix`. Labels become shares of classes."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.data.augment.change import Change


@dataclass(frozen=True)
class Mix(Change):
    """A change that mixes each sample with another of its batch."""
