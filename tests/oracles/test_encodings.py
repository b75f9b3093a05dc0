"""Structural encodings against PyTorch Geometric, NetworkX, SciPy and RDKit; and what must hold for all of them."""

from __future__ import annotations

import warnings

import networkx
import numpy as np
import pytest
import scipy.interpolate
import scipy.sparse.csgraph
import torch
from rdkit import Chem
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch.jit.script, deprecated, is called while PyG is imported
    from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE

from heliograph import zoo
from heliograph.batching import batch
from heliograph.graph import Graph, dense
from heliograph.model import Inputs
from heliograph.views import (
    CompleteGraph,
    Concatenate,
    Degree,
    LaplacianEigenvectors,
    RandomWalks,
    Rings,
    ShortestPaths,
    SpectralSplines,
)
from tests.graphs import ATOMS, BONDS, DTYPE, awkward, permuted, random_graph

VIEWS = [Degree(4), RandomWalks(6), LaplacianEigenvectors(5), ShortestPaths(3, steps=2), Rings(6), SpectralSplines(6)]
views = pytest.mark.parametrize("view", VIEWS, ids=lambda v: type(v).__name__)


def directed(n: int, m: int, seed: int) -> Graph:
    """With parallel edges and loops."""
    rng = torch.Generator().manual_seed(seed)
    s, r = torch.randint(n, (2, m), generator=rng)
    attr = torch.randn(m, BONDS, generator=rng, dtype=DTYPE)
    return Graph.build(s, r, [n], [m], nodes={"x": torch.randn(n, ATOMS, generator=rng, dtype=DTYPE)}, edges={"edge_attr": attr})


def networks(graph: Graph) -> networkx.Graph:
    t = graph.topology
    nx = networkx.Graph()
    nx.add_nodes_from(range(graph.N))
    nx.add_edges_from((j, i) for j, i in zip(t.senders.tolist(), t.receivers.tolist(), strict=True) if i != j)
    return nx


def features(graph: Graph) -> dict[str, Tensor]:
    return {
        f"{side} {k}": dense(v)
        for side in ("nodes", "edges", "globals")
        for k, v in getattr(graph, side).items()
        if k not in ("x", "z", "pos")
    }


# ---- all of them --------------------------------------------------------------------------------------------------


@views
def test_a_batch_is_its_graphs(view: nn.Module) -> None:
    whole, single = features(view(awkward())), [features(view(g)) for g in awkward().unbatch()]
    assert len(whole) > 1
    for name, feature in whole.items():
        assert torch.allclose(feature, torch.cat([one[name] for one in single]), atol=1e-12), name


@views
def test_numbering_does_not_matter(view: nn.Module) -> None:
    for seed in range(4):
        graph = random_graph(9, 0.3, torch.Generator().manual_seed(seed))
        number = torch.arange(graph.N)[:, None].to(DTYPE)
        first = view(graph.with_nodes(number=number))
        second = view(permuted(graph.with_nodes(number=number), torch.Generator().manual_seed(1)))
        back = dense(second.nodes["number"])[:, 0].long()
        for name in set(first.nodes) - {"number"}:
            assert torch.allclose(dense(first.nodes[name])[back], dense(second.nodes[name]), atol=1e-9), name
        ends = [{} for _ in range(2)]
        for place, g, of in zip(ends, (first, second), (torch.arange(graph.N), back), strict=True):
            t = g.topology
            rows = torch.cat([dense(v) for v in g.edges.values()], -1)
            place.update({(int(of[t.senders[k]]), int(of[t.receivers[k]])): rows[k] for k in range(g.E)})
        assert ends[0].keys() == ends[1].keys() and all(torch.allclose(row, ends[1][k], atol=1e-9) for k, row in ends[0].items())


@views
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision_is_the_graphs(view: nn.Module, dtype: torch.dtype) -> None:
    low, high = features(view(awkward().to(dtype=dtype))), features(view(awkward()))
    for name, feature in low.items():
        assert feature.dtype == dtype and torch.allclose(feature.to(DTYPE), high[name], atol=2e-2 if dtype == torch.bfloat16 else 1e-6), (
            name
        )


