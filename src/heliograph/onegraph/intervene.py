"""do(node) on a trained model of one graph: cut what comes into a node, answer again, and say how
much the answer of every node changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor

from heliograph.data.sources.one_graph import LARGE
from heliograph.diagnose.intervene import cut
from heliograph.errors import UsageError, suggest
from heliograph.graph import dense
from heliograph.learn.config import Group
from heliograph.onegraph.asked import GraphPredictConfig, found, write_table
from heliograph.onegraph.data import OneGraph
from heliograph.onegraph.predict import read_graph
from heliograph.onegraph.predictor import GraphPredictor


class InterveneConfig(Group):
    """Which node is cut off from those that send to it, and where the changes go."""

    model_path: Path = Field(description="a model file, or the folder of a run")
    data_path: Path | None = Field(default=None, description="table of nodes (default: the one of the run, where it still is)")
    edges: Path | None = Field(default=None, description="table of edges (default: the one of the run, where it still is)")
    do: str = Field(description="id of the node whose incoming edges are cut")
    output_path: Path = Field(default=Path("effects.csv"), description="where to write; the name's ending says the format")


@dataclass(frozen=True, eq=False)
class Effects:
    """Of each node: `change` [N], the largest change of its answer (in the target's unit, or of a
    class's probability), and `state` [N], how far its last state moved. Means over the members.
    """

    names: pa.Array
    change: np.ndarray
    state: np.ndarray

    @property
    def changed(self) -> int:
        """Return how many nodes have a state that moved at all."""
        return int((self.state > 0).sum())


def intervene(predictor: GraphPredictor, graph: OneGraph, node: str) -> Effects:
    """Cut the edges into the node with the id `node`, and compare every node's answer with before.

    Raises UsageError where the model does not answer for nodes, where there is no such node, and
    for graphs of more than `LARGE` edges, which are never held whole.
    """
    if predictor.level != "node":
        raise UsageError(f"--do asks a model that answers for nodes; this one answers for {predictor.level}s")
    place = int(found(pa.array([node]), graph.names)[0])
    if place < 0:
        known = graph.names.slice(0, 10_000).to_pylist()
        raise UsageError(f"--do {node}: the graph has no such node; {suggest(node, known)}")
    store, _ = predictor.placed(graph)
    if store.E > LARGE:
        raise UsageError(f"--do runs the whole graph at once, {LARGE:,} edges at most; this one has {store.E:,}")
    whole = store.graph()
    other = cut(whole, place)
    moved: list[np.ndarray] = []
    before: list[Tensor] = []
    after: list[Tensor] = []
    with torch.no_grad():
        for model in predictor.models:
            ends = [(model.states(g), g) for g in (whole, other)]
            a, b = (dense(states.nodes["h"]) for states, _ in ends)
            moved.append((b - a).flatten(1).norm(dim=1).double().cpu().numpy())
            for answers, (states, g) in zip((before, after), ends, strict=True):
                answers.append(model.answers(states, g)["y"].cpu())
    change = _change(predictor, before, after)
    return Effects(graph.names, change, np.mean(moved, axis=0))


def _change(predictor: GraphPredictor, before: list[Tensor], after: list[Tensor]) -> np.ndarray:
    """The largest absolute change of a node's answers [N, T] or probabilities [N, T, C]: [N]."""
    a, b = ((v if p is None else p) for v, p, _ in map(predictor.combine, (before, after)))
    return np.abs(np.asarray(b) - np.asarray(a)).reshape(len(a), -1).max(axis=1)


def explain(config: InterveneConfig, *, overwrite: bool = False) -> Effects:
    """Read, cut, answer, and write a table with the nodes that change most first."""
    if config.output_path.exists() and not overwrite:
        raise UsageError(f"{config.output_path} exists: --overwrite replaces it, or choose another -o")
    predictor = GraphPredictor.load(config.model_path)
    tables = GraphPredictConfig(model_path=config.model_path, data_path=config.data_path, edges=config.edges)
    effects = intervene(predictor, read_graph(tables, predictor), config.do)
    order = np.lexsort((np.arange(len(effects.state)), -effects.state, -effects.change))
    table = pa.table(
        {
            "id": effects.names.take(pa.array(order)),
            "change": effects.change[order],
            "state_change": effects.state[order],
        }
    )
    write_table(table, config.output_path)
    return effects
