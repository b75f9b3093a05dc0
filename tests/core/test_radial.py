"""The rule of knots: functions of many distances are interpolated; on = off in values, gradients and second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from heliograph import Graph, algebra, geometry, kernels, zoo
from heliograph.algebra import EdgeTensor, of_distance
from heliograph.algebra.expression import Gather
from heliograph.algebra.radial import Radial, accurate
from heliograph.blocks import Bessel, CosineCutoff, Gaussians, ShiftedSoftplus
from heliograph.graph import Indexed
from heliograph.model import Inputs
from heliograph.plan import plan
from heliograph.views import CompleteGraph

Way = Callable[[Tensor, Any], Any]


def molecules(n: int = 8, atoms: int = 18, dtype: torch.dtype = torch.float32) -> Graph:
    """Loose grids of atoms: 153 pairs each."""
    torch.manual_seed(0)
    grid = torch.cartesian_prod(*[torch.arange(3.0)] * 3)[:atoms]
    pos = torch.cat([1.5 * grid + 0.2 * torch.randn(atoms, 3) for _ in range(n)]).to(dtype)
    empty = torch.zeros(0, dtype=torch.long)
    z = torch.randint(1, 9, (n * atoms,))
    return Graph.build(empty, empty, [atoms] * n, [0] * n, nodes={"z": z, "pos": pos}, edges={"edge_attr": torch.zeros(0, 3)})


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of the tables that are interpolated."""
    found: list[int] = []
    interpolate = kernels.interpolate

    def counted(table: Tensor, r: Tensor, step: float) -> Tensor:
        found.append(len(table))
        return interpolate(table, r, step)

    monkeypatch.setattr(kernels, "interpolate", counted)
    return found


def test_a_network_is_the_same_with_knots_and_without(tables: list[int]) -> None:
    graph = geometry.with_vectors(CompleteGraph()(molecules()))
    torch.manual_seed(0)
    network = zoo.build("schnet", Inputs(0, 0, geometry=True), 1, {"d": 32, "depth": 2, "gaussians": 50})
    found = []
    for on in (True, False):
        with algebra.use(on):
            leaf, r = geometry.with_leaf(graph.with_topology(graph.topology))
            y = network(leaf)["y"].sum()
            (forces,) = torch.autograd.grad(y, r, create_graph=True)
            second = torch.autograd.grad(forces.square().sum(), list(network.parameters()), materialize_grads=True)
        found.append((y.detach(), forces.detach(), torch.cat([g.flatten() for g in second])))
        assert bool(tables) == on
        tables.clear()
    (y, forces, second), (y0, forces0, second0) = found
    assert y == pytest.approx(y0.item(), rel=2e-6)
    assert (forces - forces0).abs().max() < 2e-5 * forces0.abs().max()
    assert (second - second0).abs().max() < 1e-4 * second0.abs().max()


def test_gilmer_with_gaussians_runs_its_distances_on_knots(tables: list[int]) -> None:
    graph = molecules().with_nodes(x=torch.randn(144, 5))
    torch.manual_seed(0)
    network = zoo.build("gilmer", Inputs(5, 3, geometry=True), 1, {"d": 16, "hidden": 24, "gaussians": 50, "steps": 2})
    y = network(graph)["y"]
    grads = torch.autograd.grad(y.square().sum(), list(network.parameters()), allow_unused=True, materialize_grads=True)
    assert tables
    with algebra.use(False):
        y0 = network(graph)["y"]
        grads0 = torch.autograd.grad(y0.square().sum(), list(network.parameters()), allow_unused=True, materialize_grads=True)
    assert torch.allclose(y, y0, atol=1e-5)
    for a, b in zip(grads, grads0, strict=True):
        assert (a - b).abs().max() <= 1e-4 * b.abs().max() + 1e-6


def lazy(P: int, dtype: torch.dtype = torch.float32, top: float = 5.0) -> tuple[EdgeTensor, Tensor]:
    torch.manual_seed(1)
    table = (torch.rand(P, 1, dtype=dtype) * top).requires_grad_()
    return EdgeTensor(Gather(table, torch.arange(2 * P) % P)), table


def filters(basis: nn.Module) -> Way:
    torch.manual_seed(2)
    net, cut = nn.Sequential(nn.Linear(20, 16), ShiftedSoftplus(), nn.Linear(16, 4)), CosineCutoff(5.0)
    return lambda dtype, r: net.to(dtype)(basis.to(dtype)(r)) * cut(r)


