"""Rewiring: first-order gains against brute force, limits of each method, the views on batches."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import networkx
import numpy as np
import pytest
import scipy.linalg
import torch

from heliograph.blocks import Neighbour, Received
from heliograph.diagnose.structure import structure
from heliograph.errors import DataError, UsageError
from heliograph.graph import Graph, dense
from heliograph.layer import Layer
from heliograph.views import rewire
from heliograph.views.curvature import balanced_forman, ollivier, pairs_of, simple
from heliograph.views.rewire import DropEdge, DropMessage, Expander, Rewired, borf, cayley, digl, fosr, gains, sdrf
from tests.graphs import DTYPE, awkward, strange


def matrix(nx: networkx.Graph):  # type: ignore[no-untyped-def]
    e = np.array(networkx.convert_node_labels_to_integers(nx).edges, dtype=np.int64)
    return simple(e[:, 0], e[:, 1], len(nx))


def gap(A) -> float:  # type: ignore[no-untyped-def]
    M = A.toarray().astype(float)
    root = np.sqrt(np.maximum(M.sum(1), 1e-12))
    return float(1 - np.sort(np.linalg.eigvalsh(M / root / root[:, None]))[-2])


def test_first_order_gains_are_the_derivative() -> None:
    """Move towards the graph with the edge by a share h: the gap's slope at h = 0 is the first-order term of the change of S."""
    nx = networkx.connected_watts_strogatz_graph(30, 4, 0.3, seed=1)
    M = matrix(nx).toarray().astype(float)
    found = gains(M)

    def normal(M: np.ndarray) -> np.ndarray:
        root = np.sqrt(M.sum(1))
        return M / root / root[:, None]

    S = normal(M)
    for i, j in [(0, 15), (3, 20), (7, 25), (1, 9)]:
        if M[i, j]:
            continue
        N = M.copy()
        N[i, j] = N[j, i] = 1
        h, change = 1e-6, normal(N) - S
        slope = (np.sort(np.linalg.eigvalsh(S + h * change))[-2] - np.sort(np.linalg.eigvalsh(S - h * change))[-2]) / (2 * h)
        # the paper's terms: those of the edge's two ends with their neighbours, whose sum over neighbours is mu x
        assert found[i, j] == pytest.approx(-slope, abs=1e-5)
    assert np.isneginf(found[M > 0]).all()


@pytest.mark.parametrize("seed", range(3))
def test_fosr_widens_the_gap_nearly_as_brute_force_does(seed: int) -> None:
    A = matrix(networkx.barbell_graph(12, seed) if seed else networkx.connected_watts_strogatz_graph(30, 4, 0.1, seed=2))
    before, n = gap(A), A.shape[0]
    one = fosr(A, 1)
    assert one.nnz == A.nnz + 2
    best = 0.0
    for i in range(n):
        for j in range(i):
            if not A[i, j]:
                M = A.tolil()
                M[i, j] = M[j, i] = 1
                best = max(best, gap(M.tocsr()) - before)
    assert gap(one) - before >= 0.75 * best > 0
    many = fosr(A, 10)
    assert gap(many) > gap(one)
    e = pairs_of(many)
    s, t = structure(*pairs_of(A).T, n), structure(e[:, 0], e[:, 1], n)
    assert t.resistance_max < s.resistance_max
    full = fosr(matrix(networkx.complete_graph(5)), 3)
    assert full.nnz == 20


def test_sdrf_lifts_the_narrowest_edge() -> None:
    A = matrix(networkx.barbell_graph(6, 0))
    before = balanced_forman(A, pairs_of(A)).min()
    B = sdrf(A, 4, temperature=50.0)
    assert B.nnz == A.nnz + 8
    assert balanced_forman(B, np.array([[5, 6]]))[0] > before
    assert (sdrf(A, 4, seed=3) != sdrf(A, 4, seed=3)).nnz == 0
    C = sdrf(A, 4, temperature=50.0, ceiling=0.5)
    assert C.nnz < B.nnz


def test_borf_lifts_the_narrowest_edge() -> None:
    A = matrix(networkx.barbell_graph(6, 0))
    B = borf(A, batches=2, add=1, remove=0)
    assert B.nnz == A.nnz + 4
    assert ollivier(B, np.array([[5, 6]]))[0] > ollivier(A, np.array([[5, 6]]))[0]
    assert borf(A, batches=1, add=0, remove=2).nnz == A.nnz - 4


