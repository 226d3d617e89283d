"""Weights to start from: ours, safetensors and PyTorch's; what matches, what is new, what is refused."""

import json
import pickle
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

import netdsl
from netdsl.cli.main import main
from netdsl.elaborate import elaborate
from netdsl.runtime.weight_file import open_weights
from netdsl.source import NetError, Source
from netdsl.train import Trainer
from netdsl.train.sections import check_sections

from . import torch_files
from .nets import TEXT, network, plan

RNG = np.random.default_rng(0)
PICTURES = """
net Pictures(classes = 3) {
  input x: [6, 5, 2]
  output logits = x -> conv(4, 3) -> batch_norm -> relu -> conv(3, 1) -> flatten -> relu -> dense(7)
    -> batch_norm -> relu -> dense(classes)
}
train { loss = cross_entropy(logits, label) }
"""


def begun(folder, text, setting, batch=2):
    """The weights that a network begins with, by `train.start`."""
    net = elaborate(
        Source(str(folder / "n.net"), text), batch, {"train.start": setting, "train.batch": str(batch)}
    )
    trainer = Trainer(net)
    trainer._start()
    return trainer._loop.start, trainer.program.state_dict()


@pytest.fixture
def trained(tmp_path):
    """A run of the tiny network in `a`."""
    trainer = Trainer(network(epochs=1), tmp_path / "a", plan())
    trainer.fit()
    return trainer.program.state_dict()


@pytest.mark.parametrize("name", ["last", "best"])
def test_a_checkpoint_is_taken_by_name_without_its_slots(tmp_path, trained, name):
    found = netdsl.load_weights(tmp_path / "a" / f"{name}.safetensors")
    start, now = begun(tmp_path, TEXT, f'"a/{name}.safetensors"', 8)
    assert set(found) == {n for n in trained if "/" not in n} == set(start.match.pairs)
    for weight in found:
        np.testing.assert_array_equal(now[weight], found[weight])
    assert not now["dense1.weight/momentum"].any()


def test_the_head_is_left_out_on_purpose(tmp_path, trained):
    other = TEXT.replace("dense(3)", "dense(5)")
    with pytest.raises(NetError) as caught:
        begun(tmp_path, other, '"a/last.safetensors"')
    (problem,) = caught.value.diagnostics
    assert problem.message.startswith("dense2.weight is [8, 5] here and [8, 3] in ")
    assert problem.fix == 'to train it anew: start = load(..., skip = "dense2")'
    start, now = begun(tmp_path, other, 'load("a/last.safetensors", skip = "dense2")')
    np.testing.assert_array_equal(now["dense1.weight"], trained["dense1.weight"])
    assert set(start.match.new) == {"dense2.weight", "dense2.bias"} == set(start.match.left)
    assert start.lines[1:] == ["  new: dense2", "  left out: dense2"]


RENAMED = TEXT.replace("net Tiny {", "net Tiny {\n layer one = dense(8)\n layer two = dense(3)").replace(
    "x -> dense(8) -> tanh -> dense(3)", "x -> one -> tanh -> two"
)


@pytest.mark.parametrize(
    "rename",
    [
        '["dense1 -> one", "dense2 -> two"]',
        '"dense1.* -> one.*, dense2.* -> two.*"',
        '"*1.weight -> one.weight, dense1.bias -> one.bias, dense2 -> two"'.replace("*1", "dense1"),
    ],
)
def test_layers_of_other_names(tmp_path, trained, rename):
    start, now = begun(tmp_path, RENAMED, f'load("a/last.safetensors", rename = {rename})')
    assert start.match.pairs["one.weight"] == "dense1.weight" and not start.match.new
    np.testing.assert_array_equal(now["two.bias"], trained["dense2.bias"])


WRONG = [
    ("", '"a/lost.safetensors"', "there is no file"),
    ("", "3", "start is a file"),
    ("", "loud(3)", "no way to start is called loud"),
    ("", 'load("a/last.safetensors", skip = 3)', "load: skip must be text"),
    ("", 'load("a/last.safetensors", skip = "dnse2")', "skip: no weight is called dnse2"),
    ("", 'load("a/last.safetensors", skip = "dense*")', "skip leaves out every weight"),
    ("", 'load("a/last.safetensors", rename = "dense1")', "load: rename must be such as"),
    ("", 'load("a/last.safetensors", rename = "a.* -> b")', "as many *"),
    ("", 'load("a/last.safetensors", rename = "conv -> dense")', "no array of the file fits conv"),
    ("", 'load("a/last.safetensors", rename = "dense1 -> dense2")', "rename makes dense2."),
    ("", 'load("a/last.safetensors", layout = keras)', "layout is pytorch or netdsl, not"),
    ("renamed", '"a/last.safetensors"', "has no array called one.weight and 3 more; it has dense1."),
    ("", '"n.net"', "a file of weights"),
]


