"""From a graph and settings to a job of the loop, and a sentence on each decision that was taken for the user."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heliograph import zoo
from heliograph.data.graph_store import GraphStore
from heliograph.data.sources.one_graph import LARGE, Edges, Links, Nodes, Subgraphs
from heliograph.errors import DataError, UsageError, suggest
from heliograph.learn import losses, metrics
from heliograph.learn.config import FitConfig
from heliograph.learn.figures import Metrics
from heliograph.learn.job import Job
from heliograph.learn.losses import Loss
from heliograph.learn.objectives import Supervised
from heliograph.learn.objectives.links import Links as LinkObjective
from heliograph.learn.scale import Scaling
from heliograph.learn.score import TaskScore
from heliograph.learn.source import Source
from heliograph.learn.task import Task
from heliograph.model import Inputs
from heliograph.onegraph import baselines, labels, times
from heliograph.onegraph.config import GraphTrainConfig
from heliograph.onegraph.data import OneGraph
from heliograph.onegraph.networks import Network, optimizer
from heliograph.onegraph.samplers import past_only, sampling
from heliograph.sampling import Before, Neighbors
from heliograph.train.targets import Labels, check_training_labels

AHEAD = 2  # batches that are drawn while the network computes
LARGEST_LINKS = 65_536  # links a step
VECTORS = 64
LINK_METRICS = ("roc_auc", "pr_auc", "mrr", "hits@1", "hits@3", "hits@10")


Scores = Callable[[Any, Mapping[str, np.ndarray], Path], dict[str, Metrics]]


@dataclass(frozen=True, eq=False)
class Training:
    """A `job`, the network it builds, what it is of, and the baselines to compare it with (a function of the progress)."""

    job: Job
    network: Network
    graph: OneGraph
    task: Task
    scaling: Scaling
    y: np.ndarray | None  # [n, T], labels of nodes or edges
    notes: list[str]
    baselines: Callable[[Any], dict[str, Any]]
    scores: Scores | None = None  # of a finished model, where it is not the usual
    divided: Mapping[str, np.ndarray] | None = None  # rows of the table in each part, where the job's are others


def assemble(config: GraphTrainConfig, graph: OneGraph, folder: Path | None) -> Training:
    """The training. Raises DataError where nothing can be learned, UsageError for settings that do not fit one another."""
    level = config.data.level
    if level == "link":
        from heliograph.onegraph import relational

        if graph.relation is not None:
            return relational.triples(config, graph, folder)
        return relational.items(config, graph, folder) if config.data.bipartite else _links(config, graph, folder)
    if config.data.direction:
        from heliograph.onegraph import direction

        if level != "edge":
            raise UsageError("--direction is for --level edge")
        return direction.training(config, graph, folder)
    return _supervised(config, graph, folder)


def architecture(config: GraphTrainConfig, graph: OneGraph) -> tuple[str | Mapping[str, Any], Mapping[str, Any], list[str]]:
    """The name of the architecture or its composition, its arguments (defaults filled in), and notes."""
    arch = config.model.arch
    if arch == "auto":
        arch = "hgnn" if graph.encoders.hyperedges else "rgcn" if graph.begins else "gcn"
    if arch == "none":
        return arch, {}, []
    if arch not in zoo.names() and not arch.endswith(".toml"):  # no code: neither a run folder nor a model file could carry it
        raise UsageError(f"--arch {arch}: on one graph it is of the zoo, a composition (.toml), or none; {suggest(arch, zoo.names())}")
    module = zoo.load(arch)
    if module.GEOMETRY == "required":
        raise UsageError(f"--arch {arch} needs positions in space, which a table of nodes has not: take another, like gcn, sage or gat")
    args = {"d": 64, "depth": 2, "dropout": 0.0 if config.data.level == "link" else 0.5}
    if (graph.relation is not None and config.data.level == "link") or config.data.bipartite:
        args = {}  # those of the papers
    known = inspect.signature(module.build).parameters
    chosen = {k: v for k, v in args.items() if k in known} | dict(config.model.arch_args)
    blind = graph.relation is not None and not _sees_edges(arch)
    notes = [f"{arch} does not see of which relation an edge is; rgcn and compgcn do."] if blind else []
    return getattr(module, "COMPOSITION", arch), zoo.resolved(module, chosen), notes


def _sees_edges(arch: str) -> bool:
    """Whether an architecture has weights for features of edges."""
    few, many = (sum(p.numel() for p in zoo.build(arch, Inputs(3, k), 1).parameters()) for k in (1, 2))
    return few != many


def vectors_of(config: GraphTrainConfig, graph: OneGraph, usual: int = VECTORS) -> tuple[int, list[str]]:
    """Width of the nodes' learned vectors, and a sentence where there are some. Raises UsageError where nodes would have nothing."""
    width = config.model.node_vectors
    if width is None:
        width = usual if not graph.encoders.width or graph.encoders.learned else 0
        if width and graph.begins:
            which = ", ".join(graph.encoders.learned)
            return width, [f"Nodes without features ({which}) get a learned vector of {width} each; unknown ones have none."]
        if width:
            note = f"Nodes have no features: each gets a learned vector of {width}, so the model answers for these nodes only."
            return width, [note]
    if not width and not graph.encoders.width:
        raise UsageError("nodes have no features: --node-vectors must be at least 1")
    return width, []


