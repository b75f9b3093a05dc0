"""Energies, forces and stresses: the network gives energies, the others are their derivatives by the vectors of pairs.

    eps_i  = net(structure)_i - net(atom i alone) + shift[z_i] (1 - exp(-10 sum_j c(r_ij)))
    energy = sum_i eps_i,   forces and stress from d energy / dr       (`heliograph.geometry`)

An isolated atom has eps = 0. An atom among others has its element's shift, which is fixed: the network need not learn it; c falls from
one to zero at the cutoff with two derivatives, so that an atom that leaves loses the shift smoothly.

Everything is on the network's scale: energies over `scale`, references taken off. Loss terms: the energy's error per atom, and each
component of forces and of the stress (the six independent ones, where the volume is known), squared or as `loss` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from heliograph import geometry, recording, segment
from heliograph.blocks import AtomWise, WithProperties
from heliograph.data.targets import Target, Targets
from heliograph.errors import UsageError
from heliograph.graph import Graph, Indexed, dense
from heliograph.learn.losses import Loss
from heliograph.learn.objective import Objective
from heliograph.model import MPNN
from heliograph.topology import Topology

NO_SUM = (
    "an energy must be a sum over atoms that see one another in space (a readout AtomWise with sum): a supercell must have a multiple of "
    "the cell's energy. Use painn or schnet, without --arch-args aggregate=..."
)
TERMS = ("energy", "forces", "stress")
UPPER = ((0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1))  # xx yy zz yz xz xy


def check_potential(model: MPNN) -> None:
    """Raise UsageError where a network's energy is not a sum of the shares of its atoms: twice the cell must be twice the energy."""
    readout = energy_readout(model)
    if readout is None or readout.aggregate is not segment.sum:
        raise UsageError(NO_SUM)


def energy_readout(model: MPNN) -> AtomWise | None:
    """Return the readout of the energy, None where there is none that gives shares of atoms."""
    readout = model.readout.energy if isinstance(model.readout, WithProperties) else model.readout
    return readout if isinstance(readout, AtomWise) else None


def jump(model: MPNN, cutoff: float) -> float:
    """Return how much an energy jumps where an atom crosses the cutoff, over what its neighbour at a third of it changes. Smooth: 0."""
    if math.isinf(cutoff):
        return 0.0
    values = []
    with torch.no_grad():
        for distance in (cutoff / 3, cutoff * (1 - 1e-4)):
            ends = torch.tensor([0, 1])
            one, two = torch.tensor([1]), torch.tensor([2])
            topology = Topology(ends.flip(0), ends, two, 2 * one, N=2)
            vectors = Indexed(torch.tensor([[distance, 0.0, 0.0]]), torch.tensor([0, 0]))
            pair = Graph(topology, {"z": torch.tensor([6, 6]), "pos": torch.zeros(2, 3)}, {geometry.VECTOR: vectors})
            values.append(float((shares(model, pair) - shares(model, alone([6]))).abs().max()))
    return values[1] / values[0] if values[0] > 0 else 0.0


def alone(elements: Sequence[int]) -> Graph:
    """Return one graph of a single atom for each element."""
    n = len(elements)
    one, none = torch.ones(n, dtype=torch.long), torch.zeros(0, dtype=torch.long)
    topology = Topology(none, none, one, torch.zeros(n, dtype=torch.long), N=n)
    vectors = Indexed(torch.zeros(0, 3), none)
    nodes = {"z": torch.tensor(list(elements), dtype=torch.long), "pos": torch.zeros(n, 3)}
    return Graph(topology, nodes, {geometry.VECTOR: vectors})


def shares(model: MPNN, graph: Graph, states: Graph | None = None) -> Tensor:
    """Return the readout's value of each atom, [N]; `states`: the graph as the layers left it, where that is known."""
    readout = energy_readout(model)
    assert readout is not None
    return readout.shares(model.states(graph) if states is None else states)[:, 0]


