"""The function that is explained: a network's answer to a molecule of which some atoms are masked.

Masking keeps the molecule's graph and hides what its atoms and bonds are: the features of a masked
atom, and of the bonds at it, are zero. Nothing is taken out of a SMILES, so no molecule is asked
about that can't be. All variants of a molecule are one batch in which equal environments are
computed once: features are rows of small tables with one row of zeros more.

    f(S) = answer with the atoms S unmasked;  f({}) is the baseline,  f(all) the prediction
"""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from torch import Tensor

from heliograph import wl
from heliograph.data.store import Store
from heliograph.errors import UsageError
from heliograph.graph import Graph, Indexed, dense
from heliograph.predictor import Predictor

BATCH_ATOMS = 60_000  # in one batch of variants


@final
class Value:
    """f for molecule `row` of a store and one output of a predictor, in the target's unit (classes:
    the logit), by member.

    `target`: of several; `output`: of several classes the one whose logit is explained.
    """

    def __init__(self, predictor: Predictor, store: Store, row: int, target: int = 0, output: int = 0):
        if store.has_geometry:
            raise UsageError("explain is for architectures of bonds: masking an atom says nothing about its position")
        self.predictor, self.target = predictor, target
        self.column = target if predictor.task.kind != "multiclass" else target * predictor.task.n_classes + output
        self.store, self.row = store, row
        self.graph = store.batch(np.array([row]))
        self.n = self.graph.topology.N
        self.order = np.arange(self.n)  # of the atoms, in which what is drawn at random is drawn
        self.calls = 0

    def alike(self, phi: np.ndarray) -> np.ndarray:
        """Return contributions [n, ...] with atoms of equal 1-WL colour sharing their mean: what is
        drawn treats them unlike.
        """
        colour = wl.colours(self.graph, nodes=("x",)).numpy()
        count = np.bincount(colour)
        total = np.zeros((len(count), *phi.shape[1:]))
        np.add.at(total, colour, phi)
        return np.asarray((total / count.reshape(-1, *(1,) * (phi.ndim - 1)))[colour])

    def bonded(self) -> list[int]:
        """Return the neighbours of each atom, as a number whose bits are atoms."""
        t, found = self.graph.topology, [0] * self.n
        for j, i in zip(t.senders.tolist(), t.receivers.tolist(), strict=True):
            found[i] |= 1 << j
        return found

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Return f of each set of atoms: `masks` bool [B, n], true where an atom is unmasked -> [B,
        members].
        """
        found = []
        size = max(1, BATCH_ATOMS // max(self.n, 1))
        for start in range(0, len(masks), size):
            found.append(self._batch(masks[start : start + size]))
        self.calls += len(masks)
        return np.concatenate(found) if found else np.zeros((0, len(self.predictor.models)))

    def _batch(self, masks: np.ndarray) -> np.ndarray:
        graph = masked(self.store.batch(np.full(len(masks), self.row)), torch.from_numpy(masks.reshape(-1)))
        with torch.inference_mode():
            return np.stack([self.units(model(graph)["y"]).numpy() for model in self.predictor.models], 1)

    def units(self, y: Tensor) -> Tensor:
        """The explained column of outputs [B, out], in the target's unit, float64 [B]. A sum over
        atoms of references is left out.
        """
        p = self.predictor
        answers = p.head.answers(y.double())[0] if p.head is not None else y.double()
        column = answers[:, self.column]
        if p.task.kind != "regression":
            return column
        return column * p.scaling.std[self.target] + p.scaling.mean[self.target]

    def alone(self, model: int, x: Tensor, edge: Tensor, copies: int) -> Tensor:
        """Answers [copies] of one member to dense features x [copies N, Kx] and edge [copies E,
        Ke], with gradients.
        """
        graph = self.store.batch(np.full(copies, self.row)).with_nodes(x=x).with_edges(edge_attr=edge)
        return self.units(self.predictor.models[model](graph)["y"])

    @property
    def features(self) -> tuple[Tensor, Tensor]:
        """Dense features of atoms [N, Kx] and of directed bonds [E, Ke]."""
        return dense(self.graph.nodes["x"]), dense(self.graph.edges["edge_attr"])


def masked(graph: Graph, keep: Tensor) -> Graph:
    """Return the graph with the features of atoms that are not kept [N], and of bonds at them, set
    to zero; `z` is 0 there.
    """
    t = graph.topology
    bonds = keep[t.senders] & keep[t.receivers]
    nodes = {"x": _hidden(graph.nodes["x"], keep)}
    if "z" in graph.nodes:
        nodes["z"] = torch.where(keep, dense(graph.nodes["z"]), 0)
    return graph.with_nodes(**nodes).with_edges(edge_attr=_hidden(graph.edges["edge_attr"], bonds))


def _hidden(feature: Tensor | Indexed, keep: Tensor) -> Tensor | Indexed:
    if not isinstance(feature, Indexed):
        return feature * keep[:, None]
    table = torch.cat([feature.table, feature.table.new_zeros(1, *feature.table.shape[1:])])
    return Indexed(table, torch.where(keep, feature.index, len(feature.table)))
