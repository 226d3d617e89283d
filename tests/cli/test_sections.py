"""`check` says of every broken section what `train` says, in the same words and at the same place."""

import itertools
import re

import numpy as np
import pytest

from netdsl.cli.main import main
from netdsl.elaborate import elaborate
from netdsl.source import Source
from netdsl.train.settings import train_settings

NET = "net N { input image: [8, 8, 1]\n  output y = image -> conv(4, 3) -> relu -> flatten -> dense(10)\n}\n"
DATA = {"train": "digits.train", "test": "digits.test"}
TRAIN = {"loss": "cross_entropy(y, label)", "optimizer": "sgd(lr = 0.1)", "epochs": "2", "batch": "32"}
METRICS = "[accuracy(y, label)]"


def section(kind, settings):
    return f"{kind} {{\n" + "".join(f"  {name} = {value}\n" for name, value in settings.items()) + "}\n"


def file(net=NET, data=None, train=None, evaluation=None):
    parts = [net, section("data", DATA | (data or {})), section("train", TRAIN | (train or {}))]
    return "".join(parts) + (section("eval", evaluation) if evaluation else "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data files, good and bad."""
    path = tmp_path_factory.mktemp("data")
    images, labels = np.zeros((20, 8, 8, 1), np.uint8), np.arange(20) % 10
    files = {
        "good": (images, labels),
        "few": (images[:3], labels[:3]),
        "wide": (np.zeros((20, 9, 9, 1), np.uint8), labels),
        "high": (images, labels + 1),
        "negative": (images, labels - 1),
        "floats": (images, labels / 2),
        "boxes": (images, np.zeros((20, 4))),
        "multi": (images, np.ones((20, 10))),
        "uneven": (images, labels[:7]),
        "empty": (images[:0], labels[:0]),
        "rows": (np.zeros((20, 64), np.uint8), labels),
        "masks": (images, np.where(np.arange(64).reshape(8, 8) < 9, 255, labels[:, None, None] % 3)),
        "planes": (np.zeros((20, 3, 8, 8), np.uint8), labels),
        "words": (images, np.array(["a"] * 20)),
    }
    for name, (x, y) in files.items():
        np.savez(path / f"{name}.npz", x=x, y=y)
    np.savez(path / "named.npz", x=images, y=labels, classes=["a", "b"])
    np.save(path / "x.npy", images)
    np.save(path / "y.npy", labels)
    (path / "torn.npy").write_bytes((path / "x.npy").read_bytes()[:-1])
    (path / "text.npz").write_text("no archive")
    return path


#: what changes in the section `train`, what is said, and what is marked
TRAIN_CASES = [
    ({"optimizer": "rprop"}, "no optimizer is called rprop", "rprop"),
    ({"optimizer": "SGD(lr = 0.1)"}, "did you mean sgd?", "SGD(lr = 0.1)"),
    ({"optimizer": "adam(learning_rate = 1e-3)"}, "did you mean lr?", "learning_rate = 1e-3"),
    ({"optimizer": "sgd(lr = -0.1)"}, "lr must be a number above 0, not -0.1", "lr = -0.1"),
    ({"optimizer": 'sgd(lr = "fast")'}, 'lr must be a number above 0, not "fast"', 'lr = "fast"'),
    ({"optimizer": "sgd(lr = true)"}, "lr must be a number above 0, not true", "lr = true"),
    ({"optimizer": "sgd(lr = [0.1])"}, "lr must be a number above 0, not [0.1]", "lr = [0.1]"),
    ({"optimizer": "sgd(lr = fast)"}, "lr is fast, and nothing is called so", "fast"),
    (
        {"optimizer": "sgd(0.1, 0, 0, false, 0, 5)"},
        "sgd takes 5 settings (lr, ",
        "sgd(0.1, 0, 0, false, 0, 5)",
    ),
    ({"optimizer": "sgd(0.1, lr = 0.2)"}, "sgd got lr twice", "sgd(0.1, lr = 0.2)"),
    ({"optimizer": "true"}, "optimizer is one of sgd, rmsprop, adam, adamw, adagrad, ", "true"),
    ({"optimizer": "sgd(lr = 0.1, nesterov = true)"}, "nesterov needs a momentum", "nesterov = true"),
    ({"optimizer": "sgd(momentum = 1.5)"}, "momentum must be a number from 0.0 to 1.0", "momentum = 1.5"),
    ({"optimizer": "adam(beta1 = 1)"}, "beta1 must be a number from", "beta1 = 1"),
    ({"optimizer": '"adam"'}, "without quotes: adam", '"adam"'),
    ({"optimizer": "[sgd]"}, "without brackets: sgd", "[sgd]"),
    ({"optimizer": "0.1"}, ", not 0.1", "0.1"),
    ({"optimizer": "relu"}, "no optimizer is called relu", "relu"),
    ({"schedule": "plateau"}, "schedule watches the validation set, and there is none", "plateau"),
    ({"schedule": "CosineAnnealingLR"}, "did you mean cosine?", "CosineAnnealingLR"),
    ({"schedule": "cosine(eta_min = 0.001)"}, "did you mean minimum?", "eta_min = 0.001"),
    ({"schedule": "cosine(warmup = -1)"}, "warmup must be a number from 0.0 up", "warmup = -1"),
    ({"schedule": "cosine(warmup = 10)"}, "warmup = 10 is longer than the training", "warmup = 10"),
    ({"schedule": "cosine(10)"}, "minimum = 10 is above the optimiser's", "10"),
    ({"schedule": "cosine(minimum = 0.5)"}, "minimum = 0.5 is above the optimiser's", "minimum = 0.5"),
    ({"schedule": "step"}, "takes either every", "step"),
    ({"schedule": "step(every = 2, gamma = 0.5)"}, "did you mean factor?", "gamma = 0.5"),
    ({"schedule": "step(milestones = [5, 3])"}, "ascending order", "milestones = [5, 3]"),
    ({"schedule": "one_cycle(momentum = 0.9)"}, "momentum takes two numbers", "momentum = 0.9"),
    ({"schedule": "one_cycle(rise = 2)"}, "rise must be a number from 0.0 to 1.0", "rise = 2"),
    ({"epochs": "-3"}, "epochs must be a whole number from 1, not -3", "-3"),
    ({"epochs": "0"}, "epochs must be a whole number from 1, not 0", "0"),
    ({"epochs": "2.5"}, "epochs must be a whole number from 1, not 2.5", "2.5"),
    ({"epochs": "true"}, "epochs must be a whole number from 1, not true", "true"),
    ({"epochs": "[3]"}, "without brackets: 3", "[3]"),
    ({"epochs": "range(100000)"}, "epochs must be a whole number from 1, not [0, 1", "range(100000)"),
    ({"epochs": "10 ** 12"}, "from 1 to 2**31 - 1", "10 ** 12"),
    ({"epochs": "many"}, "epochs must be a whole number from 1, not many", "many"),
    ({"batch": '"32"'}, 'batch must be a whole number from 1, not "32"', '"32"'),
    ({"batch": "2000"}, "1,437 samples cannot fill one batch of 2000", "digits.train"),
    ({"seed": "-1"}, "seed must be a whole number from 0", "-1"),
    ({"clip_norm": "0"}, "clip_norm must be a number above 0", "0"),
    ({"clip_norm": "false"}, "clip_norm must be a number above 0, not false", "false"),
    ({"checkpoint_seconds": "-5"}, "checkpoint_seconds must be a number above 0", "-5"),
    ({"optimzer": "adam"}, "did you mean optimizer?", "optimzer"),
    ({"loss": "cross_entropy"}, "not the function cross_entropy", "cross_entropy"),
    ({"loss": "banana(y, label)"}, "no name is called banana", "banana"),
    (
        {"loss": "mse(y, label)"},
        "a label of the train set is a single number, the loss takes [10]",
        "digits.train",
    ),
    ({"loss": "5"}, "the loss is a number of the batch, not 5", "5"),
    ({"loss": "accuracy(y, label)"}, "accuracy is no loss: it has no gradient", "accuracy"),
    ({"loss": "y"}, "the loss is one number, not [1, 10]", "y"),
    (
        {"loss": "cross_entropy(y, label, class_weights = [1, 2])"},
        "2 class weights",
        "class_weights = [1, 2]",
    ),
    ({"loss": "binary_cross_entropy(y, label)"}, "the loss takes [10]", "digits.train"),
    ({"metrics": "accuracy(y, label)"}, "metrics is a list", "accuracy(y, label)"),
    ({"metrics": "[accuracy]"}, "accuracy(logits, label), for example", "accuracy"),
    ({"metrics": '["accuracy"]'}, 'a number of the batch, not "accuracy"', '"accuracy"'),
    ({"metrics": "[accuracy(y, target)]"}, "a loss and its metrics take the same label: label", "target"),
    ({"loss": "cross_entropy(label, y)"}, "cross_entropy(prediction, label)", "label"),
    ({"lr": "0.1"}, "optimizer = sgd(lr = 0.1", "lr"),
    ({"batch_size": "8"}, "did you mean batch?", "batch_size"),
    ({"epochs": "2, batch = 3"}, "separated by `;` or a new line", ","),
    ({"metrics": "[accuracy(y)]"}, "takes 2 tensors", "accuracy"),
    ({"metrics": "[accuracy(label, y)]"}, "the predictions come first, then the label", "y"),
    ({"metrics": "[top_k_accuracy(y, label, k = 0)]"}, "k must be a positive integer", "k = 0"),
    ({"metrics": "[accuracy(y, labl)]"}, "did you mean label?", "labl"),
    ({"metrics": "[5]"}, "a metric is a number of the batch, not 5", "5"),
]

#: likewise of the section `data`
DATA_CASES = [
    ({"train": "mnist"}, "did you mean mnist.train?", "mnist"),
    ({"test": "mnist"}, "did you mean mnist.test?", "mnist"),
    ({"train": "digits.trian"}, "did you mean digits.train?", "digits.trian"),
    ({"train": "MNIST.train"}, "did you mean mnist.train?", "MNIST.train"),
    ({"validation": "digits"}, "validation = 0.1 keeps a tenth", "digits"),
    ({"train": 'csv("x.csv")'}, "there is no file", 'csv("x.csv")'),
    ({"train": '"x.npz"'}, 'npz("x.npz")', '"x.npz"'),
    ({"train": '"digits.train"'}, "without quotes: digits.train", '"digits.train"'),
    ({"train": "[digits.train]"}, "train is [digits.train]; it must be one of", "[digits.train]"),
    ({"train": "5"}, "train is 5; it must be one of", "5"),
    ({"train": "digits.train(3)"}, "digits.train takes no settings", "digits.train(3)"),
    ({"train": "mnist.train"}, "samples of shape [28, 28, 1], the network takes [8, 8, 1]", "mnist.train"),
    ({"train": 'npz("none.npz")'}, "there is no file", 'npz("none.npz")'),
    ({"train": "npz(3)"}, "file must be the name of a file, as text, not 3", "3"),
    ({"train": "npz"}, 'npz needs file: npz("data.npz")', "npz"),
    ({"train": 'idx("x")'}, 'idx needs labels: idx("images.gz", "labels.gz")', 'idx("x")'),
    ({"train": 'npz("named.npz")'}, "there is a label 9 but only 2 classes", 'npz("named.npz")'),
    ({"train": 'npz("good.npz")', "classes": '["a", "b"]'}, "there is a label 9 but only 2", '["a", "b"]'),
    ({"train": "none"}, "train is none; it must be one of", "none"),
    ({"train": 'npz("good.npz", z = "x")'}, "the data set has no array image", 'npz("good.npz", z = "x")'),
    (
        {"train": 'npz("good.npz", x = "image")'},
        "0 arrays named 'image'; it has: x, y",
        'npz("good.npz", x = "image")',
    ),
    ({"train": 'npz("text.npz")'}, "an archive of arrays (.npz) belongs here", 'npz("text.npz")'),
    ({"train": 'npy("torn.npy", "y.npy")'}, "bytes after its header", 'npy("torn.npy", "y.npy")'),
    ({"train": 'npy("x.npy", "none.npy")'}, "there is no file", 'npy("x.npy", "none.npy")'),
    ({"train": 'idx("x.npy", "y.npy")'}, "is not an IDX file", 'idx("x.npy", "y.npy")'),
    (
        {"train": 'npz("wide.npz")', "drop_last": "false"},
        "samples of shape [9, 9, 1], the network takes [8, 8, 1]",
        'npz("wide.npz")',
    ),
    (
        {"test": 'npz("wide.npz")'},
        "samples of shape [9, 9, 1], the network takes [8, 8, 1]",
        'npz("wide.npz")',
    ),
    (
        {"train": 'npz("high.npz")', "drop_last": "false"},
        "the label 10, the network 10 classes",
        'npz("high.npz")',
    ),
    ({"test": 'npz("high.npz")'}, "the test set has the label 10, the network 10 classes", 'npz("high.npz")'),
    ({"test": 'npz("negative.npz")'}, "has the label -1; class numbers count from 0", 'npz("negative.npz")'),
    ({"test": 'npz("floats.npz")'}, "are float32, the loss takes class numbers", 'npz("floats.npz")'),
    ({"test": 'npz("boxes.npz")'}, "has shape [4], the loss takes single numbers", 'npz("boxes.npz")'),
    ({"train": 'npz("multi.npz")', "drop_last": "false"}, "no shares of classes", 'npz("multi.npz")'),
    ({"train": 'npz("uneven.npz")'}, "different numbers of samples: 20 in x, 7 in y", 'npz("uneven.npz")'),
    ({"train": 'npz("empty.npz")'}, "there are no samples", 'npz("empty.npz")'),
    ({"train": 'npz("words.npz")'}, "only booleans, integers and floats", 'npz("words.npz")'),
    ({"train": 'npz("few.npz")'}, "3 samples cannot fill one batch of 32", 'npz("few.npz")'),
    ({"train": 'npz("few.npz")', "validation": "0.1"}, "leaves one part empty", "0.1"),
    ({"validation": "1.5"}, "it must be a share from 0 to below 1", "1.5"),
    ({"validation": "-0.1"}, "it must be a share from 0 to below 1", "-0.1"),
    ({"validation": "true"}, "validation is true; it must be a share", "true"),
    ({"validation": "0.9999"}, "leaves one part empty", "0.9999"),
    ({"validation": "[0.1]"}, "validation is [0.1]; it must be", "[0.1]"),
    ({"normalize": "standardise"}, "did you mean standardize?", "standardise"),
    ({"normalize": '"raw"'}, "without quotes: raw", '"raw"'),
    ({"normalize": "[raw]"}, "normalize is [raw]; it must be one of", "[raw]"),
    ({"normalize": "scale(0)"}, "scale(max) needs a positive number, not 0", "scale(0)"),
    ({"normalize": "standardize(mean = 0.5)"}, "takes both mean and std", "standardize(mean = 0.5)"),
    (
        {"normalize": "standardize(mean = [0, 0, 0], std = [1, 1, 1])"},
        "mean and std are for 3 channels, the data has 1",
        "standardize(mean = [0, 0, 0], std = [1, 1, 1])",
    ),
    ({"augment": "[blend(0.2)]"}, "no augmentation is called blend", "blend(0.2)"),
    ({"augment": "[flip, relu]"}, "no augmentation is called relu", "relu"),
    ({"augment": "[flip, 3]"}, "augment holds 3", "3"),
    ({"augment": "[[flip]]"}, "augment holds [flip]", "[flip]"),
    ({"augment": "[scale]"}, "no augmentation is called scale", "scale"),
    ({"augment": "[shift]"}, "shift needs pixels: shift(2)", "shift"),
    ({"augment": "[none]"}, "augment holds none", "none"),
    (
        {"augment": "[flip(horizontal)]"},
        "p is horizontal, and nothing is called so",
        "horizontal",
    ),
    ({"normalize": "scale(white)"}, "max is white, and nothing is called so", "white"),
    ({"normalize": "standardize(none, 1)"}, "takes both mean and std", "standardize(none, 1)"),
    ({"normalize": "standardize([none], 1)"}, "not [none]", "[none]"),
    ({"preprocess": "[resize(big)]"}, "height is big, and nothing is called so", "big"),
    (
        {"preprocess": "[resize(8, antialias = none)]"},
        "antialias is true or false, not none",
        "antialias = none",
    ),
    ({"shuffle": "none"}, "shuffle is none; it must be true or false", "none"),
    ({"augment": "[shift(-1)]"}, "pixels of shift must be a whole number from 0 to 1000000, not -1", "-1"),
    ({"augment": "[shift(1.5)]"}, "a whole number from 0 to 1000000, not 1.5", "1.5"),
    ({"augment": "[flip(p = 2)]"}, "p of flip must be a number from 0 to 1, not 2", "p = 2"),
    (
        {"augment": "[rotate(15, border = zero)]"},
        "border of rotate is one of constant, reflect, edge, wrap",
        "border = zero",
    ),
    ({"augment": "[rotate(15, border = wrap), zoom(2, 1)]"}, "low of zoom must not be above high, 1", "2"),
    ({"augment": "[one_of(flip, rotat(3))]"}, "did you mean rotate?", "rotat(3)"),
    ({"augment": "[one_of(flip, 3)]"}, "one_of chooses among changes, and 3 is none", "one_of(flip, 3)"),
    (
        {"augment": "[some_of(3, flip, shift(1))]"},
        "number of some_of must be a whole number from 1 to 2, not 3",
        "3",
    ),
    (
        {"augment": "[random_crop(6)]"},
        "the data has samples of shape [6, 6, 1], the network takes [8, 8, 1]",
        "digits.train",
    ),
    ({"augment": "[RandomHorizontalFlip]"}, "did you mean flip?", "RandomHorizontalFlip"),
    ({"augment": '"flip"'}, "without quotes: flip", '"flip"'),
    ({"train": 'npz("rows.npz")', "augment": "[flip]"}, "images of shape [H, W, C], not [64]", "[flip]"),
    ({"shuffle": "1"}, "shuffle is 1; it must be true or false", "1"),
    ({"shuffle": "yes"}, "shuffle is yes; it must be true or false", "yes"),
    ({"drop_last": "[true]"}, "drop_last is [true]; it must be true or false", "[true]"),
    ({"classes": '["a", "b"]'}, "there is a label 9 but only 2 classes", '["a", "b"]'),
    ({"vaildation": "0.1"}, "did you mean validation?", "vaildation"),
]
EVAL_CASES = [
    ({"batch": "0"}, "batch must be a whole number from 1, not 0", "0"),
    ({"epochs": "3"}, "eval has no setting epochs", "epochs"),
    ({"metrics": "[accuracy(y, labl)]"}, "did you mean label?", "labl"),
]
FLAT = "net N { input image: [8, 8, 1]\n  output y = image -> flatten -> dense(10)\n}\n"
MASKS = {"train": 'npz("masks.npz")', "test": 'npz("masks.npz")', "drop_last": "false"}
MAP = "net N { input image: [8, 8, 1]\n  output y = image -> conv(3, 3, pad = same)\n}\n"
VOID = {"loss": "cross_entropy(y, label, ignore_index = 255)"}
COLOURS = FLAT.replace("[8, 8, 1]", "[8, 8, 3]")
ONCE_CASES = [
    (file(MAP, MASKS), "ignore_index = 255 leaves out cells of no class", 'npz("masks.npz")'),
    (file(MAP, MASKS, VOID | {"metrics": METRICS}), "accuracy needs ignore_index = 255, too", "accuracy"),
    (file(FLAT.replace("(10)", "(5)")), "has the label 9, the network 5 classes", "digits.train"),
    (file(train={"loss": "mse(y, label)"}), "is a single number, the loss takes [10]", "digits.train"),
    (file(FLAT.replace("[8, 8, 1]", "[9, 9, 1]")), "samples of shape [8, 8, 1]", "digits.train"),
    (
        file(COLOURS, {"train": 'npz("planes.npz")', "test": 'npz("planes.npz")', "drop_last": "false"}),
        "channels come last: numpy.moveaxis(x, 1, -1)",
        'npz("planes.npz")',
    ),
]
NET_CASES = [
    (FLAT.replace("-> flatten ", ""), "flatten or global_avg_pool before the last dense", "digits.train"),
    (FLAT.replace("dense(10)", "dense(5)"), "has the label 9, the network 5 classes", "digits.train"),
    (FLAT.replace("dense(10)", "dense(1)"), "binary_cross_entropy and binary_accuracy", "digits.train"),
    (FLAT.replace("[8, 8, 1]", "[None, 8, 8, 1]"), "the batch is left out", "None"),
    (NET.replace("[8, 8, 1]", "[1, 28, 28]"), "channels come last: [28, 28, 1]", "conv"),
    (
        FLAT.replace("-> flatten", "-> max_pool(5)").replace("[8, 8, 1]", "[3, 32, 32]"),
        "[32, 32, 3]",
        "max_pool",
    ),
    (FLAT.replace("dense(10)", "dense(channels(image) / 1)"), "`//` divides", "channels(image) / 1"),
    (FLAT.replace("flatten ->", "softmax(axis = -1) ->"), "it has no settings", "axis = -1"),
    (FLAT.replace("-> dense", "→ dense"), "write `->`", "→"),
    (FLAT + "training { epochs = 3 }\n", "did you mean train?", "training"),
    (FLAT.replace("[8, 8, 1]", "[8, 8, 3]"), "the network takes [8, 8, 3]", "digits.train"),
    (
        FLAT.replace("\n", "\n  input other: [4]\n", 1),
        "the network takes image, other, label",
        "input other: [4]",
    ),
]
CASES = [
    *((file(train=change), *rest) for change, *rest in TRAIN_CASES),
    *((file(data=change), *rest) for change, *rest in DATA_CASES),
    *((file(evaluation=change), *rest) for change, *rest in EVAL_CASES),
    *((file(net), *rest) for net, *rest in NET_CASES),
    (NET + section("data", DATA) + "train { epochs = 3 }\n", "it has no train section with a loss", None),
    (NET + section("data", {"test": "digits.test"}) + section("train", TRAIN), "names no train set", None),
]


def told(capsys, *words):
    """What a command that fails prints on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 1
    return capsys.readouterr().err


def marked(message):
    """The texts above the carets of a message."""
    lines = message.splitlines()
    for above, below in itertools.pairwise(lines):
        found = re.fullmatch(r" *\| ( *)(\^+).*", below)
        if found:
            text = above.partition(" | ")[2]
            yield text[len(found[1]) : len(found[1]) + len(found[2])]


@pytest.mark.parametrize(("text", "message", "place"), ONCE_CASES, ids=range(len(ONCE_CASES)))
def test_one_cause_is_told_once(folder, capsys, text, message, place):
    path = folder / "broken.net"
    path.write_text(text)
    checked, trained = told(capsys, "check", str(path)), told(capsys, "train", str(path))
    assert checked == trained and checked.count("error[") == 1 and message in checked
    assert place in marked(checked)


@pytest.mark.parametrize(("text", "message", "place"), CASES, ids=range(len(CASES)))
def test_check_and_train_agree(folder, capsys, text, message, place):
    path = folder / "broken.net"
    path.write_text(text)
    checked, trained = told(capsys, "check", str(path)), told(capsys, "train", str(path))
    assert checked == trained and message in checked and len(checked) < 3000
    assert place is None or place in marked(checked)


def test_all_mistakes_are_told_at_once(folder, capsys):
    path = folder / "broken.net"
    path.write_text(file(train={"epochs": "0", "batch": "0"}, data={"shuffle": "1", "augment": "[a, b]"}))
    assert told(capsys, "check", str(path)).count("error[") == 5


def check(*words):
    """Let `check` find nothing wrong."""
    with pytest.raises(SystemExit) as ended:
        main(["check", *words])
    assert ended.value.code == 0


def test_none_is_what_stands_where_nothing_was_said(folder):
    """Whatever is none by default can be said, so that `--set` can take back what a file says."""
    path = folder / "none.net"
    data = dict.fromkeys(("test", "validation", "augment", "preprocess", "classes"), "none")
    train = {"clip_norm": "none", "metrics": "none"}
    path.write_text(file(data=data, train=train, evaluation={"metrics": "none"}))
    check(str(path))
    given = [f"--set=data.{name}=none" for name in data]
    path.write_text(file(data={"augment": "[shift(2)]"}, train={"clip_norm": "1", "metrics": METRICS}))
    check(str(path), *given, "--set=train.clip_norm=none", "--set=train.metrics=none")
    network = elaborate(Source(str(path), path.read_text()), overrides={"train.clip_norm": "none"})
    assert train_settings(network).clip_norm is None