@pytest.mark.parametrize(("text", "setting", "message"), WRONG)
def test_what_does_not_fit_is_said_by_check_too(tmp_path, trained, text, setting, message):
    (tmp_path / "n.net").write_text(TEXT)
    net = lambda: elaborate(  # noqa: E731 - a mistake of the setting may be found at any time
        Source(str(tmp_path / "n.net"), RENAMED if text else TEXT), 8, {"train.start": setting}
    )
    with pytest.raises(NetError) as caught:
        check_sections(net())
    assert message in str(caught.value)
    assert all(d.span is not None for d in caught.value.diagnostics)
    with pytest.raises(NetError) as again:
        Trainer(net(), data=plan()).fit()
    assert [d.message for d in again.value.diagnostics] == [d.message for d in caught.value.diagnostics]


def torch_order(rng):
    """PyTorch's arrays for PICTURES, and what each must become here, written by hand."""
    conv1, conv2 = rng.normal(size=(4, 2, 3, 3)), rng.normal(size=(3, 4, 1, 1))
    dense1, dense2 = rng.normal(size=(7, 3 * 4 * 3)), rng.normal(size=(3, 7))
    theirs = {"0.weight": conv1, "3.weight": conv2, "6.weight": dense1, "9.weight": dense2}
    rows = dense1.reshape(7, 3, 4, 3).transpose(2, 3, 1, 0).reshape(36, 7)  # [F, C, H, W] to [H, W, C, F]
    ours = {"conv1": conv1.transpose(2, 3, 1, 0), "conv2": conv2.transpose(2, 3, 1, 0), "dense1": rows}
    ours = {f"{n}.weight": a for n, a in {**ours, "dense2": dense2.T}.items()}
    for there, here, size in (("0", "conv1", 4), ("3", "conv2", 3), ("6", "dense1", 7), ("9", "dense2", 3)):
        theirs[f"{there}.bias"] = ours[f"{here}.bias"] = rng.normal(size=size)
    for there, here, size in (("1", "batch_norm1", 4), ("7", "batch_norm2", 7)):
        for part in ("weight", "bias", "running_mean", "running_var"):
            theirs[f"{there}.{part}"] = ours[f"{here}.{part}"] = rng.uniform(0.5, 1, size)
        theirs[f"{there}.num_batches_tracked"] = np.array(3)
    order = sorted(theirs, key=lambda n: int(n.split(".")[0]))
    return {n: theirs[n].astype(np.float32 if theirs[n].ndim else np.int64) for n in order}, ours


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_pytorch_weights_of_other_names_go_by_shape_and_order(tmp_path, kind):
    theirs, ours = torch_order(np.random.default_rng(1))
    path = tmp_path / f"w.{kind}"
    torch_files.save(path, theirs) if kind == "pth" else save_file(theirs, path)
    start, now = begun(tmp_path, PICTURES, f'"w.{kind}"')
    assert start.match.how == "by shape and order" and start.match.pairs["dense1.weight"] == "6.weight"
    assert not start.match.new and not start.match.left
    for name, array in ours.items():
        np.testing.assert_array_equal(now[name], array.astype(np.float32), err_msg=name)


def test_pytorch_names_that_are_ours_are_taken_by_name(tmp_path):
    theirs, ours = torch_order(np.random.default_rng(1))
    names = {"0": "conv1", "1": "batch_norm1", "3": "conv2", "6": "dense1", "7": "batch_norm2", "9": "dense2"}
    known = {f"{names[n.split('.')[0]]}.{n.split('.')[1]}": a for n, a in theirs.items()}
    save_file(dict(reversed(known.items())), tmp_path / "w.safetensors")
    start, now = begun(tmp_path, PICTURES, '"w.safetensors"')
    assert start.match.how == "by name" and start.layout == "pytorch"
    for name, array in ours.items():
        np.testing.assert_array_equal(now[name], array.astype(np.float32), err_msg=name)
    rule = 'rename = "model.* -> *"'
    torch_files.save(tmp_path / "w.pth", {f"model.{n}": a for n, a in known.items()})
    start, again = begun(tmp_path, PICTURES, f'load("w.pth", {rule})')
    assert all(np.array_equal(again[n], now[n]) for n in now) and start.match.how == "by name"


