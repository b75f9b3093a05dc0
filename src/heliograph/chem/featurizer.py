"""Features of atoms and bonds: small integer codes, and how they become numbers.

A **code** is one small integer (uint8) per atom or bond, read off the structure once (`chem.molecule`) and kept in the store: atomic
number, charge, hybridization ... A **feature** turns one or two codes into columns of float32: a one-hot, a flag, a scaled value.
Codes are encoded on the table of distinct rows, so encoding costs next to nothing and a store stays small.

A `Featurizer` is a list of feature names with how to treat hydrogens and geometry: plain data that a model file carries. The meaning
of a name never changes once released; a changed encoding gets a new name. This module needs numpy only.

Sources: J. Gilmer et al., "Message passing neural networks", in Machine Learning Meets Quantum Physics (2020), Table 10.1;
chemprop 2 (E. Heid et al., J. Chem. Inf. Model. 2024, 64, 9), `MultiHotAtomFeaturizer.v2` and `MultiHotBondFeaturizer`;
R. S. Cahn, C. Ingold, V. Prelog, Angew. Chem. Int. Ed. 1966, 5, 385, as RDKit's `rdCIPLabeler` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from heliograph.chem.elements import NUMBERS, masses
from heliograph.errors import DataError, UsageError, suggest

CHARGE_ZERO = 128  # code of charge 0: charges -128 .. 127
NEUTRONS_ZERO = 50  # isotope code = mass number - Z + 50, within 1 .. 255: every nuclide known and most labels; 0 = no label


@dataclass(frozen=True, slots=True)
class Feature:
    """`codes` names the codes it reads (in order), `encode` maps them, uint8 [R, len(codes)], to float [R, width]."""

    codes: tuple[str, ...]
    width: int
    encode: Callable[[np.ndarray], np.ndarray]


def _one_hot(code: str, choices: Sequence[int], other: bool = True) -> Feature:
    """One column per choice, then (`other`) one for everything else; without `other` everything else is all zero."""
    width = len(choices) + other
    table = np.zeros((256, width))
    if other:
        table[:, -1] = 1.0
    for column, choice in enumerate(choices):
        table[choice] = 0.0
        table[choice, column] = 1.0
    return Feature((code,), width, lambda codes: table[codes[:, 0]])


def _value(code: str, scale: float = 1.0, zero: int = 0) -> Feature:
    def encode(codes: np.ndarray) -> np.ndarray:
        return np.asarray(scale * (codes.astype(np.float64) - zero))  # [R, 1]

    return Feature((code,), 1, encode)


def _mass(codes: np.ndarray) -> np.ndarray:
    """0.01 x mass in u: the isotope's where the atom carries a label, else the atomic weight (`Atom.GetMass` of RDKit)."""
    weights, isotopes = masses()
    mass = weights[codes[:, 0]].copy()
    for row in np.flatnonzero(codes[:, 1]):
        z = int(codes[row, 0])
        a = z + int(codes[row, 1]) - NEUTRONS_ZERO
        if z:
            mass[row] = isotopes.get((z, a), float(a))
    return np.asarray(0.01 * mass[:, None])


