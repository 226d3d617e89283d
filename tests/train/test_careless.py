"""What people write by mistake: each mistake is refused, at its place, with what to write instead."""

import numpy as np
import pytest
from PIL import Image

import netdsl
from netdsl.elaborate import elaborate
from netdsl.source import NetError
from netdsl.syntax.read import read_source
from netdsl.train.sections import check_sections

TABLE = """net Flowers {
  input x: [4]
  output logits = x -> {trunk: stats}dense(3) @name("head")
}
data { train = csv("flowers.csv", label = "species"); validation = 0.2; normalize = standardize }
train { loss = cross_entropy(logits, label); metrics = [accuracy(logits, label)]; epochs = 2; batch = 8 }
""".replace("{trunk: stats}", 'dense(8) @name("stats") -> tanh -> ')
PICTURES = """net Shapes {
  input image: [20, 20, 3]
  output logits = image -> conv(4, 3) -> relu -> flatten -> dense(2)
}
data { train = folder("pics/train"); preprocess = [resize(20)] }
train { loss = cross_entropy(logits, label); batch = 4 }
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A folder with data of several kinds, and the two files of nets."""
    folder = tmp_path_factory.mktemp("careless")
    draw = np.random.default_rng(0)
    numbers = np.round(draw.random((24, 4)), 3) + 0.001
    heads = {"flowers": "length,width,height,depth,species", "from_one": "a,b,c,d,label"}
    for name, classes in (("flowers", ["rose", "lily", "oak"]), ("from_one", [1, 2, 3])):
        rows = [",".join(map(str, [*row, classes[k % 3]])) for k, row in enumerate(numbers)]
        (folder / f"{name}.csv").write_text("\n".join([heads[name], *rows]) + "\n")
    commas = (folder / "from_one.csv").read_text().replace(",", ";").replace(".", ",")
    (folder / "commas.csv").write_text(commas)
    for name, labels in (
        ("one", np.arange(24) % 3 + 1),
        ("whole", np.arange(24) % 3 * 1.0),
        ("parts", numbers[:, 0]),
    ):
        np.savez(folder / f"{name}.npz", x=numbers, y=labels)
    for path in ("train/cross", "train/circle", "test/cross", "test/circle"):
        (folder / "pics" / path).mkdir(parents=True)
        for k in range(4):
            pixels = draw.integers(0, 256, (18, 18, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "pics" / path / f"{k}.png")
    (folder / "flowers.net").write_text(TABLE)
    (folder / "shapes.net").write_text(PICTURES)
    return folder


def mistakes(room, file, **settings):
    """What `netdsl check` says of a file with other settings."""
    given = {name.replace("__", "."): value for name, value in settings.items()}
    with pytest.raises(NetError) as e:
        check_sections(elaborate(read_source(str(room / file)), 1, given))
    return e.value.diagnostics


def csv(more):
    return f'csv("flowers.csv", {more})'


@pytest.mark.parametrize(
    ("given", "message", "fix"),
    [
        (
            csv('label = "species", columns = ["length", "species"]'),
            "columns has species, which is the label",
            "leave it out",
        ),
        (csv('label = "species", columns = ["length", "length"]'), "columns names length twice", ""),
        (
            csv('label = "species", columns = "length", without = "width"'),
            "without leaves out some",
            "one of the two",
        ),
        (
            csv('label = "species", without = "width", categories = "width"'),
            "categories has width, which is not taken",
            "",
        ),
        (csv("label = species"), "label is species, and nothing is called so", 'quotes: "species"'),
        (csv("label = [species]"), "label is the name of a column", 'quotes: "species"'),
        (
            csv('label = "species", missing = mean'),
            "missing is mean, and nothing is called so",
            'quotes: "mean"',
        ),
        (
            'csv(flowers.csv, label = "species")',
            "file is flowers.csv, and nothing is called so",
            'quotes: "flowers.csv"',
        ),
        ('csv("flowers.csv")', "one sample and no label", 'label = "COLUMN"'),
        (csv('label = "species", separator = ";"'), "which is no column", 'separator = "," parts it'),
        ("flowers.csv", "no data set is called flowers.csv", 'csv("flowers.csv", label = "COLUMN")'),
        ('"flowers.csv"', "a data set goes by its name", 'csv("flowers.csv", label = "COLUMN")'),
        (
            csv('label = "species", decimal = ","'),
            "holds numbers with a decimal point, such as 0",
            'decimal = "." reads them',
        ),
        (
            'csv("commas.csv", label = "label")',
            "holds numbers with a decimal comma, such as 0,",
            'decimal = "," reads them',
        ),
        (
            'csv("from_one.csv", label = "label")',
            "has the label 3, the network 3 classes",
            'categories = ["label"] takes these 3',
        ),
        ('npz("one.npz")', "has the label 3, the network 3 classes", "only(..., [1, 2, 3])"),
        ('npz("whole.npz")', "labels of the train set are float32", "store them as such, with astype"),
        ('npz("parts.npz")', "labels of the train set are float32", "mse and mae take numbers"),
    ],
)
def test_sources(room, given, message, fix):
    found = mistakes(room, "flowers.net", data__train=given)[0]
    assert message in found.message
    assert fix in (found.fix or "")


@pytest.mark.parametrize(
    "given",
    [
        'csv("from_one.csv", label = "label", categories = "label")',
        'only(npz("one.npz"), [1, 2, 3])',
        'csv("commas.csv", label = "label", decimal = ",", categories = "label")',
    ],
)
def test_what_is_advised_works(room, given):
    assert check_sections(elaborate(read_source(str(room / "flowers.net")), 1, {"data.train": given})) == ()


@pytest.mark.parametrize(
    ("setting", "given", "message", "fix"),
    [
        (
            "data.preprocess",
            "[]",
            "samples of shape [18, 18, 3], the network takes [20, 20, 3]",
            "[resize(20), center_crop(20)]",
        ),
        ("data.preprocess", "[resize(20), grey]", "samples of shape [20, 20, 1]", "channels = 3 of folder"),
        ("data.test", 'folder("pics/tests")', "there is no folder", "pics/test?"),
        ("data.test", 'folder("pisc/test")', "there is no folder", "pics/test?"),
        ("data.test", 'folder("flowers.csv")', "flowers.csv is no folder", ""),
        ("data.test", "folder(pics/test)", "pics/test is no name", 'in quotes: "pics/test"'),
        (
            "data.augment",
            "cutout(21)",
            "size of cutout must be at most 20 for samples of 20 x 20, not 21",
            "",
        ),
        ("data.augment", "[one_of(flip, cutout(99))]", "size of cutout must be at most 20", ""),
        ("data.augment", "[shift(20)]", "pixels of shift must be below 20", ""),
        ("data.augment", "[cutout(0)]", "size of cutout must be a whole number from 1", ""),
        ("data.augment", "[rotate(15), p = 0.5]", "unexpected `=`", "rotate(15, p = 0.5)"),
        ("data.augment", "[flip, p = 0.5]", "unexpected `=`", "flip(p = 0.5)"),
        ("data.augment", "[rotate(15, p = 50%)]", "`50%` is no number", "write 0.5"),
        ("data.augment", "[rotate(lots)]", "degrees is lots, and nothing is called so", "it takes a number"),
        ("data.augment", "[rotate(15, border = reflct)]", "border of rotate is one of constant, reflect", ""),
        (
            "data.preprocess",
            "[resize(20, interpolation = linear)]",
            "interpolation is linear",
            "did you mean bilinear?",
        ),
        ("data.validation", "20%", "`20%` is no number", "write 0.2"),
        ("data.classes", "[a, b]", "classes is a list of names", 'in quotes: "a"'),
        ("train.optimizer", "l-bfgs", "l-bfgs is no name", "did you mean lbfgs?"),
        (
            "train.optimizer",
            "adam(amsgrad = yes)",
            "amsgrad is yes, and nothing is called so",
            "it is true or false",
        ),
        ("train.schedule", "one-cycle", "one-cycle is no name", "did you mean one_cycle?"),
        ("train.start", "best", "no way to start is called best", 'in quotes: "best"'),
        (
            "train.optimizer",
            "sgd(0.1, 0.9)",
            "sgd takes only lr without a name; others are weight_decay = ..., momentum",
            "",
        ),
        ("train.optimizer", "lbfgs(1, 10)", "lbfgs takes only lr without a name", ""),
        (
            "train.optimizer",
            'lbfgs(line_search = "strong_wolfe")',
            "line_search is the text",
            "without quotes: strong_wolfe",
        ),
        (
            "train.metrics",
            "[acc(logits, label)]",
            "no name is called acc",
            "did you mean accuracy(logits, label)?",
        ),
        (
            "train.metrics",
            "[top_k_accuracy(logits, label)]",
            "k = 5 guesses of 2 classes are all of them",
            "",
        ),
        (
            "train.metrics",
            "[f1(logits, label, threshold = 0.5)]",
            "threshold is for answers of yes and no",
            "",
        ),
        (
            "data.preprocess",
            "[resize(20), flip]",
            "no preprocessing is called flip",
            "it belongs in the list augment",
        ),
        (
            "data.preprocess",
            "[resize(20), standardize]",
            "no preprocessing is called standardize",
            "normalize = standardize",
        ),
        (
            "data.augment",
            "[resize(20)]",
            "no augmentation is called resize",
            "it belongs in the list preprocess",
        ),
        ("data.validation", '"0.2"', "is text", "without quotes: 0.2"),
        (
            "data.classes",
            '["a", "b", "c"]',
            "the train set has 3 classes with names, the network 2",
            "one output for each",
        ),
        (
            "data.train",
            'folder("pics/train/cross")',
            "one sample and no label",
            "folder and wav by a folder for each class",
        ),
        ("data.train", 'zarr("pics")', "there are no arrays in it", ""),
        (
            "classes",
            "3",
            "there is no setting classes",
            "Shapes has no settings: net Shapes(classes = 3) gives it one",
        ),
        ("epochs", "3", "there is no setting epochs", "did you mean train.epochs?"),
    ],
)
def test_settings(room, setting, given, message, fix):
    (found, *_) = mistakes(room, "shapes.net", **{setting: given})
    assert message in found.message
    assert fix in (found.fix or "")


def test_pictures_of_several_sizes_become_those_of_the_network(room):
    (room / "mixed" / "a").mkdir(parents=True, exist_ok=True)
    (room / "mixed" / "b").mkdir(exist_ok=True)
    for k, size in enumerate([(18, 18), (25, 19)]):
        Image.new("RGB", size).save(room / "mixed" / "ab"[k] / "0.png")
    given = {"data.train": 'folder("mixed")', "data.preprocess": "[]", "train.batch": "1"}
    (found, *_) = mistakes(room, "shapes.net", **given)
    assert found.fix == "preprocess = [resize(20), center_crop(20)] gives all of them one size"


@pytest.mark.parametrize(
    ("name", "near"), [("stat", "stats"), ("heads", "head"), ("head.wieght", "head.weight")]
)
def test_names_of_layers(room, name, near):
    for setting, value in (
        ("train.stages", f'[stage(epochs = 2, train = "{name}")]'),
        ("train.groups", f'[group("{name}", lr = 0.1)]'),
        ("train.loss", f'cross_entropy(logits, label) + l2(weights, "{name}")'),
    ):
        (found, *_) = mistakes(room, "flowers.net", **{setting: value})
        assert near in (found.fix or ""), setting


def test_a_layer_in_a_block_is_found_by_its_own_name(tmp_path):
    text = """block Trunk { in -> dense(4) @name("fc") }
net A { input x: [3]; output y = x -> Trunk @name("trunk") -> dense(2) }
train { loss = cross_entropy(y, label); stages = [stage(epochs = 1, train = "fcs")] }
"""
    (tmp_path / "a.net").write_text(text)
    with pytest.raises(NetError, match=r"did you mean trunk\.fc"):
        check_sections(elaborate(read_source(str(tmp_path / "a.net"))))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train.epochs": -3}, "epochs must be a whole number from 1, not -3"),
        ({"train.optimizer": "adam(lr = 0)"}, "lr must be a number above 0"),
        ({"eval.batch": 0}, "batch must be a whole number from 1"),
        ({"data.validation": 20}, "validation is 20"),
        ({"data.augment": "rotate(-1)", "train.batch": 0}, "batch must be.*\n(.*\n)*.*degrees of rotate"),
    ],
)
def test_load_checks_the_settings_that_it_is_given(room, settings, message):
    with pytest.raises(NetError, match=message):
        netdsl.load(room / "flowers.net", settings=settings)
    assert netdsl.load(room / "flowers.net").name == "Flowers"
