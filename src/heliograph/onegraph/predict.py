"""Answers for a user's tables: nodes with every row and column kept, pairs of nodes, or the best partners of each node."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliograph.data.formats.graph_tables import END_COLUMNS, as_text, read_cells
from heliograph.data.formats.schema import is_schema
from heliograph.data.writer import check_output
from heliograph.errors import DataError, UsageError
from heliograph.learn.progress import Lines, Progress
from heliograph.onegraph import answers, triples
from heliograph.onegraph.asked import GraphPredictConfig, Summary, found, free, write_table
from heliograph.onegraph.config import GraphDataConfig, GraphTrainConfig, Level
from heliograph.onegraph.data import OneGraph, load
from heliograph.onegraph.predictor import GraphPredictor
from heliograph.train import toml

CHUNK = 512  # nodes whose partners are looked for at a time


def predict(config: GraphPredictConfig, *, overwrite: bool = False, progress: Progress | None = None) -> Summary:
    """Answer and write. Raises UsageError, DataError, ModelFileError."""
    started, progress = time.monotonic(), progress or Lines()
    inputs = (config.model_path, config.data_path, config.edges, config.pairs)
    check_output(config.output_path, [path for path in inputs if path is not None], overwrite)
    predictor = GraphPredictor.load(config.model_path)
    graph = read_graph(config, predictor)
    for line in graph.notes:
        progress.say(line)
    if predictor.level == "link" and predictor.network.relations:
        summary = triples.answer(config, predictor, graph)
    elif predictor.level == "link":
        if config.top_k is not None:
            summary = _top(config, predictor, graph, progress)
        elif config.pairs is not None:
            summary = _pairs(config, predictor, graph)
        else:
            raise UsageError(
                "this model predicts links: give --pairs pairs.csv to score pairs, or --top-k 20 for the best partners of nodes"
            )
    elif config.pairs is not None or config.top_k is not None:
        raise UsageError(f"this model answers for {predictor.level}s, not for pairs of nodes: leave --pairs and --top-k out")
    else:
        summary = _nodes(config, predictor, graph) if predictor.level == "node" else _edges(config, predictor, graph)
    summary.seconds = time.monotonic() - started
    return summary


def read_graph(config: GraphPredictConfig, predictor: GraphPredictor) -> OneGraph:
    """The graph that is asked about: of the tables given, else of those that the run was trained on. Raises DataError."""
    run = config.model_path if config.model_path.is_dir() else config.model_path.parent
    trained: GraphDataConfig | None = None
    if (run / toml.FILE).is_file():
        trained = toml.load_as(run, GraphTrainConfig).data
    nodes, edges = config.data_path, config.edges
    if trained is not None and edges is None:
        edges = trained.edges
        nodes = nodes or trained.data_path
    if trained is not None and config.edges is None and is_schema(trained.data_path):
        nodes = config.data_path or trained.data_path
    if is_schema(nodes):
        level: Level = predictor.level  # type: ignore[assignment]  # one of them
        return load(GraphDataConfig(level=level), (nodes, None), encoders=predictor.encoders)
    if predictor.encoders.smiles_column is not None:
        smiles = GraphDataConfig(level="edge", smiles_column=predictor.encoders.smiles_column)
        if nodes is None and trained is not None:
            nodes = trained.data_path
        if nodes is None:
            raise DataError("give the table of molecules: heliograph predict run molecules.csv")
        return load(smiles, (nodes, None), encoders=predictor.encoders)
    if edges is None or not Path(edges).is_file():
        where = f"{edges} is not here" if edges else f"there is no run beside {config.model_path.name} that names it"
        raise DataError(f"the graph's edges are needed, and {where}: give them with --edges edges.csv (and the table of nodes before it)")
    base = trained or GraphDataConfig()
    read = predictor.encoders
    own = {"bipartite": read.bipartite, "hyperedges": read.hyperedges, "target_columns": (), "features": config.features or base.features}
    data = base.model_copy(update={"data_path": nodes, "edges": edges, **own})
    return load(data, (nodes, edges), encoders=predictor.encoders)


def _nodes(config: GraphPredictConfig, predictor: GraphPredictor, graph: OneGraph) -> Summary:
    y, p, std, reasons = predictor.nodes(graph)
    if graph.node_table is None:
        raise DataError("this model answers for nodes: give their table before --edges")
    table, of_type = graph.node_table.cells, graph.node_rows >= 0
    why = dict(graph.node_table.reasons) | {int(graph.node_rows[k]): reason for k, reason in reasons.items() if of_type[k]}
    y, p, std = y[of_type], None if p is None else p[of_type], None if std is None else std[of_type]
    return _kept(config.output_path, predictor, table, graph.node_rows[of_type], why, y, p, std)


def _bonds(config: GraphPredictConfig, predictor: GraphPredictor, graph: OneGraph) -> Summary:
    """The table of molecules with lists, a value for each bond."""
    found, task = graph.molecules, predictor.task
    assert found is not None
    y, p, std = predictor.combine(predictor.of_pairs(predictor.placed(graph)[0], graph.ends))
    names, of = answers.columns_of(task, std is not None), found.molecule[graph.edge_rows]
    cells: list[list[list[str]]] = [[[] for _ in names] for _ in range(len(found.table))]
    for k, row in enumerate(of):
        values = answers.cells_of(task, y[k], None if p is None else p[k], None if std is None else std[k])
        for column, value in zip(cells[row], values, strict=True):
            column.append(value)
    out = found.table
    for c, name in enumerate(names):
        out = out.append_column(free(name, out), pa.array([";".join(row[c]) for row in cells]))
    out = out.append_column(free("reason", out), pa.array([found.reasons.get(row, "") for row in range(len(out))]))
    write_table(out, config.output_path)
    return Summary(len(out), len(out) - len(found.reasons), 0.0, dict(Counter(found.reasons.values())))


def _edges(config: GraphPredictConfig, predictor: GraphPredictor, graph: OneGraph) -> Summary:
    if graph.molecules is not None:
        return _bonds(config, predictor, graph)
    y, p, std = predictor.combine(predictor.of_pairs(predictor.placed(graph)[0], graph.ends))
    table = read_cells(config.edges or graph.edge_name) if config.edges else graph.edge_cells
    rows = graph.edge_rows if config.edges else np.arange(len(table))
    missing = np.setdiff1d(np.arange(len(table)), rows)
    why = {int(k): "no edge: an end is blank or unknown, the ends are the same, or it came before" for k in missing}
    return _kept(config.output_path, predictor, table, rows, why, y, p, std)


def _kept(
    path: Path, predictor: GraphPredictor, table: pa.Table, rows: np.ndarray, why: dict[int, str], y: np.ndarray,
    p: np.ndarray | None, std: np.ndarray | None,
) -> Summary:  # fmt: skip
    """Write the table with the answers beside it: every row in its place, every column kept."""
    task, place = predictor.task, np.full(len(table), -1)
    place[rows] = np.arange(len(rows))
    names = answers.columns_of(task, std is not None)
    taken = set(table.column_names)
    new = [name if name not in taken else f"{name}_2" for name in [*names, "reason"]]
    blank = [""] * len(names)
    cells = [answers.cells_of(task, y[k], None if p is None else p[k], None if std is None else std[k]) if k >= 0 else blank for k in place]
    columns = (
        [pa.array(values, pa.string()) for values in zip(*cells, strict=True)] if len(table) else [pa.array([], pa.string())] * len(names)
    )
    if path.suffix in (".parquet", ".pq"):
        columns = [_typed(c) for c in columns]
    columns.append(pa.array([why.get(k, "") for k in range(len(table))], pa.string()))
    out = table
    for name, column in zip(new, columns, strict=True):
        out = out.append_column(name, column)
    write_table(out, path)
    reasons = dict(Counter(why[k] for k in sorted(why)))
    return Summary(len(table), int(np.isfinite(y).all(1).sum()), 0.0, reasons)


def _typed(column: pa.Array) -> pa.Array:
    """Numbers where all cells are, for formats that know types."""
    try:
        return pc.if_else(pc.equal(column, ""), None, column).cast(pa.float64())
    except pa.ArrowInvalid:
        return column


def _sides(graph: OneGraph) -> tuple[pa.Array, pa.Array, int]:
    """Names of nodes that edges begin and end at, and where the second ones' numbers begin."""
    if graph.encoders.bipartite:
        return graph.ids[: graph.first_side], graph.ids[graph.first_side :], graph.first_side
    return graph.ids, graph.ids, 0


