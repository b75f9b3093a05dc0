"""Readers of tables: every format plain and gzipped, every row in its place, whatever bytes it holds."""

from __future__ import annotations

import csv
import gzip
import io
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.chem.featurizer import Featurizer, preset
from heliograph.chem.molecule import featurize
from heliograph.chem.pool import featurize_table
from heliograph.chem.reasons import count
from heliograph.data.formats import read
from heliograph.data.formats.table import as_number, unique
from heliograph.data.record import Record
from heliograph.data.sets import smallmol
from heliograph.errors import DataError
from tests.chem.real import moleculenet

Write = Callable[..., Path]


@pytest.fixture(params=["plain", "gz"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Write bytes under a name, or its gzip under the name with .gz."""

    def to(name: str, content: str | bytes) -> Path:
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / (name if request.param == "plain" else name + ".gz")
        path.write_bytes(data if request.param == "plain" else gzip.compress(data))
        return path

    return to


def test_csv(write: Write) -> None:
    table = read(write("a.csv", "name,SMILES,logS,split\nethanol,CCO,-0.5,train\nmethane,C,,test\n"))
    assert table.columns == ("name", "SMILES", "logS", "split") and table.targets == ("logS",)
    assert table.smiles_column == "SMILES" and table.kind == "smiles"
    rows = list(table)
    assert [row.structure for row in rows] == ["CCO", "C"]
    assert dict(rows[0].targets) == {"logS": "-0.5"} and dict(rows[1].targets) == {}
    assert dict(rows[1].meta) == {"name": "methane", "SMILES": "C", "logS": "", "split": "test"}
    assert [row.id for row in rows] == [row.id for row in table] == ["0", "1"]  # iterate again


@pytest.mark.parametrize(("name", "separator"), [("a.tsv", "\t"), ("a.tab", "\t"), ("a.csv", ";"), ("a.csv", "\t"), ("a.txt", ",")])
def test_separators(write: Write, name: str, separator: str) -> None:
    table = read(write(name, f"smiles{separator}y\nCC{separator}1\n"))
    assert table.columns == ("smiles", "y") and next(iter(table)).structure == "CC"


def test_smi(write: Write) -> None:
    rows = list(read(write("a.smi", "CCO ethyl alcohol\nC\n\nc1ccccc1\tbenzene\n")))
    assert [row.structure for row in rows] == ["CCO", "C", None, "c1ccccc1"]
    assert [row.meta["name"] for row in rows] == ["ethyl alcohol", "", "", "benzene"]
    assert rows[2].reason == "blank line: line 3"


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": [1, 2, 3], "smiles": ["CC", None, " C "], "y": [0.5, float("nan"), None], "n": [1, 2, None]}), path)
    table = read(path)
    assert table.targets == ("y", "n") and table.kind == "smiles"
    rows = list(table)
    assert [row.structure for row in rows] == ["CC", None, "C"] and rows[1].reason == "empty structure: row 2"
    assert [dict(row.targets) for row in rows] == [{"y": "0.5", "n": "1"}, {"n": "2"}, {}]
    path.write_bytes(b"PAR1 not at all")
    with pytest.raises(DataError, match="no Parquet file, or is damaged"):
        read(path)
    path.write_bytes(gzip.compress(b"x"))
    with pytest.raises(DataError, match=r"unpack the \.gz first"):
        read(path)


def test_bad_rows_keep_their_place_and_say_why(write: Write) -> None:
    content = b"\xef\xbb\xbf" + b"\r\n".join(
        [
            b"smiles,y,note",
            b"CC,1,a",
            b"",
            b"CCC,2",
            b'C,3,"b",more',
            b",4,c",
            b"C\xe9C,5,\xff",
            b'"C,6,unclosed',
            b'O,7,"two\nlines"',
            b'N,8,5" pipe',
            b'Cl,9,"x"y',
            b"",
        ]
    )
    rows = list(read(write("a.csv", content), target_columns=["y"]))
    assert [row.reason for row in rows] == [
        "",
        "blank line: line 3",
        "wrong number of fields: 2, header has 3, line 4",
        "wrong number of fields: 4, header has 3, line 5",
        "empty structure: line 6",
        "",
        "unclosed quote: line 8",
        "",
        "",
        "",
    ]
    assert [row.structure for row in rows] == ["CC", None, None, None, None, "C\udce9C", None, "O", "N", "Cl"]
    assert rows[3].meta["note"] == "b,more" and rows[5].meta["note"] == "\udcff"
    assert rows[7].meta["note"] == "two\nlines" and rows[8].meta["note"] == '5" pipe' and rows[9].meta["note"] == "xy"
    assert rows[6].meta["smiles"] == '"C'
    outcomes = list(featurize_table(rows, preset("table10_1"), workers=0))
    assert [bool(molecule) for _, molecule, _ in outcomes] == [True, False, False, False, False, False, False, True, True, True]


def test_huge_fields_and_nul_bytes(write: Write) -> None:
    rows = list(read(write("a.csv", "smiles,y\n" + "C" * 300_000 + ',1\nC\0C,2\n"' + "N" * 20_000 + '",3\n"' + "O" * 300_000 + '",4\n')))
    assert [len(row.meta["smiles"]) for row in rows[:3]] == [300_000, 3, 20_000]
    assert [row.reason.partition(":")[0] for row in rows] == ["", "", "", "unreadable row"]


@pytest.mark.parametrize("damaged", ['"garbage', 'x,"', '"'])
def test_a_lone_quote_does_not_swallow_the_table(write: Write, damaged: str) -> None:
    lines = [damaged if k % 50 == 25 else f"CC,{k}" for k in range(500)]
    rows = list(read(write("a.csv", "smiles,y\n" + "\n".join(lines) + "\n")))
    assert len(rows) == 500
    assert [row.structure is None for row in rows] == [k % 50 == 25 for k in range(500)]
    assert all(row.reason == f"unclosed quote: line {k + 2}" for k, row in enumerate(rows) if k % 50 == 25)


_cell = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=8).filter(lambda cell: cell.count("\n") < 3)


@given(st.lists(st.tuples(_cell, _cell, _cell), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_the_csv_module_writes_is_read_back(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([("smiles", "a", "b"), *rows])
    path = tmp_path / "h.csv"
    path.write_bytes(text.getvalue().encode())
    read_back = [tuple(row.meta.values()) for row in read(path, target_columns=())]
    assert len(read_back) == len(rows)
    for got, want in zip(read_back, rows, strict=True):
        assert got == (want if any(cell.strip() for cell in want) else ("", "", ""))


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line), min_size=1, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
def test_any_bytes_are_rows(tmp_path: Path, lines: list[bytes]) -> None:
    """One row per line, however damaged, where no quoted field may span lines."""
    path = tmp_path / "h.tsv"
    path.write_bytes(b"smiles\ty\n" + b"".join(line.replace(b'"', b"'") + b"\n" for line in lines))
    assert len(list(read(path, target_columns=()))) == len(lines)


def test_weights_splits_and_identifiers_are_no_targets(write: Write) -> None:
    header = "mol_id,smiles,y,refractive index,weight,split,Compound ID,num,text,mostly,E1,E1"
    body = "".join(f"{k},CC,{k % 3},1.3,1,train,{k * 7},{k},{'x' if k else 3},{'bad' if k == 60 else k % 5},1,2\n" for k in range(100))
    table = read(write("a.csv", header + "\n" + body))
    assert table.targets == ("y", "refractive index", "weight", "mostly", "E1", "E1.1")
    assert dict(table.left_out) == {
        "mol_id": "an identifier by its name", "split": "a split by its name", "Compound ID": "an identifier by its name",
        "num": "an identifier: whole numbers, each once", "text": "1 of 100 cells are numbers, others 'x'",
    }  # fmt: skip
    assert read(write("a.csv", header + "\n" + body), weight_column="weight").targets == ("y", "refractive index", "mostly", "E1", "E1.1")


def test_a_column_that_counts_the_rows_is_no_target(write: Write) -> None:
    table = read(write("a.csv", "smiles,which,y\n" + "".join(f"C,{k},{k % 2}\n" for k in range(50))))
    assert table.targets == ("y",)


def test_weights(write: Write) -> None:
    rows = list(read(write("a.csv", "smiles,y,w\nC,1,2.5\nC,1,-1\nC,1,\n"), weight_column="w"))
    assert rows[0].weight == 2.5
    assert [row.reason for row in rows[1:]] == ["weight is not a number >= 0: '-1', line 3", "weight is not a number >= 0: '', line 4"]


def test_missing_words(write: Write) -> None:
    rows = list(read(write("a.csv", "smiles,y\nC,NaN\nC,n/a\nC, \nC,0\nC,None\n")))
    assert [dict(row.targets) for row in rows] == [{}, {}, {}, {"y": "0"}, {}]


def test_what_is_a_number() -> None:
    assert [as_number(cell) for cell in ("1", " -.5e3 ", "inf")] == [1.0, -500.0, float("inf")]
    assert [as_number(cell) for cell in ("1_000", "١", "", "0x10", "1,5", "nan")] == [None] * 6


def test_unique_names() -> None:
    assert unique(["a", "b", "a", "a.1", "a"]) == ("a", "b", "a.1", "a.1.1", "a.2")


TWICE = "Several columns have one name: the first of them keeps it, the others are read as "


def test_columns_of_one_name_are_said(write: Write) -> None:
    path = write("a.csv", "smiles,y,log  S,y,,,log S,SMILES\nC,1,3,2,,,4,N\nCC,2,4,3,,,5,O\n")
    table = read(path)
    assert table.notes[0] == TWICE + "'y.1', 'log S.1'." and table.targets == ("y", "log S", "y.1", "log S.1")
    (first, _) = list(table)
    assert dict(first.targets) == {"y": "1", "log S": "3", "y.1": "2", "log S.1": "4"} and first.structure == "C"
    assert TWICE + "'y.1', 'log S.1'." in read(path, target_columns=["y"]).notes
    assert next(iter(read(path, target_columns=["y.1"]))).targets == {"y.1": "2"}
    many = read(write("b.csv", "smiles" + ",y" * 7 + "\nC" + ",1" * 7 + "\n"), target_columns=())
    assert many.notes == (TWICE + "'y.1', 'y.2', 'y.3', 'y.4' ... (6 in all).",)
    assert read(write("c.csv", "smiles,y,Y\nC,1,2\n"), target_columns=()).notes == ()


def test_columns_of_one_name_in_parquet_and_excel(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    openpyxl = pytest.importorskip("openpyxl")
    pq.write_table(pa.Table.from_arrays([pa.array(["C"]), pa.array([1.0]), pa.array([2.0])], ["smiles", "y", "y"]), tmp_path / "a.parquet")
    book = openpyxl.Workbook()
    for row in (("smiles", "y", "y"), ("C", 1.0, 2.0)):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    for name in ("a.parquet", "a.xlsx"):
        table = read(tmp_path / name)
        assert table.notes == (TWICE + "'y.1'.",), name
        assert [{k: float(v) for k, v in record.targets.items()} for record in table] == [{"y": 1.0, "y.1": 2.0}]


ERRORS: list[tuple[str, str, dict[str, object], str]] = [
    ("a.csv", "smiles,y\nC,1\n", {"target_columns": ["logs"]}, "has no column 'logs'; known: smiles, y"),
    ("a.csv", "smiles,logS\nC,1\n", {"target_columns": ["logs"]}, "did you mean 'logS'"),
    ("a.csv", "smiles,y\nC,1\n", {"smiles_column": "smile"}, "did you mean 'smiles'"),
    ("a.csv", "smiles,y\nC,1\n", {"splits_column": "split"}, "has no column 'split'"),
    ("a.csv", "smiles,y\nC,1\n", {"target_columns": ["smiles"]}, "can't be a target as well"),
    ("a.csv", "smiles,y\nC,1\n", {"target_columns": ["y", "y"]}, "named twice"),
    ("a.csv", "", {}, "has no header line"),
    ("a.docx", "x", {}, "can't tell the format of a.docx"),
    ("a.sdf", "", {"smiles_column": "smiles"}, "holds structures itself"),
    ("a.smi", "C", {"smiles_column": "mol"}, "an SMI file has the columns smiles and name"),
]


@pytest.mark.parametrize(("name", "content", "options", "message"), ERRORS)
def test_errors_say_what_there_is(write: Write, name: str, content: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        read(write(name, content), **options)  # type: ignore[arg-type]


def test_missing_files_folders_and_damaged_archives(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file: .*nowhere.csv"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"smiles,y\n" + b"CC,1\n" * 5000)[:60])
    with pytest.raises(DataError, match=r"a\.csv\.gz is damaged after line"):
        list(read(path, target_columns=["y"]))
    path.write_bytes(b"smiles,y\nCC,1\n")  # the name says gzip, the bytes do not
    assert len(list(read(path))) == 1


def test_bbbp_keeps_its_eleven_unparsable_rows_in_place() -> None:
    table = read(moleculenet("bbbp.csv.gz"))
    assert table.targets == ("p_np",)
    outcomes = list(featurize_table(table, preset("table10_1"), workers=0, scaffold=False))
    assert [record.id for record, _, _ in outcomes] == [str(k) for k in range(2050)]
    assert count(why for _, _, why in outcomes) == {"not valid SMILES": 11}


def test_a_shipped_set_reads_like_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Record(str(k), "C" * (k + 1), meta={**dict.fromkeys(smallmol.COLUMNS, "1.5"), "smiles": "C"}) for k in range(3)]
    monkeypatch.setattr(smallmol, "records", lambda: iter(rows))
    table = read("smallmol")
    assert table.name == "smallmol" and table.kind == smallmol.KIND and table.columns == tuple(smallmol.COLUMNS)
    assert "gap" in table.targets and "smiles" not in table.targets
    assert [record.structure for record in table] == ["C", "CC", "CCC"]


def test_a_set_that_was_not_fetched_says_how(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="heliograph data fetch esol"):
        read("esol")


def test_smallmol_itself() -> None:
    """Atoms and bonds come in the order of the set's own SMILES with hydrogens added, so that its labels per atom fit."""
    if not smallmol.PATH.is_file():
        pytest.skip("smallmol.npz is not built yet: scripts/make_smallmol.py")
    solid = Featurizer(preset("table10_1").atoms, preset("table10_1").bonds, hydrogens="explicit", geometry="given")
    table = read("smallmol")
    assert table.targets == tuple(smallmol.COLUMNS[1:])
    for record in islice(table, 0, 3000, 100):
        assert record.structure is not None
        molecule, flat = featurize(record.structure, solid), featurize(record.structure, preset("table10_1"))
        assert molecule.smiles == flat.smiles == record.meta["smiles"]
        assert molecule.z.tolist() == smallmol.load().geometry(int(record.id)).z.tolist()


def test_a_shipped_set_brings_its_units() -> None:
    table = read("smallmol", target_columns=("gap", "dipole"))
    assert [table.units[target] for target in table.targets] == ["eV", "D"]


def test_very_many_columns_of_one_name_are_named_in_no_time() -> None:
    assert unique(["a", "b", "a", "a.1", "a", "a.1"]) == ("a", "b", "a.1", "a.1.1", "a.2", "a.1.2")
    started = time.process_time()
    assert len(set(unique(["smiles"] * 20_000))) == 20_000
    assert time.process_time() - started < 5  # one by one from the first it is minutes


def test_a_cell_of_very_many_digits_is_told_in_no_time() -> None:
    started = time.process_time()
    assert as_number("1" * 50_000 + "x") is None
    assert time.process_time() - started < 2  # minutes, where digits can be split in two in every way
