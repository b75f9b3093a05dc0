"""From a stranger's tables to a run, and back: train, stop, go on, predict elsewhere."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from heliograph.cli import main
from heliograph.errors import DataError, HeliographError, UsageError
from heliograph.learn import loop
from heliograph.learn.progress import Lines
from heliograph.onegraph import GraphTrainConfig, run
from heliograph.onegraph.predict import GraphPredictConfig, predict
from heliograph.onegraph.predictor import GraphPredictor
from heliograph.onegraph.result import Facts, GraphResult, verdict
from heliograph.report import rewrite
from heliograph.report.onegraph import write as report
from heliograph.train.result import Baseline

QUIET = Lines(lambda text: None)
N = 120


def tables(seed: int = 0) -> tuple[pa.Table, pa.Table]:
    """Three communities; features tell a little of them, edges more. String ids, shuffled."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, N)
    a, b = random.integers(0, N, (2, 12 * N))
    keep = (a != b) & ((y[a] == y[b]) | (random.random(12 * N) < 0.05))
    a, b = a[keep], b[keep]
    ids = np.array([f"node-{k}" for k in random.permutation(N)])
    split = random.choice(["train", "val", "test", ""], N, p=[0.4, 0.2, 0.3, 0.1])
    nodes = pa.table({"id": ids, "team": [f"t{c}" for c in y], "split": split, "f": np.round(y + random.normal(size=N), 3),
                      "g": random.choice(["u", "v"], N), "age": np.round(20 + 3 * y + random.normal(size=N), 2)})  # fmt: skip
    return nodes, pa.table({"source": ids[a], "target": ids[b], "strength": np.round(random.random(len(a)), 3)})


def written(folder: Path, garbage: bool = False) -> tuple[Path, Path]:
    """The tables as CSV files, with some rows that nobody can use."""
    paths = folder / "nodes.csv", folder / "edges.csv"
    for path, table in zip(paths, tables(), strict=True):
        rows = [list(r.values()) for r in table.to_pylist()]
        if garbage:
            rows.insert(3, ["broken"])
            rows.insert(9, ["", *rows[9][1:]])
            rows.insert(20, ["node-5", "nobody", *rows[20][2:]])
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows([table.column_names, *rows])
    return paths


def config(out: Path, **groups: Any) -> GraphTrainConfig:
    data = {"target_columns": ["team"], "splits_column": "split", "feature_columns": ["f", "g"]} | groups.pop("data", {})
    fit = {"epochs": 12} | groups.pop("fit", {})
    model = {"arch_args": {"d": 16}} | groups.pop("model", {})
    return GraphTrainConfig.model_validate({"data": data, "fit": fit, "model": model, "output_dir": out, **groups})


def link_config(out: Path, **groups: Any) -> GraphTrainConfig:
    data = {"level": "link", "target_columns": [], "splits_column": None} | groups.pop("data", {})
    return config(out, data=data, **groups)


def table_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_two_tables_on_the_command_line_become_a_model_a_report_and_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes, edges = written(tmp_path, garbage=True)
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as end:
        main(["train", str(nodes), "--edges", str(edges), "--target-columns", "team", "--splits-column", "split",
              "--feature-columns", "f", "g", "--arch", "sage", "--epochs", "120", "--arch-args", "d=16", "-o", str(out)])  # fmt: skip
    said = capsys.readouterr()
    assert end.value.code == 0, said.err
    assert "1 no id" in said.err and "is not in nodes.csv" in said.err and "label propagation" in said.out
    result = GraphResult.load(out)
    assert result.metrics["test"]["mean"]["accuracy"] > result.baselines["majority"].metrics["test"]["mean"]["accuracy"] + 0.2
    assert set(result.baselines) == {
        "majority",
        "label propagation",
        "logistic regression on features",
        "MLP on features",
        "Correct & Smooth",
    }
    assert result.facts.reasons["nodes"] == {"1 fields, the header has 6": 1, "no id": 1, "an id that came before": 1}
    assert "label propagation" in (out / "report.html").read_text() and (out / "splits.json").is_file()
    assert verdict(result, "test") in " ".join(said.out.split()) and "The best simple model, " in (out / "report.html").read_text()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(out / "model.safetensors", elsewhere)
    with pytest.raises(SystemExit) as end:
        main(
            [
                "predict",
                str(elsewhere / "model.safetensors"),
                str(nodes),
                "--edges",
                str(edges),
                "-o",
                str(elsewhere / "p.csv"),
                "-q",
            ]
        )
    assert end.value.code == 0, capsys.readouterr().err
    rows = table_of(elsewhere / "p.csv")
    assert len(rows) == N + 3 and rows[3]["reason"] == "1 fields, the header has 6" and rows[3]["team_pred"] == ""
    known = {r["id"]: r for r in rows if not r["reason"]}
    tested = table_of(out / "test_predictions.csv")
    assert len(tested) == result.sizes["test"]
    for row in tested:  # the same answers as in the run
        assert known[row["id"]]["team_pred"] == row["team_pred"] and known[row["id"]]["team_p_t0"] == row["team_p_t0"]


