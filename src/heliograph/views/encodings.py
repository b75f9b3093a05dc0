"""Structural encodings: features that say where a node or a pair stands in its graph. Any architecture can use them.

    nn.Sequential(RandomWalks(8), Concatenate("walks"))       as `view`; then `embed` takes inputs.nodes + 8 features

They are computed in float64 and are the same however nodes are numbered. What counts edges is one-hot, a table and an index: a
linear map of it is an embedding, computed once per row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, final

import torch
from torch import Tensor, nn

from heliograph.graph import Features, Graph, dense, take
from heliograph.views.matrices import by_size, edge_counts, on_pairs, one_hot, pair, precision, simple
from heliograph.views.pairs import CompleteGraph


@final
class Concatenate(nn.Module):
    """x_i = [x_i, features named], of the node or of its graph, so that an architecture's `embed` sees them."""

    def __init__(self, *names: str):
        super().__init__()
        self.names = names

    def forward(self, graph: Graph) -> Graph:
        whole = {name: take(graph.globals[name], graph.topology.nodes_by_graph.index) for name in self.names if name in graph.globals}
        features = [dense(whole[name] if name in whole else graph.nodes[name]) for name in ("x", *self.names)]
        return graph.with_nodes(x=torch.cat(features, -1))  # [N, sum of widths]


@final
class ConcatenateEdges(nn.Module):
    """e_ij = [e_ij, features named] of the edge, so that an architecture that uses `edge_attr` sees them."""

    def __init__(self, *names: str):
        super().__init__()
        self.names = names

    def forward(self, graph: Graph) -> Graph:
        features = [dense(graph.edges[name]) for name in ("edge_attr", *self.names)]
        return graph.with_edges(edge_attr=torch.cat(features, -1))  # [E, sum of widths]


@final
class Degree(nn.Module):
    """`degree` [N, limit + 1], one-hot: the edges that come in; `limit` stands for more, too."""

    def __init__(self, limit: int):
        super().__init__()
        self.size = limit + 1

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(degree=one_hot(graph.topology.degree, self.size, precision(graph)))


@final
class RandomWalks(nn.Module):
    """`walks` [N, K]: the probability that a random walk along edges is back after 1, ..., K steps.

    Dwivedi et al. 2022, arXiv:2110.07875, sec. 3.2. Of parallel edges each is as likely; a node that none leaves ends the walk.
    O(K n^3) per graph. What a graph brings along (`keep_encodings`) stays.
    """

    def __init__(self, K: int):
        super().__init__()
        self.K = K

    def forward(self, graph: Graph) -> Graph:
        if _there(graph.nodes, "walks", self.K):
            return graph
        count = edge_counts(graph.topology)
        walks = count.new_zeros(graph.N, self.K)
        for nodes, pairs in by_size(graph.topology):
            M = count[pairs]  # [g, n, n]
            P = M / M.sum(1, keepdim=True).clamp(min=1)  # a column is a node's way on
            power = P
            for k in range(self.K):
                walks[nodes, k] = power.diagonal(dim1=1, dim2=2)  # [g, n]
                power = power @ P
        return graph.with_nodes(walks=walks.to(precision(graph)))


@final
class LaplacianEigenvectors(nn.Module):
    """`eigenvectors` [N, K] and `eigenvalues` [G, K] of 1 - D^-1/2 A D^-1/2, smallest first, without the very first; A undirected.

    Dwivedi et al. 2020, arXiv:2003.00982. A graph of n <= K nodes has n - 1; zeros follow. A node alone has the eigenvalue 0.
    An eigenvector's sign is free; here its third powers add up to a positive number. Where they add up to zero (a mirror image,
    mostly), and where m eigenvalues are equal and any basis will do, each entry is its root mean square over all signs or bases,
    sqrt(sum_k v_ik^2 / m): the part of the entries that the graph determines. O(n^3) per graph. What a graph brings along
    (`keep_encodings`) stays.
    """

    def __init__(self, K: int, tolerance: float = 1e-6):
        super().__init__()
        self.K, self.tolerance = K, tolerance

    def forward(self, graph: Graph) -> Graph:
        if _there(graph.nodes, "eigenvectors", self.K) and _there(graph.globals, "eigenvalues", self.K):
            return graph
        count = edge_counts(graph.topology)
        vectors, values = count.new_zeros(graph.N, self.K), count.new_zeros(graph.G, self.K)
        for nodes, pairs in by_size(graph.topology):
            value, v = torch.linalg.eigh(laplacian(count[pairs]))  # [g, n], [g, n, n]
            apart = value.diff(prepend=value[:, :1] - 1) > self.tolerance
            space = apart.long().cumsum(1) - 1  # [g, n] equal eigenvalues have one number
            same = (space[:, :, None] == space[:, None]).to(v.dtype)
            size = same.sum(-1)[:, None]  # [g, 1, n]
            skew = v.pow(3).sum(1, keepdim=True)
            sure = (size == 1) & (skew.abs() > self.tolerance)
            v = torch.where(sure, v * skew.sign(), (v.square() @ same / size).sqrt())
            kept = slice(1, self.K + 1)
            vectors[nodes, : v.shape[-1] - 1] = v[..., kept]
            values[graph.topology.nodes_by_graph.index[nodes[:, 0]], : v.shape[-1] - 1] = value[:, kept]
        dtype = precision(graph)
        return graph.with_nodes(eigenvectors=vectors.to(dtype)).with_globals(eigenvalues=values.to(dtype))


