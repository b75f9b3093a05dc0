"""A whole training of a potential: frames -> parts -> members -> one model file, errors, result."""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from heliograph import manifest, zoo
from heliograph.errors import UsageError, suggest
from heliograph.files import atomic
from heliograph.learn import budget, ensemble
from heliograph.learn.job import Finished, Job
from heliograph.learn.log import Log
from heliograph.learn.objectives.forces import NO_SUM, TERMS, Forces, check_potential, jump
from heliograph.learn.progress import Lines, Progress
from heliograph.learn.state import Counters
from heliograph.model import MPNN
from heliograph.potential import folder
from heliograph.potential.config import PotentialConfig, TrainPotential
from heliograph.potential.data import Frames, Read, load
from heliograph.potential.judging import columns
from heliograph.potential.potential import INPUTS, KIND, Potential, cutoff_of
from heliograph.potential.properties import Scaled, fitted, to_dict, with_heads
from heliograph.potential.references import References, references
from heliograph.potential.result import RESULTS, PotentialResult, errors
from heliograph.predictor import modelfile
from heliograph.predictor.modelfile import Document
from heliograph.predictor.predictor import source_sum
from heliograph.train import toml
from heliograph.train.assemble import command, versions

METRICS = ("energy_mae", "energy_mae_per_atom", "forces_mae", "forces_rmse", "stress_mae")
JUMP = 0.01  # of an energy at the cutoff, above which it is said


