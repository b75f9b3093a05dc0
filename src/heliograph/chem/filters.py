"""Filters of molecules: alert catalogues, rules of thumb, bounds on descriptors, SMARTS of your own.

Sources: PAINS, J. B. Baell, G. A. Holloway, J. Med. Chem. 2010, 53, 2719; BRENK, R. Brenk et al., ChemMedChem 2008, 3, 435; NIH,
A. Jadhav et al., J. Med. Chem. 2010, 53, 37 (all as in RDKit's FilterCatalog); rule of five, C. A. Lipinski et al., Adv. Drug Deliv. Rev.
1997, 23, 3; D. F. Veber et al., J. Med. Chem. 2002, 45, 2615; QED, G. R. Bickerton et al., Nat. Chem. 2012, 4, 90.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time

from rdkit import Chem, rdBase
from rdkit.Chem import QED, rdMolDescriptors
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

from heliograph.chem.parse import parse_smiles
from heliograph.errors import DataError, StructureError, UsageError, suggest

Check = Callable[[Chem.Mol], bool]
DESCRIPTORS: dict[str, Callable[[Chem.Mol], float]] = {
    "atoms": lambda mol: mol.GetNumHeavyAtoms(),
    "charge": Chem.GetFormalCharge,
    "fsp3": rdMolDescriptors.CalcFractionCSP3,
    "hba": rdMolDescriptors.CalcNumHBA,
    "hbd": rdMolDescriptors.CalcNumHBD,
    "logp": lambda mol: _logp(mol),
    "mw": rdMolDescriptors._CalcMolWt,
    "qed": QED.qed,
    "rings": rdMolDescriptors.CalcNumRings,
    "rotatable": rdMolDescriptors.CalcNumRotatableBonds,
    "tpsa": rdMolDescriptors.CalcTPSA,
}
_CATALOGUES = {"brenk": "BRENK", "nih": "NIH", "pains": "PAINS"}
_SIGNS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq, "<": operator.lt, ">": operator.gt}
_BOUND = re.compile(r"([a-z0-9]+)\s*(<=|>=|==|<|>)\s*([-+]?\d+\.?\d*)")
_COST = ("lipinski", "veber", "smarts", "brenk", "qed", "nih", "pains")  # cheap first


class Filters:
    """Filters by their names; cheap ones are asked first.

    `rejected`: filter -> molecules that it turned away; `seconds`: filter -> CPU time that it took, parsing under "parse".
    """

    def __init__(self, names: Sequence[str]):
        self.names = tuple(sorted(dict.fromkeys(names), key=_cost))
        self._checks = {name: _check(name) for name in self.names}
        self.rejected = dict.fromkeys(self.names, 0)
        self.seconds = dict.fromkeys(("parse", *self.names), 0.0)

    def rejects(self, smiles: str) -> str:
        """The first filter that the molecule does not pass, "" where it passes all."""
        started = process_time()
        try:
            mol = parse_smiles(smiles)
        except StructureError:
            return "not a molecule"
        finally:
            self.seconds["parse"] += process_time() - started
        with rdBase.BlockLogs():
            for name, check in self._checks.items():
                started = process_time()
                passed = check(mol)
                self.seconds[name] += process_time() - started
                if not passed:
                    self.rejected[name] += 1
                    return name
        return ""


def _logp(mol: Chem.Mol) -> float:
    return float(rdMolDescriptors.CalcCrippenDescriptors(mol)[0])


def _cost(name: str) -> int:
    found = next((k for k, one in enumerate(_COST) if name.startswith(one) or (one == "smarts" and name.endswith(".smarts"))), 0)
    return found


def _check(name: str) -> Check:
    if name in _CATALOGUES:
        return _catalogue(_CATALOGUES[name])
    if name == "lipinski":
        return _lipinski
    if name == "veber":
        return _veber
    if name.endswith((".smarts", ".sma")):
        return _patterns(Path(name))
    if (match := _BOUND.fullmatch(name.strip().lower())) and match[1] in DESCRIPTORS:
        return _bound(DESCRIPTORS[match[1]], _SIGNS[match[2]], float(match[3]))
    word = re.split(r"[<>=]", name)[0].strip().lower()
    known = [*_CATALOGUES, "lipinski", "veber", *(f"{d}<VALUE" for d in DESCRIPTORS), "FILE.smarts"]
    if word in DESCRIPTORS:
        raise UsageError(f"filter {name!r}: expected {word}, one of < <= > >= ==, and a number, as in {word}<5")
    raise UsageError(f"there is no filter {name!r}; {suggest(name, known)}")


def _bound(value: Callable[[Chem.Mol], float], sign: Callable[[float, float], bool], bound: float) -> Check:
    return lambda mol: bool(sign(value(mol), bound))


def _catalogue(name: str) -> Check:
    parameters = FilterCatalogParams()
    parameters.AddCatalog(getattr(FilterCatalogParams.FilterCatalogs, name))
    catalogue = FilterCatalog(parameters)
    return lambda mol: not catalogue.HasMatch(mol)


def _lipinski(mol: Chem.Mol) -> bool:
    """At most one of the four bounds broken."""
    broken = (
        (rdMolDescriptors._CalcMolWt(mol) > 500)
        + (_logp(mol) > 5)
        + (rdMolDescriptors.CalcNumHBD(mol) > 5)
        + (rdMolDescriptors.CalcNumHBA(mol) > 10)
    )
    return bool(broken <= 1)


def _veber(mol: Chem.Mol) -> bool:
    return bool(rdMolDescriptors.CalcNumRotatableBonds(mol) <= 10 and rdMolDescriptors.CalcTPSA(mol) <= 140)


def _patterns(path: Path) -> Check:
    """None of a file's SMARTS, one a line, a name after a blank; `#` begins a comment."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"can't read the filter {path}: {error}") from None
    patterns = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        with rdBase.BlockLogs():
            pattern = Chem.MolFromSmarts(line.split()[0])
        if pattern is None:
            raise DataError(f"{path}, line {number}: not valid SMARTS: {line.split()[0][:60]!r}")
        patterns.append(pattern)
    return lambda mol: not any(mol.HasSubstructMatch(pattern) for pattern in patterns)
