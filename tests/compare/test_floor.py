"""The floor on tables where it is known, against refinements that nobody here wrote, and no bounded network below it."""

from __future__ import annotations

import csv
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median

import networkx
import numpy as np
import pytest
import torch
from torch import nn

from heliograph import zoo
from heliograph.batching import batch
from heliograph.compare.floor import Classes, Floor, floors, graph_classes, rounds_seen, structure_classes
from heliograph.graph import Graph, dense
from heliograph.learn.task import Task
from heliograph.model import Inputs
from heliograph.views import Concatenate, RandomWalks
from tests.compare.sets import CHIRAL, PLAIN, cubic_graphs, mirror_images, noisy_duplicates, store, trained, whole
from tests.core.test_wl import BOUNDED
from tests.graphs import awkward, make_tables, random_graph

ONE = Task("regression", ("y",))
EXACT = {"rel": 1e-12, "abs": 1e-12}


def errors(floor: Floor) -> tuple[float, float]:
    return floor.metrics["mean"]["rmse"], floor.metrics["mean"]["mae"]


def by_hand(keys: Iterable[Hashable], y: Iterable[float]) -> tuple[float, float]:
    """RMSE and MAE of the best constants, in plain Python."""
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for key, value in zip(keys, y, strict=True):
        groups[key].append(float(value))
    squares = [(v - mean(values)) ** 2 for values in groups.values() for v in values]
    sizes = [abs(v - median(values)) for values in groups.values() for v in values]
    return math.sqrt(mean(squares)), mean(sizes)


# ---- tables whose floor is known ----------------------------------------------------------------------------------


def test_labels_that_differ_by_chirality_alone() -> None:
    smiles, y, gap = mirror_images()
    found = floors(graph_classes(whole(store(smiles))), ONE, y[:, None])
    expected = math.sqrt((gap**2 / 2).sum() / len(y)), gap.sum() / len(y)  # of a pair: twice (gap / 2)^2, and the gap
    for floor in found[1:]:
        assert errors(floor) == pytest.approx(expected, **EXACT)
        assert (floor.shared, floor.rows) == (len(gap), 2 * len(gap))
    for floor in floors(graph_classes(whole(store(smiles, CHIRAL))), ONE, y[:, None]):
        assert errors(floor) == pytest.approx((0, 0), abs=1e-12)


def test_triangles_of_regular_graphs() -> None:
    graph, y = cubic_graphs()
    classes = graph_classes(graph)
    assert len(classes.number) == 1 and classes.settled  # no round splits what is alike everywhere
    (floor,) = floors(classes, ONE, y[:, None])
    assert errors(floor) == pytest.approx(by_hand(graph.topology.n_node.tolist(), y), **EXACT) and floor.classes == 2
    assert errors(floor)[0] > 0.5


def test_noise_added_to_duplicates() -> None:
    smiles, y = noisy_duplicates()
    molecules = store(smiles)
    expected = by_hand(molecules.smiles, y)
    assert len(set(molecules.smiles)) < len(set(smiles)) and expected[0] > 0.3
    assert errors(floors(graph_classes(whole(molecules)), ONE, y[:, None])[-1]) == pytest.approx(expected, **EXACT)
    assert errors(floors(structure_classes(molecules.smiles), ONE, y[:, None])[0]) == pytest.approx(expected, **EXACT)


