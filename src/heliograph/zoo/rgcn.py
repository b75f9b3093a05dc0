"""R-GCN: relational graph convolutions (Schlichtkrull et al. 2018, arXiv:1703.06103).

    m_i  = sum_k W_k (sum_j e_ijk h_j) / c_ik,   c_ik = sum_j |e_ijk|         eq. 2: relation k's mean over its own neighbours
    W_k  = sum_b a_kb V_b                                                     eq. 3: matrices of B bases
    h_i' = relu(W_0 h_i + m_i + b)                                            eq. 2
    y    = head(mean_i h_i)

A relation is a column of `edge_attr`: with one-hot types, e_ijk is one for edges of type k and c_ik counts them; a column of another
kind (conjugated, in a ring) is a relation beside the type. Edges are directed: the relation from j to i need not be that from i to j.
Departures: h_i^0 = W x_i; b, as in PyTorch Geometric; the pooled head is for graphs.
Expressivity: at most 1-WL (on graphs with node and edge labels), and less: a mean does not count neighbours that are alike.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Dropout, Embed, Head, Pool, apply_matrix
from heliograph.edge import Edge
from heliograph.errors import UsageError
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Start(nn.Module):
    """h_i^0 = W x_i, and 1 / c_ik, zero where there is no edge of relation k."""

    def __init__(self, d_node: int, d: int):
        super().__init__()
        self.embed = Embed(d_node, d)

    def forward(self, graph: Graph) -> Graph:
        c = segment.sum(Edge(graph).e["edge_attr"].abs(), graph.topology.incoming)  # [N, R]
        c = c if graph.topology.whole else nn.functional.pad(c, (0, 0, 0, graph.N - graph.R))
        return self.embed(graph).with_nodes(share=(c > 0) / c.clamp(min=1e-12))


class Message(nn.Module):
    """sum_k e_ijk / c_ik W_k h_j, W_k = sum_b a_kb V_b."""

    self_normalised = True

    def __init__(self, relations: int, d: int, bases: int):
        super().__init__()
        self.a, self.V = nn.Linear(relations, bases, bias=False), nn.Linear(bases, d * d, bias=False)
        nn.init.uniform_(self.V.weight, -(d**-0.5), d**-0.5)  # each V_b as a linear layer of its own

    def forward(self, e: Edge) -> dict[str, Any]:
        weight = e.e["edge_attr"] * e.i["share"]  # [E, R]
        return {"m": apply_matrix(self.V(self.a(weight)), e.j["h"])}  # [E, d]


class Update(nn.Module):
    """relu(W_0 h_i + m_i + b)."""

    def __init__(self, d: int, dropout: float):
        super().__init__()
        self.W_0, self.dropout = nn.Linear(d, d), Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.dropout((self.W_0(dense(nodes["h"])) + messages["m"]).relu())}  # [N, d]


def build(
    inputs: Inputs, out: int, d: int = 64, depth: int = 2, bases: int = 4, dropout: float = 0.0, aggregate: Aggregate = segment.mean
) -> MPNN:
    """`depth` layers of width `d` with `bases` B; `aggregate` pools nodes into graphs."""
    if not inputs.edges:
        raise UsageError("rgcn needs kinds of edges: give edge_attr [E, relations], one-hot, and Inputs(edges=relations)")
    layers = [Layer(Message(inputs.edges, d, bases), Update(d, dropout)) for _ in range(depth)]
    return MPNN(Start(inputs.nodes, d), layers, Pool(Head(d, out, dropout=dropout), aggregate))
