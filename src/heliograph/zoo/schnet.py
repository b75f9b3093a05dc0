"""SchNet: continuous-filter convolutions (Schuett et al. 2018, doi:10.1063/1.5019779, arXiv:1712.06113).

    W(r)  = ssp-mlp(gaussians(r)) * cutoff(r)                                         sec. II C 2, eq. 9
    m_i   = sum_j (U h_j) * W(r_ij)                                                   eq. 6
    h_i'  = h_i + V2 ssp(V1 m_i)                                                      fig. 2, interaction block
    y     = sum_i mlp(h_i)                                                            atom-wise, sec. II B

ssp is the shifted softplus. The graph is that of all pairs nearer than the cutoff; bonds are not used. Intensive targets
(HOMO, LUMO, gap) want aggregate = mean. Expressivity: above 1-WL of the bond graph, since distances enter; at most 1-WL
on the complete graph labelled with distances (some pairs of different point clouds are the same to it).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import MLP, CosineCutoff, Gaussians, ShiftedSoftplus
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.views import RadiusGraph

FEATURIZER, GEOMETRY = "elements", "required"


class Embed(nn.Module):
    """h_i = one vector per element."""

    def __init__(self, d: int):
        super().__init__()
        self.element = nn.Embedding(119, d)

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=self.element(dense(graph.nodes["z"]).long()))


class Filter(nn.Module):
    """(U h_j) * W(r_ij), eq. 6."""

    def __init__(self, d: int, gaussians: int, cutoff: float):
        super().__init__()
        self.U = nn.Linear(d, d, bias=False)
        self.gaussians, self.cutoff = Gaussians(gaussians, cutoff), CosineCutoff(cutoff)
        self.W = MLP(gaussians, d, d, act=ShiftedSoftplus)

    def forward(self, e: Edge) -> dict[str, Any]:
        r = e.e["distance"]  # [E, 1]
        return {"m": self.U(e.j["h"]) * (self.W(self.gaussians(r)) * self.cutoff(r))}


class Update(nn.Module):
    """h_i + V2 ssp(V1 m_i)."""

    def __init__(self, d: int):
        super().__init__()
        self.V = MLP(d, d, d, act=ShiftedSoftplus)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": dense(nodes["h"]) + self.V(messages["m"])}


class Readout(nn.Module):
    """y = aggregate_i (V ssp(W h_i))."""

    def __init__(self, d: int, out: int, aggregate: Aggregate):
        super().__init__()
        self.mlp, self.aggregate = MLP(d, d // 2, out, act=ShiftedSoftplus), aggregate

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        return {"y": self.aggregate(self.mlp(dense(graph.nodes["h"])), graph.topology.members)}


def build(
    inputs: Inputs, out: int, d: int = 128, depth: int = 6, gaussians: int = 50, cutoff: float = 10.0, aggregate: Aggregate = segment.sum
) -> MPNN:
    """`depth` interactions of width `d`; `cutoff` in angstrom."""
    layers = [Layer(Filter(d, gaussians, cutoff), Update(d)) for _ in range(depth)]
    return MPNN(Embed(d), layers, Readout(d, out, aggregate), view=RadiusGraph(cutoff))