def test_classes_of_labels() -> None:
    """Of two colours, one has labels 1 1 0 and one 0 0 1 1: the ceiling is worked out by hand."""
    classes = Classes(np.array([[0, 0, 0, 1, 1, 1, 1]]), True)
    y = np.array([[1.0, 1, 0, 0, 0, 1, 1]]).T
    (floor,) = floors(classes, Task("binary", ("y",), (), (("0", "1"),)), y)
    # ones 2 + 2, zeros 1 + 2: within a colour 2 * 1 and 2 * 2 pairs count half, ones of the first against zeros of the second whole
    assert floor.metrics["y"]["roc_auc"] == pytest.approx((0.5 * 2 + 0.5 * 4 + 2 * 2) / 12, **EXACT)
    assert floor.metrics["y"]["accuracy"] == pytest.approx((2 + 2) / 7, **EXACT)
    entropy = -(2 * math.log(2 / 3) + math.log(1 / 3) + 4 * math.log(1 / 2)) / 7
    assert floor.metrics["y"]["log_loss"] == pytest.approx(entropy, **EXACT)
    three = Task("multiclass", ("y",), (), (("a", "b", "c"),))
    (floor,) = floors(classes, three, np.array([[0.0, 2, 2, 1, 1, 1, 0]]).T)
    assert floor.metrics["y"]["accuracy"] == pytest.approx((2 + 3) / 7, **EXACT)


def test_no_ranking_of_the_colours_beats_the_ceiling() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    number, y = rng.integers(0, 5, 40), rng.integers(0, 2, 40)
    (floor,) = floors(Classes(number[None], True), Task("binary", ("y",), (), (("0", "1"),)), y[:, None].astype(float))
    best = max(roc_auc_score(y, np.array(order)[number]) for order in itertools.permutations(range(5)))
    assert floor.metrics["mean"]["roc_auc"] == pytest.approx(best, **EXACT)


def test_targets_with_gaps_and_rows_of_a_fold() -> None:
    rng = np.random.default_rng(1)
    number, y = rng.integers(0, 12, 60), rng.normal(size=(60, 2))
    y[rng.random((60, 2)) < 0.3] = np.nan
    rows = rng.permutation(60)[:30]
    (floor,) = floors(Classes(number[None], True), Task("regression", ("a", "b")), y, rows)
    for t, name in enumerate(("a", "b")):
        there = rows[np.isfinite(y[rows, t])]
        found = floor.metrics[name]["rmse"], floor.metrics[name]["mae"]
        assert found == pytest.approx(by_hand(number[there], y[there, t]), **EXACT)
    (all_rows,) = floors(Classes(number[None], True), Task("regression", ("a", "b")), y)
    assert all_rows.classes >= floor.classes and all_rows.metrics["mean"]["rmse"] > floor.metrics["mean"]["rmse"]


def test_each_round_has_its_own_floor() -> None:
    """As many classes as the round before need not be the same ones."""
    y = np.array([1.0, 1, 2, 5])
    found = floors(Classes(np.array([[0, 0, 1, 1], [3, 3, 2, 2], [0, 1, 0, 1]]), True), ONE, y[:, None])
    assert [floor.rounds for floor in found] == [0, 1, 2]
    assert [errors(floor) for floor in found] == [pytest.approx(by_hand(k, y), **EXACT) for k in ("aabb", "aabb", "abab")]


# ---- independence -------------------------------------------------------------------------------------------------


def random_molecules(n: int = 60) -> list[Graph]:
    rng = torch.Generator().manual_seed(11)
    tables = make_tables(rng, rows=2)
    return [random_graph(int(torch.randint(1, 7, (), generator=rng)), 0.45, rng, tables) for _ in range(n)]


def naive(graph: Graph, rounds: int) -> Hashable:
    """A graph's colour: nested tuples, nothing numbered."""
    t, x, e = graph.topology, dense(graph.nodes["x"]).tolist(), dense(graph.edges["edge_attr"]).tolist()
    colour: list[Hashable] = [tuple(row) for row in x]
    for _ in range(rounds):
        into: dict[int, list[Hashable]] = defaultdict(list)
        for k, (j, i) in enumerate(zip(t.senders.tolist(), t.receivers.tolist(), strict=True)):
            into[i].append((colour[j], tuple(e[k])))
        colour = [(own, frozenset(Counter(into[v]).items())) for v, own in enumerate(colour)]
    return frozenset(Counter(colour).items())


