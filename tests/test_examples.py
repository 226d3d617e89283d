"""Every example is formatted, checks, and says how it trains in settings that make sense."""

from pathlib import Path

import pytest

from netdsl.elaborate import elaborate
from netdsl.syntax.format import format_source
from netdsl.syntax.parse import parse
from netdsl.syntax.read import read_source
from netdsl.train import Trainer, data_plan, train_settings

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.net"))
NETS = [
    (path, name)
    for path in EXAMPLES
    if (file := parse(read_source(path))).nets
    for name in [*file.nets, *file.presets]
]
VARIANTS = [
    ("lecture_convnet", {"pool": "false"}),
    ("googlenet", {"heads": "false"}),
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_is_formatted(path):
    source = read_source(path)
    assert format_source(source) == source.text


@pytest.mark.parametrize(("path", "name"), NETS, ids=[f"{path.stem}-{name}" for path, name in NETS])
def test_claims_hold_and_settings_make_sense(path, name):
    network = elaborate(read_source(path), net=name)
    assert network.claims, "an example says what it has"
    if network.train:
        assert train_settings(network).epochs > 0
        assert data_plan(network, 0).has_test or path.stem == "rosenbrock", "a function has no other samples"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_every_net_claims_its_parameters(path):
    file = parse(read_source(path))
    entries = [e for item in (*file.presets.values(), *file.sections.values()) for e in item.entries]
    assert not file.nets or any("params ==" in e.span.text for e in entries)


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_variants_have_their_own_counts(name, settings):
    path = next(p for p in EXAMPLES if p.stem == name)
    assert elaborate(read_source(path), overrides=settings).claims


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [("siamese", "binary_accuracy", 0.8), ("autoencoder", "loss", 0.05), ("two_heads", "accuracy", 0.9)],
)
def test_examples_of_named_data_learn(name, value, wanted):
    path = next(p for p in EXAMPLES if p.stem == name)
    result = Trainer(elaborate(read_source(path), overrides={"train.epochs": "6"})).fit()
    better = -1 if value == "loss" else 1
    assert better * result.test[value] > better * wanted
