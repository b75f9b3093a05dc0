"""Make tests/oracles/painn_schnetpack.npz: weights, structures, energies, forces and stresses of SchNetPack's PaiNN, in float64.

python scripts/painn_oracle.py [FILE]          (in an environment of its own that has schnetpack 2.1.1 and ase)
"""

from __future__ import annotations

import sys
import typing
from pathlib import Path

import numpy as np
import torch
import torch.utils.data.dataloader as dataloader
from ase.neighborlist import primitive_neighbor_list
from oracle_structures import structures

dataloader.T_co = typing.TypeVar("T_co", covariant=True)  # schnetpack 2.1.1 imports it; torch 2.13 has it no more

from schnetpack.atomistic import Atomwise  # noqa: E402
from schnetpack.nn.cutoff import CosineCutoff  # noqa: E402
from schnetpack.nn.radial import BesselRBF  # noqa: E402
from schnetpack.representation import PaiNN  # noqa: E402

D, LAYERS, RADIAL, CUTOFF = 8, 2, 6, 4.0
TARGET = Path(__file__).parents[1] / "tests" / "oracles" / "painn_schnetpack.npz"


def main() -> None:
    """Compute and write."""
    torch.manual_seed(0)
    net = PaiNN(n_atom_basis=D, n_interactions=LAYERS, radial_basis=BesselRBF(RADIAL, CUTOFF), cutoff_fn=CosineCutoff(CUTOFF)).double()
    net.radial_basis.freqs = torch.arange(1, RADIAL + 1, dtype=torch.float64) * np.pi / CUTOFF  # it rounds them to float32
    head = Atomwise(n_in=D).double()
    for p in (*net.parameters(), *head.parameters()):
        p.data += 0.1 * torch.randn_like(p)
    out = {f"net.{k}": v.detach().numpy() for k, v in net.named_parameters()}
    out |= {f"head.{k}": v.detach().numpy() for k, v in head.named_parameters()}
    for k, (z, pos, cell, pbc) in enumerate(structures()):
        i, j, S = primitive_neighbor_list("ijS", pbc, cell, pos, CUTOFF, self_interaction=False)
        x = torch.tensor(pos, requires_grad=True)
        strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
        r = x[j] - x[i] + torch.tensor(S @ cell)
        r = r + r @ (strain + strain.T) / 2
        inputs = {"_atomic_numbers": torch.tensor(z), "_Rij": r, "_idx_i": torch.tensor(i), "_idx_j": torch.tensor(j),
                  "_idx_m": torch.zeros(len(z), dtype=torch.long)}  # fmt: skip
        energy = head(net(inputs))["y"].sum()
        dx, ds = torch.autograd.grad(energy, [x, strain])
        out |= {
            f"{k}.z": z,
            f"{k}.pos": pos,
            f"{k}.cell": cell,
            f"{k}.pbc": np.array(pbc),
            f"{k}.energy": energy.detach().numpy(),
        }
        out |= {f"{k}.forces": -dx.numpy(), f"{k}.strain": ds.numpy()}
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    np.savez_compressed(target, **out)
    print(target, file=sys.stderr)


if __name__ == "__main__":
    main()
