"""mace is mace-torch's MACE: the same weights give the same energies, forces and stresses, in float64, for L = 0 and 1.

`scripts/mace_oracle.py` made the numbers with mace-torch 0.3.16 and e3nn 0.4.4, which this environment does not have. There it is also
checked that e3nn's couplings are ours up to a sign, and that both sets of symmetric polynomials span the same ones.
"""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor

from heliograph import geometry, kernels, zoo
from heliograph.data.frames import Frame
from heliograph.data.sources.structures import Keys, Structures
from heliograph.model import MPNN
from heliograph.potential.potential import INPUTS
from heliograph.zoo import mace

ORACLE = np.load(Path(__file__).with_name("mace_torch.npz"))
D, CUTOFF, ELEMENTS, WIDTHS = 4, 4.0, [1, 6, 7, 8, 14], (8, 8)


def theirs(L: int) -> MPNN:
    """Our network with their weights, theirs being of variance one and divided by the root of how many are added."""
    with mock.patch.object(mace, "WIDTHS", WIDTHS):
        net = zoo.build("mace", INPUTS, 1, {"d": D, "L": L, "cutoff": CUTOFF, "neighbours": 9.0}).double()
    get = lambda name: torch.tensor(ORACLE[f"{L}/{name}"])  # noqa: E731
    Z, rows = len(ELEMENTS), torch.tensor(ELEMENTS)

    def put(name: str, value: Tensor) -> None:
        of = net.get_parameter(name)
        assert of.shape == value.shape, (name, of.shape, value.shape)
        of.data.copy_(value)

    def per_element(value: Tensor) -> Tensor:
        return torch.zeros(119, *value.shape[1:], dtype=value.dtype).index_copy(0, rows, value)

    embedding = get("node_embedding.linear.weight").view(Z, D) / Z**0.5
    put("embed.element.weight", per_element(embedding))
    silu, gate = get("silu")
    for t in range(2):
        ours, inter = f"layers.{t}", f"interactions.{t}"
        for n, W in enumerate(get(f"{inter}.linear_up.weight").view(-1, D, D)):
            put(f"{ours}.up.weight.{n}", W.T / D**0.5)
        paths, signs = ORACLE[f"{L}/{t}.paths"].tolist(), ORACLE[f"{L}/{t}.signs"]
        mine = [list(p) for p in net.layers[t].conv.paths]
        assert sorted(mine) == sorted(paths)
        order = [paths.index(p) for p in mine]
        W = get(f"{inter}.conv_tp_weights.layer0.weight") / 8**0.5 * (2 / CUTOFF) ** 0.5
        put(f"{ours}.conv.radial.0", W.T)
        put(f"{ours}.conv.radial.1", get(f"{inter}.conv_tp_weights.layer1.weight").T / 8**0.5 * silu)
        # their vectors point to the receiver: harmonics of odd degree change sign
        sign = torch.tensor([s * (-1) ** b for s, (_, b, _) in zip(signs, paths, strict=True)])
        W = get(f"{inter}.conv_tp_weights.layer2.weight").view(8, len(paths), D) * sign[:, None]
        put(f"{ours}.conv.radial.2", W[:, order].flatten(1).T / 8**0.5 * silu)
        mixes = get(f"{inter}.linear.weight").view(len(paths), D, D)
        for n in range(4):
            same = [k for k in order if paths[k][2] == n]
            put(f"{ours}.conv.mix.{n}", torch.cat([mixes[k] for k in same]).T / (len(same) * D) ** 0.5)
        skip = get(f"{inter}.skip_tp.weight").view(-1, D, Z, D) / (D * Z) ** 0.5  # [l, in, element, out]
        if t:
            put(f"{ours}.skip.weight.0", per_element(skip[0].permute(1, 2, 0)))
        else:
            put(f"{ours}.skip.element.weight", per_element(torch.einsum("zu,uzw->zw", embedding, skip[0])))
        product, most = f"products.{t}", 0 if t else L
        weights = []
        for n in range(most + 1):
            for nu, name in ((1, "weights.1"), (2, "weights.0"), (3, "weights_max")):
                w = get(f"{product}.symmetric_contractions.contractions.{n}.{name}")  # [Z, paths, D]
                weights.append(torch.einsum("zpd,pk->zkd", w, get(f"{t}.{n}.{nu}")))
        put(f"{ours}.product.weight", per_element(torch.cat(weights, 1)))
        for n, W in enumerate(get(f"{product}.linear.weight").view(-1, D, D)):
            put(f"{ours}.down.weight.{n}", W.T / D**0.5)
    put("layers.0.readout.weight", get("readouts.0.linear.weight").view(1, D) / D**0.5)
    put("layers.1.readout.W.weight", get("readouts.1.linear_1.weight").view(D, 16).T / D**0.5)
    put("layers.1.readout.V.weight", get("readouts.1.linear_2.weight").view(1, 16) / 4 * gate)
    return net


@pytest.mark.parametrize("which", ["fused", "reference"])
@pytest.mark.parametrize("k", range(4))
@pytest.mark.parametrize("L", [0, 1])
def test_energy_forces_and_stress(L: int, k: int, which: str) -> None:
    z, pos, cell, pbc = (ORACLE[f"{k}.{name}"] for name in ("z", "pos", "cell", "pbc"))
    frame = Frame(z.astype(np.uint8), pos, cell if cell.any() else None, tuple(bool(p) for p in pbc))
    graph, r = geometry.with_leaf(Structures.collect([frame], Keys()).with_neighbours(CUTOFF).batch(np.array([0])))
    with kernels.use(which):
        energy = theirs(L)(graph)["y"]
        (gradient,) = torch.autograd.grad(energy.sum(), r)
    size = max(1.0, float(np.abs(ORACLE[f"{L}/{k}.forces"]).max()))
    assert abs(energy.item() - float(ORACLE[f"{L}/{k}.energy"].item())) < 1e-10 * size
    assert np.abs(geometry.forces(graph, gradient).numpy() - ORACLE[f"{L}/{k}.forces"]).max() < 1e-10 * size
    strain = geometry.strain_derivative(graph, r.detach(), gradient)[0].numpy()
    assert np.abs(strain - ORACLE[f"{L}/{k}.strain"]).max() < 1e-10 * size and np.abs(strain).max() > 1e-2
