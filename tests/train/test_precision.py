"""The setting `precision`: what it says wrong, where it goes, and what of a training it changes."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.ir.parse import parse_graph
from netdsl.primitives import LEAVES, PRIMITIVES, Contract
from netdsl.source import NetError, NetWarning
from netdsl.train import Trainer, computer, sections, settings
from netdsl.train.settings import train_settings
from tests.calls import call
from tests.train.nets import network, plan

EXAMPLES = Path(__file__).parents[2] / "examples"
WRONG = {
    "bfloat16": "did you mean bf16",
    "float32": "did you mean f32",
    "fp16": "precision is f32, tf32 or bf16, not fp16(.|\n)*write bf16: its range",
    "TF32": "did you mean tf32",
    "16": "precision is f32, tf32 or bf16, not 16",
}


def with_precision(value):
    return network(("metrics", f"precision = {value}\n  metrics"))


def precisions(program):
    return {n.op.precision for n in program.graph if isinstance(n.op, Contract)}


@pytest.mark.parametrize("value", WRONG)
def test_what_is_no_precision(value):
    with pytest.raises(NetError, match=WRONG[value]) as error:
        train_settings(with_precision(value))
    assert error.value.diagnostics[0].span.text == value


def test_the_processor_refuses_it_at_its_place():
    with pytest.raises(NetError, match="the device cpu multiplies in f32, not in bf16") as error:
        Trainer(with_precision("bf16"))
    assert error.value.diagnostics[0].span.text == "bf16"


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_training_and_validation_multiply_in_it(precision):
    losses = {}
    for asked in ("f32", precision):
        trainer = Trainer(with_precision(asked), data=plan(), device="reference")
        result = trainer.fit()
        assert precisions(trainer.program) == {asked}
        assert all(a.dtype == np.float32 for a in trainer.program.state_dict().values())
        losses[asked] = [result.test["loss"], result.validation["loss"]]
    assert losses[precision] != losses["f32"]
    np.testing.assert_allclose(losses[precision], losses["f32"], rtol=2e-2)


def test_it_is_that_of_the_device_where_the_file_says_none():
    device = netdsl.device("reference", precision="tf32")
    assert precisions(Trainer(network(), data=plan(), device=device).program) == {"tf32"}
    assert precisions(Trainer(with_precision("bf16"), data=plan(), device=device).program) == {"bf16"}


@pytest.mark.parametrize("mode", [[], ["--training"]])
def test_compile_takes_it_from_the_command_line(mode, capsys):
    words = ["compile", EXAMPLES / "digits.net", "--device", "reference", "--emit", "primitives", *mode]
    _, text, _ = call(capsys, *words, "--precision", "bf16")
    graph = parse_graph(text, {op.name: op for op in (*LEAVES, *PRIMITIVES)})
    assert {n.op.precision for n in graph if isinstance(n.op, Contract)} == {"bf16"}
    assert "precision" not in call(capsys, *words)[1]


@pytest.mark.parametrize(
    "words",
    [
        ("train", EXAMPLES / "digits.net", "--no-save"),
        ("lr-range", EXAMPLES / "digits.net"),
        ("compile", EXAMPLES / "digits.net"),
        ("compile", EXAMPLES / "digits.net", "--training"),
    ],
)
def test_commands_refuse_it_on_the_processor(words, capsys):
    status, out, err = call(capsys, *words, "--precision", "bf16")
    assert (status, out) == (1, "")
    assert "the device cpu multiplies in f32, not in bf16" in err
    assert "f32 is on every device, tf32 and bf16 on GPUs from 2020 on: --precision f32, or" in " ".join(
        err.split()
    )


def test_a_precision_that_nobody_has_is_wrong_usage(capsys):
    status, _, err = call(capsys, "train", EXAMPLES / "digits.net", "--precision", "fp16")
    assert status == 2 and "not fp16; write bf16: " in " ".join(err.split())
    assert "; did you mean bf16?" in call(capsys, "eval", "x.net", "x", "--precision", "BF16")[2]


def test_a_run_that_goes_on_in_another_precision_says_so(tmp_path):
    def resumed(precision, epochs):
        text = ("metrics", f"precision = {precision}\n  metrics"), ("epochs = 3", f"epochs = {epochs}")
        trainer = Trainer(network(*text), tmp_path, data=plan(), device="reference")
        return trainer.fit(resume=(tmp_path / "last.safetensors").exists())

    resumed("bf16", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", NetWarning)
        resumed("bf16", 2)
    with pytest.warns(NetWarning, match=r"precision = bf16, the run goes on with f32(.|\n)*--precision bf16"):
        resumed("f32", 3)


def test_that_of_a_device_from_python_is_kept_too(tmp_path):
    """What no section names would be forgotten, and the log says what computes."""

    def resumed(precision, epochs):
        device = netdsl.device("reference", precision=precision)
        trainer = Trainer(network(("epochs = 3", f"epochs = {epochs}")), tmp_path, plan(), device)
        return trainer.fit(resume=(tmp_path / "last.safetensors").exists())

    resumed("tf32", 1)
    with pytest.warns(NetWarning, match="precision = tf32, the run goes on with f32"):
        resumed("f32", 2)
    events = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    told = [(e["event"], e["device"], e["precision"]) for e in events if "device" in e]
    assert told == [("start", "reference", "tf32"), ("resume", "reference", "f32")]


@pytest.mark.parametrize(
    "words", [("eval", EXAMPLES / "digits.net", "x"), ("compile", EXAMPLES / "digits.net")]
)
def test_commands_that_train_nothing_refuse_the_setting(words, capsys):
    status, _, err = call(capsys, *words, "--set", "train.precision=bf16")
    assert status == 2
    assert "train.precision is what a training multiplies in; --precision bf16 is for this" in plain(err)


@pytest.mark.parametrize("command", ["train", "lr-range", "compile --training"])
def test_the_option_and_the_setting_exclude_each_other(command, capsys):
    command, *more = command.split()
    words = (*more, "--precision", "bf16", "--set", "train.precision=tf32")
    status, _, err = call(capsys, command, EXAMPLES / "digits.net", *words)
    assert status == 2 and "argument --precision: not allowed with --set train.precision" in plain(err)


def test_the_sections_of_a_training_step_are_read_once(monkeypatch, capsys):
    read = []
    real = settings.train_settings
    for module in (computer, sections, settings):
        if hasattr(module, "train_settings"):
            monkeypatch.setattr(module, "train_settings", lambda net: read.append(net) or real(net))
    words = ("compile", EXAMPLES / "digits.net", "--training", "--emit", "primitives")
    assert call(capsys, *words)[0] == 0 and len(read) == 1


def plain(text):
    return " ".join(text.split())
