"""What docs/zoo.md shows of every example: where it stands, whose it is, and how it is drawn."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from netdsl.elaborate import elaborate
from netdsl.report import Summary, summarize
from netdsl.syntax.parse import parse
from netdsl.syntax.read import read_source
from netdsl.syntax.tree import File

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Exhibit:
    """A file of examples/, its title, papers as its comment names them; the preset and the levels of blocks drawn."""

    file: str
    title: str
    papers: tuple[str, ...]
    drawn: str | None = None
    blocks: int = 9

    @property
    def names(self) -> list[str | None]:
        """The presets of the file, or its only net."""
        return [*tree(self.file).presets] or [None]

    @property
    def summaries(self) -> list[Summary]:
        return [summary(self.file, name) for name in self.names]


@cache
def tree(file: str) -> File:
    return parse(read_source(EXAMPLES / f"{file}.net"))


@cache
def summary(file: str, name: str | None) -> Summary:
    network = elaborate(read_source(EXAMPLES / f"{file}.net"), net=name)
    return summarize(network.name, network.graph)


SECTIONS = {
    "Digits and perceptrons": [
        Exhibit("lenet1", "LeNet-1", ("LeCun et al. 1989 and 1995",)),
        Exhibit("lenet5_1998", "LeNet-5 as published", ("LeCun et al. 1998",)),
        Exhibit("lenet5", "LeNet-5 of the lectures", ("LeCun et al. 1998",)),
        Exhibit("lenet5_fashion", "LeNet-5 for Fashion-MNIST", ()),
        Exhibit("mlp", "784-800-10", ("Simard et al. 2003",)),
        Exhibit("mlp512", "784-512-10", ()),
        Exhibit("mlp_1998", "784-300-10", ("LeCun et al. 1998",)),
        Exhibit("mlp_deep", "Deep perceptron", ("Ciresan et al. 2010",), "mlp_ciresan"),
        Exhibit("lecture_convnet", "Convolutional network of the lectures", ()),
        Exhibit("digits", "Small network for the digits of netdsl", ()),
        Exhibit("digits_towers", "The digits in two towers, one per GPU", ()),
    ],
    "Classification, by year": [
        Exhibit("alexnet_2012", "AlexNet as published", ("Krizhevsky et al. 2012",)),
        Exhibit("alexnet_towers", "AlexNet in two towers, one per GPU", ("Krizhevsky et al. 2012",)),
        Exhibit("alexnet", "AlexNet in one tower", ("Krizhevsky et al. 2012", "Krizhevsky 2014")),
        Exhibit("nin", "Network in Network", ("Lin et al. 2013",)),
        Exhibit("vgg", "VGG", ("Simonyan and Zisserman 2014",), "vgg16"),
        Exhibit("googlenet", "GoogLeNet", ("Szegedy et al. 2014",)),
        Exhibit("bn_inception", "BN-Inception", ("Ioffe and Szegedy 2015",)),
        Exhibit("inception_v3", "Inception-v3", ("Szegedy et al. 2015",)),
        Exhibit(
            "resnet",
            "ResNet, wide ResNet, ResNeXt",
            ("He et al. 2015", "Zagoruyko and Komodakis 2016", "Xie et al. 2016"),
            "resnet50",
        ),
        Exhibit("resnet_cifar", "ResNet for CIFAR-10", ("He et al. 2015", "Huang et al. 2016")),
        Exhibit("resnet18_cifar", "ResNet-18 for CIFAR-10", ()),
        Exhibit("preresnet", "ResNet with pre-activation", ("He et al. 2016",), "preresnet50"),
        Exhibit("inception_v4", "Inception-v4", ("Szegedy et al. 2016",)),
        Exhibit("inception_resnet_v2", "Inception-ResNet-v2", ("Szegedy et al. 2016",)),
        Exhibit("densenet", "DenseNet", ("Huang et al. 2016",)),
        Exhibit("darknet19", "Darknet-19", ("Redmon and Farhadi 2016",)),
        Exhibit("senet", "SE-ResNet", ("Hu et al. 2017",), "seresnet50"),
        Exhibit("senet154", "SENet-154", ("Hu et al. 2017",)),
        Exhibit("darknet53", "Darknet-53", ("Redmon and Farhadi 2018",)),
        Exhibit("bagnet", "BagNet", ("Brendel and Bethge 2019",), "bagnet33"),
    ],
    "Small networks": [
        Exhibit("squeezenet", "SqueezeNet", ("Iandola et al. 2016",)),
        Exhibit("mobilenet_v1", "MobileNet", ("Howard et al. 2017",)),
        Exhibit("mobilenet_v2", "MobileNet v2", ("Sandler et al. 2018",)),
        Exhibit("shufflenet_v2", "ShuffleNet v2", ("Ma et al. 2018",), "shufflenet_v2_x1_0"),
        Exhibit("mobilenet_v3", "MobileNet v3", ("Howard et al. 2019",)),
        Exhibit("efficientnet", "EfficientNet", ("Tan and Le 2019", "Liu 2020")),
    ],
    "Segmentation": [
        Exhibit("fcn", "FCN", ("Long et al. 2015",), "fcn8s"),
        Exhibit("unet", "U-Net", ("Ronneberger et al. 2015",)),
        Exhibit("segnet", "SegNet", ("Badrinarayanan et al. 2015",)),
        Exhibit("enet", "ENet", ("Paszke et al. 2016",)),
        Exhibit("pspnet", "PSPNet", ("Zhao et al. 2016",)),
        Exhibit(
            "deeplab",
            "DeepLab v3 and v3+",
            ("Chen et al. 2017", "Chen et al. 2018"),
            "deeplabv3plus_resnet101",
        ),
    ],
    "Detection": [
        Exhibit("rcnn", "R-CNN", ("Girshick et al. 2013",)),
        Exhibit("fast_rcnn", "Fast R-CNN", ("Girshick 2015",)),
        Exhibit("faster_rcnn", "Faster R-CNN", ("Ren et al. 2015", "Lin et al. 2016"), blocks=1),
        Exhibit("ssd", "SSD", ("Liu et al. 2015",)),
        Exhibit("rfcn", "R-FCN", ("Dai et al. 2016",)),
        Exhibit("fpn", "Feature pyramid", ("Lin et al. 2016",)),
        Exhibit("yolo_v2", "YOLOv2", ("Redmon and Farhadi 2016",)),
        Exhibit("mask_rcnn", "Mask R-CNN", ("He et al. 2017",), blocks=1),
        Exhibit("retinanet", "RetinaNet", ("Lin et al. 2017",)),
        Exhibit("yolo_v3", "YOLOv3", ("Redmon and Farhadi 2018",)),
        Exhibit("tiny_yolo_v3", "Tiny YOLOv3", ("Redmon and Farhadi 2018",)),
    ],
    "Others": [
        Exhibit("siamese", "Siamese network", ("Koch et al. 2015",), "koch2015"),
        Exhibit("autoencoder", "Autoencoder of digits", ("Hinton and Salakhutdinov 2006",)),
        Exhibit("two_heads", "Two heads for digits", ()),
        Exhibit("transfer_first", "Digits 0 to 4, to start from", ()),
        Exhibit("transfer", "Digits 5 to 9, from what 0 to 4 taught", ()),
        Exhibit("overfitting", "What helps against overfitting", ()),
        Exhibit("digits_softmax", "Softmax regression of digits", ()),
        Exhibit("rosenbrock", "Rosenbrock's valley", ()),
        Exhibit("volume", "VoxNet, three axes", ("Maturana and Scherer 2015",)),
        Exhibit("audio", "M5, one axis", ("Dai et al. 2016",)),
        Exhibit("hourglass", "Deep image prior", ("Ulyanov et al. 2018",)),
    ],
}
EXHIBITS = [exhibit for exhibits in SECTIONS.values() for exhibit in exhibits]
#: the chart shows classifiers of pictures
CHARTED = [e for name in ("Classification, by year", "Small networks") for e in SECTIONS[name]]

INTRODUCTION = """\
# The zoo

