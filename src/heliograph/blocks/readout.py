"""From node states to predictions: for graphs, for nodes, for edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heliograph import kernels, segment
from heliograph.algebra import summable
from heliograph.edge import Edge, EdgeTensor
from heliograph.errors import DataError
from heliograph.graph import Graph, dense
from heliograph.segment import Aggregate
from heliograph.topology import Segments


@final
class Pool(nn.Module):
    """y_g = head(aggregate of node states h_i over graph g), [G, out]."""

    def __init__(self, head: nn.Module, aggregate: Aggregate = segment.sum, scale: float = 1.0, of: str = "h"):
        super().__init__()
        self.head, self.aggregate, self.scale, self.of = head, aggregate, scale, of

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        pooled = self.aggregate(summable(graph.nodes, self.of, self.aggregate), graph.topology.nodes_by_graph) * self.scale  # [G, d]
        return {"y": self.head(pooled)}


@final
class AtomWise(nn.Module):
    """y_g = aggregate of mlp(h_i) over graph g, [G, out]: each node has its own share of the target. `of` names the node feature h."""

    def __init__(self, mlp: nn.Module, aggregate: Aggregate = segment.sum, of: str = "h"):
        super().__init__()
        self.mlp, self.aggregate, self.of = mlp, aggregate, of

    def shares(self, graph: Graph) -> Tensor:
        """Return mlp(h_i), [N, out]."""
        values: Tensor = self.mlp(dense(graph.nodes[self.of]))
        return values

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        return {"y": self.aggregate(self.shares(graph), graph.topology.nodes_by_graph)}


@final
class Dipole(nn.Module):
    """y_g = |sum_i q_i r_i| + b, [G, out], from charges q_i = mlp(h_i) that are shifted to add up to zero in each graph.

    After Schuett et al. 2018 (doi:10.1063/1.5019779); PyTorch Geometric's SchNet measures r_i from the centre of mass instead: without a
    net charge the origin does not matter. b is learned, since training shifts targets. Positions `pos` [N, 3].
    """

    def __init__(self, mlp: nn.Module, out: int):
        super().__init__()
        self.mlp, self.b = mlp, nn.Parameter(torch.zeros(out))

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        by_graph, q = graph.topology.nodes_by_graph, self.mlp(dense(graph.nodes["h"]))  # [N, out]
        q = q - kernels.gather(segment.mean(q, by_graph), by_graph.index)
        square = segment.sum(q[:, :, None] * dense(graph.nodes["pos"])[:, None, :], by_graph).square().sum(-1)  # [G, out]
        length = torch.where(square > 0, square, 1).sqrt().where(square > 0, 0)  # of a single atom: zero, with derivatives
        return {"y": length + self.b}


@final
class NodeWise(nn.Module):
    """y_i = head(h_i), [N, out]: a prediction for each node, or [Q, out] for the nodes that are asked."""

    level = "node"

    def __init__(self, head: nn.Module, of: str = "h"):
        super().__init__()
        self.head, self.of = head, of

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        h = dense(graph.nodes[self.of])
        if graph.asked is None:
            return {"y": self.head(h)}
        if graph.asked.dim() != 1:
            raise DataError(f"this readout answers for nodes; what is asked is {list(graph.asked.shape)}: give numbers of nodes [Q]")
        return {"y": self.head(h.index_select(0, graph.asked))}


@final
class EdgeWise(nn.Module):
    """y_ij = head([h_j, h_i, e_ij]), [E, out]: a prediction for each edge, in the order in which the edges were given.

    (i, j) and (j, i) are two edges; the mean of both is one for the pair. Where pairs [Q, 2] of nodes (sender, receiver) are asked, it is
    [Q, out]; e_ij is then that of the first edge j -> i that was given, zero where there is none.
    """

    level = "edge"

    def __init__(self, head: nn.Module, of: str = "h"):
        super().__init__()
        self.head, self.of = head, of

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if graph.asked is not None:
            return {"y": self.head(self.pairs(graph, graph.asked))}
        e = Edge(graph)
        y = self.head(torch.cat([e.j[self.of], e.i[self.of], e.e["edge_attr"]], -1))  # [E, out]
        return {"y": graph.topology.given(y.dense() if isinstance(y, EdgeTensor) else y)}

    def pairs(self, graph: Graph, asked: Tensor) -> Tensor:
        """[h_j, h_i, e_ij] of the pairs that are asked, [Q, 2 d + width of edge_attr]."""
        if asked.shape[1:] != (2,):
            raise DataError(f"this readout answers for pairs of nodes; what is asked is {list(asked.shape)}: give pairs [Q, 2]")
        h, attr, edge = dense(graph.nodes[self.of]), dense(graph.edges["edge_attr"]), graph.topology.between(asked)
        zero = torch.cat([attr, attr.new_zeros(1, attr.shape[1])])
        return torch.cat([h.index_select(0, asked[:, 0]), h.index_select(0, asked[:, 1]), zero[edge]], -1)


@final
class PerType(nn.Module):
    """y_g = head([aggregate of h_i over the nodes of type k in graph g]_k), [G, out]: k runs over `types`, and last over all other types.

    A type is the node's feature `by` [N] long, its atomic number unless another is named; `head` takes [G, (K + 1) d]. With sums and
    a linear head each type has weights of its own: y_g = sum_i W_type(i) h_i + b. A type that is not there gives what `aggregate` gives
    of nothing.
    """

    types: Tensor

    def __init__(self, head: nn.Module, types: Sequence[int], aggregate: Aggregate = segment.sum, of: str = "h", by: str = "z"):
        super().__init__()
        self.register_buffer("types", torch.tensor(list(types), dtype=torch.long))
        self.head, self.aggregate, self.of, self.by = head, aggregate, of, by

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        is_type = dense(graph.nodes[self.by])[:, None] == self.types  # [N, K]
        K, other = len(self.types), ~is_type.any(1, keepdim=True)
        row = graph.topology.nodes_by_graph.index * (K + 1) + torch.cat([is_type, other], 1).long().argmax(1)  # [N]
        row, order = row.sort(stable=True)
        pooled = self.aggregate(dense(graph.nodes[self.of])[order], Segments(row, graph.G * (K + 1)))  # [G (K + 1), d]
        return {"y": self.head(pooled.view(graph.G, (K + 1) * pooled.shape[1]))}


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


@final
class SumMaxLSTM(nn.Module):
    """The last state of an LSTM that reads [sum_i h_i^t, max_i h_i^t], t = 1 .. T, [N, T d] -> [G, hidden].

    x is the last state alone, of which the LSTM takes one step, or those of all steps side by side, as `SideBySide` leaves them and
    gin's `all`. Some texts name it set2vec; it is not `Set2Set`, whose LSTM asks the nodes themselves.
    """

    def __init__(self, d: int, hidden: int):
        super().__init__()
        self.cell, self.d = nn.LSTMCell(2 * d, hidden), d

    def forward(self, x: Float[Tensor, "N Td"], segments: Segments) -> Float[Tensor, "G hidden"]:
        h = c = x.new_zeros(segments.n, self.cell.hidden_size)  # [G, hidden]
        for both in zip(segment.sum(x, segments).split(self.d, 1), segment.max(x, segments).split(self.d, 1), strict=True):
            h, c = self.cell(torch.cat(both, -1), (h, c))  # [G, 2 d] -> [G, hidden]
        return h