WAYS = {
    "gaussians": filters(Gaussians(20, 5.0)),
    "bessel": filters(Bessel(20, 5.0)),
    "parts side by side": lambda dtype, r: torch.cat(
        [nn.functional.silu(p) for p in nn.functional.pad(filters(Gaussians(20, 5.0))(dtype, r).tanh(), (0, 0)).chunk(2, -1)], -1
    ),
}


@pytest.mark.parametrize("name", ["gaussians", "bessel"])
def test_values_and_derivatives_stay_within_what_is_promised(name: str, tables: list[int]) -> None:
    way = WAYS[name]
    r, table = lazy(2500)
    y = way(torch.float32, r)
    assert isinstance(y.expression, Radial) and y.shape == (5000, 4)
    slope = torch.autograd.grad(y.dense()[:2500, 0].sum(), table)[0]
    assert len(tables) == 1
    exact = table.detach().double().requires_grad_()
    true = way(torch.float64, exact)
    true_slope = torch.autograd.grad(true[:, 0].sum(), exact)[0]
    way(torch.float32, torch.zeros(1, 1))  # weights back to float32
    assert (y.dense()[:2500].double() - true).abs().max() < 1e-6 * true.abs().max()
    rounding = 6e-8 * 2 / 0.03  # of float32 values over the step
    assert (slope.double() - true_slope).abs().max() < 1e-5 * true_slope.abs().max() + rounding * true.abs().max()


def test_what_follows_stays_on_knots_while_it_is_smooth(tables: list[int]) -> None:
    gaussians, cut, W = Gaussians(20, 5.0), CosineCutoff(5.0), nn.Linear(20, 8)
    r, _ = lazy(2500)
    a, b = (W(gaussians(r)) * cut(r)).chunk(2, -1)
    joined = torch.cat([a.tanh(), b], -1)
    assert isinstance(joined.expression, Radial) and joined.shape == (5000, 8)
    up = joined[:, None]
    assert isinstance(up.expression, Radial) and up.shape == (5000, 1, 8) and not tables
    kinked = joined.relu()
    assert not isinstance(kinked.expression, Radial)
    assert torch.allclose(kinked.dense(), up.dense()[:, 0].relu()) and tables
    other, _ = lazy(2500)
    product = W(gaussians(r)) * W(gaussians(other))  # two tables of distances: no function of one
    assert not isinstance(product.expression, Radial)
    assert torch.allclose(product.dense(), W(gaussians(r)).dense() * W(gaussians(other)).dense())


@pytest.mark.parametrize("change", ["few pairs", "float64", "reference", "autocast", "beyond the end", "negative", "cheap", "nan"])
def test_it_runs_plainly(change: str, tables: list[int]) -> None:
    dtype = torch.float64 if change == "float64" else torch.float32
    top = 6.0 if change == "beyond the end" else 5.0
    r, table = lazy(200 if change == "few pairs" else 2500, dtype, top)
    if change in ("negative", "nan"):
        table.data[0] = -1.0 if change == "negative" else torch.nan
    way = (lambda dtype, r: Gaussians(20, 5.0).to(dtype)(r)) if change == "cheap" else WAYS["gaussians"]
    with kernels.use("reference" if change == "reference" else kernels.chosen()), torch.autocast("cpu", enabled=change == "autocast"):
        found, plain = way(dtype, r).dense(), way(dtype, table).detach()
    assert not tables
    assert torch.allclose(found[: len(table)].detach(), plain, atol=1e-12 if dtype == torch.float64 else 1e-6, equal_nan=True)


def test_a_function_that_the_knots_do_not_resolve_runs_plainly(tables: list[int]) -> None:
    r, table = lazy(5000)
    W = nn.Linear(64, 8)

    def rough(r: Tensor) -> Tensor:
        return (r * torch.arange(100.0, 164.0)).sin()  # on the scale of 0.01, and not of 0.2 as it says

    y = W(of_distance(rough, r, 64, scale=0.2)).tanh()
    assert isinstance(y.expression, Radial)
    assert torch.equal(y.dense()[:5000], W(rough(table)).tanh()) and not tables


def test_a_finer_table_is_tried() -> None:
    at = torch.arange(407, dtype=torch.float32)[:, None]
    smooth, sharp = (at * 0.1).sin(), (at * 0.5).sin()
    assert accurate(smooth, 0.025) and not accurate(sharp, 0.025) and not accurate(torch.cat([smooth, sharp], 1), 0.025)


