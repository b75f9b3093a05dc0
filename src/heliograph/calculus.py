"""Calculus on a graph: gradient d, divergence d*, Laplacian L = d* d and its polynomials P(L), as functions and as layers.

    (d x)_p   = sqrt(w_p) (x_i - x_j)                 p = (j -> i), one edge of each undirected pair: x [N, ...] -> [P, ...]
    (d* v)_i  = sum_{p ends in i} sqrt(w_p) v_p - sum_{p starts in i} sqrt(w_p) v_p          v [P, ...] -> [N, ...]
    L x_i     = (d* d x)_i = sum_{j in N(i)} w_ij (x_i - x_j) = degree_i x_i - sum_j w_ij x_j     degree_i = sum_j w_ij

d* is the adjoint of d, <d x, v> = <x, d* v>, because both carry sqrt(w). (With w_ij in d alone, as it is sometimes written, d* d is L as
well, but d* is not the adjoint of d.) Two more Laplacians are in use, each by its own name:

    random walk  D^-1 L x_i = x_i - sum_j w_ij x_j / degree_i          the state minus the neighbours' average
    symmetric    D^-1/2 L D^-1/2                                       eigenvalues from 0 to 2, as the random walk's (Chung 1997, ch. 1)

Direction: which edge of a pair stands for it (`Topology.pairs`) changes the sign of d x, and nothing in L. A self-loop has d x = 0.
On cells of every rank (`heliograph.views.incidence`), `boundary` and `coboundary` are d* and d, and the boundary of a boundary is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.edge import Edge
from heliograph.errors import DataError
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer

__all__ = [
    "Filter",
    "boundary",
    "chebyshev",
    "coboundary",
    "d",
    "d_star",
    "degree",
    "hodge",
    "laplacian",
    "laplacian_layer",
    "polynomial",
    "random_walk_laplacian",
    "symmetric_laplacian",
]

Operator = Callable[[Graph, Tensor, Tensor | None], Tensor]


def d(graph: Graph, x: Tensor, w: Tensor | None = None) -> Tensor:
    """Take the differences sqrt(w_p) (x_i - x_j) of node values `x` [N, ...] along each pair, [P, ...].

    `w` [E] weighs edges, both directions alike, each >= 0; None: all one. Raises DataError for other weights.
    """
    j, i, root = _pairs(graph, x, w)
    return root * (x[i] - x[j])


def d_star(graph: Graph, v: Tensor, w: Tensor | None = None) -> Tensor:
    """Add up pair values `v` [P, ...] at their ends, + where the pair's edge ends and - where it starts, [N, ...]: the adjoint of `d`."""
    j, i, root = _pairs(graph, v, w)
    flow = root * v
    return v.new_zeros(graph.N, *v.shape[1:]).index_add(0, i, flow).index_add(0, j, -flow)


def laplacian(graph: Graph, x: Tensor, w: Tensor | None = None) -> Tensor:
    """Apply L = d* d to node values `x` [N, ...]: degree times x minus the weighted sum over neighbours."""
    return d_star(graph, d(graph, x, w), w)


def degree(graph: Graph, w: Tensor | None = None) -> Tensor:
    """Add up the weights of each node's pairs, [N]; self-loops do not count."""
    like = dense(w) if w is not None else torch.ones((), dtype=torch.float64, device=graph.topology.senders.device)
    j, i, root = _pairs(graph, like.new_zeros(1), w)
    weight = root.square()
    return weight.new_zeros(graph.N).index_add(0, i, weight).index_add(0, j, weight)


def random_walk_laplacian(graph: Graph, x: Tensor, w: Tensor | None = None) -> Tensor:
    """Subtract from each node's value the weighted average over its neighbours: D^-1 L x, [N, ...]. An isolated node gives zero."""
    return _column(_inverse(degree(graph, w)), x) * laplacian(graph, x, w)


def symmetric_laplacian(graph: Graph, x: Tensor, w: Tensor | None = None) -> Tensor:
    """Apply D^-1/2 L D^-1/2 to node values `x` [N, ...]. An isolated node gives zero."""
    root = _column(_inverse(degree(graph, w)).sqrt(), x)
    return root * laplacian(graph, root * x, w)


def polynomial(
    graph: Graph, x: Tensor, coefficients: Sequence[float] | Tensor, operator: Operator = laplacian, w: Tensor | None = None
) -> Tensor:
    """Apply P(L) x = sum_k p_k L^k x, `coefficients` p_0 .. p_K: a filter that reads K edges far. [N, ...]"""
    result = coefficients[-1] * x
    for p in list(coefficients)[-2::-1]:  # Horner
        result = operator(graph, result, w) + p * x
    return result


