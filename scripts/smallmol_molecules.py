"""Which molecules are in the shipped set: small organic graphs, grown, filtered for sensible chemistry, sampled for diversity.

Growing is by five moves on a graph: add an atom, close a ring, raise a bond order, change an element, add a group. Up to
`EXHAUSTIVE` heavy atoms the first three are applied to everything; beyond, they are drawn at random, also starting from ring
templates, because aromatic rings hardly come out of single random moves. Everything is a function of the seed.
"""

from __future__ import annotations

import random
from collections import defaultdict

from rdkit import Chem, RDLogger
from rdkit.Chem import rdMolDescriptors
from rdkit.Chem.Scaffolds import MurckoScaffold

RDLogger.DisableLog("rdApp.*")

ELEMENTS = {6: 4, 7: 3, 8: 2, 9: 1, 16: 2, 17: 1}  # atomic number -> valence
WEIGHTS = {6: 10, 7: 5, 8: 6, 9: 2, 16: 1.5, 17: 1.5}  # how often a random move takes it
EXHAUSTIVE = 3
QUOTA = {5: 620, 6: 1300, 7: 1950, 8: 2350}  # heavy atoms -> molecules; all that was found below 5
SHARES = {"aromatic": 0.42, "aliphatic ring": 0.33, "open chain": 0.25}

RINGS = [
    "c1ccccc1", "c1ccncc1", "c1cncnc1", "c1cnccn1", "c1ccnnc1", "c1ncncn1", "c1cc[nH]c1", "c1ccoc1", "c1ccsc1", "c1c[nH]cn1",
    "c1cn[nH]c1", "c1cocn1", "c1cnoc1", "c1cscn1", "c1cnsc1", "c1nc[nH]n1", "c1cn[nH]n1", "c1nnco1", "c1nncs1", "c1ncno1", "c1ncns1",
    "c1conn1", "O=c1cccc[nH]1", "O=c1ccocc1", "O=c1cc[nH]cc1", "O=c1cnccn1C", "O=c1cc[nH][nH]1", "C1CC1", "C1CN1", "C1CO1", "C1CS1",
    "C1CCC1", "C1CNC1", "C1COC1", "C1CSC1", "C1CCCC1", "C1CCNC1", "C1CCOC1", "C1CCSC1", "C1COCO1", "C1=CCCC1", "C1=CCNC1", "C1=COCC1",
    "C1=NCCC1", "C1=NCCN1", "C1=NCCO1", "C1=NCCS1", "O=C1CCCN1", "O=C1CCCO1", "O=C1CCNC1", "O=C1C=CCC1", "C1CCCCC1", "C1CCNCC1",
    "C1CCOCC1", "C1CCSCC1", "C1CNCCN1", "C1COCCN1", "C1COCCO1", "C1CSCCN1", "C1=CCCCC1", "C1=CCNCC1", "C1=CCOCC1", "O=C1CCCCC1",
    "O=C1CCCCN1", "O=C1CCCCO1", "O=C1CNCCN1", "O=C1C=CCCC1", "O=C1CCNCC1", "C1CCCCCC1", "C1CCNCCC1", "C1CCOCCC1", "C1=CCCCCC1",
    "c1cc2sccc2s1", "c1cn2ccsc2n1", "c1cc2cc[nH]c2[nH]1", "c1cc2occc2o1", "c1cn2ccoc2n1", "c1cc2[nH]ncc2s1", "c1cn2ncnc2s1",
    "c1cn2nccc2[nH]1", "c1cc2n(c1)CCC2", "c1ncc2n1CCC2", "C1CC2CC2C1", "C1CC2CC2N1", "C1CC2OC2C1", "C1CCC2OC2C1", "C1CCC2CC2C1",
    "C1CC2CCC1C2", "C1CC2CCC1O2", "C1CC2CCC1N2", "C1CC2CCC2C1", "C1CC2CCCC2C1", "C1CC2CNCC2C1", "C1CC2COCC2O1", "C1CC2(C1)CC2",
    "C1CC2(C1)CCC2", "C1CC2(C1)CNC2", "C1CC2(C1)COC2", "C1CC2(CC2)CN1", "C1CC2(CC2)CO1", "C1CC2CCC1CC2", "C1CN2CCC1CC2", "C1CN2CCN1CC2",
    "C1CC2CC=CC2C1", "C1=CC2CCC1C2",
]  # fmt: skip

