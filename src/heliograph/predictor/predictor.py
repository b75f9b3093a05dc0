"""A trained network with all it needs to answer for structures nobody has seen before."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from heliograph import recording, zoo
from heliograph.chem.featurizer import Featurizer
from heliograph.data.composition import composition
from heliograph.data.store import Store
from heliograph.errors import HeliographError, ModelFileError, StructureError, UsageError
from heliograph.learn.heads import HEADS
from heliograph.learn.scale import Scaling
from heliograph.learn.state import tensors_of
from heliograph.learn.task import Task
from heliograph.model import MPNN, Inputs
from heliograph.predictor import guard, kinds, laplace, modelfile, thinned
from heliograph.predictor.compositions import Compositions
from heliograph.predictor.environments import Environments
from heliograph.predictor.modelfile import Document
from heliograph.predictor.structures import one_column
from heliograph.predictor.thinned import Thinned
from heliograph.predictor.trust import Trust

if TYPE_CHECKING:
    from heliograph.chem.molecule import Molecule


@dataclass(frozen=True, eq=False)
class Answers:
    """n rows. `y` [n, T]: the value, the probability of 1, or the index of the class; NaN where there is none and `reasons` says why
    (a reason beside a number: what speaks against it).

    `probabilities` [n, T, C]: multiclass only. `std` [n, T]: the calibrated standard deviation of a number's error where the model file
    has a calibration, else the spread of an ensemble's members. `head` [n, T]: the standard deviation that the network itself says.
    With a calibration: `lower` and `upper` [n, T, K], ends of the intervals that hold `coverages` [K] of the truths (of classes: of the
    probability, K = 1), and `sets` [n, T, C, K], which classes a set that holds it has. With a domain: `in_domain` [n] of 1 and 0,
    `domain_distance` [n], the share of training molecules that are less unlike the rest, and `new_atoms` [n], the share of its atoms
    with neighbours that no training molecule has (`heliograph.uncertainty.domain`).
    """

    y: np.ndarray
    probabilities: np.ndarray | None = None
    std: np.ndarray | None = None
    reasons: tuple[str, ...] = ()
    head: np.ndarray | None = None
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    sets: np.ndarray | None = None
    in_domain: np.ndarray | None = None
    domain_distance: np.ndarray | None = None
    new_atoms: np.ndarray | None = None
    coverages: tuple[float, ...] = ()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that are there, by name."""
        return {f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), np.ndarray)}