def chebyshev(
    graph: Graph,
    x: Tensor,
    coefficients: Sequence[float] | Tensor,
    largest: float = 2.0,
    operator: Operator = symmetric_laplacian,
    w: Tensor | None = None,
) -> Tensor:
    """Apply sum_k c_k T_k(2 L / largest - 1) x, T_k the Chebyshev polynomials (Defferrard et al. 2016, arXiv:1606.09375, eq. 4).

    `largest` bounds the operator's eigenvalues: 2 for the symmetric and the random walk Laplacian, 2 max(degree) for L.
    """

    def scaled(y: Tensor) -> Tensor:
        return 2 / largest * operator(graph, y, w) - y

    before, now = x, scaled(x)
    result = coefficients[0] * x
    for c in list(coefficients)[1:]:
        result = result + c * now
        before, now = now, 2 * scaled(now) - before
    return result


@final
class Difference(nn.Module):
    """The message w_ij (h_i - h_j), so that its sum is L h. `weight` names an edge feature [E] or [E, 1]; None: all one."""

    def __init__(self, weight: str | None = None):
        super().__init__()
        self.weight = weight

    def forward(self, e: Edge) -> dict[str, Any]:
        difference = e.i["h"] - e.j["h"]
        if self.weight is None:
            return {"m": difference}
        w = dense(e.graph.edges[self.weight])
        return {"m": difference * w.reshape(-1, *[1] * (len(dense(e.graph.nodes["h"]).shape) - 1))}


@final
class Become(nn.Module):
    """h_i' = m_i."""

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": messages["m"]}


def laplacian_layer(weight: str | None = None) -> Layer:
    """Make h' = L h as one message passing layer: message w_ij (h_i - h_j), sum, take. Every edge must have its reverse."""
    return Layer(Difference(weight), Become(), segment.sum)


@final
class Filter(nn.Module):
    """h' = P(L) h with the coefficients as parameters [K + 1].

    `apply` is `polynomial` or `chebyshev`, with an operator of this module as its default or bound with `functools.partial`; `weight`
    names an edge feature [E].
    """

    def __init__(self, coefficients: Sequence[float], apply: Callable[..., Tensor] = polynomial, weight: str | None = None):
        super().__init__()
        self.coefficients = nn.Parameter(torch.tensor(list(coefficients)))
        self.apply_to, self.weight = apply, weight

    def forward(self, graph: Graph) -> Graph:
        w = None if self.weight is None else dense(graph.edges[self.weight])
        return graph.with_nodes(h=self.apply_to(graph, dense(graph.nodes["h"]), self.coefficients, w=w))


def coboundary(nerve: Graph, x: Tensor) -> Tensor:
    """Apply d on a nerve: each cell gets its faces' values with their signs, (d x)_a = sum_{b < a} [a : b] x_b. [cells, ...]"""
    sign = _signs(nerve, x, up=True)
    return segment.sum(sign * x[nerve.topology.senders], nerve.topology.incoming)


def boundary(nerve: Graph, x: Tensor) -> Tensor:
    """Apply d* on a nerve: each cell gets the values of the cells that it bounds, (d* x)_b = sum_{a > b} [a : b] x_a. [cells, ...]"""
    sign = _signs(nerve, x, up=False)
    return segment.sum(sign * x[nerve.topology.senders], nerve.topology.incoming)


def hodge(nerve: Graph, x: Tensor) -> Tensor:
    """Apply the Hodge Laplacian d* d + d d* of every rank at once; on rank 0 it is L. [cells, ...]"""
    return boundary(nerve, coboundary(nerve, x)) + coboundary(nerve, boundary(nerve, x))


def _signs(nerve: Graph, x: Tensor, up: bool) -> Tensor:
    """The incidence number of each edge that runs up (from a face to its cell) or down, zero for the others, [E, 1 ...]."""
    t, rank = nerve.topology, dense(nerve.nodes["rank"])
    rises = rank[t.receivers] > rank[t.senders]
    sign = dense(nerve.edges["incidence"]).reshape(-1) * (rises if up else ~rises)
    return _column(sign, x)


def _pairs(graph: Graph, like: Tensor, w: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Senders [P], receivers [P] and sqrt(w) [P, 1 ...] of the pairs; a self-loop weighs nothing."""
    t = graph.topology
    edges = t.pairs.edges
    j, i = t.senders[edges], t.receivers[edges]
    if w is None:
        weight = torch.ones(len(edges), dtype=like.dtype, device=j.device)
    else:
        if w.numel() != t.E:
            raise DataError(f"weights must be one a directed edge, {t.E} of them, in the graph's order; they have shape {tuple(w.shape)}")
        w = w.reshape(-1)
        weight = w[edges]
        if bool((weight[t.pairs.index] != w).any()):
            raise DataError("an edge and its reverse must have one weight, as in any undirected graph; average the two first")
        if bool((weight < 0).any()):
            raise DataError(f"weights must be >= 0, since d has their square root; the smallest is {float(weight.min()):g}")
    return j, i, _column(weight.sqrt() * (i != j), like)


def _column(x: Tensor, like: Tensor) -> Tensor:
    dtype = like.dtype if like.is_floating_point() else x.dtype
    return x.to(dtype).reshape(-1, *[1] * (like.dim() - 1))


def _inverse(x: Tensor) -> Tensor:
    return torch.where(x > 0, 1 / torch.where(x > 0, x, 1), 0)
