"""Hypergraphs from two tables: the graph is that of `views.incidence`, trained, predicted elsewhere, odd rows counted."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph import Graph, zoo
from heliograph.errors import DataError, UsageError
from heliograph.graph import dense
from heliograph.model import Inputs
from heliograph.onegraph import GraphTrainConfig, run
from heliograph.onegraph.config import GraphDataConfig
from heliograph.onegraph.data import OneGraph, load
from heliograph.onegraph.predict import GraphPredictConfig, predict
from heliograph.views import incidence

from .test_run import QUIET

N = 90


def written(folder: Path, swapped: bool = False) -> tuple[Path, Path]:
    """Authors of three areas, papers with members of one area each, and rows that nobody can use."""
    rng = np.random.default_rng(0)
    area = rng.integers(0, 3, N)
    nodes, members = folder / "authors.csv", folder / "papers.csv"
    with open(nodes, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "area", "f", "split"])
        for k in range(N):
            split = rng.choice(["train", "val", "test"], p=[0.3, 0.2, 0.5])
            table.writerow([f"a{k}", "xyz"[area[k]], round(float(area[k] + 1.2 * rng.normal()), 3), split])
    rows = [(f"p{p}", f"a{k}") for p in range(150) for k in rng.choice(np.flatnonzero(area == p % 3), rng.integers(1, 6), replace=False)]
    rows += [rows[0], ("p3", "nobody"), ("", "a1"), ("a1", "a1")]  # again, unknown, blank, a hyperedge with a vertex's name
    with open(members, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["member", "edge"] if swapped else ["edge", "member"])
        table.writerows([row[::-1] if swapped else row for row in rows])
    return nodes, members


def loaded(folder: Path, **more: object) -> OneGraph:
    nodes, members = written(folder)
    config = GraphDataConfig(target_columns=("area",), splits_column="split", hyperedges=True, **more)  # type: ignore[arg-type]
    return load(config, (nodes, members))


def test_the_graph_is_that_of_incidence_and_so_are_the_answers(tmp_path: Path) -> None:
    graph = loaded(tmp_path)
    made = graph.store.graph()
    H = made.N - N
    none = torch.zeros(0, dtype=torch.long)
    bare = Graph.build(none, none, [N], [0], nodes={"x": dense(made.nodes["x"])[:N]})
    vertex, cell = torch.from_numpy(graph.ends.T.copy())
    wanted = incidence(bare, cell - N, vertex, torch.zeros(H, dtype=torch.long))
    for name in ("rank", "size", "degree", "x"):
        assert torch.allclose(dense(made.nodes[name]), dense(wanted.nodes[name]))
    sides = [
        sorted(zip(g.topology.senders.tolist(), g.topology.receivers.tolist(), dense(g.edges["sign"])[:, 0].tolist(), strict=True))
        for g in (made, wanted)
    ]
    assert sides[0] == sides[1]
    for arch in ("hgnn", "unigcnii", "allset", "nerve"):
        net = zoo.build(arch, Inputs(1, 0), 3, level="node").eval()
        assert torch.allclose(net(made)["y"], net(wanted)["y"], atol=1e-5), arch


def test_what_is_odd_is_counted(tmp_path: Path) -> None:
    graph = loaded(tmp_path)
    reasons = graph.reasons["edges"]
    assert reasons == {
        "an end is blank": 1, "an end is not in authors.csv": 1, "a member that is named twice in one hyperedge": 1,
    }  # fmt: skip
    assert graph.rows_read["edges"] == len(graph.ends) + 3
    assert graph.N == N + 151 and graph.names.to_pylist()[-1] == "hyperedge:a1"
    assert any("151 hyperedges" in note for note in graph.notes)


def test_the_order_of_the_two_columns_follows_their_names(tmp_path: Path) -> None:
    first = loaded(tmp_path)
    nodes, members = written(tmp_path, swapped=True)
    again = load(GraphDataConfig(target_columns=("area",), hyperedges=True), (nodes, members))
    assert np.array_equal(first.ends, again.ends)


def test_train_and_predict_elsewhere(tmp_path: Path) -> None:
    nodes, members = written(tmp_path)
    data = {"data_path": nodes, "edges": members, "hyperedges": True, "target_columns": ["area"], "splits_column": "split"}
    config = GraphTrainConfig.model_validate({"data": data, "fit": {"epochs": 60}, "output_dir": tmp_path / "run"})
    result = run(config, progress=QUIET)
    assert result.config["model"]["arch"] == "hgnn"
    own, without = result.metrics["test"]["mean"]["accuracy"], result.baselines
    features = next(v for k, v in without.items() if "logistic" in k)
    assert own > features.metrics["test"]["mean"]["accuracy"] + 0.1
    (tmp_path / "run" / "config.toml").unlink()  # another machine has the model file alone
    summary = predict(
        GraphPredictConfig(model_path=tmp_path / "run/model.safetensors", data_path=nodes, edges=members, output_path=tmp_path / "p.csv")
    )
    assert summary.predicted == N
    with open(tmp_path / "p.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(tmp_path / "run" / "test_predictions.csv", newline="") as file:
        saved = {row["id"]: row for row in csv.DictReader(file)}
    assert len(rows) == N and saved
    for row in rows:
        if row["id"] in saved:
            assert row["area_pred"] == saved[row["id"]]["area_pred"]


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"level": "link"}, UsageError, "node"),
        ({"directed": True}, UsageError, "no directions"),
        ({"feature_columns": ("h",)}, DataError, "no column 'h'"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, more: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        loaded(tmp_path, **more)
