"""Dipole moments and polarizabilities of painn's states rotate, and are where they should be zero or alike."""

from __future__ import annotations

import torch
from torch import Tensor

from heliograph import zoo
from heliograph.batching import batch
from heliograph.blocks import DipoleVector, Polarizability
from heliograph.graph import Graph
from heliograph.model import MPNN, Inputs
from tests.graphs import ATOMS, BONDS, DTYPE, random_graph

D = 8


def network(readout: torch.nn.Module) -> MPNN:
    torch.manual_seed(0)
    painn = zoo.build("painn", Inputs(ATOMS, BONDS, True), 1, {"d": D, "depth": 2, "radial": 5})
    net = MPNN(painn.embed, painn.layers, readout, painn.view).to(DTYPE)
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return net.eval()


def turned(graph: Graph) -> tuple[Graph, Tensor]:
    """The graph reflected, rotated and shifted, and the matrix."""
    g = torch.Generator().manual_seed(3)
    R = torch.linalg.qr(torch.randn(3, 3, generator=g, dtype=DTYPE))[0]
    R = R * -torch.linalg.det(R).sign()
    pos = graph.nodes["pos"]
    assert isinstance(pos, Tensor)
    return graph.with_nodes(pos=pos @ R + torch.tensor([5.0, -3.0, 1.0])), R


def graphs() -> Graph:
    rng = torch.Generator().manual_seed(0)
    return batch([random_graph(n, 0.5, rng) for n in (6, 1, 4)])


def test_dipoles_turn_and_have_the_length_of_what_is_predicted() -> None:
    torch.manual_seed(1)
    net, graph = network(DipoleVector(D)), graphs()
    a, (there, R) = net(graph), turned(graph)
    b = net(there)
    assert a["dipole"].shape == (3, 3, 1) and torch.allclose(b["dipole"][..., 0], a["dipole"][..., 0] @ R, atol=1e-10)
    assert torch.allclose(a["y"], a["dipole"].norm(dim=1)) and torch.allclose(a["y"], b["y"], atol=1e-10)
    assert a["y"][1] == 0 and a["y"][0] > 1e-3  # a single atom has none
    graph = graph.with_nodes(pos=graph.nodes["pos"].clone().requires_grad_())  # type: ignore[union-attr]
    net(graph)["y"].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.readout.parameters())


def test_polarizabilities_turn_and_are_symmetric() -> None:
    torch.manual_seed(1)
    net, graph = network(Polarizability(D)), graphs()
    a, (there, R) = net(graph), turned(graph)
    alpha = a["polarizability"]
    assert torch.allclose(alpha, alpha.transpose(1, 2)) and torch.allclose(net(there)["polarizability"], R.T @ alpha @ R, atol=1e-10)
    assert torch.allclose(a["y"][:, 0], alpha.diagonal(dim1=1, dim2=2).mean(1))
    assert torch.allclose(alpha[1], alpha[1, 0, 0] * torch.eye(3, dtype=DTYPE), atol=1e-12)  # an atom is a sphere
    assert (alpha[0] - alpha[0, 0, 0] * torch.eye(3, dtype=DTYPE)).abs().max() > 1e-3
