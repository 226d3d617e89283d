"""Which weights a pattern names."""

import pytest

from netdsl.ops.choose import chooses

NAMES = ["stem.weight", "stage1.conv1.weight", "stage1.conv1.bias", "stage2.conv1.weight", "p[3].weight"]


@pytest.mark.parametrize(
    ("pattern", "chosen"),
    [
        ("stem", [0]),
        ("stem.weight", [0]),
        ("ste", []),
        ("stage1", [1, 2]),
        ("stage*.conv1", [1, 2, 3]),
        ("*.bias", [2]),
        ("stage?.conv1.weight", [1, 3]),
        ("p[3]", [4]),
        ("stage[12]", []),
    ],
)
def test_names_layers_and_patterns(pattern, chosen):
    assert [name for name in NAMES if chooses(pattern, name)] == [NAMES[k] for k in chosen]
