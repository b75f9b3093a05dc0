"""Milliseconds of energies and forces through ASE, one thread: ethanol (9 atoms) and 64 atoms of silicon that moved a little each time.

    python bench/calculator.py [--atoms ethanol silicon] [-o FILE.jsonl]

Networks of default size with drawn weights, float32; the list of neighbours is made anew at each step and timed with it.
`milliseconds` are smallest, median and largest of wall time, `cpu` of CPU time. `schnet` with its tables of distances kept, and without
the rule of knots, in turns.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from common import Lines, parser, spread


def calculator(arch: str) -> Any:
    """Of an untrained network."""
    import torch

    from heliograph import Calculator, zoo
    from heliograph.potential.potential import INPUTS, Potential
    from heliograph.potential.references import References
    from heliograph.predictor.modelfile import Document

    E0 = np.full(119, np.nan)
    E0[[1, 6, 8, 14]] = 0.0
    torch.manual_seed(0)
    parts = {"references": References(E0, 1.0, "given", np.zeros(119)).to_dict()}
    document = Document("structures", arch, {}, {"nodes": 0, "edges": 0, "geometry": True}, {}, parts)
    return Calculator(Potential([zoo.build(arch, INPUTS, 1)], document))


def main() -> None:
    made = parser(__doc__, steps=200)
    made.add_argument("--archs", nargs="+", default=["painn", "schnet", "mace"])
    made.add_argument("--atoms", nargs="+", default=["ethanol", "silicon"], choices=["ethanol", "silicon"])
    args = made.parse_args()
    args.threads = 1
    lines = Lines(args)
    from ase.build import bulk, molecule

    from heliograph import algebra

    given = {"ethanol": molecule("CH3CH2OH"), "silicon": bulk("Si", cubic=True) * (2, 2, 2)}
    for arch in args.archs:
        calc = calculator(arch)
        for name in args.atoms:
            atoms, rng, ways = given[name].copy(), np.random.default_rng(0), (True, False) if arch == "schnet" else (True,)
            atoms.calc = calc
            wall: dict[bool, list[float]] = {on: [] for on in ways}
            cpu: dict[bool, list[float]] = {on: [] for on in ways}
            for _ in range(args.steps + 10):
                for on in ways:
                    atoms.positions += 1e-3 * rng.normal(size=atoms.positions.shape)
                    start, begun = time.perf_counter(), time.process_time()
                    with algebra.use(on):
                        atoms.get_forces()
                    wall[on].append(1e3 * (time.perf_counter() - start))
                    cpu[on].append(1e3 * (time.process_time() - begun))
            for on in ways:
                lines({"arch": arch, "atoms": name, "algebra": on, "milliseconds": spread(wall[on][10:]), "cpu": spread(cpu[on][10:])})


if __name__ == "__main__":
    main()
