"""Conventions that differ between frameworks, against PyTorch: values and gradients."""

import numpy as np
import pytest

from netdsl.autodiff import grad
from netdsl.ir import TensorType, interpret
from netdsl.ops import OPS
from netdsl.ops.expand import expand
from netdsl.primitives import Input, PrimitiveBuilder, State

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.torch
RNG = np.random.default_rng(2)


def first(x):
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def pool(function, *args, **settings):
    return lambda x: last(function(first(x), *args, **settings))


WEIGHTS = (0.5, 1.0, 2.0, 0.1)
LABELS = np.array([0, 3, 1, 2, 2])


def torch_cross_entropy(x, t, smooth=0.0, weights=None):
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    return F.cross_entropy(
        first(x), t if t.dtype == torch.int64 else first(t), weight, label_smoothing=smooth
    )


def boxes(*shape, size=20.0):
    return np.sort(RNG.uniform(0, size, (*shape, 2, 2)), axis=-2).reshape(*shape, 4)


def torch_giou(p, t, generalized=True):
    """torchvision's generalized_box_iou_loss, the mean."""
    low, high = torch.maximum(p[..., :2], t[..., :2]), torch.minimum(p[..., 2:], t[..., 2:])
    common = (high - low).clamp(min=0).prod(-1)
    union = (p[..., 2:] - p[..., :2]).prod(-1) + (t[..., 2:] - t[..., :2]).prod(-1) - common
    around = (torch.maximum(p[..., 2:], t[..., 2:]) - torch.minimum(p[..., :2], t[..., :2])).prod(-1)
    loss = 1 - common / (union + 1e-7)
    return (loss + (around - union) / (around + 1e-7) if generalized else loss).mean()


def torch_decode(deltas, anchors, weights=(10, 10, 5, 5)):
    """torchvision's BoxCoder.decode_single."""
    size = anchors[..., 2:] - anchors[..., :2]
    centre = anchors[..., :2] + 0.5 * size
    scaled = deltas / torch.tensor(weights)
    centre = scaled[..., :2] * size + centre
    half = scaled[..., 2:].clamp(max=np.log(1000 / 16)).exp() * size * 0.5
    return torch.cat([centre - half, centre + half], -1)


def torch_roi_align(x, rois, size, samples, aligned):
    """The paper's samples by grid_sample: its border clamps, what is more than a pixel outside counts 0."""
    shift = 0.5 if aligned else 0.0
    limits = torch.tensor(x.shape[2:0:-1], dtype=torch.float64)
    start = rois[..., :2] - shift
    extent = rois[..., 2:] - rois[..., :2]
    extent = extent if aligned else extent.clamp(min=1)
    steps = (torch.arange(size * samples, dtype=torch.float64) + 0.5) / (size * samples)
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
    at = start[:, :, None, None] + extent[:, :, None, None] * grid
    inside = ((at >= -1) & (at <= limits)).all(-1, keepdim=True)
    places = (at * 2 / (limits - 1) - 1).flatten(1, 2)
    seen = last(F.grid_sample(first(x), places, padding_mode="border", align_corners=True))
    seen = (seen.reshape(*at.shape[:4], -1) * inside).reshape(*at.shape[:2], size, samples, size, samples, -1)
    return seen.mean((3, 5))


def torch_crops(pool, border):
    """The pool of the crop under each box, whose corners are whole numbers."""

    def peer(x, rois):
        crops = [
            [pool(first(x[n : n + 1, y1 : y2 + border, x1 : x2 + border])) for x1, y1, x2, y2 in rows]
            for n, rows in enumerate(rois.long().tolist())
        ]
        return torch.stack([torch.cat(row) for row in crops]).movedim(2, -1)

    return peer


def torch_own_channels(crops):
    """Position-sensitive: of each cell's average the channels that are its own."""
    n, r, p, q, _ = crops.shape
    cells = torch.arange(p * q)
    return crops.reshape(n, r, p * q, p * q, -1)[:, :, cells, cells].reshape(n, r, p, q, -1)


def torch_unpool(x, before):
    _, found = F.max_pool2d(first(before), 2, return_indices=True)
    return last(F.max_unpool2d(first(x), found, 2, output_size=before.shape[1:-1]))


