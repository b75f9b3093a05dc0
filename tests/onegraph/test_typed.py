"""Several types of nodes and edges: a schema and its tables become one graph, and one model file."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.cli import main
from heliograph.data.formats.schema import read_schema
from heliograph.errors import DataError, UsageError
from heliograph.graph import dense
from heliograph.learn.progress import Lines
from heliograph.onegraph import GraphTrainConfig, run
from heliograph.onegraph.config import GraphDataConfig
from heliograph.onegraph.data import load
from heliograph.onegraph.predictor import GraphPredictor
from heliograph.onegraph.result import GraphResult

QUIET = Lines(lambda text: None)
USERS, ITEMS, TOWNS = 90, 40, 6


def save(path: Path, rows: list[list[Any]]) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def shop(folder: Path, seed: int = 0) -> Path:
    """Users like what their group likes; the ids of users and of items are the same numbers. Some rows are of no use."""
    random = np.random.default_rng(seed)
    group, colour = random.integers(0, 2, USERS), random.integers(0, 2, ITEMS)
    users = [[k, round(30 + random.normal(), 2), "yes" if group[k] else "no", random.choice(["train", "train", "val", "test"])]
             for k in random.permutation(USERS)]  # fmt: skip
    save(folder / "users.csv", [["id", "age", "churn", "part"], *users, ["", "1", "no", "train"], ["0", "1", "no", "train"]])
    save(folder / "items.csv", [["id", "price", "kind"], *([k, round(random.normal(), 2), "ab"[colour[k]]] for k in range(ITEMS))])
    pairs = [(u, i) for u in range(USERS) for i in random.choice(ITEMS, 8, replace=False)]
    sales = [[u, i, 1] for u, i in pairs if colour[i] == group[u] or random.random() < 0.1]
    save(folder / "sales.csv", [["customer", "product", "n"], *sales, ["nobody", 1, 1], ["1", "nothing", 1], sales[0]])
    save(folder / "homes.csv", [["src", "dst"], *([k, f"town {k % TOWNS}"] for k in range(USERS))])
    (folder / "shop.toml").write_text(
        '[nodes.user]\npath = "users.csv"\n[nodes.item]\npath = "items.csv"\n[nodes.town]\n'
        '[edges.buys]\npath = "sales.csv"\nfrom = "user"\nto = "item"\ncolumns = ["customer", "product"]\n'
        '[edges.lives]\npath = "homes.csv"\nfrom = "user"\nto = "town"\n'
    )
    return folder / "shop.toml"


def config(schema: Path, out: Path, **groups: Any) -> GraphTrainConfig:
    data = {"data_path": schema, "target_columns": ["user.churn"], "splits_column": "user.part"} | groups.pop("data", {})
    fit = {"epochs": 60} | groups.pop("fit", {})
    return GraphTrainConfig.model_validate({"data": data, "fit": fit, "output_dir": out, **groups})


def test_tables_of_several_types_are_one_graph_of_relations(tmp_path: Path) -> None:
    schema = shop(tmp_path)
    graph = load(GraphDataConfig(data_path=schema, target_columns=("user.churn",), splits_column="part"), (schema, None))
    assert graph.N == USERS + ITEMS + TOWNS and graph.begins == (0, USERS, USERS + ITEMS, graph.N)
    assert graph.encoders.width == 3 + 1 + 3 and graph.encoders.learned == ("town",)  # types, age, price and two kinds
    x = graph.store.columns["x"]
    assert (x[:, :3].argmax(1) == np.repeat([0, 1, 2], [USERS, ITEMS, TOWNS])).all() and (x[:USERS, 4:] == 0).all()
    assert graph.reasons["edges.buys"] == {"an end is not in nodes.user": 1, "an end is not in nodes.item": 1}
    assert graph.reasons["edges"] == {"an edge that came before": 1}
    assert graph.reasons["nodes.user"] == {"no id": 1, "an id that came before": 1}
    names = graph.names.to_pylist()
    assert len(set(names)) == graph.N and names[graph.begins[1]] == "item:0"
    whole = graph.store.graph()
    t, relation = whole.topology, whole.edges["edge_attr"].index  # type: ignore[union-attr]
    kind = np.repeat([0, 1, 2], [USERS, ITEMS, TOWNS])
    between = {(int(r), int(kind[j]), int(kind[i])) for r, j, i in zip(relation, t.senders, t.receivers, strict=True)}
    assert between == {(0, 0, 1), (1, 0, 2), (2, 1, 0), (3, 2, 0)}  # and the inverse relations
    sold = {(f"user:{r['customer']}", f"item:{r['product']}") for r in rows_of(tmp_path / "sales.csv")}
    found = {(names[int(j)], names[int(i)]) for r, j, i in zip(relation, t.senders, t.receivers, strict=True) if r == 0}
    assert found == {pair for pair in sold if "nobody" not in pair[0] and "nothing" not in pair[1]}
    assert dense(whole.nodes["id"]).tolist() == [-1] * (USERS + ITEMS) + list(range(TOWNS))


@pytest.mark.parametrize("arch", ["rgcn", "compgcn", "sage"])
def test_a_column_of_one_type_is_learned_from_all_types(tmp_path: Path, arch: str) -> None:
    result = run(config(shop(tmp_path), tmp_path / "run", model={"arch": arch, "arch_args": {"d": 64}}), progress=QUIET)
    accuracy = {name: b.metrics["test"]["mean"]["accuracy"] for name, b in result.baselines.items()}
    assert result.metrics["test"]["mean"]["accuracy"] > accuracy["majority"] + 0.2
    assert any("does not see of which relation" in note for note in result.notes) == (arch == "sage")
    assert result.facts.relations == 2 and result.facts.nodes == USERS + ITEMS + TOWNS


def test_a_schema_on_the_command_line_becomes_a_model_that_predicts_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema, out, elsewhere = shop(tmp_path), tmp_path / "run", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for args in (
        ["train", str(schema), "--target-columns", "user.churn", "--splits-column", "user.part", "--epochs", "30", "-o", str(out)],
        ["predict", str(out), "-o", str(tmp_path / "here.csv")],
    ):
        with pytest.raises(SystemExit) as end:
            main(args)
        assert end.value.code == 0, capsys.readouterr().err
    for name in ("users.csv", "items.csv", "sales.csv", "homes.csv", "shop.toml"):
        shutil.copy(tmp_path / name, elsewhere)
    with open(elsewhere / "homes.csv", "a") as file:
        file.write("3,a new town\n")
    shutil.copy(out / "model.safetensors", elsewhere)
    with pytest.raises(SystemExit) as end:
        main(["predict", str(elsewhere / "model.safetensors"), str(elsewhere / "shop.toml"), "-o", str(tmp_path / "there.csv"), "-q"])
    assert end.value.code == 0, capsys.readouterr().err
    here, there = (rows_of(tmp_path / name) for name in ("here.csv", "there.csv"))
    assert len(here) == USERS + 2 and [r["reason"] for r in here[-2:]] == ["no id", "an id that came before"]
    assert here[0].keys() == there[0].keys() and all(r["churn_pred"] in ("yes", "no") for r in there[:USERS])
    same = [a["churn_p_yes"] == b["churn_p_yes"] for a, b in zip(here, there, strict=True) if a["id"] != "3"]
    assert np.mean(same) > 0.5  # the new town has changed its users' neighbours, and theirs
    assert GraphResult.load(out).facts.reasons["nodes.user"] and "churn" in (out / "report.html").read_text()
    known = {r["id"]: r for r in here[:USERS]}
    assert all(known[r["id"]]["churn_p_yes"] == r["churn_p_yes"] for r in rows_of(out / "test_predictions.csv"))


def test_several_types_are_sampled(tmp_path: Path) -> None:
    model, fit = {"num_neighbors": [4, 4], "arch_args": {"d": 8}}, {"epochs": 3, "baselines": False}
    made = config(shop(tmp_path), tmp_path / "run", model=model, fit=fit)
    assert run(made, progress=QUIET).metrics["test"]["mean"]["accuracy"] > 0
    assert GraphPredictor.load(tmp_path / "run").encoders.target == "user"


def test_what_a_schema_gets_wrong_is_said(tmp_path: Path) -> None:
    schema = shop(tmp_path)
    good = schema.read_text()
    for text, said in (
        (good.replace('to = "town"', 'to = "twon"'), "did you mean 'town'"),
        (good.replace("[nodes.town]", "[node.town]"), "did you mean 'nodes'"),
        (good.replace('from = "user"\nto = "item"', 'to = "item"'), "lacks 'from'"),
        (good.replace("columns =", "colums ="), "did you mean 'columns'"),
        (good.replace("[nodes.town]", '[nodes."a:b"]'), "can't name a type"),
        (good + "=", "no TOML"),
        (good.replace("users.csv", "absent.csv"), "no such file"),
    ):
        schema.write_text(text)
        with pytest.raises(DataError, match=said):
            load(GraphDataConfig(target_columns=("user.churn",)), (read_schema(schema), None))
    schema.write_text(good)
    several = ("user.churn", "item.price")
    for columns, said in ((("churn",), "TYPE.COLUMN"), (("usr.churn",), "did you mean 'user'"), (several, "TYPE.COLUMN")):
        with pytest.raises(UsageError, match=said):
            run(config(schema, tmp_path / "a", data={"target_columns": columns}), progress=QUIET)
    with pytest.raises(DataError, match="no column 'curn'"):
        run(config(schema, tmp_path / "a", data={"target_columns": ["user.curn"]}), progress=QUIET)
    with pytest.raises(DataError, match="have no table"):
        run(config(schema, tmp_path / "a", data={"target_columns": ["town.size"]}), progress=QUIET)
    with pytest.raises(UsageError, match="leave the other options of tables out"):
        run(config(schema, tmp_path / "a", data={"edges": "e.csv"}), progress=QUIET)


def test_hetero_data_comes_in_and_goes_out_as_it_was(tmp_path: Path) -> None:
    import torch
    from torch_geometric.data import HeteroData

    from heliograph.onegraph.convert import schema_of, to_hetero
    from heliograph.onegraph.estimators import NodeClassifier

    random = np.random.default_rng(0)
    area = random.integers(0, 2, 60)
    given = HeteroData()
    given["author"].num_nodes, given["paper"].x = 60, torch.from_numpy(random.normal(size=(80, 3)).astype(np.float32))
    of = area[random.integers(0, 60, 80)]
    pairs = np.array([(a, p) for p in range(80) for a in random.choice(np.flatnonzero(area == of[p]), 3, replace=False)]).T
    given["paper"].x[:, 0] += torch.from_numpy(of.astype(np.float32)) * 3
    given["author", "writes", "paper"].edge_index = torch.from_numpy(pairs)
    given["paper", "rev_writes", "author"].edge_index = torch.from_numpy(pairs[::-1].copy())
    graph = load(GraphDataConfig(level="link"), (schema_of(given), None))
    assert graph.encoders.relations == ("writes",) and any("the other way" in note for note in graph.notes)
    back = to_hetero(graph)
    assert back.node_types == given.node_types and back["author"].num_nodes == 60
    assert torch.equal(back["author", "writes", "paper"].edge_index, given["author", "writes", "paper"].edge_index)
    assert torch.equal(back["paper"].x, given["paper"].x)
    y = np.where(random.random(60) < 0.5, area, -1)
    model = NodeClassifier(arch_args={"d": 16}, epochs=40, validation_fraction=0).fit(given, {"author": y})
    assert (model.predict(given) == area)[y < 0].mean() > 0.8
    with pytest.raises(DataError, match="of the type 'reader'"):
        NodeClassifier().fit(given, {"reader": y})


@pytest.mark.parametrize("arch", ["none", "compgcn"])
def test_links_of_several_types_are_ranked_among_nodes_of_the_right_type(tmp_path: Path, arch: str) -> None:
    schema = shop(tmp_path)
    data = {"level": "link", "target_columns": [], "splits_column": None}
    made = config(schema, tmp_path / "run", data=data, model={"arch": arch, "node_vectors": 16, "decoder": "distmult"}, fit={"epochs": 3})
    result = run(made, progress=QUIET)
    assert result.metrics["test"]["mean"]["mean_rank"] < USERS and any("of the type asked for" in note for note in result.notes)
    predictor = GraphPredictor.load(tmp_path / "run")
    graph = load(GraphDataConfig(level="link"), (schema, None), encoders=predictor.encoders)
    y = predictor.of_pairs(predictor.placed(graph)[0], np.array([[0, 0, USERS], [0, 1, graph.N - 1], [USERS, 2, 0]]))[0]
    finite = y.isfinite().numpy()
    kinds = np.repeat([0, 1, 2], [USERS, ITEMS, TOWNS])
    assert (finite == (kinds == np.array([[1], [2], [0]]))).all()  # items, towns, and back to users
    for name, rows in (("pairs.csv", ["7,buys,7", "7,lives,town 1", "7,lives,7", "7,eats,7"]), ("for.csv", ["7,buys,", "7,lives,"])):
        (tmp_path / name).write_text("\n".join(["head,relation,tail", *rows]) + "\n")
    for args in (["--pairs", "pairs.csv"], ["--top-k", "3", "--for", "for.csv"]):
        with pytest.raises(SystemExit) as end:
            main(["predict", str(tmp_path / "run"), *(str(tmp_path / a) if "." in a else a for a in args), "-q", "--overwrite",
                  "-o", str(tmp_path / "out.csv")])  # fmt: skip
        assert end.value.code == 0
        rows_ = rows_of(tmp_path / "out.csv")
        if args[0] == "--pairs":
            assert [bool(r["score"]) for r in rows_] == [True, True, False, False] and "tail is not" in rows_[2]["reason"]
        else:
            assert [r["tail"].startswith("town") for r in rows_] == [False] * 3 + [True] * 3
