"""Which way edges run, learned from the graph without their directions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heliograph.data.sources.one_graph import Edges
from heliograph.errors import UsageError
from heliograph.learn import losses, metrics
from heliograph.learn.job import Job
from heliograph.learn.losses import Loss
from heliograph.learn.objectives import Supervised
from heliograph.learn.scale import Scaling
from heliograph.learn.score import TaskScore
from heliograph.learn.task import Task
from heliograph.model import Inputs
from heliograph.onegraph import baselines, labels
from heliograph.onegraph.assemble import Training, architecture, fit_config, vectors_of
from heliograph.onegraph.config import GraphTrainConfig
from heliograph.onegraph.data import OneGraph
from heliograph.onegraph.networks import Network, optimizer

FORTH = Task("binary", ("forth",), classes=(("0", "1"),))


def training(config: GraphTrainConfig, graph: OneGraph, folder: Path | None) -> Training:
    """Each edge is asked for as the table has it or turned, by the seed; "forth" is 1 where it is as the table has it.

    Raises UsageError for options that do not go with it.
    """
    if config.data.target_columns or config.data.directed or graph.relation is not None:
        raise UsageError("--direction predicts no column and uses edges both ways: leave --target-columns, --directed and relations out")
    if config.model.num_neighbors is not None or config.model.sampler not in ("auto", "full"):
        raise UsageError("--direction learns on the whole graph: leave --num-neighbors and --sampler out")
    words = None if config.data.splits_column is None else graph.edge_texts(config.data.splits_column)
    forth = np.random.default_rng([config.fit.seed, 5]).random(len(graph.ends)) < 0.5
    y = forth[:, None].astype(np.float64)
    parts = labels.divide(np.ones(len(y), bool), words, config.split, config.fit.seed, y[:, 0])
    asked = replace(graph, ends=np.where(forth[:, None], graph.ends, graph.ends[:, ::-1]))
    arch, args, notes = architecture(config, graph)
    vectors, why = vectors_of(config, graph)
    network = Network(
        arch, args, Inputs(graph.encoders.width, graph.store.edge_width), 1, "edge", decoder="direction",
        n=graph.N if vectors else 0, vectors=vectors,
    )  # fmt: skip
    names = metrics.resolve(config.fit.metrics, "binary")
    scaling, most = Scaling.none(1), max(map(len, parts.values()))
    job = Job(
        source=Edges(graph.store, asked.ends, {"y": torch.from_numpy(y).float()}), parts=parts, build=network,
        objective=Supervised({"y": Loss(losses.resolve(config.fit.loss, "binary"), FORTH)}), fit=fit_config(config, most),
        score=TaskScore(FORTH, scaling, y, names), metrics=names, select=names[0] if config.fit.metrics else "loss", optimizer=optimizer,
        members=config.model.ensemble_size, folder=folder, unit="edges",
    )  # fmt: skip
    more = ["Edges are used both ways, without their directions; each is asked for as the table has it, or turned."]

    def simple(progress: Any) -> dict[str, Any]:
        return baselines.of_directions(asked, FORTH, y, parts, names, config.fit.seed, progress)

    return Training(job, network, asked, FORTH, scaling, y, [*notes, *why, *more], simple)
