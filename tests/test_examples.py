"""Every example is formatted, checks, and says how it trains in settings that make sense."""

from pathlib import Path

import pytest

from netdsl.elaborate import elaborate
from netdsl.source import Source
from netdsl.syntax.format import format_source
from netdsl.syntax.parse import parse
from netdsl.syntax.read import read_source
from netdsl.train import data_plan, train_settings

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.net"))
NETS = [path for path in EXAMPLES if parse(read_source(path)).nets]
VARIANTS = [
    ("lecture_convnet", {"pool": "false"}),
    ("googlenet", {"heads": "false"}),
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_is_formatted(path):
    source = read_source(path)
    assert format_source(source) == source.text


@pytest.mark.parametrize("path", NETS, ids=lambda p: p.stem)
def test_claims_hold_and_settings_make_sense(path):
    network = elaborate(read_source(path))
    assert network.claims, "an example says how many parameters it has"
    if network.train:
        assert train_settings(network).epochs > 0
        assert data_plan(network, 0).has_test


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_variants_have_their_own_counts(name, settings):
    path = next(p for p in EXAMPLES if p.stem == name)
    assert elaborate(read_source(path), overrides=settings).claims


@pytest.mark.parametrize(("layers", "params"), [("[3, 4, 23, 3]", 44_549_160), ("[3, 8, 36, 3]", 60_192_808)])
def test_deeper_resnets_have_torchvisions_counts(layers, params):
    from netdsl.ops.costs import count_params

    source = read_source(next(p for p in EXAMPLES if p.stem == "resnet50"))
    text = source.text[: source.text.index("expect")]
    network = elaborate(Source(source.name, text), overrides={"layers": layers})
    assert count_params(network.graph) == params
