"""Clusters of the nodes of one graph: k-means on a trained model's states, or a network that learns them without labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field, PositiveInt

from heliograph import zoo
from heliograph.data.graph_store import GraphStore
from heliograph.data.sources.one_graph import LARGE, Nodes
from heliograph.errors import UsageError, suggest
from heliograph.learn import ensemble
from heliograph.learn.config import FitConfig, Group
from heliograph.learn.job import Job
from heliograph.learn.objectives.modularity import Modularity
from heliograph.learn.progress import Lines, Progress
from heliograph.learn.state import network as network_of
from heliograph.model import Inputs
from heliograph.onegraph.asked import GraphPredictConfig, free, write_table
from heliograph.onegraph.baselines import normalised
from heliograph.onegraph.config import GraphDataConfig
from heliograph.onegraph.data import OneGraph, load
from heliograph.onegraph.networks import Network, optimizer

STARTS, MEMBERS = 10, 4  # of k-means, and of networks, of which the best is kept


class ClusterConfig(Group):
    """What is clustered, and how."""

    model_path: Path | None = Field(default=None, description="a run or model of one graph, whose states are clustered")
    data_path: Path | None = Field(default=None, description="table of nodes (may be left out)")
    edges: Path | None = Field(default=None, description="table of edges")
    clusters: PositiveInt = Field(default=10, description="how many clusters")
    method: Literal["auto", "kmeans", "dmon"] = Field(
        default="auto",
        description="kmeans: on a model's states, else on features; dmon: a network that learns clusters (default without a model)",
    )
    compare_column: str | None = Field(default=None, description="column of nodes to compare the clusters with; never learned from")
    arch: str = Field(default="gcn", description="architecture of dmon")
    epochs: PositiveInt = Field(default=200, description="steps of dmon")
    seed: int = Field(default=0, ge=0, description="everything random follows from it")
    output_path: Path = Field(default=Path("clusters.csv"), description="where to write; the name's ending says the format")


@dataclass(frozen=True)
class Clustering:
    """`cluster` [N] of each node; `figures`: method -> modularity and, where there is a column to compare with, nmi and ari."""

    cluster: np.ndarray
    method: str
    sizes: tuple[int, ...]
    figures: dict[str, dict[str, float]] = field(default_factory=dict)


def cluster(config: ClusterConfig, *, overwrite: bool = False, progress: Progress | None = None) -> Clustering:
    """Cluster and write the table of nodes with a column `cluster`. Raises UsageError, DataError, ModelFileError."""
    progress = progress or Lines()
    if config.output_path.exists() and not overwrite:
        raise UsageError(f"{config.output_path} exists: --overwrite replaces it, or choose another -o")
    method = config.method if config.method != "auto" else "kmeans" if config.model_path else "dmon"
    if method == "dmon" and config.model_path:
        raise UsageError("--method dmon learns from the graph alone: leave the model out, or take --method kmeans")
    graph, states = _read(config)
    if config.clusters > graph.N:
        raise UsageError(f"--clusters {config.clusters}: the graph has {graph.N} nodes")
    x = graph.store.columns.get("x")
    if method == "kmeans" and states is None and x is None:
        raise UsageError("--method kmeans needs a model, or columns of nodes that are features; --method dmon needs neither")
    found: dict[str, np.ndarray] = {}
    if method == "dmon":
        found["dmon"] = _learned(config, graph, progress)
    elif states is not None:
        found["k-means on states"] = _means(states, config)
    if x is not None:
        found["k-means on features"] = _means(np.asarray(x, np.float32), config)
    if graph.store.E <= LARGE:
        found["k-means on eigenvectors"] = _means(_eigenvectors(graph.store, config.clusters, config.seed), config)
    chosen = next(iter(found))
    truth = None if config.compare_column is None else graph.node_cells(config.compare_column).to_pylist()
    figures = {name: _figures(graph.store, c, truth) for name, c in found.items()}
    _write(config, graph, found[chosen])
    return Clustering(found[chosen], chosen, tuple(np.bincount(found[chosen], minlength=config.clusters).tolist()), figures)


def _read(config: ClusterConfig) -> tuple[OneGraph, np.ndarray | None]:
    if config.model_path is not None:
        from heliograph.onegraph.predict import read_graph
        from heliograph.onegraph.predictor import GraphPredictor

        predictor = GraphPredictor.load(config.model_path)
        asked = GraphPredictConfig(model_path=config.model_path, data_path=config.data_path, edges=config.edges)
        graph = read_graph(asked, predictor)
        return graph, predictor.states(graph)
    if config.edges is None:
        raise UsageError("no graph: give a run, or a table of edges with --edges edges.csv")
    aside = () if config.compare_column is None else (config.compare_column,)
    return load(GraphDataConfig(target_columns=aside), (config.data_path, config.edges)), None


def _means(x: np.ndarray, config: ClusterConfig) -> np.ndarray:
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(config.clusters, n_init=STARTS, random_state=config.seed).fit_predict(x))


def _learned(config: ClusterConfig, graph: OneGraph, progress: Progress) -> np.ndarray:
    """A network whose answers are clusters, from features and places on the leading eigenvectors of the graph."""
    store = graph.store
    if store.E > LARGE:
        raise UsageError(f"--method dmon takes the whole graph at each step, and {store.E:,} edges are too many: cluster a model's states")
    places = _eigenvectors(store, config.clusters, config.seed)
    x = np.concatenate([store.columns["x"], places], 1) if "x" in store.columns else places
    store, width = store.with_columns(x=x), x.shape[1]
    args = zoo.resolved(_module(config.arch), {"d": 64, "depth": 2})
    network = Network(config.arch, args, Inputs(width, store.edge_width), config.clusters, "node")
    every = {"train": np.arange(graph.N), "val": np.zeros(0, np.int64)}
    job = Job(
        source=Nodes(store, {"node": torch.zeros(graph.N, 1)}), parts=every, build=network, objective=Modularity(), optimizer=optimizer,
        fit=FitConfig(
            epochs=config.epochs, batch_size=graph.N, init_lr=1e-2, max_lr=1e-2, final_lr=1e-2, warmup_epochs=0, seed=config.seed
        ),
        members=MEMBERS, unit="nodes",
    )  # fmt: skip
    found = []
    for member in ensemble.train(job, Lines(lambda text: None))[1]:
        with torch.no_grad():
            found.append(np.asarray(network_of(job, member).eval()(store.graph())["y"].argmax(-1)))
    return max(found, key=lambda c: modularity(store, c))


def _eigenvectors(store: GraphStore, clusters: int, seed: int) -> np.ndarray:
    """The leading eigenvectors of D^-1/2 A D^-1/2, [N, k] float32 with entries of size 1: one more than clusters."""
    from scipy.sparse.linalg import eigsh

    S, k = normalised(store).astype(np.float64), min(clusters + 1, store.N - 2)
    if k < 1:
        return np.ones((store.N, 1), np.float32)
    found = eigsh(S, k, which="LA", v0=np.random.default_rng(seed).normal(size=store.N))[1]
    return np.asarray(found * store.N**0.5, np.float32)


def _module(arch: str) -> Any:
    """A file of the zoo, never one of a path. Raises UsageError."""
    if arch not in zoo.names():
        raise UsageError(f"--arch {arch}: it is a name of the zoo; {suggest(arch, zoo.names())}")
    return zoo.load(arch)


def modularity(store: GraphStore, cluster: np.ndarray) -> float:
    """Share of edges within clusters, less what is expected from degrees (Newman 2006): edges both ways."""
    a, b = np.asarray(store.columns["indices"]), store.receivers
    two_m = max(store.E, 1)
    volume = np.bincount(cluster, store.degree)
    return float((cluster[a] == cluster[b]).sum() / two_m - np.square(volume / two_m).sum())


def _figures(store: GraphStore, cluster: np.ndarray, truth: list[str] | None) -> dict[str, float]:
    found = {"modularity": modularity(store, cluster)}
    if truth is not None:
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

        there = [k for k, t in enumerate(truth) if t]
        known = [truth[k] for k in there]
        found["nmi"] = float(normalized_mutual_info_score(known, cluster[there]))
        found["ari"] = float(adjusted_rand_score(known, cluster[there]))
    return found


def _write(config: ClusterConfig, graph: OneGraph, cluster: np.ndarray) -> None:
    """The table of nodes with a column more; without a table, the nodes that edges name."""
    if graph.node_table is None:
        write_table(pa.table({"id": graph.ids, "cluster": pa.array(cluster)}), config.output_path)
        return
    table: Any = graph.node_table.cells
    place = np.full(len(table), -1)
    of_table = graph.node_rows >= 0
    place[graph.node_rows[of_table]] = cluster[of_table]
    write_table(table.append_column(free("cluster", table), pa.array(place, mask=place < 0)), config.output_path)
