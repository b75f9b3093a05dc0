"""Make examples/ethanol.extxyz: ethanol at 500 K by GFN2-xTB dynamics, a frame every 40 fs, with energies and forces.

python scripts/ethanol_frames.py        (needs tblite: pip install heliograph[xtb])
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import units
from ase.build import molecule
from ase.md.langevin import Langevin
from tblite.ase import TBLite

from heliograph.chem.ase_frames import from_atoms
from heliograph.data.frames import Frame, text_of

FRAMES, EVERY = 80, 40
TARGET = Path(__file__).parents[1] / "examples" / "ethanol.extxyz"


def main() -> None:
    """Run the dynamics and write the frames."""
    atoms = molecule("CH3CH2OH")
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    rng = np.random.default_rng(0)
    atoms.set_momenta(rng.standard_normal((9, 3)) * np.sqrt(atoms.get_masses() * units.kB * 500)[:, None])
    dynamics = Langevin(atoms, 1.0 * units.fs, temperature_K=500, friction=0.02 / units.fs, rng=rng, fixcm=False)
    with open(TARGET, "w", encoding="utf-8") as file:
        for _ in range(FRAMES):
            dynamics.run(EVERY)
            bare = from_atoms(atoms)
            pos = np.round(bare.pos - bare.pos.mean(0), 6)
            info, forces = {"energy": round(atoms.get_potential_energy(), 6)}, np.round(atoms.get_forces(), 6)
            file.write(text_of(Frame(bare.z, pos, info=info, arrays={"forces": forces})))


if __name__ == "__main__":
    main()
