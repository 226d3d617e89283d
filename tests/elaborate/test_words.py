"""Words of Keras, PyTorch and Darknet are answered with those of the language."""

from dataclasses import fields
from inspect import signature
from itertools import chain
from pathlib import Path

import pytest

from netdsl import words
from netdsl.data import AUGMENTATIONS, NORMALIZERS, PREPROCESSING, SOURCES, DataPlan
from netdsl.elaborate import elaborate
from netdsl.elaborate.sections import KNOWN
from netdsl.ops import BY_NAME
from netdsl.source import NetError, Source
from netdsl.train.full_batch.names import FULL_BATCH
from netdsl.train.optimizers import OPTIMIZERS
from netdsl.train.schedules import SCHEDULES
from netdsl.train.sections import check_sections
from netdsl.train.tables import AVERAGES, CONSTRAINTS, GROUPS

PAGE = Path(__file__).parents[2] / "docs" / "words.md"
COMMENT = "a comment starts with `#`"
QUOTES = 'words such as same and relu have no quotes, other texts stand in "…"'
STEP = "an activation is a step of its own: -> relu"
PENALTY = "penalties are terms of the loss: + 1e-4 * l2(weights)"
OPTIMISERS = "it is the optimiser's: optimizer = sgd(lr = 0.1, weight_decay = 1e-4)"
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
        ("z = x -> foo", None),
        ("z = x -> foor(2)", None),
        ("z = x -> roun", None),
        ("z = x -> flor", None),
        ("head = x; z = x -> heads", None),
        ("layer head = relu; z = x -> heads", "did you mean head?"),
        ("z = x -> cat { | in | in }", "did you mean concat?"),
        ("z = x -> su { | in | in }", "did you mean sub?"),
        ("n = foor(2.5)", "did you mean floor?"),
        ("z = x -> nn.AdaptiveAvgPool2d(3)", "did you mean adaptive_avg_pool(size)?"),
        ("z = x -> AdaptiveMaxPool2d(3)", "did you mean adaptive_max_pool(size)?"),
        ("z = to_categorical(x, 3)", "did you mean one_hot(classes)?"),
        ("z = x -> conv(8, 3, padding_mode = reflect)", "did you mean pad_mode?"),
        ("z = x -> pad(1, padding_mode = reflect)", "did you mean mode?"),
        ("z = x -> conv(8, 3, constant_values = 1)", "did you mean pad_value?"),
        ("z = x -> pad(1, fill_value = 1)", "did you mean value?"),
        ("z = x -> conv(8, 3, pad_mode = replicate)", "did you mean edge?"),
        ("z = x -> conv(8, 3, pad_mode = circular)", "did you mean wrap?"),
        ("z = x -> conv(8, 3, init = xavier_normal)", "did you mean glorot_normal?"),
        ("z = x -> conv(8, 3, weight_decay = 1e-4)", PENALTY),
        ("z = x -> conv(8, 3, kernel_regularizer = l2)", PENALTY),
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


def section_fixes(kind, line, **overrides):
    data = line if kind == "data" else ""
    train = line if kind == "train" else ""
    text = (
        "net N {\n input x: [28, 28, 1]\n output y = x -> flatten -> dense(10)\n}\n"
        f"data {{ train = mnist.train\n {data}\n}}\ntrain {{ loss = cross_entropy(y, label)\n {train}\n}}\n"
    )
    try:
        check_sections(elaborate(Source("a.net", text), overrides=overrides))
    except NetError as error:
        return [d.fix for d in error.diagnostics]
    return []


