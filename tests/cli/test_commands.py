"""The commands as a person calls them: output, JSON, exit status."""

import json
from pathlib import Path

import numpy as np
import pytest

from netdsl.cli.main import COMMANDS
from tests.calls import call

ROOT = Path(__file__).parent.parent.parent
LENET = str(ROOT / "examples" / "lenet5.net")
DIGITS = str(ROOT / "examples" / "digits.net")


def test_help_names_every_command(capsys):
    code, out, _ = call(capsys, "--help")
    assert code == 0 and "netdsl COMMAND" in out and "doctor" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["help"], "netdsl COMMAND"),
        (["help", "help"], "usage: netdsl help [COMMAND...]"),
        (["help", "--help"], "usage: netdsl help [COMMAND...]"),
        (["help", "-h"], "usage: netdsl help [COMMAND...]"),
        (["help", "help", "train"], "usage: netdsl help [COMMAND...]"),
        (["help", "data", "get"], "usage: netdsl data get"),
        *((["help", name], f"usage: netdsl {name}") for name in COMMANDS),
        *(([name, "--help"], f"usage: netdsl {name}") for name in COMMANDS),
    ],
)
def test_every_command_has_help(capsys, words, told):
    code, out, err = call(capsys, *words)
    assert (code, err) == (0, "") and told in out


def test_help_of_what_is_not_there(capsys):
    code, _, err = call(capsys, "help", "trian")
    assert code == 2 and "did you mean train?" in err
    code, _, err = call(capsys, "help", "data", "gte")
    assert code == 2 and "gte" in err


def test_unknown_command_is_wrong_usage_with_a_suggestion(capsys):
    code, _, err = call(capsys, "trian")
    assert code == 2 and "did you mean train?" in err


def test_wrong_option_is_wrong_usage(capsys):
    assert call(capsys, "shapes", LENET, "--nope")[0] == 2
    assert call(capsys, "shapes", LENET, "--set", "classes")[0] == 2


def test_params_as_json(capsys):
    code, out, _ = call(capsys, "params", LENET, "--format", "json")
    report = json.loads(out)
    assert code == 0 and report["totals"]["params"] == 61_706
    assert report["rows"][1]["name"] == "conv1" and report["rows"][1]["span"]["line"] == 6


def test_shapes_as_a_table(capsys):
    code, out, _ = call(capsys, "shapes", LENET)
    assert code == 0 and "[28, 28, 6]" in out and "61,706 params" in out


def test_check_reports_every_file(capsys, tmp_path):
    broken = tmp_path / "broken.net"
    broken.write_text("net N { input x: [4]\n output y = x -> dens(3) }\n")
    code, out, err = call(capsys, "check", LENET, str(broken))
    assert code == 1 and "is well-formed" in out and "did you mean dense?" in err
    code, out, _ = call(capsys, "check", str(broken), "--format", "json")
    assert code == 1 and json.loads(out)["errors"][0]["code"] == "name"


def test_a_broken_network_reports_up_to_the_mistake(capsys, tmp_path):
    broken = tmp_path / "broken.net"
    broken.write_text("net N {\n  input x: [4, 4, 2]\n  output y = x -> conv(3, 3) -> conv(2, 7)\n}\n")
    code, out, err = call(capsys, "shapes", str(broken))
    assert code == 1 and "[2, 2, 3]" in out and "does not fit" in err


def test_fmt_formats_in_place(capsys, tmp_path):
    path = tmp_path / "a.net"
    path.write_text("net N{input x:[4]\noutput y=x->dense(3)}\n")
    assert call(capsys, "fmt", "--check", str(path))[0] == 1
    assert call(capsys, "fmt", str(path))[0] == 0
    assert call(capsys, "fmt", "--check", str(path))[0] == 0


def test_ops_and_doctor(capsys):
    assert "channels" in call(capsys, "ops", "conv")[1]
    code, _, err = call(capsys, "ops", "convv")
    assert code == 1 and "did you mean conv?" in err
    assert "did you mean he_normal?" in call(capsys, "ops", "kaiming_normal")[2]
    assert "did you mean max_pool(size)?" in call(capsys, "ops", "MaxPooling2D")[2]


@pytest.mark.parametrize(
    "name, told",
    [
        ("he_normal", ["variance `2 / fan_in`", "He et al. 2015", "used as: conv(8, 3, init = he_normal)"]),
        ("glorot_uniform", ["sqrt(6 / (fan_in + fan_out))", "Glorot and Bengio 2010"]),
        ("auto", ["`he_normal` where a ReLU-like activation comes next, `glorot_uniform` elsewhere"]),
        ("sgd", ["sgd(lr = 0.01, weight_decay = 0.0, momentum = 0.0, nesterov = false, ", "Nesterov 1983"]),
        ("cosine", ["Loshchilov and Hutter 2016", "train { schedule = cosine }"]),
        ("flip", ["mirror left and right", "data { augment = [flip] }"]),
        ("standardize", ["subtract the mean and divide by the standard deviation"]),
        ("cifar10.test", ["10,000 samples [32, 32, 3] of 10 classes"]),
        ("resize", ["ONNX Resize", "data { preprocess = [resize(256)] }"]),
        ("constant", ["conv(8, 3, init = constant(0.1))", "train { schedule = constant }"]),
    ],
)
def test_ops_answers_for_all_that_files_name(capsys, name, told):
    """Also where an op and something else go by one name."""
    code, out, _ = call(capsys, "ops", name)
    assert code == 0 and out.startswith(name) and all(text in out for text in told)
    assert name in call(capsys, "ops")[1] and name in call(capsys, "ops", name, "--format", "json")[1]


