"""A trained potential: structures in, energies, forces and stresses out."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heliograph import algebra, geometry, kernels, recording, zoo
from heliograph.algebra import Tables
from heliograph.blocks import WithProperties
from heliograph.chem.elements import SYMBOLS
from heliograph.data.frames import Frame
from heliograph.data.sources.structures import Keys, Structures
from heliograph.errors import HeliographError, ModelFileError, StructureError
from heliograph.graph import Graph, dense
from heliograph.learn.objectives.forces import TERMS, AtomEnergies
from heliograph.learn.state import tensors_of
from heliograph.model import MPNN, Inputs
from heliograph.potential.properties import from_dict, with_heads
from heliograph.potential.references import References
from heliograph.potential.result import STRUCTURES as KIND
from heliograph.predictor import guard, kinds, modelfile
from heliograph.predictor.modelfile import Document
from heliograph.predictor.predictor import architecture
from heliograph.views import RadiusGraph

FEW_EDGES = 160  # up to which plain PyTorch is quicker than finding out what to compute where: a molecule of a dozen atoms
INPUTS = Inputs(0, 0, geometry=True)


@dataclass(frozen=True, eq=False)
class Answer:
    """For one structure of n atoms: `energy` eV, `energies` [n], `forces` [n, 3] eV/A, `stress` [3, 3] eV/A^3 (NaN unless periodic along
    three axes). `energy_std`, `forces_std` [n, 3]: spread of the members (zero with one), `members` [M, n, 3] their forces.
    `properties`: other answers by name, in the labels' units: a number, [n] of atoms (those named in `of_atoms`), [3] or [3, 3]. A model
    of properties alone has no energy (NaN) and no forces (None). `reason` is not empty where there is no answer.
    """

    energy: float = math.nan
    energies: np.ndarray | None = None
    forces: np.ndarray | None = None
    stress: np.ndarray | None = None
    energy_std: float = math.nan
    forces_std: np.ndarray | None = None
    members: np.ndarray | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    of_atoms: tuple[str, ...] = ()
    reason: str = ""


class Potential:
    """One network or an ensemble of them, with references; `document` is what the model file says."""

    def __init__(self, models: Sequence[MPNN], document: Document):
        self.models, self.document = [m.eval().requires_grad_(False) for m in models], document
        self.references = References.from_dict(document.parts["references"])
        self.properties = from_dict(document.parts.get("properties", []))
        trained = document.training.get("trained_on", TERMS)
        self.energies = any(term in trained for term in TERMS)
        self.cutoff = cutoff_of(self.models[0])
        self.atoms = self.references.atoms(self.cutoff)
        self._programs: list[recording.Program] = []
        self._tables: list[Tables] = [{} for _ in models]  # functions of distances, made once

    @classmethod
    @torch.inference_mode(False)  # whose parameters could never be differentiated through
    def load(cls, path: str | os.PathLike[str], arch_file: str | os.PathLike[str] | None = None) -> Potential:
        """Read a model file, or the one in a run folder. Raises ModelFileError where it is missing, damaged or no potential."""
        path = Path(path)
        path = path / "model.safetensors" if path.is_dir() else path
        document, members = modelfile.read(path)
        kinds.expect(document.kind, KIND, path)
        try:
            guard.weights(members)
            arch = architecture(path, document, arch_file)
            tensors = [tensor for member in members for tensor in member.values()]
            guard.sizes([document.arch_args, document.arch_composition, document.inputs], tensors)
            models = []
            for member in members:
                with guard.within(member.values()):
                    network = zoo.build(arch, Inputs(**document.inputs), 1, document.arch_args)
                    models.append(with_heads(network, arch, from_dict(document.parts.get("properties", []))))
                modelfile.fill(models[-1], member, path)
            return cls(models, document)
        except ModelFileError:
            raise
        except Exception as error:
            if document.arch_source is not None and not isinstance(error, HeliographError):
                raise  # an error of the user's own file
            why, by = f"{type(error).__name__}: {error}"[:300], str(document.versions)[:200]
            raise ModelFileError(f"{path} can't be used by this version ({why}); it was written with {by}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file that loads anywhere with nothing else."""
        modelfile.write(path, self.document, [tensors_of(m) for m in self.models])

    def to(self, dtype: torch.dtype) -> Potential:
        """Return this potential, its weights in another precision."""
        for model in self.models:
            model.to(dtype)
        self._programs, self._tables = [], [{} for _ in self.models]
        return self

    def __call__(self, frames: Sequence[Frame], batch_size: int = 16) -> list[Answer]:
        """Return an answer for each frame, in order; what can't be used has a reason."""
        reasons = [frame.reason or self._unknown(frame.z) for frame in frames]
        answers: list[Answer] = [Answer(reason=reason) for reason in reasons]
        good = [k for k, reason in enumerate(reasons) if not reason]
        for start in range(0, len(good), batch_size):
            rows = good[start : start + batch_size]
            data, kept = _listed([frames[k] for k in rows], self.cutoff)
            for k, reason in zip(rows, kept, strict=True):
                if reason:
                    answers[k] = Answer(reason=reason)
            left = [k for k, reason in zip(rows, kept, strict=True) if not reason]
            if data is not None:
                for k, answer in zip(left, self.of(data, np.arange(len(data))), strict=True):
                    answers[k] = answer
        return answers

    def _unknown(self, z: np.ndarray) -> str:
        unknown = sorted({int(k) for k in z} - set(self.references.elements))
        return f"element not in the training frames: {', '.join(SYMBOLS[k] for k in unknown)}" if unknown else ""

    def of(self, data: Structures, rows: np.ndarray) -> list[Answer]:
        """Return the answers for structures that have lists of neighbours."""
        with torch.inference_mode(False):  # tensors made in that mode can't be differentiated by
            return self._answers(data.batch(rows))

    def _answers(self, graph: Graph) -> list[Answer]:
        z = dense(graph.nodes["z"])
        E0 = torch.from_numpy(self.references.E0)[z]  # [N]
        others, of_atoms = self._others(graph), tuple(p.name for p in self.properties if p.of_atoms)
        if not self.energies:
            return [Answer(properties=of, of_atoms=of_atoms) for of in others]
        found = [self._member(k, graph) for k in range(len(self.models))]
        scale = self.references.scale
        energies = torch.stack([E0 + scale * eps for eps, _, _ in found])  # [M, N]
        forces = torch.stack([scale * f for _, f, _ in found])  # [M, N, 3]
        stress = scale * torch.stack([s for _, _, s in found]).mean(0)  # [G, 3, 3]
        index = graph.topology.nodes_by_graph.index
        energy = torch.zeros(len(found), graph.G, dtype=torch.float64).index_add(1, index, energies)  # [M, G]
        ends = torch.cat([index.new_zeros(1), graph.topology.n_node.cumsum(0)]).tolist()
        answers = []
        for g in range(graph.G):
            mine = slice(ends[g], ends[g + 1])
            each = forces[:, mine].numpy()
            answers.append(
                Answer(
                    energy=float(energy[:, g].mean()), energies=energies[:, mine].mean(0).numpy(), forces=each.mean(0),
                    stress=stress[g].numpy(), energy_std=float(energy[:, g].std(unbiased=False)), forces_std=each.std(0), members=each,
                    properties=others[g], of_atoms=of_atoms,
                )
            )  # fmt: skip
        return answers

    def _others(self, graph: Graph) -> list[dict[str, Any]]:
        """Properties of each structure: the mean of the members."""
        if not self.properties:
            return [{} for _ in range(graph.G)]
        with torch.no_grad():
            each = [model.readout.properties(model.states(graph)) for model in self.models if isinstance(model.readout, WithProperties)]
        n, made = graph.topology.n_node.numpy(), [dict[str, Any]() for _ in range(graph.G)]
        ends = np.concatenate([[0], np.cumsum(n)])
        for p in self.properties:
            values = p.given(torch.stack([of[p.name] for of in each]).double().mean(0).numpy(), n)
            for g, of in enumerate(made):
                if p.of_atoms:
                    of[p.name] = values[ends[g] : ends[g + 1], 0]
                else:
                    of[p.name] = float(values[g, 0]) if values.shape[1:] == (1,) else values[g]
        return made

    def _member(self, k: int, graph: Graph) -> tuple[Tensor, Tensor, Tensor]:
        """eps [N], forces [N, 3] and stress [G, 3, 3] of one member on the network's scale, in float64."""
        few = graph.E <= FEW_EDGES
        with (
            torch.enable_grad(),
            algebra.use(algebra.enabled() and not few),
            kernels.use("reference" if few else kernels.chosen()),
            algebra.keep(self._tables[k]),
        ):
            if len(self._programs) <= k:
                self._programs.append(derivatives(self.atoms, self.atoms.alone(self.models[k])))
            program = self._programs[k]  # of many edges: it reads tables that are kept, which a recording would make anew
            found = recording.play(self.models[k], graph, program) if few else program.run(self.models[k], graph)
            return found["eps"], found["forces"], found["stress"]


