"""Models that are made anew in each round of what is labelled: a forest on fingerprints, or an ensemble of networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from heliograph.active.acquisition import Beliefs
from heliograph.active.config import Learning
from heliograph.errors import DataError

NETWORKS = 5  # at most, of an ensemble


class Learner(Protocol):
    """`beliefs(rows, y, asked, seed)`: made of labels `y` of molecules `rows`, about molecules `asked`; numbers are rows of the pool."""

    def beliefs(self, rows: np.ndarray, y: np.ndarray, asked: np.ndarray, seed: int) -> Beliefs:
        """What the model believes."""


class Forest:
    """A random forest on ECFP4, its trees the members."""

    def __init__(self, smiles: Sequence[str], trees: int):
        from heliograph.chem import ecfp

        self.bits, self.trees = ecfp(smiles).astype(np.float32), trees

    def beliefs(self, rows: np.ndarray, y: np.ndarray, asked: np.ndarray, seed: int) -> Beliefs:
        """What the trees believe."""
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(self.trees, max_features=0.33, random_state=seed, n_jobs=1).fit(self.bits[rows], y)
        X = self.bits[asked]
        return Beliefs.of(np.stack([tree.predict(X) for tree in forest.estimators_]))


class Networks:
    """An ensemble of an architecture of the zoo."""

    def __init__(self, smiles: Sequence[str], arch: str, members: int, epochs: int):
        from heliograph import zoo

        zoo.load(arch)
        self.smiles, self.arch, self.members, self.epochs = list(smiles), arch, min(members, NETWORKS), epochs

    def beliefs(self, rows: np.ndarray, y: np.ndarray, asked: np.ndarray, seed: int) -> Beliefs:
        """What the networks believe."""
        from heliograph.estimators import MoleculeRegressor

        model = MoleculeRegressor(self.arch, ensemble_size=self.members, epochs=self.epochs, random_state=seed)
        model.fit([self.smiles[k] for k in rows], y)
        texts = [self.smiles[k] for k in asked]
        found = [member.predict(texts)[:, 0] for member in model.predictor_.members]
        return Beliefs.of(np.stack(found))


def learner(config: Learning, smiles: Sequence[str]) -> Learner:
    """The learner that is asked for. Raises UsageError for an unknown architecture."""
    if config.learner == "forest":
        return Forest(smiles, config.members)
    return Networks(smiles, config.learner, config.members, config.epochs)


def readable(table: object, target: str | None = None) -> tuple[list[str], np.ndarray, list[str], list[dict[str, str]]]:
    """Canonical SMILES, labels (NaN where there are none), reasons of rows left out, and cells, each molecule once.

    Raises DataError where nothing can be used.
    """
    from heliograph.chem.parse import canonical
    from heliograph.data.formats import as_number
    from heliograph.errors import StructureError

    smiles: dict[str, int] = {}
    values: list[float] = []
    cells: list[dict[str, str]] = []
    reasons: list[str] = []
    for record in table:  # type: ignore[attr-defined]
        text = record.structure if isinstance(record.structure, str) else record.meta.get("smiles", "")
        try:
            one = canonical(text)
        except StructureError as error:
            reasons.append(record.reason or str(error))
            continue
        cell = record.targets.get(target, "") if target is not None else ""
        value = as_number(cell) if isinstance(cell, str) else cell
        if one in smiles:
            reasons.append("the molecule is there already")
        elif target is not None and (value is None or not np.isfinite(value)):
            reasons.append("no label")
        else:
            smiles[one] = len(smiles)
            values.append(float("nan") if value is None else float(value))
            cells.append(dict(record.meta))
    if not smiles:
        raise DataError(f"none of {len(reasons)} rows can be used: {reasons[0] if reasons else 'the table is empty'}")
    return list(smiles), np.array(values), reasons, cells
