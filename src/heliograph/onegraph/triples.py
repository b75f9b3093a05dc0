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
from heliograph.onegraph.paths import Questions
from heliograph.onegraph.predictor import GraphPredictor

CHUNK = 512


def answer(config: GraphPredictConfig, predictor: GraphPredictor, graph: OneGraph) -> Summary:
    """With `pairs`: the score of each triple and its rank among all tails. With `top_k` and `for_`: the best tails, known ones left out.

    A second column of relations, such as relation_2, makes it a question of two hops.

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
    name, relations = _relation_column(graph), pa.array(graph.encoders.relations)
    hops = tuple(_column(table, c, relations) for c in (name, f"{name}_2") if c == name or c in table.column_names)
    asked = Questions(_end(table, graph, hops[0], 0), hops)
    assert graph.relation is not None
    triples = np.column_stack([graph.ends[:, 0], graph.relation, graph.ends[:, 1]]).astype(np.int64)
    known = Known(triples, len(graph.encoders.relations))
    if config.pairs is not None:
        return _ranked(config, predictor, graph, table, known, asked)
    return _best(config, predictor, graph, known, asked)


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
    asked: Questions,
) -> Summary:
    t = _end(table, graph, asked.hops[-1], 1)
    good = asked.good[t[asked.good] >= 0]
    score, rank = np.full(len(table), np.nan), np.full(len(table), np.nan)
    for start in range(0, len(good), CHUNK):
        rows = good[start : start + CHUNK]
        y, tail = asked.scores(predictor, graph, rows), torch.from_numpy(t[rows])
        score[rows] = y[torch.arange(len(rows)), tail].numpy()
        rank[rows] = ranking.ranks(y, tail, asked.answers(known, rows)).numpy()
    columns = [_relation_column(graph), f"{_relation_column(graph)}_2"][: len(asked.hops)]
    names = (graph.end_columns[0], *columns, graph.end_columns[1])
    why = {}
    for k in range(len(table)):
        unknown = [name for name, place in zip(names, (asked.h[k], *(r[k] for r in asked.hops), t[k]), strict=True) if place < 0]
        if unknown:
            why[k] = f"{', '.join(unknown)} is not in the graph"
    blank = np.isnan(score)
    out = table.append_column(free("score", table), pa.array(score, mask=blank))
    out = out.append_column(free("rank", table), pa.array(rank, mask=blank))
    out = out.append_column(free("reason", table), pa.array([why.get(k, "") for k in range(len(table))]))
    write_table(out, config.output_path)
    return Summary(len(table), len(good), 0.0, dict(Counter(why.values())))


def _best(config: GraphPredictConfig, predictor: GraphPredictor, graph: OneGraph, known: Known, asked: Questions) -> Summary:
    assert config.top_k is not None
    names, relations = graph.ids.to_pylist(), graph.encoders.relations
    good = asked.good
    (a, b), relation = graph.end_columns, _relation_column(graph)
    columns = [relation, f"{relation}_2"][: len(asked.hops)]
    with answers.table(config.output_path, [a, *columns, "rank", b, "score"]) as writer:
        for start in range(0, len(good), CHUNK):
            rows = good[start : start + CHUNK]
            y = asked.scores(predictor, graph, rows)
            y[asked.answers(known, rows)] = -torch.inf
            best = y.topk(min(config.top_k, y.shape[1]), dim=1)
            for k, row in enumerate(rows):
                for place, (value, node) in enumerate(zip(best.values[k].tolist(), best.indices[k].tolist(), strict=True), 1):
                    if np.isfinite(value):
                        which = [relations[r[row]] for r in asked.hops]
                        writer.writerow([names[asked.h[row]], *which, place, names[node], answers.number(value)])
    missing = len(asked.h) - len(good)
    return Summary(
        len(asked.h),
        len(good),
        0.0,
        {"head or relation is not in the graph": missing} if missing else {},
        ("Known tails are left out.",),
    )
