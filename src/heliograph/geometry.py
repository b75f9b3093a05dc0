"""Geometry: the vectors of pairs, and what the derivative of an energy by them gives.

    r_p = x_j + S_p C - x_i                    pair p: from receiver i to its sender j, taken from image S_p
    F_i = sum_p [i receives] dE/dr_p - sum_p [i sends] dE/dr_p
    dE/dstrain = sum_p r_p (x) dE/dr_p         stress = dE/dstrain / volume

x [N, 3] positions, C [3, 3] the cell with one lattice vector a row, S [P, 3] whole numbers, E the energy; P undirected pairs.

A network sees positions through the vectors r alone (the edge feature `pair_vector`), so they are the one tensor to differentiate by:
one backward pass gives forces, stress and virials, with every image of every atom counted. Positions and cells stay in float64 up to
the difference, so that a network in float32 loses nothing far from the origin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from heliograph.graph import Graph, Indexed, dense

VECTOR = "pair_vector"  # edge feature [E, 3]: a row of a table [P, 3] per pair, along the pair's first edge


def with_vectors(graph: Graph) -> Graph:
    """Return the graph with `pair_vector`, computed from `pos` [N, 3], `cell` [G, 3, 3] and the topology's `shift`."""
    t, pos = graph.topology, dense(graph.nodes["pos"])
    first = t.pairs.edges
    i, j = t.receivers[first], t.senders[first]
    r = pos.index_select(0, j) - pos.index_select(0, i)  # [P, 3]
    if t.shift is not None:
        cell = dense(graph.globals["cell"]).index_select(0, t.nodes_by_graph.index[i])  # [P, 3, 3]
        r = r + (t.shift[first].to(r.dtype)[:, None, :] @ cell)[:, 0]
    return graph.with_edges(**{VECTOR: Indexed(r, t.pairs.index)})


def pair_vectors(graph: Graph) -> Tensor:
    """Return r [P, 3], from the graph where it has them, else from positions."""
    if VECTOR not in graph.edges:
        graph = with_vectors(graph)
    feature = graph.edges[VECTOR]
    assert isinstance(feature, Indexed)
    return feature.table


def with_leaf(graph: Graph) -> tuple[Graph, Tensor]:
    """Return the graph with its vectors as a fresh leaf r [P, 3] that records gradients, and that leaf."""
    r = pair_vectors(graph).detach().requires_grad_()
    return graph.with_edges(**{VECTOR: Indexed(r, graph.topology.pairs.index)}), r


def lengths(r: Tensor) -> Tensor:
    """Return |r| [P, 1] of r [P, 3]; the derivative at zero is zero instead of NaN."""
    square = r.square().sum(-1, keepdim=True)
    return torch.where(square > 0, square, 1).sqrt().where(square > 0, square)


def directions(graph: Graph, r: Tensor, distance: Tensor) -> Tensor:
    """Return r_ij / |r_ij| for each edge, [E, 3], from receiver to sender; zero for a vector of length zero."""
    pairs = graph.topology.pairs
    unit = r / torch.where(distance > 0, distance, 1)  # [P, 3]
    return unit.index_select(0, pairs.index) * pairs.sign[:, None].to(r.dtype)


def forces(graph: Graph, gradient: Tensor) -> Tensor:
    """Return the forces [N, 3] from dE/dr [P, 3]."""
    t = graph.topology
    first = t.pairs.edges
    zero = gradient.new_zeros(t.N, 3)
    return zero.index_add(0, t.receivers[first], gradient).index_add(0, t.senders[first], -gradient)


def strain_derivative(graph: Graph, r: Tensor, gradient: Tensor) -> Tensor:
    """Return dE/dstrain [G, 3, 3], symmetric, from r [P, 3] and dE/dr [P, 3]."""
    t = graph.topology
    of = t.nodes_by_graph.index[t.receivers[t.pairs.edges]]  # [P]
    outer = r[:, :, None] * gradient[:, None, :]
    total = gradient.new_zeros(t.G, 3, 3).index_add(0, of, outer)
    return 0.5 * (total + total.transpose(1, 2))


def virials(graph: Graph, r: Tensor, gradient: Tensor) -> Tensor:
    """Return each atom's share of dE/dstrain [N, 3, 3]: half of every pair that it belongs to."""
    t = graph.topology
    first = t.pairs.edges
    half = 0.5 * r[:, :, None] * gradient[:, None, :]
    zero = gradient.new_zeros(t.N, 3, 3)
    return zero.index_add(0, t.receivers[first], half).index_add(0, t.senders[first], half)


def stress(graph: Graph, derivative: Tensor) -> Tensor:
    """Return dE/dstrain / volume [G, 3, 3]; NaN for a structure that is not periodic along three axes.

    Signs as in ASE: positive under tension. `globals` must have `cell` [G, 3, 3] and `pbc` [G, 3].
    """
    volume = torch.linalg.det(dense(graph.globals["cell"]).to(derivative.dtype)).abs()  # [G]
    periodic = dense(graph.globals["pbc"]).bool().all(-1) & (volume > 0)
    result = derivative / torch.where(periodic, volume, 1)[:, None, None]
    return torch.where(periodic[:, None, None], result, torch.nan)