def wl_hash(graph: Graph, rounds: int) -> str:
    t, x, e = graph.topology, dense(graph.nodes["x"]).tolist(), dense(graph.edges["edge_attr"]).tolist()
    nx = networkx.Graph()
    nx.add_nodes_from((v, {"x": str(row)}) for v, row in enumerate(x))
    nx.add_edges_from((j, i, {"e": str(e[k])}) for k, (j, i) in enumerate(zip(t.senders.tolist(), t.receivers.tolist(), strict=True)))
    return str(networkx.weisfeiler_lehman_graph_hash(nx, edge_attr="e", node_attr="x", iterations=rounds, digest_size=32))


@pytest.mark.parametrize("oracle", [naive, wl_hash])
def test_against_a_refinement_of_single_graphs(oracle: object) -> None:
    graphs = random_molecules()
    y = np.random.default_rng(2).normal(size=len(graphs))
    classes = graph_classes(batch(graphs), rounds=3)
    assert len(classes.number) == 4
    found = floors(classes, ONE, y[:, None])
    for rounds in range(0 if oracle is naive else 1, 4):
        keys = [oracle(g, rounds) for g in graphs]  # type: ignore[operator]
        assert errors(found[rounds]) == pytest.approx(by_hand(keys, y), **EXACT)
        assert found[rounds].classes == len(set(keys)) < len(graphs)
    assert errors(found[3])[0] < errors(found[0])[0]


def test_molecules_against_the_naive_refinement() -> None:
    with open(Path(__file__).parents[2] / "examples" / "molecules.csv") as file:
        rows = list(csv.DictReader(file))[:150]
    graph, y = whole(store([row["smiles"] for row in rows], replace(PLAIN, atoms=("element",)))), np.array([float(r["gap"]) for r in rows])
    single = graph.unbatch()
    for rounds, floor in enumerate(floors(graph_classes(graph, rounds=3), ONE, y[:, None])):
        assert errors(floor) == pytest.approx(by_hand([naive(g, rounds) for g in single], y), **EXACT)


def test_awkward_graphs_and_none_at_all() -> None:
    graph = awkward()  # among them an empty graph twice, one atom, no edges
    y = np.arange(graph.G, dtype=float)[:, None]
    classes = graph_classes(graph)
    assert classes.settled and len(set(classes.number[-1].tolist())) == graph.G - 1
    assert errors(floors(classes, ONE, y)[-1])[0] == pytest.approx(by_hand(naive_keys(graph), y[:, 0])[0], **EXACT)
    nothing = floors(graph_classes(graph), ONE, y, np.array([], dtype=int))[0]
    assert nothing.classes == nothing.rows == 0 and math.isnan(nothing.metrics["mean"]["rmse"])
    unlabelled = floors(classes, ONE, np.full((graph.G, 1), np.nan))[0]
    assert math.isnan(unlabelled.metrics["mean"]["rmse"])


def naive_keys(graph: Graph) -> Sequence[Hashable]:
    return [naive(g, graph.N) for g in graph.unbatch()]


def test_rounds_are_counted_and_a_limit_is_said() -> None:
    molecules = whole(store(["CCCCCCCO", "CCCCCCC(C)O", "CCCCCCCS"]))
    every, one = graph_classes(molecules), graph_classes(molecules, rounds=1)
    assert every.settled and not one.settled and len(one.number) == 2
    assert np.array_equal(every.number[:2], one.number) and np.array_equal(every.at(1000), every.number[-1])
    assert every.apart(0, 2) == 0 and every.apart(0, 0) is None
    skeletons = graph_classes(molecules, nodes=(), edges=())
    assert skeletons.apart(0, 2) is None and skeletons.apart(0, 1) == 0


# ---- no network below it ------------------------------------------------------------------------------------------


