"""Make tests/oracles/nequip_graph_pes.npz: weights, structures, energies, forces and strain derivatives of graph-pes' NequIP, in float64.

python scripts/nequip_oracle.py [FILE]          (in an environment of its own that has graph-pes 1.0.2, e3nn 0.4.4 and ase)

One part of theirs is put together as in the paper: the radial perceptron sees functions under the cutoff and has no biases.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import ase
import numpy as np
import torch
from e3nn import o3
from graph_pes import AtomicGraph
from graph_pes.models import NequIP
from graph_pes.models.components import distances
from graph_pes.utils.nn import HaddamardProduct
from oracle_structures import ROOT, coupling, structures

torch.set_default_dtype(torch.float64)
F, L, CUTOFF, RADIAL, WIDTHS = 4, 2, 4.0, 5, (6, 7)
ELEMENTS = {1: "H", 6: "C", 7: "N", 8: "O", 14: "Si"}
TARGET = ROOT / "tests" / "oracles" / "nequip_graph_pes.npz"


class OneHot(torch.nn.Module):
    """Elements as rows of the unit matrix, in float64: theirs are float32."""

    def forward(self, Z: torch.Tensor) -> torch.Tensor:
        return torch.eye(len(ELEMENTS))[[list(ELEMENTS).index(int(z)) for z in Z]]


def network() -> NequIP:
    """Their model with weights that are multiples of 1 / 32."""
    irreps = {"node_irreps": f"{F}x0e+{F}x1o+{F}x2e", "edge_irreps": "0e+1o+2e"}
    model = NequIP(
        elements=list(ELEMENTS.values()), cutoff=CUTOFF, features=irreps, layers=3, self_interaction="tensor_product",
        prune_last_layer=True, neighbour_aggregation="sum",
    )  # fmt: skip
    for layer in model.layers:
        widths, linear = [RADIAL, *WIDTHS, layer.message_tensor_product.weight_numel], []
        for a, b in itertools.pairwise(widths):
            linear += [torch.nn.Linear(a, b, bias=False), torch.nn.SiLU()]
        layer.weight_generator = torch.nn.Sequential(
            HaddamardProduct(distances.Bessel(RADIAL, CUTOFF, trainable=False), distances.PolynomialEnvelope(CUTOFF, p=6)), *linear[:-1]
        )
    model = model.double()
    model.Z_embedding = OneHot()
    rng = torch.Generator().manual_seed(0)
    for name, p in model.named_parameters():
        if "scaling" not in name and "frequencies" not in name:
            p.data = (32 * torch.randn(p.shape, generator=rng)).round() / 32
    return model


def described(model: NequIP) -> dict[str, np.ndarray]:
    """Weights by name; of each layer its paths (l1, l2, l3) and their signs against ours; the activation's factor."""
    kept = (named for named in model.named_parameters() if named[1].requires_grad and "scaling" not in named[0])
    out = {name: p.detach().numpy() for name, p in kept}
    out["embedding"] = model.initial_node_embedding(torch.tensor(list(ELEMENTS))).detach().numpy()
    for t, layer in enumerate(model.layers):
        tp = layer.message_tensor_product
        paths, signs = [], []
        for i in tp.instructions:
            a, b, c = tp.irreps_in1[i.i_in1].ir.l, tp.irreps_in2[i.i_in2].ir.l, tp.irreps_out[i.i_out].ir.l
            w, mine = o3.wigner_3j(a, b, c).numpy(), coupling.coupling(a, b, c)
            paths.append((a, b, c))
            signs.append(np.sign((w * mine).sum()))
            assert np.abs(w - signs[-1] * mine).max() < 1e-12 and abs(i.path_weight - (2 * c + 1) ** 0.5) < 1e-12
        out |= {f"{t}.paths": np.array(paths), f"{t}.signs": np.array(signs), f"{t}.place": np.array([i.i_out for i in tp.instructions])}
    out["silu"] = np.array(model.layers[0].non_linearity.act_scalars.acts[0].cst)
    out["Y"] = model.edge_embedding(torch.tensor([[0.3, -0.5, 0.7]])).numpy()
    return out


def main() -> None:
    """Compute and write."""
    model = network()
    out = described(model)
    for k, (z, pos, cell, pbc) in enumerate(structures()):
        graph = AtomicGraph.from_ase(ase.Atoms(z, pos, cell=cell, pbc=pbc), CUTOFF)
        x = torch.tensor(pos, requires_grad=True)
        strain = torch.zeros(3, 3, requires_grad=True)
        strained = torch.eye(3) + (strain + strain.T) / 2
        graph = graph._replace(R=x @ strained, cell=torch.tensor(cell) @ strained)
        energy = model(graph)["local_energies"].sum()
        dx, ds = torch.autograd.grad(energy, [x, strain])
        out |= {f"{k}.z": z, f"{k}.pos": pos, f"{k}.cell": cell, f"{k}.pbc": np.array(pbc), f"{k}.energy": energy.detach().numpy()}
        out |= {f"{k}.forces": -dx.numpy(), f"{k}.strain": ds.numpy()}
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    np.savez_compressed(target, **out)
    print(target, file=sys.stderr)


if __name__ == "__main__":
    main()
