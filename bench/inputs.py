"""Graphs to measure on: QM9-like molecules, lipophilicity's bond graphs, a large random graph. Seeded."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable

import torch
from common import DATA

from heliograph.graph import Graph, Indexed, Topology, batch

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


def lipophilicity(molecules: int) -> tuple[Fresh, int, int]:
    """Bond graphs of `molecules` random ones of the set, and the widths of x and edge_attr."""
    from heliograph.chem.featurizer import preset
    from heliograph.chem.molecule import featurize
    from heliograph.data.store import Store

    with gzip.open(LIPOPHILICITY, "rt") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)]
    featurizer = preset("table10_1")
    rows = torch.randperm(len(smiles), generator=torch.Generator().manual_seed(0))[:molecules].tolist()
    store = Store.build((featurize(smiles[k], featurizer) for k in rows), featurizer)
    return lambda: store.batch(range(len(store))), featurizer.atom_width, featurizer.bond_width


def random_graph(nodes: int, edges: int) -> Topology:
    """`edges` / 2 random pairs in both directions, of which a few may be drawn twice."""
    rng = torch.Generator().manual_seed(0)
    a = torch.randint(nodes, (edges // 2,), generator=rng)
    b = (a + 1 + torch.randint(nodes - 1, (edges // 2,), generator=rng)) % nodes  # no loops
    senders, receivers = torch.cat([a, b]), torch.cat([b, a])
    return Topology.build(senders, receivers, [nodes], [len(senders)])
