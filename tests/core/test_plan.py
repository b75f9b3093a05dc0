"""The plan says what is executed: its counts are those of the operators, and they are smaller where an identity applies."""

from __future__ import annotations

import torch

from heliograph import zoo
from heliograph.algebra import use as algebra
from heliograph.batching import batch
from heliograph.model import MPNN, Inputs
from heliograph.plan import Plan, plan
from tests.graphs import ATOMS, BONDS, awkward, make_tables, random_graph


def network(name: str, **args: object) -> MPNN:
    torch.manual_seed(0)
    return zoo.build(name, Inputs(ATOMS, BONDS, zoo.load(name).GEOMETRY != "none"), 1, args)


def planned(name: str, **args: object) -> Plan:
    rng = torch.Generator().manual_seed(0)
    tables = make_tables(rng)
    return plan(network(name, **args), batch([random_graph(9, 0.5, rng, tables) for _ in range(6)]))


def test_a_filter_runs_on_pairs_and_its_sum_is_one_pass() -> None:
    p = planned("schnet", d=16, depth=3, gaussians=200)  # more knots than pairs
    (layer,) = [s for s in p.steps if s.name == "layer 1"]
    assert layer.times == 3 and p.sizes["pairs"] * 2 == p.sizes["edges"]
    assert layer.fast.operators[f"linear 200 -> 16: {p.sizes['pairs']} rows (pairs)"] == 1
    assert layer.plain.operators[f"linear 200 -> 16: {p.sizes['edges']} rows (edges)"] == 1
    assert layer.fast.operators[f"products of gathered rows, summed: {p.sizes['nodes']} rows (nodes)"] == 1
    assert layer.fast.flops < layer.plain.flops and layer.fast.largest <= layer.plain.largest / 2


def test_flops_are_counted_exactly() -> None:
    p = planned("gin", d=16, depth=1)
    (layer,) = [s for s in p.steps if s.name == "layer 1"]
    N, E, kinds = p.sizes["nodes"], p.sizes["edges"], p.sizes["kinds of edge_attr"]
    mlp = 2 * N * (16 * 32 + 32 * 16)
    assert layer.fast.flops == mlp + 2 * kinds * BONDS * 16 + 2 * E * 16
    assert layer.plain.flops == mlp + 2 * E * BONDS * 16 + E * 16


def test_an_edge_network_forms_no_matrix_per_edge() -> None:
    p = planned("gilmer", d=8, hidden=12)
    (layer,) = [s for s in p.steps if s.name == "layer 1"]
    edges = p.sizes["edges"]
    assert layer.plain.largest >= edges * 8 * 8 * 4 > layer.fast.largest
    assert p.total("fast").flops == sum(s.fast.flops * s.times for s in p.steps)
    text = str(p)
    assert f"{edges:,} edges" in text.splitlines()[0] and text.splitlines()[-1].startswith("all ")
    assert max(map(len, text.splitlines())) <= 130


def test_awkward_graphs_and_the_switch() -> None:
    p = plan(network("dmpnn", d=8), awkward())
    assert [s.name for s in p.steps] == ["embed", "layer 1", "layer 3", "readout"]
    with algebra(False):  # both ways are run, whatever is set outside
        assert plan(network("dmpnn", d=8), awkward()) == p


def test_it_says_what_is_replayed() -> None:
    assert "calls forward and" in planned("gcn", d=8).replayed and "calls forward and" in str(planned("gcn", d=8)).splitlines()[1]
    assert "reads data" in planned("kgnn", d=8).replayed
