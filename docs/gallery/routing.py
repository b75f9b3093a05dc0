"""Routing: the distance-vector protocol is message passing with min, and its fixed point is Dijkstra's.

Idea: hosts of a network tell their neighbours how far they are from a goal, and each takes the best offer plus its own link. So
d_i' = min(d_i, min_j (d_j + w_ij)), which after as many rounds as the longest shortest path has links is exact. And of learned rules: a
message A(e) h_j that sees the sender and the link can add w to d only if it is told to; a pair message sees both ends at once.
"""

from __future__ import annotations

from typing import Any

import networkx
import numpy as np
import torch
from page import Claim, gap, main, step
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from heliograph import Graph, segment
from heliograph.graph import dense

FAR = 1e9  # farther than any node


def network(n: int) -> networkx.Graph:
    nx = networkx.random_geometric_graph(n, 1.6 / n**0.5, seed=3)
    for a, b in nx.edges:
        nx.edges[a, b]["w"] = float(np.hypot(*np.subtract(nx.nodes[a]["pos"], nx.nodes[b]["pos"])))
    return nx


def rounds(nx: networkx.Graph, goal: int = 0) -> list[Tensor]:
    """Distances [N] after each round until nothing changes."""
    graph = Graph.from_networkx(nx, edge_features=("w",))
    graph = graph.with_edges(w=exact_weights(nx, graph))
    start = torch.full((graph.N,), FAR, dtype=torch.float64)
    start[goal] = 0
    ask = step(
        lambda e: {"m": e.j["d"] + e.e["w"]},
        lambda n, m: {"d": torch.where(has_links, torch.minimum(dense(n["d"]), m["m"]), dense(n["d"]))},
        segment.min,
    )
    has_links = graph.topology.incoming.count > 0  # no offer is not an offer of zero
    graph, found = graph.with_nodes(d=start), [start]
    while True:
        graph = ask(graph)
        found.append(dense(graph.nodes["d"]))
        if torch.equal(found[-1], found[-2]):
            return found[:-1]


def exact_weights(nx: networkx.Graph, graph: Graph) -> Tensor:
    """Weights of the edges in float64, in the graph's order."""
    t = graph.topology
    return torch.tensor([nx.edges[j, i]["w"] for j, i in zip(t.senders.tolist(), t.receivers.tolist(), strict=True)], dtype=torch.float64)


def shortest(nx: networkx.Graph, goal: int = 0) -> Tensor:
    d = dijkstra(networkx.to_scipy_sparse_array(nx, weight="w"), indices=goal)
    return torch.from_numpy(np.where(np.isfinite(d), d, FAR))


def claims(small: bool) -> list[Claim]:
    nx = network(80 if small else 1500)
    nx.add_node(len(nx))  # a host that no link reaches
    found, wanted = rounds(nx), shortest(nx)
    hops = dijkstra(networkx.to_scipy_sparse_array(nx, weight=None), indices=0)
    farthest, there = float(hops[np.isfinite(hops)].max()), wanted < FAR
    return [
        Claim("distances = Dijkstra's", gap(found[-1][there], wanted[there]), 1e-12),
        Claim("hosts out of reach that are said to be in reach", int((found[-1][~there] < FAR).sum()), 0),
        Claim("rounds, at least as many as links to the farthest host", len(found) - 1, farthest, at_least=True),
        Claim("rounds, at most as many as hosts", len(found) - 1, len(nx) - 1),
    ]


def draw(figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    nx = network(400)
    found, wanted, pos = rounds(nx), shortest(nx), np.array([nx.nodes[v]["pos"] for v in nx])
    for a, b in nx.edges:
        left.plot(*pos[[a, b]].T, color="0.8", linewidth=0.5, zorder=0)
    there = wanted.numpy() < FAR
    dots = left.scatter(*pos[there].T, c=wanted[there], s=14)
    left.plot(*pos[0], "r*", markersize=14)
    left.set(title="distance to the star", xticks=[], yticks=[])
    figure.colorbar(dots)
    right.plot([float((d[there] >= FAR).double().mean()) for d in found], label="has no route yet")
    right.plot([float((d[there] > wanted[there] + 1e-12).double().mean()) for d in found], label="has no shortest route yet")
    right.set(xlabel="rounds", ylabel="share of hosts", title="offers spread one link a round")
    right.legend(loc="lower left")


if __name__ == "__main__":
    main(__file__, claims, draw)