@final
@dataclass(frozen=True, eq=False)
class AtomEnergies:
    """eps_i of a network's atoms. `elements`: those that are known; `shift` [119] by atomic number, float64; `cutoff` in angstrom."""

    elements: tuple[int, ...]
    shift: Tensor
    cutoff: float

    @cached_property
    def isolated(self) -> Graph:
        """An atom of each known element."""
        return alone(self.elements)

    @cached_property
    def shifted(self) -> bool:
        """Whether any element has a shift."""
        return bool(self.shift.any())

    @property
    def constants(self) -> tuple[Graph | Tensor, ...]:
        """What energies depend on beside the graph and the network."""
        return self.isolated, self.shift

    def alone(self, model: MPNN) -> Tensor:
        """Return the network's value of an isolated atom by atomic number, [119]; zero for other elements."""
        values = shares(model, self.isolated)
        index = dense(self.isolated.nodes["z"]).to(values.device)
        return values.new_zeros(119).index_copy(0, index, values)

    def __call__(self, model: MPNN, graph: Graph, r: Tensor, apart: Tensor, states: Graph | None = None) -> Tensor:
        """Return eps [N] in float64; `r` [P, 3] is the graph's leaf, `apart` [119] comes from `alone`, `states` as in `shares`."""
        z = dense(graph.nodes["z"])
        eps = shares(model, graph, states).to(r.dtype) - apart.to(r.dtype).index_select(0, z)
        if not self.shifted:
            return eps
        return eps + self.shift.to(r.device).index_select(0, z) * self._among_others(graph, r)

    def _among_others(self, graph: Graph, r: Tensor) -> Tensor:
        """1 - exp(-10 sum_j c(r_ij)), c = (1 - x)^3 (1 + 3 x + 6 x^2), x = r / cutoff: [N]."""
        t = graph.topology
        x = (geometry.lengths(r)[:, 0] / self.cutoff).clamp(max=1.0)  # [P]
        c = (1 - x).pow(3) * (1 + 3 * x + 6 * x * x)
        first = t.pairs.edges
        near = r.new_zeros(t.N).index_add(0, t.receivers[first], c).index_add(0, t.senders[first], c)
        return 1 - (-10 * near).exp()


@final
class Forces(Objective):
    """Energies with forces and stresses as their derivatives. Targets: "energy" [G], "forces" [N, 3], "stress" [G, 3, 3], and "atoms" [G],
    how many there are.

    `atoms` gives their energies. `weights`: term -> weight; a term of weight 0 is not computed; other terms than these are properties
    that the network's readout has beside the energy (`heliograph.blocks.WithProperties`). `losses`: "mse", "mae" or "huber".
    `later`: weights that hold from the share `later_from` of all steps on, and in validation.
    """

    def __init__(
        self,
        atoms: AtomEnergies,
        weights: Mapping[str, float],
        losses: str = "mse",
        later: Mapping[str, float] | None = None,
        later_from: float = 1.0,
    ):
        super().__init__()
        self.later, self.later_from = dict(later or {}), later_from
        self.atoms, self.weights = atoms, dict.fromkeys(TERMS, 0.0) | dict(weights)
        self.terms = tuple(term for term, weight in self.weights.items() if weight > 0)
        self.properties = tuple(term for term in self.terms if term not in TERMS)
        self.gradients = "forces" in self.terms or "stress" in self.terms
        self.loss = Loss(losses)
        self.program = recording.Program(self._outputs, atoms.constants)

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        return dict(recording.play(model, graph, self.program))

    def _outputs(self, model: MPNN, graph: Graph) -> dict[str, Tensor]:
        """Return the answers: in training those that have a weight with gradients, in evaluation all without."""
        found = self._computed(model, graph.to(next(model.parameters()).device))
        return {name: y if model.training and name in self.terms else y.detach() for name, y in found.items()}

    def _computed(self, model: MPNN, graph: Graph) -> dict[str, Tensor]:
        graph, r = geometry.with_leaf(graph) if self.gradients else (graph, geometry.pair_vectors(graph))
        states = model.states(graph)
        others: dict[str, Tensor] = {}
        if self.properties:
            assert isinstance(model.readout, WithProperties)
            others = model.readout.properties(states)
        if len(self.properties) == len(self.terms):
            return others
        eps = self.atoms(model, graph, r, self.atoms.alone(model), states)
        energy = segment.sum(eps[:, None], graph.topology.nodes_by_graph)[:, 0]  # [G]
        if not self.gradients:
            return {"energy": energy} | others
        (gradient,) = torch.autograd.grad(energy.sum(), r, create_graph=model.training, materialize_grads=True)
        found = {"energy": energy, "forces": geometry.forces(graph, gradient)} | others
        if "stress" in self.terms:
            found["stress"] = geometry.stress(graph, geometry.strain_derivative(graph, r, gradient))
        return found

    def weight(self, term: str, done: float = 1.0) -> float:
        return float(self.later.get(term, self.weights[term]) if done >= self.later_from else self.weights[term])

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        return {term: self.loss(*self._pair(term, outputs[term], targets)) for term in self.terms}

    def counts(self, targets: Targets) -> dict[str, float]:
        return {term: float(self._pair(term, None, targets)[1].present.sum()) for term in self.terms}

    def _pair(self, term: str, found: Tensor | None, targets: Targets) -> tuple[Tensor, Target]:
        """Answers and labels of a term as [n, k], the energy per atom."""
        target = targets[term]
        value = target.value
        y = torch.zeros_like(value) if found is None else found.to(value.dtype)
        if term == "energy":
            atoms = targets["atoms"].value
            return (y / atoms)[:, None], Target((value / atoms)[:, None], weight=target.weight)
        if term == "stress":
            y, value = y[:, UPPER[0], UPPER[1]], value[:, UPPER[0], UPPER[1]]
            return torch.where(value.isfinite(), y, 0), Target(value)
        return y, Target(value, target.level, weight=target.weight)