def centred(name: str) -> tuple[Graph, np.ndarray, float]:
    """A table whose labels have mean zero in each class of equal colour, and its floor: all that could be learned is out of reach."""
    if name == "triangles":
        graph, y = cubic_graphs()
    else:
        smiles, y, _ = mirror_images()
        more, noise = noisy_duplicates()
        graph, y = whole(store([*smiles, *more])), np.append(y, noise)
    classes = graph_classes(graph)
    number = classes.number[-1]
    y = y - (np.bincount(number, y) / np.bincount(number).clip(1))[number]
    floor, _ = errors(floors(classes, ONE, y[:, None])[-1])
    assert floor == pytest.approx(y.std(), **EXACT)
    return graph, y, floor


def inputs(graph: Graph, more: int = 0) -> Inputs:
    return Inputs(graph.nodes["x"].shape[1] + more, graph.edges["edge_attr"].shape[1])


@pytest.mark.parametrize("set_name", ["triangles", "molecules"])
@pytest.mark.parametrize("arch", BOUNDED)
def test_no_bounded_architecture_trains_below_it(arch: str, set_name: str) -> None:
    graph, y, floor = centred(set_name)
    torch.manual_seed(0)
    args = {"sgc": {}, "compgcn": {"d": 16, "dropout": 0.0}}.get(arch, {"d": 16})  # noise in training would part equals
    least = trained(zoo.build(arch, inputs(graph), 1, args), graph, y, steps=20)
    assert floor * (1 - 1e-9) <= least < 1.05 * floor


@pytest.mark.parametrize("arch", ["gin with random walks", "gps"])
def test_an_encoding_goes_below_it(arch: str) -> None:
    graph, y, floor = centred("triangles")
    torch.manual_seed(0)
    net = zoo.build("gps", inputs(graph), 1, {"d": 16}) if arch == "gps" else zoo.build("gin", inputs(graph, 4), 1, {"d": 16})
    if arch != "gps":
        net.view = nn.Sequential(RandomWalks(4), Concatenate("walks"))
    assert trained(net, graph, y, steps=40) < 0.3 * floor


def test_gin_reaches_it_and_with_chirality_goes_below() -> None:
    smiles, y, _ = mirror_images()
    graph, chiral = whole(store(smiles)), whole(store(smiles, CHIRAL))
    floor, _ = errors(floors(graph_classes(graph), ONE, y[:, None])[-1])
    torch.manual_seed(0)
    plain = trained(zoo.build("gin", inputs(graph), 1, {"d": 64}), graph, y, steps=80)
    told = trained(zoo.build("gin", inputs(chiral), 1, {"d": 64}), chiral, y, steps=80)
    assert floor * (1 - 1e-9) <= plain < 1.05 * floor and told < 0.3 * floor


def test_geometry_goes_below_where_geometry_differs_and_not_where_it_does_not() -> None:
    """E and Z isomers in space, for SchNet; duplicates have one geometry and keep their floor."""
    double = ["F/C=C/F", "F/C=C\\F", "C/C=C/C", "C/C=C\\C", "Cl/C=C/C", "Cl/C=C\\C"]
    smiles, y = [*double, "CO", "CO"], np.array([1.0, -1, 2, -2, 1.5, 0, 3, 4])
    flat = graph_classes(whole(store(smiles)))
    floor, _ = errors(floors(flat, ONE, y[:, None])[-1])
    assert floor == pytest.approx(by_hand("aabbccdd", y)[0], **EXACT)
    duplicates, _ = errors(floors(structure_classes(store(smiles).smiles), ONE, y[:, None])[0])
    space = whole(store(smiles, replace(PLAIN, hydrogens="explicit", geometry="embed")))
    torch.manual_seed(0)
    net = zoo.build("schnet", replace(inputs(space), geometry=True), 1, {"d": 32, "depth": 2})
    assert duplicates * (1 - 1e-9) <= trained(net, space, y, steps=150) < 0.5 * floor


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gin_of_so_many_layers_cannot_beat_the_floor_of_so_many_rounds(depth: int) -> None:
    """Chains with the oxygen at another place each: the deeper, the more of them have colours of their own."""
    smiles = ["C" * k + "O" + "C" * (11 - k) for k in range(1, 6)]
    y = np.array([2.0, -1.0, 1.0, -2.0, 0.5])
    graph = whole(store(smiles, replace(PLAIN, atoms=("element",))))
    found = [errors(floor)[0] for floor in floors(graph_classes(graph), ONE, y[:, None])]
    assert found[0] > found[1] > found[2] > found[3] and found[-1] == 0
    torch.manual_seed(0)
    least = trained(zoo.build("gin", inputs(graph), 1, {"d": 64, "depth": depth}), graph, y, steps=120)
    assert found[depth] * (1 - 1e-9) <= least < found[depth - 1]  # which the next one below does go under


