"""Words of Keras, PyTorch and Darknet are answered with those of the language."""

from dataclasses import fields
from pathlib import Path

import pytest

from netdsl import words
from netdsl.elaborate import elaborate
from netdsl.ops import BY_NAME
from netdsl.source import NetError, Source

PAGE = Path(__file__).parents[2] / "docs" / "words.md"
COMMENT = "a comment starts with `#`"
QUOTES = 'words such as same and relu have no quotes, other texts stand in "…"'
STEP = "an activation is a step of its own: -> relu"
RANGE = "`0..n` stands behind `for i in`; elsewhere it is `range(0, n)`"


def fixes(line):
    try:
        elaborate(Source("a.net", f"net N {{\n input x: [8, 8, 4]\n {line}\n output y = x\n}}\n"))
    except NetError as error:
        return [d.fix for d in error.diagnostics]
    return []


@pytest.mark.parametrize(
    "line, fix",
    [
        ("z = x -> conv(8, 3) -> lrelu", "did you mean leaky_relu?"),
        ("z = x -> LeakyReLU(0.1)", "did you mean leaky_relu?"),
        ("z = Conv2D(32, 3)(x)", "did you mean conv(channels, kernel)?"),
        ("z = x -> BatchNorm2d", "did you mean batch_norm?"),
        ("z = x -> nn.Linear(3)", "did you mean dense(units)?"),
        ("z = x -> MaxPooling2D(2)", "did you mean max_pool(size)?"),
        ("z = x -> GlobalAveragePooling2D()", "did you mean global_avg_pool?"),
        ("z = x -> Dropout2d(0.5)", "did you mean spatial_dropout(rate)?"),
        ("z = x -> maxpool(2)", "did you mean max_pool(size)?"),
        ("z = x -> shortcut", "did you mean add?"),
        ('z = x -> conv(8, 3, padding = "same")', "did you mean pad?"),
        ("z = x -> conv(8, 3, padding = same)", "did you mean pad?"),
        ("z = x -> conv(8, kernel_size = 3)", "did you mean kernel?"),
        ("z = x -> max_pool(kernel_size = 3)", "did you mean size?"),
        ("z = x -> conv(filters = 8, kernel = 3)", "did you mean channels?"),
        ("z = x -> flatten -> dense(out_features = 8)", "did you mean units?"),
        ("z = x -> dropout(p = 0.5)", "did you mean rate?"),
        ("z = x -> conv(8, 3, activation = relu)", STEP),
        ('z = x -> Activation("relu")', STEP),
        ("z = x -> max_pool(2, stride = None)", "did you mean none?"),
        ("z = x -> conv(8, 3, bias = True)", "did you mean true?"),
        ("z = None", "did you mean none?"),
        ("z = x -> relu // a comment", COMMENT),
        ("// a comment", COMMENT),
        ("/* a comment */", COMMENT),
        ("z = x /* a */ -> relu", COMMENT),
        ("z = x -> conv(8, 3, pad = 'same')", QUOTES),
        (
            "model.add(Conv2D(32, (3, 3), activation='relu'))",
            f"{QUOTES}; Conv2D is written conv(channels, kernel)",
        ),
        ("self.conv1 = nn.Conv2d(3, 64, 3)", "Conv2d is written conv(channels, kernel)"),
        ("x = self.conv1(x)", words.LIBRARY),
        ("x = F.relu(x)", "did you mean relu?"),
        ("z = x -> tf.keras.layers.Dense(3)", "did you mean dense(units)?"),
        ("model = Sequential([relu])", "layers follow each other behind `->`: x -> conv(8, 3) -> relu"),
        ("for i in reversed(0..3) { z = x }", RANGE),
    ],
)
def test_the_words_of_others(line, fix):
    assert fixes(line) == [fix]


@pytest.mark.parametrize(
    "line",
    [
        "z = x -> max_pool(2, stride = none)",
        "n = 7 // 2",
        "n = 7\n m = n // (2)",
        "for i in reversed(range(3)) { z = x }",
        "nn = x; z = nn -> relu",
    ],
)
def test_what_is_right_stays_right(line):
    assert fixes(line) == []


@pytest.mark.parametrize(
    "line, fix",
    [
        ("z = concat(a, x)", None),
        ("z = concat(a, x -> conv(4, 3, pad = same))", None),
        ("z = concat(a, x -> conv(4, 5))", "did you mean pad = same?"),
    ],
)
def test_no_hint_says_what_is_so_already(line, fix):
    assert fixes(f"input a: [12, 12, 4]\n {line}") == [fix]


def test_what_is_advised_is_there():
    for write in words.LAYERS:
        if ":" not in write:
            assert write.partition("(")[0] in BY_NAME, write
    known = {f.name for op in BY_NAME.values() for f in fields(op)}
    for write in words.SETTINGS:
        if ":" not in write:
            assert set(write.split()) <= known, write


def test_the_page_is_as_the_table_says():
    assert PAGE.read_text(encoding="utf-8") == words.render_markdown(), "write words.render_markdown() there"