def test_our_own_layout_in_plain_safetensors_is_told_by_the_shapes(tmp_path):
    _, ours = torch_order(np.random.default_rng(1))
    save_file({n: np.ascontiguousarray(a, np.float32) for n, a in ours.items()}, tmp_path / "w.safetensors")
    start, now = begun(tmp_path, PICTURES, '"w.safetensors"')
    assert start.layout == "netdsl"
    np.testing.assert_array_equal(now["conv1.weight"], ours["conv1.weight"].astype(np.float32))


SQUARE = TEXT.replace("dense(8) -> tanh -> dense(3)", "dense(4) -> tanh -> dense(4)")


def test_squares_do_not_tell_and_the_file_has_to(tmp_path):
    arrays = {f"dense{k}.weight": RNG.normal(size=(4, 4)).astype(np.float32) for k in (1, 2)}
    arrays |= {f"dense{k}.bias": np.zeros(4, np.float32) for k in (1, 2)}
    save_file(arrays, tmp_path / "w.safetensors")
    with pytest.raises(NetError, match=r"do not say whether"):
        begun(tmp_path, SQUARE, '"w.safetensors"')
    _, now = begun(tmp_path, SQUARE, 'load("w.safetensors", layout = pytorch)')
    np.testing.assert_array_equal(now["dense1.weight"], arrays["dense1.weight"].T)
    _, now = begun(tmp_path, SQUARE, 'load("w.safetensors", layout = netdsl)')
    np.testing.assert_array_equal(now["dense1.weight"], arrays["dense1.weight"])


def test_order_is_never_guessed(tmp_path):
    arrays = {"b.weight": np.ones((8, 8)), "a.weight": np.zeros((8, 8)), "c.weight": np.zeros((3, 8))}
    arrays = {n: a.astype(np.float32) for n, a in arrays.items()}
    text = TEXT.replace(
        "dense(8) -> tanh", "dense(8, bias = false) -> dense(8, bias = false) -> tanh"
    ).replace("dense(3)", "dense(3, bias = false)")
    text = text.replace("[4]", "[8]")
    save_file(arrays, tmp_path / "w.safetensors")
    with pytest.raises(NetError, match="does not say in which order"):
        begun(tmp_path, text, '"w.safetensors"')
    torch_files.save(tmp_path / "w.pth", arrays)
    _, now = begun(tmp_path, text, '"w.pth"')
    assert now["dense1.weight"].all() and not now["dense2.weight"].any()
    torch_files.save(tmp_path / "w.pth", {n: a for n, a in arrays.items() if n != "a.weight"})
    with pytest.raises(NetError, match=r"has 1 layers with weight \[8, 8\], the network has 2"):
        begun(tmp_path, text, '"w.pth"')


