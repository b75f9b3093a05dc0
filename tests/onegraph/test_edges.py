"""Which way edges run; simple models that see the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from heliograph.data.graph_store import GraphStore
from heliograph.errors import UsageError
from heliograph.learn.progress import Lines
from heliograph.learn.task import Task
from heliograph.onegraph import GraphTrainConfig, baselines, run
from heliograph.onegraph.asked import GraphPredictConfig
from heliograph.onegraph.predict import predict
from tests.onegraph.test_run import table_of

QUIET = Lines(lambda text: None)


def flow(seed: int = 0, n: int = 80) -> tuple[pa.Table, pa.Table]:
    """Edges run from low to high, but for a few; what is high is seen with noise. Some pairs run both ways."""
    random = np.random.default_rng(seed)
    height, (a, b) = random.normal(size=n), random.integers(0, n, (2, 400))
    a, b = a[a != b], b[a != b]
    swap = (height[a] > height[b]) ^ (random.random(len(a)) < 0.02)
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    ends = np.unique(np.stack([a, b], 1), axis=0)
    ends = np.concatenate([ends[random.permutation(len(ends))], ends[:5, ::-1]])
    nodes = pa.table({"id": [f"n{k}" for k in range(n)], "f": height + 0.3 * random.normal(size=n)})
    return nodes, pa.table({"source": [f"n{k}" for k in ends[:, 0]], "target": [f"n{k}" for k in ends[:, 1]]})


def config(out: Path, **groups: Any) -> GraphTrainConfig:
    data = {"level": "edge", "direction": True} | groups.pop("data", {})
    return GraphTrainConfig.model_validate({"data": data, "model": {"arch": "sage", "arch_args": {"d": 16}}, "output_dir": out, **groups})


def test_the_direction_of_edges_is_learned_and_turns_with_the_edge(tmp_path: Path) -> None:
    import pyarrow.csv as pc

    nodes, edges = flow()
    result = run(config(tmp_path / "run", fit={"epochs": 60}), tables=(nodes, edges), progress=QUIET)
    assert result.metrics["test"]["mean"]["roc_auc"] > 0.85
    assert {"majority", "degrees of both ends", "logistic regression on both ends"} == set(result.baselines)
    there = {(r["source"], r["target"]) for r in edges.to_pylist()}
    both = sum((b, a) in there for a, b in there)
    assert result.facts.reasons["edges"]["an edge that runs both ways has no direction"] == both >= 10
    turned = edges.rename_columns(["target", "source"]).select(["source", "target"])
    found = []
    for name, table in (("forth", edges), ("back", turned)):
        pc.write_csv(nodes, tmp_path / "n.csv"), pc.write_csv(table, tmp_path / f"{name}.csv")
        asked = GraphPredictConfig(model_path=tmp_path / "run", data_path=tmp_path / "n.csv", edges=tmp_path / f"{name}.csv",
                                   output_path=tmp_path / f"{name}_out.csv")  # fmt: skip
        predict(asked, progress=QUIET)
        found.append([r["forth_pred"] for r in table_of(tmp_path / f"{name}_out.csv")])
    pairs = [(float(p), float(q)) for p, q in zip(*found, strict=True) if p]
    assert len(pairs) == len(edges) - both and all(p + q == pytest.approx(1, abs=1e-6) for p, q in pairs)
    for more in ({"target_columns": ["w"]}, {"directed": True}):
        with pytest.raises(UsageError, match="leave --target-columns"):
            run(config(tmp_path / "x", data=more), tables=(nodes, edges), progress=QUIET)
    with pytest.raises(UsageError, match="is for --level edge"):
        run(config(tmp_path / "x", data={"level": "node"}), tables=(nodes, edges), progress=QUIET)


def test_correct_and_smooth_is_the_papers_recipe() -> None:
    random = np.random.default_rng(0)
    ends = np.unique(np.sort(random.integers(0, 30, (90, 2)), axis=1), axis=0)
    store = GraphStore.build(ends[ends[:, 0] != ends[:, 1]], 30)
    x, y = random.normal(size=(30, 2)).astype(np.float32), random.integers(0, 3, (30, 1)).astype(float)
    parts = {"train": np.arange(12), "val": np.arange(12, 20), "test": np.arange(20, 30)}
    task = Task("multiclass", ("c",), classes=(("a", "b", "c"),))
    values, p = baselines.correct_and_smooth(store, task, x, y, parts, 0)
    everyone = {"train": parts["train"], "val": np.arange(30), "test": np.arange(0)}
    Z = baselines._on_features(baselines._linear(task, 0), task, x, y, everyone)[1][:, 0]  # type: ignore[index]
    A = np.zeros((30, 30))
    A[store.columns["indices"], store.receivers] = 1
    d = np.where(A.sum(1) > 0, A.sum(1).clip(1) ** -0.5, 0)
    S = d[:, None] * A * d

    def spread(F0: np.ndarray) -> np.ndarray:
        F = F0
        for _ in range(50):
            F = 0.8 * S @ F + 0.2 * F0
        return F

    Y = np.eye(3)[y[:, 0].astype(int)]
    E = np.zeros((30, 3))
    E[:12] = Y[:12] - Z[:12]
    Ehat, sigma = spread(E), np.abs(E[:12]).sum(1).mean()
    size = np.abs(Ehat).sum(1, keepdims=True)
    G = Z + np.where(size > sigma / 1000, sigma / size.clip(1e-12), 0) * Ehat
    G[:12] = Y[:12]
    wanted = np.clip(spread(G), 1e-9, None)
    assert p is not None and np.allclose(p[:, 0], wanted / wanted.sum(1, keepdims=True), atol=1e-4)
    assert (values[:, 0] == wanted.argmax(1)).mean() > 0.95
