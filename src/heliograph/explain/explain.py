"""Molecules in, explanations out: contributions of atoms, their sum, how members differ, and a
figure that says how far to believe it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from heliograph.chem.molecule import Molecule
from heliograph.data.store import Store
from heliograph.errors import DataError, StructureError, UsageError, suggest
from heliograph.explain.methods import METHODS, fidelity
from heliograph.explain.pairs import Partner, measured
from heliograph.explain.rationale import rationale
from heliograph.explain.value import Value
from heliograph.predictor import Predictor
from heliograph.predictor import open as open_model


@dataclass(frozen=True, eq=False)
class Explained:
    """One molecule. `atoms` [n]: contributions to `prediction` - `baseline`, in the target's unit,
    or that of the logit for classes.

    `spread` [n]: their standard deviation between members; `fidelity` from -1 to 1
    (`methods.fidelity`); `by_chance`: that of the same contributions dealt out at random; `reason`:
    why there is none. `fragment`: numbers of the atoms of the smallest connected fragment that
    keeps the prediction, where it was asked for (`rationale`); `new`: of those with neighbours that
    no training molecule has; `partners`: measured molecules that differ in one place.
    """

    text: str
    row: int
    atoms: np.ndarray
    spread: np.ndarray
    prediction: float
    baseline: float
    fidelity: float
    by_chance: float
    reason: str = ""
    fragment: tuple[int, ...] = ()
    new: tuple[int, ...] = ()
    partners: tuple[Partner, ...] = ()

    @property
    def sum(self) -> float:
        """Return the sum of all contributions."""
        return float(self.atoms.sum())


class ExplainConfig(BaseModel):
    """What is explained, and where it goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_path: Path = Field(description="a model file, or a run folder")
    data_path: Path = Field(description="table of molecules")
    output_path: Path = Field(description="NAME.html (drawn) or NAME.csv")
    method: Literal["occlusion", "integrated-gradients", "gradient", "shapley", "myerson", "random"] = Field(
        "occlusion", description="how contributions are reckoned"
    )
    target: str | None = Field(None, description="target that is explained (default: the first)")
    top: PositiveInt = Field(50, description="molecules that are explained, from the first row on")
    rationale: bool = Field(False, description="also find the smallest connected fragment that keeps the prediction")
    pairs: Path | None = Field(
        None,
        description="table of measured molecules, such as that of training: those that differ in one place are shown",
    )
    smiles_columns: str | None = Field(None, description="column with the SMILES (default: 'smiles', else the first)")
    arch: Path | None = Field(None, description="your architecture file, where the model was trained with one")
    seed: int = Field(0, ge=0, description="seed of the random orders and sets")


def explain(
    predictor: Predictor,
    structures: Sequence[Any],
    method: str = "occlusion",
    target: str | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    fragment: bool = False,
) -> list[Explained]:
    """Explain the predictions of molecules (SMILES, RDKit Mols), one `Explained` each; one that
    can't be used has its reason.

    `fragment`: also find the smallest connected fragment that keeps each prediction. Of several
    classes the likeliest one's logit is explained. Raises UsageError for an unknown method or
    target.
    """
    from heliograph.chem import featurize, to_structure

    if method not in METHODS:
        raise UsageError(f"--method {method}: there is none of that name; {suggest(method, METHODS)}")
    names = predictor.targets
    if target is not None and target not in names:
        raise UsageError(f"--target: the model does not predict {target!r}; {suggest(target, names)}")
    t = 0 if target is None else names.index(target)
    found = []
    for row, structure in enumerate(structures):
        text = structure if isinstance(structure, str) else ""
        try:
            molecule = featurize(to_structure(structure), predictor.featurizer, scaffold=False)
            found.append(explain_molecule(predictor, molecule, text or molecule.smiles, method, t, seed, row, fragment))
        except StructureError as error:
            none, nan = np.zeros(0), math.nan
            reason = str(error) or "can't be used"
            found.append(Explained(text, row, none, none, nan, nan, nan, nan, reason))
        if progress is not None:
            progress(row + 1)
    return found


def explain_molecule(
    predictor: Predictor,
    molecule: Molecule,
    text: str,
    method: str = "occlusion",
    t: int = 0,
    seed: int = 0,
    row: int = 0,
    fragment: bool = False,
) -> Explained:
    """Explain target number `t` of one molecule that the predictor's featurizer has made of `text`.

    `fragment`: also find the smallest connected fragment that keeps the prediction.
    """
    store, output = Store.build([molecule], predictor.featurizer), 0
    if predictor.task.kind == "multiclass":
        output = int(predictor.predict_store(store).y[0, t])
    f = Value(predictor, store, 0, t, output)
    ranks = _ranks(text)
    if len(ranks) == f.n:
        f.order = np.argsort(ranks)
    ends = f(np.stack([np.ones(f.n, dtype=bool), np.zeros(f.n, dtype=bool)])).mean(1)
    phi = METHODS[method](f, seed)  # [n, members]
    mean = phi.mean(1)
    dealt = np.random.default_rng([seed, 2]).permutation(mean)
    return Explained(
        text,
        row,
        mean,
        phi.std(1),
        float(ends[0]),
        float(ends[1]),
        fidelity(f, mean, seed),
        fidelity(f, dealt, seed),
        fragment=tuple(np.flatnonzero(rationale(f)).tolist()) if fragment else (),
        new=tuple(predictor.trust.new_atoms(store)),
    )


def _ranks(text: str) -> list[int]:
    from heliograph.chem.parse import canonical_ranks

    try:
        return canonical_ranks(text)
    except StructureError:  # a formula: the order stays as it is
        return []


def explain_file(config: ExplainConfig, progress: Callable[[int], None] | None = None) -> tuple[list[Explained], Predictor]:
    """Explain the first rows of a table. Raises DataError where none can be used, UsageError where
    the output exists already.
    """
    from itertools import islice

    from heliograph.data.formats import read

    if config.output_path.exists():
        raise UsageError(f"{config.output_path} exists. Give another name with -o.")
    if config.output_path.suffix not in (".html", ".csv"):
        raise UsageError(f"-o {config.output_path}: give a name that ends in .html or .csv")
    predictor = open_model(config.model_path, config.arch)
    usual = predictor.document.training.get("structure_column")
    table = read(config.data_path, smiles_column=config.smiles_columns, target_columns=(), usual_column=usual)
    structures = [record.structure for record in islice(table, config.top)]
    known = None
    if config.pairs is not None:
        if predictor.task.kind != "regression":
            raise UsageError("--pairs compares numbers; this model answers with classes")
        known = measured(config.pairs, config.target or predictor.targets[0])
    found = explain(predictor, structures, config.method, config.target, config.seed, progress, config.rationale)
    if known is not None:
        t = 0 if config.target is None else predictor.targets.index(config.target)
        found = [one if one.reason else replace(one, partners=known.partners(one.text, predictor, t)) for one in found]
    if all(one.reason for one in found):
        raise DataError(f"none of the {len(found)} rows can be used: {found[0].reason if found else 'the table is empty'}")
    return found, predictor
