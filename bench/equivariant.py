"""One step of `mace` beside mace-torch's, and of `dimenet_pp` beside PyTorch Geometric's DimeNetPlusPlus, one thread, float32.

    python bench/equivariant.py --peer /path/to/an/environment/with/mace-torch/bin/python

`mace`: 64 channels, L = 1, l up to 3, correlation 3, two steps, cutoff 5; 16 molecules of QM9, energies and forces, forward, backward
and Adam; and energies with forces of a cell of 64 silicon atoms through ASE. `dimenet_pp`: the sizes of its paper, energies; 8 molecules of
QM9, and one cell of 64 silicon atoms; the peer's triplets are listed before and not timed, and its peak memory stands beside ours.
Turns and ratios as in `forces.py`: CPU seconds of processes that take turns. That both compute the same is tests/oracles/test_mace.py
and tests/oracles/test_equivariant.py.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from forces import molecules, rate

CUTOFF = 5.0
Structures = list[tuple[np.ndarray, np.ndarray, np.ndarray | None]]


def silicon() -> Structures:
    """A cubic cell of 64 atoms, shaken."""
    base = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]]) / 4
    cells = np.stack(np.meshgrid(*[np.arange(2)] * 3), -1).reshape(-1, 1, 3)
    place = (base + cells).reshape(-1, 3) * 5.43
    return [(np.full(64, 14), place + 0.05 * np.random.default_rng(0).normal(size=place.shape), np.eye(3) * 10.86)]


def structures(what: str, path: str) -> Structures:
    """Of a job."""
    if "silicon" in what:
        return silicon()
    every = 2 if what == "mace" else 4
    return [(z, x, None) for z, x in molecules(path)[::every]]


def batch(of: Structures) -> Any:
    from heliograph.data.frames import Frame
    from heliograph.data.sources.structures import Keys
    from heliograph.data.sources.structures import Structures as Frames

    frames = [Frame(z.astype(np.uint8), x, cell, (cell is not None,) * 3) for z, x, cell in of]
    return Frames.collect(frames, Keys()).with_neighbours(CUTOFF)


def training(net: torch.nn.Module, energy: Any, forces: bool) -> Any:
    """A step on squares of energies, and of their derivatives by what `energy` returns beside."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-6, fused=True)

    def step(_: bool) -> None:
        e, leaf = energy()
        loss = e.float().square().mean()
        if forces:
            (gradient,) = torch.autograd.grad(e.sum(), leaf, create_graph=True)
            loss = loss + gradient.float().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def ours(what: str, path: str) -> Any:
    from heliograph import geometry, zoo
    from heliograph.potential.potential import INPUTS

    arch, of = what.split("-")[0], structures(what, path)
    net, data = zoo.build(arch, INPUTS, 1), batch(of)
    if "ase" in what:
        from ase import Atoms

        from heliograph import Calculator
        from heliograph.potential.potential import Potential
        from heliograph.potential.references import References
        from heliograph.predictor.modelfile import Document

        E0 = np.full(119, np.nan)
        E0[14] = 0.0
        parts = {"references": References(E0, 1.0, "given", np.zeros(119)).to_dict()}
        potential = Potential([net], Document("structures", arch, {}, {"nodes": 0, "edges": 0, "geometry": True}, {}, parts))
        return evaluation(Atoms(of[0][0], of[0][1], cell=of[0][2], pbc=True), Calculator(potential))

    def energy() -> tuple[torch.Tensor, torch.Tensor]:
        graph, r = geometry.with_leaf(data.batch(np.arange(len(of))))
        return net(graph)["y"], r

    return training(net, energy, arch == "mace")


def evaluation(atoms: Any, calculator: Any) -> Any:
    """Energy and forces of atoms that moved a little."""
    atoms.calc, rng = calculator, np.random.default_rng(1)

    def step(_: bool) -> None:
        atoms.positions += 1e-3 * rng.normal(size=(len(atoms), 3))
        atoms.get_potential_energy(), atoms.get_forces()

    return step


def of_mace(what: str, path: str) -> Any:
    import ase
    from e3nn import o3
    from mace.calculators import MACECalculator
    from mace.data import AtomicData, config_from_atoms
    from mace.modules import ScaleShiftMACE, interaction_classes
    from mace.tools import AtomicNumberTable, torch_geometric

    of, numbers = structures(what, path), [14] if "silicon" in what else [1, 6, 7, 8, 9]
    block = interaction_classes["RealAgnosticResidualInteractionBlock"]
    net = ScaleShiftMACE(
        r_max=CUTOFF, num_bessel=8, num_polynomial_cutoff=5, max_ell=3, interaction_cls=block, interaction_cls_first=block,
        num_interactions=2, num_elements=len(numbers), hidden_irreps=o3.Irreps("64x0e+64x1o"), MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.zeros(len(numbers)), avg_num_neighbors=15.0, atomic_numbers=numbers, correlation=3,
        gate=torch.nn.functional.silu, radial_MLP=[64, 64, 64], atomic_inter_scale=1.0, atomic_inter_shift=0.0,
    )  # fmt: skip
    atoms = [ase.Atoms(z, x, cell=cell, pbc=cell is not None) for z, x, cell in of]
    if "ase" in what:
        return evaluation(atoms[0], MACECalculator(models=[net], device="cpu", default_dtype="float32"))
    table = AtomicNumberTable(numbers)
    found = [AtomicData.from_config(config_from_atoms(a), z_table=table, cutoff=CUTOFF) for a in atoms]
    data = next(iter(torch_geometric.dataloader.DataLoader(found, batch_size=len(found))))

    def energy() -> tuple[torch.Tensor, torch.Tensor]:
        inputs = data.to_dict()
        inputs["positions"] = inputs["positions"].detach().clone()
        result = net(inputs, training=True, compute_force=False)
        return result["energy"], inputs["positions"]

    return training(net, energy, True)


