"""Six problems, each as a function in NumPy, in float64, and as a network with its data in the language.

The functions are written out here by hand; nothing of netdsl computes them.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from netdsl.train.full_batch.function import Function, Point


@dataclass(frozen=True)
class Problem:
    """`value(x)` gives a value and its gradient, `residuals(x)` what squares add up to it, if it is such a sum.

    `text` is the same as a network; `arrays` is its training set.
    """

    name: str
    start: np.ndarray
    value: Callable
    residuals: Callable | None
    text: str
    arrays: dict[str, np.ndarray]

    def __str__(self):
        return self.name


class Plain(Function):
    """A problem as the methods take it; second derivatives are differences of the gradient."""

    def __init__(self, problem):
        super().__init__()
        self.problem = problem

    def evaluated(self, x):
        value, gradient = self.problem.value(x)
        return Point(x, float(value), gradient)

    def hessian_times(self, point, vector):
        step = 1e-5 / np.linalg.norm(vector)
        moved = [self.problem.value(point.x + s * step * vector)[1] for s in (1, -1)]
        return (moved[0] - moved[1]) / (2 * step)

    def residuals(self, point):
        return self.problem.residuals(point.x), jacobian(self.problem, point.x)


def jacobian(problem, x):
    """By central differences."""
    step = 1e-6
    rows = [problem.residuals(x + step * e) - problem.residuals(x - step * e) for e in np.eye(len(x))]
    return np.stack(rows, axis=1) / (2 * step)


def rosenbrock():
    """Rosenbrock 1960: a curved valley."""

    def value(x):
        a, b = x[1] - x[0] ** 2, 1 - x[0]
        return 100 * a**2 + b**2, np.array([-400 * x[0] * a - 2 * b, 200 * a])

    def residuals(x):
        return np.array([10 * (x[1] - x[0] ** 2), x[0] - 1])

    text = """
    net Rosenbrock {
      input one: [1]
      x = one -> dense(1, bias = false, init = constant(-1.2))
      y = one -> dense(1, bias = false)
      output residuals = concat(10 * (y - x * x), x)
    }
    train { loss = 2 * mse(residuals, goal) }
    """
    arrays = {"one": np.ones((1, 1)), "goal": np.array([[0.0, 1.0]])}
    return Problem("rosenbrock", np.array([-1.2, 1.0]), value, residuals, text, arrays)


LOSSES = {
    "mse": "mse(y, t)",
    "logistic": "binary_cross_entropy(y, t)",
    "softmax": "cross_entropy(y, t)",
}


def dense_net(name, sizes, x, t, loss, penalty, seed):
    """Layers with tanh between them, a loss, and a penalty on the matrices."""
    rng = np.random.default_rng(seed)
    shapes = [shape for a, b in itertools.pairwise(sizes) for shape in ((a, b), (b,))]
    start = [rng.normal(size=s) / np.sqrt(s[0]) if len(s) == 2 else np.zeros(s) for s in shapes]

    def parts(w):
        ends = np.cumsum([np.prod(s) for s in shapes])[:-1]
        return [a.reshape(s) for a, s in zip(np.split(w, ends), shapes, strict=True)]

    def forward(p):
        values = [x]
        for k in range(0, len(p), 2):
            z = values[-1] @ p[k] + p[k + 1]
            values.append(np.tanh(z) if k + 2 < len(p) else z)
        return values

    def value(w):
        p = parts(w)
        values = forward(p)
        total, d = OUTPUTS[loss](values[-1], t)
        grads = []
        for k in reversed(range(0, len(p), 2)):
            grads = [values[k // 2].T @ d + 2 * penalty * p[k], d.sum(0), *grads]
            d = (d @ p[k].T) * (1 - values[k // 2] ** 2)
        total += penalty * sum((p[k] ** 2).sum() for k in range(0, len(p), 2))
        return total, np.concatenate([g.ravel() for g in grads])

    def residuals(w):
        p = parts(w)
        y = forward(p)[-1]
        rest = [np.sqrt(penalty) * p[k].ravel() for k in range(0, len(p), 2)] if penalty else []
        return np.concatenate([((y - t) / np.sqrt(y.size)).ravel(), *rest])

    layers = " -> tanh -> ".join(f"dense({n})" for n in sizes[1:])
    text = f"""
    net Dense {{
      input x: [{sizes[0]}]
      output y = x -> {layers}
    }}
    train {{ loss = {LOSSES[loss]} + {penalty} * l2(weights) }}
    """
    vector = np.concatenate([a.ravel() for a in start])
    return Problem(name, vector, value, residuals if loss == "mse" else None, text, {"x": x, "t": t})


def _squares(y, t):
    return ((y - t) ** 2).mean(), 2 * (y - t) / y.size


def _logistic(y, t):
    return (np.logaddexp(0, y) - y * t).mean(), (1 / (1 + np.exp(-y)) - t) / y.size


def _softmax(y, t):
    rows = np.arange(len(y))
    logs = y - y.max(1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(1, keepdims=True))
    d = np.exp(logs)
    d[rows, t] -= 1
    return -logs[rows, t].mean(), d / len(y)


OUTPUTS = {"mse": _squares, "logistic": _logistic, "softmax": _softmax}


def taught(name, loss, penalty):
    """A small network fitted to what another one of its kind says, with noise, from where that one is not far."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(120, 2))
    layers = [(2 * rng.normal(size=shape), rng.normal(size=shape[1])) for shape in ((2, 3), (3, 1))]
    (w1, b1), (w2, b2) = layers
    said = np.tanh(x @ w1 + b1) @ w2 + b2
    if loss == "mse":
        t = said + 0.1 * rng.normal(size=said.shape)
    else:
        t = (rng.random(said.shape) < 1 / (1 + np.exp(-2 * said))) * 1.0
    start = np.concatenate([a.ravel() for layer in layers for a in layer])
    problem = dense_net(name, [2, 3, 1], x, t, loss, penalty, 2)
    return replace(problem, start=start + 0.5 * rng.normal(size=start.shape))


def six():
    """The problems."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5))
    chance = 1 / (1 + np.exp(-x @ np.array([[2], [-1], [0.5], [0], [1.0]])))
    logistic = dense_net("logistic", [5, 1], x, (rng.random((200, 1)) < chance) * 1.0, "logistic", 1e-3, 1)
    classes = rng.integers(0, 4, 150)
    x = rng.normal(size=(4, 6))[classes] + rng.normal(size=(150, 6))
    softmax = dense_net("softmax", [6, 4], x, classes, "softmax", 1e-2, 2)
    fit = taught("fit", "mse", 1e-3)
    decision = taught("decision", "logistic", 1e-2)
    x = rng.normal(size=(80, 4)) * np.array([1, 2, 0.5, 3])
    t = x @ rng.normal(size=(4, 1)) + 0.1 * rng.normal(size=(80, 1))
    linear = dense_net("linear", [4, 1], x, t, "mse", 0.0, 5)
    return [rosenbrock(), logistic, softmax, linear, fit, decision]


def squares():
    """Three more sums of squares: classes and decisions by squares, and two layers of hidden units."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(100, 3))
    classes = np.eye(3)[(x @ rng.normal(size=(3, 3))).argmax(1)]
    shares = dense_net("shares", [3, 3], x, classes, "mse", 1e-2, 1)
    decision = taught("squared", "mse", 1e-2)
    deep = dense_net("deep", [3, 3, 2, 1], x, np.sin(x[:, :1]) * x[:, 1:2], "mse", 1e-2, 3)
    return [shares, decision, deep]


SIX, SQUARES = six(), squares()
