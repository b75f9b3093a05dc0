"""Cells of every rank and who contains whom: the nerve of a hypergraph as an ordinary graph.

    rank 0  vertices        rank 1  edges        rank 2  faces: triangles, rings        rank 3  tetrahedra        ...
    N_1 G = {a > b}         inclusions: a contains b         N_k G = {a_0 > ... > a_k}  chains

`nerve(graph, cells)` has a node for each cell and, for each inclusion a > b, one edge a -> b with `sign` +1 and one b -> a with `sign` -1:

    U(M)_b = sum_{a > b} M_{a > b} - sum_{b > c} M_{b > c}

Cells are oriented by the order of their vertices; `incidence` [a : b] is +1 where a's orientation induces that of its face b, -1 where it
induces the other, 0 where b is no face (rank a > rank b + 1) or has no orientation (hyperedges). `heliograph.calculus` has the boundary
operators; the boundary of a boundary is zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import final

import numpy as np
import scipy.sparse
import torch
from torch import Tensor, nn

from heliograph.errors import DataError
from heliograph.graph import Feature, Graph, dense
from heliograph.topology import Segments, Topology
from heliograph.views.matrices import precision

Cell = tuple[int, ...]  # its vertices, in the order that orients it


@final
@dataclass(frozen=True, eq=False)
class Cells:
    """C cells of a batch, graph by graph, each graph's vertices first and then by rank.

    `rank` [C]; `graph` [C] which graph each is of; `upper`, `lower` [I] the inclusions upper > lower; `incidence` [I] -1, 0 or 1;
    `cell`, `vertex` [M] the vertices of each cell (numbers of nodes of the graph), sorted by cell.
    """

    rank: Tensor
    graph: Tensor
    upper: Tensor
    lower: Tensor
    incidence: Tensor
    cell: Tensor
    vertex: Tensor

    def __len__(self) -> int:
        return len(self.rank)

    def flipped(self, flip: Tensor) -> Cells:
        """Turn the orientation of cells where `flip` [C] is true; vertices have none and must not be among them."""
        if bool((flip & (self.rank == 0)).any()):
            raise DataError("a vertex has no orientation to flip; `flip` must be false for cells of rank 0")
        turn = 1 - 2 * flip.long()
        return replace(self, incidence=self.incidence * turn[self.upper] * turn[self.lower])

    def chains(self, k: int) -> Tensor:
        """List the chains a_0 > a_1 > ... > a_k by their cells, [N_k, k + 1]."""
        found = torch.arange(len(self))[:, None]
        order = self.upper.argsort(stable=True)
        below = Segments(self.upper[order], len(self))
        for _ in range(k):
            last = found[:, -1]
            many = below.count[last]
            row = torch.repeat_interleave(torch.arange(len(found)), many)
            within = torch.arange(len(row)) - torch.repeat_interleave(many.cumsum(0) - many, many)
            found = torch.cat([found[row], self.lower[order][below.pointer[last[row]] + within][:, None]], 1)
        return found


def cliques(graph: Graph, largest: int = 3) -> Cells:
    """Lift a graph to its cliques: vertices, edges, triangles (`largest` = 2), tetrahedra (3), ... Direction and loops aside."""
    found: list[list[Cell]] = [[(i,) for i in range(graph.N)]]
    later = _later(graph)
    for _ in range(largest):
        found.append([(*a, v) for a in found[-1] for v in sorted(set.intersection(*(later[u] for u in a)))])
    faces = {a: [((*a[:k], *a[k + 1 :]), (-1) ** k) for k in range(len(a))] for rank in found[1:] for a in rank}
    return _assemble(graph, found, faces)


def rings(graph: Graph, limit: int = 8) -> Cells:
    """Lift a graph to vertices, edges and faces: its rings without a chord of 3 to `limit` nodes (Bodnar et al. 2021, arXiv:2106.12575)."""
    later = _later(graph)
    edges: list[Cell] = [(i, j) for i in range(graph.N) for j in sorted(later[i])]
    faces: dict[Cell, list[tuple[Cell, int]]] = {e: [((e[1],), 1), ((e[0],), -1)] for e in edges}
    around = list(_chordless(graph.N, edges, limit))
    for ring in around:
        ends = list(zip(ring, (*ring[1:], ring[0]), strict=True))
        faces[ring] = [((a, b) if a < b else (b, a), 1 if a < b else -1) for a, b in ends]
    return _assemble(graph, [[(i,) for i in range(graph.N)], edges, around], faces)


def hyperedges(graph: Graph, members: Sequence[Sequence[int]]) -> Cells:
    """Take sets of nodes as cells of rank 1 above the vertices; one that contains another whole is above it, too. No orientation.

    Repeated members count once; a set of one member is kept. Raises DataError for an unknown node or an empty set.
    """
    sets: list[Cell] = []
    of_graph = graph.topology.nodes_by_graph.index.tolist()
    for k, some in enumerate(members):
        a = tuple(sorted(set(some)))
        if not a:
            raise DataError(f"hyperedge {k} has no members; leave it out, or say which nodes it joins")
        if a[0] < 0 or a[-1] >= graph.N:
            raise DataError(f"hyperedge {k} has the member {a[0] if a[0] < 0 else a[-1]}; this graph has nodes 0 to {graph.N - 1}")
        if len({of_graph[v] for v in a}) > 1:
            raise DataError(f"hyperedge {k} joins nodes of different graphs of the batch; a hyperedge lies within one graph")
        sets.append(a)
    H = len(sets)
    cell, vertex = np.repeat(np.arange(H), [len(a) for a in sets]), np.concatenate([np.array(a) for a in sets] or [np.zeros(0)]).astype(int)
    M = scipy.sparse.csr_array((np.ones(len(cell)), (cell, vertex)), shape=(H, graph.N))
    size = np.array([len(a) for a in sets])
    shared = (M @ M.T).tocoo()
    inside = (shared.data == size[shared.col]) & (size[shared.row] > size[shared.col])  # col's members are all among row's
    rank = torch.cat([torch.zeros(graph.N, dtype=torch.long), torch.ones(H, dtype=torch.long)])
    own = torch.cat([graph.topology.nodes_by_graph.index, torch.tensor([of_graph[a[0]] for a in sets], dtype=torch.long)])
    upper = np.concatenate([cell + graph.N, shared.row[inside] + graph.N])
    lower = np.concatenate([vertex, shared.col[inside] + graph.N])
    return _ordered(rank, own, upper, lower, np.zeros(len(upper)), np.append(np.arange(graph.N), cell + graph.N),
                    np.append(np.arange(graph.N), vertex))  # fmt: skip


def incidence(graph: Graph, cell: Tensor, vertex: Tensor, own: Tensor) -> Graph:
    """Make the graph of nodes and hyperedges, with an edge each way between a hyperedge and each of its members.

    Hyperedge `cell[m]` has the member `vertex[m]`, `own` [H] says which graph each is of. Repeated members count once. Nodes have
    `rank` [C] (0 a node, 1 a hyperedge), `size` [C, 1] (members of a hyperedge; 1 at nodes), `degree` [C, 1] (hyperedges of a node;
    at hyperedges the mean of their members') and the floating-point features of nodes, zero at hyperedges.
    """
    t, H, dtype = graph.topology, len(own), precision(graph)
    pair = torch.unique(cell * t.N + vertex)
    cell, vertex = pair // max(t.N, 1), pair % max(t.N, 1)
    of = torch.cat([t.nodes_by_graph.index, own])
    order = (2 * of + torch.cat([torch.zeros_like(t.nodes_by_graph.index), torch.ones_like(own)])).argsort(stable=True)
    new = torch.empty_like(order).index_copy(0, order, torch.arange(t.N + H, device=order.device))
    up, low = new[cell + t.N], new[vertex]
    topology, rows = t.rewired(torch.cat([up, low]), torch.cat([low, up]), n_node=of.bincount(minlength=t.G), N=t.N + H)
    size, degree = cell.bincount(minlength=H).to(dtype), vertex.bincount(minlength=t.N).to(dtype)
    mean = degree.new_zeros(H).index_add(0, cell, degree[vertex]) / size.clamp(min=1)
    nodes: dict[str, Feature] = {
        "rank": (order >= t.N).long(),
        "size": torch.cat([torch.ones_like(degree), size])[order][:, None],
        "degree": torch.cat([degree, mean])[order][:, None],
    }
    for name, feature in graph.nodes.items():
        x = dense(feature)
        if x.is_floating_point():
            nodes[name] = torch.cat([x, x.new_zeros(H, *x.shape[1:])])[order]
    sign = torch.where(rows < len(up), 1, -1).to(dtype)[:, None]
    return Graph(topology, nodes, {"sign": sign}, graph.globals)


@final
class Incidence(nn.Module):
    """The view of `incidence` in which each node with its neighbours is a hyperedge (Feng et al. 2019, arXiv:1809.09401, sec. 3.2).

    A graph that is one of vertices and hyperedges already (it has `rank`) stays as it is.
    """

    def forward(self, graph: Graph) -> Graph:
        if "rank" in graph.nodes:
            return graph
        t = graph.topology
        every = torch.arange(t.N, device=t.senders.device)
        return incidence(graph, torch.cat([t.receivers, every]), torch.cat([t.senders, every]), t.nodes_by_graph.index)


def nearest(graph: Graph, k: int) -> list[tuple[int, ...]]:
    """List each node with its `k` nearest nodes of the same graph in space (`pos`): sets for `hyperedges`."""
    pos = dense(graph.nodes["pos"]).detach()
    found: list[tuple[int, ...]] = []
    for start, n in zip((graph.topology.n_node.cumsum(0) - graph.topology.n_node).tolist(), graph.topology.n_node.tolist(), strict=True):
        near = torch.cdist(pos[start : start + n], pos[start : start + n]).topk(min(k + 1, n), largest=False).indices
        found += [tuple(sorted({start + i, *(start + row).tolist()})) for i, row in enumerate(near)]
    return found


def nerve(graph: Graph, cells: Cells) -> Graph:
    """Make the graph of cells: a node a cell, two edges an inclusion.

    Nodes have `rank` [C], `size` [C, 1] (its vertices), and the mean of each floating-point feature over their vertices, under its
    own name. Edges have `sign` [E, 1] (+1 from a cell to one inside it, -1 the other way) and `incidence` [E, 1].
    """
    dtype = precision(graph)
    senders, receivers = torch.cat([cells.upper, cells.lower]), torch.cat([cells.lower, cells.upper])
    order = receivers.argsort(stable=True)
    G = graph.G
    n_node = cells.graph.bincount(minlength=G)
    topology = Topology(senders[order], receivers[order], n_node, cells.graph[receivers].bincount(minlength=G), N=len(cells))
    down = (torch.arange(len(order)) < len(cells.upper))[order]
    edges: dict[str, Feature] = {
        "sign": torch.where(down, 1, -1).to(dtype)[:, None],
        "incidence": torch.cat([cells.incidence, cells.incidence])[order].to(dtype)[:, None],
    }
    within = Segments(cells.cell, len(cells))
    nodes: dict[str, Feature] = {"rank": cells.rank, "size": within.count.to(dtype)[:, None]}
    for name, feature in graph.nodes.items():
        rows = dense(feature)
        if rows.is_floating_point():
            total = rows.new_zeros(len(cells), *rows.shape[1:]).index_add(0, cells.cell, rows[cells.vertex])
            nodes[name] = total / within.count.to(rows.dtype).reshape(-1, *[1] * (rows.dim() - 1))
    return Graph(topology, nodes, edges, graph.globals)


@final
class Nerve(nn.Module):
    """The view of `nerve`: `lift` is `cliques`, `rings` or a function Graph -> Cells of one's own. A nerve stays as it is."""

    def __init__(self, lift: object = cliques):
        super().__init__()
        self.lift = lift

    def forward(self, graph: Graph) -> Graph:
        return graph if "rank" in graph.nodes else nerve(graph, self.lift(graph))  # type: ignore[operator]


def _later(graph: Graph) -> list[set[int]]:
    """The neighbours with a higher number of each node."""
    later: list[set[int]] = [set() for _ in range(graph.N)]
    for j, i in zip(graph.topology.senders.tolist(), graph.topology.receivers.tolist(), strict=True):
        if i != j:
            later[min(i, j)].add(max(i, j))
    return later


def _chordless(n: int, edges: Iterable[Cell], limit: int) -> Iterable[Cell]:
    """Rings without chords, each once: from their lowest node, towards the lower of its two neighbours."""
    near: list[set[int]] = [set() for _ in range(n)]
    for i, j in edges:
        near[i].add(j)
        near[j].add(i)
    for first in range(n):
        for second, last in combinations(sorted(v for v in near[first] if v > first), 2):
            if last in near[second]:
                if limit >= 3:
                    yield (first, second, last)
                continue
            paths: list[Cell] = [(first, second)]
            while paths:
                path = paths.pop()
                for v in sorted(near[path[-1]]):
                    if v == last and len(path) + 1 <= limit:
                        yield (*path, v)
                    elif v > first and v not in path and v not in near[first] and not near[v] & set(path[:-1]) and len(path) + 2 <= limit \
                            and last not in near[path[-1]]:  # fmt: skip
                        paths.append((*path, v))


def _assemble(graph: Graph, found: Sequence[Sequence[Cell]], faces: dict[Cell, list[tuple[Cell, int]]]) -> Cells:
    """Number the cells and close the relation "is a face of" to "is inside"."""
    number = {a: k for k, a in enumerate(a for rank in found for a in rank)}
    C = len(number)
    up = np.array([number[a] for a, below in faces.items() for _ in below], dtype=np.int64)
    low = np.array([number[b] for below in faces.values() for b, _ in below], dtype=np.int64)
    sign = np.array([s for below in faces.values() for _, s in below], dtype=np.int64)
    cover = scipy.sparse.csr_array((np.ones(len(up)), (up, low)), shape=(C, C))
    inside, power = cover, cover
    for _ in range(len(found) - 2):
        power = power @ cover
        inside = inside + power
    beyond = inside.tocoo()
    of_pair = {(u, v): s for u, v, s in zip(up.tolist(), low.tolist(), sign.tolist(), strict=True)}
    incidence = np.array([of_pair.get(pair, 0) for pair in zip(beyond.row.tolist(), beyond.col.tolist(), strict=True)], dtype=np.int64)
    rank = torch.tensor([r for r, some in enumerate(found) for _ in some], dtype=torch.long)
    of = graph.topology.nodes_by_graph.index.cpu()
    own = torch.tensor([of[a[0]] for some in found for a in some], dtype=torch.long)
    cell = np.repeat(np.arange(C), [len(a) for some in found for a in some])
    vertex = np.array([v for some in found for a in some for v in a], dtype=np.int64)
    return _ordered(rank, own, beyond.row, beyond.col, incidence, cell, vertex)


def _ordered(
    rank: Tensor, own: Tensor, upper: np.ndarray, lower: np.ndarray, incidence: np.ndarray, cell: np.ndarray, vertex: np.ndarray
) -> Cells:
    """Number cells anew, graph by graph and each by rank."""
    order = (own * (int(rank.max()) + 1 if len(rank) else 1) + rank).argsort(stable=True)
    new = torch.empty_like(order).index_copy(0, order, torch.arange(len(order)))
    up, low, of = new[torch.as_tensor(upper).long()], new[torch.as_tensor(lower).long()], new[torch.as_tensor(cell).long()]
    by_cell = of.argsort(stable=True)
    return Cells(rank[order], own[order], up, low, torch.as_tensor(incidence).long(), of[by_cell], torch.as_tensor(vertex).long()[by_cell])
