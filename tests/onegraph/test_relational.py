"""Knowledge graphs and recommendation: decoders by their formulas, ranks by a naive loop, runs from tables."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from heliograph import zoo
from heliograph.blocks.decoders import DECODERS, GAMMA, Tails, decoder
from heliograph.data.graph_store import GraphStore
from heliograph.data.sources.items import Interactions
from heliograph.data.sources.triples import Known, Triples, inverse
from heliograph.errors import DataError
from heliograph.graph import Graph
from heliograph.learn.objectives.items import Items as ItemObjective
from heliograph.learn.objectives.triples import Triples as TripleObjective
from heliograph.learn.progress import Lines
from heliograph.model import Inputs
from heliograph.onegraph import GraphTrainConfig, run
from heliograph.onegraph.asked import GraphPredictConfig
from heliograph.onegraph.predict import predict
from heliograph.onegraph.relational import _judged, _popularity
from tests.chem.real import data

QUIET = Lines(lambda text: None)


def formula(name: str, h: np.ndarray, r: np.ndarray, t: np.ndarray) -> float:
    if name == "distmult":
        return float((h * r * t).sum())
    if name == "transe":
        return float(GAMMA - np.linalg.norm(h + r - t))
    hc, tc = (x[: len(x) // 2] + 1j * x[len(x) // 2 :] for x in (h, t))
    if name == "complex":
        rc = r[: len(r) // 2] + 1j * r[len(r) // 2 :]
        return float((hc * rc * tc.conj()).real.sum())
    return float(GAMMA - np.linalg.norm(hc * np.exp(1j * r) - tc))


@pytest.mark.parametrize("name", [name for name in DECODERS if name != "conve"])
def test_decoders_are_their_formulas(name: str) -> None:
    torch.manual_seed(0)
    n, R, d = 7, 4, 6
    readout = Tails(DECODERS[name](), R, d).double().eval()
    states = torch.randn(n, d, dtype=torch.double)
    asked = torch.tensor([[0, 1, 2], [6, 3, 0], [2, 0, 2]])
    graph = GraphStore.build(np.zeros((0, 2), np.int32), n).graph().with_nodes(h=states).with_asked(asked)
    y = readout(graph)["y"]
    table = readout.table.detach().numpy()  # type: ignore[union-attr]
    for q, (h, r, _) in enumerate(asked.tolist()):
        for t in range(n):
            assert y[q, t].item() == pytest.approx(formula(name, states[h].numpy(), table[r], states[t].numpy()), abs=1e-7)


def test_conve_is_its_formula() -> None:
    torch.manual_seed(0)
    readout = Tails(decoder("conve", 12), 4, 12).double()
    q: Any = readout.decoder
    for norm in (q.before, q.between, q.after):
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
    readout.eval()
    states, asked = torch.randn(7, 12, dtype=torch.double), torch.tensor([[0, 1, 2], [6, 3, 0]])
    graph = GraphStore.build(np.zeros((0, 2), np.int32), 7).graph().with_nodes(h=states).with_asked(asked)
    y = readout(graph)["y"]
    norm_of = lambda x, n: (x - n.running_mean.item()) / (n.running_var.item() + 1e-5) ** 0.5 * n.weight.item() + n.bias.item()  # noqa: E731
    for k, (h, r, _) in enumerate(asked.tolist()):
        picture = norm_of(torch.cat([states[h].view(3, 4), readout.table[r].view(3, 4)]), q.before)  # type: ignore[index]
        maps = []
        for f in range(32):
            found = torch.stack([
                (picture[i : i + 3, j : j + 3] * q.w.weight[f, 0]).sum() + q.w.bias[f] for i in range(4) for j in range(2)
            ])  # fmt: skip
            n = q.between
            maps.append(((found - n.running_mean[f]) / (n.running_var[f] + 1e-5) ** 0.5 * n.weight[f] + n.bias[f]).relu())
        v, n = q.W(torch.cat(maps)), q.after
        query = ((v - n.running_mean) / (n.running_var + 1e-5) ** 0.5 * n.weight + n.bias).relu()
        assert torch.allclose(y[k], states @ query, atol=1e-9)
    with pytest.raises(DataError, match="can't be 7"):
        decoder("conve", 7)


def toy(seed: int = 0, n: int = 40, R: int = 3, m: int = 400) -> np.ndarray:
    """Triples of a rule: relation r leads from node k to a node of block (k + r) mod 4."""
    random = np.random.default_rng(seed)
    h, r = random.integers(0, n, m), random.integers(0, R, m)
    t = 4 * random.integers(0, n // 4, m) + (h + r) % 4
    return np.unique(np.stack([h, r, t], axis=1), axis=0)


def test_what_is_known_leaves_the_ranking_and_nothing_else_does() -> None:
    triples, R, n = toy(), 3, 40
    known = Known(triples, R)
    asked = torch.from_numpy(np.concatenate([triples[:50], inverse(triples[:50], R)]))
    query, tail = known(asked)
    everything = {(h, r, t) for h, r, t in triples.tolist()} | {(t, r + R, h) for h, r, t in triples.tolist()}
    found = {(int(asked[q, 0]), int(asked[q, 1]), int(t), int(q)) for q, t in zip(query, tail, strict=True)}
    assert found == {(h, r, t, q) for q, (h, r, _) in enumerate(asked.tolist()) for t in range(n) if (h, r, t) in everything}


def test_a_batch_of_triples_is_asked_both_ways_and_leaves_the_graph() -> None:
    triples, R, n = toy(), 3, 40
    cut = len(triples) * 8 // 10
    parts = {"train": np.arange(cut), "val": np.arange(cut, len(triples)), "test": np.zeros(0, np.int64)}

    def make(rows: np.ndarray) -> GraphStore:
        return GraphStore.build(triples[rows][:, [0, 2]], n, directed=True, relation=triples[rows][:, 1], relations=R, origin=True)

    source = Triples(make, triples, parts, R)
    rows = np.arange(0, cut, 7)

    def edges(graph: Graph) -> set[tuple[int, int, int]]:
        t = graph.topology
        return set(zip(t.senders.tolist(), graph.edges["edge_attr"].index.tolist(), t.receivers.tolist(), strict=True))  # type: ignore[union-attr]

    seen = edges(source.batch(rows, 3))
    rest = triples[np.setdiff1d(np.arange(cut), rows)]
    assert seen == {tuple(x) for x in np.concatenate([rest, inverse(rest, R)]).tolist()}
    for part in ("train", "val"):
        graph = source.batch(parts[part], None)
        train = triples[:cut]
        assert edges(graph) == {tuple(x) for x in np.concatenate([train, inverse(train, R)]).tolist()}
        assert (
            graph.asked is not None
            and graph.asked.tolist() == np.concatenate([triples[parts[part]], inverse(triples[parts[part]], R)]).tolist()
        )


def test_both_directions_are_ranked_as_a_naive_loop_does() -> None:
    triples, R, n = toy(), 3, 40
    parts = {"train": np.arange(200), "val": np.arange(200, len(triples)), "test": np.zeros(0, np.int64)}
    source = Triples(lambda rows: GraphStore.build(np.zeros((0, 2), np.int32), n), triples, parts, R, messages=False)
    scores = torch.randint(0, 6, (2 * R, n, n), generator=torch.Generator().manual_seed(0)).float()  # with ties

    class Fixed(torch.nn.Module):
        def forward(self, graph: Graph) -> dict[str, torch.Tensor]:
            asked = graph.asked
            assert asked is not None
            return {"y": scores[asked[:, 1], asked[:, 0]], "cubes": torch.zeros(len(asked))}

    rows = parts["val"][:20]
    objective = TripleObjective(Known(triples, R))
    found = objective.outputs(Fixed().eval(), source.batch(rows, None), source.targets(rows))["rank"]  # type: ignore[arg-type]
    true = {tuple(x) for x in np.concatenate([triples, inverse(triples, R)]).tolist()}
    for k, row in enumerate(rows):
        h, r, t = triples[row].tolist()
        for column, (a, b, c) in enumerate(((h, r, t), (t, r + R, h))):
            others = [float(scores[b, a, x]) for x in range(n) if x != c and (a, b, x) not in true]
            own = float(scores[b, a, c])
            assert float(found[k, column]) == 1 + sum(s > own for s in others) + sum(s == own for s in others) / 2


def table_of(triples: np.ndarray) -> pa.Table:
    random = np.random.default_rng(1)
    split = random.choice(["train", "val", "test"], len(triples), p=[0.8, 0.1, 0.1])
    return pa.table({"head": [f"e{k}" for k in triples[:, 0]], "relation": [f"r{k}" for k in triples[:, 1]],
                     "tail": [f"e{k}" for k in triples[:, 2]], "split": split})  # fmt: skip


def config(out: Path, **groups: Any) -> GraphTrainConfig:
    data = {"level": "link", "relation_column": "relation", "splits_column": "split"} | groups.pop("data", {})
    return GraphTrainConfig.model_validate({"data": data, "output_dir": out, **groups})


@pytest.mark.parametrize("arch", ["none", "compgcn"])
def test_a_table_of_triples_becomes_a_model_that_ranks(tmp_path: Path, arch: str) -> None:
    table = table_of(toy(m=900))
    model = {"arch": arch, "node_vectors": 16, "decoder": "complex"} | ({"arch_args": {"d": 16}} if arch != "none" else {})
    result = run(
        config(tmp_path / "run", model=model, fit={"epochs": 25, "batch_size": 64}),
        tables=(None, table),
        progress=QUIET,
    )
    assert result.kind == "triples" and result.facts.relations == 3
    mrr = result.metrics["test"]["mean"]["mrr"]
    assert mrr > 0.3 > result.baselines["frequency of the tail"].metrics["test"]["mean"]["mrr"]
    assert ("complex alone" in result.baselines) == (arch == "compgcn")
    import pyarrow.csv as pc

    pc.write_csv(table, tmp_path / "triples.csv")
    (tmp_path / "asked.csv").write_text("head,relation,tail\ne0,r0,e4\ne1,r9,e2\n")
    asked = GraphPredictConfig(
        model_path=tmp_path / "run" / "model.safetensors",
        edges=tmp_path / "triples.csv",
        pairs=tmp_path / "asked.csv",
        output_path=tmp_path / "ranked.csv",
    )
    predict(asked, progress=QUIET)
    with open(tmp_path / "ranked.csv") as file:
        rows = list(csv.DictReader(file))
    assert 1 <= float(rows[0]["rank"]) <= 40 and rows[1]["reason"] == "relation is not in the graph"
    best = asked.model_copy(update={"pairs": None, "top_k": 5, "for_": tmp_path / "asked.csv", "output_path": tmp_path / "best.csv"})
    predict(best, progress=QUIET)
    there = {(r["head"], r["relation"], r["tail"]) for r in table.to_pylist()}
    with open(tmp_path / "best.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 and not any((r["head"], r["relation"], r["tail"]) in there for r in rows)
    assert sum(int(r["tail"][1:]) % 4 == 0 for r in rows) >= 3  # relation r0 leads from e0 to nodes of block 0


def bought(seed: int = 0, users: int = 60, items: int = 50, each: int = 12) -> np.ndarray:
    """Users and items of two tastes."""
    random = np.random.default_rng(seed)
    rows = []
    for u in range(users):
        liked = [i for i in range(items) if (i + u) % 2 == 0 or random.random() < 0.1]
        rows += [(u, users + i) for i in random.choice(liked, each, replace=False)]
    return random.permutation(np.array(rows))


def test_lists_are_judged_as_a_naive_loop_does() -> None:
    ends = bought()
    parts = dict(zip(("train", "val", "test"), np.split(np.arange(len(ends)), [500, 600]), strict=True))
    source = Interactions(lambda rows: GraphStore.build(ends[rows], 110, origin=True), ends, parts, 60)
    objective = ItemObjective(source.items, source.M, source.U)
    y = torch.randn(len(source.rows["test"]), 50, generator=torch.Generator().manual_seed(0))
    found = objective.lists(y, source.rows["test"])
    for row, (number, scores) in enumerate(zip(source.rows["test"], y, strict=True)):
        user = (number - source.M) % source.U
        had = {int(i) - 60 for u, i in ends[:600] if u == user}
        right = {int(i) - 60 for u, i in ends[600:] if u == user}
        best = [int(i) for i in scores.argsort(descending=True) if int(i) not in had][:20]
        gain = sum(1 / np.log2(k + 2) for k, i in enumerate(best) if i in right)
        assert float(found["recall"][row]) == pytest.approx(len(right & set(best)) / len(right))
        assert float(found["ndcg"][row]) == pytest.approx(gain / sum(1 / np.log2(k + 2) for k in range(len(right))))
    assert _popularity(source).tolist() == [float((ends[:500, 1] == 60 + i).sum()) for i in range(50)]
    rows = source.rows["train"][:40]
    asked = source.batch(rows, 2).asked
    assert asked is not None and asked[:40].tolist() == ends[rows].tolist()
    train = {tuple(e) for e in ends[:500].tolist()}
    assert not any(tuple(pair) in train for pair in asked[40:].tolist()) and asked[40:, 0].tolist() == ends[rows, 0].tolist()


@pytest.mark.slow
def test_popularity_on_gowalla_is_what_a_loop_over_users_gave() -> None:
    """Recall@20 .0416 and NDCG@20 .0317 on LightGCN's split, by a program of its own (2026-11-30)."""
    z = np.load(data("recsys/gowalla.npz"))
    U = int(z["n_users"])
    train, test = (
        np.stack([np.repeat(np.arange(U), np.diff(z[f"{part}_indptr"])), U + z[f"{part}_items"].astype(np.int64)], 1)
        for part in ("train", "test")
    )
    rows, n = np.concatenate([train, test]), U + int(z["n_items"])
    parts = {"train": np.arange(len(train)), "val": np.zeros(0, np.int64), "test": np.arange(len(train), len(rows))}
    source = Interactions(lambda part: GraphStore.build(rows[part], n, origin=True), rows, parts, U)
    popular = _popularity(source)
    judged = _judged(lambda users: popular[None].repeat(len(users), 0), source, ItemObjective(source.items, source.M, U))
    found = judged.metrics["test"]["mean"]
    assert (round(found["recall@20"], 4), round(found["ndcg@20"], 4)) == (0.0416, 0.0317)


