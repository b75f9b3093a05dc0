"""Make tests/oracles/mace_torch.npz: weights, structures, energies, forces and virials of mace-torch's MACE, in float64, for L = 0 and 1.

python scripts/mace_oracle.py [FILE]          (in an environment of its own that has mace-torch 0.3.16, e3nn 0.4.4 and ase)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.neighborlist import primitive_neighbor_list
from e3nn import o3
from mace.modules import MACE, interaction_classes
from oracle_structures import ROOT, coupling, structures

torch.set_default_dtype(torch.float64)
F, CUTOFF, ELEMENTS, NEIGHBOURS, WIDTHS = 4, 4.0, [1, 6, 7, 8, 14], 9.0, [8, 8]
TARGET = ROOT / "tests" / "oracles" / "mace_torch.npz"


def projected(U: torch.Tensor, L: int, nu: int) -> np.ndarray:
    """Their polynomials [paths] in terms of ours [K]: a matrix [paths, K], exact, since both span all there are."""
    U = U.numpy().reshape(2 * L + 1, *[16] * nu, U.shape[-1])
    monomials, coefficients = coupling.symmetric(3, L, nu)
    number = {tuple(row): k for k, row in enumerate(monomials.tolist())}
    theirs, lost = np.zeros((U.shape[-1], 2 * L + 1, len(monomials))), {}
    for place in zip(*np.nonzero(np.abs(U).max((0, -1)) > 1e-12), strict=True):
        row = tuple(sorted(int(k) for k in place))
        if row in number:
            theirs[:, :, number[row]] += U[(slice(None), *place)].T
        else:
            lost[row] = lost.get(row, 0) + U[(slice(None), *place)]
    assert all(np.abs(v).max() < 1e-12 for v in lost.values())  # what we leave out cancels in the sum over orders of factors
    found, *_ = np.linalg.lstsq(coefficients.reshape(len(coefficients), -1).T, theirs.reshape(len(theirs), -1).T, rcond=None)
    assert np.abs(coefficients.reshape(len(coefficients), -1).T @ found - theirs.reshape(len(theirs), -1).T).max() < 1e-12
    assert np.linalg.matrix_rank(found, tol=1e-8) == len(coefficients)
    return np.asarray(found.T)


def network(L: int) -> MACE:
    """Their model with weights that are multiples of 1 / 32."""
    hidden = o3.Irreps("+".join(f"{F}x{n}{'eo'[n % 2]}" for n in range(L + 1)))
    block = interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = MACE(
        r_max=CUTOFF, num_bessel=8, num_polynomial_cutoff=5, max_ell=3, interaction_cls=block, interaction_cls_first=block,
        num_interactions=2, num_elements=len(ELEMENTS), hidden_irreps=hidden, MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.zeros(len(ELEMENTS)), avg_num_neighbors=NEIGHBOURS, atomic_numbers=ELEMENTS, correlation=3,
        gate=torch.nn.functional.silu, radial_MLP=WIDTHS, use_reduced_cg=False,
    )  # fmt: skip
    rng = torch.Generator().manual_seed(L)
    for p in model.parameters():
        p.data = (32 * torch.randn(p.shape, generator=rng)).round() / 32
    return model


def described(model: MACE, L: int) -> dict[str, np.ndarray]:
    """Weights by name; of each convolution its paths (l1, l2, l3) and their signs against ours; polynomials in terms of ours."""
    out = {name: p.detach().numpy() for name, p in model.named_parameters()}
    for t, (inter, product) in enumerate(zip(model.interactions, model.products, strict=True)):
        tp = inter.conv_tp
        paths = [(tp.irreps_in1[i.i_in1].ir.l, tp.irreps_in2[i.i_in2].ir.l, tp.irreps_out[i.i_out].ir.l) for i in tp.instructions]
        signs = []
        for (a, b, c), i in zip(paths, tp.instructions, strict=True):
            w, mine = o3.wigner_3j(a, b, c).numpy(), coupling.coupling(a, b, c)
            sign = np.sign((w * mine).sum())
            assert np.abs(w - sign * mine).max() < 1e-12 and abs(i.path_weight - (2 * c + 1) ** 0.5) < 1e-12
            signs.append(sign)
        out |= {f"{t}.paths": np.array(paths), f"{t}.signs": np.array(signs)}
        assert [i.i_out for i in tp.instructions] == list(range(len(paths)))
        for n, contraction in enumerate(product.symmetric_contractions.contractions):
            for nu in (1, 2, 3):
                out[f"{t}.{n}.{nu}"] = projected(contraction.U_tensors(nu), n, nu)
    out["silu"] = np.array([model.interactions[0].conv_tp_weights.layer0.act.cst, model.readouts[1].non_linearity.acts[0].cst])
    return out


def main() -> None:
    """Compute and write."""
    out: dict[str, Any] = {}
    for L in (0, 1):
        model = network(L)
        out |= {f"{L}/{k}": v for k, v in described(model, L).items()}
        for k, (z, pos, cell, pbc) in enumerate(structures()):
            i, j, S = primitive_neighbor_list("ijS", pbc, cell, pos, CUTOFF, self_interaction=False)
            n = len(z)
            data = {
                "positions": torch.tensor(pos, requires_grad=True), "edge_index": torch.tensor(np.stack([j, i])),
                "cell": torch.tensor(cell), "shifts": -torch.tensor(S @ cell), "unit_shifts": -torch.tensor(S).double(),
                "batch": torch.zeros(n, dtype=torch.long),
                "ptr": torch.tensor([0, n]), "node_attrs": torch.eye(len(ELEMENTS))[[ELEMENTS.index(v) for v in z]],
            }  # fmt: skip
            found = model(data, compute_force=True, compute_virials=True, compute_stress=True, compute_displacement=True)
            out |= {f"{k}.z": z, f"{k}.pos": pos, f"{k}.cell": cell, f"{k}.pbc": np.array(pbc)}
            out |= {f"{L}/{k}.energy": found["energy"].detach().numpy(), f"{L}/{k}.forces": found["forces"].detach().numpy()}
            out[f"{L}/{k}.strain"] = -found["virials"][0].detach().numpy()
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    np.savez_compressed(target, **out)
    print(target, file=sys.stderr)


if __name__ == "__main__":
    main()
