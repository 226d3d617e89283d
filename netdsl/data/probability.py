"""What outputs about classes say, as probabilities, and the way back."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.arrays import Array, np
from netdsl.data.usage import Meaning

PROBABILITIES = {
    Meaning.logits: Meaning.probabilities,
    Meaning.log_probabilities: Meaning.probabilities,
    Meaning.binary_logits: Meaning.binary_probabilities,
}
"""What an output means when it has become probabilities; others stay what they are."""


def probabilities(array: Array, meaning: Meaning) -> Array:
    """Outputs [n, ..., classes] as probabilities in float64; scores stay as they are."""
    x = array.astype(np.float64)
    if meaning is Meaning.logits:
        x = np.exp(x - x.max(axis=-1, keepdims=True))
        return np.asarray(x / x.sum(axis=-1, keepdims=True))
    if meaning is Meaning.log_probabilities:
        return np.exp(x)
    if meaning is Meaning.binary_logits:
        return np.asarray(1 / (1 + np.exp(-np.clip(x, -700, 700))))
    return x


def mean_outputs(arrays: Sequence[Array], meaning: Meaning | None) -> Array:
    """The mean of an output over several networks, float64: of its probabilities, where it says such."""
    numbers = [a.astype(np.float64) if meaning is None else probabilities(a, meaning) for a in arrays]
    return np.asarray(np.mean(numbers, axis=0))


def said_again(array: Array, meaning: Meaning | None) -> Array:
    """Probabilities as an output of this meaning, float32: their logarithms, which are logits too, or log odds."""
    tiny = np.finfo(np.float32).tiny
    if meaning in (Meaning.logits, Meaning.log_probabilities):
        array = np.log(np.maximum(array, tiny))
    elif meaning is Meaning.binary_logits:
        array = np.log(np.maximum(array, tiny)) - np.log(np.maximum(1 - array, tiny))
    return array.astype(np.float32)
