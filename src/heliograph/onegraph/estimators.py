"""scikit-learn estimators for one graph: `fit(graph, y)` with a gap for every node that has no label."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import NotFittedError

from heliograph.data.formats.schema import Schema
from heliograph.data.splits import random_split
from heliograph.errors import DataError, UsageError
from heliograph.learn.progress import Lines
from heliograph.onegraph.asked import found
from heliograph.onegraph.config import GraphDataConfig, GraphFitConfig, GraphTrainConfig
from heliograph.onegraph.convert import ID, is_hetero, schema_of, tables_of
from heliograph.onegraph.data import OneGraph, load
from heliograph.onegraph.predictor import GraphPredictor
from heliograph.onegraph.runner import run

_LABEL, _PART = "heliograph label", "heliograph part"


class _GraphEstimator(BaseEstimator):
    """Arguments as the command line has them; `fit_args`: other settings of `GraphFitConfig`."""

    def __init__(
        self,
        arch: str = "auto",
        arch_args: Mapping[str, Any] | None = None,
        epochs: int = 200,
        num_neighbors: Sequence[int] | None = None,
        node_vectors: int | None = None,
        ensemble_size: int = 1,
        validation_fraction: float = 0.1,
        fit_args: Mapping[str, Any] | None = None,
        random_state: int = 0,
    ):
        self.arch, self.arch_args, self.epochs, self.num_neighbors = arch, arch_args, epochs, num_neighbors
        self.node_vectors, self.ensemble_size, self.validation_fraction = (
            node_vectors,
            ensemble_size,
            validation_fraction,
        )
        self.fit_args, self.random_state = fit_args, random_state

    def _train(
        self, nodes: pa.Table | Schema | None, edges: pa.Table | None, data: dict[str, Any], split: dict[str, Any] | None = None
    ) -> None:
        given = dict(self.fit_args or {})
        for name in given:
            if name not in GraphFitConfig.model_fields or name in ("epochs", "seed", "baselines", "budget"):
                raise UsageError(f"fit_args[{name!r}]: no such setting; known: {', '.join(sorted(GraphFitConfig.model_fields))}")
        model: dict[str, Any] = {"arch": self.arch, "arch_args": dict(self.arch_args or {}), "ensemble_size": self.ensemble_size}
        model |= {k: v for k, v in (("num_neighbors", self.num_neighbors), ("node_vectors", self.node_vectors)) if v is not None}
        with tempfile.TemporaryDirectory() as folder:
            fit = given | {"epochs": self.epochs, "seed": int(self.random_state or 0), "baselines": False}
            groups: dict[str, Any] = {"data": data, "model": model, "fit": fit, "split": split or {}}
            config = GraphTrainConfig.model_validate(groups | {"output_dir": Path(folder) / "run"})
            result = run(config, tables=(nodes, edges), progress=Lines(lambda text: None))
            self.predictor_ = GraphPredictor.load(config.output_dir)
        self.history_ = result.history

    def _asked(self, graph: Any) -> OneGraph:
        """A graph read as the model reads it; warns of nothing, since rows in memory have no damaged lines."""
        if not hasattr(self, "predictor_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit(graph, y) first")
        if is_hetero(graph):
            return load(GraphDataConfig(), (schema_of(graph), None), encoders=self.predictor_.encoders)
        nodes, edges, _ = tables_of(graph)
        return load(GraphDataConfig(), (nodes, edges), encoders=self.predictor_.encoders)

    def _part(self, labelled: np.ndarray) -> np.ndarray:
        """Words of the splits column: some of the labelled nodes choose the best epoch."""
        rows, words = np.flatnonzero(labelled), np.full(len(labelled), "", object)
        words[rows] = "train"
        share = self.validation_fraction
        if not 0.0 <= share < 1.0:
            raise UsageError(f"validation_fraction is at least 0 and less than 1; got {share}")
        if share and round(share * len(rows)):
            parts = random_split(len(rows), (1.0 - share, share, 0.0), int(self.random_state or 0))
            words[rows[parts["val"]]] = "val"
        return words

    def _fit_nodes(self, graph: Any, labels: list[str], labelled: np.ndarray, task: str, kind: str = "") -> None:
        if kind:
            if kind not in graph.node_types or int(graph[kind].num_nodes) != len(labels):
                raise DataError(f"y has {len(labels)} labels of the type {kind!r}; the graph has the types {', '.join(graph.node_types)}")
            columns = {_LABEL: pa.array(labels), _PART: pa.array(self._part(labelled), pa.string())}
            data: dict[str, Any] = {"target_columns": (f"{kind}.{_LABEL}",), "splits_column": _PART, "task_type": task}
            return self._train(schema_of(graph, {kind: columns}), None, data)
        nodes, edges, directed = tables_of(graph)
        if nodes is None or len(nodes) != len(labels):
            n = None if nodes is None else len(nodes)
            raise DataError(f"y has {len(labels)} labels; the graph has {n or 'no table of'} nodes")
        nodes = nodes.append_column(_LABEL, pa.array(labels)).append_column(_PART, pa.array(self._part(labelled), pa.string()))
        self.n_nodes_ = len(nodes)
        data = {
            "target_columns": (_LABEL,),
            "splits_column": _PART,
            "task_type": task,
            "directed": directed,
            "id_column": nodes.column_names[0],
        }
        if ID in nodes.column_names:
            data["id_column"] = ID
        self._train(nodes, edges, data)

    def embed(self, graph: Any) -> np.ndarray:
        """Return the last states of a graph's nodes, [N, d] float32, of the first network of an ensemble; NaN where a row can't be used.

        Raises UsageError where the architecture keeps no states of nodes.
        """
        asked = self._asked(graph)
        h = self.predictor_.states(asked)
        if asked.node_table is None:
            return h
        of_type = asked.node_rows >= 0
        found = np.full((len(asked.node_table), h.shape[1]), np.nan, np.float32)
        found[asked.node_rows[of_type]] = h[of_type]
        return found

    def _of_nodes(self, graph: Any) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Answers in the order of the graph's nodes; NaN where a row can't be used."""
        asked = self._asked(graph)
        y, p, std, _ = self.predictor_.nodes(asked)
        assert asked.node_table is not None
        of_type = asked.node_rows >= 0
        y, p, std = y[of_type], None if p is None else p[of_type], None if std is None else std[of_type]
        if len(asked.node_table) == len(y):
            return y, p, std
        spread = [None if x is None else np.full((len(asked.node_table), *x.shape[1:]), np.nan) for x in (y, p, std)]
        for to, x in zip(spread, (y, p, std), strict=True):
            if to is not None and x is not None:
                to[asked.node_rows[of_type]] = x
        assert spread[0] is not None
        return spread[0], spread[1], spread[2]