def test_doctor_and_data(capsys):
    assert "threads" in call(capsys, "doctor")[1]
    assert "digits" in call(capsys, "data", "list")[1]


@pytest.mark.parametrize("stage", ["tree", "graph", "primitives", "schedule", "kernels"])
def test_compile_emits_every_stage(capsys, stage):
    code, out, _ = call(capsys, "compile", LENET, "--emit", stage)
    assert code == 0 and len(out) > 200


def test_compile_explains_and_checks(capsys):
    code, out, _ = call(capsys, "compile", LENET, "--explain")
    assert code == 0 and "fuse_epilogue rewrote" in out
    code, out, _ = call(capsys, "compile", DIGITS, "--training", "--check-passes", "--batch", "2")
    assert code == 0 and "steps" in out


def test_train_eval_run(capsys, tmp_path):
    out = tmp_path / "run"
    words = ("train", DIGITS, "--out", str(out), "--set", "train.epochs=3", "--set", "width=8")
    code, text, _ = call(capsys, *words)
    assert code == 0 and "epoch 3/3" in text
    last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "end" and last["test"]["accuracy"] > 0.9
    checkpoint = str(out / "last.safetensors")
    code, text, _ = call(capsys, "eval", DIGITS, checkpoint, "--set", "width=8", "--format", "json")
    assert code == 0 and json.loads(text)["accuracy"] == pytest.approx(last["test"]["accuracy"])
    np.save(tmp_path / "x.npy", np.zeros((2, 8, 8, 1), np.uint8))
    code, text, _ = call(capsys, "run", checkpoint, str(tmp_path / "x.npy"), "--format", "json")
    assert code == 0 and np.shape(json.loads(text)["outputs"]["logits"]) == (2, 10)


def test_an_artifact_runs(capsys, tmp_path):
    path = str(tmp_path / "lenet.netdsl")
    assert call(capsys, "compile", LENET, "-o", path)[0] == 0
    np.save(tmp_path / "x.npy", np.zeros((28, 28, 1), np.float32))
    code, text, _ = call(capsys, "run", path, str(tmp_path / "x.npy"))
    assert code == 0 and text.startswith("sample 0\n  class 0   10.00 %\n")
    code, _, err = call(capsys, "run", str(tmp_path / "x.npy"), str(tmp_path / "x.npy"))
    assert code == 1 and "error[artifact]" in err


def test_several_inputs_are_fed_by_name(capsys, tmp_path):
    source, artifact, data = tmp_path / "sum.net", str(tmp_path / "sum.netdsl"), tmp_path / "x.npz"
    source.write_text(
        "net Sum { input a: [2]; input b: [2]; output y = (a + b) -> log; output more = a > b }\n"
    )
    assert call(capsys, "compile", str(source), "-o", artifact)[0] == 0
    np.savez(data, a=np.array([[1.0, 0.0]]), b=np.array([[0.0, 0.0]]))
    code, text, _ = call(capsys, "run", artifact, str(data), "--format", "json")
    assert code == 0 and json.loads(text)["outputs"] == {"y": [[0.0, None]], "more": [[True, False]]}
    np.savez(data, a=np.zeros((1, 2)), b=np.zeros((2, 2)))
    code, _, err = call(capsys, "run", artifact, str(data))
    assert code == 1 and "different numbers of samples: a [1, 2], b [2, 2]" in err
    np.save(tmp_path / "x.npy", np.zeros(2))
    code, _, err = call(capsys, "run", artifact, str(tmp_path / "x.npy"))
    assert code == 1 and "the network takes a, b: an .npz file" in err


def test_a_folder_that_is_not_there_is_wrong_usage(capsys, tmp_path):
    folder = tmp_path / "none"
    code, _, err = call(capsys, "draw", LENET, "-o", str(folder / "x.svg"))
    assert code == 2 and f"argument -o: there is no folder {folder} for x.svg" in err


def test_no_memory_and_no_network(capsys, tmp_path):
    code, out, _ = call(capsys, "report", LENET, "--memory", "0")
    assert code == 0 and "largest batch in 0 B: none in inference" in out
    (tmp_path / "empty.net").write_text("")
    code, _, err = call(capsys, "compare", str(tmp_path / "empty.net"))
    assert code == 2 and "there is no net in" in err
