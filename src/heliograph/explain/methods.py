"""How much each atom contributes to f(all) - f({}): six answers, each with its equation.

    occlusion             phi_i = f(all) - f(all without i)
    gradient              phi_i = x_i . df/dx_i, and half of that of each bond at i
    integrated-gradients  phi_i = x_i . integral_0^1 df/dx_i(t x) dt, likewise            Sundararajan et al. 2017, arXiv:1703.01365
    shapley               the mean of f(S + i) - f(S) over all orders of atoms             Shapley 1953
    myerson               the same of v(S) = sum over connected parts C of S of f(C) - f({})   Myerson 1977
    random                numbers that know nothing, with the sum of occlusion's: to compare with

shapley and myerson are exact up to EXACT atoms (2^n sets) and beyond that the mean over ORDERS
orders and their reverses, drawn by a seed (Castro et al. 2009). integrated-gradients, shapley and
myerson add up to f(all) - f({}); a molecule of several parts (a salt) has no bonds between them,
and myerson adds their values up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch

from heliograph.explain.value import Value

EXACT = 10
ORDERS = 10
POINTS = 32  # of Gauss and Legendre's rule for integrated gradients
Method = Callable[[Value, int], np.ndarray]  # value, seed -> [n, members]


def occlusion(f: Value, seed: int) -> np.ndarray:
    """Hide one atom after the other."""
    n = f.n
    values = f(np.concatenate([np.ones((1, n), dtype=bool), ~np.eye(n, dtype=bool)]))
    return np.asarray(values[:1] - values[1:])


def gradient(f: Value, seed: int) -> np.ndarray:
    """Attribute by the gradient at the molecule, times its features."""
    return _along(f, np.array([1.0]), np.array([1.0]))


def integrated_gradients(f: Value, seed: int) -> np.ndarray:
    """Attribute by the gradient's mean between nothing and the molecule, times its features."""
    points, weights = np.polynomial.legendre.leggauss(POINTS)
    return _along(f, (points + 1.0) / 2.0, weights / 2.0)


