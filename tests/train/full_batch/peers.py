"""The same problems by SciPy."""

from functools import cache

import numpy as np
from scipy.optimize import least_squares, minimize

from tests.train.full_batch.problems import SIX, SQUARES, Plain, Point, jacobian

#: our methods, and SciPy's that they are compared with
PAIRS = {
    "bfgs": "BFGS",
    "lbfgs": "L-BFGS-B",
    "cg(formula = fletcher_reeves)": "CG",
    "cg(formula = polak_ribiere)": "CG",
    "cg(formula = hestenes_stiefel)": "CG",
    "cg(formula = dai_yuan)": "CG",
    "newton(solve = exact)": "trust-exact",
    "newton(solve = cg)": "Newton-CG",
    "levenberg_marquardt": "lm",
}


@cache
def scipy_on(name, method):
    """The value that SciPy reaches, and its evaluations of value and gradient."""
    problem = next(p for p in (*SIX, *SQUARES) if p.name == name)
    if method == "lm":
        found = least_squares(
            problem.residuals, problem.start, jac=lambda x: jacobian(problem, x), method="lm"
        )
        return float((found.fun**2).sum()), found.nfev
    plain = Plain(problem)

    def product(x, v):
        return plain.hessian_times(Point(x, 0.0, x), v)

    def hessian(x):
        matrix = np.stack([product(x, e) for e in np.eye(len(x))], axis=1)
        return (matrix + matrix.T) / 2

    second = {"Newton-CG": {"hessp": product}, "trust-exact": {"hess": hessian}}.get(method, {})
    options = {"Newton-CG": {"xtol": 1e-5}, "L-BFGS-B": {"gtol": 1e-5, "ftol": 0}}.get(method, {"gtol": 1e-5})
    found = minimize(problem.value, problem.start, jac=True, method=method, options=options, **second)
    return float(found.fun), found.nfev