def of_pyg(what: str, path: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_geometric.nn.models import dimenet

    from heliograph import geometry
    from heliograph.graph import dense
    from heliograph.views import Neighbours

    of = structures(what, path)
    graph = Neighbours(CUTOFF)(batch(of).batch(np.arange(len(of)))).to(torch.device("cpu"), torch.float32)
    t = graph.topology
    kj, ji = t.continuations
    net = dimenet.DimeNetPlusPlus(128, 1, 4, 64, 8, 256, 7, 6, CUTOFF)
    r = geometry.pair_vectors(graph).float().index_select(0, t.pairs.index) * t.pairs.sign[:, None].float()
    z = dense(graph.nodes["z"]).long()

    def energy() -> tuple[torch.Tensor, torch.Tensor]:
        dist = r.pow(2).sum(-1).sqrt()
        angle = torch.atan2(torch.linalg.cross(r[ji], r[kj]).norm(dim=-1), (r[ji] * r[kj]).sum(-1))
        rbf, sbf = net.rbf(dist), net.sbf(dist, angle, kj)
        x = net.emb(z, rbf, t.receivers, t.senders)
        P = net.output_blocks[0](x, rbf, t.receivers, num_nodes=graph.N)
        for step, answer in zip(net.interaction_blocks, list(net.output_blocks)[1:], strict=True):
            x = step(x, rbf, sbf, kj, ji)
            P = P + answer(x, rbf, t.receivers, num_nodes=graph.N)
        return P.new_zeros(graph.G, 1).index_add(0, t.nodes_by_graph.index, P), r

    return training(net, energy, False)


MAKERS = {"ours": ours, "mace": of_mace, "pyg": of_pyg}
JOBS = {
    "mace": ("mace", "energies and forces, training, 16 molecules"),
    "mace-silicon-ase": ("mace", "energy and forces through ASE, 64 atoms"),
    "dimenet_pp": ("pyg", "energies, training, 8 molecules"), "dimenet_pp-silicon": ("pyg", "energies, training, 64 atoms"),
}  # fmt: skip


def main() -> None:
    from common import DATA, Lines, parser, spread

    made = parser(__doc__)
    made.add_argument("--peer", required=True, help="python of an environment with mace-torch 0.3.16")
    made.add_argument("--only", nargs="*", default=list(JOBS), help=f"of {', '.join(JOBS)}")
    options = made.parse_args()
    options.threads = 1
    lines, path = Lines(options), str(DATA / "qm9" / "qm9.npz")

    def start(python: str, who: str, what: str) -> subprocess.Popen[str]:
        command = [python, "-W", "ignore", str(Path(__file__).resolve()), "--worker", who, what, path]
        env = os.environ | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}  # e3nn, which mace-torch needs, reads a file of constants so
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)

    def ask(process: subprocess.Popen[str], mode: str) -> Any:
        assert process.stdin is not None and process.stdout is not None
        print(mode, file=process.stdin, flush=True)
        while True:
            line = process.stdout.readline()
            try:
                return json.loads(line)
            except ValueError:
                assert line, "a process ended"

    for what in options.only:
        peer, text = JOBS[what]
        workers = {"heliograph": start(sys.executable, "ours", what)}
        workers[peer] = start(options.peer if peer == "mace" else sys.executable, peer, what)
        for worker in workers.values():
            for _ in range(2):
                ask(worker, "step")
        speed = rate()
        turns = [{who: ask(worker, "step") for who, worker in workers.items()} for _ in range(options.steps)]
        memory = {who: ask(worker, "memory") for who, worker in workers.items()}
        seconds = {who: statistics.median(turn[who] for turn in turns) for who in workers}
        lines({
            "job": what, "step": text, "ratio": spread([t[peer] / t["heliograph"] for t in turns]),
            "cpu_seconds": {who: round(s, 4) for who, s in seconds.items()}, "peak_process_mb": memory, "gflops": round(speed / 1e9, 1),
        })  # fmt: skip
        for worker in workers.values():
            worker.kill()


def work(step: Any) -> None:
    """As `forces.serve`; "memory" is answered by the largest resident size in MB."""
    import time

    for mode in sys.stdin:
        if mode.strip() == "memory":
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, flush=True)
            continue
        begun = time.process_time()
        step(True)
        print(json.dumps(time.process_time() - begun), flush=True)


if __name__ == "__main__":
    if "--worker" in sys.argv:
        torch.set_num_threads(1)
        work(MAKERS[sys.argv[-3]](*sys.argv[-2:]))
    else:
        main()
