"""SchNet: continuous-filter convolutions (Schuett et al. 2018, doi:10.1063/1.5019779, arXiv:1712.06113).

    W(r)  = ssp-mlp(gaussians(r)) * cutoff(r)                                         sec. II C 2, eq. 9
    m_i   = sum_j (U h_j) * W(r_ij)                                                   eq. 6
    h_i'  = h_i + V2 ssp(V1 m_i)                                                      fig. 2, interaction block
    y     = sum_i mlp(h_i)                                                            atom-wise, sec. II B

ssp is the shifted softplus. The graph is that of all pairs nearer than the cutoff; bonds are not used. Intensive targets
(HOMO, LUMO, gap) want aggregate = mean; the length of a dipole moment wants y = |sum_i q_i r_i|, q_i = mlp(h_i): dipole = true.
Expressivity: above 1-WL of the bond graph, since distances enter; at most 1-WL on the complete graph labelled with distances
(some pairs of different point clouds are the same to it).
"""

from __future__ import annotations

from typing import Any

from torch import nn

from heliograph import segment
from heliograph.blocks import MLP, AtomWise, CosineCutoff, Dipole, Elements, Gaussians, Residual, ShiftedSoftplus
from heliograph.edge import Edge
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.views import RadiusGraph

FEATURIZER, GEOMETRY, BOUND = "elements", "required", "1-WL"
EXTENSIVE = True


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


def build(
    inputs: Inputs,
    out: int,
    d: int = 128,
    depth: int = 6,
    gaussians: int = 50,
    cutoff: float = 10.0,
    aggregate: Aggregate = segment.sum,
    dipole: bool = False,
) -> MPNN:
    """`depth` interactions of width `d`; `cutoff` in angstrom; `dipole`: the target is the length of a dipole moment."""
    layers = [Layer(Filter(d, gaussians, cutoff), Residual(MLP(d, d, d, act=ShiftedSoftplus))) for _ in range(depth)]
    mlp = MLP(d, d // 2, out, act=ShiftedSoftplus)
    return MPNN(Elements(d), layers, Dipole(mlp, out) if dipole else AtomWise(mlp, aggregate), view=RadiusGraph(cutoff))
