"""Propagation along the normalised graph: S = D^-1/2 (A + 1) D^-1/2 (Kipf & Welling 2017, arXiv:1609.02907, eqs. 2 and 8)."""

from __future__ import annotations

from typing import Any, final

from torch import Tensor, nn

from heliograph.algebra import colour
from heliograph.edge import Edge
from heliograph.graph import Feature, Features, Graph, dense


def normalised(graph: Graph, h: Feature, **features: Feature) -> Graph:
    """Return the graph with states h [N, d] and norm_i = 1 / sqrt(d_i) [N, 1], d = 1 + number of neighbours, in their precision."""
    count = graph.topology.degree
    norm = (1 + count).to(h.dtype).rsqrt()[:, None]
    colour.put(norm, [count], lambda degree: degree)
    return graph.with_nodes(h=h, norm=norm, **features)


@final
class Propagate(nn.Module):
    """h_j / sqrt(d_i d_j): what a node's neighbours add to (S h)_i."""

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": e.j["h"] * e.j["norm"] * e.i["norm"]}


def propagated(nodes: Features, messages: dict[str, Tensor]) -> Tensor:
    """(S h)_i = m_i + h_i / d_i, [N, d]: the node itself is its own neighbour."""
    h, norm = dense(nodes["h"]), dense(nodes["norm"])
    return messages["m"] + norm * norm * h
