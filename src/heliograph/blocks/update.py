"""Updates that more than one architecture uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import Tensor, nn

from heliograph.blocks.basic import MLP
from heliograph.blocks.dropout import Dropout
from heliograph.graph import Features, dense


@final
class Residual(nn.Module):
    """h_i' = h_i + V(m_i)."""

    def __init__(self, V: nn.Module):
        super().__init__()
        self.V = V

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": dense(nodes["h"]) + self.V(messages["m"])}  # [N, d]


@final
class AddNorm(nn.Module):
    """h_i' = norm(u + W_2 relu(W_1 u)), u = norm(h_i + O m_i), m_i in heads (Vaswani et al. 2017, arXiv:1706.03762, sec. 3.1)."""

    def __init__(self, d: int, norm: Callable[[int], nn.Module], dropout: float = 0.0):
        super().__init__()
        self.O, self.norm1, self.norm2 = nn.Linear(d, d), norm(d), norm(d)
        self.mlp, self.dropout = MLP(d, 2 * d, d, dropout=dropout), Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        m = messages["m"].flatten(1)  # [N, heads, d / heads] -> [N, d]
        u = self.norm1(dense(nodes["h"]) + self.dropout(self.O(m)))
        return {"h": self.norm2(u + self.dropout(self.mlp(u)))}


@final
class GRU(nn.Module):
    """h_i' = GRU(h_i, m_i) (Li et al. 2016, arXiv:1511.05493; Cho et al. 2014). `d_message`: width of m_i, where it is not d."""

    def __init__(self, d: int, d_message: int | None = None):
        super().__init__()
        self.cell = nn.GRUCell(d if d_message is None else d_message, d)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.cell(messages["m"], dense(nodes["h"]))}
