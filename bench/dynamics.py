"""Energy kept by dynamics of ethanol, and bonds kept at 500 K: a small potential is trained on given frames, then atoms move.

    python bench/dynamics.py --runs FOLDER [--ps 10] [-o FILE.jsonl]

`painn` and `schnet` of 24 channels on 300 of the given frames, 30 epochs; NVE from 300 K, half a femtosecond a step, after a relaxation:
the slope of the total energy in meV/atom/ps, by a straight line. In float64 all runs plainly, in float32 distances run on knots as well
(`schnet`, which is made to by counting no structure as small). NVT at 500 K: the largest change of a bond's length beyond its mean. What
is in FOLDER already is gone on with.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from common import Lines, parser
from potentials import write

RUNS = (  # architecture, precision, ensemble, whether every structure counts as large
    ("painn", "float64", "nve", False),
    ("painn", "float32", "nve", False),
    ("schnet", "float32", "nve", True),
    ("painn", "float32", "nvt", False),
)


def trained(here: Path, arch: str) -> Path:
    """A run folder, made where there is none."""
    from heliograph.learn.progress import silent
    from heliograph.potential.config import FrameFit, FramesConfig, PotentialConfig, TrainPotential
    from heliograph.potential.runner import run

    data = here / "frames.extxyz"
    if not data.is_file():
        write(data, ("forces/ethanol/train.npz",), "E")
    args = {"d": 24, "depth": 2} | ({"radial": 8} if arch == "painn" else {})
    config = TrainPotential(
        frames=FramesConfig(data_path=data, split_sizes=(0.3, 0.05, 0.0)),
        potential=PotentialConfig(arch=arch, arch_args=args, r_max=4.5),
        fit=FrameFit(epochs=30, max_lr=5e-3, batch_size=8),
        output_dir=here / arch,
    )
    run(config, resume=(here / arch / "config.toml").is_file(), progress=silent())
    return here / arch


def longest_change(folder: Path) -> float:
    """The largest distance of a bond's length from its mean, over the trajectory, in angstrom."""
    from heliograph.data.frames import read

    frames = list(read(folder / "trajectory.extxyz"))
    pos, heavy = np.stack([frame.pos for frame in frames]), frames[0].z > 1
    reach = np.where(heavy[:, None] & heavy, 1.7, np.where(heavy[:, None] | heavy, 1.3, 0.0))  # of a bond
    apart = np.linalg.norm(pos[:, :, None] - pos[:, None], axis=-1)
    i, j = np.nonzero(np.triu(apart[0] < reach, 1))
    return round(float(np.abs(apart[:, i, j] - apart[:, i, j].mean(0)).max()), 3)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--runs", type=Path, required=True)
    made.add_argument("--ps", type=float, default=10.0)
    args = made.parse_args()
    args.threads = int(os.environ.get("OMP_NUM_THREADS", args.threads))
    lines = Lines(args)
    from heliograph import Calculator
    from heliograph.chem import dynamics, relaxation
    from heliograph.data.frames import read
    from heliograph.potential import potential

    args.runs.mkdir(parents=True, exist_ok=True)
    few = potential.FEW_EDGES
    for arch, dtype, ensemble, large in RUNS:
        net = trained(args.runs, arch)
        potential.FEW_EDGES = 0 if large else few
        atoms = relaxation.to_atoms(next(read(args.runs / "frames.extxyz")))
        atoms.calc = Calculator(net, dtype=dtype)
        relaxation.relax(atoms, 0.02, 300, False)
        folder, started = args.runs / f"{ensemble}-{arch}-{dtype}", time.process_time()
        settings = dynamics.Settings(ensemble, 300.0 if ensemble == "nve" else 500.0, 0.5, round(args.ps * 2000), every=20)
        done = dynamics.simulate(atoms, settings, folder, resume=folder.exists())
        found = {"drift_mev_per_atom_per_ps": round(done.drift, 4)} if ensemble == "nve" else {"bond_change": longest_change(folder)}
        lines({
            "ensemble": ensemble, "arch": arch, "dtype": dtype, "knots": large, "ps": args.ps, "temperature": round(done.temperature),
            **found, "cpu_seconds": round(time.process_time() - started, 1),
        })  # fmt: skip


if __name__ == "__main__":
    main()
