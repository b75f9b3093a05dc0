"""GraphConv: the 1-GNN (Morris et al. 2019, arXiv:1810.02244).

    m_i  = sum_j h_j
    h_i' = relu(W_1 h_i + W_2 m_i + b)                        eq. 1
    y    = head(mean_i h_i)

The paper's k-GNN takes the same step on sets of k nodes. Departures: h_i^0 = W x_i; eq. 1 has no b, PyTorch Geometric has.
Edge features are not used, as in eq. 1.
Expressivity: equal to 1-WL on countable features with suitable weights (theorem 2); the pooled mean then loses the size of the graph.
"""

from __future__ import annotations

from heliograph import segment
from heliograph.blocks import Combine, Embed, Head, Neighbour, Pool
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


def build(inputs: Inputs, out: int, d: int = 64, depth: int = 3, dropout: float = 0.0, aggregate: Aggregate = segment.mean) -> MPNN:
    """`depth` layers of width `d`; `aggregate` pools nodes into graphs."""
    layers = [Layer(Neighbour(), Combine(d, dropout)) for _ in range(depth)]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(Head(d, out, dropout=dropout), aggregate))
