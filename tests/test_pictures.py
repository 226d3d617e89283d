"""The pictures in docs/ are what the commands draw today; `NETDSL_UPDATE_GOLDEN=1` draws them anew."""

import os
from pathlib import Path

import pytest

from netdsl.cli.main import main

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
ZOO = (
    "resnet",
    "vgg",
    "densenet",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3",
    "squeezenet",
    "shufflenet_v2",
)
ZOO += ("efficientnet", "alexnet", "googlenet", "inception_v3", "senet154")
COMMANDS = {
    "lenet5.svg": ["draw", "examples/lenet5.net"],
    "googlenet.svg": ["draw", "examples/googlenet.net", "--depth", "1"],
    "inception_v4.svg": ["draw", "examples/inception_v4.net", "--depth", "1"],
    "resnet18.svg": ["draw", "examples/resnet.net", "--net", "resnet18", "--depth", "3"],
    "densenet121.svg": ["draw", "examples/densenet.net", "--net", "densenet121", "--depth", "1"],
    "seresnet50.svg": ["draw", "examples/senet.net", "--net", "seresnet50", "--depth", "2"],
    "unet.svg": ["draw", "examples/unet.net", "--depth", "1"],
    "yolo_v3.svg": ["draw", "examples/yolo_v3.net", "--depth", "1"],
    "retinanet.svg": ["draw", "examples/retinanet.net", "--depth", "1"],
    "zoo.svg": ["compare", *(f"examples/{name}.net" for name in ZOO)],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_picture(name, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    made = tmp_path / name
    option = "--chart" if COMMANDS[name][0] == "compare" else "-o"
    with pytest.raises(SystemExit) as end:
        main([*COMMANDS[name], option, str(made)])
    assert not end.value.code
    if os.environ.get("NETDSL_UPDATE_GOLDEN"):
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / name).write_bytes(made.read_bytes())
    assert (PICTURES / name).read_bytes() == made.read_bytes()
