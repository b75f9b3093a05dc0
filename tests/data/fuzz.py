"""Tables as anyone may write them, made by hypothesis: what comes out must be what went in, row by row.

    python -m tests.data.fuzz [--examples 10000] [--what tables smiles sdf xyz] [-o FILE.jsonl]

Tables vary in separator, encoding, quoting, line ends, packing, header, marks for missing, decimal marks, order of columns; SMILES, SDF
and XYZ are real ones with characters changed. No exception but a DataError may leave a reader, no row may be lost, each row has a
molecule or a reason, numbers are those written. A failing example is shrunk, printed and written down. `make test` does some of each.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import gzip
import io
import json
import math
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from heliograph.chem.featurizer import preset
from heliograph.chem.pool import featurize_table
from heliograph.data.formats import read
from heliograph.data.record import Record
from heliograph.errors import DataError

MOLECULES = ["CCO", "c1ccccc1O", "C[C@H](N)C(=O)O", "F/C=C/Cl", "[Na+].[Cl-]", "CC(=O)Oc1ccccc1C(=O)O", "C1CC1", "N#Cc1ccncc1"]
BROKEN = ["not one", "C(C", "xx", "c1ccc", "InChI=1S/CH4/h1H4", "CCO>>CC=O"]
MARKS = ["", "NA", "nan", "-", "N.D.", "#DIV/0!", "NULL", "n/a", "\u2212"]
NAMES = ["y", "pIC50", "log S", "a, b", 'say "it"', "two\nlines", "IC50 (µM)", "NO", "weight", "ΔG"]
NOTE = st.text(st.characters(codec="cp1252", exclude_characters="\r\x00", exclude_categories=["Cc"]), max_size=12)


@dataclass(frozen=True)
class Made:
    """A table as bytes, its name, and what must come out of it."""

    name: str
    content: bytes
    structures: list[str]
    target: str
    numbers: list[float | None]


def _written(number: float, style: str) -> str:
    if style == "comma":
        return f"{number:.2f}".replace(".", ",")
    if style == "grouped":
        return f"{number:,.2f}"
    if style == "german":
        return f"{number:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")
    return repr(number)


# How one content may be written: a number below DIALECTS stands for one choice of each, and drawing a number is cheap.
_CHOICES: tuple[tuple[Any, ...], ...] = (
    (",", ";", "\t", "|"),
    ("plain", "comma", "grouped", "german"),
    ("utf-8", "utf-8-sig", "utf-16", "cp1252"),
    tuple(permutations(range(3))),
    (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC),
    ("\n", "\r\n", "\r"),
    (False, True),
    ("", ".gz", ".bz2"),
)
DIALECTS = math.prod(map(len, _CHOICES))
EACH = 8  # tables of one content


def _chosen(number: int) -> list[Any]:
    found = []
    for choices in _CHOICES:
        number, k = divmod(number, len(choices))
        found.append(choices[k])
    return found


@st.composite
def tables(draw: Callable[..., Any]) -> list[Made]:
    """The same rows, written in several ways."""
    target = draw(st.sampled_from(NAMES))
    column = draw(st.sampled_from(["smiles", "SMILES", "Canonical_SMILES", "Drug"]))
    label = st.one_of(st.sampled_from(MARKS), st.floats(-9e3, 9e3).map(lambda x: round(x, 2)))
    labels = draw(st.lists(label, min_size=2, max_size=8))  # rows repeat what was drawn: the kinds of table are many, drawing is dear
    first, count = draw(st.integers(0, len(MOLECULES) - 1)), draw(st.integers(4, 16))
    rows = [(MOLECULES[(first + k) % len(MOLECULES)], labels[k % len(labels)]) for k in range(count)]
    broken = draw(st.lists(st.sampled_from(BROKEN), max_size=2 if column != "Drug" else 0))
    some = draw(st.lists(NOTE, min_size=1, max_size=3))
    body = [*rows, *((s, "") for s in broken)]
    notes = [some[k % len(some)] for k in range(len(body))]
    numbers = draw(st.lists(st.integers(0, DIALECTS - 1), min_size=EACH, max_size=EACH))
    return [_made(column, target, body, notes, *_chosen(number)) for number in numbers]


def _made(
    column: str, target: str, body: list[tuple[str, Any]], notes: list[str],
    separator: str, style: str, encoding: str, order: tuple[int, ...], quoting: Any, end: str, says: bool, pack: str,
) -> Made:  # fmt: skip
    if encoding == "cp1252":
        target, body = target.replace("Δ", "d"), [(s, "" if y == "\u2212" else y) for s, y in body]
    text = io.StringIO()
    if says:
        text.write(f"sep={separator}{end}")
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)
    cells = [(s, _written(y, style) if isinstance(y, float) else y, note) for (s, y), note in zip(body, notes, strict=True)]
    for row in ((column, target, "note"), *cells):
        writer.writerow([row[k] for k in order])
    content = text.getvalue()
    if end == "\r":
        content = content.replace("\n", " ")  # a line break in quotes would be the only \n
    data = content.encode(encoding, "replace")
    data = gzip.compress(data, 1) if pack == ".gz" else bz2.compress(data) if pack == ".bz2" else data
    numbers = [y if isinstance(y, float) else None for _, y in body]
    return Made(f"t.csv{pack}", data, [s for s, _ in body], " ".join(target.split()), numbers)


def check_tables(made: list[Made], folder: Path) -> Counter[str]:
    """How many tables were read. Raises AssertionError where something is not what went in."""
    counts: Counter[str] = Counter()
    records: list[Record] = []
    for table in made:
        if (found := check_table(table, folder)) is None:
            counts["refused"] += 1
        else:
            counts["read"] += 1
            records = found
    outcomes = list(featurize_table(iter(records), preset("table10_1"), 0))  # all have the same structures, by now
    assert len(outcomes) == len(records) and all((molecule is None) == bool(why) for _, molecule, why in outcomes)
    return counts


def check_table(made: Made, folder: Path) -> list[Record] | None:
    """The rows of one table; None where it was refused in words."""
    path = folder / made.name
    path.write_bytes(made.content)
    try:
        records = list(read(path, target_columns=[made.target]))
    except DataError as error:
        assert "several columns of structures" in str(error), error
        return None
    assert len(records) == len(made.structures), f"{len(records)} rows of {len(made.structures)}"
    assert [record.structure for record in records] == made.structures
    found = [record.targets.get(made.target) for record in records]
    assert [None if cell is None else float(cell) for cell in found] == made.numbers, (found, made.numbers)
    return records


_EDIT = st.tuples(st.integers(0, 10_000), st.sampled_from(["drop", "double", "swap", "put"]), st.text(min_size=1, max_size=3))


def edited(text: str, edits: list[tuple[int, str, str]]) -> str:
    """A text with characters dropped, doubled, exchanged or put in."""
    for at, what, put in edits:
        k = at % (len(text) + 1)
        if what == "drop":
            text = text[:k] + text[k + 1 :]
        elif what == "double":
            text = text[:k] + text[k : k + 1] * 2 + text[k + 1 :]
        elif what == "swap":
            text = text[:k] + text[k + 1 : k + 2] + text[k : k + 1] + text[k + 2 :]
        else:
            text = text[:k] + put + text[k:]
    return text


def check_file(text: str, ending: str, rows: int | None, folder: Path) -> Counter[str]:
    """A file of another format: read or refused in words, as many outcomes as rows, a molecule or a reason each."""
    path = folder / f"t{ending}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        records = list(read(path, target_columns=()))
    except DataError:
        return Counter(["refused"])
    if rows is not None:
        assert len(records) == rows, f"{len(records)} rows of {rows}"
    outcomes = list(featurize_table(iter(records), preset("table10_1"), 0))
    assert len(outcomes) == len(records) and all((molecule is None) == bool(why) for _, molecule, why in outcomes)
    return Counter(["some rows" if any(why for _, _, why in outcomes) else "all rows"])


_SDF = (Path(__file__).parent / "cases" / "name_prop.sdf").read_text().split("$$$$")
_XYZ = "3\nenergy=-1.5 charge=0\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n5\n\nC 0 0 0\nH 0.63 0.63 0.63\nH -0.63 -0.63 0.63\nH -0.63 0.63 -0.63\nH 0.63 -0.63 -0.63\n"  # noqa: E501


def smiles_of(picked: list[tuple[str, list[tuple[int, str, str]]]]) -> tuple[str, int]:
    lines = [" ".join(edited(text, edits).split()) or "C" for text, edits in picked]
    lines = [line.replace("\x00", "").replace("\x85", "").replace("\u2028", "").replace("\u2029", "") or "C" for line in lines]
    return "C\n" + "".join(f"{line}\n" for line in lines), len(lines) + 1


_SOME = st.lists(_EDIT, min_size=1, max_size=4)
GIVEN = {
    "tables": (tables(), check_tables),
    "smiles": (st.lists(st.tuples(st.sampled_from(MOLECULES), _SOME), min_size=1, max_size=6).map(smiles_of),
               lambda made, folder: check_file(made[0], ".smi", made[1], folder)),
    "sdf": (_SOME, lambda edits, folder: check_file(edited("$$$$".join(_SDF[:2]) + "$$$$\n", edits), ".sdf", None, folder)),
    "xyz": (_SOME, lambda edits, folder: check_file(edited(_XYZ, edits), ".xyz", None, folder)),
}  # fmt: skip


def fuzz(what: str, examples: int, number: int = 0) -> Counter[str]:
    """So many files; kinds of outcome by count. Raises what the first failing example raised, shrunk."""
    made, check = GIVEN[what]
    counts: Counter[str] = Counter()
    draws = math.ceil(examples / EACH) if what == "tables" else examples
    with tempfile.TemporaryDirectory() as name:

        @seed(number)
        @settings(
            max_examples=draws, deadline=None, database=None, suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )  # fmt: skip
        @given(made)
        def each(example: object) -> None:
            counts.update(check(example, Path(name)))

        each()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--what", nargs="+", default=list(GIVEN), choices=list(GIVEN))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    failed = False
    for what in options.what:
        began = time.perf_counter()
        line: dict[str, object] = {"fuzz": what, "examples": options.examples, "seed": options.seed}
        try:
            line |= {"outcomes": dict(fuzz(what, options.examples, options.seed))}
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failed = True
            line |= {"failed": f"{type(error).__name__}: {error}"[:500], "notes": getattr(error, "__notes__", [])[:3]}
            traceback.print_exc()
        line["seconds"] = round(time.perf_counter() - began)
        print(json.dumps(line), flush=True)
        if options.output:
            with open(options.output, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