def fit_config(config: GraphTrainConfig, batch_size: int) -> FitConfig:
    """The loop's settings, with the size of a batch settled."""
    given = config.fit.model_dump()
    return FitConfig(**given | {"batch_size": given["batch_size"] or batch_size})


def _labels(config: GraphTrainConfig, graph: OneGraph) -> Labels:
    columns = config.data.target_columns
    if not columns:
        where = "the table of nodes" if config.data.level == "node" else "the table of edges"
        raise UsageError(f"name the columns of {where} that are to be predicted: --target-columns NAME")
    of_nodes = config.data.level == "node"
    prefix = f"{graph.encoders.target}." if graph.begins else ""
    cells = {c.removeprefix(prefix): graph.node_cells(c) if of_nodes else graph.edge_texts(c) for c in columns}
    rows = [str(r + 1) for r in (graph.node_rows if of_nodes else graph.edge_rows)]
    return labels.read(config.data, cells, rows)


def _supervised(config: GraphTrainConfig, graph: OneGraph, folder: Path | None) -> Training:
    level, found = config.data.level, _labels(config, graph)
    task, y = found.task, found.y
    words = None
    if config.data.splits_column is not None:
        column = config.data.splits_column
        words = graph.node_cells(column) if level == "node" else graph.edge_texts(column)
    classes = np.nan_to_num(y[:, 0], nan=-1) if task.kind != "regression" else None
    labelled = np.isfinite(y).any(1)
    if graph.molecules is not None and words is None:
        parts = labels.whole(graph.molecules.molecule[graph.edge_rows], labelled, config.split, config.fit.seed)
    else:
        parts = labels.divide(labelled, words, config.split, config.fit.seed, classes)
    notes = [*found.notes, *check_training_labels(task, y[parts["train"]])]
    scaling = _scaling(task, y[parts["train"]])
    arch, args, more = architecture(config, graph)
    vectors, why = vectors_of(config, graph)
    network = Network(
        arch, args, Inputs(graph.encoders.width, graph.store.edge_width), task.out, level,
        directed=graph.store.directed, n=int(graph.learned.sum()) if vectors else 0, vectors=vectors,
    )  # fmt: skip
    scaled = {"y": torch.from_numpy(scaling.scale(y, None))}
    names_of = graph.encoders.relations
    drawn = sampling(config.model, arch, dict(args), graph.store, len(parts["train"]), config.fit.seed, names_of)
    sampled = drawn.draw is not None or drawn.pieces is not None
    if sampled and level == "edge":
        raise UsageError("a sampler is for nodes and links; edges' labels are learned on the whole graph")
    if drawn.pieces is not None and config.fit.devices > 1:
        raise UsageError(f"--sampler {config.model.sampler} is for one device; neighbor, ladies and fastgcn take several")
    source: Source
    if level == "edge":
        source = Edges(graph.store, graph.ends, scaled)
    elif drawn.pieces is not None:
        source = Subgraphs(graph.store, scaled, drawn.pieces, parts["train"], config.fit.seed, drawn.check)
    else:
        source = Nodes(graph.store, scaled, drawn.draw, config.fit.seed, drawn.check)
    names = metrics.resolve(config.fit.metrics, task.kind)
    loss = Loss(losses.resolve(config.fit.loss, task.kind), task)
    all_rows = max(max(map(len, parts.values())), 1)
    job = Job(
        source=source,
        parts=parts,
        build=network,
        objective=Supervised({"y": loss}),
        fit=fit_config(config, drawn.batch or all_rows),
        score=TaskScore(task, scaling, y, names),
        metrics=names,
        select=names[0] if config.fit.metrics else "loss",
        optimizer=optimizer,
        members=config.model.ensemble_size,
        folder=folder,
        unit=f"{level}s",
        ahead=AHEAD if sampled else 0,
        at_once=all_rows if sampled and graph.store.E <= LARGE else None,  # each asks for the whole graph
    )
    seed = config.fit.seed

    def simple(progress: Any) -> dict[str, Any]:
        if level == "node":
            return baselines.of_nodes(graph.store, task, y, parts, names, seed, progress)
        return baselines.of_edges(graph, task, y, parts, names, seed, progress)

    return Training(job, network, graph, task, scaling, y, [*more, *why, *drawn.notes, *notes], simple)


def _scaling(task: Task, y: np.ndarray) -> Scaling:
    if task.kind != "regression":
        return Scaling.none(len(task.targets))
    mean = np.array([np.nanmean(c) if np.isfinite(c).any() else 0.0 for c in y.T])
    std = np.array([np.nanstd(c) if np.isfinite(c).any() else 0.0 for c in y.T])
    return Scaling(tuple(map(float, mean)), tuple(float(s) if s > 0 else 1.0 for s in std))


