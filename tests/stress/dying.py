"""Cases for the test of `survive`: the second is a memory fault, the third a mistake."""

import ctypes

from tests.stress.survive import main


def case(seed):
    if seed == 2:
        ctypes.memset(0, 0, 1)
    if seed == 3:
        raise ValueError("three")
    return "right", ""


if __name__ == "__main__":
    main("tests.stress.dying", case, __doc__)
