"""One step of `painn` 128 x 3 (cutoff 5, 20 radial functions) beside SchNetPack's PaiNN: energies, and energies with forces.

    python bench/forces.py --peer /path/to/an/environment/with/schnetpack/bin/python

32 molecules of QM9, float32, Adam, lists of neighbours made before. Each contestant is a process of its own that makes one step when
asked to; they take turns, and a turn's ratio is the peer's CPU seconds over ours (of all threads, so that other work on the machine
counts less). The roofline is the products of the equations, forward and backward (x 3; with forces x 6), at this machine's rate in
float32 products just before. That both compute the same is tests/oracles/test_painn_schnetpack.py.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

D, LAYERS, RADIAL, CUTOFF, MOLECULES = 128, 3, 20, 5.0, 32


def molecules(path: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Atomic numbers and positions of 32 molecules, evenly through the set."""
    with np.load(path) as q:
        ends = np.concatenate([[0], np.cumsum(q["n_atoms"].astype(np.int64))]).astype(np.int64)
        rows = np.linspace(1000, len(q["n_atoms"]) - 1000, MOLECULES).astype(int)
        z, pos = q["z"], q["pos"]
        return [(z[ends[k] : ends[k + 1]], pos[ends[k] : ends[k + 1]].astype(np.float64)) for k in rows]


def serve(step: Any) -> None:
    """Answer each line of the input by one step: its CPU seconds."""
    for mode in sys.stdin:
        start = time.process_time()
        step(mode.strip() == "EF")
        print(json.dumps(time.process_time() - start), flush=True)


def ours(path: str) -> None:
    from heliograph import zoo
    from heliograph.data.frames import Frame
    from heliograph.data.sources.structures import Keys, Structures
    from heliograph.learn.objectives.forces import AtomEnergies, Forces
    from heliograph.potential.potential import INPUTS

    frames = [Frame(z, pos) for z, pos in molecules(path)]
    data = Structures.collect(frames, Keys()).with_neighbours(CUTOFF)
    net = zoo.build("painn", INPUTS, 1)
    atoms = AtomEnergies((1, 6, 7, 8, 9), torch.zeros(119, dtype=torch.float64), CUTOFF)
    kinds = {True: Forces(atoms, {"energy": 1.0, "forces": 1.0}), False: Forces(atoms, {"energy": 1.0})}
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-5, fused=True)
    rows = np.arange(MOLECULES)

    def step(forces: bool) -> None:
        found = kinds[forces].outputs(net, data.batch(rows), {})
        optimizer.zero_grad()
        sum(value.float().square().mean() for value in found.values()).backward()
        optimizer.step()

    serve(step)


def theirs(path: str) -> None:
    import typing

    import torch.utils.data.dataloader as dataloader

    dataloader.T_co = typing.TypeVar("T_co", covariant=True)  # schnetpack 2.1.1 imports it; torch 2.13 has it no more
    from schnetpack.atomistic import Atomwise
    from schnetpack.nn.cutoff import CosineCutoff
    from schnetpack.nn.radial import BesselRBF
    from schnetpack.representation import PaiNN

    net = PaiNN(n_atom_basis=D, n_interactions=LAYERS, radial_basis=BesselRBF(RADIAL, CUTOFF), cutoff_fn=CosineCutoff(CUTOFF))
    head = Atomwise(n_in=D)
    z, pos, i, j, of, first = [], [], [], [], [], 0
    for k, (numbers, x) in enumerate(molecules(path)):
        near = np.linalg.norm(x[:, None] - x[None], axis=-1)
        a, b = np.nonzero((near < CUTOFF) & (near > 0))
        z.append(numbers)
        pos.append(x)
        i.append(a + first)
        j.append(b + first)
        of.append(np.full(len(numbers), k))
        first += len(numbers)
    tensor = lambda parts: torch.tensor(np.concatenate(parts))  # noqa: E731
    x, senders, receivers = tensor(pos).float(), tensor(j), tensor(i)
    optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()], lr=1e-5, fused=True)

    def step(forces: bool) -> None:
        place = x.clone().requires_grad_(forces)
        inputs = {
            "_atomic_numbers": tensor(z).long(), "_Rij": place[senders] - place[receivers], "_idx_i": receivers,
            "_idx_j": senders, "_idx_m": tensor(of), "_n_atoms": torch.tensor([len(n) for n in z]),
        }  # fmt: skip
        energy = head(net(inputs))["y"]
        loss = energy.square().mean()
        if forces:
            (gradient,) = torch.autograd.grad(energy.sum(), place, create_graph=True)
            loss = loss + gradient.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    serve(step)


def roofline(path: str) -> float:
    """FLOPs of the products of one forward pass: maps of nodes, and filters of pairs."""
    n = sum(len(z) for z, _ in molecules(path))
    apart = [np.linalg.norm(x[:, None] - x[None], axis=-1) for _, x in molecules(path)]
    pairs = sum(int((d < CUTOFF).sum() - len(d)) // 2 for d in apart)
    node = LAYERS * (D * D + 3 * D * D + 2 * 3 * D * D + 2 * D * D + 3 * D * D) + D * D // 2
    return 2.0 * (n * node + pairs * LAYERS * RADIAL * 3 * D)


def rate() -> float:
    """FLOP/s of float32 products of this process, in CPU time."""
    a = torch.randn(1024, 1024)
    start, best = time.process_time(), 0.0
    while time.process_time() - start < 1.0:
        begun = time.process_time()
        a @ a
        best = max(best, 2 * 1024**3 / (time.process_time() - begun))
    return best


def main() -> None:
    from common import DATA, Lines, parser, spread

    made = parser(__doc__)
    made.add_argument("--peer", required=True, help="python of an environment with schnetpack 2.1.1")
    made.add_argument("--worker", help="for the benchmark itself")
    options = made.parse_args()
    options.threads = 1
    lines, path = Lines(options), str(DATA / "qm9" / "qm9.npz")

    def start(python: str, who: str) -> subprocess.Popen[str]:
        command = [python, "-W", "ignore", str(Path(__file__).resolve()), "--worker", who, path]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(process: subprocess.Popen[str], mode: str) -> float:
        assert process.stdin is not None and process.stdout is not None
        print(mode, file=process.stdin, flush=True)
        return float(json.loads(process.stdout.readline()))

    workers = {"heliograph": start(sys.executable, "ours"), "schnetpack": start(options.peer, "theirs")}
    flops = roofline(path)
    for mode, times in (("E", 3), ("EF", 6)):
        for worker in workers.values():
            for _ in range(3):
                ask(worker, mode)
        speed = rate()
        turns = [{who: ask(worker, mode) for who, worker in workers.items()} for _ in range(options.steps)]
        seconds = {who: statistics.median(turn[who] for turn in turns) for who in workers}
        lines({
            "step": mode, "molecules": MOLECULES, "ratio": spread([t["schnetpack"] / t["heliograph"] for t in turns]),
            "cpu_seconds": {who: round(s, 4) for who, s in seconds.items()},
            "molecules_per_second": {who: round(MOLECULES / s, 1) for who, s in seconds.items()},
            "gflops": round(speed / 1e9, 1), "times_the_roofline": round(seconds["heliograph"] / (times * flops / speed), 2),
        })  # fmt: skip
    for worker in workers.values():
        worker.kill()


if __name__ == "__main__":
    if "--worker" in sys.argv:
        torch.set_num_threads(1)
        {"ours": ours, "theirs": theirs}[sys.argv[-2]](sys.argv[-1])
    else:
        main()