SEEN = [
    ("gin", {"depth": 1}, 1), ("gin", {"depth": 3}, 3), ("dmpnn", {"depth": 3}, 3), ("gilmer", {"steps": 2}, 2), ("sage", {"depth": 2}, 2),
    ("gatedgcn", {"depth": 3}, 3), ("ggnn", {"steps": 4}, 4), ("gcn", {"depth": 2}, 3),
]  # fmt: skip


@pytest.mark.parametrize(("arch", "args", "rounds"), SEEN, ids=[f"{a}-{next(iter(b.values()))}" for a, b, _ in SEEN])
def test_rounds_that_an_architecture_sees(arch: str, args: dict[str, int], rounds: int) -> None:
    """Chains with an oxygen or a branch at another place each: every round tells some more of them apart."""
    chains = ["C" * k + "O" + "C" * (15 - k) for k in range(1, 8)] + ["C" * k + "C(C)" + "C" * (15 - k) for k in range(1, 8)]
    graph = whole(store(chains, replace(PLAIN, atoms=("element",))))
    classes = graph_classes(graph)
    torch.manual_seed(0)
    assert rounds_seen(zoo.build(arch, inputs(graph), 1, args), graph, classes) == rounds


@pytest.mark.parametrize(("arch", "args"), [("gilmer", {"steps": 6}), ("gin", {"depth": 6})], ids=["gilmer", "gin"])
def test_the_last_round_of_a_deep_network_is_seen(arch: str, args: dict[str, int]) -> None:
    """Even where untrained steps add next to nothing, and where training has made the output blind."""
    graph = whole(store(["C" * k + "O" + "C" * (31 - k) for k in range(1, 16)], replace(PLAIN, atoms=("element",))))
    classes = graph_classes(graph)
    torch.manual_seed(0)
    net = zoo.build(arch, inputs(graph), 1, args)
    assert rounds_seen(net, graph, classes) == 6
    with torch.no_grad():
        for p in net.parameters():
            if p.dim() > 1:  # not what norms multiply by, which stays
                p.zero_()
    before = [p.clone() for p in net.parameters()]
    assert rounds_seen(net, graph, classes) == 6
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))  # a copy was drawn


def test_rounds_seen_of_networks_that_see_more_or_nothing() -> None:
    graph, _ = cubic_graphs()
    classes = graph_classes(graph)
    torch.manual_seed(0)
    assert rounds_seen(zoo.build("gps", inputs(graph), 1), graph, classes) is None
    assert rounds_seen(zoo.build("gin", inputs(graph), 1), graph, classes) == 0


def test_the_sender_s_degree_is_one_round_more() -> None:
    """2- and 3-methylpentane have the same degrees: one round leaves them alike, as does a layer of gin; gcn's sees degrees next door."""
    graph = whole(store(["CC(C)CCC", "CCC(C)CC"], replace(PLAIN, atoms=("element",))))
    classes = graph_classes(graph)
    assert classes.apart(0, 1) == 2
    for arch, seen in (("gin", 0), ("gcn", 2)):
        torch.manual_seed(0)
        assert rounds_seen(zoo.build(arch, inputs(graph), 1, {"depth": 1}), graph, classes) == seen