def test_the_plan_says_so() -> None:
    network = zoo.build("schnet", Inputs(0, 0, geometry=True), 1, {"d": 32, "depth": 1})
    assert "interpolated between knots: 1,224 rows (pairs)" in str(plan(network, molecules()))


def test_a_changed_table_is_seen() -> None:
    r, table = lazy(2500)
    way = WAYS["gaussians"]
    first = way(torch.float32, r).dense().detach().clone()
    table.data.copy_(table.flip(0))
    with torch.no_grad():
        table.mul_(1.0)
    again = way(torch.float32, r).dense().detach()
    assert torch.allclose(again[:2500], first[:2500].flip(0), atol=1e-5)
    with torch.no_grad():
        table[0] = 7.0  # beyond the cutoff
    assert way(torch.float32, r).dense()[0].abs().max() == 0
    with torch.no_grad():
        table[0] = 2.0
    assert way(torch.float32, r).dense()[0].abs().max() > 0


def test_a_graph_keeps_it_as_a_table() -> None:
    r, _ = lazy(2500)
    feature = algebra.held({"w": WAYS["gaussians"](torch.float32, r)})["w"]
    assert isinstance(feature, Indexed) and feature.table.shape == (2500, 4)


def frozen(dtype: torch.dtype = torch.float32) -> tuple[nn.Sequential, Callable[[EdgeTensor], EdgeTensor]]:
    """Weights that do not learn, and the filter of them."""
    torch.manual_seed(2)
    net, basis, cut = nn.Sequential(nn.Linear(20, 64), ShiftedSoftplus(), nn.Linear(64, 4)), Gaussians(20, 5.0), CosineCutoff(5.0)
    net.requires_grad_(False)
    return net, lambda r: net(basis(r)) * cut(r)


@pytest.mark.parametrize("P", [300, 2500])
def test_a_table_is_made_once_where_weights_stay(P: int, tables: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[bool] = []
    monkeypatch.setattr("heliograph.algebra.radial.accurate", lambda values, step: checks.append(accurate(values, step)) or checks[-1])
    _, way = frozen()
    kept: algebra.Tables = {}
    found = []
    for on in (True, True, False):
        r, table = lazy(P)
        with algebra.keep(kept), algebra.use(on):
            y = way(r if on else table)
            y = y.dense()[:P] if isinstance(y, EdgeTensor) else y
            (slope,) = torch.autograd.grad(y[:, 0].sum(), table, create_graph=True)
            (bend,) = torch.autograd.grad(slope.square().sum(), table)
        found.append((y.detach(), slope.detach(), bend))
    assert len(tables) == 2 and len(checks) == 1 and len(kept) == 1
    for first, again, plain, allowed in zip(*found, (1e-6, 2e-5, 1e-3), strict=True):
        assert torch.equal(first, again)
        assert (first - plain).abs().max() <= allowed * plain.abs().max()


@pytest.mark.parametrize("change", ["in place", "other weights", "learns", "no parameter", "farther"])
def test_a_kept_table_is_of_these_weights(change: str, tables: list[int]) -> None:
    net, way = frozen()
    kept: algebra.Tables = {}
    if change == "farther":
        basis = Gaussians(20, 5.0)
        way = lambda r: net(basis(r))  # noqa: E731  # which knows no end
    if change == "no parameter":
        own = net
        way = lambda r: nn.functional.linear(own[:2](Gaussians(20, 5.0)(r)), own[2].weight * float(own[2].bias[0]))  # noqa: E731
    with algebra.keep(kept):
        way(lazy(2500)[0]).dense()
        before = len(kept)
        with torch.no_grad():
            if change == "in place":
                net[0].weight.mul_(2)
            elif change == "other weights":
                net[0].weight.data = net[0].weight * 2
            elif change == "no parameter":
                net[2].bias[0] = 3.0
        if change == "learns":
            net.requires_grad_(True)
        r, table = lazy(2500, top=7.0 if change == "farther" else 5.0)
        found = way(r).dense()[:2500]
    with algebra.use(False):
        assert torch.allclose(found, way(table), atol=2e-6)
    assert len(tables) == 2 and before == (change != "no parameter")
    if change == "learns":
        assert torch.autograd.grad(found.sum(), net[0].weight)[0].abs().max() > 0
