"""Links: what is asked for is never in the graph that answers; random links can't be told from others."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from heliograph.data.graph_store import GraphStore
from heliograph.data.sources.one_graph import Links
from heliograph.learn import ranking
from heliograph.onegraph.baselines import adjacency, common, link_figures
from heliograph.sampling import Neighbors


def links(directed: bool = False, first_side: int = 0, sampled: bool = False, n: int = 60, m: int = 240, negatives: int = 2) -> Links:
    random = np.random.default_rng(0)
    low = random.integers(0, first_side or n, m)
    high = random.integers(first_side, n, m)
    ends = np.stack([low, high], axis=1)
    ends = np.unique(ends[ends[:, 0] != ends[:, 1]] if directed or first_side else np.sort(ends[ends[:, 0] != ends[:, 1]], 1), axis=0)
    ends = random.permutation(ends)
    cut = len(ends) * 8 // 10, len(ends) * 9 // 10
    parts = dict(zip(("train", "val", "test"), np.split(np.arange(len(ends)), cut), strict=True))
    make = partial(build, ends, n, directed)
    draw = Neighbors((-1, -1)) if sampled else None
    return Links(make, ends, parts, negatives=negatives, first_side=first_side, directed=directed, seed=1, draw=draw)


def build(ends: np.ndarray, n: int, directed: bool, rows: np.ndarray) -> GraphStore:
    return GraphStore.build(ends[rows], n, directed=directed, origin=True)


def present(source: Links, graph: object) -> set[tuple[int, int]]:
    """Edges of a graph as numbers of the whole graph's nodes."""
    t, id = graph.topology, graph.nodes["id"]  # type: ignore[attr-defined]
    return set(zip(id[t.senders].tolist(), id[t.receivers].tolist(), strict=True))


MODES = {
    "undirected": {},
    "directed": {"directed": True},
    "two sides": {"first_side": 10},
    "sampled": {"sampled": True},
}


@pytest.mark.parametrize("mode", MODES)
def test_what_is_asked_for_is_never_in_the_graph(mode: str) -> None:
    source = links(**MODES[mode])  # type: ignore[arg-type]
    rows = {part: np.flatnonzero(source.part_of == k) for k, part in enumerate(("train", "val", "test"))}
    batch = rows["train"][::3]
    for asked, step, allowed in (
        (batch, 5, np.setdiff1d(rows["train"], batch)),
        (rows["val"], None, rows["train"]),
        (rows["test"], None, np.concatenate([rows["train"], rows["val"]])),
    ):
        graph = source.batch(asked, step)
        ends = {tuple(e) for e in source.ends[allowed].tolist()}
        if mode != "directed":
            ends |= {(b, a) for a, b in ends}
        seen = present(source, graph)
        assert seen <= ends and (mode == "sampled" or seen == ends)
        pairs = graph.nodes["id"][graph.asked]  # type: ignore[index]
        assert pairs[: len(asked)].tolist() == source.ends[asked].tolist() and len(pairs) == 3 * len(asked)
        t = graph.topology
        if t.whole:
            assert torch.equal(t.degree, torch.bincount(t.receivers, minlength=t.N))
        else:  # degrees of a sample are those of the graph without what is asked for
            true = torch.bincount(torch.tensor([b for _, b in ends]), minlength=source.N)
            assert torch.equal(t.degree[: t.R], true[graph.nodes["id"][: t.R]])  # type: ignore[index]


@pytest.mark.parametrize("mode", MODES)
def test_pairs_without_an_edge_avoid_training_edges_and_no_others(mode: str) -> None:
    source = links(**MODES[mode], n=24, m=200, negatives=20)  # type: ignore[arg-type]
    train = np.flatnonzero(source.part_of == 0)
    drawn = source.pairs(np.random.default_rng(0), 20_000, "val")
    keys = set(source._key(source.ends[train]).tolist())
    found = set(source._key(drawn).tolist())
    assert not keys & found
    others = set(source._key(source.ends[source.part_of > 0]).tolist())
    assert others <= found  # a true edge that is not known yet may be drawn: to avoid it would give it away
    if source.first_side:
        assert (drawn[:, 0] < source.first_side).all() and (drawn[:, 1] >= source.first_side).all()


def test_steps_draw_other_pairs_and_the_same_again() -> None:
    source, again = links(), links()
    rows = np.flatnonzero(source.part_of == 0)[:20]
    one, two, other = source.batch(rows, 3).asked, again.batch(rows, 3).asked, source.batch(rows, 4).asked
    assert torch.equal(one, two) and not torch.equal(one, other)  # type: ignore[arg-type]
    val = np.flatnonzero(source.part_of == 1)
    whole = source.fixed_negatives(val, "val")
    assert np.array_equal(whole[2 * 3 : 2 * 7], source.fixed_negatives(val[3:7], "val"))  # however the rows are batched


def test_ranks_average_ties_and_leave_known_answers_out() -> None:
    scores = torch.tensor([[3.0, 1.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0], [1.0, torch.nan, 5.0, 4.0]])
    answers = torch.tensor([3, 1, 0])
    assert ranking.ranks(scores, answers).tolist() == [3.0, 2.5, 3.0]
    known = (torch.tensor([0, 2]), torch.tensor([2, 3]))
    assert ranking.ranks(scores, answers, known).tolist() == [2.0, 2.5, 2.0]
    constant = ranking.ranks(torch.zeros(50, 101), torch.arange(50))
    assert (constant == 51).all()  # the rank that chance has on average, not the first
    assert ranking.figures(np.array([1.0, 2.0, 4.0]))["mrr"] == pytest.approx(7 / 12)


def test_recall_and_ndcg_are_those_of_a_naive_loop() -> None:
    random = np.random.default_rng(0)
    hits, relevant = random.random((30, 20)) < 0.2, random.integers(1, 40, 30)
    relevant = np.maximum(relevant, hits.sum(1))
    recall, ndcg = ranking.recall_and_ndcg(hits, relevant)
    for row in range(30):
        gain = sum(1 / np.log2(k + 2) for k in range(20) if hits[row, k])
        ideal = sum(1 / np.log2(k + 2) for k in range(min(20, relevant[row])))
        assert recall[row] == pytest.approx(hits[row].sum() / relevant[row]) and ndcg[row] == pytest.approx(gain / ideal)


def test_common_neighbours_are_those_of_networkx() -> None:
    nx = pytest.importorskip("networkx")
    graph = nx.gnp_random_graph(30, 0.2, seed=1)
    store = GraphStore.build(np.array(graph.edges), 30)
    pairs = np.array(list(nx.non_edges(graph)))[:50]
    A = adjacency(store)
    degree = store.degree
    assert common(A, pairs, np.ones(30)).tolist() == [len(list(nx.common_neighbors(graph, *p))) for p in pairs.tolist()]
    with np.errstate(divide="ignore"):
        adamic = common(A, pairs, np.where(degree > 1, 1 / np.log(degree), 0))
    assert np.allclose(adamic, [s for *_, s in nx.adamic_adar_index(graph, pairs.tolist())])


def test_figures_of_a_constant_are_those_of_chance() -> None:
    figures = link_figures(np.zeros(40), np.zeros((40, 9)))["mean"]
    assert figures["roc_auc"] == 0.5 and figures["mrr"] == pytest.approx(1 / 5.5) and figures["hits@1"] == 0.0
