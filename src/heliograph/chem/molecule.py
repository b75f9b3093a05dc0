"""One structure to the integer arrays of one molecule: what a store is built of.

RDKit's accessors cost about 0.3 us a call, so a code is asked for once per atom and only where it can differ from its usual value
(stereo for double bonds alone, chirality where the SMILES shows one).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import Lipinski, rdDetermineBonds

from heliograph.chem import stereo
from heliograph.chem.conformer import embed
from heliograph.chem.elements import SYMBOLS, formula
from heliograph.chem.featurizer import CHARGE_ZERO, NEUTRONS_ZERO, Featurizer
from heliograph.chem.geometry import check_conformer, check_hydrogens, check_places
from heliograph.chem.parse import MAX_ATOMS, parse_block, parse_smiles
from heliograph.chem.scaffolds import scaffold_of
from heliograph.data.record import Geometry, MolBlock, Structure
from heliograph.errors import StructureError

_DOUBLE, _AROMATIC = 2, 12  # RDKit's numbers of bond types
_ISOTOPE = re.compile(r"\[\d")


@dataclass(frozen=True, slots=True, eq=False)
class Molecule:
    """One molecule in integers; atoms in the order of the structure given (added hydrogens follow), bonds once each.

    z       uint8 [n]       atomic numbers
    x       uint8 [n, Ka]   codes of the atoms, columns `featurizer.atom_codes`
    bonds   uint16 [m, 2]   atoms of each bond
    e       uint8 [m, Kb]   codes of the bonds, columns `featurizer.bond_codes`
    pos     float32 [n, 3]  angstrom, or None for a featurizer without geometry
    smiles  canonical, hydrogens implicit where that is possible; the formula for a geometry whose bonds nobody asked for; as it was
            given where no scaffold is asked for
    scaffold  Bemis-Murcko with chirality; "" without rings, or where not asked for
    """

    z: np.ndarray
    x: np.ndarray
    bonds: np.ndarray
    e: np.ndarray
    pos: np.ndarray | None
    smiles: str
    scaffold: str


def featurize(structure: Structure, featurizer: Featurizer, *, scaffold: bool = True) -> Molecule:
    """Arrays of `structure`; `scaffold=False` leaves the scaffold out, and a SMILES as it is, which saves much of the time.

    Raises StructureError; its text is the row's reason.
    """
    if isinstance(structure, Geometry):
        _check_geometry(structure)
        if not featurizer.bonds and set(featurizer.atom_codes) <= {"z"} and featurizer.hydrogens == "explicit":
            return _atoms_alone(structure, featurizer)
        mol = bonded(structure, featurizer.canonical)
        if featurizer.hydrogens == "implicit":
            with rdBase.BlockLogs():
                mol = _without_hydrogens(mol)
    elif isinstance(structure, MolBlock):
        mol = parse_block(structure, featurizer.hydrogens == "implicit", stereo_first=featurizer.canonical)
    elif isinstance(structure, str):
        mol = parse_smiles(structure)
    else:
        raise StructureError(f"not a structure: {type(structure).__name__}")
    try:
        with rdBase.BlockLogs():
            return from_mol(mol, featurizer, scaffold=scaffold, text=structure if isinstance(structure, str) else None)
    except (RuntimeError, ValueError) as error:  # RDKit's own checks, which have no family of their own
        raise StructureError(f"could not be featurized: {(str(error).strip().splitlines() or ['?'])[0][:100]}") from None


def from_mol(mol: Chem.Mol, featurizer: Featurizer, *, scaffold: bool = True, text: str | None = None) -> Molecule:
    """Arrays of a sanitised RDKit molecule; `text` is the SMILES it was parsed from (a help to speed). Raises StructureError."""
    if featurizer.geometry != "none" and mol.GetNumConformers() and mol.GetConformer().Is3D():
        mol = _with_geometry(mol, featurizer)
    if featurizer.hydrogens == "explicit":
        bare = _without_hydrogens(mol)
        mol = Chem.AddHs(mol, addCoords=mol.GetNumConformers() > 0)
    else:
        bare = mol
    smiles = str(Chem.MolToSmiles(bare)) if scaffold or text is None else text.strip()
    pos = _positions(mol, featurizer)
    reader = _Reader(mol, text)
    x = _columns([_ATOM_CODES[code](reader) for code in featurizer.atom_codes], len(reader.atoms))
    e = _columns([_BOND_CODES[code](reader) for code in featurizer.bond_codes], len(reader.bonds))
    return Molecule(
        z=np.frombuffer(reader.z, dtype=np.uint8),
        x=x,
        bonds=reader.pairs,
        e=e,
        pos=pos,
        smiles=smiles,
        scaffold=scaffold_of(bare) if scaffold else "",
    )


def bonded(geometry: Geometry, canonical: bool = True) -> Chem.Mol:
    """Bonds and bond orders of a bare geometry, from distances and the total charge (RDKit's `rdDetermineBonds`).

    `canonical`: bond orders are found on the atoms in canonical order, so that of several that would do the same ones are taken
    whatever the order of the atoms. Source: Y. Kim, W. Y. Kim, Bull. Korean Chem. Soc. 2015, 36, 1769. Raises StructureError.
    """
    if any(geometry.pbc):
        raise StructureError("no bonds for a periodic structure: use an architecture of positions alone")
    order = _by_distances(geometry) if canonical else np.arange(len(geometry.z))
    mol = Chem.RWMol()
    for z in geometry.z[order].tolist():
        atom = Chem.Atom(z)
        atom.SetNoImplicit(True)  # a geometry has all its hydrogens
        mol.AddAtom(atom)
    conformer = Chem.Conformer(len(order))
    conformer.Set3D(True)
    conformer.SetPositions(np.ascontiguousarray(geometry.pos[order], dtype=np.float64))
    mol.AddConformer(conformer)
    try:
        found = _with_bonds(mol, geometry.charge, canonical)
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0][:100]
        try:  # in small cages, atoms across a ring pass for bonded: by plain distances of a shorter reach most of them come out right
            found = _with_bonds(mol, geometry.charge, canonical, useVdw=True, covFactor=1.15)
        except (RuntimeError, ValueError):
            raise StructureError(f"bonds could not be found from the geometry: {first}") from None
    return Chem.RenumberAtoms(found, np.argsort(order).tolist()) if canonical else found


def _by_distances(geometry: Geometry) -> np.ndarray:
    """Atoms sorted by sum_j z_j |r_i - r_j|: one order for all lists of the same atoms, up to atoms in equal places."""
    apart = np.linalg.norm(geometry.pos[:, None] - geometry.pos[None], axis=-1)  # [n, n]
    return np.asarray(np.argsort(apart @ geometry.z.astype(np.float64), kind="stable"))


def _with_bonds(atoms: Chem.RWMol, charge: int, canonical: bool, **rule: Any) -> Chem.Mol:
    """Bonds by a `rule` of RDKit, on a copy; atoms in the order given. Raises RuntimeError or ValueError."""
    mol = Chem.RWMol(atoms)
    with rdBase.BlockLogs():
        if canonical and mol.GetNumAtoms() == 1:
            mol.GetAtomWithIdx(0).SetFormalCharge(charge)
        elif canonical:
            rdDetermineBonds.DetermineConnectivity(mol, charge=charge, **rule)
            rank = np.array(Chem.CanonicalRankAtoms(mol, breakTies=True))
            mol = Chem.RWMol(Chem.RenumberAtoms(mol, np.argsort(rank).tolist()))
            rdDetermineBonds.DetermineBondOrders(mol, charge=charge)
            mol = Chem.RWMol(Chem.RenumberAtoms(mol, rank.tolist()))
        else:
            rdDetermineBonds.DetermineBonds(mol, charge=charge, **rule)
        Chem.SanitizeMol(mol)
        Chem.AssignStereochemistryFrom3D(mol)
    return mol.GetMol()


def _check_geometry(geometry: Geometry) -> None:
    n = len(geometry.z)
    if n == 0:
        raise StructureError("no atoms")
    if n > MAX_ATOMS:
        raise StructureError(f"too many atoms: {n}, limit {MAX_ATOMS}")
    if geometry.pos.shape != (n, 3):
        raise StructureError(f"positions do not fit the atoms: {n} atoms, positions of shape {geometry.pos.shape}")
    if not np.isfinite(geometry.pos).all():
        raise StructureError("positions are not finite")
    if int(geometry.z.max()) >= len(SYMBOLS):
        raise StructureError(f"unknown element: atomic number {int(geometry.z.max())}")
    if geometry.z.min() < 1:
        raise StructureError("unknown element: atomic number 0")
    check_places(geometry.pos, geometry.cell, geometry.pbc)
    if not any(geometry.pbc):
        check_hydrogens(geometry.z, geometry.pos)


def _atoms_alone(geometry: Geometry, featurizer: Featurizer) -> Molecule:
    if any(geometry.pbc):
        raise StructureError("periodic structures are not supported")
    z = np.ascontiguousarray(geometry.z, dtype=np.uint8)
    return Molecule(
        z=z,
        x=np.repeat(z[:, None], len(featurizer.atom_codes), axis=1),
        bonds=np.zeros((0, 2), dtype=np.uint16),
        e=np.zeros((0, len(featurizer.bond_codes)), dtype=np.uint8),
        pos=None if featurizer.geometry == "none" else geometry.pos.astype(np.float32),
        smiles=formula(z),
        scaffold="",
    )


def _with_geometry(mol: Chem.Mol, featurizer: Featurizer) -> Chem.Mol:
    """Return the molecule, without invalid coordinates where a conformer is made instead. Raises StructureError where none is."""
    try:
        check_conformer(mol, hydrogens=featurizer.hydrogens == "explicit")
    except StructureError:
        if featurizer.geometry == "given":
            raise
        mol = Chem.Mol(mol)
        mol.RemoveAllConformers()
    return mol


def _without_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    try:
        return Chem.RemoveHs(mol)
    except (RuntimeError, ValueError):  # a hydrogen that RDKit can't fold into its neighbour stays an atom
        return mol


def _positions(mol: Chem.Mol, featurizer: Featurizer) -> np.ndarray | None:
    """[n, 3] float32: the conformer that came with the structure, else an embedded one where the featurizer says so."""
    if featurizer.geometry == "none":
        return None
    if mol.GetNumConformers() and mol.GetConformer().Is3D():
        return np.asarray(mol.GetConformer().GetPositions(), dtype=np.float32)
    if featurizer.geometry == "given":
        raise StructureError("no 3D coordinates: give an SDF or XYZ file, or let conformers be embedded")
    if featurizer.canonical:
        return _embedded(mol, featurizer.seed).astype(np.float32)
    n = mol.GetNumAtoms()
    return embed(Chem.AddHs(mol), featurizer.seed)[:n].astype(np.float32)


def _embedded(mol: Chem.Mol, seed: int) -> np.ndarray:
    """Positions [n, 3] of a conformer of the canonical writing, whatever the order of the atoms here. Raises StructureError."""
    whole = Chem.AddHs(mol)
    for atom in whole.GetAtoms():
        atom.SetIntProp("_here", atom.GetIdx())
    bare = _without_hydrogens(whole)  # keeps the marks
    text = Chem.MolToSmiles(bare)
    order = list(bare.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])  # place in the text -> atom of `bare`
    written = Chem.MolFromSmiles(text)
    if written is None or written.GetNumAtoms() != len(order):
        return embed(whole, seed)[: mol.GetNumAtoms()]
    written = Chem.AddHs(written)
    place = embed(written, seed)
    kept = [bare.GetAtomWithIdx(b).GetIntProp("_here") for b in order]  # place in the text -> atom of `whole`
    found = np.empty((whole.GetNumAtoms(), 3))
    found[kept] = place[: len(kept)]
    for k, i in enumerate(kept):
        found[_neighbours(whole, i, set(kept))] = place[_neighbours(written, k, set(range(len(kept))))]
    return found[: mol.GetNumAtoms()]


def _neighbours(mol: Chem.Mol, atom: int, but: set[int]) -> list[int]:
    """Atoms bonded to `atom` that are not among `but`: the hydrogens that a SMILES leaves out."""
    return sorted({n.GetIdx() for n in mol.GetAtomWithIdx(atom).GetNeighbors()} - but)


def _columns(columns: list[bytes], rows: int) -> np.ndarray:
    """uint8 [rows, len(columns)] of one byte string per column."""
    return np.ascontiguousarray(np.frombuffer(b"".join(columns), dtype=np.uint8).reshape(len(columns), rows).T)


class _Reader:
    """Codes of the atoms and bonds of one molecule, each asked of RDKit at most once: a byte per atom or bond."""

    def __init__(self, mol: Chem.Mol, text: str | None):
        self.mol = mol
        self.atoms = list(map(mol.GetAtomWithIdx, range(mol.GetNumAtoms())))
        self.bonds = list(map(mol.GetBondWithIdx, range(mol.GetNumBonds())))
        self.z = bytes(map(Chem.Atom.GetAtomicNum, self.atoms))
        plain = text is not None and "|" not in text  # an ordinary SMILES: isotopes and chirality show in its letters
        self.may_have_isotopes = not plain or _ISOTOPE.search(text or "") is not None
        self.may_be_chiral = not plain or "@" in (text or "")
        self.may_have_odd_stereo = not plain

    @cached_property
    def pairs(self) -> np.ndarray:
        out = np.empty((len(self.bonds), 2), dtype=np.uint16)
        out[:, 0] = list(map(Chem.Bond.GetBeginAtomIdx, self.bonds))
        out[:, 1] = list(map(Chem.Bond.GetEndAtomIdx, self.bonds))
        return out

    @cached_property
    def types(self) -> bytes:
        return bytes(list(map(Chem.Bond.GetBondType, self.bonds)))

    @cached_property
    def implicit_hydrogens(self) -> bytes:
        return bytes(list(map(Chem.Atom.GetTotalNumHs, self.atoms)))

    def zeros(self) -> bytes:
        return bytes(len(self.atoms))

    def degree(self) -> bytes:
        """Bonds of the graph and implicit hydrogens."""
        return bytes(map(Chem.Atom.GetTotalDegree, self.atoms))

    def hydrogens(self) -> bytes:
        """Implicit ones and those that are nodes."""
        if 1 not in self.z:
            return self.implicit_hydrogens
        count = np.frombuffer(self.implicit_hydrogens, dtype=np.uint8).astype(np.int64)
        is_hydrogen = np.frombuffer(self.z, dtype=np.uint8) == 1
        for end in (0, 1):
            np.add.at(count, self.pairs[:, 1 - end], is_hydrogen[self.pairs[:, end]])
        return _bytes(count)

    def charge(self) -> bytes:
        charges = list(map(Chem.Atom.GetFormalCharge, self.atoms))
        if not any(charges):
            return bytes((CHARGE_ZERO,)) * len(self.atoms)
        return bytes(min(max(CHARGE_ZERO + charge, 0), 255) for charge in charges)

    def chirality(self) -> bytes:
        return bytes(list(map(Chem.Atom.GetChiralTag, self.atoms))) if self.may_be_chiral else self.zeros()

    def cip(self) -> bytes:
        return stereo.centres(self.mol, self.chirality()) if self.may_be_chiral else self.zeros()

    def hybridization(self) -> bytes:
        return bytes(list(map(Chem.Atom.GetHybridization, self.atoms)))

    def aromatic(self) -> bytes:
        return bytes(list(map(Chem.Atom.GetIsAromatic, self.atoms)))

    def isotope(self) -> bytes:
        """0 without a label, else mass number - Z + 50, held within 1 .. 255."""
        if not self.may_have_isotopes:
            return self.zeros()
        pairs = zip(self.z, map(Chem.Atom.GetIsotope, self.atoms), strict=True)
        return bytes(min(max(a - z + NEUTRONS_ZERO, 1), 255) if a else 0 for z, a in pairs)

    def donor(self) -> bytes:
        return self._matching(Lipinski.HDonorSmarts)

    def acceptor(self) -> bytes:
        return self._matching(Lipinski.HAcceptorSmarts)

    def _matching(self, pattern: Chem.Mol) -> bytes:
        out = bytearray(len(self.atoms))
        for (atom,) in self.mol.GetSubstructMatches(pattern, maxMatches=len(out)):
            out[atom] = 1
        return bytes(out)

    def conjugated(self) -> bytes:
        return bytes([kind == _AROMATIC or bond.GetIsConjugated() for bond, kind in zip(self.bonds, self.types, strict=True)])

    def ring(self) -> bytes:
        if self.mol.GetRingInfo().NumRings() == 0:
            return bytes(len(self.bonds))
        return bytes([kind == _AROMATIC or bond.IsInRing() for bond, kind in zip(self.bonds, self.types, strict=True)])

    def stereo(self) -> bytes:
        if self.may_have_odd_stereo:
            return bytes(list(map(Chem.Bond.GetStereo, self.bonds)))
        return bytes([bond.GetStereo() if kind == _DOUBLE else 0 for bond, kind in zip(self.bonds, self.types, strict=True)])

    def cip_bond(self) -> bytes:
        return stereo.bonds(self.mol, self.stereo())


def _bytes(counts: np.ndarray) -> bytes:
    return bytes(np.minimum(counts, 255).astype(np.uint8).tobytes())


_ATOM_CODES: dict[str, Callable[[_Reader], bytes]] = {
    "z": lambda reader: reader.z,
    "degree": _Reader.degree,
    "charge": _Reader.charge,
    "chirality": _Reader.chirality,
    "cip": _Reader.cip,
    "hydrogens": _Reader.hydrogens,
    "implicit_hydrogens": lambda reader: reader.implicit_hydrogens,
    "hybridization": _Reader.hybridization,
    "aromatic": _Reader.aromatic,
    "isotope": _Reader.isotope,
    "donor": _Reader.donor,
    "acceptor": _Reader.acceptor,
}
_BOND_CODES: dict[str, Callable[[_Reader], bytes]] = {
    "type": lambda reader: reader.types,
    "conjugated": _Reader.conjugated,
    "ring": _Reader.ring,
    "stereo": _Reader.stereo,
    "cip_bond": _Reader.cip_bond,
}
