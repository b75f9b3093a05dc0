"""Graphs for tests: random, and the awkward ones."""

from __future__ import annotations

import torch
from torch import Tensor

from heliograph.batching import batch
from heliograph.graph import Feature, Graph, Indexed

ATOMS, BONDS = 5, 4  # widths of x and edge_attr
DTYPE = torch.float64


def random_graph(n: int, p: float, rng: torch.Generator, tables: tuple[Tensor, Tensor] | None = None) -> Graph:
    """A symmetric molecule-like graph: n nodes, each pair bonded with probability p, edges given in random order."""
    a, b = torch.triu(torch.rand(n, n, generator=rng) < p, 1).nonzero(as_tuple=True)
    m = len(a)
    order = torch.randperm(2 * m, generator=rng)
    senders, receivers = torch.cat([a, b])[order], torch.cat([b, a])[order]
    atom_table, bond_table = tables or make_tables(rng)
    bond = torch.randint(len(bond_table), (m,), generator=rng)
    nodes: dict[str, Feature] = {
        "x": Indexed(atom_table, torch.randint(len(atom_table), (n,), generator=rng)),
        "z": torch.randint(1, 10, (n,), generator=rng),
        "pos": 2 * torch.randn(n, 3, generator=rng, dtype=DTYPE),
    }
    return Graph.build(
        senders, receivers, [n], [2 * m], nodes=nodes, edges={"edge_attr": Indexed(bond_table, torch.cat([bond, bond])[order])}
    )


def make_tables(rng: torch.Generator, rows: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(rows, ATOMS, generator=rng, dtype=DTYPE), torch.randn(rows, BONDS, generator=rng, dtype=DTYPE)


def awkward(seed: int = 0) -> Graph:
    """A batch with a dense graph, a sparse one, a single node, edgeless, empty and trailing-empty graphs."""
    rng = torch.Generator().manual_seed(seed)
    tables = make_tables(rng)
    return batch([random_graph(n, p, rng, tables) for n, p in ((8, 0.9), (1, 0.0), (10, 0.25), (0, 0.0), (3, 0.0), (2, 1.0), (0, 0.0))])


def strange(seed: int = 0) -> Graph:
    """Directed edges of any kind: without a reverse, twice, from a node to itself; isolated nodes; an empty graph."""
    rng = torch.Generator().manual_seed(seed)
    atom_table, bond_table = make_tables(rng)
    senders = torch.tensor([0, 0, 1, 2, 2, 3, 3, 3, 6, 7])
    receivers = torch.tensor([1, 1, 0, 2, 3, 2, 0, 0, 7, 7])
    nodes: dict[str, Feature] = {
        "x": Indexed(atom_table, torch.randint(len(atom_table), (9,), generator=rng)),
        "z": torch.randint(1, 10, (9,), generator=rng),
        "pos": 2 * torch.randn(9, 3, generator=rng, dtype=DTYPE),
    }
    edges = {"edge_attr": Indexed(bond_table, torch.randint(len(bond_table), (10,), generator=rng))}
    return Graph.build(senders, receivers, [6, 0, 3], [8, 0, 2], nodes=nodes, edges=edges)


def permuted(graph: Graph, rng: torch.Generator) -> Graph:
    """One graph with its nodes numbered anew and its edges given in another order."""
    new = torch.randperm(graph.N, generator=rng)  # old node k becomes new[k]
    old = new.argsort()
    order = torch.randperm(graph.E, generator=rng)
    t = graph.topology
    take = lambda f, rows: Indexed(f.table, f.index[rows]) if isinstance(f, Indexed) else f[rows]  # noqa: E731
    return Graph.build(
        new[t.senders][order],
        new[t.receivers][order],
        [graph.N],
        [graph.E],
        nodes={k: take(f, old) for k, f in graph.nodes.items()},
        edges={k: take(f, order) for k, f in graph.edges.items()},
    )


def moved(graph: Graph, rng: torch.Generator) -> Graph:
    """The graph rotated (or reflected) and shifted in space."""
    R = torch.linalg.qr(torch.randn(3, 3, generator=rng, dtype=DTYPE))[0]
    pos = graph.nodes["pos"]
    assert isinstance(pos, Tensor)
    return graph.with_nodes(pos=pos @ R + torch.randn(3, generator=rng, dtype=DTYPE))