def _links(config: GraphTrainConfig, graph: OneGraph, folder: Path | None) -> Training:
    words = None if config.data.splits_column is None else graph.edge_texts(config.data.splits_column)
    when = None if config.data.time_column is None else times.read(graph.edge_cells[config.data.time_column])
    if when is not None and words is None:
        parts = times.parts(when, config.split.split_sizes)
    else:
        parts = labels.divide(np.ones(len(graph.ends), bool), words, config.split, config.fit.seed)
    if len(parts["train"]) < 2:
        raise DataError(f"{graph.edge_name} has {len(graph.ends)} edges that can be used: too few to learn links from")
    arch, args, notes = architecture(config, graph)
    vectors, why = vectors_of(config, graph)
    decoder = config.model.decoder
    if decoder not in ("auto", "dot", "mlp"):
        raise UsageError(f"--decoder {decoder} is for links with relations (--relation-column); use dot or mlp")
    chosen = "mlp" if decoder == "auto" else decoder
    network = Network(
        arch, args, Inputs(graph.encoders.width, graph.store.edge_width), 1, "link", decoder=chosen,
        directed=graph.store.directed, n=graph.N if vectors else 0, vectors=vectors,
    )  # fmt: skip
    model = config.model if when is None else past_only(config.model)
    drawn = sampling(model, arch, dict(args), graph.store, len(parts["train"]), config.fit.seed)
    if drawn.pieces is not None:
        raise UsageError(f"--sampler {config.model.sampler} is for labels of nodes; for links take neighbor, ladies or fastgcn")
    before = Before(drawn.draw.fan_outs) if when is not None and isinstance(drawn.draw, Neighbors) else None
    draw = None if before is not None else drawn.draw
    source = Links(
        Subgraph(graph), graph.ends, parts, negatives=config.model.num_negatives, first_side=graph.first_side,
        directed=graph.store.directed, seed=config.fit.seed, draw=draw, times=when, before=before,
    )  # fmt: skip
    names = tuple(dict.fromkeys([*config.fit.metrics, *(LINK_METRICS if config.model.num_negatives > 1 else LINK_METRICS[:2])]))
    for name in names:
        if name not in LINK_METRICS:
            raise UsageError(f"--metrics {name}: links are judged by {', '.join(LINK_METRICS)}")
    tenth = max(len(parts["train"]) // 10, 1)  # what is asked for leaves the graph: most of the edges must stay
    batch = min(drawn.batch or LARGEST_LINKS, tenth)
    job = Job(
        source=source,
        parts=parts,
        build=network,
        objective=LinkObjective(),
        fit=fit_config(config, batch),
        score=link_score,
        metrics=names,
        select=names[0],
        optimizer=optimizer,
        members=config.model.ensemble_size,
        folder=folder,
        unit="links",
        ahead=AHEAD if drawn.draw is not None else 0,
    )
    notes = [
        *notes, *why, *drawn.notes,
        "Edges that are asked for leave the graph, both ways; validation and test edges are not in it while training, and pairs without an "
        "edge avoid training edges only." if when is None else
        "In training an edge is asked from the edges before it, validation from those of training, a test from both.",
    ]  # fmt: skip
    task = Task("binary", ("link",), classes=(("0", "1"),))
    simple = lambda progress: baselines.of_links(source, parts, baselines.link_figures)  # noqa: E731
    return Training(job, network, graph, task, Scaling.none(1), None, notes, simple)


@dataclass(frozen=True, eq=False)
class Subgraph:
    """A function of rows of the table of edges: the store with these edges and all nodes."""

    graph: OneGraph

    def __call__(self, rows: np.ndarray) -> GraphStore:
        c, store = self.graph.store.columns, self.graph.store
        attr = c["edge_attr"][rows] if "edge_attr" in c else None
        relation = None if self.graph.relation is None else self.graph.relation[rows]
        kept = {name: c[name] for name in ("known", "kind") if name in c}
        return GraphStore.build(
            self.graph.ends[rows], self.graph.N, directed=store.directed, x=c.get("x"), edge_attr=attr, relation=relation,
            relations=store.relations, origin=True,
        ).with_columns(**kept)  # fmt: skip


def link_score(outputs: Mapping[str, torch.Tensor], rows: np.ndarray) -> dict[str, dict[str, float]]:
    """Figures of links against their pairs."""
    return baselines.link_figures(outputs["y"].numpy(), outputs["negatives"].numpy())


def about(training: Training, config: GraphTrainConfig) -> dict[str, Any]:
    """What a run is of: the same when it goes on."""
    import hashlib

    total = hashlib.sha256(training.graph.ends.tobytes())
    if "x" in training.graph.store.columns:
        x = training.graph.store.columns["x"]
        for start in range(0, max(len(x), 1), 100_000):
            total.update(np.ascontiguousarray(x[start : start + 100_000]).tobytes())
    if training.y is not None:
        total.update(training.y.tobytes())
    for part, rows in sorted(training.job.parts.items()):
        total.update(part.encode() + rows.tobytes())
    return {
        "graph, labels and parts": total.hexdigest()[:16],
        "network": repr(replace(training.network, args=dict(training.network.args))),
    }
