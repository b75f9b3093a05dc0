"""Jumping knowledge: the readout sees the states of all layers (Xu et al. 2018, arXiv:1806.03536).

MPNN(net.embed, [JumpingKnowledge(net.layers, Largest())], net.readout, net.view)      for an MPNN `net` of any architecture
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import torch
from torch import Tensor, nn

from heliograph.graph import Feature, Graph, dense


@final
class JumpingKnowledge(nn.Module):
    """h_i = join(h_i^1, ..., h_i^L), L the number of `layers` that change h; a step between that leaves h alone counts for nothing."""

    def __init__(self, layers: Iterable[nn.Module], join: nn.Module):
        super().__init__()
        self.layers, self.join = nn.ModuleList(layers), join

    def states(self, graph: Graph) -> tuple[Graph, list[Tensor]]:
        """Return the graph after all layers, and h^1, ..., h^L."""
        states = list[Tensor]()
        for layer in self.layers:
            before, graph = _state(graph), layer(graph)
            after = _state(graph)
            if after is not None and after is not before:
                states.append(dense(after))  # [N, d]
        return graph, states

    def forward(self, graph: Graph) -> Graph:
        graph, states = self.states(graph)
        return graph.with_nodes(h=self.join(states))


def _state(graph: Graph) -> Feature | None:
    if "h" not in graph.nodes:  # bonds alone have had a state so far
        return None
    return graph.nodes["h"]


@final
class SideBySide(nn.Module):
    """[h^1, ..., h^L], L x [N, d] -> [N, L d] (sec. 4, concatenation)."""

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(states), -1)


@final
class Largest(nn.Module):
    """max_t h^t in each channel, L x [N, d] -> [N, d] (sec. 4, max-pooling)."""

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(states)).amax(0)


@final
class LSTMAttention(nn.Module):
    """sum_t w_t h^t, w = softmax_t(a . [forward_t, backward_t]) of an LSTM that reads the layers both ways (sec. 4, LSTM-attention).

    L x [N, d] -> [N, d]; `hidden` is the LSTM's width in one direction (PyTorch Geometric: L d / 2).
    """

    def __init__(self, d: int, hidden: int):
        super().__init__()
        self.lstm, self.a = nn.LSTM(d, hidden, bidirectional=True, batch_first=True), nn.Linear(2 * hidden, 1)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        h = torch.stack(list(states), 1)  # [N, L, d]
        w = self.a(self.lstm(h)[0]).softmax(1)  # [N, L, 1]
        return (w * h).sum(1)
