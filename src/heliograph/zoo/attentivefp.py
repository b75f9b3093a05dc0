"""AttentiveFP: attentive fingerprints (Xiong et al. 2020, doi:10.1021/acs.jmedchem.9b00959).

    h_i^0 = leaky_relu(W x_i)
    u_ij = leaky_relu(W_1 [h_j, e_ij])                                   first layer: neighbours with their bonds
    m_i  = sum_j softmax_j(leaky_relu(a . [h_i, u_ij])) W_2 u_ij         first layer
    m_i  = sum_j softmax_j(leaky_relu(a . [W h_i, W h_j])) W h_j         the others
    h_i' = relu(GRU(elu(m_i + b), h_i))
    g    = relu(sum_i h_i)                                               then T times, with attention over the atoms of the molecule:
    g'   = relu(GRU(elu(sum_i softmax_i(leaky_relu(a . [W g, W h_i])) W h_i + b), g))
    y    = V g

Departures: two of PyTorch Geometric's, whose form is the one in use: scores see transformed states (in the paper the states themselves:
the same for an invertible W), and the relu acts on the state that the GRU keeps, not on a copy. Not its third (in version 2.8):
there the first layer's values are W_2 h_j, so that bonds act on the weights alone.
Expressivity: at most 1-WL (on graphs with node and edge labels), and less before the sum over atoms, for the reason given in `gat`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from heliograph import kernels, segment
from heliograph.blocks import GRU, AdditiveAttention, Attend, Dropout, Embed, Heads, Transform
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"
SLOPE = 0.01


class FirstMessage(nn.Module):
    """softmax_j(leaky_relu(a . [h_i, u_ij])) W_2 u_ij."""

    self_normalised = True

    def __init__(self, d: int, d_edge: int, dropout: float):
        super().__init__()
        self.W_1, self.W_2 = nn.Linear(d + d_edge, d, bias=False), nn.Linear(d, d, bias=False)
        self.attention = AdditiveAttention(1, d, SLOPE, dropout)

    def forward(self, e: Edge) -> dict[str, Any]:
        u = F.leaky_relu(self.W_1(torch.cat([e.j["h"], e.e["edge_attr"]], -1)), SLOPE)  # [E, d]
        weighted = self.attention(e.i["h"].unsqueeze(1), u.unsqueeze(1), e.graph.topology.incoming)  # [E, 1, d]
        return {"m": self.W_2(weighted.flatten(1))}


class Update(nn.Module):
    """relu(GRU(elu(m_i + b), h_i)), of nodes or of graphs."""

    def __init__(self, d: int, dropout: float):
        super().__init__()
        self.context, self.gru = Heads(d, dropout), GRU(d)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        context = self.context(nodes, messages)["h"]
        return {"h": self.gru(nodes, {"m": context})["h"].relu()}


class Readout(nn.Module):
    """T steps of attention over the nodes of a graph, from the graph's own state; y = V g."""

    def __init__(self, d: int, out: int, steps: int, dropout: float):
        super().__init__()
        self.W, self.V, self.dropout = nn.Linear(d, d, bias=False), nn.Linear(d, out), Dropout(dropout)
        self.attention, self.update, self.steps = AdditiveAttention(1, d, SLOPE, dropout), Update(d, dropout), steps

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        h, by_graph = dense(graph.nodes["h"]), graph.topology.nodes_by_graph
        Wh = self.W(h).unsqueeze(1)  # [N, 1, d]
        graph = graph.with_globals(h=segment.sum(h, by_graph).relu())  # [G, d]
        for _ in range(self.steps):
            Wg = kernels.gather(self.W(dense(graph.globals["h"])).unsqueeze(1), by_graph.index)  # [G, 1, d] -> [N, 1, d]
            context = segment.sum(self.attention(Wg, Wh, by_graph), by_graph)  # [G, 1, d]
            graph = graph.with_globals(**self.update(graph.globals, {"m": context}))
        return {"y": self.V(self.dropout(dense(graph.globals["h"])))}


def build(inputs: Inputs, out: int, d: int = 200, depth: int = 2, steps: int = 2, dropout: float = 0.0) -> MPNN:
    """`depth` layers of width `d` (the paper's radius), `steps` T of the readout."""
    layers: list[nn.Module] = [Layer(FirstMessage(d, inputs.edges, dropout), Update(d, dropout))]
    for _ in range(depth - 1):
        layers += [Transform(d, 1), Layer(Attend(d, 1, SLOPE, dropout), Update(d, dropout))]
    return MPNN(Embed(inputs.nodes, d, partial(F.leaky_relu, negative_slope=SLOPE)), layers, Readout(d, out, steps, dropout))