def test_digl_is_the_dense_inverse_and_the_exponential() -> None:
    A = matrix(networkx.connected_watts_strogatz_graph(20, 4, 0.3, seed=1))
    M = A.toarray() + np.eye(20)
    root = np.sqrt(M.sum(1))
    S = M / root / root[:, None]
    series = sum(0.2 * 0.8**k * np.linalg.matrix_power(S, k) for k in range(200))
    np.fill_diagonal(series, 0)
    assert np.allclose(digl(A, top=20, alpha=0.2).toarray(), series, atol=1e-6)
    heat = scipy.linalg.expm(3 * (S - np.eye(20)))
    np.fill_diagonal(heat, 0)
    assert np.allclose(digl(A, top=20, alpha=None, time=3.0).toarray(), heat, atol=1e-6)
    few = digl(A, top=3)
    assert (np.diff(few.indptr) >= 3).all() and few.nnz < 20 * 8
    assert (few != few.T).nnz == 0


def test_the_expander_is_one() -> None:
    for m, size in ((2, 6), (3, 24), (4, 48), (5, 120)):
        assert rewire._order(m) == size
        A = cayley(size)
        degree = np.diff(A.indptr)
        assert degree.min() == degree.max() == (4 if m > 2 else 2)
        assert structure(*pairs_of(A).T, size).parts == 1
    assert cayley(1).nnz == 0
    sizes = [structure(*pairs_of(cayley(n)).T, n) for n in (40, 100, 500)]
    assert all(s.parts == 1 for s in sizes)
    assert sizes[-1].gap > 0.02
    assert sizes[-1].diameter < 14


@pytest.mark.parametrize("make", [awkward, strange])
def test_views_on_batches(make) -> None:  # type: ignore[no-untyped-def]
    graph: Graph = make()
    view = Rewired(partial(fosr, add=2))
    seen = view(graph)
    assert (seen.topology.nodes_by_graph.index[seen.topology.senders] == seen.topology.nodes_by_graph.index[seen.topology.receivers]).all()
    for g, part in enumerate(graph.unbatch()):
        alone = view(part)
        assert int(seen.topology.n_edge[g]) == alone.E
    t = seen.topology
    before = graph.topology.between(torch.stack([t.senders, t.receivers], 1))
    attr = dense(seen.edges["edge_attr"])
    assert torch.equal(attr[before >= 0], dense(graph.edges["edge_attr"])[before[before >= 0]])
    assert not attr[before < 0].any() and bool((before < 0).any())
    wired = Expander()(graph)
    assert wired.N == graph.N
    with pytest.raises(DataError, match="at most"):
        fosr(scipy.sparse.csr_array((6000, 6000)), 1)


def test_a_rewired_graph_is_computed_once_and_is_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, calls = awkward(), []
    view = Rewired(lambda A: calls.append(A.shape[0]) or fosr(A, 2))  # type: ignore[func-returns-value]
    first = view(graph)
    n = len(calls)
    again = view(graph)
    assert len(calls) == n > 0
    assert torch.equal(first.topology.senders, again.topology.senders)
    assert torch.equal(dense(first.edges["weight"]), dense(again.edges["weight"]))
    named = Rewired("fosr", add=2)(graph)
    assert torch.equal(named.topology.senders, first.topology.senders)
    monkeypatch.setattr(rewire, "REMEMBERED", 10)
    small = Rewired("fosr", add=2)
    for _ in range(3):
        assert torch.equal(small(graph).topology.senders, first.topology.senders)
    assert small.held <= 10 + max(int(k) for k in first.topology.n_edge)
    with pytest.raises(UsageError, match="fosr"):
        Rewired("forsr")


def test_graphs_of_one_size_with_other_edges_are_rewired_apart() -> None:
    view = Rewired("fosr", add=1)
    for nx in (networkx.path_graph(6), networkx.star_graph(5), networkx.cycle_graph(6)):
        graph = Graph.from_networkx(nx)
        seen, alone = view(graph).topology, Rewired("fosr", add=1)(graph).topology
        assert torch.equal(seen.senders, alone.senders) and torch.equal(seen.receivers, alone.receivers)


def test_a_composition_may_rewire(tmp_path: Path) -> None:
    from heliograph import zoo
    from heliograph.model import Inputs

    (tmp_path / "wider.toml").write_text(
        """view = ["Rewired('fosr', add=4)"]
embed = "Embed(nodes, 8)"
readout = "Pool(Head(8, out), mean)"
[[layers]]
repeat = 2
message = "gin.Message(edges, 8)"
update = "GRU(8)"
"""
    )
    net = zoo.build(str(tmp_path / "wider.toml"), Inputs(nodes=3, edges=2), out=1)
    graph = Graph.from_networkx(networkx.barbell_graph(5, 0)).with_nodes(x=torch.ones(10, 3))
    graph = graph.with_edges(edge_attr=torch.ones(graph.E, 2))
    assert net(graph)["y"].shape == (1, 1)
    assert net.states(graph).E == graph.E + 8