def test_an_architecture_takes_them_as_a_view() -> None:
    torch.manual_seed(0)
    net = zoo.build("gin", Inputs(ATOMS + 5 + 6, BONDS), 2, {"d": 8, "depth": 2}).to(DTYPE).eval()
    net.view = nn.Sequential(Degree(4), RandomWalks(6), Concatenate("degree", "walks"))
    graph = awkward()
    seen = net.view(graph).nodes["x"]
    assert torch.equal(seen[:, :ATOMS], dense(graph.nodes["x"])) and seen.shape[1] == ATOMS + 11
    assert torch.allclose(net(graph)["y"], torch.cat([net(g)["y"] for g in graph.unbatch()]))


# ---- one by one ---------------------------------------------------------------------------------------------------


def test_degree() -> None:
    graph = Degree(3)(awkward())
    row = dense(graph.nodes["degree"])
    counts = graph.topology.incoming.count.tolist()
    assert max(counts) > 3 and torch.equal(row.sum(1), torch.ones(graph.N, dtype=DTYPE))
    assert row.argmax(1).tolist() == [min(c, 3) for c in counts]


@pytest.mark.parametrize("graph", [awkward(1), directed(9, 14, 0), batch([directed(6, 9, k) for k in range(3)])], ids=["awkward", "a", "b"])
def test_random_walks_against_pyg(graph: Graph) -> None:
    t = graph.topology
    if len(torch.unique(torch.stack([t.senders, t.receivers]), dim=1).T) < graph.E:  # PyG counts parallel edges in the degree alone
        keep = torch.unique(t.senders * graph.N + t.receivers)
        s, r = keep // graph.N, keep % graph.N
        n_edge = torch.bincount(t.nodes_by_graph.index[s], minlength=graph.G).tolist()
        graph = Graph.build(s, r, t.n_node.tolist(), n_edge, nodes=dict(graph.nodes))
    theirs = AddRandomWalkPE(7)(graph.to_pyg()).random_walk_pe
    mine = RandomWalks(7)(graph).nodes["walks"]
    assert isinstance(mine, Tensor) and float((mine - theirs).abs().max()) < 1e-6  # PyG's are float32
    assert theirs[:, 1:].any()


def test_random_walks_by_walking() -> None:
    graph = directed(5, 9, 3)
    t = graph.topology
    ends = list(zip(t.senders.tolist(), t.receivers.tolist(), strict=True))
    assert len(set(ends)) < len(ends)  # a parallel edge
    for start in range(5):
        here = [float(v == start) for v in range(5)]
        for k in range(4):
            there = [0.0] * 5
            for j, i in ends:
                there[i] += here[j] / sum(a == j for a, _ in ends)
            here = there
            assert abs(here[start] - float(dense(RandomWalks(4)(graph).nodes["walks"])[start, k])) < 1e-12


def test_eigenvectors_against_pyg_up_to_sign() -> None:
    compared = 0
    for seed in range(8):
        graph = random_graph(8, 0.4, torch.Generator().manual_seed(seed))
        value = np.linalg.eigvalsh(scipy.sparse.csgraph.laplacian(networkx.to_numpy_array(networks(graph)), normed=True))
        if (np.diff(value) < 1e-3).any():  # a basis of equal eigenvalues' space is anybody's choice
            continue
        theirs = AddLaplacianEigenvectorPE(6, is_undirected=True)(graph.to_pyg()).laplacian_eigenvector_pe.to(DTYPE)
        mine = dense(LaplacianEigenvectors(6)(graph).nodes["eigenvectors"])
        skew = theirs.pow(3).sum(0)
        sure = skew.abs() > 1e-3
        assert float((mine.abs() - theirs.abs()).abs().max()) < 1e-6  # PyG's Laplacian is float32
        assert float((mine - theirs * skew.sign())[:, sure].abs().max()) < 1e-6
        compared += int(sure.sum())
    assert compared >= 12


def test_eigenvalues_and_spaces_against_scipy() -> None:
    for graph in awkward(2).unbatch():
        L = scipy.sparse.csgraph.laplacian(networkx.to_numpy_array(networks(graph)), normed=True) if graph.N else np.zeros((0, 0))
        value, vector = np.linalg.eigh(L)
        seen = LaplacianEigenvectors(12)(graph)
        n = max(graph.N - 1, 0)
        eigenvalues, v = dense(seen.globals["eigenvalues"])[0], dense(seen.nodes["eigenvectors"])
        assert np.allclose(eigenvalues[:n], value[1:], atol=1e-12) and not eigenvalues[n:].any() and not v[:, n:].any()
        for k in range(n):
            space = np.abs(value - value[k + 1]) < 1e-6  # squares add up to those of any basis of the space
            assert np.allclose(v[:, k].square() * space.sum(), (vector[:, space] ** 2).sum(1), atol=1e-9)


