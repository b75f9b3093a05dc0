"""Matched molecular pairs: molecules that differ in one place, what was changed there, and what else may be changed so.

Fragmentation at one acyclic single bond as in J. Hussain, C. Rea, J. Chem. Inf. Model. 2010, 50, 339 (RDKit's `rdMMPA`); hydrogen counts
as a substituent. BRICS bonds and their kinds: J. Degen et al., ChemMedChem 2008, 3, 1503.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import BRICS, rdMMPA

from heliograph.chem.parse import canonical, parse_smiles
from heliograph.errors import StructureError

MAX_CHANGED = 13  # heavy atoms of the part that changes
HYDROGEN = "[H][*:1]"


@dataclass(frozen=True)
class Change:
    """One substituent for another, `before` and `after` as SMILES with [*:1], in `count` pairs of molecules.

    `mean`, `std`: of the label's change over the pairs; NaN without labels.
    """

    before: str
    after: str
    count: int
    mean: float
    std: float

    @property
    def text(self) -> str:
        """As a reaction."""
        return f"{self.before}>>{self.after}"


@dataclass(frozen=True)
class Analogue:
    """A molecule made of another: canonical SMILES, what was changed, how it is known that one may, and in how many cases."""

    smiles: str
    change: str
    how: str
    count: int
    expected: float  # mean change of the label in these cases; NaN where it is not known


def cuts(smiles: str) -> Iterator[tuple[str, str]]:
    """(what stays, what changes) for each acyclic single bond and each side of it that is small enough. Raises StructureError."""
    mol = parse_smiles(smiles)
    heavy = mol.GetNumHeavyAtoms()
    with rdBase.BlockLogs():
        for _, pieces in rdMMPA.FragmentMol(mol, maxCuts=1, maxCutBonds=100, resultsAsMols=False):
            one, _, other = pieces.partition(".")
            for stays, changes in ((one, other), (other, one)):
                size = _size(changes)
                if size <= MAX_CHANGED and 2 * size <= heavy:
                    yield stays, changes


def _size(piece: str) -> int:
    return sum(atom.GetAtomicNum() > 1 for atom in Chem.MolFromSmiles(piece).GetAtoms())


def joined(stays: str, changes: str) -> str:
    """Canonical SMILES of two parts put together at [*:1]. Raises StructureError where that gives no molecule."""
    with rdBase.BlockLogs():
        try:
            mol = Chem.molzip(Chem.MolFromSmiles(f"{stays}.{changes}", _KEEP_HYDROGENS))
            return str(Chem.MolToSmiles(parse_smiles(Chem.MolToSmiles(Chem.RemoveHs(mol)))))
        except (RuntimeError, ValueError, AttributeError) as error:
            raise StructureError(f"{stays} and {changes} make no molecule: {str(error).splitlines()[0][:80]}") from None


_KEEP_HYDROGENS = Chem.SmilesParserParams()
_KEEP_HYDROGENS.removeHs = False  # type: ignore[assignment]


def hydrogens(smiles: str) -> Iterator[str]:
    """What stays where one hydrogen is taken off, once for each kind of hydrogen. Raises StructureError."""
    mol = parse_smiles(smiles)
    seen: set[str] = set()
    with rdBase.BlockLogs():
        for atom in mol.GetAtoms():
            if not atom.GetTotalNumHs():
                continue
            open_ = Chem.RWMol(mol)
            dummy = Chem.Atom(0)
            dummy.SetAtomMapNum(1)
            open_.AddBond(atom.GetIdx(), open_.AddAtom(dummy), Chem.BondType.SINGLE)
            here = open_.GetAtomWithIdx(atom.GetIdx())
            if here.GetNoImplicit() or here.GetNumExplicitHs():
                here.SetNumExplicitHs(max(0, atom.GetTotalNumHs() - 1))
            try:
                Chem.SanitizeMol(open_)
            except (RuntimeError, ValueError):
                continue
            text = str(Chem.MolToSmiles(open_))
            if text not in seen:
                seen.add(text)
                yield text


class Table:
    """Pairs out of a table: `smiles` canonical [n], `y` [n] a label each or None."""

    def __init__(self, smiles: Sequence[str], y: np.ndarray | None = None):
        self.smiles, self.y = list(smiles), y
        places = {text: k for k, text in enumerate(self.smiles)}
        self._stays: dict[str, list[tuple[int, str]]] = defaultdict(list)  # what stays -> (row, what changes)
        for k, text in enumerate(self.smiles):
            for stays, changes in cuts(text):
                self._stays[stays].append((k, changes))
        for stays, members in self._stays.items():
            try:
                bare = canonical(stays.replace("[*:1]", "[H]"))  # as `joined` with HYDROGEN, in half the time
            except StructureError:
                continue
            if bare in places:
                members.append((places[bare], HYDROGEN))
        self._pairs: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        for members in self._stays.values():
            for a, before in members:
                for b, after in members:
                    if before != after and a != b:
                        self._pairs[before, after].append((a, b))

    @property
    def substituents(self) -> Counter[str]:
        """What changes at any cut of the table, and in how many molecules."""
        return Counter(changes for members in self._stays.values() for changes in {changes for _, changes in members})

    def pairs(self) -> list[tuple[int, int, str]]:
        """(row, row, change) of each pair, both ways."""
        return [(a, b, f"{before}>>{after}") for (before, after), found in self._pairs.items() for a, b in found]

    def changes(self, without: frozenset[int] = frozenset()) -> dict[str, list[Change]]:
        """Changes by what they begin from, the most frequent first; pairs with rows of `without` don't count."""
        found: dict[str, list[Change]] = defaultdict(list)
        for (before, after), pairs in self._pairs.items():
            left = [(a, b) for a, b in pairs if a not in without and b not in without]
            if not left:
                continue
            by = np.array([self.y[b] - self.y[a] for a, b in left]) if self.y is not None else np.array([np.nan])
            found[before].append(Change(before, after, len(left), float(by.mean()), float(by.std())))
        return {before: sorted(some, key=lambda c: (-c.count, c.after)) for before, some in found.items()}


