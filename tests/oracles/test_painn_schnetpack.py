"""painn is SchNetPack's PaiNN: the same weights give the same energies, forces and stresses, in float64.

`scripts/painn_oracle.py` made the numbers with schnetpack 2.1.1, which this environment does not have.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from heliograph import geometry, zoo
from heliograph.algebra import use as algebra
from heliograph.data.frames import Frame
from heliograph.data.sources.structures import Keys, Structures
from heliograph.model import MPNN
from heliograph.potential.potential import INPUTS

ORACLE = np.load(Path(__file__).with_name("painn_schnetpack.npz"))
D = 8


def theirs() -> MPNN:
    """Our network with their weights."""
    net = zoo.build("painn", INPUTS, 1, {"d": D, "depth": 2, "radial": 6, "cutoff": 4.0}).double()
    weights = {k: torch.tensor(ORACLE[k]) for k in ORACLE.files if k.startswith(("net.", "head."))}

    def put(name: str, value: Tensor) -> None:
        net.get_parameter(name).data.copy_(value)

    put("embed.elements.element.weight", torch.nn.functional.pad(weights["net.embedding.weight"], (0, 0, 0, 19)))
    rows = torch.arange(3 * D).view(3, D)[[1, 2, 0]].flatten()  # they split into ss, vv, sv; we into vv, sv, ss
    for t in range(2):
        here = slice(3 * D * t, 3 * D * (t + 1))
        W = torch.cat([weights["net.filter_net.weight"][here], weights["net.filter_net.bias"][here, None]], 1)
        for k in range(3 if t else 2):  # before the first block there are no vectors to weigh
            put(f"layers.{t}.message.W.{k}.weight", W[D * k : D * (k + 1)])
        for ours, place in ((0, 0), (2, 1)):
            for kind in ("weight", "bias"):
                value = weights[f"net.interactions.{t}.interatomic_context_net.{place}.{kind}"]
                put(f"layers.{t}.message.phi.{ours}.{kind}", value if t or not place else value[: 2 * D])
                value = weights[f"net.mixing.{t}.intraatomic_context_net.{place}.{kind}"]
                put(f"layers.{t}.update.a.{ours}.{kind}", value[rows] if place else value)
        V, U = weights[f"net.mixing.{t}.mu_channel_mix.weight"].split(D)
        put(f"layers.{t}.update.V.weight", V)
        put(f"layers.{t}.update.U.weight", U)
    for ours, place in ((0, 0), (2, 1)):
        for kind in ("weight", "bias"):
            put(f"readout.mlp.{ours}.{kind}", weights[f"head.outnet.{place}.{kind}"])
    return net


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("k", range(4))
def test_energy_forces_and_stress(k: int, on: bool) -> None:
    z, pos, cell, pbc = (ORACLE[f"{k}.{name}"] for name in ("z", "pos", "cell", "pbc"))
    frame = Frame(z.astype(np.uint8), pos, cell if cell.any() else None, tuple(bool(p) for p in pbc))
    graph, r = geometry.with_leaf(Structures.collect([frame], Keys()).with_neighbours(4.0).batch(np.array([0])))
    with algebra(on):
        energy = theirs()(graph)["y"]
    (gradient,) = torch.autograd.grad(energy.sum(), r)
    assert abs(energy.item() - float(ORACLE[f"{k}.energy"])) < 1e-10
    assert np.abs(geometry.forces(graph, gradient).numpy() - ORACLE[f"{k}.forces"]).max() < 1e-10
    strain = geometry.strain_derivative(graph, r.detach(), gradient)[0].numpy()
    assert np.abs(strain - ORACLE[f"{k}.strain"]).max() < 1e-10 and np.abs(strain).max() > 1e-2
