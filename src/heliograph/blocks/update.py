"""Updates that more than one architecture uses."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

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
class GRU(nn.Module):
    """h_i' = GRU(h_i, m_i) (Li et al. 2016, arXiv:1511.05493; Cho et al. 2014)."""

    def __init__(self, d: int):
        super().__init__()
        self.cell = nn.GRUCell(d, d)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.cell(messages["m"], dense(nodes["h"]))}
