"""Tables whose floor is known exactly, and a training loop of a few lines."""

from __future__ import annotations

from collections.abc import Sequence

import networkx
import numpy as np
import torch

from heliograph.batching import batch
from heliograph.chem.featurizer import Featurizer
from heliograph.chem.molecule import featurize
from heliograph.data.store import Store
from heliograph.graph import Graph
from heliograph.model import MPNN
from tests.core.test_wl import alike
from tests.graphs import DTYPE

PLAIN = Featurizer(("element", "hydrogens", "charge", "aromatic"), ("bond_type",))
CHIRAL = Featurizer((*PLAIN.atoms, "chemprop_chirality"), PLAIN.bonds)
SIDE_CHAINS = ("C", "CO", "CS", "CC(C)C", "Cc1ccccc1", "CC(N)=O")


def store(smiles: Sequence[str], featurizer: Featurizer = PLAIN) -> Store:
    return Store.build([featurize(text, featurizer) for text in smiles], featurizer)


def whole(of: Store) -> Graph:
    return of.batch(np.arange(len(of))).to(dtype=DTYPE)


def mirror_images() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Amino acids in both hands, whose labels differ by `gap` [6], and two molecules without hands: SMILES, labels, gaps."""
    gap = np.arange(1.0, 1.0 + len(SIDE_CHAINS)) / 2
    smiles = [f"N[C@{hand}H]({chain})C(=O)O" for chain in SIDE_CHAINS for hand in ("", "@")]
    y = np.repeat(np.linspace(-1, 1, len(SIDE_CHAINS)), 2) + np.stack([-gap / 2, gap / 2], 1).ravel()
    return [*smiles, "NCC(=O)O", "c1ccccc1"], np.append(y, [0.3, -2.0]), gap


def noisy_duplicates() -> tuple[list[str], np.ndarray]:
    """Molecules written one to four times in different ways, each time with another label."""
    ways = [["CCO", "OCC", "C(O)C"], ["c1ccccc1O", "Oc1ccccc1"], ["CC(=O)O"], ["CCN", "NCC", "C(C)N", "CCN"], ["CCCC", "C(CC)C"], ["CSC"]]
    smiles = [text for molecule in ways for text in molecule]
    return smiles, np.random.default_rng(5).normal(size=len(smiles))


def cubic_graphs() -> tuple[Graph, np.ndarray]:
    """3-regular graphs of 8 or 10 nodes, all nodes alike, and their numbers of triangles: 1-WL sees how many nodes there are."""
    skeletons = [networkx.random_regular_graph(3, n, seed=seed) for n in (8, 10) for seed in range(12)]
    triangles = [sum(networkx.triangles(g).values()) / 3 for g in skeletons]
    return batch([alike(len(g), list(g.edges)) for g in skeletons]), np.array(triangles)


def trained(net: MPNN, graph: Graph, y: np.ndarray, steps: int, lr: float = 0.01) -> float:
    """The least root mean square error of all steps, on the table that it is trained on."""
    net, truth = net.to(DTYPE).train(), torch.from_numpy((y - y.mean()) / y.std())
    adam = torch.optim.Adam(net.parameters(), lr)
    schedule = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.05, steps)
    least = float("inf")
    for _ in range(steps):
        loss = (net(graph)["y"][:, 0] - truth).square().mean()
        least = min(least, float(loss.detach()))
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    return float(y.std()) * least**0.5