def test_a_table_of_purchases_becomes_lists(tmp_path: Path) -> None:
    ends = bought()
    table = pa.table({"user": [f"{u}" for u in ends[:, 0]], "item": [f"{i - 60}" for i in ends[:, 1]]})  # ids of both sides overlap
    made = config(tmp_path / "run", data={"relation_column": None, "splits_column": None, "bipartite": True},
                  model={"node_vectors": 16, "arch_args": {"d": 16}}, fit={"epochs": 15, "batch_size": 128})  # fmt: skip
    result = run(made, tables=(None, table), progress=QUIET)
    popular = result.baselines["popularity"].metrics["test"]["mean"]["recall@20"]
    assert result.kind == "items" and result.metrics["test"]["mean"]["recall@20"] > popular + 0.1 and "item-item" in result.baselines
    import pyarrow.csv as pc

    pc.write_csv(table, tmp_path / "bought.csv")
    best = GraphPredictConfig(model_path=tmp_path / "run", edges=tmp_path / "bought.csv", top_k=3, output_path=tmp_path / "best.csv")
    predict(best, progress=QUIET)
    with open(tmp_path / "best.csv") as file:
        rows = list(csv.DictReader(file))
    had = {(r["user"], r["item"]) for r in table.to_pylist()}
    assert len(rows) == 180 and not any((r["user"], r["item"]) in had for r in rows)


