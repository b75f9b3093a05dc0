"""Energies, forces and stresses that are replayed are those of the network, and so are the gradients of their losses."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from heliograph import recording, zoo
from heliograph.data.frames import Frame
from heliograph.data.sources.structures import Keys, Structures
from heliograph.graph import Graph
from heliograph.learn.objectives.forces import AtomEnergies, Forces
from heliograph.model import MPNN, Inputs
from heliograph.potential.potential import derivatives
from heliograph.recording import player
from tests.recording.test_recorded import same

CUTOFF, ELEMENTS = 4.0, (1, 6, 8)
SMALL: dict[str, dict[str, Any]] = {
    "alignn": {"d": 8, "depth": 1},
    "dimenet": {"d": 8, "depth": 1},
    "dimenet_pp": {"d": 8, "depth": 1},
    "dtnn": {"d": 8, "steps": 2, "factors": 10},
    "egnn": {"d": 8, "depth": 2, "cutoff": CUTOFF},
    "gilmer": {"d": 8, "hidden": 10, "steps": 2, "gaussians": 12},
    "mace": {"d": 4, "depth": 2},
    "nequip": {"d": 4, "depth": 2},
    "painn": {"d": 8, "depth": 2},
    "schnet": {"d": 8, "depth": 2},
    "schnet_edge": {"d": 8, "depth": 2},
}
QUICK = {"schnet"}
DECIDES = {"dtnn", "mace", "nequip"}  # by data: how far apart atoms are, which elements there are; these run as they are


def structures(sizes: list[int], seed: int, cell: float | None = None) -> Graph:
    """Atoms at random; with a `cell`, crystals."""
    rng, frames = np.random.default_rng(seed), []
    for n in sizes:
        side = 1.6 * n ** (1 / 3) if cell is None else cell
        lattice = None if cell is None else cell * np.eye(3)
        frames.append(Frame(rng.choice(ELEMENTS, n).astype(np.uint8), rng.uniform(0, side, (n, 3)), lattice, (cell is not None,) * 3))
    data = Structures.collect(frames, Keys()).with_neighbours(CUTOFF)
    return data.batch(np.arange(len(frames)))


def network(name: str) -> MPNN:
    torch.manual_seed(0)
    net = zoo.build(name, Inputs(0, 0, geometry=True), 1, SMALL[name])
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return net


def energies() -> AtomEnergies:
    shift = torch.zeros(119, dtype=torch.float64)
    shift[6] = 0.3
    return AtomEnergies(ELEMENTS, shift, CUTOFF)


def answers(net: MPNN, objective: Forces, graph: Graph) -> list[Tensor | None]:
    """Energies, forces, stresses, and the gradient of a loss of all of them: second derivatives of the energy."""
    found = objective.outputs(net, graph, {})
    values = [y.detach().nan_to_num() for y in found.values()]
    if not found["forces"].requires_grad:
        return [*values]
    loss = sum(y.nan_to_num().square().sum() for y in found.values())
    return [*values, *torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in SMALL])
def test_forces_and_their_derivatives_are_replayed_bit_for_bit(name: str) -> None:
    net, objective = network(name).train(), Forces(energies(), {"energy": 1.0, "forces": 1.0, "stress": 1.0})
    twin, crystals = copy.deepcopy(net), name not in ("dtnn", "gilmer")
    between = {4: structures([1], 0), 6: structures([1, 1, 3], 1)}
    if crystals:
        between[5] = structures([3, 2], 2, cell=4.5)
    for k in range(9):
        for graph in [structures([9 + k % 3, 10], k), *([between[k]] if k in between else [])]:
            mine = answers(net, objective, graph)
            with recording.use(False):
                assert same(mine, answers(twin, objective, graph)), f"step {k}"
    assert player.known(net, objective.program).replayed >= 4 or name in DECIDES
    net.eval()
    assert not any(y.requires_grad for y in objective.outputs(net, graph, {}).values())


def test_second_derivatives_of_replayed_forces() -> None:
    net, objective = network("schnet").double().train(), Forces(energies(), {"energy": 1.0, "forces": 1.0})
    parameters = list(net.parameters())
    for k in range(6):
        graph, found = structures([9 + k % 3, 10], k), []
        for on in (True, False):
            with recording.use(on):
                y = objective.outputs(net, graph, {})
                slopes = torch.autograd.grad(y["forces"].square().sum(), parameters, create_graph=True, allow_unused=True)
                total = sum(g.square().sum() for g in slopes if g is not None)
                found.append(torch.autograd.grad(total, parameters, allow_unused=True))
        for a, b in zip(*found, strict=True):
            a, b = (torch.zeros((), dtype=torch.float64) if g is None else g for g in (a, b))  # None: what only energies need
            assert torch.allclose(a, b, rtol=1e-9, atol=1e-9 * float(b.abs().max()))
    assert player.known(net, objective.program).replayed >= 2


def test_a_potential_replays_its_derivatives() -> None:
    net, atoms = network("painn").eval().requires_grad_(False), energies()
    program = derivatives(atoms, atoms.alone(net))
    for k in range(8):
        graph = structures([9 + k % 3], k)
        for on in (True, False):
            with recording.use(on):
                y = recording.play(net, graph, program)
                assert not any(v.requires_grad for v in y.values())
            before = [v.nan_to_num() for v in y.values()] if on else before
        assert all(torch.equal(a, v.nan_to_num()) for a, v in zip(before, y.values(), strict=True))
    assert player.known(net, program).replayed >= 4


def test_a_longer_cutoff_than_the_list_is_a_decision_that_is_looked_at_again() -> None:
    """All pairs were near on the tapes; then one is not, and the view must drop it."""
    net, objective = network("schnet").train(), Forces(energies(), {"energy": 1.0, "forces": 1.0})
    graphs = [structures([9 + k % 3, 10], k) for k in range(8)]
    for graph in graphs[:6]:
        objective.outputs(net, graph, {})
    assert (replayed := player.known(net, objective.program).replayed)
    far = graphs[6]
    vectors = far.edges["pair_vector"]
    vectors.table[0] *= 60.0 / vectors.table[0].norm()
    mine = answers(net, objective, far)
    with recording.use(False):
        assert same(mine, answers(net, objective, far))
    assert player.known(net, objective.program).replayed == replayed
    objective.outputs(net, graphs[7], {})
    assert player.known(net, objective.program).replayed == replayed + 1


def test_a_replayed_step_is_freed_with_its_results() -> None:
    """At once: several results of one step that hold each other are not found by the collector of Python either."""
    net, objective = network("schnet").train(), Forces(energies(), {"energy": 1.0, "forces": 1.0})
    for k in range(6):
        found = objective.outputs(net, structures([9 + k % 3, 10], k), {})
    assert player.known(net, objective.program).replayed
    gc.collect()
    gc.disable()
    try:
        step = weakref.ref(found["energy"].grad_fn)
        sum(y.nan_to_num().sum() for y in found.values()).backward()
        del found
        assert step() is None
    finally:
        gc.enable()


def test_a_program_is_not_kept_alive() -> None:
    net, objective = network("schnet").train(), Forces(energies(), {"energy": 1.0})
    objective.outputs(net, structures([9], 0), {})
    assert len(player._players[net]) == 1
    del objective
    gc.collect()
    assert len(player._players[net]) == 0
