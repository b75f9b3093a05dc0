"""What Python users hold (SMILES, RDKit molecules, ASE atoms) to the structures that records carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rdkit import Chem

from heliograph.chem.featurizer import Featurizer, preset
from heliograph.chem.molecule import featurize
from heliograph.data.record import Geometry, MolBlock, Structure
from heliograph.errors import StructureError

if TYPE_CHECKING:
    from heliograph.graph import Graph

_ATROPISOMERS = (Chem.BondStereo.STEREOATROPCW, Chem.BondStereo.STEREOATROPCCW)


def to_structure(item: Any) -> Structure:
    """`item` as a structure: a str (SMILES), an RDKit `Mol`, an ASE `Atoms`, or a structure already.

    A `Mol` with a conformer goes as an MDL block (atoms, bonds, positions); one without as SMILES, atoms in the same order.
    Raises StructureError on anything else, None and NaN included.
    """
    if isinstance(item, (str, MolBlock, Geometry)):
        return item
    if isinstance(item, Chem.Mol):
        return _from_mol(item)
    if hasattr(item, "get_positions") and hasattr(item, "get_atomic_numbers"):
        return from_ase(item)
    if item is None or (isinstance(item, float) and item != item):
        raise StructureError("empty structure")
    raise StructureError(f"not a structure: {type(item).__name__} (expected SMILES, an RDKit Mol or ASE Atoms)")


def from_ase(atoms: Any) -> Geometry:
    """ASE `Atoms` as a geometry; the total charge is `atoms.info["charge"]`, else the sum of the initial charges."""
    z = np.asarray(atoms.get_atomic_numbers())
    charge = atoms.info.get("charge", float(np.sum(atoms.get_initial_charges())))
    pbc = tuple(bool(flag) for flag in atoms.pbc)
    return Geometry(
        z=z.astype(np.uint8),
        pos=np.asarray(atoms.get_positions(), dtype=np.float64),
        charge=round(float(charge)),
        cell=np.asarray(atoms.cell.array, dtype=np.float64) if any(pbc) else None,
        pbc=(pbc[0], pbc[1], pbc[2]),
    )


def _from_mol(mol: Chem.Mol) -> Structure:
    if mol.GetNumAtoms() == 0:
        raise StructureError("no atoms")
    if mol.GetNumConformers():
        return MolBlock(Chem.MolToV3KMolBlock(mol))
    if any(bond.GetStereo() in _ATROPISOMERS for bond in mol.GetBonds()):  # plain SMILES has no word for them
        settings = Chem.SmilesWriteParams()
        settings.canonical = False  # type: ignore[assignment]
        return str(Chem.MolToCXSmiles(mol, settings, int(Chem.CXSmilesFields.CX_BOND_ATROPISOMER)))
    return str(Chem.MolToSmiles(mol, canonical=False))


def to_graph(item: Any, featurizer: Featurizer | None = None) -> Graph:
    """One structure (anything `to_structure` takes) as a graph with encoded features; `featurizer` None is `preset("table10_1")`.

    Nodes `x` [n, atom_width], `z` [n] and, with geometry, `pos` [n, 3]; edges `edge_attr`, both directions of each bond.
    Raises StructureError.
    """
    from heliograph.data.store import Store

    featurizer = featurizer or preset("table10_1")
    store = Store.build([featurize(to_structure(item), featurizer)], featurizer)
    return store.batch(np.array([0]))
