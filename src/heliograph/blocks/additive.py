"""Additive attention, and what follows it."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from heliograph import segment
from heliograph.blocks.dropout import Dropout
from heliograph.edge import Edge
from heliograph.errors import UsageError
from heliograph.graph import Features, Graph, dense
from heliograph.topology import Segments


def per_head(d: int, heads: int) -> int:
    """Return the width of one of `heads` heads that have width `d` together. Raises UsageError where that is no whole number."""
    if d % heads:
        raise UsageError(f"a width of {d} does not split into {heads} heads: give a multiple of {heads}")
    return d // heads


@final
class AdditiveAttention(nn.Module):
    """softmax_j(leaky_relu(a . [h_i, h_j])) h_j in each of H heads, [M, H, C] (Velickovic et al. 2018, arXiv:1710.10903, eq. 3).

    `h_i`, `h_j` [M, H, C] may be lazy; i is what `segments` cut by: receivers of edges, or graphs of nodes. `values`: what is weighted, if
    not the h_j that are scored.
    """

    def __init__(self, heads: int, channels: int, slope: float = 0.2, dropout: float = 0.0):
        super().__init__()
        self.a_i, self.a_j = (nn.Parameter(nn.init.xavier_uniform_(torch.empty(heads, channels))) for _ in range(2))
        self.slope, self.dropout = slope, Dropout(dropout)

    def forward(self, h_i: Any, h_j: Any, segments: Segments, values: Any = None) -> Any:
        score = F.leaky_relu((h_i * self.a_i).sum(-1) + (h_j * self.a_j).sum(-1), self.slope)  # [M, H]
        return self.dropout(segment.softmax(score, segments)).unsqueeze(-1) * (h_j if values is None else values)


@final
class Transform(nn.Module):
    """W h_i in H heads, [N, H, d / H]: once for a node, whether it sends or receives (Velickovic et al. 2018, sec. 2.1)."""

    def __init__(self, d: int, heads: int):
        super().__init__()
        self.W, self.heads = nn.Linear(d, d, bias=False), heads

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(Wh=self.W(dense(graph.nodes["h"])).unflatten(-1, (self.heads, -1)))


@final
class Attend(nn.Module):
    """softmax_j(leaky_relu(a . [W h_i, W h_j])) W h_j after `Transform`, [E, H, d / H] (Velickovic et al. 2018, eqs. 1 to 4)."""

    self_normalised = True

    def __init__(self, d: int, heads: int, slope: float = 0.2, dropout: float = 0.0):
        super().__init__()
        self.attention = AdditiveAttention(heads, per_head(d, heads), slope, dropout)

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": self.attention(e.i["Wh"], e.j["Wh"], e.graph.topology.incoming)}


@final
class Heads(nn.Module):
    """Put heads side by side: h_i' = elu([m_i of each head] + b), [N, H, C] -> [N, H C] (Velickovic et al. 2018, eq. 5).

    The bias is in the authors' code.
    """

    def __init__(self, d: int, dropout: float = 0.0):
        super().__init__()
        self.b, self.dropout = nn.Parameter(torch.zeros(d)), Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.dropout(F.elu(messages["m"].flatten(1) + self.b))}
