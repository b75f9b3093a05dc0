"""How sure a linear map is of its answers: the posterior of its weights, with the prior and the noise
that make the labels most likely (MacKay 1992, doi:10.1162/neco.1992.4.3.415).

    numbers    y = w . phi + noise of variance s,   w ~ N(0, 1/alpha)
               A = Phi' Phi / s + alpha,            variance of y: phi' A^-1 phi + s
    classes    p = sigmoid(w . phi),                A = Phi' diag(p (1 - p)) Phi + alpha   (Laplace's approximation at w)

Phi [n, D] are the features of n rows. With V and l the eigenvectors and eigenvalues of the sum of
outer products, A^-1 is V diag(variance) V', and alpha and s are found by a search in one dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

DECADES = (-10.0, 6.0)  # of alpha, in units of the largest eigenvalue, that are searched
STEPS = 65
SMALLEST = 1e-12  # of the labels' squares: what no features explain is at least that


@dataclass(frozen=True, eq=False)
class Posterior:
    """Covariance V diag(variance) V' of D weights: `basis` V [D, D], `variance` [D]; `noise`: variance of a label around its answer
    (0 for classes).
    """

    basis: np.ndarray
    variance: np.ndarray
    noise: float

    def of(self, phi: np.ndarray) -> np.ndarray:
        """Return the variance of w . phi, [n], for features [n, D]."""
        return np.asarray(np.square(phi @ self.basis) @ self.variance)


def numbers(phi: np.ndarray, y: np.ndarray) -> Posterior:
    """Return the posterior of Bayesian linear regression of labels y [n] on features [n, D].

    With g = alpha s the evidence is largest at s = r(g) / n, r(g) = y'y - y' Phi (Phi' Phi + g)^-1 Phi' y, which leaves g to be searched.
    """
    lam, basis = _spectrum(phi.T @ phi)
    b2 = np.square(basis.T @ (phi.T @ y))
    n, whole = len(y), max(float(y @ y), np.finfo(np.float64).tiny)

    def left(g: float) -> float:
        return max(whole - float((b2 / (lam + g)).sum()), SMALLEST * whole)

    def cost(g: float) -> float:
        return 0.5 * (n * np.log(left(g)) - len(lam) * np.log(g) + float(np.log(lam + g).sum()))

    g = _lowest(cost, lam)
    noise = left(g) / n
    return Posterior(basis, noise / (lam + g), noise)


def classes(phi: np.ndarray, p: np.ndarray, w: np.ndarray) -> Posterior:
    """Return Laplace's approximation of logistic regression at weights w [D]: rows of features phi [n, D], probabilities p [n]."""
    lam, basis = _spectrum((phi.T * (p * (1.0 - p))) @ phi)
    squared = float(w @ w)
    alpha = _lowest(lambda a: 0.5 * (a * squared - len(lam) * np.log(a) + float(np.log(lam + a).sum())), lam)
    return Posterior(basis, 1.0 / (lam + alpha), 0.0)


def _spectrum(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lam, basis = np.linalg.eigh(gram)
    return np.maximum(lam, 0.0), basis


def _lowest(cost: Callable[[float], float], lam: np.ndarray) -> float:
    """The value with the least cost: on a grid of powers, then between its neighbours."""
    from scipy.optimize import minimize_scalar

    size = max(float(lam.max()), np.finfo(np.float64).tiny)
    powers = np.linspace(*DECADES, STEPS)
    best = int(np.argmin([cost(size * 10.0**k) for k in powers]))
    between = powers[max(best - 1, 0)], powers[min(best + 1, STEPS - 1)]
    found = minimize_scalar(lambda k: cost(size * 10.0**k), bounds=between, method="bounded", options={"xatol": 1e-10})
    return size * 10.0 ** float(found.x)
