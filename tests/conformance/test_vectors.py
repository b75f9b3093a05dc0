"""What rotates with the atoms: zoo files that declare `VECTORS`, names of node features [N, 3, F], or `TENSORS`, [N, (L + 1)^2, F] in the
order of `blocks.harmonics`, must have them turn along."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from heliograph import zoo
from heliograph.batching import batch
from heliograph.blocks import AtomWise, Elements, Head
from heliograph.blocks.harmonics import harmonics
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import RadiusGraph
from tests.graphs import ATOMS, BONDS, DTYPE, random_graph

DECLARED = {
    name: (getattr(zoo.load(name), "VECTORS", ()), getattr(zoo.load(name), "TENSORS", ()))
    for name in zoo.names()
    if hasattr(zoo.load(name), "VECTORS") or hasattr(zoo.load(name), "TENSORS")
}


def turn(Q: Tensor, L: int) -> Tensor:
    """The matrix [(L + 1)^2, (L + 1)^2] that takes harmonics of x to those of Q x, from harmonics at some points."""
    points = torch.randn(100, 3, generator=torch.Generator().manual_seed(5), dtype=DTYPE)
    return torch.linalg.lstsq(harmonics(points, L), harmonics(points @ Q.T, L)).solution.T


def turned(graph: Graph, rng: torch.Generator, mirrored: bool) -> tuple[Graph, Tensor]:
    """The graph rotated, reflected if asked, and moved; and the matrix Q [3, 3] that takes a vector there."""
    Q = torch.linalg.qr(torch.randn(3, 3, generator=rng, dtype=DTYPE))[0]
    Q = Q * torch.linalg.det(Q) * (-1 if mirrored else 1)
    moved = dense(graph.nodes["pos"]) @ Q.T + torch.randn(3, generator=rng, dtype=DTYPE)
    return graph.with_nodes(pos=moved), Q


def check_equivariance(net: MPNN, vectors: tuple[str, ...], graph: Graph, tensors: tuple[str, ...] = (), tolerance: float = 1e-9) -> None:
    """Node features `vectors` [N, 3, F] and `tensors` turn with the atoms, all others and the prediction stay; vectors are not zero."""
    here, y = net.states(graph), net(graph)["y"]
    for seed, mirrored in ((0, False), (1, True)):
        there_graph, Q = turned(graph, torch.Generator().manual_seed(seed), mirrored)
        there = net.states(there_graph)
        assert torch.allclose(net(there_graph)["y"], y, atol=tolerance)
        for name, feature in here.nodes.items():
            x, moved = dense(feature), dense(there.nodes[name])
            if name in vectors:
                assert x.shape[1] == 3 and bool((x.abs() > 1e-3).any()), name
                assert torch.allclose(moved, torch.einsum("ab,nbf->naf", Q, x), atol=tolerance), name
            elif name in tensors:
                D = turn(Q, round(x.shape[1] ** 0.5) - 1)
                assert bool((x.abs() > 1e-3).any()) and torch.allclose(moved, torch.einsum("ab,nbf->naf", D, x), atol=tolerance), name
            elif name != "pos" and x.is_floating_point():
                assert torch.allclose(moved, x, atol=tolerance), name


class Start(nn.Module):
    """A vector per element, no direction yet; every edge's direction."""

    def __init__(self, d: int):
        super().__init__()
        self.elements, self.d = Elements(d), d

    def forward(self, graph: Graph) -> Graph:
        graph = self.elements(graph)
        t, pos = graph.topology, dense(graph.nodes["pos"])
        apart = pos.index_select(0, t.senders) - pos.index_select(0, t.receivers)
        u = apart / apart.norm(dim=1, keepdim=True)
        return graph.with_nodes(v=pos.new_zeros(graph.N, 3, self.d)).with_edges(u=u)


class Message(nn.Module):
    """Directions and vectors of neighbours, scaled by what depends on distance; `wrong` adds a constant direction."""

    def __init__(self, d: int, wrong: bool = False):
        super().__init__()
        self.phi, self.W, self.wrong = nn.Linear(d, 2 * d), nn.Linear(1, 2 * d), wrong

    def forward(self, e: Edge) -> dict[str, Any]:
        a, b = (self.phi(e.j["h"]) * self.W((-e.e["distance"]).exp())).chunk(2, -1)
        v = a[:, None, :] * e.e["u"][:, :, None] + b[:, None, :] * e.j["v"]
        return {"v": v + 0.1 * a[:, None, :] if self.wrong else v}


class Update(nn.Module):
    """v_i' = v_i + U m_i, h_i' = h_i + |v_i'|^2."""

    def __init__(self, d: int):
        super().__init__()
        self.U = nn.Linear(d, d, bias=False)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        v = dense(nodes["v"]) + self.U(messages["v"])  # [N, 3, d]
        return {"v": v, "h": dense(nodes["h"]) + v.square().sum(1)}


def toy(wrong: bool = False, d: int = 8) -> MPNN:
    torch.manual_seed(0)
    layers = [Layer(Message(d, wrong), Update(d)) for _ in range(2)]
    return MPNN(Start(d), layers, AtomWise(Head(d, 2)), view=RadiusGraph(4.0)).to(DTYPE).eval()


def molecules() -> Graph:
    rng = torch.Generator().manual_seed(3)
    one = random_graph(1, 0.0, rng)
    return batch([random_graph(7, 0.5, rng), one, random_graph(4, 0.5, rng)])


def test_the_check_finds_what_does_not_turn() -> None:
    check_equivariance(toy(), ("v",), molecules())
    with pytest.raises(AssertionError):
        check_equivariance(toy(wrong=True), ("v",), molecules())
    with pytest.raises(AssertionError):
        check_equivariance(toy(), (), molecules())  # v is no invariant


@pytest.mark.parametrize("name", DECLARED)
def test_declared_vectors_turn_with_the_atoms(name: str) -> None:
    torch.manual_seed(0)
    net = zoo.build(name, Inputs(ATOMS, BONDS, geometry=True), 2).to(DTYPE).eval()
    vectors, tensors = DECLARED[name]
    check_equivariance(net, vectors, molecules(), tensors)
    if tensors:  # the last layer may leave scalars alone: without it, there is more
        net.layers = net.layers[:-1]
        assert all(dense(net.states(molecules()).nodes[t]).shape[1] > 1 for t in tensors)
        check_equivariance(net, vectors, molecules(), tensors)