# Zeros, as behind a ReLU: many windows have several maxima.
POOLED = np.maximum(RNG.standard_normal((2, 6, 9, 3)), 0)
ROIS = boxes(2, 4, size=9)
WHOLE = boxes(2, 4, size=8).round() + np.array([0, 0, 1, 1])
CASES = [
    ("roi_align", (3, 1.0, 2), ((2, 8, 7, 5), ROIS), lambda x, r: torch_roi_align(x, r, 3, 2, True)),
    ("roi_align", (2, 1.0, 3, False), ((2, 8, 7, 5), ROIS), lambda x, r: torch_roi_align(x, r, 2, 3, False)),
    ("roi_pool", (3,), ((2, 10, 10, 4), WHOLE), torch_crops(lambda x: F.adaptive_max_pool2d(x, 3), 1)),
    (
        "ps_roi_pool",
        (2,),
        ((2, 10, 10, 12), WHOLE),
        lambda x, r: torch_own_channels(torch_crops(lambda v: F.adaptive_avg_pool2d(v, 2), 0)(x, r)),
    ),
    ("max_unpool", (2,), ((2, 3, 4, 3), POOLED), torch_unpool),
    ("box_decode", ((10.0, 10.0, 5.0, 5.0),), ((3, 5, 4), boxes(3, 5)), torch_decode),
    ("iou", (), (boxes(3, 5), boxes(3, 5)), lambda p, t: torch_giou(p, t, False)),
    ("giou", (), (boxes(3, 5), boxes(3, 5)), torch_giou),
    ("max_pool", (3, 2, 1, True), ((1, 6, 6, 2),), pool(F.max_pool2d, 3, 2, 1, ceil_mode=True)),
    ("max_pool", (3, 2, 1, False, 2), ((1, 8, 7, 2),), pool(F.max_pool2d, 3, 2, 1, 2)),
    ("max_pool", (2, 2, 0, False, 1, (-1,)), ((2, 3, 4, 6),), lambda x: F.max_pool2d(x, (1, 2))),
    ("lp_pool", (3, 2), ((1, 7, 6, 2),), pool(F.lp_pool2d, 2, 3, 2)),
    ("lp_pool", (2, 2, 0, False, 1, None, 4.0), ((1, 7, 2),), pool(F.lp_pool1d, 4, 2)),
    ("max_pool", (2, 3, "valid", True), ((1, 7, 2),), pool(F.max_pool1d, 2, 3, ceil_mode=True)),
    ("avg_pool", (3, 2, 1, True), ((1, 6, 7, 2),), pool(F.avg_pool2d, 3, 2, 1, ceil_mode=True)),
    (
        "avg_pool",
        (3, 2, 1, True, 1, None, False),
        ((1, 6, 7, 2),),
        pool(F.avg_pool2d, 3, 2, 1, True, False),
    ),
    ("avg_pool", (2, 2, 1), ((1, 4, 4, 3, 2),), pool(F.avg_pool3d, 2, 2, 1)),
    ("adaptive_avg_pool", ((5, 3),), ((2, 7, 12, 3),), pool(F.adaptive_avg_pool2d, (5, 3))),
    ("adaptive_avg_pool", ((6,),), ((2, 6, 3),), pool(F.adaptive_avg_pool1d, 6)),
    ("adaptive_avg_pool", ((3, 4, 7),), ((1, 5, 4, 6, 2),), pool(F.adaptive_avg_pool3d, (3, 4, 7))),
    ("adaptive_max_pool", ((5, 3),), (POOLED,), pool(F.adaptive_max_pool2d, (5, 3))),
    ("adaptive_max_pool", ((3, 3),), (POOLED,), pool(F.adaptive_max_pool2d, (3, 3))),
    ("adaptive_max_pool", ((3, 4, 7),), ((1, 5, 4, 6, 2),), pool(F.adaptive_max_pool3d, (3, 4, 7))),
    ("smooth_l1", (0.5,), ((3, 5), (3, 5)), lambda x, t: F.smooth_l1_loss(x, t, beta=0.5)),
    ("softsign", (), ((3, 5),), F.softsign),
    ("hard_swish", (), ((3, 5),), F.hardswish),
    ("hard_sigmoid", (), ((3, 5),), F.hardsigmoid),
    ("mish", (), ((3, 5),), F.mish),
    ("relu6", (), ((3, 5),), F.relu6),
    ("elu", (0.7,), ((3, 5),), lambda x: F.elu(x, 0.7)),
    ("selu", (), ((3, 5),), F.selu),
    ("gelu", (), ((3, 5),), F.gelu),
    ("gelu", (True,), ((3, 5),), lambda x: F.gelu(x, approximate="tanh")),
    ("silu", (), ((3, 5),), F.silu),
    ("softplus", (), ((3, 5),), F.softplus),
    ("leaky_relu", (), ((3, 5),), F.leaky_relu),
    ("softmax", (), ((3, 4, 5),), lambda x: x.softmax(-1)),
    ("log_softmax", (), ((3, 5),), lambda x: x.log_softmax(-1)),
    ("prelu", (), ((3, 2, 5), (5,)), lambda x, w: last(F.prelu(first(x), w))),
    ("mse", (), ((3, 5), (3, 5)), F.mse_loss),
    ("mae", (), ((3, 5), (3, 5)), F.l1_loss),
    ("huber", (0.5,), ((3, 5), (3, 5)), lambda x, t: F.huber_loss(x, t, delta=0.5)),
    ("binary_cross_entropy", (), ((3, 5), (3, 5)), F.binary_cross_entropy_with_logits),
    ("cross_entropy", (), ((5, 4), LABELS), torch_cross_entropy),
    ("cross_entropy", (0.1,), ((5, 4), LABELS), lambda x, t: torch_cross_entropy(x, t, 0.1)),
    ("cross_entropy", (0.1, WEIGHTS), ((5, 4), LABELS), lambda x, t: torch_cross_entropy(x, t, 0.1, WEIGHTS)),
    ("cross_entropy", (0.1, WEIGHTS), ((5, 4), (5, 4)), lambda x, t: torch_cross_entropy(x, t, 0.1, WEIGHTS)),
    (
        "cross_entropy",
        (0.0, WEIGHTS),
        ((5, 3, 4), RNG.integers(0, 4, (5, 3))),
        lambda x, t: torch_cross_entropy(x, t, 0, WEIGHTS),
    ),
]