def test_drop_edge_and_drop_message() -> None:
    graph = awkward()
    view = DropEdge(0.5)
    torch.manual_seed(0)
    seen = view(graph)
    assert 0.2 * graph.E < seen.E < 0.8 * graph.E
    assert seen.topology.symmetric
    assert view.eval()(graph) is graph
    x = torch.ones(graph.N, 50, dtype=DTYPE)
    layer = Layer(DropMessage(Neighbour(), 0.5), Received())
    plain = Layer(Neighbour(), Received())
    wanted = dense(plain(graph.with_nodes(h=x)).nodes["h"])
    torch.manual_seed(0)
    noisy = dense(layer(graph.with_nodes(h=x)).nodes["h"])
    assert not torch.allclose(noisy, wanted)
    assert noisy.mean() == pytest.approx(float(wanted.mean()), rel=0.05)  # without bias
    assert torch.equal(dense(layer.eval()(graph.with_nodes(h=x)).nodes["h"]), wanted)


def test_the_verb_writes_edges_and_keeps_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from heliograph.cli import main

    pairs = list(networkx.barbell_graph(5, 0).edges)
    (tmp_path / "e.csv").write_text("from,to\n" + "".join(f"n{a},n{b}\n" for a, b in pairs))
    for method, lines in (("fosr", len(pairs) + 4), ("sdrf", len(pairs) + 3), ("borf", len(pairs) + 3), ("expander", 10), ("digl", 10)):
        out = tmp_path / f"{method}.csv"
        with pytest.raises(SystemExit) as done:
            main(["rewire", "--edges", str(tmp_path / "e.csv"), "--method", method, "--add", "3", "-o", str(out)])
        assert not done.value.code
        rows = out.read_text().splitlines()
        assert rows[0].startswith("from,to") and all(r.startswith("n") for r in rows[1:]) and len(rows) >= lines, method
    assert "spectral gap" in capsys.readouterr().out
    with pytest.raises(SystemExit) as done:
        main(["rewire", "--edges", str(tmp_path / "e.csv"), "--method", "fosr", "-o", str(tmp_path / "fosr.csv")])
    assert done.value.code == 2
    with pytest.raises(SystemExit) as done:
        main(["rewire", "--edges", str(tmp_path / "e.csv"), "--method", "frsr", "-o", str(tmp_path / "x.csv")])
    assert done.value.code == 2


def test_the_verb_says_what_it_leaves_out_and_what_it_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from heliograph.cli import main

    (tmp_path / "e.csv").write_text("source,target\na,b\nb,a\na,a\na,c\nc,d\nzoe,a\n")
    (tmp_path / "none.csv").write_text("source,target\n")
    (tmp_path / "n.csv").write_text("id\na\nb\nc\nd\nlonely\n")

    def said(*words: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as done:
            main(["rewire", *words, "-o", str(tmp_path / "o.csv"), "--overwrite"])
        out = capsys.readouterr()
        return done.value.code, out.out + out.err

    edges, nodes = ("--edges", str(tmp_path / "e.csv")), ("--nodes", str(tmp_path / "n.csv"))
    for method in (*rewire.METHODS, "expander"):
        code, text = said(*edges, *nodes, "--method", method, "--add", "2")
        assert not code, text
        for words in ("1 rows that name a node that is not in", "1 rows that join a node to itself", "1 rows that name an edge once more"):
            assert words in text
        for more in ((), nodes):
            code, text = said("--edges", str(tmp_path / "none.csv"), *more, "--method", method)
            assert code == 1 and "nothing to rewire" in text
    monkeypatch.setattr(rewire, "LARGEST", 3)
    for method in rewire.METHODS:
        code, text = said(*edges, *nodes, "--method", method)
        assert code == 1 and "5 x 5" in text and "the expander has no limit" in text
    assert not said(*edges, *nodes, "--method", "expander")[0]


@pytest.mark.parametrize("method", rewire.METHODS)
def test_graphs_without_edges_stay_as_they_are_or_get_some(method: str) -> None:
    nothing = torch.zeros(0, dtype=torch.long)
    graph = Graph.build(nothing, nothing, [3, 1], [0, 0], nodes={"x": torch.ones(4, 1)})
    seen = Rewired(method)(graph) if method == "digl" else Rewired(method, add=2)(graph)
    assert seen.N == 4 and seen.E in (0, 4)
