"""A misspelt label is an error, at `check` time, and no new input."""

import pytest

from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train.misspelt import is_slip
from netdsl.train.sections import check_sections

NET = """net N {
  input image: [8, 8, 1]
  code = image -> flatten -> dense(16)
  output logits = code -> dense(10)
  output decoded = code -> dense(64) -> reshape([8, 8, 1])
}
"""
DIGITS = "data { train = digits.train }\n"


def found(loss, metrics="", data=""):
    text = f"{NET}{data}train {{ loss = {loss}; metrics = [{metrics}] }}"
    try:
        check_sections(elaborate(Source("n.net", text)))
    except NetError as error:
        return [(d.span.text, d.fix) for d in error.diagnostics]
    return []


@pytest.mark.parametrize("data", ["", DIGITS])
@pytest.mark.parametrize(
    ("loss", "metrics", "wrong", "meant"),
    [
        ("mse(decoded, imgae)", "", "imgae", "image"),
        ("mse(decoded, imag)", "", "imag", "image"),
        ("cross_entropy(logits, label)", "accuracy(logits, lable)", "lable", "label"),
        ("cross_entropy(logits, lable)", "accuracy(logits, label)", "lable", "label"),
        ("cross_entropy(logits, labl) + mse(decoded, image)", "top_k_accuracy(logits, label)", "labl", "label"),
    ],
)  # fmt: skip
def test_a_name_that_is_almost_another(data, loss, metrics, wrong, meant):
    ((place, fix),) = found(loss, metrics, data)
    assert place == wrong and f"did you mean {meant}?" in fix


@pytest.mark.parametrize(
    ("loss", "metrics", "data"),
    [
        ("cross_entropy(logits, kind)", "accuracy(logits, kind)", DIGITS),
        ("cross_entropy(logits, label)", "", DIGITS),
        ("mse(decoded, image)", "", DIGITS),
        ("cross_entropy(logits, kind1) + mse(decoded, kind2)", "", ""),
        ("cross_entropy(logits, label, codes)", "", ""),
    ],
)
def test_other_names_are_targets(loss, metrics, data):
    assert found(loss, metrics, data) == []


@pytest.mark.parametrize(
    ("name", "other", "slip"),
    [
        ("lable", "label", True),
        ("labels", "label", False),
        ("labell", "label", True),
        ("Label", "label", True),
        ("mask1", "mask2", False),
        ("mask_a", "mask_b", False),
        ("twin", "twins", False),
        ("x", "y", False),
        ("species", "sepcies", True),
        ("reconstructed", "recnstruted", True),
        ("left", "right", False),
        ("same", "some", True),
    ],
)
def test_slips(name, other, slip):
    assert is_slip(name, other) == slip == is_slip(other, name)
