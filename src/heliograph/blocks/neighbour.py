"""The plainest message, and the update that goes with it."""

from __future__ import annotations

from typing import Any, final

from torch import Tensor, nn

from heliograph.blocks.dropout import Dropout
from heliograph.edge import Edge
from heliograph.graph import Features, dense


@final
class Neighbour(nn.Module):
    """h_j."""

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": e.j["h"]}


@final
class Combine(nn.Module):
    """h_i' = relu(W_1 h_i + W_2 m_i), which is relu(W [h_i, m_i])."""

    lazy = True  # runs on one row of each colour, where that pays

    def __init__(self, d: int, dropout: float = 0.0):
        super().__init__()
        self.W1, self.W2, self.dropout = nn.Linear(d, d), nn.Linear(d, d, bias=False), Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.dropout((self.W1(dense(nodes["h"])) + self.W2(messages["m"])).relu())}  # [N, d]
