"""What outputs say, as the loss reads them."""

import pytest

from netdsl.data import Meaning
from netdsl.elaborate import elaborate
from netdsl.source import Source
from netdsl.train.meaning import meanings

HEAD = "net N { input x: [4]; "
NETS = [
    ("output y = x -> dense(3) }", "cross_entropy(y, label)", {"y": "logits"}),
    ("output y = x -> dense(3) }", "cross_entropy(y, label) + 0.1 * mse(y, other)", {"y": "logits"}),
    ("output y = x -> dense(3) }", "mse(y, target)", {}),
    ("output y = x -> dense(3) }", "binary_cross_entropy(y, target)", {"y": "binary logits"}),
    ("output y = x -> dense(3) }", "focal(y, target)", {"y": "binary logits"}),
    ("output y = x -> dense(3) }", "hinge(y, target)", {}),
    (
        "output y = x -> dense(1) -> sigmoid }",
        "binary_cross_entropy(y, target, from_logits = false)",
        {"y": "binary probabilities"},
    ),
    ("output y = x -> dense(3) -> sigmoid }", "mse(y, target)", {}),
    (
        "output z = x -> dense(3); output y = z -> sigmoid }",
        "binary_cross_entropy(z, target)",
        {"z": "binary logits", "y": "binary probabilities"},
    ),
    (
        "output z = x -> dense(3); output y = z -> softmax }",
        "cross_entropy(z, label)",
        {"z": "logits", "y": "probabilities"},
    ),
    ("output y = x -> dense(3) -> log_softmax }", "kl_divergence(y, target)", {"y": "log probabilities"}),
    ("output y = x -> dense(3) -> softmax }", None, {"y": "probabilities"}),
    ("output y = x -> dense(3) }", None, {}),
    (
        "output y = x -> dense(3); output size = x -> dense(1) }",
        "cross_entropy(y, label) + mse(size, measured)",
        {"y": "logits"},
    ),
]


@pytest.mark.parametrize(("net", "loss", "found"), NETS)
def test_outputs_are_what_the_loss_takes_them_for(net, loss, found):
    text = HEAD + net + ("" if loss is None else f"\ntrain {{ loss = {loss} }}")
    assert meanings(elaborate(Source("n.net", text))) == {k: Meaning(v) for k, v in found.items()}


def test_a_metric_ranks_scores():
    text = HEAD + "output y = x -> dense(3) }\ntrain { loss = hinge(y, t); metrics = [accuracy(y, label)] }"
    assert meanings(elaborate(Source("n.net", text))) == {"y": Meaning.scores}