def _along(f: Value, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    x, edge = f.features
    B, t = len(points), f.graph.topology
    scale = torch.from_numpy(points).to(x.dtype)
    found = []
    for member in range(len(f.predictor.models)):
        xs = (scale[:, None, None] * x).reshape(B * len(x), -1).requires_grad_()
        es = (scale[:, None, None] * edge).reshape(B * len(edge), edge.shape[1]).requires_grad_()
        total = (f.alone(member, xs, es, B) * torch.from_numpy(weights)).sum()
        gx, ge = torch.autograd.grad(total, [xs, es], allow_unused=True)
        phi = torch.zeros(f.n, dtype=torch.float64)
        if gx is not None:
            phi += (gx.reshape(B, *x.shape).sum(0) * x).sum(-1).double()
        if ge is not None and len(edge):
            bond = (ge.reshape(B, *edge.shape).sum(0) * edge).sum(-1).double() / 2.0
            phi.index_add_(0, t.senders, bond).index_add_(0, t.receivers, bond)
        found.append(phi.detach().numpy())
    f.calls += B
    return np.stack(found, 1)


def shapley(f: Value, seed: int) -> np.ndarray:
    """Mean marginal contribution over orders."""
    return _over_orders(f, f, seed)


def myerson(f: Value, seed: int) -> np.ndarray:
    """Attribute by Shapley values of the game in which only connected atoms act together."""
    neighbours = f.bonded()
    known: dict[int, np.ndarray] = {}

    def v(masks: np.ndarray) -> np.ndarray:
        each = [parts(number(mask), neighbours) for mask in masks]
        new = sorted({part for of_mask in each for part in of_mask} - set(known))
        asked = np.array([[bool(part >> k & 1) for k in range(f.n)] for part in [0, *new]])
        values = f(asked) if new or not known else np.zeros((0, 1))
        if len(values):
            known.update({part: value - values[0] for part, value in zip(new, values[1:], strict=True)})
        nothing = np.zeros(len(f.predictor.models))
        return np.stack([sum((known[part] for part in of_mask), nothing) for of_mask in each])

    return _over_orders(f, v, seed)


def _over_orders(f: Value, v: Callable[[np.ndarray], np.ndarray], seed: int) -> np.ndarray:
    """Shapley values of a game on sets of f's atoms, [n, members]."""
    n = f.n
    if n <= EXACT:
        numbers = np.arange(2**n)
        masks = (numbers[:, None] >> np.arange(n) & 1).astype(bool)  # [2^n, n]
        values, size = v(masks), masks.sum(1)
        weight = np.array([1.0 / (n * _choose(n - 1, k)) for k in range(n)])
        phi = np.zeros((n, values.shape[1]))
        for i in range(n):
            without = numbers[~masks[:, i]]
            phi[i] = (weight[size[without], None] * (values[without | 1 << i] - values[without])).sum(0)
        return phi
    random = np.random.default_rng(seed)
    half = [f.order[random.permutation(n)] for _ in range(ORDERS)]
    orders = np.array([order for one in half for order in (one, one[::-1])])  # [2 ORDERS, n]
    rank = np.argsort(orders, axis=1)
    masks = rank[:, None, :] < np.arange(n + 1)[None, :, None]  # [O, n + 1, n]
    values = v(masks.reshape(-1, n)).reshape(len(orders), n + 1, -1)
    gains = np.diff(values, axis=1)  # [O, n, members], by place in the order
    return f.alike(np.take_along_axis(gains, rank[:, :, None], axis=1).mean(0))


def random(f: Value, seed: int) -> np.ndarray:
    """Draw random contributions, to compare with."""
    drawn = np.random.default_rng([seed, f.n]).standard_normal((f.n, len(f.predictor.models)))
    ends = f(np.stack([np.ones(f.n, dtype=bool), np.zeros(f.n, dtype=bool)]))
    return np.asarray(drawn - drawn.mean(0) + (ends[0] - ends[1]) / f.n)


def fidelity(f: Value, phi: np.ndarray, seed: int, sets: int = 24) -> float:
    """Return the correlation, over random sets of atoms, of their contributions' sum and of what
    hiding them changes.

    All sets have a third of the atoms, so that their number explains nothing. 1 for contributions
    that add up for every set; NaN where hiding changes nothing (after Yeh et al. 2019,
    arXiv:1901.09392).
    """
    if f.n < 4:
        return float("nan")
    random_ = np.random.default_rng([seed, 1])
    hidden = np.zeros((sets, f.n), dtype=bool)
    for row in hidden:
        row[f.order[random_.permutation(f.n)[: max(1, f.n // 3)]]] = True
    values = f(np.concatenate([np.ones((1, f.n), dtype=bool), ~hidden])).mean(1)
    change, summed = values[0] - values[1:], hidden @ phi
    if np.ptp(change) <= 1e-12 * np.abs(values).max() or np.ptp(summed) <= 1e-12 * np.abs(phi).max():  # in any unit
        return float("nan")
    return float(np.corrcoef(change, summed)[0, 1])


def parts(mask: int, neighbours: list[int]) -> list[int]:
    """Return the connected parts of a set of atoms, each as a number whose bits are atoms."""
    found = []
    while mask:
        part, border = 0, mask & -mask
        while border:
            part |= border
            reach = 0
            while border:
                low = border & -border
                reach |= neighbours[low.bit_length() - 1]
                border ^= low
            border = reach & mask & ~part
        found.append(part)
        mask &= ~part
    return found


def number(mask: np.ndarray) -> int:
    """Return a set of atoms, bool [n], as a number whose bits are atoms."""
    return int("".join("1" if m else "0" for m in mask[::-1]), 2)


def _choose(n: int, k: int) -> int:
    return math.comb(n, k)


METHODS: Mapping[str, Method] = {
    "occlusion": occlusion,
    "integrated-gradients": integrated_gradients,
    "gradient": gradient,
    "shapley": shapley,
    "myerson": myerson,
    "random": random,
}
