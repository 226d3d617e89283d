"""`netdsl compile -o`: the ending decides; weights of a training; ONNX models against onnxruntime."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from netdsl.data import Said, Usage, load_split
from netdsl.runtime.artifact import load_artifact
from tests.predict.test_run import call, train

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    return folder / "small.net", train(None, folder, "digits.train", epochs=1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("f.onx", r"did you mean .*f\.onnx\?"),
        ("f.safetensors", "an artifact ends in .netdsl, an ONNX model in .onnx"),
        ("f", "does not say what to write"),
        ("f.pth", "does not say what to write"),
    ],
)
def test_other_endings_are_refused(capsys, trained, tmp_path, name, message):
    file, _ = trained
    code, out, err = call(capsys, "compile", file, "-o", tmp_path / name)
    assert code == 1 and out == "" and message.split(".*")[0].replace("\\", "") in err
    assert not (tmp_path / name).exists()


def test_weights_and_what_writes_nothing_are_wrong_usage(capsys, trained, tmp_path):
    file, checkpoint = trained
    assert call(capsys, "compile", file, "--weights", checkpoint)[0] == 2
    assert call(capsys, "compile", file, "-o", tmp_path / "f.netdsl", "--emit", "graph")[0] == 2
    assert call(capsys, "compile", file, "-o", tmp_path / "f.netdsl", "--explain")[0] == 2
    assert not list(tmp_path.iterdir())


def test_an_artifact_of_a_training_does_what_the_checkpoint_does(capsys, trained, tmp_path):
    file, checkpoint = trained
    path = tmp_path / "small.netdsl"
    code, out, _ = call(capsys, "compile", file, "-o", path, "--weights", checkpoint)
    assert code == 0 and out.endswith(f"written to {path}, with the weights of {checkpoint}\n")
    assert path.stat().st_size < checkpoint.stat().st_size
    split = load_split("digits", "test")
    np.save(tmp_path / "x.npy", split["image"][:4])
    picture = np.rint(split["image"][0, ..., 0] / 16 * 255).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    for data in ("x.npy", "a.png"):
        want = call(capsys, "run", checkpoint, tmp_path / data, "--format", "json")[1]
        assert call(capsys, "run", path, tmp_path / data, "--format", "json")[1] == want
    usage = Usage.from_json(load_artifact(path).model.usage)
    assert usage.outputs == {"logits": Said("logits", tuple("0123456789"))}


def test_weights_of_another_network_are_refused(capsys, trained, tmp_path):
    file, checkpoint = trained
    other = tmp_path / "other.net"
    other.write_text(file.read_text().replace("flatten", "flatten -> dense(5) -> relu"))
    code, _, err = call(capsys, "compile", other, "-o", tmp_path / "f.onnx", "--weights", checkpoint)
    assert code == 1 and "belongs to another network" in err and not (tmp_path / "f.onnx").exists()


@pytest.mark.parametrize("name", ["digits.net", "squeezenet.net"])
def test_onnx_models_hold_weights_and_give_the_same(capsys, tmp_path, name):
    """onnxruntime's outputs for inputs as the network takes them are those of the artifact."""
    settings = () if name == "digits.net" else ("--set", "classes=7")
    for ending in ("onnx", "netdsl"):
        words = ("compile", EXAMPLES / name, "-o", tmp_path / f"f.{ending}", "--batch", "2", *settings)
        assert call(capsys, *words)[0] == 0
    session = onnxruntime.InferenceSession(tmp_path / "f.onnx", providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    x = np.random.default_rng(0).random(entry.shape).astype(np.float32)
    names = [output.name for output in session.get_outputs()]
    got = dict(zip(names, session.run(None, {entry.name: x}), strict=True))
    np.save(tmp_path / "x.npy", x)
    assert call(capsys, "run", tmp_path / "f.netdsl", tmp_path / "x.npy", "--out", tmp_path / "y.npz")[0] == 0
    want = np.load(tmp_path / "y.npz")
    assert set(names) == set(want)
    for output in names:
        np.testing.assert_allclose(got[output], want[output], rtol=1e-4, atol=1e-4)
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "f.onnx").metadata_props}
    usage = Usage.from_json(json.loads(metadata["netdsl.usage"]))
    assert usage.inputs[entry.name].sample == tuple(x.shape[1:])


def test_an_op_without_a_counterpart_is_named(capsys, tmp_path):
    (tmp_path / "n.net").write_text("net N { input x: [9, 9, 4]; output y = x -> lrn(size = 4) }\n")
    code, _, err = call(capsys, "compile", tmp_path / "n.net", "-o", tmp_path / "n.onnx")
    assert code == 1 and "ONNX has no counterpart of" in err and "write a .netdsl" in err
    assert not (tmp_path / "n.onnx").exists()
