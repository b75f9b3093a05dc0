"""The intervention do(i): cut the edges that come into a node, set its state, run again.

Idea: read a directed network as a structural causal model, in which messages are the effects of causes. Cutting a node's incoming edges
makes its value ours; all that is not downstream of it stays as it was, to the bit, and what changes downstream is its total effect.
In a linear model h = B h + x that effect has a closed form, (1 - B)^-1. Correction: cutting edges answers what the network would
compute, which is causal only as far as the network's edges are the causes.
"""

from __future__ import annotations

from typing import Any

import networkx
import torch
from page import Claim, gap, graph_of, main, step
from torch import Tensor

from heliograph import Graph
from heliograph.graph import dense


def model(n: int, seed: int = 0) -> Graph:
    """A random acyclic graph with weights w of edges and inputs x of nodes."""
    rng = torch.Generator().manual_seed(seed)
    pairs = [(j, i) for i in range(n) for j in range(i) if torch.rand((), generator=rng) < 4 / n]
    w, x = (torch.randn(m, generator=rng, dtype=torch.float64) for m in (len(pairs), n))
    return graph_of(pairs, n, directed=True, edges={"w": w}, x=x, h=torch.zeros(n, dtype=torch.float64))


def states(graph: Graph, act: Any = torch.nn.Identity()) -> Tensor:  # noqa: B008
    """h_i = act(sum_j w_ij h_j) + x_i, as many rounds as the longest way has edges."""
    layer = step(lambda e: {"m": e.e["w"] * e.j["h"]}, lambda n, m: {"h": act(m["m"]) + dense(n["x"])})
    for _ in range(graph.N):
        graph = layer(graph)
    return dense(graph.nodes["h"])


def do(graph: Graph, node: int, value: float) -> Graph:
    """The graph in which `node` has no causes but us."""
    t = graph.topology
    kept = (t.receivers != node).nonzero().squeeze(1)
    nodes = {**graph.nodes, "x": dense(graph.nodes["x"]).index_fill(0, torch.tensor(node), value)}
    edges = {name: dense(v)[kept] for name, v in graph.edges.items()}
    return Graph.build(t.senders[kept], t.receivers[kept], [graph.N], [len(kept)], nodes=nodes, edges=edges)


def as_networkx(graph: Graph) -> networkx.DiGraph:
    t = graph.topology
    nx = networkx.DiGraph(list(zip(t.senders.tolist(), t.receivers.tolist(), strict=True)))
    nx.add_nodes_from(range(graph.N))
    return nx


def total_effects(graph: Graph) -> Tensor:
    """The closed form: how h_i changes for one unit more of h_j, [i, j] = ((1 - B)^-1)_ij, B_ij = w_ij."""
    t = graph.topology
    B = torch.zeros(graph.N, graph.N, dtype=torch.float64).index_put((t.receivers, t.senders), dense(graph.edges["w"]))
    return torch.linalg.inv(torch.eye(graph.N, dtype=torch.float64) - B)


def claims(small: bool) -> list[Claim]:
    graph, worst, unchanged, moved = model(15 if small else 80), 0.0, 0, 0
    closed = total_effects(graph)
    observed = states(graph)
    for node in range(0, graph.N, 3):
        low, high = states(do(graph, node, 1.0)), states(do(graph, node, 2.0))
        worst = max(worst, gap(high - low, closed[:, node]))
        bent, other = states(graph, torch.tanh), states(do(graph, node, 5.0), torch.tanh)
        below = torch.tensor([node, *networkx.descendants(as_networkx(graph), node)])
        away = torch.ones(graph.N, dtype=torch.bool).index_fill(0, below, False)
        unchanged += int((bent[away] != other[away]).sum()) + int((observed[away] != low[away]).sum())
        moved += int((bent[~away] != other[~away]).sum())
    return [
        Claim("h without interventions = (1 - B)^-1 x", gap(observed, closed @ dense(graph.nodes["x"])), 1e-9),
        Claim("total effect do(h_j + 1) = ((1 - B)^-1)_ij", worst, 1e-9),
        Claim("nodes not downstream that changed by a bit", unchanged, 0),
        Claim("nodes downstream that changed", moved, 1, at_least=True),
    ]


def draw(figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    graph = model(14, 1)
    nx, at = as_networkx(graph), {k: (k, ((k * 7) % 5) - 2) for k in range(14)}
    node = max(nx, key=lambda k: len(networkx.descendants(nx, k)))
    effect = states(do(graph, node, 2.0)) - states(do(graph, node, 1.0))
    limit = float(effect.abs().max())
    networkx.draw(nx, at, ax=left, nodelist=range(14), node_color=effect.tolist(), cmap="coolwarm", vmin=-limit, vmax=limit, node_size=160,
                  labels={node: "do"}, font_size=7, edge_color="0.7")  # fmt: skip
    left.set_title("change for one more at do")
    closed = total_effects(graph)
    right.plot([-limit, limit], [-limit, limit], color="0.7")
    right.plot(closed[:, node], effect, "o")
    right.set(xlabel="closed form", ylabel="measured by cutting", title="total effects")


if __name__ == "__main__":
    main(__file__, claims, draw)
