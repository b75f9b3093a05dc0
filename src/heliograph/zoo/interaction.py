"""Interaction network (Battaglia et al. 2016, arXiv:1612.00222).

    m_i  = sum_j f_R([h_i, h_j, e_ij])                        relation model: effects, summed over the receiver's relations
    h_i' = f_O([h_i, X_i, m_i])                               object model, with external effects X_i
    y    = f_A(sum_i h_i)                                     abstract quantities, such as an energy

f_R has four hidden layers of 150 and effects of width 50, f_O one of 100, f_A one of 25. One application is the paper's; `steps` of
them, weights tied, are its roll-out. External effects are an input: a feature `external` of nodes [N, external] (a force on each
object) or of graphs [G, external] (one field for all).
Departure: h_i^0 = W x_i, so that a step's output can be the next one's input. Expressivity: at most 1-WL (on graphs with node
and edge labels).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph import kernels, segment
from heliograph.blocks import MLP, Pool, on_rows
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Embed(nn.Module):
    """h_i = W x_i, and X_i from the node's own external effects, the graph's, or none."""

    def __init__(self, d_node: int, d: int, external: int):
        super().__init__()
        self.W, self.external = nn.Linear(d_node, d), external

    def forward(self, graph: Graph) -> Graph:
        h = on_rows(self.W, graph.nodes["x"])  # [N, d]
        if self.external == 0:
            X = h.new_zeros(graph.N, 0)
        elif "external" in graph.nodes:
            X = dense(graph.nodes["external"])  # [N, external]
        else:
            X = kernels.gather(dense(graph.globals["external"]), graph.topology.nodes_by_graph.index)
        return graph.with_nodes(h=h, X=X)


class Relation(nn.Module):
    """f_R([h_i, h_j, e_ij])."""

    def __init__(self, d: int, d_edge: int, effect: int):
        super().__init__()
        self.f = MLP(2 * d + d_edge, 150, 150, 150, 150, effect)

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": self.f(torch.cat([e.i["h"], e.j["h"], e.e["edge_attr"]], -1))}  # [E, effect]


class Object(nn.Module):
    """f_O([h_i, X_i, m_i])."""

    def __init__(self, d: int, external: int, effect: int):
        super().__init__()
        self.f = MLP(d + external + effect, 100, d)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.f(torch.cat([dense(nodes["h"]), dense(nodes["X"]), messages["m"]], -1))}  # [N, d]


def build(inputs: Inputs, out: int, d: int = 50, steps: int = 1, effect: int = 50, external: int = 0) -> MPNN:
    """`d` width of an object's state, `effect` of a relation's effect, `external` of the external effects; `steps` T."""
    layer = Layer(Relation(d, inputs.edges, effect), Object(d, external, effect))
    return MPNN(Embed(inputs.nodes, d, external), [layer] * steps, Pool(MLP(d, 25, out), segment.sum))