@final
class SpectralSplines(nn.Module):
    """The complete graph with self pairs, its edges with `spectrum` [E, K]: sum_n beta_k(lambda_n) v_in v_jn over all eigenvectors.

    beta_k are the K >= 4 cubic B-splines on [0, 2], where eigenvalues of 1 - D^-1/2 A D^-1/2 lie; they add up to one. A function of
    the matrix, so signs and bases of eigenvectors do not enter, and graphs of any size share the splines. O(n^3) per graph.
    """

    def __init__(self, K: int):
        super().__init__()
        self.K, self.complete = K, CompleteGraph(self_pairs=True)

    def forward(self, graph: Graph) -> Graph:
        count = edge_counts(graph.topology)
        knots = torch.arange(-1, self.K - 1, dtype=count.dtype, device=count.device)  # the middle of each, in steps of 2 / (K - 3)
        spectrum = count.new_zeros(len(count), self.K)
        for _, pairs in by_size(graph.topology):
            value, v = torch.linalg.eigh(laplacian(count[pairs]))  # [g, n], [g, n, n]
            away = (value[..., None] * (self.K - 3) / 2 - knots).abs()  # [g, n, K]
            beta = ((2 - away).clamp(min=0) ** 3 - 4 * (1 - away).clamp(min=0) ** 3) / 6
            spectrum[pairs] = torch.einsum("gin,gnk,gjn->gijk", v, beta, v)
        return self.complete(graph).with_edges(spectrum=spectrum.to(precision(graph)))


@final
class ShortestPaths(nn.Module):
    """The complete graph with self pairs, its edges with `hops` [E, limit + 2], one-hot, and `path` [E, steps * width of edge_attr].

    `hops` counts edges on a shortest way from j to i: 0 to `limit`, then one row for what is farther or cannot be reached.
    `path` holds the edge_attr of such a way's first `steps` edges as seen from i, position by position, each divided by the
    number of positions in use; where there are several shortest ways it is the mean over them. O(limit n^3 steps width).
    """

    def __init__(self, limit: int, steps: int = 0):
        super().__init__()
        self.limit, self.steps, self.complete = limit, steps, CompleteGraph(self_pairs=True)

    def forward(self, graph: Graph) -> Graph:
        t, dtype = graph.topology, precision(graph)
        count = edge_counts(t)
        attributes = dense(graph.edges["edge_attr"]).to(count.dtype) if self.steps else count.new_zeros(t.E, 0)
        X = on_pairs(t, attributes)  # [sum n^2, width]
        hops, path = torch.zeros_like(count, dtype=torch.long), X.new_zeros(len(X), self.steps, X.shape[1])
        for _, pairs in by_size(t):
            hops[pairs], path[pairs] = self._search(count[pairs], X[pairs].movedim(-1, 1))
        result = self.complete(graph).with_edges(hops=one_hot(hops, self.limit + 2, dtype))
        return result.with_edges(path=path.flatten(1).to(dtype)) if self.steps else result

    def _search(self, M: Tensor, X: Tensor) -> tuple[Tensor, Tensor]:
        """Breadth first from all nodes at once, from numbers of edges [g, n, n] and sums of their features [g, width, n, n]."""
        ways = torch.eye(M.shape[-1], dtype=M.dtype, device=M.device).expand_as(M)  # shortest ways of k edges, [g, n, n]
        hops = torch.where(ways > 0, 0, self.limit + 1)
        along = X[:, None, :][:, :0]  # [g, positions, width, n, n]: their edges' features, added up
        path = X.new_zeros(len(X), self.steps, *X.shape[1:])
        for k in range(1, self.limit + 1):
            before, ways = ways, ways @ M * (hops > self.limit)
            new = ways > 0
            if not new.any():
                break
            hops = torch.where(new, k, hops)
            along = along @ M[:, None, None] * new[:, None, None]
            if k <= self.steps:
                along = torch.cat([along, (before[:, None] @ X * new[:, None])[:, None]], 1)
            share = along / (ways.clamp(min=1) * max(1, min(k, self.steps)))[:, None, None]
            path = path + torch.cat([share, path.new_zeros(len(X), self.steps - along.shape[1], *X.shape[1:])], 1)
        return hops, path.movedim((1, 2), (3, 4))  # [g, n, n, steps, width]


