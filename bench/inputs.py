"""What is measured on, seeded: QM9-like molecules, lipophilicity's bond graphs, a large random graph, stores, untrained predictors."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from common import DATA

from heliograph.batching import batch
from heliograph.graph import Graph, Indexed
from heliograph.topology import Topology

if TYPE_CHECKING:
    from heliograph.chem.featurizer import Featurizer
    from heliograph.data.store import Store
    from heliograph.predictor import Predictor

ATOMS, BONDS, SIZE = 28, 11, 18  # widths of x and edge_attr; atoms of a QM9 molecule with hydrogens
LIPOPHILICITY = DATA / "moleculenet" / "lipophilicity.csv.gz"

Fresh = Callable[[], Graph]  # each call builds the batch anew, so that nothing derived from it is left over from the step before


def chains(molecules: int, size: int = SIZE) -> Fresh:
    """Chains of `size` atoms with random features and positions."""
    rng = torch.Generator().manual_seed(0)
    x, e = torch.randn(30, ATOMS, generator=rng), torch.randn(8, BONDS, generator=rng)
    chain = torch.arange(size - 1)
    graphs = []
    for _ in range(molecules):
        bond = torch.randint(8, (size - 1,), generator=rng)
        nodes = {"x": Indexed(x, torch.randint(30, (size,), generator=rng)), "z": torch.randint(1, 9, (size,), generator=rng),
                 "pos": 1.2 * torch.randn(size, 3, generator=rng)}  # fmt: skip
        graphs.append(Graph.build(torch.cat([chain, chain + 1]), torch.cat([chain + 1, chain]), [size], [2 * size - 2], nodes=nodes,
                                  edges={"edge_attr": Indexed(e, torch.cat([bond, bond]))}))  # fmt: skip
    return lambda: batch(graphs)


def lipophilicity(molecules: int) -> Store:
    """`molecules` random ones of the set."""
    from heliograph.chem.featurizer import preset
    from heliograph.chem.molecule import featurize
    from heliograph.data.store import Store

    with gzip.open(LIPOPHILICITY, "rt") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)]
    featurizer = preset("table10_1")
    rows = torch.randperm(len(smiles), generator=torch.Generator().manual_seed(0))[:molecules].tolist()
    return Store.build((featurize(smiles[k], featurizer) for k in rows), featurizer)


def random_graph(nodes: int, edges: int) -> Topology:
    """`edges` / 2 random pairs in both directions, of which a few may be drawn twice."""
    rng = torch.Generator().manual_seed(0)
    a = torch.randint(nodes, (edges // 2,), generator=rng)
    b = (a + 1 + torch.randint(nodes - 1, (edges // 2,), generator=rng)) % nodes  # no loops
    senders, receivers = torch.cat([a, b]), torch.cat([b, a])
    return Topology.build(senders, receivers, [nodes], [len(senders)])


def untrained(arch: str, geometry: bool = False) -> Predictor:
    """A predictor of the default architecture at its default size with seeded random weights."""
    from heliograph import zoo
    from heliograph.chem.featurizer import preset
    from heliograph.model import Inputs
    from heliograph.predictor import Document, Predictor, Scaling, Task

    featurizer, task = preset(zoo.load(arch).FEATURIZER), Task("regression", ("y",))
    if geometry:
        featurizer = replace(featurizer, hydrogens="explicit", geometry="given")
    sizes = Inputs(featurizer.atom_width, featurizer.bond_width, geometry)
    about = {"nodes": sizes.nodes, "edges": sizes.edges, "geometry": geometry}
    torch.manual_seed(0)
    document = Document.of_molecules(arch, {}, about, featurizer.to_dict(), task.to_dict(), Scaling.none(1).to_dict())
    return Predictor(zoo.build(arch, sizes, 1), document)


def molecules(featurizer: Featurizer, count: int) -> Store:
    """A store of random trees of 12 to 24 atoms; rows of atom and bond codes are those of a real molecule, at random."""
    from heliograph.chem.molecule import Molecule, featurize
    from heliograph.data.store import Store

    real = featurize("CC(=O)Nc1ccc(OCC#N)cc1S(=O)(=O)N1CCC(C(F)(F)Cl)C=C1", replace(featurizer, hydrogens="implicit", geometry="none"))
    rng = np.random.default_rng(0)

    def one() -> Molecule:
        n = int(rng.integers(12, 25))
        parent = (rng.random(n - 1) * np.arange(1, n)).astype(np.uint16)  # of atom k + 1, among those before it
        atoms = rng.integers(len(real.z), size=n)
        bonds = rng.integers(len(real.e), size=n - 1)
        pos = rng.normal(scale=2.0, size=(n, 3)).astype(np.float32) if featurizer.geometry != "none" else None
        ends = np.stack([parent, np.arange(1, n, dtype=np.uint16)], 1)
        return Molecule(real.z[atoms], real.x[atoms], ends, real.e[bonds], pos, "C", "")

    return Store.build((one() for _ in range(count)), featurizer)
