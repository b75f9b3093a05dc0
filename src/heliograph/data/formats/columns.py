"""Which column holds the structures, and which are targets: what is chosen, and why the others are not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from heliograph.data.formats.cells import as_number, convention, is_missing, numbers, two_words
from heliograph.errors import DataError, suggest

_COUNTING = "id|ids|idx|index|no|nr|num|number"  # alone or after one of the next line: a refractive index stays a target
_THING = "mol|molecule|cmpd|compound|chembl|sample|entry|row|record|line|pubchem|cid"
_ID_LIKE = re.compile(rf"(.*[\s_-])?(ids?|cas|cid|inchikey)|({_THING})[\s_-]*({_COUNTING})", re.IGNORECASE)
_COUNT_LIKE = re.compile(rf"(.*[\s_-])?idx|{_COUNTING}|row", re.IGNORECASE)  # an identifier if each value is there once
_INDEX = re.compile(r"unnamed: \d+|__index_level_\d+__|level_\d+", re.IGNORECASE)  # what pandas leaves behind
_SPLIT_LIKE = re.compile(r"(.*[\s_-])?(splits?|folds?)", re.IGNORECASE)
_INPUT = re.compile(r"((total|net|formal|molecular)[\s_-]?)?(charge|spin)|(spin[\s_-]?)?mult(iplicity)?|uhf", re.IGNORECASE)
_ENERGY = ("ref_energy", "energy", "free_energy", "dft_energy", "potential_energy", "total_energy", "e0_energy")  # the first there is
_NUMERIC = 0.97  # share of cells that are numbers in a numeric column
STRUCTURES = (  # names that mean structures, the one to prefer first
    re.compile(r"smiles", re.IGNORECASE),
    re.compile(r"isomeric[\s_-]*smiles|smiles[\s_-]*isomeric", re.IGNORECASE),
    re.compile(r"canonical[\s_-]*smiles|smiles[\s_-]*canonical|can[\s_-]?smi(les)?", re.IGNORECASE),
    re.compile(r"(std|standardi[sz]ed|clean(ed)?|curated|rdkit)[\s_-]*smiles|smi|smile", re.IGNORECASE),
    re.compile(r".*smiles.*", re.IGNORECASE),
)
ENDS = (  # columns that name an edge's two ends
    ("source", "target"), ("src", "dst"), ("src_id", "dst_id"), ("from", "to"), ("head", "tail"), ("u", "v"), ("sender", "receiver"),
)  # fmt: skip
_ENOUGH = 0.5  # share of cells that must be molecules with bonds before a column passes for structures
LOOKED_AT = 100  # rows
FEW_CLASSES = 20  # words in a column that may be names of classes


@dataclass(frozen=True, slots=True)
class Targets:
    """`names` chosen; `left_out`: every other column with the reason."""

    names: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def structure_column(
    table: str, columns: Sequence[str], rows: Callable[[], Sequence[Mapping[str, str]]], asked: str | None, usual: str | None
) -> tuple[str, str]:
    """The column with the structures and, where it is not plain from its name, a sentence that says why it is this one.

    `asked`: what the user named; `usual`: what training read. Then `smiles` in any case, a name that means it, the column whose cells
    are molecules with bonds. Raises DataError where there is no such column as asked, and where several are as good.
    """
    if asked is not None:
        if asked not in columns:
            raise DataError(f"{table} has no column {asked!r}; {suggest(asked, columns)}")
        return asked, ""
    if usual is not None and usual in columns:
        return usual, "" if usual.lower() == "smiles" else f"Structures are read from the column {usual!r}, as in training."
    for pattern in STRUCTURES:
        named = [name for name in columns if pattern.fullmatch(name.strip())]
        if len(named) == 1 or (named and pattern is STRUCTURES[0]):
            return named[0], "" if pattern is STRUCTURES[0] else f"Structures are read from the column {named[0]!r}, by its name."
        if named:
            raise _several(table, named)
    return _by_content(table, columns, rows())


def _several(table: str, names: Sequence[str]) -> DataError:
    listed = ", ".join(repr(name) for name in names)
    return DataError(
        f"{table} has several columns of structures: {listed}. One is read: name it with --smiles-columns "
        "(a solvent or a partner beside it is not an input)."
    )


def _by_content(table: str, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> tuple[str, str]:
    from heliograph.chem.parse import bonds_in

    if len(columns) == 1 or not rows:
        return columns[0], ""
    shares, atoms = {}, {}
    for name in columns:
        cells = [cell for row in rows[:LOOKED_AT] if not is_missing(cell := row.get(name, ""))]
        bonds = [bonds_in(cell) for cell in cells]
        shares[name] = sum(n is not None and n > 0 for n in bonds) / len(cells) if cells else 0.0
        atoms[name] = sum(n is not None for n in bonds) / len(cells) if cells else 0.0  # water is a molecule, too
    best = max(shares.values())
    good = [name for name in columns if shares[name] >= max(_ENOUGH, 0.9 * best) or (shares[name] and atoms[name] >= 0.9)]
    if len(good) > 1:
        raise _several(table, good)
    if good:
        of = f"{100 * shares[good[0]]:.0f} % of its first cells are molecules"
        return good[0], f"Structures are read from the column {good[0]!r}: {of}, and no name says where they are (--smiles-columns)."
    for pair in ENDS:
        if {name.strip().lower() for name in columns} >= set(pair):
            raise DataError(
                f"{table} has no molecules, but the columns {pair[0]} and {pair[1]}: it is a table of edges. For one graph: "
                f"heliograph train nodes.csv --edges {table} learns from it, heliograph diagnose --edges {table} describes it. "
                "Should there be molecules, name their column with --smiles-columns."
            )
    return columns[0], (
        f"No column of {table} is called smiles or holds molecules: the first, {columns[0]!r}, is read (another: --smiles-columns)."
    )


def choose_targets(
    candidates: Sequence[str], cells: Sequence[Mapping[str, str]], separator: str | None, kind: str, missing: Sequence[str] = ()
) -> Targets:
    """Columns of numbers, or of two classes in words, by the rows looked at; the others with why not."""
    names: list[str] = []
    left_out: dict[str, str] = {}
    for name in candidates:
        filled = [text for row in cells if not is_missing(text := row.get(name, ""), missing)]
        why = by_name(name, filled) or _by_cells([row.get(name, "") for row in cells], filled, separator)
        if why:
            left_out[name] = why
        else:
            names.append(name)
    if kind == "xyz":
        energies = sorted((name for name in names if name.lower() in _ENERGY), key=lambda name: _ENERGY.index(name.lower()))
        for name in energies[1:]:
            left_out[name] = f"another energy beside {energies[0]!r}"
            names.remove(name)
    return Targets(tuple(names), left_out)


def by_name(name: str, filled: Sequence[str]) -> str:
    """Why a column of this name is no target, "" where it may be one."""
    text = name.strip()
    if not text:
        return "has no name"
    if _INDEX.fullmatch(text):
        return "an index that pandas left"
    if _INPUT.fullmatch(text):
        return "an input, not an answer"
    if _SPLIT_LIKE.fullmatch(text):
        return "a split by its name"
    if _ID_LIKE.fullmatch(text):
        return "an identifier by its name"
    if _COUNT_LIKE.fullmatch(text) and len(set(filled)) == len(filled) > 1 and all(cell.strip().isdigit() for cell in filled):
        return "an identifier: whole numbers, each once"
    return ""


def _by_cells(everything: Sequence[str], filled: Sequence[str], separator: str | None) -> str:
    """Why a column with these cells is no target, "" where it is one."""
    if two_words(filled) or two_words(cell for cell in everything if cell.strip()):
        return ""
    if not filled:
        return "empty"
    found = numbers(filled, convention(filled, separator))
    if len(found) < _NUMERIC * len(filled) or not found:
        words = list(dict.fromkeys(cell.strip()[:24] for cell in filled if as_number(cell) is None))
        shown = ", ".join(repr(word) for word in words[:3])
        some = f"{len(found)} of {len(filled)} cells are numbers, others {shown}" if found else f"text: {shown}"
        kinds = len({cell.strip() for cell in filled})
        if found or not (kinds == 2 or 2 < kinds <= min(FEW_CLASSES, len(filled) // 2)):
            return some
        return f"{some}; {'two' if kinds == 2 else kinds} classes: --task-type multiclass"
    if len(found) > 20 and all(b - a == 1.0 for a, b in pairwise(found)):  # 0, 1, 2, ...: row numbers
        return "counts the rows"
    return ""