GROUPS = [
    "C#N", "C(C)=O", "C=O", "C(=O)O", "C(N)=O", "OC", "N(C)C", "C(F)(F)F", "[N+](=O)[O-]", "S(C)(=O)=O", "S(N)(=O)=O", "SC", "C#C",
    "C=C", "CC", "C(C)C",
]  # fmt: skip

REJECTED = {
    name: [Chem.MolFromSmarts(p) for p in patterns.split()]
    for name, patterns in {
        "chain of heteroatoms": "[O,S;!a]-[O,S;!a] [#7,#8,#16;!a;!$([N+])]~[#7,#8,#16;!a;!$([N+]);!$(S(=O)=O)]~[#7,#8,#16;!a] "
        "[n]-[#7,#8,#16;!a]-,=[#7,#8,#16] [!#6]-[F,Cl] [#7;!a]=[#7;!a] [O,S;!a]-[N;!a]-[#7,#8,#16] [#8,#16;!a]-[n,o,s] "
        "[#7;!a;!$(N=*)]-[#7;!a;!$(N-C=O);!$(N=*)]-[#7] [N;!$([N+])](-[#7,#8])-[#7,#8]",
        "unstable group": "[CX4]([OH,SH,NH2,NH1;!$(N-C=O);!$(NS=O)])([#7,#8,#16;!$([N+]);!$(S=O)]) [CX4]([F,Cl])[#7,#8,#16;!$(S(=O)=O)] "
        "[C;!a]=[C;!a]-[OH,SH,NH2,NH1;!$(N-C=O)] [C;!a]=[C;!a]-[F,Cl] [OH,SH]-[C;!a]=[#7] [CX3H1]=S [CX3](=S)([#6])[#6] "
        "[CX3]=[NH1;!$(N=C(-N))] [CX3](=[O,S,N])[F,Cl] [CX2]#[CX2]-[!#6;!#1] [CX2]#[CX2]-[CX2]#[CX2] C=C=C C=C=[O,S,N] N=C=N "
        "[#7,#8,#16]-[C;!a]#N [CX4](Cl)(Cl)Cl [#6;X3](=O)-[#6;X3](=O)-[#6;X3]=O O=[CX3]([OH])-[OH,NH2,NH1,N,O] "
        "[#7,O,S]-[CX3](=O)-[CX3H]=O C(=O)-[SH,S]-C=O [N;X2;!a]=[C;!a]-[F,Cl] [#7]=[#16;X1,X2] [N;!a]-[SX2] [OH]-C=S [SH]-C=O "
        "[NX3]-O-[C,c;X3] [NX2]=O [NH]=c [o,s]~[o,s] [OH0;X1]=[SX1] [s]c=O O=c[s] [NX3;!a]-[NX3;!a;R] [OH]-[NX3]-[CX4] "
        "[NX3H1,NX3H2]-[NX2]",
        "strained": "[r3]=,:[*] [r3]#* [R]#[R] [r4]=,:[r4] [R]=[#6X2;R]=[R] [R]=[R0]=* [r4;a]",
        "aromatic with five nitrogens or a charge": "n1nnnn1 [+;!$([N+](=O)[O-])] [-;!$([O-][N+]=O)]",
    }.items()
}


def _valid(molecule: Chem.Mol) -> Chem.Mol | None:
    """The molecule, sane, in its canonical form; None where a valence is wrong."""
    try:
        Chem.SanitizeMol(molecule)
        return Chem.MolFromSmiles(Chem.MolToSmiles(molecule))
    except (ValueError, RuntimeError):
        return None


def rejection(molecule: Chem.Mol) -> str:
    """Why this molecule is not wanted; "" if it is."""
    for name, patterns in REJECTED.items():
        if any(molecule.HasSubstructMatch(p) for p in patterns):
            return name
    if any(a.GetNumRadicalElectrons() for a in molecule.GetAtoms()):
        return "radical"
    rings = [set(r) for r in molecule.GetRingInfo().AtomRings()]
    if molecule.GetNumBonds() - molecule.GetNumAtoms() > 1 or any(len(r) > 7 for r in rings):
        return "rings"
    if len(rings) > 1 and len(rings[0] & rings[1]) >= 2:
        if max(map(len, rings)) <= 4:
            return "strained"
        if len(rings[0] & rings[1]) > 2 and (min(map(len, rings)) < 5 or _unsaturated_bridgehead(molecule)):
            return "strained"
    counts = [a.GetAtomicNum() for a in molecule.GetAtoms()]
    if counts.count(17) > 2 or counts.count(9) > 4 or counts.count(9) + counts.count(17) > 4 or counts.count(16) > 2:
        return "too many of one element"
    if counts.count(6) * 1.5 < len(counts) - counts.count(6) and len(counts) > 2:
        return "too few carbons"
    return ""


