"""docs/features.md against the code: no shared name is missing, none is made up, and shapes are as it says."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from torch import nn

import heliograph
from heliograph import zoo
from heliograph.graph import Graph
from heliograph.model import Inputs
from heliograph.topology import Topology
from heliograph.views import (
    CompleteGraph,
    LaplacianEigenvectors,
    MasterNode,
    RadiusGraph,
    RandomWalks,
    Rings,
    SharedTriangles,
    ShortestPaths,
    SpectralSplines,
)
from tests.graphs import ATOMS, BONDS, DTYPE, awkward

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+)` \| ([\w, ]+) \| \[(.+?)\] \|", re.MULTILINE)
SIDES = {"nodes": "nodes", "edges": "edges", "globals": "globals", "j": "nodes", "i": "nodes", "e": "edges", "reverse": "edges"}
PAGE = {
    (side, name): shape
    for name, sides, shape in ROW.findall((ROOT / "docs" / "features.md").read_text(encoding="utf-8"))
    for side in sides.split(", ")
}


def used() -> dict[tuple[str, str], set[Path]]:
    """The names that parts of the package read or give, and the files that do."""
    found: dict[tuple[str, str], set[Path]] = defaultdict(set)
    for path in (ROOT / "src" / "heliograph").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Subscript(value=ast.Attribute(attr=side), slice=ast.Constant(value=str(name))) if side in SIDES:
                    found[SIDES[side], name].add(path)
                case ast.Call(func=ast.Attribute(attr=method), keywords=given) if method.startswith("with_"):
                    for name in [k.arg for k in given if k.arg and method[5:] in SIDES]:
                        found[method[5:], name].add(path)
    return found


def test_every_shared_name_is_on_the_page() -> None:
    parts = {"blocks", "views", "zoo"}
    shared = {key for key, files in used().items() if len([f for f in files if parts & {p.name for p in f.parents}]) > 1}
    assert shared - set(PAGE) == set()


def test_no_name_is_made_up() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "heliograph").rglob("*.py"))
    assert len(PAGE) > 30
    assert {name for _, name in PAGE if not re.search(rf'"{name}"|\b{name}=', text)} == set()


def check(graph: Graph) -> int:
    """Compare all features of a graph with the page; the number of those that are there."""
    seen = 0
    for side, letter in (("nodes", "N"), ("edges", "E"), ("globals", "G")):
        for name, feature in getattr(graph, side).items():
            if (side, name) not in PAGE or name in ("degree", "X"):  # which have two meanings
                continue
            rows, *rest = PAGE[side, name].split(", ")
            assert letter in rows.split(" or ") and feature.dim() == 1 + len(rest), name
            for size, stated in zip(feature.shape[1:], rest, strict=True):
                assert not stated.isdigit() or size == int(stated), name
            seen += 1
    return seen


@pytest.mark.parametrize(
    "view",
    [
        CompleteGraph(),
        RadiusGraph(3.0),
        Rings(6),
        MasterNode(),
        RandomWalks(3),
        LaplacianEigenvectors(2),
        ShortestPaths(3, 2),
        SpectralSplines(5),
        SharedTriangles(),
    ],
)
def test_views_give_the_shapes_that_it_says(view: nn.Module) -> None:
    assert check(view(awkward())) >= 4


@pytest.mark.parametrize("name", zoo.names())
def test_networks_give_the_shapes_that_it_says(name: str) -> None:
    geometry = zoo.load(name).GEOMETRY == "required"
    net = zoo.build(name, Inputs(ATOMS, BONDS, geometry), 2).to(DTYPE).eval()
    for step, _, graph in net.steps(awkward()):
        assert check(graph) >= 1, step


# ---- the front door -----------------------------------------------------------------------------------------------


def test_a_graph_says_what_it_holds() -> None:
    graph = heliograph.Graph.from_edge_index(
        torch.tensor([[0, 1, 2], [1, 0, 1]]), x=torch.eye(3), edge_attr=torch.ones(3, 2), asked=torch.tensor([2])
    )
    assert repr(graph) == ("Graph(1 graph, 3 nodes, 3 edges\n  nodes: x [3, 3] float32\n  edges: edge_attr [3, 2] float32\n  asked [1])")
    assert repr(graph.nodes) == "Features(x [3, 3] float32)"
    assert repr(awkward().topology) == f"Topology(7 graphs, 24 nodes, {awkward().E} edges)"
    assert "x [24, 5] float64 of 3 kinds" in repr(awkward())
    block = Graph.build(torch.tensor([2, 1]), torch.tensor([1, 0]), [3], [2], R=(2, 1)).topology
    assert repr(block) == "Topology(1 graph, 3 nodes, 2 edges, receivers 2, then 1)"
    assert repr(block.onward.onward) == "Topology(1 graph, 1 nodes, 0 edges, receivers none left)"


def test_edges_come_in_as_elsewhere() -> None:
    edge_index = torch.tensor([[0, 1, 2], [1, 0, 1]])
    graph = heliograph.Graph.from_edge_index(edge_index, pos=torch.zeros(4, 3))
    assert graph.N == 4 and torch.equal(torch.stack([graph.topology.given(graph.topology.senders)])[0], edge_index[0])
    assert heliograph.Graph.from_edge_index(edge_index, num_nodes=3).N == 3
    with pytest.raises(heliograph.DataError, match="how many nodes"):
        heliograph.Graph.from_edge_index(edge_index)
    with pytest.raises(heliograph.DataError, match=r"edge_index must be \[2, E\], long; it is \[3, 2\]"):
        heliograph.Graph.from_edge_index(edge_index.T, num_nodes=3)
    with pytest.raises(heliograph.DataError, match=r"not Tensor: write Graph.from_edge_index"):
        heliograph.Graph(edge_index)  # type: ignore[arg-type]


def test_the_rooms_are_there_after_one_import() -> None:
    assert heliograph.batch([awkward(), awkward()]).G == 14 and heliograph.Inputs is Inputs
    assert heliograph.zoo.names and heliograph.segment.sum and heliograph.views.SelfLoops and heliograph.blocks.Head
    assert {"batch", "blocks", "segment", "views", "zoo", "Inputs"} <= set(dir(heliograph)) & set(heliograph.__all__)
    assert heliograph.Topology is Topology and awkward().nodes.get("no such thing") is None


@pytest.mark.parametrize("name", zoo.names())
@pytest.mark.parametrize("level", ["graph", "node", "edge"])
def test_graphs_without_edge_features_run_or_hear_why_not(name: str, level: str) -> None:
    graph = heliograph.Graph.from_edge_index(
        torch.tensor([[0, 1, 2, 1], [1, 0, 1, 2]]), x=torch.randn(3, 4), z=torch.tensor([1, 2, 3]), pos=torch.eye(3)
    )
    inputs = Inputs(4, 0, zoo.load(name).GEOMETRY == "required")
    if name == "rgcn":
        with pytest.raises(heliograph.UsageError, match="needs kinds of edges"):
            zoo.build(name, inputs, 2, level=level)
        return
    y = zoo.build(name, inputs, 2, level=level).eval()(graph)["y"]
    assert y.shape == ({"graph": 1, "node": 3, "edge": 4}[level], 2) and y.isfinite().all()
