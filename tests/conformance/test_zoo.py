"""What every architecture must do; a new file in `zoo/` is tested by being there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from unittest import mock

import pytest
import torch
from torch import Tensor

from heliograph import kernels, segment, zoo
from heliograph.algebra import colour
from heliograph.algebra import use as algebra
from heliograph.batching import batch
from heliograph.cli.options import pairs
from heliograph.graph import Graph, dense
from heliograph.model import MPNN, Inputs
from tests.graphs import ATOMS, BONDS, DTYPE, awkward, moved, permuted, random_graph, strange

OUT = 2
VARIANTS = [  # arguments that bring parts of their own
    "sage aggregate=lstm",
    "jk mode=max",
    "jk mode=lstm of=gat",
    "ggnn both_ways=true",
    "gps attention=performer",
    "gilmer towers=2",
    "gilmer gaussians=5",
    "schnet dipole=true",
    "painn dipole=true",
    "egnn cutoff=4.0 depth=3",
    "mace L=2 depth=3 d=8",
    "mace L=0 correlation=2 d=8",
    "nequip L=3 depth=2 d=8",
]
CASES = [
    (name, geometry)
    for name in [*zoo.names(), *VARIANTS]
    for geometry in {"none": [False], "optional": [False, True], "required": [True]}[zoo.load(name.split()[0]).GEOMETRY]
    if geometry or "gaussians" not in name  # of distances
]
cases = pytest.mark.parametrize(("name", "geometry"), CASES)


def network(name: str, geometry: bool, level: str = "graph") -> MPNN:
    torch.manual_seed(0)
    arch, *args = name.split()
    net = zoo.build(arch, Inputs(ATOMS, BONDS, geometry), OUT, pairs(args), level).to(DTYPE)
    for p in net.parameters():  # away from zeros and ones that hide mistakes
        p.data += 0.05 * torch.randn_like(p)
    return net.eval()


def one(seed: int = 0) -> Graph:
    return random_graph(8, 0.5, torch.Generator().manual_seed(seed))


@cases
def test_shape_and_batch_equals_singles(name: str, geometry: bool) -> None:
    net, graph = network(name, geometry), awkward()
    y = net(graph)["y"]
    assert y.shape == (graph.G, OUT) and y.isfinite().all()
    assert torch.allclose(y, torch.cat([net(g)["y"] for g in graph.unbatch()]), atol=1e-10)
    assert net.states(graph).nodes["h"].shape[0] == graph.N


def reordered(graph: Graph, order: Tensor) -> Graph:
    """The graph with its edges (as they are sorted) given in another order."""
    t, attr = graph.topology, dense(graph.edges["edge_attr"])[order]
    return Graph.build(t.senders[order], t.receivers[order], [graph.N], [graph.E], nodes=graph.nodes, edges={"edge_attr": attr})


@cases
@pytest.mark.parametrize("level", ["node", "edge"])
def test_nodes_and_edges_have_targets_too(name: str, geometry: bool, level: str) -> None:
    """A row for each node or edge in the order given, whatever the view does; a batch is its graphs; gradients arrive."""
    net, graph = network(name, geometry, level), awkward()
    y = net(graph)["y"]
    assert y.shape == (graph.N if level == "node" else graph.E, OUT) and y.isfinite().all()
    assert torch.allclose(y, torch.cat([net(g)["y"] for g in graph.unbatch()]), atol=1e-10)
    first = one()
    order = torch.randperm(first.E, generator=torch.Generator().manual_seed(1))
    y = net(reordered(first, torch.arange(first.E)))["y"]
    assert torch.allclose(net(reordered(first, order))["y"], y if level == "node" else y[order], atol=1e-10)
    assert (y.std(0) > 0).all()
    net(batch([one(k) for k in range(4)]))["y"].square().sum().backward()
    for key, p in net.readout.named_parameters():
        assert p.grad is not None and bool((p.grad != 0).any()), key


@cases
def test_numbering_of_nodes_and_edges_does_not_matter(name: str, geometry: bool) -> None:
    net, graph = network(name, geometry), one()
    assert torch.allclose(net(graph)["y"], net(permuted(graph, torch.Generator().manual_seed(1)))["y"], atol=1e-10)


@cases
def test_place_and_orientation_in_space_do_not_matter(name: str, geometry: bool) -> None:
    net, graph = network(name, geometry), one()
    there = net(moved(graph, torch.Generator().manual_seed(1)))["y"]
    assert torch.allclose(net(graph)["y"], there, atol=1e-9)
    pos = graph.nodes["pos"]
    assert isinstance(pos, Tensor)
    stretched = net(graph.with_nodes(pos=1.3 * pos))["y"]
    assert torch.allclose(net(graph)["y"], stretched, atol=1e-9) is not geometry  # with geometry, size does


@cases
@pytest.mark.parametrize("make", [awkward, strange])
@pytest.mark.parametrize("coloured", [False, True])
def test_algebra_on_equals_off(name: str, geometry: bool, make: Callable[[], Graph], coloured: bool) -> None:
    """Values, first and second derivatives, with the fused kernels on and everything off; `coloured`: even small graphs are coloured."""
    net, graph = network(name, geometry), make()
    parameters = list(net.parameters())
    results = []
    small = (
        {"LEAST_ROWS": 1, "LEAST_WIDTH": 1, "LEAST_NUMBERS": 1, "MOST_TYPES": 1.0, "MOST_DISTINCT": 1.0}
        if coloured
        else {"LEAST_ROWS": colour.LEAST_ROWS}
    )
    for on, which in ((True, "fused"), (False, "reference")):
        with mock.patch.multiple(colour, **small), algebra(on), kernels.use(which):
            y = net(graph)["y"]
            first = torch.autograd.grad(y.square().sum(), parameters, create_graph=True, materialize_grads=True)
            squares = torch.stack([g.square().sum() for g in first]).sum()
            second = torch.autograd.grad(squares, parameters, materialize_grads=True)
        results.append([y, *first, *second])
    for fast, plain in zip(*results, strict=True):
        scale = max(1.0, float(plain.detach().abs().max())) if plain.numel() else 1.0
        assert torch.allclose(fast, plain, rtol=0, atol=1e-10 * scale)


@cases
def test_a_gradient_reaches_every_parameter(name: str, geometry: bool) -> None:
    net = network(name, geometry)
    net(batch([one(k) for k in range(4)]))["y"].square().sum().backward()
    for key, p in net.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all() and bool((p.grad != 0).any()), key


@pytest.mark.parametrize("name", [n for n, g in CASES if g])
def test_forces_are_finite_differences_and_have_derivatives(name: str) -> None:
    net, graph = network(name, True), one()
    pos = graph.nodes["pos"]
    assert isinstance(pos, Tensor)

    def energy(p: Tensor) -> Tensor:
        return net(graph.with_nodes(pos=p))["y"][:, 0].sum()

    assert torch.autograd.gradcheck(energy, pos.clone().requires_grad_(), atol=1e-6)
    x = pos.clone().requires_grad_()
    (force,) = torch.autograd.grad(energy(x), x, create_graph=True)
    force.square().sum().backward()  # what training on forces does
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters()) and any(p.grad is not None for p in net.parameters())


@cases
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_runs_in_other_precisions(name: str, geometry: bool, dtype: torch.dtype) -> None:
    net, graph = network(name, geometry), awkward()
    exact = net(graph)["y"]
    low = net.to(dtype)(graph)["y"]
    assert low.dtype == dtype and torch.allclose(
        low.to(DTYPE), exact, rtol=1e-3 if dtype == torch.float32 else 0.5, atol=1e-3 if dtype == torch.float32 else 0.5
    )


@pytest.mark.parametrize("name", zoo.names())
def test_the_file_says_what_it_is(name: str) -> None:
    module = zoo.load(name)
    text = module.__doc__ or ""
    assert "et al." in text or "&" in text, "authors"
    assert "arXiv" in text or "doi" in text, "identifier"
    assert ("Expressivity" in text and "h_i'" in text) or "h_ij'" in text, "equations and place in the hierarchy"
    arguments = list(inspect.signature(module.build).parameters)
    assert arguments[:2] == ["inputs", "out"] and len(arguments) <= 9
    assert len(inspect.getsource(module).splitlines()) <= 130


@pytest.mark.parametrize("name", [name for name in zoo.names() if zoo.load(name).GEOMETRY == "required"])
def test_an_extensive_prediction_is_a_sum_over_atoms(name: str) -> None:
    """`EXTENSIVE` promises an argument `aggregate` that makes the sum a mean; training relies on it."""
    module, graph = zoo.load(name), one()
    aggregate = inspect.signature(module.build).parameters.get("aggregate")
    assert getattr(module, "EXTENSIVE", False) == (aggregate is not None and aggregate.default is segment.sum)
    if not getattr(module, "EXTENSIVE", False):
        return
    total = network(name, True)
    mean = zoo.build(name, Inputs(ATOMS, BONDS, True), OUT, {"aggregate": "mean"}).to(DTYPE).eval()
    mean.load_state_dict(total.state_dict())
    assert torch.allclose(total(graph)["y"], graph.N * mean(graph)["y"])
