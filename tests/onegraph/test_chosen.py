"""Samplers that draw among some edges: so many of each relation, and never one after the seed's time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import csv

from heliograph import zoo
from heliograph.data.graph_store import GraphStore
from heliograph.data.sources.one_graph import Links
from heliograph.errors import DataError, UsageError
from heliograph.model import Inputs
from heliograph.onegraph import GraphTrainConfig, run, times
from heliograph.onegraph.predict import GraphPredictConfig, predict
from heliograph.sampling import Before, PerRelation
from tests.onegraph.test_run import QUIET, link_config
from tests.onegraph.test_typed import shop


def stored(n: int = 30, m: int = 400, seed: int = 0) -> GraphStore:
    """Three relations; edges with times 0 to 9."""
    random = np.random.default_rng(seed)
    ends, relation = random.integers(0, n, (m, 2)), random.integers(0, 3, m)
    x = random.normal(size=(n, 4)).astype(np.float32)
    made = GraphStore.build(ends, n, x=x, relation=relation, relations=3, directed=True, origin=True)
    return made.with_columns(time=random.integers(0, 10, m).astype(float)[made.columns["edge"]])


def test_so_many_of_each_relation_each_equally_likely() -> None:
    s, node, draw = stored(), np.array([7]), PerRelation((2,), {1: 3, 4: 0})
    relation = s.columns["relation"][s.columns["indptr"][7] : s.columns["indptr"][8]]
    expected = np.minimum(np.bincount(relation, minlength=6), [2, 3, 2, 2, 0, 2])
    seen, sums = np.zeros(s.E), []
    x = s.columns["x"][:, 0]
    for key in range(2000):
        sample = draw.draw(s, node, key)
        assert (np.bincount(s.columns["relation"][sample.edges], minlength=6) == expected).all()
        seen[sample.edges] += 1
        sums.append((sample.weight * x[sample.nodes[sample.senders]]).sum())  # type: ignore[operator]
    own = np.arange(s.columns["indptr"][7], s.columns["indptr"][8])
    p = expected[relation] / np.bincount(relation, minlength=6)[relation]
    assert (np.abs(seen[own] / 2000 - p) < 4.5 * np.sqrt(p * (1 - p) / 2000) + 1e-9).all()
    truth = x[s.columns["indices"][own[p > 0]]].sum()
    assert abs(np.mean(sums) - truth) < 4 * np.std(sums) / 2000**0.5


def test_all_of_each_relation_are_the_whole_graph() -> None:
    s, seeds = stored(), np.array([3, 11, 20])
    torch.manual_seed(0)
    model = zoo.build("rgcn", Inputs(4, 6), 2, {"d": 8, "depth": 2}, level="node").double().eval()
    assert torch.allclose(model(PerRelation((-1, -1))(s, seeds, 0))["y"], model(s.graph())["y"][seeds], atol=1e-12)


def test_no_edge_at_or_after_the_seeds_time_is_seen() -> None:
    s, random = stored(), np.random.default_rng(1)
    seeds, when = random.integers(0, 30, 40), random.integers(0, 11, 40).astype(float)
    sample = Before((4, 3)).draw(s, seeds, when, 5)
    of_seed = np.full(len(sample.nodes), -1)
    of_seed[:40] = np.arange(40)
    for sender, receiver in zip(sample.senders, sample.receivers, strict=True):
        of_seed[sender] = of_seed[receiver]
    assert (of_seed >= 0).all() and len(sample.edges) > 100
    assert (s.columns["time"][sample.edges] < when[of_seed[sample.receivers]]).all()
    for place, node in enumerate(sample.nodes):  # degrees of that time, too: later edges change no normalisation
        run_ = slice(s.columns["indptr"][node], s.columns["indptr"][node + 1])
        assert sample.degree[place] == (s.columns["time"][run_] < when[of_seed[place]]).sum()  # type: ignore[index]


@pytest.mark.parametrize("arch", ["gcn", "sage"])
def test_all_of_the_past_is_the_graph_of_that_time(arch: str) -> None:
    s, seeds = stored(), np.array([3, 11, 3])
    torch.manual_seed(0)
    model = zoo.build(arch, Inputs(4, 6), 2, {"d": 8, "depth": 2}, level="node").double().eval()
    found = model(Before((-1, -1))(s, seeds, np.array([4.0, 6.0, 6.0]), 0))["y"]
    for row, (node, when) in enumerate(zip(seeds, (4, 6, 6), strict=True)):
        assert torch.allclose(found[row], model(s.graph(s.columns["time"] < when))["y"][node], atol=1e-12)


def test_times_are_numbers_or_dates() -> None:
    assert times.read(pa.array(["3", "", "1e2", "x"])).tolist()[::2] == [3.0, 100.0]
    dates = times.read(pa.array(["1970-01-02", "1970-01-01 00:01:00"]))
    assert dates.tolist() == [86400.0, 60.0]
    assert np.isnan(times.read(pa.array(["1970-01-02", "soon"]))).tolist() == [False, True]
    parts = times.parts(np.array([1.0, 2, 2, 3, 3, 3, 3, 4, 5, 5]), (0.6, 0.2, 0.2))
    assert [len(parts[p]) for p in ("train", "val", "test")] == [3, 5, 2]
    with pytest.raises(DataError, match="too few different times"):
        times.parts(np.ones(5), (0.8, 0.1, 0.1))


def calls() -> pa.Table:
    """Calls within two camps, in no order."""
    draw = np.random.default_rng(0)
    a, b = draw.integers(0, 60, (2, 600))
    b = np.where((a + b) % 2 == 0, b, (b + 1) % 60)
    a, b = a[a != b], b[a != b]
    order = draw.permutation(len(a))
    names = np.array([f"n{k}" for k in range(60)])
    day = np.arange(len(a)) // 20
    return pa.table({"source": names[a[order]], "target": names[b[order]], "when": [f"2024-03-{d + 1:02d}" for d in day[order]]})


def test_a_training_link_is_asked_from_what_came_before_it() -> None:
    random = np.random.default_rng(0)
    ends, when = random.integers(0, 20, (200, 2)), np.sort(random.integers(0, 50, 200)).astype(float)
    parts = {"train": np.arange(160), "val": np.arange(160, 180), "test": np.arange(180, 200)}
    make = lambda rows: GraphStore.build(ends[rows], 20, x=np.zeros((20, 1), np.float32), origin=True)  # noqa: E731
    source = Links(make, ends, parts, negatives=2, seed=0, times=when, before=Before((-1, -1)))
    for row in (0, 30, 159):
        graph = source.batch(np.array([row]), 3)
        assert graph.asked is not None and len(graph.asked) == 3  # the link and two pairs without one, all at its time
        assert (graph.nodes["id"][graph.asked[0]].numpy() == ends[row]).all()  # type: ignore[index]
        seen = when[graph.edges["row"].numpy()]  # type: ignore[union-attr]
        assert (seen < when[row]).all() and (len(seen) > 0 or row == 0)


def test_links_are_learned_from_their_past(tmp_path: Path) -> None:
    table, file = calls(), tmp_path / "calls.csv"
    csv.write_csv(table, file)
    camp = pa.table({"id": [f"n{k}" for k in range(60)], "f": [k % 2 + 0.01 * k for k in range(60)]})
    csv.write_csv(camp, tmp_path / "people.csv")
    people = str(tmp_path / "people.csv")

    def trained(name: str, **model: Any) -> Any:
        made = link_config(
            tmp_path / name, data={"data_path": people, "edges": str(file), "time_column": "when", "feature_columns": ["f"]},
            model={"arch": "sage", "arch_args": {"d": 16}, "num_neighbors": (5, 3), "ensemble_size": 1, **model}, fit={"epochs": 20},
        )  # fmt: skip
        return run(made, progress=QUIET)

    result = trained("a")
    assert result.metrics["test"]["mean"]["roc_auc"] > 0.58
    days, rows = table["when"].to_pylist(), json.loads((tmp_path / "a" / "splits.json").read_text())
    train, val, test = ({days[r] for r in rows[part]} for part in ("train", "val", "test"))
    assert max(train) < min(val) and max(val) < min(test)
    asked = tmp_path / "pairs.csv"
    asked.write_text("source,target\nn1,n3\nn1,n2\n")
    predict(GraphPredictConfig(model_path=tmp_path / "a", pairs=asked, output_path=tmp_path / "p.csv"), progress=QUIET)
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 3
    with pytest.raises(UsageError, match="--time-column"):
        trained("b", sampler="ladies", num_neighbors=None)


def test_relations_have_fan_outs_of_their_own_in_a_training(tmp_path: Path) -> None:
    schema = shop(tmp_path)
    made = GraphTrainConfig.model_validate({
        "data": {"data_path": str(schema), "target_columns": ["user.churn"]}, "output_dir": tmp_path / "run",
        "model": {"arch": "rgcn", "arch_args": {"d": 8}, "num_neighbors": [3, 2], "relation_neighbors": {"buys": 1}}, "fit": {"epochs": 2},
    })  # fmt: skip
    result = run(made, progress=QUIET)
    assert any("of each relation (1 buys)" in note for note in result.notes)
    wrong = made.model.model_copy(update={"relation_neighbors": {"sells": 1}})
    with pytest.raises(UsageError, match="no such relation"):
        run(made.model_copy(update={"model": wrong, "output_dir": tmp_path / "b"}), progress=QUIET)
