"""DTNN: deep tensor neural network (Schuett et al. 2017, doi:10.1038/ncomms13890; arXiv:1609.08259).

    m_i  = sum_{j != i} tanh(W_fc ((W_cf h_j + b_f1) * (W_df gaussians(r_ij) + b_f2)))
    h_i' = h_i + m_i                                          T passes, weights tied
    y    = sum_i W_2 tanh(W_1 h_i + b_1) + b_2

All pairs of atoms interact; the Gaussians stand at -1, -0.8, ..., `mu_max` angstrom and are 0.2 wide. mu_max is the paper's 10 for
small molecules (15 for toluene, 20 for GDB-9). Scale and shift of the atoms' energies are left to the training's own.
Expressivity: above 1-WL of the bond graph, since distances enter; at most 1-WL on the complete graph labelled with distances.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from heliograph import segment
from heliograph.blocks import MLP, AtomWise, Elements, Gaussians, Residual
from heliograph.edge import Edge
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.views import RadiusGraph

FEATURIZER, GEOMETRY, BOUND = "elements", "required", "1-WL"
EXTENSIVE = True


class Message(nn.Module):
    """tanh(W_fc ((W_cf h_j + b_f1) * (W_df gaussians(r_ij) + b_f2)))."""

    def __init__(self, d: int, factors: int, mu_max: float):
        super().__init__()
        K = round((mu_max + 1) / 0.2) + 1
        self.gaussians = Gaussians(K, mu_max, start=-1.0)
        self.W_cf, self.W_df, self.W_fc = nn.Linear(d, factors), nn.Linear(K, factors), nn.Linear(factors, d, bias=False)

    def forward(self, e: Edge) -> dict[str, Any]:
        factor = self.W_cf(e.j["h"]) * self.W_df(self.gaussians(e.e["distance"]))  # [E, factors]
        return {"m": torch.tanh(self.W_fc(factor))}  # [E, d]


def build(
    inputs: Inputs, out: int, d: int = 30, steps: int = 3, factors: int = 60, mu_max: float = 10.0, aggregate: Aggregate = segment.sum
) -> MPNN:
    """`d` coefficients per atom, `factors` of the factor layer, `steps` T."""
    embed = Elements(d)
    nn.init.normal_(embed.element.weight, std=d**-0.5)
    layer = Layer(Message(d, factors, mu_max), Residual(nn.Identity()))
    return MPNN(embed, [layer] * steps, AtomWise(MLP(d, 15, out, act=nn.Tanh), aggregate), view=RadiusGraph(float("inf")))