def _of_type(y: Any) -> tuple[str, Any]:
    """The type of nodes ("" where there is one only) and their labels. Raises DataError for labels of several types."""
    if not isinstance(y, Mapping):
        return "", y
    if len(y) != 1:
        raise DataError(f"labels are of one type of nodes, {{type: labels}}; got {len(y)} types")
    return next(iter(y.items()))


class NodeClassifier(ClassifierMixin, _GraphEstimator):
    """Classes of the nodes of one graph. `y` [N]: -1 (or NaN, None, "") for a node without a label. Fitted: `classes_`.

    Of PyG's `HeteroData`, `y` is {type: labels}, and the answers are those of the nodes of that type.
    """

    def fit(self, graph: Any, y: Any) -> NodeClassifier:
        """Learn from the labelled nodes; all nodes and edges pass messages. Raises DataError, UsageError."""
        kind, y = _of_type(y)
        given = list(np.asarray(y, dtype=object))
        known = np.array(
            [not (v is None or v == "" or (isinstance(v, float) and np.isnan(v)) or (not isinstance(v, str) and v == -1)) for v in given]
        )
        self.classes_, index = np.unique(np.asarray([v for v, k in zip(given, known, strict=True) if k]), return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"y has one class only ({self.classes_[:1]}); a classifier needs two or more")
        labels = np.full(len(given), "", object)
        labels[known] = [f"c{k:06d}" for k in index]  # sorted as the classes are
        self._fit_nodes(graph, labels.tolist(), known, "multiclass", kind)
        return self

    def predict_proba(self, graph: Any) -> np.ndarray:
        """Return probabilities [N, C], columns in the order of `classes_`; NaN for a node that the model can't answer for."""
        y, p, _ = self._of_nodes(graph)
        assert p is not None
        return np.where(np.isnan(y), np.nan, p[:, 0])

    def predict(self, graph: Any) -> np.ndarray:
        """Return the likeliest class of each node, [N]. Raises DataError where there is none for a node."""
        p = self.predict_proba(graph)
        bad = np.flatnonzero(np.isnan(p[:, 0]))
        if len(bad):
            raise DataError(f"{len(bad)} of {len(p)} nodes have no answer, the first is number {bad[0]}: predict_proba has NaN")
        return np.asarray(self.classes_[p.argmax(1)])


class NodeRegressor(RegressorMixin, _GraphEstimator):
    """A number of each node of one graph. `y` [N]: NaN for a node without a label; of PyG's `HeteroData` {type: numbers}."""

    def fit(self, graph: Any, y: Any) -> NodeRegressor:
        """Learn from the labelled nodes; all nodes and edges pass messages. Raises DataError, UsageError."""
        kind, y = _of_type(y)
        values = np.asarray(y, np.float64)
        known = np.isfinite(values)
        labels = [repr(float(v)) if k else "" for v, k in zip(values, known, strict=True)]
        self._fit_nodes(graph, labels, known, "regression", kind)
        return self

    def predict(self, graph: Any) -> np.ndarray:
        """Return a number for each node, [N]; NaN where the model can't answer."""
        return self._of_nodes(graph)[0][:, 0]


class LinkPredictor(_GraphEstimator):
    """Which pairs of nodes are linked, learned from the edges of one graph."""

    def fit(self, graph: Any, y: None = None) -> LinkPredictor:
        """Learn from the edges. A share of them, `validation_fraction`, chooses the best epoch. Raises DataError, UsageError."""
        nodes, edges, directed = tables_of(graph)
        share = self.validation_fraction
        self._train(nodes, edges, {"level": "link", "directed": directed}, {"split_sizes": (1.0 - share, share, 0.0)})
        self.graph_ = self._asked(graph)
        return self

    def _places(self, names: Any) -> np.ndarray:
        where = found(pa.array([str(n) for n in names], pa.string()), self.graph_.ids)
        if (where < 0).any():
            raise DataError(f"there is no node called {list(names)[int(np.argmax(where < 0))]!r} in the graph")
        return where

    def predict_proba(self, pairs: Any) -> np.ndarray:
        """Return the probability that each pair [Q, 2] of node names is linked, where links and others are as many, [Q]."""
        if not hasattr(self, "predictor_"):
            raise NotFittedError("this LinkPredictor is not fitted yet: call fit(graph) first")
        pairs = list(pairs)
        ends = np.stack([self._places([p[k] for p in pairs]) for k in (0, 1)], axis=1)
        return self.predictor_.links(self.graph_, ends)[0]

    def predict(self, pairs: Any) -> np.ndarray:
        """Return 1 where a pair [Q, 2] of node names is more likely linked than not, else 0; [Q]."""
        return (self.predict_proba(pairs) >= 0.5).astype(int)
