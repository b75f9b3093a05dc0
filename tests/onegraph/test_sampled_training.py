"""Samplers in the loop: from the command line's words to a loss that is right on average."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from heliograph import zoo
from heliograph.data.graph_store import GraphStore
from heliograph.data.sources.one_graph import Nodes, Subgraphs
from heliograph.errors import UsageError
from heliograph.learn import loop
from heliograph.learn.ahead import Ahead
from heliograph.learn.losses import Loss
from heliograph.learn.progress import Lines
from heliograph.model import Inputs
from heliograph.onegraph import GraphTrainConfig, run
from heliograph.onegraph.config import GraphModelConfig
from heliograph.onegraph.samplers import sampling
from heliograph.sampling import Clusters, Saint, by_label_propagation, parts_of
from tests.onegraph.test_run import link_config, tables, weights
from tests.onegraph.test_sampling import store

QUIET = Lines(lambda text: None)
SAMPLERS: dict[str, Any] = {
    "neighbor": {},
    "ladies": {"sample_sizes": [40, 40]},
    "fastgcn": {"sample_sizes": [60, 60]},
    "saint-node": {"sample_sizes": [60]},
    "saint-edge": {"sample_sizes": [40]},
    "saint-walk": {"sample_sizes": [20, 2]},
    "cluster": {"sample_sizes": [8, 2]},
}
SEEDS = ("neighbor", "ladies", "fastgcn")  # they draw around a batch of nodes


def config(out: Path, sampler: str, **fit: Any) -> GraphTrainConfig:
    return GraphTrainConfig.model_validate({
        "data": {"target_columns": ["team"], "splits_column": "split", "feature_columns": ["f", "g"]},
        "model": {"arch": "gcn", "arch_args": {"d": 32, "dropout": 0.0}, "ensemble_size": 1, "sampler": sampler, **SAMPLERS[sampler]},
        "fit": {"epochs": 40, "baselines": False, "metrics": ["accuracy"], "batch_size": 12 if sampler in SEEDS else None, **fit},
        "output_dir": out,
    })  # fmt: skip


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_sampler_learns_and_a_stopped_run_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    result = run(config(tmp_path / "a", sampler), tables=tables(), progress=QUIET)
    assert result.metrics["test"]["mean"]["accuracy"] > 0.4  # a third by chance
    assert any(word in " ".join(result.notes) for word in ("Each step", "clusters by"))
    monkeypatch.setattr(loop, "SAVING_SHARE", 1e9)

    class Stop(Lines):
        def __call__(self, stage: str, done: int, total: int | None = None, note: str = "") -> None:
            if note == "epoch 37/40":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config(tmp_path / "b", sampler), tables=tables(), progress=Stop(lambda text: None))
    run(config(tmp_path / "b", sampler), tables=tables(), resume=True, progress=QUIET)
    one, two = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("how", ["node", "edge", "walk", "clusters"])
def test_the_loss_of_a_step_is_that_of_all_training_nodes_on_average(how: str) -> None:
    """With answers that no edge touches, the mean over steps is the whole loss: to four standard errors."""
    s, random = store(40, 160), np.random.default_rng(0)
    pieces = Clusters(random.integers(0, 8, 40), 2) if how == "clusters" else Saint(how, 12, trials=4000)
    y, train = torch.from_numpy(random.normal(size=(40, 1))).float(), np.arange(0, 40, 2)
    source, loss = Subgraphs(s, {"y": y}, pieces, train, seed=3), Loss("mse")
    answers, found = torch.from_numpy(random.normal(size=(40, 1))).float(), []
    for step in range(1500):
        rows = source.drawn(train[:3], step)
        assert np.isin(rows, train).all()
        target = source.targets(rows)["y"]
        graph = source.batch(rows, step)
        assert graph.asked is not None and (graph.nodes["id"][graph.asked].numpy() == rows).all()  # type: ignore[index]
        found.append(float(loss(answers[rows], target)) / max(len(rows), 1))
    whole = float((answers[train] - y[train]).square().mean())
    error = np.std(found) / len(found) ** 0.5
    assert error > 0 and abs(np.mean(found) - whole) < 4 * error + 0.02 * whole  # the weights are estimated, too


def test_all_clusters_at_once_are_the_whole_graph() -> None:
    s = store(40, 160)
    y, train = torch.zeros(40, 1), np.arange(30)
    source = Subgraphs(s, {"y": y}, Clusters(np.arange(40) % 5, 5), train)
    torch.manual_seed(0)
    network = zoo.build("gcn", Inputs(5, 1), 2, {"d": 8}, level="node").eval()
    rows = source.drawn(train[:1], 0)
    assert sorted(rows.tolist()) == train.tolist()
    found, whole = network(source.batch(rows, 0))["y"], network(Nodes(s, {"y": y}).batch(rows, None))["y"]
    assert torch.allclose(found, whole, atol=1e-6)
    assert torch.allclose(source.targets(rows)["y"].weight, torch.ones(30))  # type: ignore[arg-type]


def test_what_does_not_fit_a_sampler_is_said(tmp_path: Path) -> None:
    def asked(**model: Any) -> GraphTrainConfig:
        made = config(tmp_path / "run", "neighbor")
        return made.model_copy(update={"model": made.model.model_copy(update={"arch_args": {}, **model})})

    for model, said in (
        ({"sampler": "ladies", "num_neighbors": (2,)}, "takes --sample-sizes"),
        ({"sampler": "neighbor", "sample_sizes": (2,)}, "takes --num-neighbors"),
        ({"sampler": "saint-walk", "sample_sizes": (2,)}, "ROOTS STEPS"),
        ({"sampler": "cluster", "sample_sizes": (4, 9)}, "PARTS TOGETHER"),
        ({"sampler": "neighbor", "arch": "gps"}, "gps needs the whole graph at once"),
    ):
        with pytest.raises(UsageError, match=said):
            run(asked(**model), tables=tables(), progress=QUIET)
    with pytest.raises(UsageError, match="is for labels of nodes"):
        run(link_config(tmp_path / "l", model={"sampler": "cluster"}), tables=tables(), progress=QUIET)


def test_a_network_of_whole_graphs_takes_subgraphs() -> None:
    found = sampling(GraphModelConfig(sampler="cluster", sample_sizes=(4, 1)), "gps", {"depth": 1}, store(40, 160), 20, 0)
    assert found.pieces is not None and found.draw is None and found.batch == 5


def test_parts_by_metis_keep_more_than_those_by_labels_and_both_are_alike_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    part = np.repeat(np.arange(4), 50)
    a, b = random.integers(0, 200, (2, 6000))
    keep = (a != b) & ((part[a] == part[b]) | (random.random(6000) < 0.05))
    s = GraphStore.build(np.unique(np.sort(np.stack([a, b], 1)[keep], axis=1), axis=0), 200, x=np.zeros((200, 1), np.float32))
    kept = {"labels": Clusters(by_label_propagation(s, 4)).kept(s)}
    pytest.importorskip("pymetis")
    found, by = parts_of(s, 4)
    assert by == "METIS" and np.bincount(found, minlength=4).max() <= 60 and (parts_of(s, 4)[0] == found).all()
    assert Clusters(found).kept(s) >= kept["labels"] > 0.6
    monkeypatch.setitem(sys.modules, "pymetis", None)
    assert "not installed" in parts_of(s, 4)[1]


def test_what_is_made_ahead_comes_in_its_order_and_errors_come_through() -> None:
    for n in (0, 1, 3):
        with Ahead(lambda k: k * k, 2, 9, n) as made:
            assert [made(k) for k in range(2, 9)] == [k * k for k in range(2, 9)]
    with pytest.raises(ZeroDivisionError), Ahead(lambda k: 1 // (3 - k), 0, 9, 2) as made:
        [made(k) for k in range(9)]


def test_features_may_be_an_array_that_is_mapped(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.csv as pc

    from heliograph.errors import DataError
    from heliograph.onegraph.asked import GraphPredictConfig
    from heliograph.onegraph.data import load
    from heliograph.onegraph.predict import predict
    from tests.onegraph.test_run import table_of

    nodes, edges = tables()
    x = np.stack([nodes["f"].to_numpy(), nodes["age"].to_numpy() / 10, np.ones(len(nodes))], 1).astype(np.float16)
    np.save(tmp_path / "x.npy", x)
    for table, name in ((nodes.drop_columns(["f", "age"]), "n.csv"), (edges, "e.csv")):
        pc.write_csv(table, tmp_path / name)
    made = config(tmp_path / "run", "neighbor")
    data = made.data.model_copy(update={
        "data_path": tmp_path / "n.csv", "edges": tmp_path / "e.csv", "features": tmp_path / "x.npy", "feature_columns": None,
    })  # fmt: skip
    graph = load(data, (data.data_path, data.edges))
    assert isinstance(graph.store.columns["x"], np.memmap) and graph.encoders.width == 3
    assert np.array_equal(graph.store.node_features(np.array([5, 2]))["x"], x[[5, 2]].astype(np.float32))  # type: ignore[arg-type]
    run(made.model_copy(update={"data": data}), progress=QUIET)
    predict(GraphPredictConfig(model_path=tmp_path / "run", output_path=tmp_path / "p.csv"), progress=QUIET)
    assert all(r["team_pred"] for r in table_of(tmp_path / "p.csv"))
    with pytest.raises(DataError, match="wanted are 5 rows"):
        load(data, (nodes.slice(0, 5), pa.table({"source": [nodes["id"][0].as_py()], "target": [nodes["id"][1].as_py()]})))
    with pytest.raises(DataError, match="needs the table of nodes"):
        load(data.model_copy(update={"data_path": None}), (None, edges))
    (tmp_path / "bad.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no array file"):
        load(data.model_copy(update={"features": tmp_path / "bad.npy"}), (nodes, edges))
