"""Codes of many SMILES at once: what `featurize` finds without a scaffold, at about the price of parsing.

Asking RDKit from Python for each property of each atom costs more than the parse. cuik-molmaker (the extra `fast`) asks from C++, of the
very RDKit that Python has loaded. It has numbers, not RDKit's kinds, for some properties: where a number can stand for several (an
isotope, a dative bond, chirality other than tetrahedral), where a text can't be parsed, and wherever else something is unusual, the
answer is None, and `featurize` has the word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import numpy as np
from rdkit import rdBase

from heliograph.chem import stereo
from heliograph.chem.featurizer import CHARGE_ZERO, Featurizer
from heliograph.chem.molecule import Molecule
from heliograph.chem.notation import foreign
from heliograph.chem.parse import MAX_ATOMS, parse_smiles

GROUP = 64  # texts a call: one that can't be parsed spoils the call
_UNUSUAL = re.compile(r"\[\d|[|\s\0]")  # isotopes; a CXSMILES part, a name, and what else is no part of a SMILES
_BOND_TYPES, _ORDERS = np.array([1, 2, 3, 12]), np.array([1.0, 2.0, 3.0, 1.5])  # RDKit's numbers and orders of its four columns
_ATOMS = {  # code -> the property, and what becomes of its number
    "z": ("atomic-number", lambda x: 5 * x),
    "degree": ("degree", lambda x: x),
    "charge": ("formal-charge", lambda x: x + CHARGE_ZERO),
    "hybridization": ("hybridization", lambda x: x),
    "aromatic": ("aromatic", lambda x: x),
    "valence": ("total-valence", lambda x: x),
}  # fmt: skip
_DERIVED = ("implicit_hydrogens", "hydrogens", "chirality", "cip", "isotope", "donor", "acceptor")
_BONDS = ("type", "conjugated", "ring", "stereo", "cip_bond")


@cache
def library() -> ModuleType | None:
    """cuik-molmaker's compiled part, where it is installed and built for the RDKit that is.

    Loaded by its file: the package around it imports pandas and SciPy, which takes longer than featurizing thousands of molecules.
    """
    try:
        package = find_spec("cuik_molmaker")
        if package is None or package.origin is None or version("cuik_molmaker_pin") != version("rdkit"):
            return None
        file = next(f for f in sorted(Path(package.origin).parent.glob("cuik_molmaker_cpp*")) if f.name.endswith(tuple(EXTENSION_SUFFIXES)))
        loader = ExtensionFileLoader("cuik_molmaker_cpp", str(file))
        spec = spec_from_loader("cuik_molmaker_cpp", loader)
        assert spec is not None
        module = module_from_spec(spec)
        loader.exec_module(module)
        return module if hasattr(module, "batch_mol_featurizer") else None
    except (ImportError, OSError, PackageNotFoundError, StopIteration):
        return None


@cache
def bulk(featurizer: Featurizer) -> Callable[[Sequence[str]], list[Molecule | None]] | None:
    """A function of texts for this featurizer; None where there is none."""
    plain = featurizer.hydrogens == "implicit" and featurizer.geometry == "none"
    known = set(featurizer.atom_codes) <= {*_ATOMS, *_DERIVED} and set(featurizer.bond_codes) <= set(_BONDS)
    if not plain or not known or (module := library()) is None:
        return None
    return _Bulk(module, featurizer)


class _Bulk:
    """One featurizer's properties, asked for in one call."""

    def __init__(self, module: ModuleType, featurizer: Featurizer):
        self.featurizer, self.call = featurizer, module.batch_mol_featurizer
        self.bonding = bool({"donor", "acceptor"} & set(featurizer.atom_codes))
        self.asked = list(_ATOMS) if self.bonding else [c for c in _ATOMS if c in featurizer.atom_codes or c in ("z", "degree", "charge")]
        self.properties = (
            module.atom_onehot_feature_names_to_array(["chirality"]),
            module.atom_float_feature_names_to_array([_ATOMS[code][0] for code in self.asked]),
            module.bond_feature_names_to_array(["bond-type-float", "bond-type-onehot", "conjugated", "in-ring", "stereo"]),
        )

    def __call__(self, texts: Sequence[str]) -> list[Molecule | None]:
        """A molecule, or None, for each text."""
        found: list[Molecule | None] = [None] * len(texts)
        good = [k for k, text in enumerate(texts) if len(text) <= MAX_ATOMS and text.isascii() and not _UNUSUAL.search(text)]
        good = [k for k in good if not foreign(texts[k])]
        with rdBase.BlockLogs():
            for start in range(0, len(good), GROUP):
                self._fill(found, good[start : start + GROUP], texts)
        return found

    def _fill(self, found: list[Molecule | None], places: list[int], texts: Sequence[str]) -> None:
        """One call; in halves where a text spoils it."""
        given = [texts[k] for k in places]
        try:
            arrays = self.call(given, *self.properties, False, False, False, False)
        except (RuntimeError, ValueError):
            if len(places) > 1:
                self._fill(found, places[: len(places) // 2], texts)
                self._fill(found, places[len(places) // 2 :], texts)
            return
        for k, molecule in zip(places, self._molecules(given, *arrays), strict=True):
            found[k] = molecule

    def _molecules(
        self, texts: list[str], atoms: np.ndarray, bonds: np.ndarray, ends: np.ndarray, _: np.ndarray, owner: np.ndarray
    ) -> list[Molecule | None]:
        """`atoms` [N, 5 + asked]: chirality by one-hot, then numbers. `bonds` [M, 14], `ends` [2, M], `owner` [N]: whose atom it is."""
        numbers = {code: _ATOMS[code][1](atoms[:, 5 + k]) for k, code in enumerate(self.asked)}
        numbers["implicit_hydrogens"] = numbers["degree"] - np.bincount(ends.ravel(), minlength=len(owner))
        numbers["hydrogens"], numbers["isotope"] = numbers["implicit_hydrogens"], np.zeros(len(owner))
        numbers["chirality"] = atoms[:, :4] @ np.arange(4)
        odd = (atoms[:, 4] != 0) | (np.rint(numbers["z"]) == 1) | (np.abs(numbers["charge"] - CHARGE_ZERO) > 100)
        order, kind, isomer = bonds[:, 0], bonds[:, 1:5], bonds[:, 7:]
        columns = {"type": kind @ _BOND_TYPES, "conjugated": bonds[:, 5], "ring": bonds[:, 6], "stereo": isomer @ np.arange(7)}
        columns["cip_bond"] = columns["stereo"]
        alone = (kind[:, 3] != 0) & (bonds[:, 5:7].min(1, initial=1) == 0)  # an aromatic bond outside a ring
        strange = (kind @ _ORDERS != order) | (isomer[:, 6] != 0) | alone  # all other types of bond share the column of aromatic ones
        if "cip_bond" in self.featurizer.bond_codes:
            strange |= columns["stereo"] > 3  # relative to atoms of RDKit's choice
        if self.bonding:
            numbers["donor"], numbers["acceptor"] = _hydrogen_bonding(numbers, columns, ends)
        if "cip" in self.featurizer.atom_codes:
            numbers["cip"] = _labels(texts, np.rint(numbers["chirality"]).astype(np.uint8), owner)
        n, m = np.bincount(owner, minlength=len(texts)), np.bincount(owner[ends[0]], minlength=len(texts))
        unusual = (n == 0) | (np.bincount(owner[odd], minlength=len(texts)) > 0)
        unusual[owner[ends[0, strange]]] = True
        z = _codes([numbers["z"]], len(owner))[:, 0]
        x = _codes([numbers[code] for code in self.featurizer.atom_codes], len(owner))
        e = _codes([columns[code] for code in self.featurizer.bond_codes], len(bonds))
        last_atom, last_bond = np.cumsum(n).tolist(), np.cumsum(m).tolist()
        pairs = (ends - np.repeat(np.cumsum(n) - n, m)).astype(np.uint16).T
        return [
            None if other else Molecule(z[a - n : a], x[a - n : a], pairs[b - m : b], e[b - m : b], None, text, "")
            for text, other, a, n, b, m in zip(texts, unusual.tolist(), last_atom, n.tolist(), last_bond, m.tolist(), strict=True)
        ]


def _labels(texts: Sequence[str], tags: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Labels of stereocentres, [N], by RDKit's labeler, which must have the molecules that have any."""
    found = np.zeros(len(owner))
    for k in np.unique(owner[tags != 0]).tolist():
        atoms = slice(*np.searchsorted(owner, [k, k + 1]).tolist())
        found[atoms] = np.frombuffer(stereo.centres(parse_smiles(texts[k]), tags[atoms].tobytes()), np.uint8)
    return found


def _hydrogen_bonding(atoms: Mapping[str, np.ndarray], bonds: Mapping[str, np.ndarray], ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which atoms are donors and acceptors: the patterns of RDKit's `Lipinski.HDonorSmarts` and `HAcceptorSmarts`, on whole arrays."""
    z, h, v, q = (np.rint(atoms[code]).astype(np.int64) for code in ("z", "hydrogens", "valence", "charge"))
    q, ring = q - CHARGE_ZERO, atoms["aromatic"] != 0
    n, o = z == 7, (z == 8) | (z == 16)  # sulfur as oxygen
    N_, O_, n, o = n & ~ring, o & ~ring, n & ring, o & ring  # as in SMARTS: capitals are not aromatic
    a, b = np.concatenate([ends, ends[::-1]], 1)
    kind, in_ring = np.tile(bonds["type"], 2), np.tile(bonds["ring"], 2) != 0

    def some(bond: np.ndarray, neighbour: np.ndarray) -> np.ndarray:
        """Atoms with such a bond to such a neighbour."""
        return np.bincount(a[bond & neighbour[b]], minlength=len(z)) > 0

    polar = N_ | O_ | (~ring & (z == 15))
    acid, amide = some(kind == 2, polar), some((kind == 2) & ~in_ring, polar)
    donor = (N_ & (h > 0) & ((v == 3) | ((q == 1) & (v == 4)))) | (O_ & (h == 1) & (q == 0)) | (n & (h == 1) & (q == 0))
    acceptor = (
        (O_ & (h == 1) & (v == 2) & some(kind == 1, ~acid))
        | (O_ & (h == 0) & (v == 2))
        | (O_ & (q == -1))
        | (N_ & (v == 3) & ~some(kind == 1, amide))
        | (((n & (h == 0)) | o) & (q == 0))
    )
    return donor, acceptor


def _codes(columns: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """uint8 [rows, len(columns)]"""
    if not columns:
        return np.zeros((rows, 0), np.uint8)
    return np.rint(np.stack(columns, 1)).astype(np.uint8)
