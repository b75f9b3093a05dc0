"""Answers of a knowledge graph: scores and ranks of triples, or the best tails of heads and relations."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from heliograph.data.formats.graph_tables import as_text, read_cells
from heliograph.data.sources.triples import Known
from heliograph.errors import DataError, UsageError, suggest
from heliograph.learn import ranking
from heliograph.onegraph import answers
from heliograph.onegraph.asked import GraphPredictConfig, Summary, found, free, write_table
from heliograph.onegraph.data import OneGraph
from heliograph.onegraph.predictor import GraphPredictor

CHUNK = 512


def answer(config: GraphPredictConfig, predictor: GraphPredictor, graph: OneGraph) -> Summary:
    """With `pairs`: the score of each triple and its rank among all tails. With `top_k` and `for_`: the best tails, known ones left out.

    Raises UsageError where neither is asked for, DataError where a column is missing.
    """
    if config.pairs is None and (config.top_k is None or config.for_ is None):
        a, b = graph.end_columns
        relation = _relation_column(graph)
        raise UsageError(
            f"this model knows relations: give --pairs triples.csv with {a}, {relation}, {b} to rank triples, or --top-k 10 --for "
            f"questions.csv with {a} and {relation} for the best of {b}"
        )
    table = read_cells(config.pairs or config.for_)
    r = _column(table, _relation_column(graph), pa.array(graph.encoders.relations))
    h = _end(table, graph, r, 0)
    assert graph.relation is not None
    triples = np.column_stack([graph.ends[:, 0], graph.relation, graph.ends[:, 1]]).astype(np.int64)
    known = Known(triples, len(graph.encoders.relations))
    if config.pairs is not None:
        return _ranked(config, predictor, graph, table, known, h, r)
    return _best(config, predictor, graph, known, h, r)


def _column(table: pa.Table, name: str, among: pa.Array) -> np.ndarray:
    if name not in table.column_names:
        raise DataError(f"the table has no column {name!r}; {suggest(name, table.column_names)}")
    return found(as_text(table[name]), among)


def _relation_column(graph: OneGraph) -> str:
    return graph.encoders.relation_column or "relation"


def _end(table: pa.Table, graph: OneGraph, r: np.ndarray, end: int) -> np.ndarray:
    """The heads (0) or tails (1) of triples, -1 where there is no such node; of the type that the relation says."""
    name = graph.end_columns[end]
    if not graph.begins:
        return _column(table, name, graph.ids)
    if name not in table.column_names:
        raise DataError(f"the table has no column {name!r}; {suggest(name, table.column_names)}")
    types = pa.array([graph.encoders.kinds[pair[end]].name for pair in graph.encoders.between])
    kind = types.take(pa.array(r, mask=r < 0))
    return found(pc.fill_null(pc.binary_join_element_wise(kind, as_text(table[name]), ":"), ""), graph.names)


def _ranked(
    config: GraphPredictConfig,
    predictor: GraphPredictor,
    graph: OneGraph,
    table: pa.Table,
    known: Known,
    h: np.ndarray,
    r: np.ndarray,
) -> Summary:
    t = _end(table, graph, r, 1)
    good = np.flatnonzero((h >= 0) & (r >= 0) & (t >= 0))
    score, rank = np.full(len(table), np.nan), np.full(len(table), np.nan)
    for start in range(0, len(good), CHUNK):
        rows = good[start : start + CHUNK]
        asked = torch.from_numpy(np.column_stack([h[rows], r[rows], t[rows]]))
        y = torch.stack(predictor.of_pairs(predictor.placed(graph)[0], asked.numpy())).mean(0)
        score[rows] = y[torch.arange(len(rows)), asked[:, 2]].numpy()
        rank[rows] = ranking.ranks(y, asked[:, 2], known(asked)).numpy()
    names = (graph.end_columns[0], _relation_column(graph), graph.end_columns[1])
    why = {}
    for k in range(len(table)):
        unknown = [name for name, place in zip(names, (h[k], r[k], t[k]), strict=True) if place < 0]
        if unknown:
            why[k] = f"{', '.join(unknown)} is not in the graph"
    blank = np.isnan(score)
    out = table.append_column(free("score", table), pa.array(score, mask=blank))
    out = out.append_column(free("rank", table), pa.array(rank, mask=blank))
    out = out.append_column(free("reason", table), pa.array([why.get(k, "") for k in range(len(table))]))
    write_table(out, config.output_path)
    return Summary(len(table), len(good), 0.0, dict(Counter(why.values())))


def _best(
    config: GraphPredictConfig, predictor: GraphPredictor, graph: OneGraph, known: Known, h: np.ndarray, r: np.ndarray
) -> Summary:
    assert config.top_k is not None
    names, relations = graph.ids.to_pylist(), graph.encoders.relations
    good = np.flatnonzero((h >= 0) & (r >= 0))
    a, b = graph.end_columns
    with answers.table(config.output_path, [a, _relation_column(graph), "rank", b, "score"]) as writer:
        for start in range(0, len(good), CHUNK):
            rows = good[start : start + CHUNK]
            asked = torch.from_numpy(np.column_stack([h[rows], r[rows], np.zeros(len(rows), np.int64)]))
            y = torch.stack(predictor.of_pairs(predictor.placed(graph)[0], asked.numpy())).mean(0)
            y[known(asked)] = -torch.inf
            best = y.topk(min(config.top_k, y.shape[1]), dim=1)
            for k, row in enumerate(rows):
                for place, (value, node) in enumerate(
                    zip(best.values[k].tolist(), best.indices[k].tolist(), strict=True), 1
                ):
                    if np.isfinite(value):
                        writer.writerow([names[h[row]], relations[r[row]], place, names[node], answers.number(value)])
    missing = len(h) - len(good)
    return Summary(
        len(h),
        len(good),
        0.0,
        {"head or relation is not in the graph": missing} if missing else {},
        ("Known tails are left out.",),
    )
