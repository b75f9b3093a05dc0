"""CompGCN: compositions of neighbours and relations (Vashishth et al. 2020, arXiv:1911.03082).

    m_i  = sum_{j, r} W_dir(r) (h_j o z_r) / sqrt(d_i d_j)          eq. 2 and 3; o: h * z ("mult"), h - z ("sub") or correlation ("corr")
    h_i' = tanh(bn((m_i^out + m_i^in + W_loop (h_i o z_loop)) / 3))     eq. 2, as in the authors' code
    z_r' = W_rel z_r                                                eq. 4
    y    = head(mean_i h_i)

A relation is a column of `edge_attr`: with one-hot types z_r is a row of a table, else a mixture. Edges with `inverse` [E, 1] were added
against their direction and have W_in, others W_out (without that feature: the mean of both). The relations are left in
`globals["relations"]` for a decoder of links, which has the last W_rel. Departures: z_r^0 is learned without eq. 5's bases; the pooled head
is for graphs. Expressivity: at most 1-WL, on graphs with labels of nodes and edges.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Dropout, Embed, Head, Pool
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"
Composition = Literal["mult", "sub", "corr"]


def compose(h: Tensor, z: Tensor, how: Composition) -> Tensor:
    """h o z, [n, d]; the circular correlation by Fourier transforms."""
    if how == "corr":
        return torch.fft.irfft(torch.fft.rfft(h).conj() * torch.fft.rfft(z), n=h.shape[-1])
    return h * z if how == "mult" else h - z


class Start(nn.Module):
    """h_i^0 = W x_i, z_r^0 and norm_i = 1 / sqrt(d_i)."""

    def __init__(self, inputs: Inputs, d: int):
        super().__init__()
        self.embed, self.relations = Embed(inputs.nodes, d), nn.Parameter(torch.randn(inputs.edges, d) * d**-0.5)

    def forward(self, graph: Graph) -> Graph:
        norm = graph.topology.degree.clamp(min=1).to(self.relations.dtype).rsqrt()[:, None]
        return self.embed(graph).with_nodes(norm=norm).with_globals(relations=self.relations[None].expand(graph.G, -1, -1))


class Message(nn.Module):
    """(h_j o z_r) / sqrt(d_i d_j), both directions apart."""

    def __init__(self, how: Composition):
        super().__init__()
        self.how: Composition = how

    def forward(self, e: Edge) -> dict[str, Any]:
        z = dense(e.e["edge_attr"]) @ dense(e.graph.globals["relations"])[0]  # [E, d]
        m = compose(dense(e.j["h"]), z, self.how) * dense(e.j["norm"]) * dense(e.i["norm"])
        back = dense(e.e["inverse"]) if "inverse" in e.graph.edges else 0.5
        return {"out": m * (1 - back), "in": m * back}


class Update(nn.Module):
    """tanh(bn((W_out m^out + W_in m^in + W_loop (h_i o z_loop)) / 3)): a matrix after the sum is one before it."""

    def __init__(self, d: int, how: Composition, dropout: float):
        super().__init__()
        self.W_out, self.W_in, self.W_loop = (nn.Linear(d, d, bias=False) for _ in range(3))
        self.loop, self.norm, self.dropout = nn.Parameter(torch.randn(1, d) * d**-0.5), nn.BatchNorm1d(d), Dropout(dropout)
        self.how: Composition = how

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        own = self.W_loop(compose(dense(nodes["h"]), self.loop, self.how))  # [N, d]
        return {"h": self.norm((self.dropout(self.W_out(messages["out"])) + self.dropout(self.W_in(messages["in"])) + own) / 3).tanh()}


class Relations(nn.Linear):
    """z_r' = W_rel z_r."""

    def forward(self, graph: Graph) -> Graph:  # type: ignore[override]  # a step of a network
        return graph.with_globals(relations=super().forward(dense(graph.globals["relations"])))


def build(inputs: Inputs, out: int, d: int = 100, depth: int = 1, composition: Composition = "mult", dropout: float = 0.1) -> MPNN:
    """`depth` layers of width `d`."""
    each = [[Relations(d, d, bias=False), Layer(Message(composition), Update(d, composition, dropout))] for _ in range(depth)]
    return MPNN(Start(inputs, d), [step for pair in each for step in pair][1:], Pool(Head(d, out), segment.mean))