def test_the_verdict_names_the_best_simple_model_and_what_to_try() -> None:
    def of(network: float, *, vectors: int | None = None, main: str = "accuracy", **simple: float) -> str:
        baselines = {name.replace("_", " "): Baseline({"test": {"mean": {main: v}}}, 0.0) for name, v in simple.items()}
        return verdict(
            GraphResult({"model": {"node_vectors": vectors}}, "node", "multiclass", ("t",), (), main, {"test": {"mean": {main: network}}},
                        baselines, Facts(3, 2, 1, False), {}, (), (), 0, {}, 0.0, (), "", {}, "", ""), "test"
        )  # fmt: skip

    assert of(0.5) == ""
    assert of(0.5, majority=0.4, MLP=math.nan) == "The best simple model, majority, reaches 0.4: the network was worth it."
    assert of(0.5, main="log_loss", majority=0.4).endswith("has not earned its cost here.")
    assert "try --node-vectors 64" in of(0.5, majority=0.4, label_propagation=0.9)
    assert "--node-vectors" not in of(0.5, label_propagation=0.9, vectors=64) + of(0.5, label_propagation=0.6, majority=0.9)


@pytest.mark.parametrize("mode", ["whole", "sampled", "links", "sampled links"])
def test_a_training_that_is_stopped_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(loop, "SAVING_SHARE", 1e9)  # the state is saved at each end of an epoch
    more: dict[str, Any] = {"fit": {"baselines": False, "epochs": 5}, "model": {"arch_args": {"d": 8}}}
    if "sampled" in mode:
        more["model"]["num_neighbors"] = [3, 2]
        more["fit"]["batch_size"] = 16 if mode == "sampled" else 128
    make = link_config if "links" in mode else config
    straight, stopped = make(tmp_path / "a", **{k: dict(v) for k, v in more.items()}), make(tmp_path / "b", **more)
    run(straight, tables=tables(), progress=QUIET)

    class Stop(Lines):
        def __call__(self, stage: str, done: int, total: int | None = None, note: str = "") -> None:
            if note == "epoch 4/5":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(stopped, tables=tables(), progress=Stop(lambda text: None))
    assert not (tmp_path / "b" / "model.safetensors").exists()
    run(stopped, tables=tables(), resume=True, progress=QUIET)
    one, two = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def test_links_are_found_scored_and_ranked(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run(
        link_config(out, fit={"epochs": 40}, model={"arch_args": {"d": 16}, "num_negatives": 3}),
        tables=tables(),
        progress=QUIET,
    )
    report(result, out / "report.html")
    assert rewrite(out, tmp_path / "again.html").read_text() == (out / "report.html").read_text()
    assert result.metrics["test"]["mean"]["roc_auc"] > 0.7
    assert {"common neighbours", "Adamic-Adar", "preferential attachment"} <= set(result.baselines)
    nodes, edges = written(tmp_path)
    ids = tables()[0]["id"].to_pylist()
    (tmp_path / "pairs.csv").write_text(f"source,target,note\n{ids[0]},{ids[1]},x\n{ids[0]},stranger,y\n")
    asked = GraphPredictConfig(model_path=out / "model.safetensors", data_path=nodes, edges=edges, pairs=tmp_path / "pairs.csv",
                               output_path=tmp_path / "s.csv")  # fmt: skip
    summary = predict(asked, progress=QUIET)
    rows = table_of(tmp_path / "s.csv")
    assert summary.predicted == 1 and 0 < float(rows[0]["link_probability"]) < 1 and rows[1]["reason"] == "target is not in the graph"
    best = asked.model_copy(update={"pairs": None, "top_k": 4, "output_path": tmp_path / "t.csv"})
    predict(best, progress=QUIET)
    rows = table_of(tmp_path / "t.csv")
    assert len(rows) == 4 * N
    there = {frozenset((r["source"], r["target"])) for r in tables()[1].to_pylist()}
    assert not any(frozenset((r["source"], r["target"])) in there or r["source"] == r["target"] for r in rows)
    scores = [float(r["score"]) for r in rows[:4]]
    assert scores == sorted(scores, reverse=True)


def test_nodes_without_features_get_vectors_and_strangers_a_reason(tmp_path: Path) -> None:
    nodes, edges = tables()
    out = tmp_path / "run"
    made = config(out, data={"feature_columns": []}, model={"arch_args": {"d": 16}, "node_vectors": 8}, fit={"baselines": False})
    result = run(made, tables=(nodes, edges), progress=QUIET)
    assert any("learned vector" in note for note in result.notes) or result.facts.features == 0
    predictor = GraphPredictor.load(out)
    assert predictor.ids is not None and predictor.ids.to_pylist() == nodes["id"].to_pylist()
    stranger = pa.concat_tables(
        [
            nodes.slice(0, 5),
            pa.table({k: v for k, v in zip(nodes.column_names, [["new"], ["t0"], [""], [1.0], ["u"], [1.0]], strict=True)}),
        ]
    )
    import pyarrow.csv as pc

    pc.write_csv(stranger, tmp_path / "n.csv")
    pc.write_csv(edges, tmp_path / "e.csv")
    predict(
        GraphPredictConfig(model_path=out, data_path=tmp_path / "n.csv", edges=tmp_path / "e.csv", output_path=tmp_path / "p.csv"),
        progress=QUIET,
    )
    rows = table_of(tmp_path / "p.csv")
    assert rows[5]["team_pred"] == "" and "has not seen this node" in rows[5]["reason"] and rows[0]["team_pred"] != ""


def test_numbers_of_nodes_and_columns_of_edges_are_predicted(tmp_path: Path) -> None:
    result = run(config(tmp_path / "a", data={"target_columns": ["age"]}, fit={"epochs": 60}), tables=tables(), progress=QUIET)
    assert result.kind == "regression" and result.metrics["test"]["mean"]["rmse"] < result.baselines["mean"].metrics["test"]["mean"]["rmse"]
    made = config(
        tmp_path / "b",
        data={"level": "edge", "target_columns": ["strength"], "splits_column": None},
        model={"arch_args": {"d": 8}, "ensemble_size": 2},
    )
    result = run(made, tables=tables(), progress=QUIET)
    assert result.level == "edge" and "ridge regression on both ends" in result.baselines and len(result.best_epochs) == 2
    assert "strength_std" in (tmp_path / "b" / "test_predictions.csv").read_text().splitlines()[0]


def test_what_does_not_fit_is_said_before_the_training(tmp_path: Path) -> None:
    both = tables()
    with pytest.raises(UsageError, match="--target-columns"):
        run(config(tmp_path / "a", data={"target_columns": []}), tables=both, progress=QUIET)
    with pytest.raises(DataError, match="did you mean 'team'"):
        run(config(tmp_path / "b", data={"target_columns": ["tem"]}), tables=both, progress=QUIET)
    with pytest.raises(UsageError, match="needs positions"):
        run(config(tmp_path / "c", model={"arch": "schnet"}), tables=both, progress=QUIET)
    with pytest.raises(UsageError, match="gps needs the whole graph"):
        run(config(tmp_path / "c", model={"arch": "gps", "num_neighbors": [2, 2], "arch_args": {}}), tables=both, progress=QUIET)
    with pytest.raises(UsageError, match="no edges"):
        run(config(tmp_path / "d"), progress=QUIET)
    with pytest.raises(HeliographError, match="is for links with relations"):
        run(link_config(tmp_path / "e", model={"decoder": "rotate"}), tables=both, progress=QUIET)