class Predictor:
    """`Predictor.load(path).predict(["CCO", "c1ccccc1"])` is [n, T] in the targets' units.

    `models`: the networks of an ensemble (or one), whose mean is the answer and whose spread its `std`. `task`, `scaling` and
    `featurizer` say what goes in and out; `document` is all that the model file holds beside the weights.
    """

    def __init__(self, models: MPNN | Sequence[MPNN], document: Document):
        self.models = [models] if isinstance(models, MPNN) else list(models)
        self.document = document
        for model in self.models:
            model.eval()
        output = document.outputs["y"]
        self.task = Task.from_dict(output["task"])
        self.scaling = Scaling.from_dict(output["scaling"])
        self.featurizer = Featurizer.from_dict(document.parts["featurizer"])
        self.head = HEADS.get(output.get("head", ""))
        self.thinned = Thinned.from_dict(output["dropout"]) if "dropout" in output else None
        if self.thinned is not None:
            for model in self.models:
                thinned.check(model)
        self.laplace = bool(output.get("laplace"))
        self.trust = Trust.of(self.task, document.calibration, document.domain)
        self.compositions: Compositions | None = None
        if output.get("compositions"):
            self.compositions = Compositions.from_dict(output["compositions"])
        elif self.scaling.references:  # a model file from before they were recorded
            self.compositions = Compositions(tuple(sorted(self.scaling.references)))

    @property
    def model(self) -> MPNN:
        """The first network."""
        return self.models[0]

    @property
    def has_std(self) -> bool:
        """Whether answers come with a standard deviation."""
        return len(self.models) > 1 or (self.trust.calibrated and self.task.kind == "regression")

    @property
    def members(self) -> list[Predictor]:
        """One predictor for each network, without calibration and domain."""
        document = replace(self.document, calibration={}, domain={})  # of all together
        return [Predictor(model, document) for model in self.models]

    def with_trust(self, calibration: dict[str, Any], domain: dict[str, Any]) -> Predictor:
        """Return the same networks with another calibration and domain."""
        return Predictor(self.models, replace(self.document, calibration=calibration, domain=domain))

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the predicted columns."""
        return self.task.targets

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file that loads anywhere with nothing else."""
        modelfile.write(path, self.document, [tensors_of(model) for model in self.models])

    @classmethod
    def load(cls, path: str | os.PathLike[str], arch_file: str | os.PathLike[str] | None = None) -> Predictor:
        """Read a model file; `arch_file` is needed for an architecture of one's own, whose source the file does not hold.

        Raises ModelFileError where it is missing, truncated, damaged, foreign, or of a later version.
        """
        document, members = modelfile.read(path)
        kinds.expect(document.kind, "molecules", path)
        try:
            found = cls._built(document, members, path, arch_file)
            guard.tried(found)
            return found
        except ModelFileError:
            raise
        except Exception as error:
            known = isinstance(error, HeliographError | guard.Refused | KeyError | TypeError)
            if document.arch_source is not None and not known:
                raise  # an error of the user's own file
            why = f"{error}" if isinstance(error, HeliographError | guard.Refused) else f"{type(error).__name__}: {error}"
            by = str(document.versions)[:200]
            raise ModelFileError(f"{path} can't be used by this version ({why[:300]}); it was written with {by}") from error

    @classmethod
    def _built(
        cls,
        document: Document,
        members: Sequence[Mapping[str, torch.Tensor]],
        path: str | os.PathLike[str],
        arch_file: str | os.PathLike[str] | None,
    ) -> Predictor:
        """The networks that a document describes, filled, after sizes in it were held against the tensors."""
        output, inputs = document.outputs["y"], Inputs(**document.inputs)
        task = Task.from_dict(output["task"])
        guard.weights(members)
        guard.scaling(task, Scaling.from_dict(output["scaling"]))
        guard.features(inputs, Featurizer.from_dict(document.parts["featurizer"]))
        arch, out = architecture(path, document, arch_file), outputs_of(task, output.get("head"))
        tensors = [tensor for member in members for tensor in member.values()]
        guard.sizes([document.arch_args, document.arch_composition, document.inputs], tensors)
        models = []
        for member in members:
            with guard.within(member.values()):
                models.append(zoo.build(arch, inputs, out, document.arch_args))
            if output.get("laplace"):
                laplace.expect(models[-1], member, task)
            modelfile.fill(models[-1], member, path)
        return cls(models, document)

    def predict(self, structures: Sequence[Any], batch_size: int = 256) -> np.ndarray:
        """[n, T] for SMILES, RDKit Mols, ASE Atoms or `Structure`s; NaN where one can't be used (`predict_records` has the reasons).

        A list, a Series, an array [n] or [n, 1] or a table of one column. Raises DataError for one structure outside a list.
        """
        return self.predict_records(structures, batch_size).y

    def predict_records(self, structures: Sequence[Any], batch_size: int = 256) -> Answers:
        """Like `predict`, with reasons, the spread of an ensemble and, for multiclass, probabilities."""
        molecules, reasons = _featurize(one_column(structures), self.featurizer)
        good = np.array([k for k, reason in enumerate(reasons) if not reason], dtype=np.int64)
        if not len(good):
            return placed(None, good, reasons, self)
        store = Store.build(molecules, self.featurizer)
        return placed(self.founded(self.predict_store(store, batch_size), store), good, reasons, self)

    def founded(self, answers: Answers, store: Store, rows: np.ndarray | None = None) -> Answers:
        """Take back the answers that nothing in training speaks for, and give the reason beside each.

        Where per-element references were taken off, a molecule with an element that training did not have, or of a composition that is
        no combination of those there, gets no number. Without references it keeps its number; an element that is new is said.
        `rows`: which molecules of the store the answers are for (None: all, in order).
        """
        if self.compositions is None:
            return answers
        counts = composition(store) if rows is None else composition(store)[rows]
        reasons = self.compositions.reasons(counts, span=bool(self.scaling.references))
        if not any(reasons):
            return answers
        changed: dict[str, Any] = {}
        if self.scaling.references:
            referenced = np.any(list(self.scaling.references.values()), axis=0)  # [T]
            nothing = np.array([bool(reason) for reason in reasons])[:, None] & referenced  # [n, T]
            for name, values in answers.arrays().items():
                if values.ndim > 1 and values.shape[1] == len(referenced) and values.dtype.kind == "f":
                    changed[name] = values.copy()
                    changed[name][nothing] = np.nan
        return replace(answers, reasons=tuple(reasons), **changed)

    def predict_store(
        self, store: Store, batch_size: int = 256, rows: np.ndarray | None = None, environments: Sequence[Environments | None] = ()
    ) -> Answers:
        """Answers for molecules of a store that was built with this predictor's featurizer.

        `environments`: for each network what it, which they have checked, computed for earlier stores, built with their `codes`.
        """
        if store.featurizer != self.featurizer:
            raise UsageError("this store was built with another featurizer than the model's; build it with predictor.featurizer")
        rows = np.arange(len(store)) if rows is None else np.asarray(rows)
        kept = list(environments) or [None] * len(self.models)
        each = [self._answers(model, store, rows, batch_size, one) for model, one in zip(self.models, kept, strict=True)]
        found = combine([self.trust.member(answers) for answers in each])
        return self.trust(store.take(rows), found) if self.trust.present else found

    def _answers(self, model: MPNN, store: Store, rows: np.ndarray, batch_size: int, environments: Environments | None) -> Answers:
        """Answers of one network."""
        with thinned.watched(model, self.thinned is not None) as pooled, laplace.widened(model, self.laplace):
            raw = list(raw_outputs(model, store, rows, batch_size, environments))
        std = None
        if self.laplace:
            raw, std = self._with_laplace(model, raw)
        if self.thinned is not None:
            found = [self.thinned.spread(model, states).numpy() for states in pooled]
            std = np.concatenate([np.zeros((0, len(self.targets))), *found]) * np.array(self.scaling.std)
        if self.head is not None:
            split = [self.head.answers(y.double()) for y in raw]
            raw = [answers for answers, _ in split]
            std = np.concatenate([s.numpy() for _, s in split]) * np.array(self.scaling.std) if split else np.zeros((0, len(self.targets)))
        parts = [self.task.answers(y) for y in raw]
        y = np.concatenate([part[0] for part in parts]) if parts else np.zeros((0, len(self.targets)))
        if self.task.kind == "regression":
            y = self.scaling.unscale(y, composition(store)[rows] if self.scaling.references else None)
        probabilities = (
            np.concatenate([part[1] for part in parts if part[1] is not None]) if self.task.kind == "multiclass" and parts else None
        )
        return Answers(y, probabilities, reasons=("",) * len(rows), head=std)

    def _with_laplace(self, model: MPNN, raw: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], np.ndarray | None]:
        """Answers of a network whose last layer has a posterior, and their standard deviations [n, T] of numbers."""
        answers, variances = [], [torch.zeros(0, len(self.targets))]
        for y in raw:
            plain, phi = laplace.split(model, y)
            variance = laplace.variance(model, phi).double().cpu()
            answers.append(plain if self.task.kind == "regression" else laplace.moderated(plain.double().cpu(), variance))
            variances.append(variance)
        if self.task.kind != "regression":
            return answers, None
        return answers, torch.cat(variances).sqrt().numpy() * np.array(self.scaling.std)