def test_the_log_has_all_of_it_and_the_screen_the_short_form(tmp_path, trained, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = TEXT.replace("dense(3)", "dense(10)").replace("x: [4]", "x: [64]").replace("dense(8)", "dense(8)")
    data = "\ndata { train = digits.train }\n"
    (tmp_path / "first.net").write_text(text + data)
    second = text.replace("dense(10)", "dense(10, init = zeros)").replace("dense2", "head")
    (tmp_path / "second.net").write_text(second + data)
    for words in (
        ["train", "first.net", "--out", "r", "--set", "train.epochs=1"],
        ["train", "second.net", "--out", "s", "--set", "train.epochs=1", "--start", "r/last.safetensors"],
    ):
        with pytest.raises(SystemExit) as done:
            main(words)
        assert not done.value.code
    assert "starting from " in capsys.readouterr().out
    events = [json.loads(line) for line in (tmp_path / "s" / "metrics.jsonl").read_text().splitlines()]
    assert events[1]["event"] == "weights" and events[1]["taken"]["dense1.weight"] == "dense1.weight"
    with pytest.raises(SystemExit):
        main(["train", "second.net", "--out", "s", "--resume", "--start", "a/last.safetensors"])
    assert "was started from" in capsys.readouterr().err
    again = ["train", "second.net", "--out", "s", "--resume"]
    # A run keeps where it came from, whether that is said again or not.
    for more in (["--set", "train.epochs=2"], ["--set", "train.epochs=3", "--start", "r/last.safetensors"]):
        with pytest.raises(SystemExit) as done:
            main([*again, *more])
        assert not done.value.code
    events = [
        json.loads(line)["event"] for line in (tmp_path / "s" / "metrics.jsonl").read_text().splitlines()
    ]
    assert events == ["start", "weights", "epoch", "resume", "epoch", "resume", "epoch", "end"]


class Evil:
    def __reduce__(self):
        return (exec, ("import pathlib; pathlib.Path('executed').touch()",))


A = np.arange(6, dtype=np.float32).reshape(2, 3)
HOSTILE = {
    "code": {"pickle": pickle.dumps(Evil(), 2)},
    "code, newer": {"pickle": pickle.dumps({"a": Evil()}, 5)},
    "other function": {"pickle": b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."},
    "beyond the part": {"pickle": torch_files.pickled([("a", torch_files.tensor("0", A, offset=1))])},
    "stretched": {
        "pickle": torch_files.pickled([("a", torch_files.tensor("0", A, shape=(9, 9), strides=(0, 0)))])
    },
    "negative": {"pickle": torch_files.pickled([("a", torch_files.tensor("0", A, offset=-1))])},
    "negative stride": {"pickle": torch_files.pickled([("a", torch_files.tensor("0", A, strides=(-3, 1)))])},
    "wrong size": {"pickle": torch_files.pickled([("a", torch_files.tensor("0", A, elements=7))])},
    "no such part": {"pickle": torch_files.pickled([("a", torch_files.tensor("7", A))])},
    "climbing": {"pickle": torch_files.pickled([("a", torch_files.tensor("../data.pkl", A))])},
    "unknown type": {
        "pickle": torch_files.pickled([("a", torch_files.tensor("0", A, storage="QuantStorage"))])
    },
    "not tensors": {"pickle": b"\x80\x02}."},
    "cut": {"pickle": torch_files.pickled([("a", torch_files.tensor("0", A))])[:-20]},
    "no end": {"pickle": b"\x80\x02}"},
    "empty": {"pickle": b""},
    "noise": {"pickle": bytes(range(256))},
    "deep": {"pickle": b"\x80\x02)" + b"\x85" * 100_000 + b"."},
    "list of itself": {"pickle": b"\x80\x02]q\x00h\x00a."},
    "unhashable": {"pickle": b"\x80\x02}]Ns."},
    "packed": {"compression": zipfile.ZIP_DEFLATED},
    "script": {"constants.pkl": b""},
    "order": {"byteorder": b"middle"},
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_pytorch_files_are_refused_and_nothing_runs(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = torch_files.save(tmp_path / "w.pth", {"a": A}, **HOSTILE[name])
    with pytest.raises(NetError) as caught:
        open_weights(path)
    assert "w.pth cannot be read as a PyTorch state dict" in str(caught.value)
    assert not (tmp_path / "executed").exists()


def test_what_is_not_finite_or_too_large_is_refused(tmp_path):
    for k, array in enumerate((np.array([np.nan], np.float32), np.array([1e300]))):
        path = torch_files.save(tmp_path / f"{k}.pth", {"a": array})
        with pytest.raises(NetError, match="not finite"):
            netdsl.load_weights(path)


def test_damaged_files(tmp_path, trained):
    whole = (tmp_path / "a" / "last.safetensors").read_bytes()
    plain = tmp_path / "p.safetensors"
    save_file({"a": A}, plain)
    torch_files.save(tmp_path / "w.pth", {"a": A})
    pickled = tmp_path / "old.pth"
    pickled.write_bytes(pickle.dumps({"a": 1}, 2))
    with pytest.raises(NetError, match="a Python pickle"):
        netdsl.load_weights(pickled)
    for path in (plain, tmp_path / "w.pth"):
        data = path.read_bytes()
        for end in (0, 9, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:end])
            with pytest.raises(NetError):
                netdsl.load_weights(path)
    changed = tmp_path / "c.safetensors"
    changed.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(NetError, match="checksum"):
        netdsl.load_weights(changed)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats_become_float32(tmp_path, dtype):
    array = RNG.normal(size=(3, 4)).astype(dtype)
    save_file({"a": array}, tmp_path / "w.safetensors")
    torch_files.save(tmp_path / "w.pth", {"a": array})
    for name in ("w.safetensors", "w.pth"):
        found = netdsl.load_weights(tmp_path / name)["a"]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, array.astype(np.float32))