def test_a_mirror_image_takes_the_sign_away() -> None:
    path = Graph.build(torch.tensor([0, 1, 1, 2, 2, 3]), torch.tensor([1, 0, 2, 1, 3, 2]), [4], [6], nodes={"x": torch.zeros(4, 1)})
    v = dense(LaplacianEigenvectors(3)(path).nodes["eigenvectors"]).to(DTYPE)
    assert torch.allclose(v, v.flip(0), atol=1e-6)  # an antisymmetric vector would not be


@pytest.mark.parametrize("K", [4, 7])
def test_splines_against_scipy(K: int) -> None:
    step = 2 / (K - 3)
    knots = step * np.arange(-3, K + 1)
    for graph in awkward(1).unbatch():
        L = scipy.sparse.csgraph.laplacian(networkx.to_numpy_array(networks(graph)), normed=True) if graph.N else np.zeros((0, 0))
        value, v = np.linalg.eigh(L)
        spectrum = dense(SpectralSplines(K)(graph).edges["spectrum"]).view(graph.N, graph.N, K)
        for k in range(K):
            beta = scipy.interpolate.BSpline(knots, np.eye(K)[k], 3)(value.clip(0, 2))
            assert np.allclose(spectrum[..., k], v @ np.diag(beta) @ v.T, atol=1e-9)
        assert torch.allclose(spectrum.sum(-1), torch.eye(graph.N, dtype=DTYPE))  # a constant filter leaves all as it is


@pytest.mark.parametrize("graph", [*awkward(3).unbatch(), directed(9, 16, 1), directed(12, 14, 2)], ids=lambda g: f"N{g.N} E{g.E}")
@pytest.mark.parametrize("limit", [2, 12])
def test_hops_against_scipy(graph: Graph, limit: int) -> None:
    seen, t = ShortestPaths(limit)(graph), graph.topology
    A = np.zeros((graph.N, graph.N))
    A[t.senders, t.receivers] = 1
    want = scipy.sparse.csgraph.shortest_path(A, unweighted=True) if graph.N else A
    want = np.where(want > limit, limit + 1, want)
    row = dense(seen.edges["hops"])
    assert row.shape == (graph.N**2, limit + 2)
    assert row.argmax(1).tolist() == [want[j, i] for i in range(graph.N) for j in range(graph.N)] and "path" not in seen.edges
    assert seen.topology.senders.tolist() == [j for i in range(graph.N) for j in range(graph.N)]


@pytest.mark.parametrize("graph", [random_graph(7, 0.4, torch.Generator().manual_seed(0)), directed(8, 20, 1)], ids=["simple", "directed"])
@pytest.mark.parametrize(("limit", "steps"), [(5, 5), (5, 2), (2, 3)])
def test_paths_against_walking_all_of_them(graph: Graph, limit: int, steps: int) -> None:
    t, attr = graph.topology, dense(graph.edges["edge_attr"])
    path = dense(ShortestPaths(limit, steps)(graph).edges["path"]).view(graph.N, graph.N, steps, BONDS)

    def ways(i: int, j: int, length: int) -> list[list[int]]:
        """All ways of `length` edges from j to i, edges as seen from i."""
        if length == 0:
            return [[]] if i == j else []
        return [[k, *rest] for k in range(graph.E) if t.receivers[k] == i for rest in ways(int(t.senders[k]), j, length - 1)]

    several = 0
    for i in range(graph.N):
        for j in range(graph.N):
            shortest = next((found for length in range(limit + 1) if (found := ways(i, j, length))), [])
            want = torch.zeros(steps, BONDS, dtype=DTYPE)
            for way in shortest:
                for n, k in enumerate(way[:steps]):
                    want[n] += attr[k] / len(shortest) / min(len(way), steps)
            several += len(shortest) > 1
            assert torch.allclose(path[i, j], want, atol=1e-12)
    assert several