def outputs_of(task: Task, head: str | None) -> int:
    """Return how many numbers a network gives a molecule: the task's, times the width of a head that says how sure it is."""
    return task.out * (HEADS[head].width if head else 1)


def raw_outputs(
    model: MPNN, store: Store, rows: np.ndarray, batch_size: int, environments: Environments | None = None
) -> Iterator[torch.Tensor]:
    """The network's outputs [G, out] in evaluation mode, batch after batch."""
    model.eval()
    for start in range(0, len(rows), batch_size):
        graph = store.batch(rows[start : start + batch_size])
        if environments is not None:
            yield environments.predict(model, graph)["y"]
            continue
        with torch.inference_mode():
            y = recording.play(model, graph)["y"]
        yield y


def placed(found: Answers | None, good: np.ndarray, reasons: Sequence[str], predictor: Predictor) -> Answers:
    """Answers for all rows out of those for the `good` ones, NaN elsewhere."""
    task, n = predictor.task, len(reasons)
    if found is None:
        y = np.full((n, len(task.targets)), np.nan)
        std = np.full_like(y, np.nan) if predictor.has_std else None
        probabilities = np.full((*y.shape, task.n_classes), np.nan) if task.kind == "multiclass" else None
        return Answers(y, probabilities, std, tuple(reasons))
    whole: dict[str, Any] = {}
    for name, values in found.arrays().items():
        whole[name] = np.full((n, *values.shape[1:]), False if values.dtype == bool else np.nan)
        whole[name][good] = values
    said = list(reasons)
    for k, reason in zip(good.tolist(), found.reasons, strict=True):
        said[k] = reason
    return replace(found, reasons=tuple(said), **whole)


def joined(answers: Sequence[Answers]) -> Answers:
    """Answers one after the other."""
    first = answers[0]
    whole: dict[str, Any] = {name: np.concatenate([getattr(a, name) for a in answers]) for name in first.arrays()}
    return replace(first, reasons=tuple(reason for a in answers for reason in a.reasons), **whole)


