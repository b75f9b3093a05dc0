"""ALIGNN: messages between atoms, and between bonds by their angles (Choudhary & DeCost 2021, doi:10.1038/s41524-021-00650-1).

    e_ij'  = e_ij + silu(norm(a_ij)),   a_ij = A h_i + B h_j + C e_ij                            edge-gated convolution
    h_i'   = h_i + silu(norm(U h_i + sum_j g_ij V h_j / sum_j g_ij)),   g_ij = sigmoid(a_ij)
    ALIGNN layer: the convolution on atoms with bonds' states as e, then the same on the line graph: bonds' states as h, angles' as e
    y      = sum_i W h_i

`depth` ALIGNN layers, then `depth` convolutions on atoms alone. Bonds begin as Gaussians of their lengths, angles as Gaussians of their
cosines, atoms as a vector for each element (the paper's 92 properties of elements left out). Departures: neighbours are those within
`cutoff`, where the paper takes the 12 nearest, and g fades there, so that energies have no jumps; an edge is not continued by its own
reverse; norm is that of a layer, as in the authors' code for forces, not of a batch; the answer is a sum over atoms, the paper's a mean.
Expressivity: above 1-WL on distances, since angles enter, yet only as weights of a mean: where all that is averaged is equal, as around
an atom with equal neighbours at equal distances, neither angles nor the number of neighbours show (see its card).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.algebra import held
from heliograph.blocks import MLP, AtomWise, Elements, Gaussians, PolynomialCutoff
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.views import Neighbours
from heliograph.views.line import line_graph

FEATURIZER, GEOMETRY, BOUND = "elements", "required", "above 1-WL"
EXTENSIVE = True
EPS = 1e-6


class Gate(nn.Module):
    """The gate g_ij, and e_ij' unless this is the `last` to see e."""

    def __init__(self, d: int, last: bool = False):
        super().__init__()
        self.A, self.B, self.C = nn.Linear(d, d), nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.norm = None if last else nn.LayerNorm(d)

    def forward(self, e: Edge) -> dict[str, Any]:
        a = self.A(e.i["h"]) + self.B(e.j["h"]) + self.C(e.e["e"])  # [E, d]
        gate = {"gate": torch.sigmoid(a) * e.e["fade"]}
        return gate if self.norm is None else gate | {"e": e.e["e"] + nn.functional.silu(self.norm(a))}


class Message(nn.Module):
    """g_ij V h_j, and g_ij."""

    def __init__(self, d: int):
        super().__init__()
        self.V = nn.Linear(d, d)

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": e.e["gate"] * self.V(e.j["h"]), "weight": e.e["gate"]}


class Update(nn.Module):
    """h_i + silu(norm(U h_i + sum_j g_ij V h_j / sum_j g_ij))."""

    def __init__(self, d: int):
        super().__init__()
        self.U, self.norm = nn.Linear(d, d), nn.LayerNorm(d)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        h = dense(nodes["h"])
        return {"h": h + nn.functional.silu(self.norm(self.U(h) + messages["m"] / (messages["weight"] + EPS)))}  # [N, d]


def convolutions(d: int, depth: int, last: bool = True) -> list[Layer]:
    """Edge-gated convolutions, of atoms or of bonds; `last`: nothing sees the edges' states after them."""
    return [Layer(Message(d), Update(d), edge=Gate(d, last and k == depth - 1)) for k in range(depth)]


class Start(nn.Module):
    """States of atoms and bonds, and how far a bond has faded."""

    def __init__(self, d: int, gaussians: int, cutoff: float):
        super().__init__()
        self.elements, self.fade = Elements(d), PolynomialCutoff(cutoff)
        self.e = nn.Sequential(Gaussians(gaussians, cutoff), MLP(gaussians, d, d, act=nn.SiLU))

    def forward(self, graph: Graph) -> Graph:
        r = Edge(graph).e["distance"]
        return self.elements(graph).with_edges(**held({"e": self.e(r), "fade": self.fade(r)}))


class Angles(nn.Module):
    """ALIGNN layers: a convolution of atoms, then one of their bonds, whose edges are the angles between two bonds of an atom."""

    def __init__(self, d: int, depth: int, gaussians: int):
        super().__init__()
        self.angle = nn.Sequential(Gaussians(gaussians, 1.0, -1.0), MLP(gaussians, d, d, act=nn.SiLU))
        self.atoms, self.bonds = nn.ModuleList(convolutions(d, depth, last=False)), nn.ModuleList(convolutions(d, depth))

    def forward(self, graph: Graph) -> Graph:
        line, u, fade = line_graph(graph), dense(graph.edges["direction"]), dense(graph.edges["fade"])
        kj, ji = line.topology.senders, line.topology.receivers
        cosine = -(u[kj] * u[ji]).sum(-1, keepdim=True)  # at atom j, between its bonds to k and i
        line = line.with_edges(e=self.angle(cosine), fade=fade[kj] * fade[ji])
        for atoms, bonds in zip(self.atoms, self.bonds, strict=True):
            graph = atoms(graph)
            line = bonds(line.with_nodes(h=graph.edges["e"]))
            graph = graph.with_edges(e=line.nodes["h"])
        return graph


def build(
    inputs: Inputs, out: int, d: int = 64, depth: int = 2, gaussians: int = 40, cutoff: float = 5.0, aggregate: Aggregate = segment.sum
) -> MPNN:
    """`depth` layers with angles, then `depth` without, of width `d` (256 and 4 in the paper); `gaussians` within `cutoff` angstrom."""
    layers = [Angles(d, depth, gaussians), *convolutions(d, depth)]
    return MPNN(Start(d, gaussians, cutoff), layers, AtomWise(nn.Linear(d, out), aggregate), view=Neighbours(cutoff))
