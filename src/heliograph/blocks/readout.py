"""From node states to predictions: for graphs, for nodes, for edges."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heliograph import kernels, segment
from heliograph.edge import Edge, EdgeTensor
from heliograph.graph import Graph, Segments, dense
from heliograph.segment import Aggregate


@final
class Pool(nn.Module):
    """y_g = head(aggregate of node states h_i over graph g), [G, out]."""

    def __init__(self, head: nn.Module, aggregate: Aggregate = segment.sum, scale: float = 1.0, of: str = "h"):
        super().__init__()
        self.head, self.aggregate, self.scale, self.of = head, aggregate, scale, of

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        pooled = self.aggregate(dense(graph.nodes[self.of]), graph.topology.members) * self.scale  # [G, d]
        return {"y": self.head(pooled)}


@final
class AtomWise(nn.Module):
    """y_g = aggregate of mlp(h_i) over graph g, [G, out]: each node has its own share of the target."""

    def __init__(self, mlp: nn.Module, aggregate: Aggregate = segment.sum):
        super().__init__()
        self.mlp, self.aggregate = mlp, aggregate

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        return {"y": self.aggregate(self.mlp(dense(graph.nodes["h"])), graph.topology.members)}


@final
class NodeWise(nn.Module):
    """y_i = head(h_i), [N, out]: a prediction for each node."""

    level = "node"

    def __init__(self, head: nn.Module, of: str = "h"):
        super().__init__()
        self.head, self.of = head, of

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        return {"y": self.head(dense(graph.nodes[self.of]))}


@final
class EdgeWise(nn.Module):
    """y_ij = head([h_j, h_i, e_ij]), [E, out]: a prediction for each edge, in the order in which the edges were given.

    (i, j) and (j, i) are two edges; the mean of both is one for the pair.
    """

    level = "edge"

    def __init__(self, head: nn.Module, of: str = "h"):
        super().__init__()
        self.head, self.of = head, of

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        e = Edge(graph)
        y = self.head(torch.cat([e.j[self.of], e.i[self.of], e.e["edge_attr"]], -1))  # [E, out]
        return {"y": graph.topology.given(y.dense() if isinstance(y, EdgeTensor) else y)}


@final
class Gated(nn.Module):
    """tanh(sum_i sigmoid(W x_i) * tanh(V x_i)), [N, d_in] -> [G, d] (Li et al. 2016, arXiv:1511.05493, eq. 7; i = W and j = V linear)."""

    def __init__(self, d_in: int, d: int):
        super().__init__()
        self.W, self.V = nn.Linear(d_in, d), nn.Linear(d_in, d)

    def forward(self, x: Float[Tensor, "N d_in"], segments: Segments) -> Float[Tensor, "G d"]:
        return segment.sum(self.W(x).sigmoid() * self.V(x).tanh(), segments).tanh()


@final
class Set2Set(nn.Module):
    """q*_M of an LSTM that reads a set by attention, [N, d] -> [G, 2 d] (Vinyals et al. 2016, arXiv:1511.06391, eqs. 3 to 7).

    q_t = LSTM(q*_{t-1});  a_it = softmax_i(x_i . q_t);  r_t = sum_i a_it x_i;  q*_t = [q_t, r_t]
    """

    def __init__(self, d: int, steps: int):
        super().__init__()
        self.lstm, self.steps = nn.LSTMCell(2 * d, d), steps

    def forward(self, x: Float[Tensor, "N d"], segments: Segments) -> Float[Tensor, "G d2"]:
        q = c = x.new_zeros(segments.n, x.shape[1])  # [G, d]
        q_star = torch.cat([q, q], -1)  # [G, 2 d]
        for _ in range(self.steps):
            q, c = self.lstm(q_star, (q, c))
            score = (x * kernels.gather(q, segments.index)).sum(-1, keepdim=True)  # [N, 1]
            r = segment.sum(segment.softmax(score, segments) * x, segments)  # [G, d]
            q_star = torch.cat([q, r], -1)
        return q_star