@pytest.mark.parametrize(
    "kind, line, fix",
    [
        ("train", "batch_size = 32", "did you mean batch?"),
        ("train", "num_epochs = 3", "did you mean epochs?"),
        ("train", "random_state = 3", "did you mean seed?"),
        ("train", "learning_rate = 0.1", OPTIMISERS),
        ("train", "weight_decay = 1e-4", OPTIMISERS),
        ("train", "optimizer = SGD(lr = 0.1)", "did you mean sgd?"),
        ("train", "optimizer = torch.optim.SGD(lr = 0.1)", words.OF_SECTIONS),
        ("train", "optimizer = adam(learning_rate = 0.1)", "did you mean lr?"),
        ("train", "optimizer = adam(epsilon = 0.1)", "did you mean eps?"),
        ("train", "optimizer = adam(betas = (0.9, 0.99))", "did you mean beta1?"),
        ("train", "optimizer = rmsprop(alpha = 0.9)", "did you mean rho?"),
        ("train", "optimizer = sgd(decay = 0.1)", "did you mean weight_decay?"),
        ("train", "optimizer = Adadelta(rho = 0.1)", "did you mean adadelta?"),
        ("train", "optimizer = NAdam", "did you mean nadam?"),
        ("train", "constraints = [MaxNorm(3)]", "did you mean max_norm?"),
        ("train", "constraints = [max_norm(max_value = 3)]", "did you mean limit?"),
        ("train", "average = ModelEmaV3(0.9)", "did you mean ema?"),
        ("train", "clipvalue = 3", "did you mean clip_value?"),
        ("train", "gradient_accumulation_steps = 3", "did you mean accumulate?"),
        ("train", "param_groups = [1]", "did you mean groups?"),
        ("train", "schedule = CosineAnnealingLR(eta_min = 0)", "did you mean cosine?"),
        ("train", "schedule = cosine(eta_min = 0)", "did you mean minimum?"),
        ("train", "schedule = CyclicLR(1, 2)", "did you mean cyclical?"),
        ("train", "schedule = cyclical(1, 2, step_size_up = 2)", "did you mean up?"),
        ("train", "schedule = exponential(gamma = 0.9)", "did you mean rate?"),
        ("train", "schedule = cosine_restarts(T_0 = 9)", "did you mean first?"),
        ("train", "schedule = ReduceLROnPlateau", "did you mean plateau?"),
        ("train", "schedule = StepLR(3)", "did you mean step?"),
        ("train", "schedule = step(step_size = 3)", "did you mean every?"),
        ("train", "schedule = step(3, gamma = 3)", "did you mean factor?"),
        ("train", "schedule = one_cycle(max_lr = 3)", "did you mean peak?"),
        ("data", "augment = [RandomHorizontalFlip]", "did you mean flip?"),
        ("data", "augment = [RandomCrop(3)]", "did you mean random_crop?"),
        ("data", "normalize = Normalize(0.1, 0.2)", "did you mean standardize?"),
        ("data", "normalize = Rescaling(1)", "did you mean scale?"),
        ("data", "transform = [flip]", "did you mean augment?"),
        ("data", "val = 0.1", "did you mean validation?"),
    ],
)
def test_the_words_of_others_in_sections(kind, line, fix):
    assert section_fixes(kind, line) == [fix]


def test_the_words_of_others_on_the_command_line():
    assert section_fixes("", "", **{"train.batch_size": "3"}) == ["did you mean train.batch?"]
    assert section_fixes("", "", **{"train.learning_rate": "3"}) == [OPTIMISERS]


def test_the_words_of_others_in_python():
    with pytest.raises(NetError) as error:
        DataPlan({"train": "mnist.train", "transform": "flip"})
    assert [d.fix for d in error.value.diagnostics] == ["did you mean augment?"]


@pytest.mark.parametrize("word", words.STATEMENTS.values())
def test_the_statements_of_others(word):
    for statement in word.split():
        assert fixes(f"{statement} z = x")[0] == words.statement(statement)


def test_what_is_advised_is_there():
    for write in words.LAYERS:
        if ":" not in write:
            assert write.partition("(")[0] in BY_NAME, write
    known = {f.name for op in BY_NAME.values() for f in fields(op)}
    objects = {
        **OPTIMIZERS,
        **FULL_BATCH,
        **SCHEDULES,
        **CONSTRAINTS,
        **GROUPS,
        **AVERAGES,
        **SOURCES,
        **NORMALIZERS,
        **AUGMENTATIONS,
        **PREPROCESSING,
    }
    known |= {name for o in objects.values() if isinstance(o, type) for name in signature(o).parameters}
    for write in words.SETTINGS:
        if ":" not in write:
            assert set(write.split()) <= known, write
    assert words.OBJECTS.keys() <= objects.keys()
    assert {write for write in words.ENTRIES if ":" not in write} <= {*chain(*KNOWN.values())}


def test_the_page_is_as_the_table_says():
    assert PAGE.read_text(encoding="utf-8") == words.render_markdown(), "write words.render_markdown() there"
