"""SGFormer: one layer of linear attention beside a GCN (Wu et al. 2023, arXiv:2306.10759).

    h_i^0 = relu(norm(W x_i))                                 f_I
    q_i   = Q h_i / |Q H|,  k_i = K h_i / |K H|,  v_i = V h_i           eq. 2; norms of whole matrices (Frobenius)
    z_i   = beta (v_i + q_i . sum_j k_j v_j^T / n) / (1 + q_i . sum_j k_j / n) + (1 - beta) h_i^0       eqs. 3 and 4
    m_i   = sum_j h_j / sqrt(d_i d_j),  h_i' = dropout(relu(W (m_i + h_i / d_i)))          eq. 5: GN, here GCN
    y     = head(mean_i ((1 - alpha) z_i + alpha h_i))        eq. 5

The sum over all j comes first, so attention takes O(n). It has no softmax, and no encodings come in.
Departures: GN has neither norms nor residuals; the pooled head is for graphs. Edge features are not used, as in the paper.
Expressivity: at most 1-WL: attention to all nodes sees the multiset of states, which colour refinement knows.
"""

from __future__ import annotations

from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Dropout, Head, Pool, Propagate, applied, normalised, propagated, summed
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.topology import Segments

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"
PARTS = False


class Start(nn.Module):
    """h_i^0, and what GCN needs."""

    def __init__(self, d_node: int, d: int):
        super().__init__()
        self.W, self.norm = nn.Linear(d_node, d), nn.LayerNorm(d)

    def forward(self, graph: Graph) -> Graph:
        return normalised(graph, self.norm(self.W(dense(graph.nodes["x"]))).relu())  # [N, d]


class Attend(nn.Module):
    """z_i, eqs. 2 to 4."""

    looks_at_all = True

    def __init__(self, d: int, beta: float):
        super().__init__()
        self.Q, self.K, self.V, self.beta = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d), beta

    def forward(self, graph: Graph) -> Graph:
        graph.topology.need_whole("attention to all nodes")
        h, graphs = dense(graph.nodes["h"]), graph.topology.nodes_by_graph
        q, k, v = unit(self.Q(h), graphs), unit(self.K(h), graphs), self.V(h)  # [N, d]
        n = graphs.count.to(h.dtype)[graphs.index][:, None]
        above = v + applied(q, summed(k, v, graphs), graphs) / n
        below = 1 + (q * segment.sum(k, graphs)[graphs.index]).sum(-1, keepdim=True) / n
        return graph.with_nodes(attended=self.beta * above / below + (1 - self.beta) * h)


def unit(x: Tensor, graphs: Segments) -> Tensor:
    """x over the Frobenius norm of its graph's rows."""
    square = segment.sum(x.square().sum(-1, keepdim=True), graphs)  # [G, 1]
    return x * square.clamp(min=1e-12).rsqrt()[graphs.index]


class Update(nn.Module):
    """dropout(relu(W (m_i + h_i / d_i)))."""

    def __init__(self, d: int, dropout: float):
        super().__init__()
        self.W, self.dropout = nn.Linear(d, d), Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.dropout(self.W(propagated(nodes, messages)).relu())}


class Mix(nn.Module):
    """(1 - alpha) z_i + alpha h_i, eq. 5."""

    def __init__(self, alpha: float):
        super().__init__()
        self.alpha = alpha

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=(1 - self.alpha) * dense(graph.nodes["attended"]) + self.alpha * dense(graph.nodes["h"]))


def build(
    inputs: Inputs, out: int, d: int = 64, depth: int = 2, alpha: float = 0.5, beta: float = 0.5, dropout: float = 0.0,
    aggregate: Aggregate = segment.mean,
) -> MPNN:  # fmt: skip
    """`depth` layers of the GCN, width `d`; `alpha` weighs the GCN, `beta` the attention."""
    layers = [Layer(Propagate(), Update(d, dropout)) for _ in range(depth)]
    return MPNN(Start(inputs.nodes, d), [Attend(d, beta), *layers, Mix(alpha)], Pool(Head(d, out, dropout=dropout), aggregate))
