"""What checkpoints and artifacts carry of the use of a network, read strictly."""

import copy
import json

import numpy as np
import pytest

from netdsl.data import CenterCrop, Meaning, Resize, Usage, from_arrays
from netdsl.data.normalize import Standardize
from netdsl.source import NetError

USAGE = Usage(
    (8, 8, 1),
    (Resize(9, interpolation="bicubic", antialias=False), CenterCrop(8, 8)),
    Standardize(0.5, 0.25).fit(from_arrays(np.full((2, 3, 3, 1), 200, np.uint8), [0, 1])),
    ("cat", "dog"),
    {"logits": Meaning.logits},
)


def test_what_is_written_is_read_back():
    assert Usage.from_json(json.loads(json.dumps(USAGE.to_json()))) == USAGE
    plain = Usage((4,))
    assert Usage.from_json(json.loads(json.dumps(plain.to_json()))) == plain


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sample",), [-1]),
        (("sample",), "8"),
        (("preprocess",), {}),
        (("preprocess", 0, "step"), "blur"),
        (("preprocess", 0, "height"), 10**9),
        (("preprocess", 0, "more"), 1),
        (("preprocess", 1, "width"), True),
        (("normalization", "peak"), 0),
        (("normalization", "peak"), 1e999),
        (("normalization", "std"), [1, 2]),
        (("normalization", "std"), [0]),
        (("normalization", "mean"), ["x"]),
        (("normalization", "pixels", "white"), -1),
        (("normalization", "pixels", "dtype"), 3),
        (("classes",), ["cat", "cat"]),
        (("classes",), ["cat", "\x1b[2J"]),
        (("classes",), []),
        (("outputs", "logits"), "guesses"),
        (("extra",), 1),
    ],
)
def test_anything_else_is_refused(path, value):
    plain = copy.deepcopy(json.loads(json.dumps(USAGE.to_json())))
    place = plain
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(NetError):
        Usage.from_json(plain)
