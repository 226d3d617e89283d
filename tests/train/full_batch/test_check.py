"""What a method refuses is refused by `netdsl check` too, at its place."""

import dataclasses
from pathlib import Path

import pytest

from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train.full_batch.lbfgs import Lbfgs
from netdsl.train.full_batch.names import FULL_BATCH
from netdsl.train.sections import check_sections
from netdsl.train.settings import train_settings

TEXT = """
net Tiny {
  input x: [4]
  output y = x -> dense(5) TAG -> tanh -> dense(3)
}
train {
  loss = LOSS
  optimizer = METHOD
  MORE
}
"""
CROSS, SQUARES = "cross_entropy(y, t)", "mse(y, t) + 1e-3 * l2(weights)"

REFUSED = [
    ("lbfgs", "schedule = cosine", "schedule is for optimisers that make one step", "cosine"),
    ("cg", "clip_norm = 1", "clip_norm is for optimisers that make one step from one gradient, and cg", "1"),
    ("lbfgs", "snapshots = 2", "snapshots is for optimisers that make one step", "2"),
    ("lbfgs(weight_decay = 0.1)", "", "lbfgs has no setting weight_decay", "weight_decay = 0.1"),
    ("bfgs(momentum = 0.9)", "", "bfgs has no setting momentum", "momentum = 0.9"),
    ("cg(formula = foo)", "", "there are fletcher_reeves, polak_ribiere", "foo"),
    ('cg(formula = "polak")', "", "formula must be one of fletcher_reeves", 'formula = "polak"'),
    ("cg(line_search = backtracking)", "", "line_search must be strong_wolfe", "line_search = backtracking"),
    ("cg(line_search = none)", "", "line_search must be strong_wolfe", "line_search = none"),
    ("lbfgs(line_search = wolfe)", "", "there are backtracking, strong_wolfe", "wolfe"),
    ("lbfgs(line_search = 5)", "", "line_search must be one of", "line_search = 5"),
    ("lbfgs(line_search = strong_wolfe(c2 = 2))", "", "c2 must be a number between c1", "c2 = 2"),
    ("lbfgs(line_search = backtracking(c1 = 0.7))", "", "c1 must be a number from 0.0 to 0.5", "c1 = 0.7"),
    ("lbfgs(line_search = backtracking(c2 = 0.7))", "", "backtracking has no setting c2", "c2 = 0.7"),
    ("lbfgs(history = 0)", "", "history must be a whole number from 1, not 0", "history = 0"),
    ("lbfgs(piece = 2.5)", "", "piece must be a whole number from 1", "piece = 2.5"),
    ("lbfgs(tolerance = -1)", "", "tolerance must be a number from 0", "tolerance = -1"),
    ("newton(solve = qr)", "", "there are auto, exact, cg", "qr"),
    ("newton(most = 0)", "", "most must be a whole number from 1", "most = 0"),
    ("newton(damping = -1)", "", "damping must be a number from 0", "damping = -1"),
    ("levenberg_marquardt(lr = 0.1)", "", "lr has no meaning here", "lr = 0.1"),
    (
        "levenberg_marquardt",
        "",
        "a loss that is made of residuals, and cross_entropy is none",
        "cross_entropy",
    ),
    ("gauss_newton", "", "a loss that is made of residuals, and cross_entropy is none", "cross_entropy"),
]


def network(method="lbfgs", loss=CROSS, more="", tag=""):
    text = TEXT.replace("LOSS", loss).replace("METHOD", method).replace("MORE", more).replace("TAG", tag)
    return elaborate(Source("tiny.net", text))


@pytest.mark.parametrize(
    ("method", "more", "message", "place"), REFUSED, ids=[f"{m} {o}" for m, o, _, _ in REFUSED]
)
def test_refused_at_its_place(method, more, message, place):
    with pytest.raises(NetError) as caught:
        check_sections(network(method, more=more))
    (diagnostic,) = caught.value.diagnostics
    assert message in f"{diagnostic.message} {diagnostic.fix}"
    assert diagnostic.span.text == place


@pytest.mark.parametrize(
    "more",
    [
        "schedule = constant",
        "schedule = none",
        "batch = none",
        "clip_norm = none",
        "stop = none",
        "epochs = 3",
    ],
)
def test_what_is_taken_back_is_no_matter(more):
    assert isinstance(train_settings(network(more=more)).optimizer, Lbfgs)


def test_rates_of_layers_are_refused():
    with pytest.raises(NetError, match=r"lbfgs has no learning rate that @lr\(0.1\) could multiply"):
        check_sections(network(tag="@lr(0.1)"))
    check_sections(network(tag="@freeze"))


def test_sums_that_are_no_squares_are_refused():
    for loss, message in (
        ("mse(y, t) - 0.1 * l2(weights)", "takes a sum of squares, and l2 is subtracted here"),
        ("mse(y, t) + 0.1 * l1(weights)", "made of residuals, and l1 is none"),
        ("sqrt(mse(y, t))", "made of residuals, and sqrt is none"),
    ):
        with pytest.raises(NetError, match=message):
            check_sections(network("levenberg_marquardt", loss))
    check_sections(network("levenberg_marquardt", f"2 * ({SQUARES}) / 3"))


def test_too_many_weights_are_refused():
    tag = "-> dense(2000) -> dense(2000)"
    for method, loss in (("bfgs", CROSS), ("levenberg_marquardt", SQUARES), ("newton(solve = exact)", CROSS)):
        with pytest.raises(NetError, match=r"weights"):
            check_sections(network(method, loss, tag=tag))
        check_sections(network("lbfgs", loss, tag=tag))


def test_layers_that_need_several_samples_need_them_in_a_piece():
    with pytest.raises(NetError, match="batch_norm"):
        check_sections(network("lbfgs(piece = 1)", tag="-> batch_norm", more="batch = 8"))
    check_sections(network("lbfgs(piece = 2)", tag="-> batch_norm", more="batch = 8"))


def test_the_page_has_every_method_and_setting():
    page = (Path(__file__).parents[3] / "docs" / "full-batch.md").read_text("utf-8")
    for name, kind in FULL_BATCH.items():
        assert f"| `{name}`" in page
        for field in dataclasses.fields(kind):
            default = str(field.default).replace("1e-0", "1e-").removesuffix(".0")
            shown = field.name if field.name == "line_search" else f"{field.name} = {default}"
            assert f"`{shown}`" in page, shown
