"""The digits of 2/pi, with which kernels reduce the arguments of sin and cos (Payne and Hanek 1983)."""

from __future__ import annotations


def two_over_pi(bits: int) -> int:
    """The first `bits` binary digits of 2/pi behind the point, from those of pi by Machin's formula in integers."""
    scale = 1 << bits + 64

    def arctan_inverse(n: int) -> int:
        total, term, k = 0, scale // n, 0
        while term:
            total += (-1) ** k * (term // (2 * k + 1))
            term //= n * n
            k += 1
        return total

    pi = 4 * (4 * arctan_inverse(5) - arctan_inverse(239))
    return (2 * scale << bits) // pi