Every network of [examples/](../examples), with what it costs for one sample: parameters, and multiply-adds (MACs)
in inference, as [reports](reports.md#what-the-numbers-mean) count them. A family is one file, its members are
presets, such as `--net resnet50`. `netdsl check` holds each to its published number of parameters. A click opens a
drawing: on the left the network, beside it what is in its blocks, made with `netdsl draw FILE --depth 1 --blocks 9`
(`--blocks 1` for the R-CNNs on a feature pyramid).

![Multiply-adds against parameters of the classifiers](pictures/zoo.svg)
"""


def page() -> str:
    """The text of docs/zoo.md."""
    return "\n".join([INTRODUCTION, *(line for name in SECTIONS for line in section(name))])


def section(name: str) -> Iterator[str]:
    yield f"## {name}\n"
    yield "| | network | | input | parameters | MACs |"
    yield "|---|---|---|---|--:|--:|"
    yield from map(row, SECTIONS[name])
    yield ""


def row(exhibit: Exhibit) -> str:
    summaries = exhibit.summaries
    inputs = [", ".join(size(r.shape) for r in s.rows if r.kind == "input") for s in summaries]
    cells = [
        f'<a href="pictures/{exhibit.file}.svg"><img src="pictures/{exhibit.file}.svg" alt="{exhibit.title}" '
        'height="140"></a>',
        "<br>".join([f"[{exhibit.title}](../examples/{exhibit.file}.net)", *exhibit.papers]),
        "<br>".join(name for name in exhibit.names if name),
        "<br>".join(inputs if len(set(inputs)) > 1 else inputs[:1]),
        "<br>".join(f"{s.totals.params:,}" for s in summaries),
        "<br>".join(short(s.totals.macs) for s in summaries),
    ]
    return f"| {' | '.join(cells)} |"


def size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def short(count: int) -> str:
    """Three digits, such as 4.09 G."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            value = count / unit
            return f"{value:.{max(0, 3 - len(str(int(value))))}f} {name}"
    return str(count)
