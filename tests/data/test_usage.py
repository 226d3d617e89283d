"""What checkpoints and artifacts carry of the use of a network, read strictly."""

import copy
import json

import numpy as np
import pytest

from netdsl.data import CenterCrop, Meaning, Preparation, Resize, Said, Usage, from_arrays
from netdsl.data.normalize import Standardize
from netdsl.source import NetError

IMAGE = Preparation(
    (8, 8, 1),
    (Resize(9, interpolation="bicubic", antialias=False), CenterCrop(8, 8)),
    Standardize(0.5, 0.25).fit(from_arrays(np.full((2, 3, 3, 1), 200, np.uint8), [0, 1]).columns["image"]),
)
USAGE = Usage(
    {"image": IMAGE, "other": Preparation((4,))},
    {"logits": Said(Meaning.logits, ("cat", "dog")), "more": Said(Meaning.scores)},
)


def test_what_is_written_is_read_back():
    assert Usage.from_json(json.loads(json.dumps(USAGE.to_json()))) == USAGE
    plain = Usage({"x": Preparation((4,))})
    assert Usage.from_json(json.loads(json.dumps(plain.to_json()))) == plain


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (
            (
                "inputs",
                "image",
                "sample",
            ),
            [-1],
        ),
        (
            (
                "inputs",
                "image",
                "sample",
            ),
            "8",
        ),
        (
            (
                "inputs",
                "image",
                "preprocess",
            ),
            {},
        ),
        (("inputs", "image", "preprocess", 0, "step"), "blur"),
        (("inputs", "image", "preprocess", 0, "height"), 10**9),
        (("inputs", "image", "preprocess", 0, "more"), 1),
        (("inputs", "image", "preprocess", 1, "width"), True),
        (("inputs", "image", "normalization", "peak"), 0),
        (("inputs", "image", "normalization", "peak"), 1e999),
        (("inputs", "image", "normalization", "std"), [1, 2]),
        (("inputs", "image", "normalization", "std"), [0]),
        (("inputs", "image", "normalization", "mean"), ["x"]),
        (("inputs", "image", "normalization", "pixels", "white"), -1),
        (("inputs", "image", "normalization", "pixels", "dtype"), 3),
        (("outputs", "logits", "classes"), ["cat", "cat"]),
        (("outputs", "logits", "classes"), ["cat", "\x1b[2J"]),
        (("outputs", "logits", "classes"), []),
        (("outputs", "logits", "meaning"), "guesses"),
        (("outputs", "logits"), "logits"),
        (("inputs", "image"), None),
        (("inputs",), []),
        (("extra",), 1),
        (("inputs", "image", "extra"), 1),
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
