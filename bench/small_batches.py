"""Training steps of a few molecules, recorded and not, beside PyTorch Geometric's (chemprop's for dmpnn); one prediction.

    python bench/small_batches.py [--only gat dmpnn ...] [--molecules 2 16 64] [--compile] [-o FILE.jsonl]

A step is forward, backward and a fused Adam, on batches that change from step to step: eight of `lipophilicity`, or of chains of 18
atoms where all pairs are edges. One thread unless `--threads` says otherwise. Seconds are those of the process on the CPU, so that other
work on the machine counts less; each contestant is a process of its own, and they take turns (`worker.py`). The weights of PyG's networks
are ours, and values are compared first; chemprop's has its own. `painn forces` and the like: energies and forces of 18 atoms each, with
neighbours within 5 angstrom; their peer is the unrecorded way (`forces.py` has others). `predict`: one molecule by the default dmpnn,
and by three of them.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
import time
from collections.abc import Callable
from typing import Any

import inputs
import torch
from common import Lines, parser
from torch import Tensor, nn
from training_step import BONDS, CASES, COMPLETE, TOLERANCE
from worker import Contestant, Failed, Worker, difference, duel

from heliograph import recording, zoo
from heliograph.graph import Graph
from heliograph.model import MPNN, Inputs
from heliograph.views import keep_encodings

BATCHES = 8
ROWS: dict[str, tuple[str, list[str]]] = {name: (graphs, [way for ways in peers.values() for way in ways.values()])
                                          for name, (graphs, peers) in CASES.items() if name != "interaction"}  # fmt: skip
FORCES = "atoms with neighbours within 5 angstrom, energies and forces"
ROWS |= {"dmpnn": (BONDS, ["chemprop"]), "painn": (COMPLETE, [])}
ROWS |= {f"{name} forces": (FORCES, list[str]()) for name in ("painn", "schnet", "mace")}


def smiles(count: int) -> list[str]:
    """Random molecules of the set."""
    with gzip.open(inputs.LIPOPHILICITY, "rt") as file:
        rows = [row["smiles"] for row in csv.DictReader(file)]
    return [rows[k] for k in torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:count].tolist()]


def case(name: str, molecules: int) -> tuple[MPNN, list[Callable[[], Graph]]]:
    """The seeded network, and functions that make a batch anew."""
    from heliograph.chem.featurizer import preset
    from heliograph.chem.molecule import featurize
    from heliograph.data.store import Store

    torch.manual_seed(0)
    if ROWS[name][0] == COMPLETE:
        return zoo.build(name, Inputs(inputs.ATOMS, inputs.BONDS, geometry=True), 1), [inputs.chains(molecules)]
    featurizer = preset(zoo.load(name).FEATURIZER)
    store = Store.build((featurize(s, featurizer) for s in smiles(BATCHES * molecules)), featurizer)
    net = zoo.build(name, Inputs(featurizer.atom_width, featurizer.bond_width), 1)
    keep_encodings(net.view, store)
    return net, [lambda k=k: store.batch(range(k, k + molecules)) for k in range(0, len(store), molecules)]


def ours(name: str, molecules: int, recorded: bool) -> Contestant:
    if ROWS[name][0] == FORCES:
        return potential(name.split()[0], molecules, recorded)
    net, made = case(name, molecules)
    run = recording.play if recorded else MPNN.__call__
    return training(net.train(), [lambda f=f: (f(),) for f in made], lambda graph: run(net, graph)["y"])


def potential(name: str, molecules: int, recorded: bool) -> Contestant:
    """Energies and forces as the objective of potentials computes them; a step ends in the mean square of all of them."""
    import numpy as np

    from heliograph.data.frames import Frame
    from heliograph.data.sources.structures import Keys, Structures
    from heliograph.learn.objectives.forces import AtomEnergies, Forces

    torch.manual_seed(0)
    net, rng = zoo.build(name, Inputs(0, 0, geometry=True), 1).train(), np.random.default_rng(0)
    frames = [Frame(rng.choice([1, 6, 7, 8], 18).astype(np.uint8), 1.4 * rng.normal(size=(18, 3))) for _ in range(BATCHES * molecules)]
    data = Structures.collect(frames, Keys()).with_neighbours(5.0)
    objective = Forces(AtomEnergies((1, 6, 7, 8), torch.zeros(119, dtype=torch.float64), 5.0), {"energy": 1.0, "forces": 1.0})

    def answers(graph: Graph) -> Tensor:
        with recording.use(recorded):
            found = objective.outputs(net, graph, {})
        return torch.cat([found["energy"], found["forces"].flatten()])

    rows = [np.arange(k, k + molecules) for k in range(0, len(data), molecules)]
    return training(net, [lambda r=r: (data.batch(r),) for r in rows], answers)


def theirs(name: str, way: str, molecules: int, compiled: bool) -> Contestant:
    if way == "chemprop":
        return chemprop(molecules)
    import peers

    net, made = case(name, molecules)
    found = [getattr(peers, way)(net, f()) for f in made]
    module = found[0][0]
    return training(module.train(), [lambda a=a: a for _, a in found], torch.compile(module) if compiled else module)


def chemprop(molecules: int) -> Contestant:
    """Its default network; the batches' graphs are made before."""
    from chemprop import nn as parts
    from chemprop.data import BatchMolGraph
    from chemprop.featurizers import SimpleMoleculeMolGraphFeaturizer
    from chemprop.models import MPNN as Model
    from rdkit import Chem

    torch.manual_seed(0)
    featurizer = SimpleMoleculeMolGraphFeaturizer()
    graphs = [featurizer(Chem.MolFromSmiles(s)) for s in smiles(BATCHES * molecules)]
    batches = [BatchMolGraph(graphs[k : k + molecules]) for k in range(0, len(graphs), molecules)]
    model = Model(parts.BondMessagePassing(), parts.MeanAggregation(), parts.RegressionFFN(), batch_norm=False)
    return training(model.train(), [lambda b=b: (b,) for b in batches], model)