def run(
    config: TrainPotential,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PotentialResult:
    """Train as `config` says into `config.output_dir` and return what came of it; the result is saved there too.

    `resume` goes on with the run in that folder, to the very weights that it would have had; `overwrite` replaces it.
    Raises UsageError (settings that don't go together, a run in the folder), DataError (nothing usable), HeliographError.
    """
    started, progress = time.monotonic(), progress or Lines()
    arguments = _arguments(config.potential)
    trial = zoo.build(config.potential.arch, INPUTS, 1, arguments)
    check_potential(trial)
    cutoff = cutoff_of(trial)
    saved = folder.settle(config, resume, overwrite)
    if saved is not None and (config.output_dir / RESULTS).is_file():
        return PotentialResult.load(config.output_dir)
    config = saved or folder.absolute(config)
    read = load(config.frames, cutoff, config.fit.seed, progress)
    arguments |= _neighbours(config.potential.arch, arguments, read)
    refs, decided = references(config.potential.E0s, read.data, read.parts["train"])
    if jump(trial, cutoff) > JUMP:
        decided.append(
            f"{config.potential.arch} does not let a neighbour fade before the cutoff: energies jump where "
            "an atom crosses it. Take painn or schnet for dynamics and relaxation."
        )
    if saved is None:
        folder.take(config)  # nothing is changed before the frames were read
    one = _Run(config, arguments, read, refs, progress, [*read.notes, *decided])
    result = one.finish(*one.train(started, settled=saved is not None))
    manifest.seal(config.output_dir)
    return result


def _arguments(potential: PotentialConfig) -> dict[str, Any]:
    """Arguments of the architecture, the cutoff among them."""
    module = zoo.load(potential.arch)
    if module.GEOMETRY == "none":
        raise UsageError(NO_SUM)
    parameters = set(inspect.signature(module.build).parameters) - {"inputs", "out"}
    args = dict(potential.arch_args)
    for name in args:
        if name not in parameters:
            raise UsageError(f"--arch-args {name}: {potential.arch} has no such argument; {suggest(name, parameters)}")
    if potential.r_max is not None:
        if "cutoff" not in parameters:
            raise UsageError(f"--r-max: {potential.arch} has no cutoff; {suggest('cutoff', parameters)}")
        args["cutoff"] = potential.r_max
    return args


def _second_stage(potential: PotentialConfig, weights: Mapping[str, float]) -> tuple[dict[str, float], float]:
    """Weights of the second stage, and from which share of the steps on they hold."""
    if potential.start_stage_two is None or not weights["energy"]:
        return {}, 1.0
    return {"energy": potential.stage_two_energy_weight}, potential.start_stage_two


def _neighbours(arch: str, arguments: Mapping[str, Any], read: Read) -> dict[str, float]:
    """The argument `neighbours`, where an architecture has it and nobody gave it: the mean number of the training frames."""
    if "neighbours" in arguments or "neighbours" not in inspect.signature(zoo.load(arch).build).parameters:
        return {}
    rows, ends = read.parts["train"], read.data.lists["edge_offsets"]
    count = int((ends[rows + 1] - ends[rows]).sum()) / max(int(read.data.n_atoms[rows].sum()), 1)
    return {"neighbours": round(max(count, 1.0), 1)}


@dataclass(frozen=True)
class _Builder:
    """Makes the network; a plain object, so that it can go to other processes."""

    potential: PotentialConfig
    arguments: dict[str, Any]
    properties: tuple[Scaled, ...]

    def __call__(self) -> MPNN:
        return with_heads(zoo.build(self.potential.arch, INPUTS, 1, self.arguments), self.potential.arch, self.properties)


@dataclass(frozen=True, eq=False)
class _Score:
    """Outputs of some rows -> errors in meV and angstrom."""

    source: Frames

    def __call__(self, outputs: Mapping[str, Tensor], rows: np.ndarray) -> dict[str, dict[str, float]]:
        scale, n = self.source.scale, self.source.data.n_atoms[rows]
        own = {p.name: p for p in self.source.properties}
        found = {
            name: own[name].given(value.double().numpy(), n) if name in own else value.double().numpy() * scale
            for name, value in outputs.items()
        }
        labels = {name: value.numpy() for name, value in self.source.data.labels(rows).items()}
        labels["energy"] = self.source.energy[rows] * scale  # differences are the same without references
        return {"mean": errors(found, labels, n)}


class _Run:
    """One training in its folder."""

    def __init__(
        self,
        config: TrainPotential,
        arguments: dict[str, Any],
        read: Read,
        refs: References,
        progress: Progress,
        notes: list[str],
    ):
        self.config, self.arguments, self.read, self.refs = config, arguments, read, refs
        self.progress, self.notes, self.here = progress, notes, config.output_dir
        self.properties = fitted(read.properties, read.data, read.parts["train"])
        with_heads(zoo.build(config.potential.arch, INPUTS, 1, arguments), config.potential.arch, self.properties)
        self.source = Frames(read.data, refs, self.properties)
        there = {term: read.labels[term] > 0 for term in TERMS}
        weights = {term: getattr(config.potential, f"{term}_weight") if there[term] else 0.0 for term in TERMS}
        weights |= {p.name: config.potential.properties_weight for p in self.properties}
        loss = "mse" if config.fit.loss == "auto" else config.fit.loss
        names = (*(m for m in METRICS if there[m.split("_")[0]]), *(f"{p.name}_mae" for p in self.properties))
        objective = Forces(refs.atoms(read.data.cutoff), weights, loss, *_second_stage(config.potential, weights))
        self.job = Job(
            source=self.source, parts=read.parts, build=_Builder(config.potential, arguments, self.properties),
            objective=objective, fit=config.fit, score=_Score(self.source), metrics=names,
            select=config.fit.metrics[0] if config.fit.metrics else "loss", members=config.potential.ensemble_size,
            folder=self.here, unit="frames",
        )  # fmt: skip

    def train(self, started: float, settled: bool) -> tuple[Counters, list[Finished], float]:
        """All members, from the beginning or from where they stood."""
        if self.config.fit.budget and not settled:
            left = budget.seconds(self.config.fit.budget) - (time.monotonic() - started)
            epochs, text = budget.epochs(self.job, left, self.job.members)
            fit = self.config.fit.model_copy(update={"epochs": epochs})
            self.config = self.config.model_copy(update={"fit": fit})
            self.job = Job(**{**self.job.__dict__, "fit": fit})
            self.notes.append(text)
        self._begin()
        data = self.read.data
        digest = hashlib.sha256()
        for name in ("z", "pos", "energy", "forces", "stress", "cell", *(p.column for p in self.read.properties)):
            digest.update(np.ascontiguousarray(data.columns[name]).data)
        digest.update(b"".join(rows.tobytes() for rows in self.read.parts.values()))
        about = {"frames and parts": digest.hexdigest()[:16]}
        if self.config.potential.arch.endswith(".py"):
            about["architecture"] = source_sum(self.config.potential.arch)[:16]
        began = time.monotonic()
        counters, members = ensemble.train(self.job, self.progress, about)
        return counters, members, time.monotonic() - began

    def _begin(self) -> None:
        """Say what was decided; where the run begins, write it down."""
        sizes = ", ".join(f"{len(rows):,} {part}" for part, rows in self.read.parts.items())
        arch = self.config.potential.arch
        lines = [
            *self.notes,
            f"{arch}: {sizes} frames; one unit of the network is {self.refs.scale:.4g} eV.",
        ]
        for line in lines:
            self.progress.say(line)
        if (self.here / toml.FILE).is_file():
            return
        log = Log(self.here)
        log.cut(0)
        for line in lines:
            log.line(line)
        with atomic(self.here / toml.FILE) as temporary:
            temporary.write_text(toml.dump(self.config), encoding="utf-8")

    def finish(self, counters: Counters, members: list[Finished], seconds: float) -> PotentialResult:
        """Write the model file, load it back, predict with it, save the result."""
        modelfile.write(self.here / folder.MODEL, self._document(members), [m.tensors for m in members])
        own = self.config.potential.arch if self.config.potential.arch.endswith(".py") else None
        potential = Potential.load(self.here / folder.MODEL, own)
        metrics: dict[str, dict[str, float]] = {}
        zero: dict[str, dict[str, float]] = {}
        arrays: dict[str, np.ndarray] = {}
        for part in ("val", "test"):
            rows = self.read.parts[part]
            if not len(rows):
                continue
            found, wanted = self._predicted(potential, rows)
            atoms = self.read.data.n_atoms[rows]
            metrics[part] = errors(found, wanted, atoms)
            zero[part] = errors({k: v for k, v in self._nothing(rows).items() if k in found}, wanted, atoms)
            arrays |= {f"{part}_{k}": v for k, v in found.items()} | {f"{part}_{k}_true": v for k, v in wanted.items()}
            arrays |= {
                f"{part}_rows": rows,
                f"{part}_atoms": atoms,
                f"{part}_config_type": self.read.data.columns["config_type"][rows],
            }
            line = f"{part}: " + "  ".join(f"{name} {value:.4g}" for name, value in metrics[part].items())
            self.progress.say(line)
            Log(self.here).line(line)
        result = PotentialResult(
            config=self.config.model_dump(mode="json"), metrics=metrics, zero=zero,
            sizes={part: len(rows) for part, rows in self.read.parts.items()}, labels=self.read.labels,
            bad=self.read.data.bad, frames=self.read.frames, history=counters.history, best_epochs=counters.best_epochs,
            seconds=sum(row.seconds for row in counters.history), parameters=sum(p.numel() for p in potential.models[0].parameters()),
            notes=tuple(self.notes), versions=versions(), command=command(), arrays=arrays,
        )  # fmt: skip
        result.save(self.here)
        return result

    def _document(self, members: list[Finished]) -> Document:
        arch, job = self.config.potential.arch, self.job
        module = zoo.load(arch)
        objective = job.objective
        assert isinstance(objective, Forces)
        data, weights = self.config.frames.data_path.name, dict(objective.weights)
        levels = {"energy": ("graph", "eV"), "energies": ("node", "eV"), "forces": ("node", "eV/A")}
        levels |= {"stress": ("graph", "eV/A^3")}
        levels = levels if any(term in TERMS for term in objective.terms) else {}
        levels |= {p.name: ("node" if p.of_atoms else "graph", "") for p in self.properties}
        return Document(
            kind=KIND,
            arch=Path(arch).stem if arch.endswith((".py", ".toml")) else arch,
            arch_args=zoo.resolved(module, self.arguments),
            inputs={"nodes": INPUTS.nodes, "edges": INPUTS.edges, "geometry": True},
            outputs={name: {"level": level, "unit": unit} for name, (level, unit) in levels.items()},
            parts={"references": self.refs.to_dict(), "cutoff": self.read.data.cutoff}
            | ({"properties": to_dict(self.properties)} if self.properties else {}),
            arch_source={"file": Path(arch).name, "sha256": source_sum(arch)} if arch.endswith(".py") else None,
            arch_composition=getattr(module, "COMPOSITION", None),
            training={"data": data, "weights": weights, "trained_on": list(objective.terms)},
            members=[m.summary for m in members],
            versions=versions(),
        )

    def _predicted(self, potential: Potential, rows: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        answers, size = [], 4 * self.config.fit.batch_size
        for start in range(0, len(rows), size):
            answers += potential.of(self.read.data, rows[start : start + size])
            self.progress("predicting", min(start + size, len(rows)), len(rows))
        found = columns(potential, answers)
        return found, {name: v.numpy() for name, v in self.read.data.labels(rows).items() if name in found}

    def _nothing(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """E0s alone, with the mean of what the training frames have above them per atom, and no forces."""
        data, train = self.read.data, self.read.parts["train"]
        base = self.refs.of(data)
        above = (data.columns["energy"][train] - base[train]) / data.n_atoms[train]
        mean = float(np.nanmean(above)) if np.isfinite(above).any() else 0.0
        energy = base[rows] + mean * data.n_atoms[rows]
        n = data.n_atoms[rows]
        others = {p.name: p.given(np.zeros(v.shape), n) for p in self.properties for v in [data.labels(rows)[p.name]]}
        return others | {
            "energy": energy,
            "forces": np.zeros((int(n.sum()), 3)),
            "stress": np.zeros((len(rows), 3, 3)),
        }
