"""Normalisation of node states over each graph: steps between layers, Graph -> Graph."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from heliograph import kernels, segment
from heliograph.graph import Graph, dense
from heliograph.topology import Segments


@final
class OnStates(nn.Module):
    """h_i' = f(h_i) for a module of rows [N, d] -> [N, d]: `nn.LayerNorm(d)`, `nn.BatchNorm1d(d)`, `nn.Dropout(p)`."""

    def __init__(self, f: nn.Module):
        super().__init__()
        self.f = f

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=self.f(dense(graph.nodes["h"])))


@final
class GraphNorm(nn.Module):
    """h_i' = gamma (h_i - alpha mu) / sigma + beta per graph and channel (Cai et al. 2021, arXiv:2009.03294).

    mu is the mean of h over the graph, sigma^2 = mean (h - alpha mu)^2 + epsilon; alpha, gamma and beta [d] are learned.
    """

    def __init__(self, d: int, epsilon: float = 1e-5):
        super().__init__()
        self.alpha, self.gamma, self.beta = nn.Parameter(torch.ones(d)), nn.Parameter(torch.ones(d)), nn.Parameter(torch.zeros(d))
        self.epsilon = epsilon

    def forward(self, graph: Graph) -> Graph:
        h, by_graph = dense(graph.nodes["h"]), graph.topology.nodes_by_graph
        centred = h - self.alpha * _mean(h, by_graph)  # [N, d]
        sigma = (_mean(centred * centred, by_graph) + self.epsilon).sqrt()
        return graph.with_nodes(h=self.gamma * centred / sigma + self.beta)


@final
class PairNorm(nn.Module):
    """h_i' = s c_i / sqrt(mean_i |c_i|^2), c_i = h_i - mean_i h_i (Zhao & Akoglu 2020, arXiv:1909.12223, eqs. 10 and 11).

    It keeps the mean distance between pairs of nodes, so that depth does not make all alike.
    """

    def __init__(self, scale: float = 1.0, epsilon: float = 1e-5):
        super().__init__()
        self.scale, self.epsilon = scale, epsilon

    def forward(self, graph: Graph) -> Graph:
        h, by_graph = dense(graph.nodes["h"]), graph.topology.nodes_by_graph
        centred = h - _mean(h, by_graph)  # [N, d]
        length = _mean(centred.square().sum(-1, keepdim=True), by_graph)  # [N, 1]
        return graph.with_nodes(h=self.scale * centred / (length + self.epsilon).sqrt())


def _mean(x: Tensor, segments: Segments) -> Tensor:
    """The mean of its graph for each node, [N, d]."""
    return kernels.gather(segment.mean(x, segments), segments.index)