def _unsaturated_bridgehead(molecule: Chem.Mol) -> bool:
    heads: list[int] = []
    rdMolDescriptors.CalcNumBridgeheadAtoms(molecule, atoms=heads)
    return any(b.GetBondTypeAsDouble() > 1 for i in heads for b in molecule.GetAtomWithIdx(i).GetBonds())


def additions(molecule: Chem.Mol) -> list[tuple[int, int, int]]:
    """Every (atom, atomic number, bond order) that can be added."""
    return [
        (a.GetIdx(), number, order)
        for a in molecule.GetAtoms()
        for number, valence in ELEMENTS.items()
        for order in range(1, min(a.GetTotalNumHs(), valence, 3) + 1)
    ]


def changes(molecule: Chem.Mol) -> list[tuple[int, int]]:
    """Every pair of atoms that can get a bond more: a ring of 3 to 7 closed, or a bond order raised."""
    distance = Chem.GetDistanceMatrix(molecule)
    free = [a.GetIdx() for a in molecule.GetAtoms() if a.GetTotalNumHs() > 0 and not a.GetIsAromatic()]
    return [(i, j) for i in free for j in free if i < j and distance[i, j] <= 6]


def add(molecule: Chem.Mol, atom: int, number: int, order: int) -> Chem.Mol | None:
    grown = Chem.RWMol(molecule)
    Chem.Kekulize(grown, clearAromaticFlags=True)
    _take_hydrogens(grown, atom, order)
    grown.AddBond(atom, grown.AddAtom(Chem.Atom(number)), Chem.BondType.values[order])
    return _valid(grown)


def join(molecule: Chem.Mol, i: int, j: int) -> Chem.Mol | None:
    grown = Chem.RWMol(molecule)
    Chem.Kekulize(grown, clearAromaticFlags=True)
    bond = grown.GetBondBetweenAtoms(i, j)
    if bond is None:
        grown.AddBond(i, j, Chem.BondType.SINGLE)
    elif bond.GetBondTypeAsDouble() < 3:
        bond.SetBondType(Chem.BondType.values[int(bond.GetBondTypeAsDouble()) + 1])
    for atom in (i, j):
        _take_hydrogens(grown, atom, 1)
    return _valid(grown)


def mutate(molecule: Chem.Mol, atom: int, number: int) -> Chem.Mol | None:
    """Another element in one place, hydrogens as the valence asks."""
    grown = Chem.RWMol(molecule)
    Chem.Kekulize(grown, clearAromaticFlags=True)
    used = sum(b.GetBondTypeAsDouble() for b in grown.GetAtomWithIdx(atom).GetBonds())
    if used > ELEMENTS[number] or grown.GetAtomWithIdx(atom).GetFormalCharge():
        return None
    grown.ReplaceAtom(atom, Chem.Atom(number))
    return _valid(grown)


def attach(molecule: Chem.Mol, atom: int, group: str) -> Chem.Mol | None:
    other = Chem.MolFromSmiles(group)
    grown = Chem.RWMol(Chem.CombineMols(molecule, other))
    Chem.Kekulize(grown, clearAromaticFlags=True)
    first = molecule.GetNumAtoms()
    grown.AddBond(atom, first, Chem.BondType.SINGLE)
    for end in (atom, first):
        _take_hydrogens(grown, end, 1)
    return _valid(grown)


def _take_hydrogens(molecule: Chem.RWMol, index: int, count: int) -> None:
    atom = molecule.GetAtomWithIdx(index)
    atom.SetNumExplicitHs(max(0, atom.GetNumExplicitHs() - count))


def _exhaustive(size: int) -> dict[str, Chem.Mol]:
    """Every graph of up to `size` heavy atoms that additions, rings and bond orders lead to."""
    found: dict[str, Chem.Mol] = {}
    level = {Chem.MolToSmiles(m): m for m in (Chem.MolFromSmiles(s) for s in ("C", "N", "O", "F", "S", "Cl"))}
    for n in range(1, size + 1):
        todo = list(level.values())
        while todo:
            molecule = todo.pop()
            for pair in changes(molecule):
                if (new := join(molecule, *pair)) is not None and (text := Chem.MolToSmiles(new)) not in level:
                    level[text] = new
                    todo.append(new)
        found |= level
        if n < size:
            grown = (add(m, *choice) for _, m in sorted(level.items()) for choice in additions(m))
            level = {Chem.MolToSmiles(m): m for m in grown if m is not None}
    return found