def _pairs(config: GraphPredictConfig, predictor: GraphPredictor, graph: OneGraph) -> Summary:
    assert config.pairs is not None
    table = read_cells(config.pairs)
    columns = graph.end_columns if set(graph.end_columns) <= set(table.column_names) else _two(config.pairs, table)
    first, second, offset = _sides(graph)
    a, b = found(as_text(table[columns[0]]), first), found(as_text(table[columns[1]]), second)
    good = (a >= 0) & (b >= 0)
    why = {int(k): f"{columns[0] if a[k] < 0 else columns[1]} is not in the graph" for k in np.flatnonzero(~good)}
    p, std = np.full(len(table), np.nan), np.full(len(table), np.nan)
    if good.any():
        p[good], std[good] = predictor.links(graph, np.stack([a[good], b[good] + offset], axis=1))
    out = table.append_column(free("link_probability", table), pa.array(p, mask=~good))
    if len(predictor.models) > 1:
        out = out.append_column(free("link_std", table), pa.array(std, mask=~good))
    out = out.append_column(free("reason", table), pa.array([why.get(k, "") for k in range(len(table))]))
    write_table(out, config.output_path)
    return Summary(len(table), int(good.sum()), 0.0, dict(Counter(why.values())))


def _two(path: Path, table: pa.Table) -> tuple[str, str]:
    lower = {c.strip().lower(): c for c in table.column_names}
    for a, b in END_COLUMNS:
        if a in lower and b in lower:
            return lower[a], lower[b]
    if len(table.column_names) < 2:
        raise DataError(f"{path} has one column only; a pair needs two")
    return table.column_names[0], table.column_names[1]


