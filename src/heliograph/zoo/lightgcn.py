"""LightGCN: neighbours' states, and nothing else (He et al. 2020, arXiv:2002.02126).

    m_i  = sum_j h_j / sqrt(d_i d_j)                          eq. 3, d the number of neighbours
    h_i' = m_i                                                eq. 3: no weights, no activation, not the node itself
    z_i  = sum_k h_i^k / (K + 1)                              eq. 4, k = 0 .. K
    y    = head(mean_i z_i)

Departures: the paper's h^0 is a learned vector of each user and item; here it is x where that has width d, else W x, which is the same for
one-hot x. The pooled head is for graphs: for links y_uv = z_u . z_v, eq. 5. Edge features are not used, as in the paper.
Expressivity: at most 1-WL, and less: a linear propagation with weights that are given.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Head, Pool, on_rows
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Start(nn.Module):
    """h_i^0, its share in the mean z_i, and norm_i = 1 / sqrt(d_i)."""

    def __init__(self, d_node: int, d: int, steps: int):
        super().__init__()
        self.W = nn.Identity() if d_node == d else nn.Linear(d_node, d)
        self.share = 1 / (steps + 1)

    def forward(self, graph: Graph) -> Graph:
        h = on_rows(self.W, graph.nodes["x"])
        norm = graph.topology.degree.clamp(min=1).to(h.dtype).rsqrt()[:, None]
        return graph.with_nodes(h=h, mean=self.share * dense(h), norm=norm)


class Propagate(nn.Module):
    """h_j / sqrt(d_i d_j)."""

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": e.j["h"] * e.j["norm"] * e.i["norm"]}


class Update(nn.Module):
    """m_i, and the mean with its share of it."""

    def __init__(self, steps: int):
        super().__init__()
        self.share = 1 / (steps + 1)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": messages["m"], "mean": dense(nodes["mean"]) + self.share * messages["m"]}


def build(inputs: Inputs, out: int, d: int = 64, depth: int = 3, aggregate: Aggregate = segment.mean) -> MPNN:
    """`depth` steps K that have no weights; `d` width; `aggregate` pools nodes into graphs."""
    layer = Layer(Propagate(), Update(depth))
    return MPNN(Start(inputs.nodes, d, depth), [layer] * depth, Pool(Head(d, out), aggregate, of="mean"))
