"""Parameters and multiply-adds of the zoo against what others published or built.

The counts stand in the examples too, as claims; here each has its source. Sources:

- torchvision: the metadata of its weights, version 0.29 (`num_params`, and `_ops` in GMACs with three digits);
- pytorchcv, version 0.0.74: its table model_metainfos.csv (`net_weights`), for SegNet the count in its own test;
- timm: what its version 1.0.31 builds;
- Darknet: the sizes of its weight files, and what it prints of its configurations (package 20180914);
- the paper or the lecture, where it states the count or its layers add up to it by hand.
"""

from pathlib import Path

import pytest

from netdsl.cost import count_macs, count_params
from netdsl.elaborate import elaborate
from netdsl.syntax.read import read_source

EXAMPLES = Path(__file__).parents[2] / "examples"

# File, net or preset, settings, parameters, GMACs.
TORCHVISION = [
    ("alexnet", None, {}, 61_100_840, 0.714),
    ("deeplab", "deeplabv3_resnet50", {"H": "520", "W": "520"}, 42_004_074, 178.722),
    ("deeplab", "deeplabv3_resnet101", {"H": "520", "W": "520"}, 60_996_202, 258.743),
    ("densenet", "densenet121", {}, 7_978_856, 2.834),
    ("densenet", "densenet161", {}, 28_681_000, 7.728),
    ("densenet", "densenet169", {}, 14_149_480, 3.36),
    ("densenet", "densenet201", {}, 20_013_928, 4.291),
    ("efficientnet", "efficientnet_b0", {}, 5_288_548, 0.386),
    ("googlenet", None, {"heads": "false"}, 6_624_904, 1.498),
    ("inception_v3", None, {}, 27_161_264, None),
    # It counts what inference computes, which leaves out the head.
    ("inception_v3", "inception_v3_without_head", {}, 23_834_568, 5.713),
    ("mobilenet_v2", None, {}, 3_504_872, 0.301),
    ("mobilenet_v3", "mobilenet_v3_large", {}, 5_483_032, 0.217),
    ("mobilenet_v3", "mobilenet_v3_small", {}, 2_542_856, 0.057),
    ("resnet", "resnet18", {}, 11_689_512, 1.814),
    ("resnet", "resnet34", {}, 21_797_672, 3.664),
    ("resnet", "resnet50", {}, 25_557_032, 4.089),
    ("resnet", "resnet101", {}, 44_549_160, 7.801),
    ("resnet", "resnet152", {}, 60_192_808, 11.514),
    ("resnet", "resnext50_32x4d", {}, 25_028_904, 4.23),
    ("resnet", "resnext101_32x8d", {}, 88_791_336, 16.414),
    ("resnet", "resnext101_64x4d", {}, 83_455_272, 15.46),
    ("resnet", "wide_resnet50_2", {}, 68_883_240, 11.398),
    ("resnet", "wide_resnet101_2", {}, 126_886_696, 22.753),
    ("shufflenet_v2", "shufflenet_v2_x0_5", {}, 1_366_792, 0.04),
    ("shufflenet_v2", "shufflenet_v2_x1_0", {}, 2_278_604, 0.145),
    ("shufflenet_v2", "shufflenet_v2_x1_5", {}, 3_503_624, 0.296),
    ("shufflenet_v2", "shufflenet_v2_x2_0", {}, 7_393_996, 0.583),
    ("squeezenet", "squeezenet1_0", {}, 1_248_424, 0.819),
    ("squeezenet", "squeezenet1_1", {}, 1_235_496, 0.349),
    # 34.858 there: the 512 * 38 * 38 products of the learnt scale do not count.
    ("ssd", "ssd300_vgg16", {}, 35_641_826, None),
    ("vgg", "vgg11", {}, 132_863_336, 7.609),
    ("vgg", "vgg13", {}, 133_047_848, 11.308),
    ("vgg", "vgg16", {}, 138_357_544, 15.47),
    ("vgg", "vgg19", {}, 143_667_240, 19.632),
    ("vgg", "vgg11_bn", {}, 132_868_840, 7.609),
    ("vgg", "vgg13_bn", {}, 133_053_736, 11.308),
    ("vgg", "vgg16_bn", {}, 138_365_992, 15.47),
    ("vgg", "vgg19_bn", {}, 143_678_248, 19.632),
]
PYTORCHCV = [
    ("bagnet", "bagnet9", {}, 15_688_744),
    ("bagnet", "bagnet17", {}, 16_213_032),
    ("bagnet", "bagnet33", {}, 18_310_184),
    ("bn_inception", None, {}, 11_295_240),
    ("darknet19", "darknet19", {}, 20_842_376),
    ("darknet19", "darknet_ref", {}, 7_319_416),
    ("darknet53", None, {}, 41_609_928),
    ("deeplab", "deeplabv3_resnetd50b", {}, 42_127_850),
    ("enet", None, {}, 358_060),
    ("inception_resnet_v2", None, {}, 55_843_464),
    ("inception_v4", None, {}, 42_679_816),
    ("mobilenet_v1", "mobilenet_w1", {}, 4_231_976),
    ("mobilenet_v1", "mobilenet_w3d4", {}, 2_585_560),
    ("mobilenet_v1", "mobilenet_wd2", {}, 1_331_592),
    ("mobilenet_v1", "mobilenet_wd4", {}, 470_072),
    ("nin", None, {}, 966_986),
    ("preresnet", "preresnet18", {}, 11_687_848),
    ("preresnet", "preresnet34", {}, 21_796_008),
    ("preresnet", "preresnet50", {}, 25_549_480),
    ("preresnet", "preresnet101", {}, 44_541_608),
    ("preresnet", "preresnet152", {}, 60_185_256),
    ("pspnet", "pspnet_resnetd50b", {}, 49_081_578),
    ("pspnet", "pspnet_resnetd101b", {}, 68_073_706),
    ("resnet_cifar", "resnet20", {}, 272_474),
    ("resnet_cifar", "resnet56", {}, 855_770),
    ("resnet_cifar", "resnet110", {}, 1_730_714),
    ("segnet", "segnet_cityscapes", {}, 29_453_971),
    ("senet", "seresnet18", {}, 11_778_592),
    ("senet", "seresnet50", {}, 28_088_024),
    ("senet", "seresnet101", {}, 49_326_872),
    ("senet", "seresnet152", {}, 66_821_848),
    ("senet154", None, {}, 115_088_984),
]
PAPERS = [
    ("alexnet_2012", None, {}, 60_965_224),  # Krizhevsky et al. 2012: "60 million"; Caffe's reference model
    ("alexnet_towers", None, {}, 60_965_224),
    ("lecture_convnet", None, {}, 104_202),
    ("lecture_convnet", None, {"pool": "false"}, 712_202),
    ("lenet1", None, {}, 4 * 26 + 12 * 101 + 193 * 10),
    ("lenet5", None, {}, 61_706),
    ("lenet5_1998", None, {}, 60_000 + 84 * 10),  # LeCun et al. 1998: 60,000 "trainable", and fixed codes
    ("mlp", None, {}, 636_010),
    ("mlp", None, {"hidden": "512"}, 407_050),
    ("mlp_1998", None, {}, 785 * 300 + 301 * 10),
    (
        "mlp_deep",
        "mlp_ciresan",
        {},
        785 * 2500 + 2501 * 2000 + 2001 * 1500 + 1501 * 1000 + 1001 * 500 + 501 * 10,
    ),
]
TIMM = [
    ("efficientnet", "efficientnet_lite0", {}, 4_652_008),
]
# What torchvision builds; its metadata leaves out the 53,120 scales and offsets of frozen batch norms.
DETECTION = [
    # Girshick et al. 2013: AlexNet without its last layer; 21 + 20 classes on fc7, 20 regressions on the last pool.
    ("rcnn", None, {}, 60_965_224 + 4097 * (21 + 20 - 1000) + 9217 * 80),
    # Girshick 2015: VGG-16 without its last layer; 21 classes, 20 boxes.
    ("fast_rcnn", None, {}, 138_357_544 + 4097 * (21 + 80 - 1000)),
    # Dai et al. 2016: ResNet-101 without its last layer, a 1x1 convolution, 7 x 7 maps of 21 classes and a box; the
    # proposals' 3x3 convolution and 9 anchors.
    ("rfcn", None, {}, 42_500_160 + 2049 * 1024 + 1025 * 49 * (21 + 4) + (9 * 1024 + 1) * 512 + 513 * 9 * 5),
    ("faster_rcnn", "fasterrcnn_resnet50_fpn", {}, 41_755_286 + 53_120),
    ("mask_rcnn", "maskrcnn_resnet50_fpn", {}, 44_401_393 + 53_120),
    ("fpn", "fpn_resnet50", {}, 26_852_416),
    ("fpn", "fpn_resnet101", {}, 45_844_544),
    ("retinanet", "retinanet_resnet50_fpn", {}, 34_014_999 + 53_120),
    # 70 classes less for 30 boxes about cells of 14,848 channels.
    ("ssd", "ssd300_voc", {}, 35_641_826 - 70 * (9 * 14_848 + 30)),
]
# By hand from the paper's tables.
SEGMENTATION = [
    # Torchvision's ResNet-101 and pyramid; two normalised 3x3 convolutions behind 48 channels of the first stage.
    (
        "deeplab",
        "deeplabv3plus_resnet101",
        {},
        42_500_160 + 15_535_104 + 258 * 48 + (304 * 9 + 2 + 256 * 9 + 2) * 256 + 257 * 21,
    ),
    ("fcn", "fcn32s", {}, 134_346_581 + 64 * 64 * 21 * 21),
    ("unet", "unet_2015", {}, 31_030_658),
]
# File, net, settings, numbers in the published weight file (running statistics too), BFLOPs that `darknet` prints
# when it loads the network: two per multiply-add.
DARKNET = [
    ("darknet53", None, {}, None, 18.57),
    ("tiny_yolo_v3", None, {}, 8_858_734, 5.56),
    ("vgg", "vgg16", {}, 138_357_544, 30.94),
    ("yolo_v2", None, {}, 50_983_561, 62.94),
    ("yolo_v3", None, {}, 62_001_757, 65.86),
    ("yolo_v3", None, {"H": "608", "W": "608"}, 62_001_757, 140.69),
]
COUNTS = [row[:4] for row in (*TORCHVISION, *PYTORCHCV, *PAPERS, *TIMM, *DETECTION, *SEGMENTATION)]
GMACS = [
    *((*row[:3], row[4]) for row in TORCHVISION if row[4] is not None),
    # Those of Mask R-CNN were counted on a picture without objects, so without masks.
    ("faster_rcnn", "fasterrcnn_resnet50_fpn", {}, 134.38),
    ("retinanet", "retinanet_resnet50_fpn", {"H": "800", "W": "800"}, 151.54),
]


def graph_of(file, net, settings):
    return elaborate(read_source(EXAMPLES / f"{file}.net"), net=net, overrides=settings).graph


def names(rows):
    return [f"{row[0]}-{row[1] or ''}-{','.join(row[2])}".rstrip("-") for row in rows]


def test_the_zoo_is_as_large_as_it_says():
    assert len(COUNTS) >= 60


@pytest.mark.parametrize(("file", "net", "settings", "params"), COUNTS, ids=names(COUNTS))
def test_parameters(file, net, settings, params):
    assert count_params(graph_of(file, net, settings)) == params


@pytest.mark.parametrize(("file", "net", "settings", "gmacs"), GMACS, ids=names(GMACS))
def test_multiply_adds(file, net, settings, gmacs):
    assert round(count_macs(graph_of(file, net, settings)) / 1e9, 3) == gmacs


@pytest.mark.parametrize(("file", "net", "settings", "numbers", "bflops"), DARKNET, ids=names(DARKNET))
def test_darknet(file, net, settings, numbers, bflops):
    graph = graph_of(file, net, settings)
    states = sum(n.types[0].size for n in graph.leaves("state"))
    assert numbers in (None, count_params(graph) + states)
    assert round(2 * count_macs(graph) / 1e9, 2) == bflops