def _top(config: GraphPredictConfig, predictor: GraphPredictor, graph: OneGraph, progress: Progress) -> Summary:
    """The best partners of some nodes that are no neighbours yet."""
    assert config.top_k is not None
    first, second, offset = _sides(graph)
    if config.for_ is None:
        asked, names = np.arange(len(first)), first
    else:
        table = read_cells(config.for_)
        column = next(
            (c for c in table.column_names if c.lower() in ("id", "node_id", "_id", graph.end_columns[0].lower())),
            table.column_names[0],
        )
        names = as_text(table[column])
        asked = found(names, first)
    order = np.argsort(graph.ends[:, 0], kind="stable")
    ends = graph.ends[order]
    cuts = np.searchsorted(ends[:, 0], np.arange(len(first) + 1))
    known = [ends[cuts[k] : cuts[k + 1], 1] - offset for k in range(len(first))]
    if not graph.encoders.directed and not offset:
        back = graph.ends[np.argsort(graph.ends[:, 1], kind="stable")]
        cuts = np.searchsorted(back[:, 1], np.arange(len(first) + 1))
        known = [np.concatenate([k, back[cuts[i] : cuts[i + 1], 0], [i]]) for i, k in enumerate(known)]
    rank_of = predictor.against_all(graph, offset, len(second))
    missing, written = 0, 0
    with answers.table(config.output_path, [graph.end_columns[0], "rank", graph.end_columns[1], "score"]) as writer:
        for start in range(0, len(asked), CHUNK):
            piece = asked[start : start + CHUNK]
            there = piece[piece >= 0]
            missing += int((piece < 0).sum())
            scores = rank_of(there)
            for row, node in enumerate(there):
                scores[row, known[node]] = -np.inf
            k = min(config.top_k, scores.shape[1])
            best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            for row, node in enumerate(there):
                for place, item in enumerate(best[row], 1):
                    if np.isfinite(scores[row, item]):
                        writer.writerow(
                            [
                                first[int(node)].as_py(),
                                place,
                                second[int(item)].as_py(),
                                answers.number(float(scores[row, item])),
                            ]
                        )
                        written += 1
            progress("ranking", min(start + CHUNK, len(asked)), len(asked))
    reasons = {"not in the graph": missing} if missing else {}
    return Summary(len(asked), len(asked) - missing, 0.0, reasons, ("Pairs that have an edge already are left out.",))