@final
class Rings(nn.Module):
    """`ring` of nodes [N, limit - 1] and of edges [E, limit - 1], one-hot: the smallest ring that they are part of, direction aside.

    The columns are 3, ..., `limit` nodes, and no ring as small as that. O(limit n^2) per edge.
    """

    def __init__(self, limit: int = 8):
        super().__init__()
        self.limit = limit

    def forward(self, graph: Graph) -> Graph:
        t, dtype = graph.topology, precision(graph)
        count = edge_counts(t)
        ring = torch.full_like(count, self.limit + 1, dtype=torch.long)
        of_node = ring.new_zeros(graph.N)
        for nodes, pairs in by_size(t):
            ring[pairs] = self._search(simple(count[pairs]))
            of_node[nodes] = ring[pairs].amin(2)
        sizes = self.limit - 1
        return graph.with_nodes(ring=one_hot(of_node - 3, sizes, dtype)).with_edges(
            ring=one_hot(ring[pair(t, t.receivers, t.senders)] - 3, sizes, dtype)
        )

    def _search(self, A: Tensor) -> Tensor:
        """Breadth first from one end of each edge to the other without that edge, on undirected graphs [g, n, n]."""
        g, i, j = A.triu().nonzero(as_tuple=True)  # [P] each edge once
        edges = torch.zeros(len(A), dtype=torch.long, device=g.device).index_add_(0, g, torch.ones_like(g))
        k = torch.arange(len(g), device=g.device) - (edges.cumsum(0) - edges)[g]  # [P] its number within the graph
        reached = A.new_zeros(len(A), int(edges.max()), A.shape[-1])  # [g, edges, n]
        reached[g, k, i] = 1
        size = torch.full_like(g, self.limit + 1)
        for length in range(2, self.limit + 1):  # of the ring
            more = reached @ A
            more[g, k, j] -= reached[g, k, i]
            more[g, k, i] -= reached[g, k, j]
            reached = ((reached + more) > 0).to(A.dtype)
            size = torch.where((reached[g, k, j] > 0) & (size > self.limit), length, size)
        result = torch.full_like(A, self.limit + 1, dtype=torch.long)
        result[g, i, j] = result[g, j, i] = size
        return result


_KEPT: tuple[tuple[type[nn.Module], dict[str, tuple[str, ...]]], ...] = (
    (RandomWalks, {"nodes": ("walks",)}),
    (LaplacianEigenvectors, {"nodes": ("eigenvectors",), "globals": ("eigenvalues",)}),
)


def keep_encodings(view: object, store: Keeper) -> None:
    """Compute what depends on the molecule alone once: the encodings that begin a network's `view`, kept in the store it learns from.

    Those behind a view that changes the edges are of another graph, and are left to each batch.
    """
    for part in view if isinstance(view, nn.Sequential) else [view]:
        if not isinstance(part, RandomWalks | LaplacianEigenvectors | Concatenate | Degree):
            return
        for kind, names in _KEPT:
            if isinstance(part, kind):
                store.keep(part, **names)


class Keeper(Protocol):
    """What `heliograph.data.store.Store` does."""

    def keep(self, view: Callable[[Graph], Graph], nodes: Sequence[str] = (), globals: Sequence[str] = ()) -> None:
        """Have `view` add these features, once."""


def _there(features: Features, name: str, K: int) -> bool:
    return name in features and features[name].shape[-1] == K


def laplacian(M: Tensor) -> Tensor:
    """1 - D^-1/2 A D^-1/2 of graphs seen as undirected, [g, n, n]; the row of a node alone is zero (Chung 1997, sec. 1.2)."""
    A = simple(M)
    degree = A.sum(-1)
    norm = degree.clamp(min=1).rsqrt()
    return (degree > 0).to(A.dtype).diag_embed() - norm[:, :, None] * A * norm[:, None]