def derivatives(atoms: AtomEnergies, apart: Tensor) -> recording.Program:
    """Return what computes eps [N], forces [N, 3] and stress [G, 3, 3] of a network whose isolated atoms have `apart`."""

    def run(model: MPNN, graph: Graph) -> dict[str, Tensor]:
        graph, r = geometry.with_leaf(graph)
        eps = atoms(model, graph, r, apart)
        (gradient,) = torch.autograd.grad(eps.sum(), r, materialize_grads=True)
        stress = geometry.stress(graph, geometry.strain_derivative(graph, r.detach(), gradient))
        return {"eps": eps.detach(), "forces": geometry.forces(graph, gradient), "stress": stress}

    return recording.Program(run, (apart, *atoms.constants))


def _listed(frames: Sequence[Frame], cutoff: float) -> tuple[Structures | None, list[str]]:
    """Structures with neighbours, and for each frame the reason why it is not among them."""
    reasons = [""] * len(frames)
    try:
        data = Structures.collect(frames, Keys()).with_neighbours(cutoff)
    except (HeliographError, StructureError):  # none can be used: ask each for its reason
        if len(frames) == 1:
            raise_reason = _reason(frames[0], cutoff)
            return None, [raise_reason]
        return None, [_reason(frame, cutoff) for frame in frames]
    for number, reason in data.bad:
        reasons[number] = reason
    return data, reasons


def _reason(frame: Frame, cutoff: float) -> str:
    try:
        Structures.collect([frame], Keys()).with_neighbours(cutoff)
    except HeliographError as error:
        return str(error).split(": ", 1)[-1]
    return ""


def cutoff_of(model: nn.Module) -> float:
    """Return the largest cutoff among a network's views. Raises UsageError where it looks at no neighbours in space."""
    from heliograph.errors import UsageError

    view = getattr(model, "view", None)
    found = [m.cutoff for m in view.modules() if isinstance(m, RadiusGraph)] if isinstance(view, nn.Module) else []
    if not found:
        raise UsageError("this architecture has no neighbours within a cutoff (a view RadiusGraph or Neighbours), so no forces")
    return float(max(found))