def changed(smiles: str, changes: Mapping[str, Sequence[Change]], most: int = 200) -> list[Analogue]:
    """Analogues by changes that were seen, those seen most often first, each molecule once. Raises StructureError."""
    tried: list[tuple[Change, str]] = []
    for stays, before in cuts(smiles):
        tried += [(change, stays) for change in changes.get(before, ())]
    if HYDROGEN in changes:
        tried += [(change, stays) for stays in hydrogens(smiles) for change in changes[HYDROGEN]]
    own, found = str(Chem.MolToSmiles(parse_smiles(smiles))), dict[str, Analogue]()
    for change, stays in sorted(tried, key=lambda pair: (-pair[0].count, pair[0].text, pair[1])):
        if len(found) >= most:
            break
        try:
            made = joined(stays, change.after)
        except StructureError:
            continue
        if made != own and made not in found:
            found[made] = Analogue(made, change.text, "matched pair", change.count, change.mean)
    return list(found.values())


def substituted(smiles: str, substituents: Mapping[str, int], most: int = 200) -> list[Analogue]:
    """Analogues with any substituent of a table in place of one that is there, the most frequent first. Raises StructureError."""
    places = [*cuts(smiles), *((stays, HYDROGEN) for stays in hydrogens(smiles))]
    own, found = str(Chem.MolToSmiles(parse_smiles(smiles))), dict[str, Analogue]()
    for after, count in sorted(substituents.items(), key=lambda one: (-one[1], one[0])):
        for stays, before in places:
            if len(found) >= most:
                return list(found.values())
            if before == after:
                continue
            try:
                made = joined(stays, after)
            except StructureError:
                continue
            if made != own and made not in found:
                found[made] = Analogue(made, f"{before}>>{after}", "substituent", count, float("nan"))
    return list(found.values())


def brics_pieces(smiles: Sequence[str]) -> dict[tuple[str, str], Counter[str]]:
    """(kind of this end, kind of the other) -> pieces with [*:1] and how often, at all BRICS bonds of these molecules."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for text in smiles:
        for kind, _, piece in _broken(text):
            found[kind][piece] += 1
    return found


def _broken(smiles: str) -> Iterator[tuple[tuple[str, str], str, str]]:
    """(kinds of its end and of the other, what stays, what may change) for each BRICS bond and side. Raises StructureError."""
    mol = parse_smiles(smiles)
    with rdBase.BlockLogs():
        for (i, j), (one, other) in BRICS.FindBRICSBonds(mol):
            bond = mol.GetBondBetweenAtoms(i, j)
            cut = Chem.FragmentOnBonds(mol, [bond.GetIdx()], dummyLabels=[(0, 0)])
            atoms: list[int] = []
            pieces = Chem.GetMolFrags(cut, asMols=True, frags=atoms)
            if len(pieces) != 2:
                continue
            texts = []
            for piece in pieces:
                for atom in piece.GetAtoms():
                    if atom.GetAtomicNum() == 0:
                        atom.SetAtomMapNum(1)
                texts.append(str(Chem.MolToSmiles(piece)))
            a, b = (texts[0], texts[1]) if atoms[i] == 0 else (texts[1], texts[0])  # of i, of j
            for kind, stays, changes in (((other, one), a, b), ((one, other), b, a)):
                if _size(changes) <= MAX_CHANGED:
                    yield kind, stays, changes


def recombined(smiles: str, pieces: Mapping[tuple[str, str], Counter[str]], most: int = 200) -> list[Analogue]:
    """Analogues with one side of a BRICS bond taken from elsewhere, the most frequent pieces first. Raises StructureError."""
    tried = []
    for kind, stays, before in _broken(smiles):
        tried += [(count, stays, before, after) for after, count in pieces.get(kind, Counter()).items() if after != before]
    own, found = str(Chem.MolToSmiles(parse_smiles(smiles))), dict[str, Analogue]()
    for count, stays, before, after in sorted(tried, key=lambda one: (-one[0], one[1:])):
        if len(found) >= most:
            break
        try:
            made = joined(stays, after)
        except StructureError:
            continue
        if made != own and made not in found:
            found[made] = Analogue(made, f"{before}>>{after}", "brics", count, float("nan"))
    return list(found.values())
