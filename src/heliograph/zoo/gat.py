"""GAT: graph attention network (Velickovic et al. 2018, arXiv:1710.10903).

    s_ij = leaky_relu(a . [W h_i, W h_j])                     eqs. 1 and 3, slope 0.2
    w_ij = softmax_j s_ij                                     eq. 2, j over the neighbours of i and i itself
    m_i  = [sum_j w_ij W h_j of each head]                    eqs. 4 and 5
    h_i' = elu(m_i + b)                                       eq. 4
    y    = head(mean_i h_i)

`blocks.Transform` and `blocks.Attend` are eqs. 1 to 4, `blocks.Heads` is what follows.
Departures: h_i^0 = W x_i; all layers concatenate their heads (the paper's last one, a classifier of nodes, averages them: eq. 6); b is in
the authors' code, not in the paper. Edge features are not used, as in the paper.
Expressivity: at most 1-WL, and less: a mean, however weighted, does not count neighbours where all nodes are alike.
"""

from __future__ import annotations

from torch import nn

from heliograph import segment
from heliograph.blocks import Attend, Embed, Head, Heads, Pool, Transform
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.views import SelfLoops

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


def build(
    inputs: Inputs, out: int, d: int = 64, depth: int = 2, heads: int = 8, dropout: float = 0.0, aggregate: Aggregate = segment.mean
) -> MPNN:
    """`depth` layers of width `d`, all heads together (the paper on Cora: 8 heads of 8); `aggregate` pools nodes into graphs."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [Transform(d, heads), Layer(Attend(d, heads, dropout=dropout), Heads(d, dropout))]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(Head(d, out, dropout=dropout), aggregate), view=SelfLoops())