def test_lightgcn_is_that_of_pytorch_geometric() -> None:
    pytest.importorskip("torch_geometric")
    from torch_geometric.nn.conv import LGConv

    torch.manual_seed(0)
    store = GraphStore.build(bought(each=5), 110)
    model = zoo.build("lightgcn", Inputs(8, 1), 1, {"d": 8, "depth": 3}, level="node").eval()
    x = torch.randn(110, 8)
    t = store.graph().topology
    edges, conv, h, total = torch.stack([t.senders, t.receivers]), LGConv(), x, x / 4
    for _ in range(3):
        h = conv(h, edges)
        total = total + h / 4
    z = model.states(store.graph().with_nodes(x=x)).nodes["mean"]
    assert torch.allclose(z, total, atol=1e-6)  # type: ignore[arg-type]


def test_compgcn_is_its_equations() -> None:
    """A naive loop over edges, in float64; the correlation by its definition."""
    torch.manual_seed(0)
    triples, R, n, d = toy(n=12, m=40), 3, 12, 4
    store = GraphStore.build(
        triples[:, [0, 2]],
        n,
        directed=True,
        relation=triples[:, 1],
        relations=R,
        x=np.random.default_rng(0).normal(size=(n, 3)),
    )
    graph = store.graph()
    for how in ("mult", "sub", "corr"):
        model = zoo.build("compgcn", Inputs(3, 2 * R), 1, {"d": d, "composition": how}, level="node").double().eval()
        layer, start = model.layers[0], model.embed
        x = torch.as_tensor(store.columns["x"]).float().double()
        h, Z = start.embed.W(x), start.relations  # type: ignore[union-attr,operator]

        def compose(a: torch.Tensor, z: torch.Tensor, how: str = how) -> torch.Tensor:
            if how == "corr":
                return torch.stack([sum(a[i] * z[(i + k) % d] for i in range(d)) for k in range(d)])  # type: ignore[misc]
            return a * z if how == "mult" else a - z

        degree = torch.bincount(graph.topology.receivers, minlength=n).clamp(min=1).double()
        update, total = layer.update, torch.zeros(n, d, dtype=torch.double)  # type: ignore[union-attr]
        for s, r, i in zip(
            graph.topology.senders.tolist(),
            graph.edges["edge_attr"].index.tolist(),
            graph.topology.receivers.tolist(),
            strict=True,
        ):  # type: ignore[union-attr]
            W = update.W_in if r >= R else update.W_out  # type: ignore[union-attr]
            total[i] = total[i] + W(compose(h[s], Z[r])) / (degree[s] * degree[i]).sqrt()  # type: ignore[index,operator]
        own = torch.stack([update.W_loop(compose(h[i], update.loop[0])) for i in range(n)])  # type: ignore[union-attr,index,operator]
        assert torch.allclose(update.norm((total + own) / 3).tanh(), model.states(graph).nodes["h"], atol=1e-10)  # type: ignore[union-attr,operator,arg-type]
        assert torch.equal(model.states(graph).globals["relations"][0], Z)  # type: ignore[index,arg-type]