def test_paths_have_derivatives() -> None:
    graph = random_graph(5, 0.5, torch.Generator().manual_seed(0))
    attr = dense(graph.edges["edge_attr"]).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: dense(ShortestPaths(3, 2)(graph.with_edges(edge_attr=a)).edges["path"]), attr)


@pytest.mark.parametrize("limit", [3, 5, 8])
def test_rings_against_networkx(limit: int) -> None:
    some = [networkx.petersen_graph(), networkx.lollipop_graph(4, 3), networkx.heawood_graph(), networkx.grid_2d_graph(3, 3)]
    some += [networkx.cycle_graph(7), networkx.gnp_random_graph(14, 0.2, seed=1), networkx.empty_graph(1), networkx.path_graph(3)]
    nx = networkx.disjoint_union_all(some)
    ends = torch.tensor(list(nx.edges)).T
    n_edge = [2 * g.number_of_edges() for g in some]
    order = torch.arange(ends.shape[1]).repeat(2).argsort(stable=True)
    senders, receivers = torch.cat([ends, ends.flip(0)], 1)[:, order]
    graph = Graph.build(senders, receivers, [len(g) for g in some], n_edge)
    seen, sizes = Rings(limit)(graph), set()
    nodes, edges = dense(seen.nodes["ring"]).argmax(1).tolist(), dense(seen.edges["ring"]).argmax(1).tolist()
    t = graph.topology
    smallest = dict.fromkeys(range(graph.N), limit + 1)
    for k, (j, i) in enumerate(zip(t.senders.tolist(), t.receivers.tolist(), strict=True)):
        without = nx.copy()
        without.remove_edge(j, i)
        size = networkx.shortest_path_length(without, j, i) + 1 if networkx.has_path(without, j, i) else limit + 1
        smallest[i] = min(smallest[i], size)
        assert edges[k] + 3 == min(size, limit + 1)
        sizes.add(size)
    assert [v + 3 for v in nodes] == [min(smallest[v], limit + 1) for v in range(graph.N)]
    assert {3, 4, 5, 6} <= sizes


@pytest.mark.parametrize("smiles", ["C1CC1C2CCC3(CC2)CCCO3", "c1ccc2c(c1)[nH]c1ccccc12", "C12C3C4C1C5C2C3C45", "CC(=O)OC", "C1CC2CCC1C2"])
def test_rings_against_rdkit(smiles: str) -> None:
    mol = Chem.MolFromSmiles(smiles)
    ends = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()]
    s, r = torch.tensor([*ends, *[(b, a) for a, b in ends]]).T
    graph = Graph.build(s, r, [mol.GetNumAtoms()], [len(s)])
    seen, info = Rings(8)(graph), mol.GetRingInfo()
    want = [info.MinAtomRingSize(k) or 9 for k in range(mol.GetNumAtoms())]
    assert [v + 3 for v in dense(seen.nodes["ring"]).argmax(1).tolist()] == want
    of_bond = graph.topology.given(dense(seen.edges["ring"])).argmax(1).tolist()
    assert [v + 3 for v in of_bond] == 2 * [info.MinBondRingSize(k) or 9 for k in range(len(ends))]


def test_rings_see_no_direction_loops_or_parallel_edges() -> None:
    ends = [(0, 1), (1, 2), (2, 0), (0, 3), (0, 3), (3, 0), (3, 3)]
    graph = Graph.build(*torch.tensor(ends).T, [4], [len(ends)])
    ring = graph.topology.given(dense(Rings(4)(graph).edges["ring"]))
    assert ring.argmax(1).tolist() == [0, 0, 0, 2, 2, 2, 2]


def test_a_complete_graph_of_a_graph_with_loops() -> None:
    graph = directed(4, 9, 5)
    t, attr = graph.topology, dense(graph.edges["edge_attr"])
    assert (t.senders == t.receivers).any()
    for self_pairs in (False, True):
        seen = CompleteGraph(self_pairs)(graph)
        rows, s, r = dense(seen.edges["edge_attr"]), seen.topology.senders, seen.topology.receivers
        want = 16 if self_pairs else 12
        assert len(rows) == want and torch.equal(s[seen.topology.reverse], r)
        for k in range(seen.E):
            old = [attr[m] for m in range(graph.E) if t.senders[m] == s[k] and t.receivers[m] == r[k]]
            assert any(torch.equal(rows[k], a) for a in old) if old else not rows[k].any()
