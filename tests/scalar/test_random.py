"""The generator against the published vectors of Random123, and its uniform numbers by statistics."""

import numpy as np
import pytest

from netdsl.scalar import Arg, Uniform, evaluate, partial
from netdsl.scalar.evaluate import threefry, uniform

#: counter, key and result of threefry2x32 with 20 rounds: kat_vectors of Random123 (Salmon et al., SC 2011)
KNOWN = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize("counter, key, result", KNOWN)
def test_known_answers(counter, key, result):
    c0, c1 = (np.array([c], np.uint32) for c in counter)
    assert tuple(int(word[0]) for word in threefry(*key, c0, c1)) == result


def test_uniform_numbers_are_uniform():
    x = uniform((5 << 32) | 1, stream=9, word=0, shape=(200, 500))
    assert x.dtype == np.float32 and x.min() >= 0 and x.max() < 1
    counts, _ = np.histogram(x, 50, (0, 1))
    # 49 degrees of freedom: 100 is beyond the 99.998th percentile.
    assert ((counts - 2000) ** 2 / 2000).sum() < 100
    assert abs(np.corrcoef(x[:, :-1].ravel(), x[:, 1:].ravel())[0, 1]) < 0.01


def test_streams_keys_and_words_differ():
    one = uniform(1, 2, 0, (1000,))
    assert np.array_equal(one, uniform(1, 2, 0, (10, 100)).ravel())
    for other in (uniform(2, 2, 0, (1000,)), uniform(1, 3, 0, (1000,)), uniform(1, 2, 1, (1000,))):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.1
    assert not np.array_equal(one, uniform(1 + (1 << 32), 2, 0, (1000,)))


def test_leaf_draws_in_its_space_and_is_flat():
    e = Uniform(2, Arg(1))
    got = evaluate(e, [np.zeros((4, 1)), np.asarray(7)], (4, 5))
    assert np.array_equal(got, uniform(7, 2, 0, (4, 5)))
    assert evaluate(partial(e, 0), [np.zeros(1), np.asarray(7)], (1,)) == 0
