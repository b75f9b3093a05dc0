"""Jumping knowledge: what lies exactly at distance d, which the last layer alone has forgotten.

Idea: a readout that sees the states of all layers can subtract the ball of radius d - 1 from the ball of radius d and has the ring between.
The layers here take the maximum over a node and its neighbours, so that the state after t of them is: is a flag at most t edges away.
"""

from __future__ import annotations

from typing import Any

import networkx
import torch
from page import Claim, gap, main, step
from torch import Tensor

from heliograph import Graph, segment
from heliograph.blocks import JumpingKnowledge, SideBySide
from heliograph.graph import dense

DEPTH = 5


def balls(graph: Graph, flags: Tensor) -> Tensor:
    """States of layers 1 .. DEPTH side by side: `flags` [N, F] -> [N, DEPTH, F]."""
    layer = step(lambda e: {"m": e.j["h"]}, lambda n, m: {"h": torch.maximum(dense(n["h"]), m["m"])}, segment.max)
    jumping = JumpingKnowledge([layer] * DEPTH, SideBySide())
    return dense(jumping(graph.with_nodes(h=flags)).nodes["h"]).unflatten(-1, (DEPTH, -1))


def rings(seen: Tensor) -> Tensor:
    """A linear map of all layers: layer t minus layer t - 1, for distances 2 .. DEPTH."""
    return seen[:, 1:] - seen[:, :-1]


def labyrinth(n: int) -> networkx.Graph:
    return networkx.convert_node_labels_to_integers(networkx.connected_watts_strogatz_graph(n, 4, 0.1, seed=2))


def claims(small: bool) -> list[Claim]:
    nx = labyrinth(40 if small else 400)
    graph, n = Graph.from_networkx(nx), len(nx)
    hops = torch.tensor([[b[v] for v in range(n)] for _, b in sorted(networkx.all_pairs_shortest_path_length(nx))])  # [node, flag]
    seen = balls(graph, torch.eye(n))
    wanted = torch.stack([(hops == d).float() for d in range(2, DEPTH + 1)], 1)
    near, far = (hops[0] == 2).nonzero()[0, 0], (hops[0] == DEPTH).nonzero()[0, 0]
    return [
        Claim("ring at distance 2 .. 5 = breadth first search, for every node and flag", gap(rings(seen), wanted), 0),
        Claim("a flag 2 away and one 5 away, by the last layer", gap(seen[0, -1, near], seen[0, -1, far]), 0),
        Claim("the same by all layers", gap(seen[0, :, near], seen[0, :, far]), 1, at_least=True),
    ]


def draw(figure: Any) -> None:
    nx = networkx.convert_node_labels_to_integers(networkx.hexagonal_lattice_graph(7, 7))
    graph = Graph.from_networkx(nx)
    at = networkx.kamada_kawai_layout(nx)
    seen = balls(graph, torch.eye(len(nx)))
    node = min(at, key=lambda v: float(at[v] @ at[v]))
    shown = {"last layer: within 5": seen[:, -1, node], "all layers: exactly 3": rings(seen)[:, 1, node]}
    for axes, (title, values) in zip(figure.subplots(1, 2), shown.items(), strict=True):
        networkx.draw(nx, at, ax=axes, node_color=values.tolist(), node_size=28, cmap="Blues", vmin=-0.3, vmax=1, edge_color="0.7")
        axes.plot(*at[node], "r*", markersize=13)
        axes.set_title(title)


if __name__ == "__main__":
    main(__file__, claims, draw)