def combine(answers: Sequence[Answers]) -> Answers:
    """Members' answers for the same rows: their mean, and the standard deviation between them (n in the denominator)."""
    if len(answers) == 1:
        return answers[0]
    stacked = np.stack([a.y for a in answers])  # [members, n, T]
    if answers[0].probabilities is None:
        heads = [np.square(a.head) for a in answers if a.head is not None]
        head = np.sqrt(np.mean(heads, axis=0)) if heads else None
        ends = {}
        for name in ("lower", "upper"):
            values = [getattr(a, name) for a in answers if getattr(a, name) is not None]
            ends[name] = np.mean(values, axis=0) if values else None
        return Answers(stacked.mean(0), None, stacked.std(0), answers[0].reasons, head, ends["lower"], ends["upper"])
    each = np.stack([a.probabilities for a in answers if a.probabilities is not None])  # [members, n, T, C]
    mean = each.mean(0)
    chosen = mean.argmax(-1)  # [n, T]
    spread = np.take_along_axis(each.std(0), chosen[..., None], -1)[..., 0]
    return Answers(chosen.astype(np.float64), mean, spread, answers[0].reasons)


def open(path: str | os.PathLike[str], arch_file: str | os.PathLike[str] | None = None) -> Predictor:
    """Open a model file or a run folder as a predictor; the files of an ensemble of earlier versions, one a member, become one.

    Raises ModelFileError as `Predictor.load`; UsageError where a folder's files have different features or targets.
    """
    found = [Predictor.load(file, arch_file) for file in files(path)]
    first = found[0]
    if any(p.featurizer != first.featurizer or p.task != first.task or p.scaling != first.scaling for p in found):
        raise UsageError(f"the models in {path} have different features or targets: predict with one of them at a time")
    if len(found) == 1:
        return first
    document = replace(first.document, members=[member for p in found for member in p.document.members])
    return Predictor([model for p in found for model in p.models], document)


def files(path: str | os.PathLike[str]) -> list[Path]:
    """Model files behind a path: itself, or `model.safetensors` or `model_0 .. model_k.safetensors` of a run folder."""
    folder = Path(path)
    if not folder.is_dir():
        return [folder]
    numbered = {int(m[1]): f for f in folder.glob("model_*.safetensors") if (m := re.fullmatch(r"model_(\d+)\.safetensors", f.name))}
    found = [folder / "model.safetensors"] if (folder / "model.safetensors").is_file() else [numbered[k] for k in sorted(numbered)]
    if not found:
        hint = (
            "is its training unfinished? go on with --resume" if (folder / "config.toml").is_file() else "give a run folder or a model file"
        )
        raise ModelFileError(f"no model.safetensors in the folder {folder}: {hint}")
    return found


def architecture(path: str | os.PathLike[str], document: Document, arch_file: str | os.PathLike[str] | None) -> str | Mapping[str, Any]:
    """A name of the zoo, a composition of known parts, or the path of the file that was given for an architecture of one's own.

    Never an import path that the model file says.
    """
    if not isinstance(document.arch, str) or document.arch.endswith((".py", ".toml")):
        arch = str(document.arch)[:60]
        raise ModelFileError(f"{path} is of the architecture {arch!r}, which this version has not: it can't be a file")
    if document.arch_composition is not None:
        return document.arch_composition
    source = document.arch_source
    if source is None:
        if document.arch not in zoo.names():
            raise ModelFileError(
                f"{path} is of the architecture {document.arch!r}, which this version has not: it has {', '.join(zoo.names())}"
            )
        return document.arch
    if arch_file is None:
        raise ModelFileError(
            f"{path} is of an architecture of one's own, {source['file']}, whose source a model file does not hold. "
            f"Give it again: --arch {source['file']}"
        )
    if source_sum(arch_file) != source["sha256"]:
        raise ModelFileError(
            f"{arch_file} is not the {source['file']} that {path} was trained with: its SHA-256 differs. Give the file as it was."
        )
    return str(arch_file)


def source_sum(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a source file."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"--arch {path}: {error.strerror or error}") from None


def _featurize(structures: Iterable[Any], featurizer: Featurizer) -> tuple[list[Molecule], list[str]]:
    from heliograph.chem import featurize, to_structure

    molecules, reasons = [], []
    for structure in structures:
        try:
            molecules.append(featurize(to_structure(structure), featurizer, scaffold=False))
            reasons.append("")
        except StructureError as error:
            reasons.append(str(error) or "can't be used")
    return molecules, reasons