def _random_move(molecule: Chem.Mol, random_: random.Random, size: int) -> Chem.Mol | None:
    """One move; `size` is the largest number of heavy atoms allowed."""
    room, draw = size - molecule.GetNumHeavyAtoms(), random_.random()
    open_ = [a.GetIdx() for a in molecule.GetAtoms() if a.GetTotalNumHs() > 0]
    if room > 0 and draw < 0.55:
        choices = additions(molecule)
        if not choices:
            return None
        weights = [WEIGHTS[number] * (1.0, 0.35, 0.12)[order - 1] for _, number, order in choices]
        return add(molecule, *random_.choices(choices, weights)[0])
    if room > 1 and draw < 0.75 and open_:
        return attach(molecule, random_.choice(open_), random_.choice(GROUPS))
    if draw < 0.85:
        pairs = changes(molecule)
        return join(molecule, *random_.choice(pairs)) if pairs else None
    number = random_.choices([6, 7, 8, 16], [4, 6, 4, 1])[0]
    return mutate(molecule, random_.randrange(molecule.GetNumAtoms()), number)


def candidates(seed: int, size: int, wanted: int) -> dict[str, Chem.Mol]:
    """At least `wanted` molecules that pass the filters, by random moves; canonical SMILES -> molecule."""
    random_ = random.Random(seed)
    small = _exhaustive(EXHAUSTIVE)
    starts = [m for s, m in sorted(small.items()) if not rejection(m)]
    rings = [Chem.MolFromSmiles(s) for s in RINGS]
    found = {Chem.MolToSmiles(m): m for m in [*starts, *rings] if not rejection(m) and m.GetNumHeavyAtoms() <= size}
    while len(found) < wanted:
        molecule = random_.choice(rings) if random_.random() < 0.6 else random_.choice(starts)
        for _ in range(random_.randrange(1, size + 3)):
            new = _random_move(molecule, random_, size)
            if new is None or new.GetNumHeavyAtoms() > size or "." in Chem.MolToSmiles(new):
                continue
            molecule = new
            if not rejection(molecule):
                found.setdefault(Chem.MolToSmiles(molecule), molecule)
    return found


def kind(molecule: Chem.Mol) -> str:
    if any(a.GetIsAromatic() for a in molecule.GetAtoms()):
        return "aromatic"
    return "aliphatic ring" if molecule.GetRingInfo().NumRings() else "open chain"


def sample(found: dict[str, Chem.Mol], seed: int, quota: dict[int, int]) -> list[str]:
    """SMILES, `quota[n]` for n heavy atoms, in the shares SHARES: six tenths from the scaffolds seen five times or more in turn,
    the rest plainly at random.
    """
    random_ = random.Random(seed)
    chosen: list[str] = []
    for n in sorted({m.GetNumHeavyAtoms() for m in found.values()}):
        strata: dict[str, list[str]] = defaultdict(list)
        for text, molecule in sorted(found.items()):
            if molecule.GetNumHeavyAtoms() == n:
                strata[kind(molecule)].append(text)
        if n not in quota:
            chosen += [text for texts in strata.values() for text in texts]
            continue
        left, total = quota[n], sum(SHARES[k] for k in strata)
        for name, texts in sorted(strata.items(), key=lambda item: len(item[1])):  # a small stratum passes on what it can't fill
            take = min(len(texts), round(left * SHARES[name] / total))
            left, total = left - take, total - SHARES[name]
            chosen += _spread(texts, take, random_)
    return chosen


def _spread(texts: list[str], take: int, random_: random.Random) -> list[str]:
    random_.shuffle(texts)
    groups: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        groups[MurckoScaffold.MurckoScaffoldSmiles(text)].append(text)
    common = [members for members in groups.values() if len(members) >= 5]
    turn = [text for _, text in sorted((k, text) for members in common for k, text in enumerate(members))]
    chosen = dict.fromkeys(turn[: take * 6 // 10])
    for text in texts:
        if len(chosen) >= take:
            break
        chosen.setdefault(text)
    return list(chosen)


def molecules(seed: int, size: int = 8, pool: int = 40_000) -> list[str]:
    """The SMILES of the set, small molecules first."""
    return sample(candidates(seed, size, pool), seed, QUOTA)
