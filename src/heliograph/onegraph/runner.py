"""A training on one graph from its tables to its result, with everything in the run folder on the way."""

from __future__ import annotations

import math
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from heliograph import manifest, memory
from heliograph.data.formats.graph_files import is_graph_file
from heliograph.data.formats.schema import is_schema
from heliograph.data.sources.one_graph import Links
from heliograph.errors import DataError, UsageError
from heliograph.learn import ensemble, metrics
from heliograph.learn.figures import Metrics
from heliograph.learn.job import Finished
from heliograph.learn.log import Log
from heliograph.learn.progress import Lines, Progress
from heliograph.learn.state import network as network_of
from heliograph.onegraph import answers, folder
from heliograph.onegraph.assemble import Training, about, assemble, fit_config, link_score
from heliograph.onegraph.config import GraphTrainConfig
from heliograph.onegraph.data import OneGraph, Tables, load, name_of
from heliograph.onegraph.predictor import GraphPredictor, document_of
from heliograph.onegraph.result import RESULTS, Facts, GraphResult
from heliograph.train import toml
from heliograph.train.assemble import command, versions
from heliograph.train.folder import save_splits


def run(
    config: GraphTrainConfig,
    *,
    tables: Tables | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> GraphResult:
    """Train as `config` says into `config.output_dir` and return what came of it; the result is saved there too.

    `tables`: nodes and edges in memory instead of files. `resume` goes on with the run in that folder to the very weights that it would
    have had; `overwrite` replaces it. Raises UsageError, DataError, HeliographError.
    """
    started, progress = time.monotonic(), progress or Lines()
    _check(config, tables)
    saved = folder.settle(config, resume, overwrite)
    if saved is not None and (config.output_dir / RESULTS).is_file():
        return GraphResult.load(config.output_dir)
    config = saved or folder.absolute(config)
    graph = load(config.data, tables or (config.data.data_path, config.data.edges), labels_of_edges=_edge_labels(config))
    bad = {table: reasons for table, reasons in graph.reasons.items() if reasons}
    if bad and config.data.strict:
        raise DataError("--strict: " + "; ".join(_said(graph, table) for table in bad))
    training = assemble(config, graph, config.output_dir)
    lines = [
        *(_said(graph, table) for table in graph.rows_read),
        *graph.notes,
        *training.notes,
        _headline(config, training),
    ]
    if saved is None:
        folder.take(config)  # nothing is changed before the tables were read and the network was chosen
    _begin(config, training, lines, progress)
    read = time.monotonic()
    counters, members = ensemble.train(training.job, progress, about(training, config))
    trained = time.monotonic()
    predictor = made(training, members)
    predictor.save(config.output_dir / folder.MODEL)
    predictor = GraphPredictor.load(config.output_dir / folder.MODEL)
    scores = _scores(predictor, training, config.output_dir)
    predicted = time.monotonic()
    _say(scores, config.output_dir, progress)
    found = training.baselines(progress) if config.fit.baselines else {}
    result = GraphResult(
        config=_resolved(config, training, tables),
        level=config.data.level,
        kind=_kind(config, training),
        targets=training.task.targets,
        classes=training.task.classes,
        main_metric=training.job.metrics[0],
        metrics=scores,
        baselines=found,
        facts=facts(graph, training),
        sizes={part: len(rows) for part, rows in training.job.parts.items()},
        history=counters.history,
        best_epochs=counters.best_epochs,
        parameters=sum(p.numel() for p in predictor.models[0].parameters()),
        seconds={"read": read - started, "train": trained - read, "predict": predicted - trained,
                 "baselines": time.monotonic() - predicted},
        peak_memory_mb=memory.peak_mb() or math.nan,
        notes=tuple([*graph.notes, *training.notes]),
        model_file=folder.MODEL,
        versions=versions(),
        command=command(),
        finished=datetime.now().astimezone().isoformat(timespec="seconds"),
    )  # fmt: skip
    result.save(config.output_dir)
    manifest.seal(config.output_dir)
    return result


def _check(config: GraphTrainConfig, tables: Tables | None) -> None:
    """What can be told to be wrong before anything is read or written."""
    data = config.data
    if is_schema(tables[0] if tables else data.data_path):
        if data.edges is not None or data.bipartite or data.relation_column or data.id_column or data.feature_columns is not None:
            raise UsageError("a schema names all tables and what they mean: leave the other options of tables out")
    elif data.smiles_column is not None:
        if data.level != "edge" or data.direction or data.edges is not None:
            raise UsageError("--smiles-column with --level edge learns labels of bonds: leave --edges and --direction out")
    elif tables is None and data.edges is None:
        raise UsageError("no edges: give their table with --edges edges.csv")
    nodes, edges = tables or (data.data_path, data.edges)
    if data.level == "node" and nodes is None and not is_graph_file(edges):
        raise UsageError("to predict a column of nodes, give their table first: heliograph train nodes.csv --edges edges.csv ...")
    if data.level == "link" and data.target_columns:
        raise UsageError("--level link predicts which edges are missing, no column: leave --target-columns out, or use --level edge")
    if data.time_column is not None and (data.level != "link" or data.relation_column or data.bipartite or is_schema(nodes)):
        raise UsageError("--time-column is for links of one kind: --level link without relations, sides or a schema")
    if config.fit.budget:
        raise UsageError("--budget is not for one graph yet: give --epochs")
    ensemble.fabric_for(fit_config(config, 1))


def _edge_labels(config: GraphTrainConfig) -> tuple[str, ...]:
    """Columns of the edge table that are no features."""
    return config.data.target_columns if config.data.level == "edge" else ()


def _said(graph: OneGraph, table: str) -> str:
    """What came of a table, in one sentence."""
    if graph.begins:
        reasons = ", ".join(f"{n:,} {why}" for why, n in graph.reasons.get(table, {}).items())
        return f"{table}: {graph.rows_read[table]:,} rows" + (f"; left out: {reasons}." if reasons else ".")
    name = graph.edge_name if table == "edges" else graph.node_table.name if graph.node_table else ""
    used = len(graph.ends) if table == "edges" else graph.N
    reasons = ", ".join(f"{n:,} {why}" for why, n in graph.reasons.get(table, {}).items())
    return f"{name}: {graph.rows_read[table]:,} rows, {used:,} {table} used" + (f"; left out: {reasons}." if reasons else ".")


def _headline(config: GraphTrainConfig, training: Training) -> str:
    sizes = ", ".join(f"{len(rows):,} {part}" for part, rows in training.job.parts.items())
    what = ", ".join(training.task.targets[:5]) if config.data.level != "link" else "missing edges"
    return f"{training.network.name} on {what}: {config.data.level}s, {sizes}; batches of {training.job.fit.batch_size:,}."


def _begin(config: GraphTrainConfig, training: Training, lines: list[str], progress: Progress) -> None:
    """Say what was decided; where the run begins, write it down."""
    for line in lines:
        progress.say(line)
    out = config.output_dir
    if (out / toml.FILE).is_file():
        return
    log = Log(out)
    log.cut(0)
    for line in lines:
        log.line(line)
    of = training.graph.node_rows if config.data.level == "node" else training.graph.edge_rows
    save_splits(out, {part: of[rows] for part, rows in (training.divided or training.job.parts).items()})
    toml.save(config, out)


def _say(scores: dict[str, Metrics], out: Path, progress: Progress) -> None:
    for part, figures in scores.items():
        line = f"{part}: " + "  ".join(f"{name} {value:.4g}" for name, value in figures["mean"].items())
        progress.say(line)
        Log(out).line(line)


def facts(graph: OneGraph, training: Training) -> Facts:
    """The graph in figures."""
    degree, store = graph.store.degree, graph.store
    homophily = math.nan
    if training.y is not None and training.network.level == "node" and training.task.kind != "regression":
        y = training.y[:, 0]
        a, b = y[graph.ends[:, 0]], y[graph.ends[:, 1]]
        both = np.isfinite(a) & np.isfinite(b)
        homophily = float((a[both] == b[both]).mean()) if both.any() else math.nan
    return Facts(
        nodes=graph.N, edges=len(graph.ends), features=graph.encoders.width, directed=store.directed, relations=store.relations,
        isolated=int((degree == 0).sum()), mean_degree=float(degree.mean()), max_degree=int(degree.max(initial=0)), homophily=homophily,
        rows_read=graph.rows_read, reasons=graph.reasons,
    )  # fmt: skip


def _resolved(config: GraphTrainConfig, training: Training, tables: Tables | None) -> dict[str, Any]:
    """The settings as they were used."""
    plain = config.model_dump(mode="json") | {"tables": [name_of(t) for t in (tables or ())]}
    plain["model"] |= {"arch": training.network.name, "arch_args": dict(training.network.args)}
    plain["fit"]["batch_size"] = training.job.fit.batch_size
    return plain


def _kind(config: GraphTrainConfig, training: Training) -> str:
    if config.data.level != "link":
        return training.task.kind
    return "triples" if training.network.relations else "items" if config.data.bipartite else "link"


def made(training: Training, members: list[Finished]) -> GraphPredictor:
    """A predictor of the finished members."""
    models = [network_of(training.job, member) for member in members]
    summaries = [member.summary for member in members]
    document = document_of(training.network, training.graph.encoders, training.task, training.scaling, summaries)
    graph = training.graph
    ids = graph.names.filter(pa.array(graph.learned)) if training.network.vectors else None
    return GraphPredictor(models, training.network, training.graph.encoders, training.task, training.scaling, document, ids)


def _scores(predictor: GraphPredictor, training: Training, out: Path) -> dict[str, Metrics]:
    """Figures of validation and test part, from the model file, and the answers as tables."""
    parts = {part: training.job.parts[part] for part in ("val", "test") if len(training.job.parts.get(part, ()))}
    source = training.job.source
    if training.scores is not None:
        return training.scores(predictor, training.job.parts, out)
    if isinstance(source, Links):
        found = {}
        for part, rows in parts.items():
            pairs = np.concatenate([source.ends[rows], source.fixed_negatives(rows, part)])
            y = np.mean([m.double().numpy() for m in predictor.of_pairs(source.stores[part], pairs)], axis=0)
            found[part] = link_score_of(y, len(rows))
            answers.write_links(out / f"{part}_predictions.csv", training.graph, pairs, y, len(rows))
        return found
    if predictor.level == "node":
        y, p, std, _ = predictor.nodes(training.graph)
        chosen = {part: (y[rows], None if p is None else p[rows], None if std is None else std[rows]) for part, rows in parts.items()}
    else:
        chosen = {
            part: predictor.combine(predictor.of_pairs(training.graph.store, training.graph.ends[rows])) for part, rows in parts.items()
        }
    scores = {}
    assert training.y is not None
    for part, rows in parts.items():
        values, shares, std = chosen[part]
        scores[part] = metrics.evaluate(training.task, training.job.metrics, training.y[rows], values, shares)
        answers.write_labelled(out / f"{part}_predictions.csv", training, rows, values, shares, std)
    return scores


def link_score_of(y: np.ndarray, n: int) -> Metrics:
    """Figures of n links that stand before their pairs in `y`."""
    import torch

    return link_score({"y": torch.from_numpy(y[:n]), "negatives": torch.from_numpy(y[n:].reshape(n, -1))}, np.arange(n))
