"""Semla: scalable equivariant message passing with latent attention (Irwin et al. 2024, arXiv:2406.07266, sec. 3).

    X_i    = C coordinate sets [3, C], at first w_c (r_i - centre)              zero-centred before each use
    p_ij   = mlp([W LN(h_i), W LN(h_j), <X_i, X_j>_c])                          narrow pair messages -> heads and sets
    a_ij   = softmax_j(p_ij),  s_i = sqrt(sum_j a_ij^2)                         variance-preserving weights
    h_i'   = h_i + O concat_heads s_i sum_j a_ij V h_j                                latent attention over all other nodes
    X_i'   = X_i + P (s_i sum_j a_ij (Y_i - Y_j) / |Y_i - Y_j|),  Y = X Q             attention over directions, a set each
    h_i''  = h_i' + mlp([LN(h_i'), |X_i'|_c])                                  feed-forward of both
    X_i''  = X_i' + P' (f(LN(h_i')) x sum_c Q' X_i')
    y      = sum_i mlp([LN(h_i), |X_i|_c])

Departures: a node does not attend to itself; pairs have no states of their own, but features that messages may see
(`heliograph.generate.network` has the generator's).
Expressivity: above 1-WL on distances within a molecule, since dot products see angles at the centre; energies are invariant
under rotation, reflection and translation, X rotates along.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import MLP, AtomWise, ByLength, Elements, Lengths, centred, lengths
from heliograph.blocks.coordinates import EPSILON
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import CompleteGraph

FEATURIZER, GEOMETRY, BOUND = "elements", "required", "above 1-WL"
VECTORS = ("X", "Y", "Z")  # of nodes, [N, 3, sets]: they turn with the atoms


class Start(nn.Module):
    """h from the element, C multiples of the centred positions."""

    def __init__(self, d: int, sets: int):
        super().__init__()
        self.elements, self.sets = Elements(d), nn.Linear(1, sets, bias=False)

    def forward(self, graph: Graph) -> Graph:
        pos = dense(graph.nodes["pos"])[:, :, None]  # [N, 3, 1]
        return self.elements(graph).with_nodes(X=self.sets(centred(pos, graph.topology.nodes_by_graph)))


class Prepare(nn.Module):
    """What nodes send: u = W LN(h), values V h in heads, centred sets Z for dot products, sets Y = X Q for directions."""

    def __init__(self, d: int, sets: int, pair: int, heads: int):
        super().__init__()
        self.norm, self.u, self.V, self.heads = nn.LayerNorm(d), nn.Linear(d, pair), nn.Linear(d, d), heads
        self.z, self.by_length, self.Q = nn.Parameter(torch.ones(sets)), ByLength(sets), nn.Linear(sets, sets, bias=False)

    def forward(self, graph: Graph) -> Graph:
        n, X, by_graph = self.norm(dense(graph.nodes["h"])), dense(graph.nodes["X"]), graph.topology.nodes_by_graph
        return graph.with_nodes(
            u=self.u(n), V=self.V(n).unflatten(-1, (self.heads, -1)), Z=centred(X, by_graph) * self.z, Y=self.Q(self.by_length(X, by_graph))
        )


class Message(nn.Module):
    """a_ij of heads and sets, and what they weigh; `edges` features of an edge, where there are any, are called "p"."""

    def __init__(self, sets: int, pair: int, heads: int, edges: int = 0):
        super().__init__()
        self.mlp, self.heads, self.edges = MLP(2 * pair + sets + edges, 2 * pair, heads + sets, act=nn.SiLU), heads, edges

    def forward(self, e: Edge) -> dict[str, Any]:
        dots = (e.i["Z"] * e.j["Z"]).sum(1)  # [E, C]
        known = [e.i["u"], e.j["u"], dots, *([e.e["p"]] if self.edges else [])]
        a = segment.softmax(self.mlp(torch.cat(known, -1)), e.graph.topology.incoming)  # [E, H + C]
        of_heads, of_sets = a[:, : self.heads], a[:, self.heads :]
        apart = e.i["Y"] - e.j["Y"]  # [E, 3, C]
        X = apart / lengths(apart)[:, None, :] * of_sets[:, None, :]
        return {"h": e.j["V"] * of_heads[:, :, None], "X": X, "squares": a * a}


class Update(nn.Module):
    """h += O m, X += P m with variance-preserving weights."""

    def __init__(self, d: int, sets: int, heads: int):
        super().__init__()
        self.O, self.P, self.heads = nn.Linear(d, d), nn.Linear(sets, sets, bias=False), heads

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        s = (messages["squares"] + EPSILON).sqrt()  # [N, H + C]
        h = (messages["h"] * s[:, : self.heads, None]).flatten(1)  # [N, d]
        X = messages["X"] * s[:, None, self.heads :]  # [N, 3, C]
        return {"h": dense(nodes["h"]) + self.O(h), "X": dense(nodes["X"]) + self.P(X)}


class FeedForward(nn.Module):
    """h += mlp([LN(h), |X|]); X += P (f(LN(h)) x sum of Q X)."""

    def __init__(self, d: int, sets: int):
        super().__init__()
        self.norm, self.by_length = nn.LayerNorm(d), ByLength(sets)
        self.mlp, self.f = MLP(d + sets, 2 * d, d, act=nn.SiLU), MLP(d, sets, sets, act=nn.SiLU)
        self.Q, self.P = nn.Linear(sets, sets, bias=False), nn.Linear(sets, sets, bias=False)

    def forward(self, graph: Graph) -> Graph:
        h, X = dense(graph.nodes["h"]), dense(graph.nodes["X"])
        n, Y = self.norm(h), self.by_length(X, graph.topology.nodes_by_graph)
        mixed = self.f(n)[:, None, :] * self.Q(Y).sum(-1, keepdim=True)  # [N, 3, C]
        return graph.with_nodes(h=h + self.mlp(torch.cat([n, lengths(Y)], -1)), X=X + self.P(mixed))


def layers(d: int, depth: int, sets: int, pair: int, heads: int, edges: int = 0) -> list[nn.Module]:
    """The `depth` blocks, each of three steps, for any embedding of `h` [N, d], `X` [N, 3, sets] and `p` [E, edges] on a complete graph."""

    def block() -> list[nn.Module]:
        message = Message(sets, pair, heads, edges)
        return [Prepare(d, sets, pair, heads), Layer(message, Update(d, sets, heads)), FeedForward(d, sets)]

    return [step for _ in range(depth) for step in block()]


def build(inputs: Inputs, out: int, d: int = 128, depth: int = 5, sets: int = 8, pair: int = 32, heads: int = 8) -> MPNN:
    """`depth` blocks of width `d`, `sets` coordinate sets, pair messages of width `pair`, `heads` of attention."""
    steps = [*layers(d, depth, sets, pair, heads), Lengths(d, sets)]
    return MPNN(Start(d, sets), steps, AtomWise(MLP(d + sets, d // 2, out, act=nn.SiLU)), view=CompleteGraph())
