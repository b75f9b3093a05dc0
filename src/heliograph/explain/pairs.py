"""Measured molecules that differ from one in a single place: what the change did, and what the network says it does.

A counterfactual made by hiding atoms is no molecule; these are, with labels that somebody measured. Matched molecular pairs of
`heliograph.chem.matched`: one substituent, or a hydrogen, for another at an acyclic single bond.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from heliograph.data.formats.cells import as_number
from heliograph.errors import DataError, StructureError
from heliograph.predictor import Predictor

MOST = 3  # partners of one molecule


@dataclass(frozen=True)
class Partner:
    """A measured molecule, `smiles`, and the `change` that leads to it, as BEFORE>>AFTER. `label`: its own; `step`: prediction of the
    partner less that of the molecule."""

    smiles: str
    change: str
    label: float
    step: float

    @property
    def text(self) -> str:
        """Change, molecule, label and step in one line."""
        return f"{self.change} {self.smiles} {self.label:.6g} {self.step:+.6g}"


@final
class Measured:
    """A table of molecules with labels, searched by what stays where one place changes."""

    def __init__(self, smiles: Sequence[str], labels: Sequence[float]):
        from heliograph.chem.matched import HYDROGEN, cuts, hydrogens

        self.labels: dict[str, float] = {}
        self._at: dict[str, list[tuple[str, str]]] = defaultdict(list)  # what stays -> (molecule, what changes)
        for text, label in zip(smiles, labels, strict=True):
            try:
                own = _canonical(text)
                if own in self.labels or not math.isfinite(label):
                    continue
                places = [*cuts(own), *((stays, HYDROGEN) for stays in hydrogens(own))]
            except StructureError:
                continue
            self.labels[own] = label
            for stays, changes in places:
                self._at[stays].append((own, changes))

    def partners(self, smiles: str, predictor: Predictor, t: int = 0, most: int = MOST) -> tuple[Partner, ...]:
        """Return the partners whose labels are farthest from the prediction of the molecule, `most` of them.

        Empty where there are none, and for what is no SMILES.
        """
        from heliograph.chem.matched import HYDROGEN, cuts, hydrogens

        try:
            own = _canonical(smiles)
            places = [*cuts(own), *((stays, HYDROGEN) for stays in hydrogens(own))]
        except StructureError:
            return ()
        found: dict[str, str] = {}
        for stays, before in places:
            for other, after in self._at.get(stays, ()):
                if other != own and before != after:
                    change = f"{before}>>{after}"
                    found[other] = min(found.get(other, change), change, key=lambda text: (len(text), text))
        if not found:
            return ()
        names = sorted(found)
        y = predictor.predict([own, *names])[:, t]
        label = np.array([self.labels[name] for name in names])
        order = np.lexsort((np.arange(len(names)), -np.abs(label - y[0])))[:most]
        return tuple(Partner(names[k], found[names[k]], float(label[k]), float(y[k + 1] - y[0])) for k in order)


def measured(path: Path, target: str, smiles_column: str | None = None) -> Measured:
    """Read a table with the column `target` of numbers. Raises DataError where no row has a molecule and a label."""
    from heliograph.data.formats import read

    table = read(path, smiles_column=smiles_column, target_columns=[target])
    smiles, labels = [], []
    for record in table:
        label = as_number(str(record.targets.get(target, "")))
        if isinstance(record.structure, str) and label is not None:
            smiles.append(record.structure)
            labels.append(label)
    found = Measured(smiles, labels)
    if not found.labels:
        raise DataError(f"--pairs {path}: no row has a SMILES and a number in {target!r}")
    return found


def _canonical(text: str) -> str:
    from heliograph.chem.parse import canonical

    return canonical(text)
