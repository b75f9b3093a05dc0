"""nequip is graph-pes' NequIP: the same weights give the same energies, forces and stresses, in float64.

`scripts/nequip_oracle.py` made the numbers with graph-pes 1.0.2 and e3nn 0.4.4, which this environment does not have.
"""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor

from heliograph import geometry, zoo
from heliograph.data.frames import Frame
from heliograph.data.sources.structures import Keys, Structures
from heliograph.model import MPNN
from heliograph.potential.potential import INPUTS
from heliograph.zoo import nequip

ORACLE = np.load(Path(__file__).with_name("nequip_graph_pes.npz"))
D, L, CUTOFF, RADIAL, WIDTHS, DEPTH, ELEMENTS = 4, 2, 4.0, 5, (6, 7), 3, [1, 6, 7, 8, 14]


def theirs() -> MPNN:
    """Our network with their weights, theirs being of variance one and divided by the root of how many are added."""
    with mock.patch.object(nequip, "WIDTHS", WIDTHS):
        sizes = {"d": D, "depth": DEPTH, "L": L, "radial": RADIAL, "cutoff": CUTOFF, "neighbours": 1.0}
        net = zoo.build("nequip", INPUTS, 1, sizes).double()
    get = lambda name: torch.tensor(ORACLE[name])  # noqa: E731
    Z, rows, silu, Y0 = len(ELEMENTS), torch.tensor(ELEMENTS), float(ORACLE["silu"]), float(ORACLE["Y"][0, 0])

    def put(name: str, value: Tensor) -> None:
        of = net.get_parameter(name)
        assert of.shape == value.shape, (name, of.shape, value.shape)
        of.data.copy_(value)

    def per_element(value: Tensor) -> Tensor:
        return torch.zeros(119, *value.shape[1:], dtype=value.dtype).index_copy(0, rows, value)

    embedding = get("embedding")
    put("embed.element.weight", per_element(embedding))
    for t in range(DEPTH):
        gain = silu if t else 1.0  # their activations are normalised: what comes after has their factor
        ours, layer = f"layers.{t}", f"layers.{t}"
        last = t == DEPTH - 1
        widths = [D] if last else [(1 + L) * D, D, D]
        for n, W in enumerate(get(f"{layer}.pre_message_linear.weight").view(-1, D, D)):
            put(f"{ours}.up.weight.{n}", W.T / D**0.5 * gain)
        put(f"{ours}.conv.radial.0", get(f"{layer}.weight_generator.1.weight") * (2 / CUTOFF) ** 0.5)
        put(f"{ours}.conv.radial.1", get(f"{layer}.weight_generator.3.weight"))
        paths, signs, place = ORACLE[f"{t}.paths"].tolist(), torch.tensor(ORACLE[f"{t}.signs"]), ORACLE[f"{t}.place"]
        order = [paths.index(list(p)) for p in net.layers[t].conv.paths]
        W = get(f"{layer}.weight_generator.5.weight").view(len(paths), D, -1) * signs[:, None, None] * Y0
        put(f"{ours}.conv.radial.2", W[order].flatten(0, 1))
        linear, start = get(f"{layer}.post_message_linear.weight"), 0
        for n, wide in enumerate(widths):
            same = sorted((k for k in range(len(paths)) if paths[k][2] == n), key=lambda k: place[k])
            mix = linear[start : start + len(same) * D * wide].view(len(same), D, wide) / (len(same) * D) ** 0.5
            start += len(same) * D * wide
            mine = [k for k in order if paths[k][2] == n]
            put(f"{ours}.conv.mix.{n}", torch.cat([mix[same.index(k)] for k in mine]).T)
        skip, start = get(f"{layer}.self_interaction.tensor_product.weight"), 0
        for n in range(1 if t == 0 else len(widths)):
            size = D * Z * widths[n]
            S = skip[start : start + size].view(D, Z, widths[n]) / (D * Z) ** 0.5 * gain
            start += size
            if t:
                put(f"{ours}.skip.weight.{n}", per_element(S.permute(1, 2, 0)))
            else:
                put(f"{ours}.first.element.weight", per_element(torch.einsum("zu,uzw->zw", embedding, S)))
    put("readout.mlp.0.weight", get("energy_readout.weight").view(1, D) / D**0.5 * silu)
    put("readout.mlp.0.bias", torch.zeros(1))
    return net


@pytest.mark.parametrize("k", range(4))
def test_energy_forces_and_stress(k: int) -> None:
    z, pos, cell, pbc = (ORACLE[f"{k}.{name}"] for name in ("z", "pos", "cell", "pbc"))
    frame = Frame(z.astype(np.uint8), pos, cell if cell.any() else None, tuple(bool(p) for p in pbc))
    graph, r = geometry.with_leaf(Structures.collect([frame], Keys()).with_neighbours(CUTOFF).batch(np.array([0])))
    energy = theirs()(graph)["y"]
    (gradient,) = torch.autograd.grad(energy.sum(), r)
    size = max(1.0, float(np.abs(ORACLE[f"{k}.forces"]).max()))
    assert abs(energy.item() - float(ORACLE[f"{k}.energy"])) < 1e-10 * size
    assert np.abs(geometry.forces(graph, gradient).numpy() - ORACLE[f"{k}.forces"]).max() < 1e-10 * size
    strain = geometry.strain_derivative(graph, r.detach(), gradient)[0].numpy()
    assert np.abs(strain - ORACLE[f"{k}.strain"]).max() < 1e-10 * size and np.abs(strain).max() > 1e-2
