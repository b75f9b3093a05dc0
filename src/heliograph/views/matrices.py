"""Graphs as matrices: all graphs of one size at a time, so that nothing is padded and no graph sees the size of another.

The ordered pairs of a batch stand graph by graph, receiver by receiver, sender by sender: sum n^2 of them, as in a complete graph
with self pairs.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor

from heliograph.errors import DataError
from heliograph.graph import Graph, Indexed
from heliograph.topology import Topology

LARGEST = 40_000_000  # pairs; their ends alone are 0.6 GB


def need_few_pairs(t: Topology) -> None:
    """Raise DataError where the ordered pairs of nodes are too many to be held."""
    pairs = int(t.n_node.square().sum())
    if pairs > LARGEST:
        raise DataError(
            f"all pairs of {t.N:,} nodes are {pairs:,}, and {LARGEST:,} are the most: take an architecture that follows the edges there "
            "are (gcn, sage, gat), with neighbours sampled where the graph is large"
        )


def by_size(t: Topology) -> Iterator[tuple[Int[Tensor, "g n"], Int[Tensor, "g n n"]]]:
    """For each size n that occurs, the nodes and the ordered pairs of the g graphs that have it; pair [i, j] is j -> i."""
    t.need_whole("a view of whole graphs")
    need_few_pairs(t)
    n = t.n_node
    first, cell = n.cumsum(0) - n, (n * n).cumsum(0) - n * n  # [G] where each graph's nodes and pairs start
    for size in n[n > 0].unique().tolist():
        g = (n == size).nonzero()  # [g, 1]
        k = torch.arange(size * size, device=n.device)
        yield first[g] + k[:size], (cell[g] + k).view(-1, size, size)


def pair(t: Topology, i: Tensor, j: Tensor) -> Tensor:
    """The number of the pair j -> i, for nodes of one graph."""
    n, own = t.n_node, t.nodes_by_graph.index[i]
    first, cell = n.cumsum(0) - n, (n * n).cumsum(0) - n * n
    return cell[own] + (i - first[own]) * n[own] + j - first[own]


def on_pairs(t: Topology, values: Tensor) -> Tensor:
    """Rows of edges [E, ...] added up on the pairs that they are, [sum n^2, ...]."""
    need_few_pairs(t)
    return values.new_zeros(int(t.n_node.square().sum()), *values.shape[1:]).index_add(0, pair(t, t.receivers, t.senders), values)


def edge_counts(t: Topology) -> Tensor:
    """The number of edges j -> i of each pair, [sum n^2] float64."""
    return on_pairs(t, torch.ones(t.E, dtype=torch.float64, device=t.senders.device))


def simple(M: Tensor) -> Tensor:
    """The adjacency of the undirected graph without loops and parallel edges, from numbers of edges [g, n, n]."""
    A = ((M + M.mT) > 0).to(M.dtype)
    return A - A.diagonal(dim1=1, dim2=2).diag_embed()


def precision(graph: Graph) -> torch.dtype:
    """The floating-point type of this graph's features."""
    features = [f.table if isinstance(f, Indexed) else f for side in (graph.nodes, graph.edges) for f in side.values()]
    return next((f.dtype for f in features if f.is_floating_point()), torch.get_default_dtype())


def one_hot(number: Int[Tensor, " n"], size: int, dtype: torch.dtype) -> Indexed:
    """Rows of the identity; `size` - 1 stands for all numbers from there on. A linear map of it is an embedding."""
    return Indexed(torch.eye(size, dtype=dtype, device=number.device), number.clamp(max=size - 1))