@pytest.mark.parametrize(
    "name, settings, operands, peer", CASES, ids=[f"{k}-{c[0]}" for k, c in enumerate(CASES)]
)
def test_values_and_gradients(name, settings, operands, peer):
    feeds = {f"x{k}": a if isinstance(a, np.ndarray) else RNG.normal(size=a) for k, a in enumerate(operands)}
    b = PrimitiveBuilder(training=True)
    inputs = [
        b.add1(Input(TensorType(a.shape, "i64" if a.dtype.kind == "i" else "f32")), name=n)
        for n, a in feeds.items()
    ]
    (y,) = OPS[name](*settings).expand(b, *inputs)
    axes = range(b.type(y).rank)
    loss = b.reduce("sum", lambda a: a * a, y, axes=axes) if b.type(y).rank else y
    graph = grad(b.finish({"y": y, "loss": loss}), "loss", ["x0"])
    ours = interpret(graph, feeds, np.float64).outputs
    theirs = [torch.from_numpy(a) for a in feeds.values()]
    theirs[0].requires_grad_()
    out = peer(*theirs)
    ((out * out).sum() if out.ndim else out).backward()
    np.testing.assert_allclose(ours["y"], out.detach().numpy(), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours["grad/x0"], theirs[0].grad.numpy(), rtol=1e-6, atol=1e-9)


def test_batch_norm_trains_alike():
    x = RNG.normal(size=(4, 3, 5, 2))
    op = OPS["batch_norm"]()
    b = PrimitiveBuilder()
    value = b.add1(Input(TensorType(x.shape)), name="x")
    own = [
        b.add1((State if not s.trainable else Input)(TensorType(s.shape)), name=s.name)
        for s in op.params(b.type(value))
    ]
    graph = b.finish({"y": b.add1(op, value, *own)})
    layer = torch.nn.BatchNorm2d(2, dtype=torch.float64)
    expected = last(layer(first(torch.from_numpy(x)))).detach().numpy()
    feeds = {
        "x": x,
        "weight": np.ones(2),
        "bias": np.zeros(2),
        "running_mean": np.zeros(2),
        "running_var": np.ones(2),
    }
    trained = interpret(expand(graph, training=True), feeds, np.float64)
    np.testing.assert_allclose(trained.outputs["y"], expected, rtol=1e-7)
    for name, array in trained.updates.items():
        np.testing.assert_allclose(array, getattr(layer, name).numpy(), rtol=1e-7)
    layer.eval()
    expected = last(layer(first(torch.from_numpy(x)))).detach().numpy()
    got = interpret(expand(graph), {**feeds, **trained.updates}, np.float64).outputs["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-7)
