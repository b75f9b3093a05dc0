"""MPNN with edge network, GRU and set2set: enn-s2s (Gilmer et al. 2017, arXiv:1704.01212, secs. 5.1, 5.2).

    m_i  = sum_j A(e_ij) h_j,        A(e) = reshape(W2 relu(W1 e + b1) + b2)          "edge network", [d, d] per edge
    h_i' = GRU(h_i, m_i)                                                              one layer, weights tied over T steps
    y    = head(set2set({W [h_i^T, x_i]}))                                            M steps of set2set

With k towers (sec. 5.4) h_i is in k parts of d / k channels, each with a message and a GRU of its own, and g, an MLP with one hidden
layer, mixes the parts after each step: h_i' = g [GRU_1(h_i1, m_i1), ..., GRU_k(h_ik, m_ik)].

The paper does not say how many layers the edge network has; here it has one hidden layer. Its last map begins 1 / d times as
large as PyTorch would have it: messages begin small beside the states.

With positions, edges are all pairs and e_ij = [bond features, distance] (the paper's "raw distance feature"; pairs without
a bond have zero bond features); hydrogens are then nodes. Without, edges are the bonds. Instead of the distance K Gaussians of it
may stand there, as in SchNet (Schuett et al. 2018, doi:10.1063/1.5019779, sec. II C 2): the paper's bins of the distance, made smooth.
Departures: h_i^0 = W x_i instead of x_i padded with zeros (of which padding is a special case). Of atoms without features, as in
potentials of molecules, h_i^0 is learned per element, e_ij is the distance, and y = sum_i mlp(h_i): energies must add up.
Expressivity: at most 1-WL on the graph that it is given; on complete graphs with distances, above 1-WL of the bond graph.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from heliograph.algebra import held
from heliograph.blocks import GRU, MLP, AtomWise, Elements, Gaussians, Head, Mix, Set2Set, Towers, apply_matrix, on_rows
from heliograph.edge import Edge
from heliograph.errors import UsageError
from heliograph.graph import Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import CompleteGraph, RadiusGraph, with_distances

FEATURIZER, GEOMETRY, BOUND = "table10_1", "optional", "1-WL"
NEAREST, FARTHEST = 0.5, 8.0  # angstrom, of the Gaussians' centres


class AllPairs(nn.Module):
    """The complete graph with distances."""

    def __init__(self) -> None:
        super().__init__()
        self.complete = CompleteGraph()

    def forward(self, graph: Graph) -> Graph:
        return with_distances(self.complete(graph))


class Embed(nn.Module):
    """h_i^0 = W x_i, and phi_ij = relu(W1 e_ij + b1): the part of the edge network that all steps share."""

    def __init__(self, inputs: Inputs, d: int, hidden: int, gaussians: int):
        super().__init__()
        self.expand = Gaussians(gaussians, start=NEAREST, cutoff=FARTHEST) if gaussians else nn.Identity()
        d_edge = inputs.edges + ((gaussians or 1) if inputs.geometry else 0)
        self.W = nn.Linear(inputs.nodes, d) if inputs.nodes else Elements(d)
        self.W1 = nn.Linear(d_edge, hidden)

    def forward(self, graph: Graph) -> Graph:
        e = Edge(graph).e
        parts = ([e["edge_attr"]] if "x" in graph.nodes else []) + ([self.expand(e["distance"])] if "distance" in e else [])
        attr = torch.cat(parts, -1) if len(parts) > 1 else parts[0]  # [E, d_edge]
        graph = graph.with_nodes(h=on_rows(self.W, graph.nodes["x"])) if "x" in graph.nodes else self.W(graph)
        return graph.with_edges(**held({"phi": torch.relu(self.W1(attr))}))


class EdgeNetwork(nn.Module):
    """A(e_ij) h_j."""

    def __init__(self, d: int, hidden: int):
        super().__init__()
        self.W2 = nn.Linear(hidden, d * d)
        for p in self.W2.parameters():
            p.data /= d

    def forward(self, e: Edge) -> dict[str, Tensor]:
        return {"m": apply_matrix(self.W2(e.e["phi"]), e.j["h"])}  # [E, d]


class Readout(nn.Module):
    """head(set2set({W [h_i^T, x_i]}))."""

    def __init__(self, d_node: int, d: int, out: int, steps: int):
        super().__init__()
        self.W, self.set2set, self.head = nn.Linear(d + d_node, d), Set2Set(d, steps), Head(2 * d, out, hidden=d)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        x = self.W(torch.cat([dense(graph.nodes["h"]), dense(graph.nodes["x"])], -1))  # [N, d]
        return {"y": self.head(self.set2set(x, graph.topology.nodes_by_graph))}


def build(
    inputs: Inputs,
    out: int,
    d: int = 64,
    hidden: int = 128,
    steps: int = 6,
    readout_steps: int = 6,
    towers: int = 1,
    gaussians: int = 0,
) -> MPNN:
    """`d` node width, `hidden` width of the edge network, `steps` T, `readout_steps` M (the paper searches T in 3..8, M in 1..12).

    `towers` k divides d (the paper has 8 of d = 200). `gaussians` K instead of the distance, centres evenly on 0.5 to 8 angstrom,
    each as wide as they are apart.
    """
    if towers < 1 or d % towers:
        raise UsageError(f"gilmer's d = {d} can't be split into {towers} towers of one width")
    if gaussians and not inputs.geometry:
        raise UsageError("gilmer's gaussians are of distances: the input must have positions (--geometry given or embed)")
    if gaussians < 0 or gaussians == 1:
        raise UsageError(f"gilmer's gaussians are none or at least two, not {gaussians}")
    k, each = towers, d // towers
    layer = (
        Layer(EdgeNetwork(d, hidden), GRU(d))
        if k == 1
        else Layer(Towers(EdgeNetwork(each, hidden) for _ in range(k)), Mix([GRU(each) for _ in range(k)], MLP(d, d, d)))
    )
    embed = Embed(inputs, d, hidden, gaussians)
    if not inputs.nodes:
        return MPNN(embed, [layer] * steps, AtomWise(MLP(d, d, out)), view=RadiusGraph(float("inf")))
    return MPNN(embed, [layer] * steps, Readout(inputs.nodes, d, out, readout_steps), view=AllPairs() if inputs.geometry else None)