def training(model: nn.Module, made: list[Callable[[], tuple]], forward: Callable[..., Tensor]) -> Contestant:
    """Forward, backward, Adam; a batch each step."""
    optimizer, turn = torch.optim.Adam(model.parameters(), fused=True), 0

    def backward(arguments: tuple) -> Tensor:
        optimizer.zero_grad()
        y = forward(*arguments)
        y.square().mean().backward()
        return y.detach()

    def one() -> float:
        nonlocal turn
        arguments, turn = made[turn % len(made)](), turn + 1
        start = time.process_time()
        backward(arguments)
        optimizer.step()
        return time.process_time() - start

    def step() -> float:
        return sum(one() for _ in range(BATCHES)) / BATCHES

    def values() -> list:
        y = backward(made[0]())
        return [y.numpy(), torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm().numpy()]

    def warm() -> list:
        found = values()
        for _ in range(6):  # whatever is recorded is, and compiled forms are made
            step()
        return found

    return Contestant(step, warm)


def predicting(members: int, recorded: bool) -> Contestant:
    """One molecule from SMILES, another each time."""
    from heliograph.predictor import Predictor

    one = inputs.untrained("dmpnn")
    predictor = Predictor([inputs.untrained("dmpnn").model for _ in range(members)], one.document)
    rows, turn = smiles(40), 0

    def step() -> float:
        nonlocal turn
        start = time.process_time()
        with recording.use(recorded):
            for _ in range(BATCHES):
                turn += 1
                predictor.predict([rows[turn % len(rows)]])
        return (time.process_time() - start) / BATCHES

    def values() -> list:
        for _ in range(5 * len(rows) // BATCHES):
            step()
        with recording.use(recorded):
            return [predictor.predict(rows[:1])]

    return Contestant(step, values)


def compared(us: tuple[Callable[..., Contestant], dict], them: tuple[Callable[..., Contestant], dict], steps: int,
             tolerance: float | None) -> dict[str, Any]:  # fmt: skip
    """Values, then turns."""
    with Worker(us[0], us[1], None) as a, Worker(them[0], them[1], None, peer=True) as b:
        apart = difference(a.ask("values"), b.ask("values")) if tolerance is not None else (a.ask("values"), b.ask("values"), None)[2]
        if apart is not None and tolerance is not None and not apart <= tolerance:
            raise Failed(f"values differ by {apart:.1e}; nothing was timed")
        found = duel(a, b, steps)
    return {k: v for k, v in found.items() if "peak" not in k and "memory" not in k} | {"largest_relative_difference": apart}


def run(name: str, molecules: int, options: argparse.Namespace, lines: Lines) -> None:
    about = {"benchmark": f"training step, {name}, {ROWS[name][0]}", "molecules": molecules}
    recorded = (ours, {"name": name, "molecules": molecules, "recorded": True})
    rivals: list[tuple[str, bool]] = [
        (way, compiled) for way in ROWS[name][1] for compiled in ([False, True] if options.compile else [False])
    ]
    found = []
    line = about | {"peer": "unrecorded"} | compared(recorded, (ours, recorded[1] | {"recorded": False}), options.steps, 0.0)
    lines(line)
    for way, compiled in rivals:
        how = about | {"peer": way, "compiled": compiled}
        try:
            them = (theirs, {"name": name, "way": way, "molecules": molecules, "compiled": compiled})
            line = how | compared(recorded, them, options.steps, None if way == "chemprop" else TOLERANCE["float32"])
            found.append(line)
        except Failed as error:
            line = how | {"failed": str(error)}
        lines(line)
    if found:
        lines({"best": True} | min(found, key=lambda line: line["ratio_min_median_max"][1]))


def main() -> None:
    made = parser(__doc__, steps=15)
    made.add_argument("--only", nargs="+", choices=[*ROWS, "predict"], default=[*ROWS, "predict"], metavar="NAME")
    made.add_argument("--compile", action="store_true", help="the peer under torch.compile too")
    made.add_argument("--molecules", type=int, nargs="+", default=[2, 16, 64], help="a batch (2 16 64)")
    made.set_defaults(threads=1)
    options = made.parse_args()
    lines = Lines(options)
    for name in options.only:
        if not inputs.LIPOPHILICITY.is_file() and (name == "predict" or ROWS[name][0] == BONDS):
            print(f"skipped: {name} needs {inputs.LIPOPHILICITY} (set HELIOGRAPH_DATA)", file=sys.stderr)
        elif name == "predict":
            for members in (1, 3):
                both = ((predicting, {"members": members, "recorded": recorded}) for recorded in (True, False))
                lines(
                    {"benchmark": "predict one molecule, dmpnn", "members": members, "peer": "unrecorded"}
                    | compared(*both, options.steps, 1e-6)
                )
        else:
            if name == "painn":
                print("painn has no peer here: bench/forces.py compares it with SchNetPack's", file=sys.stderr)
            for molecules in options.molecules:
                run(name, molecules, options, lines)


if __name__ == "__main__":
    main()