_COMMON = [NUMBERS[symbol] for symbol in ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Br", "I")]
_CHARGES = [CHARGE_ZERO + charge for charge in (-1, -2, 1, 2, 0)]

ATOM_FEATURES: dict[str, Feature] = {
    # Table 10.1 of Gilmer's chapter
    "element": _one_hot("z", _COMMON),
    "atomic_number": _value("z", 0.05),
    "acceptor": _value("acceptor"),
    "donor": _value("donor"),
    "aromatic": _value("aromatic"),
    "hybridization": _one_hot("hybridization", (2, 3, 4)),  # sp, sp2, sp3
    "hydrogens": _one_hot("hydrogens", range(5)),  # bonded hydrogens, nodes or not
    "charge": _value("charge", zero=CHARGE_ZERO),
    # chemprop 2, v2
    "chemprop_element": _one_hot("z", [*range(1, 37), 53]),
    "chemprop_degree": _one_hot("degree", range(6)),
    "chemprop_charge": _one_hot("charge", _CHARGES),
    "chemprop_chirality": _one_hot("chirality", range(4)),  # RDKit's tags: they depend on the order in which a structure is written
    "chemprop_hydrogens": _one_hot("implicit_hydrogens", range(5)),  # those that are not nodes
    "chemprop_hybridization": _one_hot("hybridization", (1, 2, 3, 5, 4, 6, 7)),  # s, sp, sp2, sp2d, sp3, sp3d, sp3d2
    "mass": Feature(("z", "isotope"), 1, _mass),
    # stereocentres by the rules of Cahn, Ingold and Prelog: none, R, S, r, s, other than tetrahedral
    "cip": _one_hot("cip", range(5)),
}

_BOND_TYPES = (1, 2, 3, 12)  # single, double, triple, aromatic: RDKit's numbers
BOND_FEATURES: dict[str, Feature] = {
    "bond_type": _one_hot("type", _BOND_TYPES),
    "conjugated": _value("conjugated"),
    "ring": _value("ring"),
    "stereo": _one_hot("stereo", (0, 2, 3)),  # none, Z, E
    "chemprop_null": Feature((), 1, lambda codes: np.zeros((len(codes), 1))),
    "chemprop_bond_type": _one_hot("type", _BOND_TYPES, other=False),
    "chemprop_stereo": _one_hot("stereo", range(6)),  # none, any, Z, E, cis, trans: the last two depend on the order of writing
    "cip_stereo": _one_hot("cip_bond", (0, 1, 2, 3, 6, 7)),  # none, any, Z, E, and axes of atropisomers: M, P
}


def _codes(names: Sequence[str], known: Mapping[str, Feature]) -> tuple[str, ...]:
    """The distinct codes that these features read, in order of first use."""
    return tuple(dict.fromkeys(code for name in names for code in known[name].codes))


def _encode(names: Sequence[str], known: Mapping[str, Feature], codes: np.ndarray) -> np.ndarray:
    order = _codes(names, known)
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != len(order):
        raise DataError(f"this featurizer reads {len(order)} codes a row ({', '.join(order)}), got an array of shape {codes.shape}")
    width = sum(known[name].width for name in names)
    out = np.empty((len(codes), width), dtype=np.float32)
    at = 0
    for name in names:
        feature = known[name]
        columns = codes[:, [order.index(code) for code in feature.codes]]  # [R, k]
        out[:, at : at + feature.width] = feature.encode(columns)
        at += feature.width
    return out


@dataclass(frozen=True)
class Featurizer:
    """`atoms` and `bonds`: names of features; no bond features means that no bonds are looked for in a bare geometry.

    `hydrogens`: "implicit" (counted, as most SMILES have them) or "explicit" (nodes of the graph).
    `geometry`: "none" (2D), "given" (positions must come with the structure) or "embed" (a conformer is made, with `seed`,
    where none comes).
    `canonical`: conformers, and bond orders of a bare geometry, are found on the atoms in canonical order, so that they do not depend
    on the order in which a structure is written. False is for model files from before there was a choice.
    Raises UsageError on an unknown name.
    """

    atoms: tuple[str, ...]
    bonds: tuple[str, ...]
    hydrogens: str = "implicit"
    geometry: str = "none"
    seed: int = 0
    canonical: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "atoms", tuple(self.atoms))
        object.__setattr__(self, "bonds", tuple(self.bonds))
        for kind, names, known in (("atom", self.atoms, ATOM_FEATURES), ("bond", self.bonds, BOND_FEATURES)):
            for name in names:
                if name not in known:
                    raise UsageError(f"unknown {kind} feature {name!r}; {suggest(name, known)}")
        for field, value, choices in (
            ("hydrogens", self.hydrogens, ("implicit", "explicit")),
            ("geometry", self.geometry, ("none", "given", "embed")),
        ):
            if value not in choices:
                raise UsageError(f"{field} of a featurizer is one of {', '.join(choices)}; got {value!r}")

    @cached_property
    def atom_codes(self) -> tuple[str, ...]:
        """Names of the columns of `Molecule.x`."""
        return _codes(self.atoms, ATOM_FEATURES)

    @cached_property
    def bond_codes(self) -> tuple[str, ...]:
        """Names of the columns of `Molecule.e`."""
        return _codes(self.bonds, BOND_FEATURES)

    @cached_property
    def atom_width(self) -> int:
        return sum(ATOM_FEATURES[name].width for name in self.atoms)

    @cached_property
    def bond_width(self) -> int:
        return sum(BOND_FEATURES[name].width for name in self.bonds)

    def encode_atoms(self, codes: np.ndarray) -> np.ndarray:
        """uint8 [R, len(atom_codes)] -> float32 [R, atom_width]."""
        return _encode(self.atoms, ATOM_FEATURES, codes)

    def encode_bonds(self, codes: np.ndarray) -> np.ndarray:
        """uint8 [R, len(bond_codes)] -> float32 [R, bond_width]."""
        return _encode(self.bonds, BOND_FEATURES, codes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` gives the same featurizer back."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Featurizer:
        """Raises UsageError on an unknown key or name: a featurizer of a later version is not silently another one."""
        known = [field.name for field in fields(cls)]
        for key in data:
            if key not in known:
                raise UsageError(f"unknown key {key!r} in a featurizer; {suggest(key, known)}")
        return cls(**{**data, "atoms": tuple(data["atoms"]), "bonds": tuple(data["bonds"])})


_PRESETS: dict[str, Featurizer] = {
    # Gilmer's list; the charge is an addition (ions are common in tables, rare in QM9)
    "table10_1": Featurizer(
        ("element", "atomic_number", "acceptor", "donor", "aromatic", "hybridization", "hydrogens", "charge"),
        ("bond_type", "conjugated", "ring", "stereo"),
        canonical=True,
    ),
    # chemprop 2's defaults: 72 columns an atom, 14 a bond. Its chirality tags make a prediction depend on how a molecule is written:
    # for model files of old, and for comparisons with chemprop
    "chemprop_v2": Featurizer(
        (
            "chemprop_element",
            "chemprop_degree",
            "chemprop_charge",
            "chemprop_chirality",
            "chemprop_hydrogens",
            "chemprop_hybridization",
            "aromatic",
            "mass",
        ),
        ("chemprop_null", "chemprop_bond_type", "conjugated", "ring", "chemprop_stereo"),
        canonical=True,
    ),
    # for architectures of positions: the element alone, no bonds
    "elements": Featurizer(("element",), (), hydrogens="explicit", geometry="given", canonical=True),
}
# the same with stereochemistry that is the molecule's and not the text's: 73 columns an atom, 14 a bond
_PRESETS["chemprop_cip"] = replace(
    _PRESETS["chemprop_v2"],
    atoms=tuple("cip" if name == "chemprop_chirality" else name for name in _PRESETS["chemprop_v2"].atoms),
    bonds=tuple("cip_stereo" if name == "chemprop_stereo" else name for name in _PRESETS["chemprop_v2"].bonds),
)


def presets() -> tuple[str, ...]:
    """Names that `preset` knows."""
    return tuple(_PRESETS)


def preset(name: str) -> Featurizer:
    """The featurizer called `name`; change parts of it with `dataclasses.replace`. Raises UsageError on an unknown name."""
    if name not in _PRESETS:
        raise UsageError(f"unknown featurizer {name!r}; {suggest(name, _PRESETS)}")
    return _PRESETS[name]
