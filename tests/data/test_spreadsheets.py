"""Tables that a spreadsheet made: separators, decimal marks, encodings, headers, packed files; what is chosen is said."""

from __future__ import annotations

import bz2
import lzma
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from heliograph.data.formats import read
from heliograph.data.formats.cells import as_number, bound, convention, is_missing, plain, two_words
from heliograph.errors import DataError

CASES = Path(__file__).parent / "cases"
BODY = [("CCO", 1.5), ("CCN", -2.25), ("CCCC", 1234.0), ("c1ccccc1", 0.125)]


def labels(path: Path, target: str, **options: object) -> list[float]:
    table = read(path, **options)  # type: ignore[arg-type]
    assert target in table.targets, (table.targets, table.left_out)
    return [float(record.targets[target]) for record in table if target in record.targets]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_decimal_commas_in_every_dress(tmp_path: Path, separator: str, end: str, encoding: str) -> None:
    rows = [separator.join(("SMILES", "IC50 (µM)", "note")), *(separator.join((s, f"{y:g}".replace(".", ","), "é")) for s, y in BODY)]
    path = write(tmp_path / "a.csv", end.join(rows) + end, encoding)
    table = read(path)
    assert table.columns == ("SMILES", "IC50 (µM)", "note") and table.targets == ("IC50 (µM)",)
    assert labels(path, "IC50 (µM)") == [y for _, y in BODY]
    assert [record.structure for record in table] == [s for s, _ in BODY]
    assert all(record.meta["note"] == "é" for record in table)
    assert any("a decimal comma" in note for note in table.notes)


@pytest.mark.parametrize(
    ("cells", "numbers", "separator"),
    [
        (["1.234,5", "2,5", "1 234,5"], [1234.5, 2.5, 1234.5], ";"),
        (["1,234", "12,345", "999"], [1234.0, 12345.0, 999.0], ","),  # thousands: commas between cells, these are quoted
        (["1,234", "12,345", "999"], [1.234, 12.345, 999.0], ";"),
        (["1,234.5", "2,000.25"], [1234.5, 2000.25], ";"),
        (["1\u00a0234.5", "12\u202f000"], [1234.5, 12000.0], ","),
        (["1'234.5", "12’000"], [1234.5, 12000.0], ","),
        (["0,5", ",25", "-1,0e-3"], [0.5, 0.25, -1.0e-3], ","),
        (["\u22121.5", "2"], [-1.5, 2.0], ","),
        (["\u22121,5", "2,0"], [-1.5, 2.0], "\t"),
        ([">1,5", "< 2,25", "3,0"], [1.5, 2.25, 3.0], ";"),
        (["1.5", "2.5e3", "-.5"], [1.5, 2500.0, -0.5], ";"),
    ],
)
def test_conventions(cells: list[str], numbers: list[float], separator: str) -> None:
    how = convention(cells, separator)
    assert [as_number(bound(plain(cell, how))[1]) for cell in cells] == numbers
    assert all(plain(cell, how)[:1] in (">", "<") for cell in cells if cell[0] in "<>")


def test_what_no_convention_reads_stays_as_it_is() -> None:
    for how in ("plain", "comma", "grouped"):
        for cell in ("abc", "1,2,3", "1.2.3", "", ",", "1,23,4", "--5", "1e", "12,34,567"):
            assert as_number(plain(cell, how)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("mark", ["-", "ND", "N.D.", "n.d.", "\u2212", "–", "#DIV/0!", "-nan", "NA", "N/A", "#N/A", "NULL", "null", "nan",
                                  "<NA>", "None", "1.#QNAN", "-1.#IND", "?", ".", "#VALUE!", "#REF!", " NaN "])  # fmt: skip
def test_missing_marks(tmp_path: Path, mark: str) -> None:
    assert is_missing(mark)
    path = write(tmp_path / "a.csv", "smiles,y\nCCO,1\nCCN," + mark + "\nCCC,3\n")
    assert labels(path, "y") == [1.0, 3.0]
    assert [record.targets.get("y") for record in read(path, target_columns=["y"])] == ["1", None, "3"]


def test_marks_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "smiles,y\nCCO,1\nCCN,-999\nCCC,-999.0\nCCF,failed\n")
    assert labels(path, "y", missing=("-999", "failed")) == [1.0]
    assert labels(path, "y", target_columns=["y"], missing=("failed",)) == [1.0, -999.0, -999.0]


CLASSES = {"truefalse.csv": ("False", "True"), "active.csv": ("inactive", "active")}


@pytest.mark.parametrize("name", CLASSES)
def test_words_for_two_classes_are_targets(name: str) -> None:
    table = read(CASES / name)
    assert len(table.targets) == 1
    assert two_words(record.targets[table.targets[0]] for record in table) == CLASSES[name]


@pytest.mark.parametrize(
    ("words", "pair"),
    [("yes no", ("no", "yes")), ("Y N", ("N", "Y")), ("+ -", ("-", "+")), ("TRUE FALSE", ("FALSE", "TRUE")),
     ("toxic nontoxic", ("nontoxic", "toxic")),
     ("a b", None), ("yes", None), ("yes no maybe", None), ("true no", None), ("Positive negative", ("negative", "Positive"))],
)  # fmt: skip
def test_pairs_of_words(words: str, pair: tuple[str, str] | None) -> None:
    assert two_words(words.split()) == pair


def test_a_minus_is_a_class_beside_a_plus(tmp_path: Path) -> None:
    table = read(write(tmp_path / "a.csv", "smiles,ames,y\nCCO,+,-\nCCN,-,2\nCCC,+,3\n"))
    assert table.targets == ("ames", "y")
    assert [dict(record.targets) for record in table] == [{"ames": "+"}, {"ames": "-", "y": "2"}, {"ames": "+", "y": "3"}]


def test_headers_by_the_rules_of_csv() -> None:
    for name, columns in (("header_newline.csv", ("smiles", "IC50 (nM)", "logP")), ("header_newline_last.csv", ("smiles", "IC50 (nM)"))):
        table = read(CASES / name)
        assert table.columns == columns and table.targets == columns[1:]
        rows = list(table)
        assert rows[0].structure == "ClCCCO" and float(rows[0].targets["IC50 (nM)"]) == 1.102
        assert all(not row.reason for row in rows)


def test_headers_with_quotes_and_without_end(tmp_path: Path) -> None:
    table = read(write(tmp_path / "a.csv", '"smiles","a, b","say ""y"""\nCCO,1,2\n'))
    assert table.columns == ("smiles", "a, b", 'say "y"')
    broken = read(write(tmp_path / "b.csv", 'smiles,"y\nCCO,1\nCCN,2\n'))
    assert broken.columns[0] == "smiles" and len(list(broken)) == 2
    with pytest.raises(DataError, match=r"has no header line: it begins with a row \(CCO, 1.5\)"):
        read(write(tmp_path / "c.csv", "CCO,1.5\nCCN,2\n"))


def test_sep_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "sep=;\nsmiles;y\nCCO;1,5\nxx;2,5\nCCN\n")
    assert labels(path, "y") == [1.5, 2.5]
    rows = list(read(path))
    assert len(rows) == 3 and rows[2].reason == "wrong number of fields: 1, header has 2, line 5"
    assert read(write(tmp_path / "b.csv", '"sep=|"\r\nsmiles|y\r\nCCO|1\r\n')).columns == ("smiles", "y")


def test_the_header_below_excels_hint_says_the_encoding(tmp_path: Path) -> None:
    """Found by the fuzz, seed 7001: four blanks of cp1252 that are UTF-8 as well, against one letter of the header."""
    path = tmp_path / "t.csv"
    for hint in ("sep=,", '"sep=,"'):
        path.write_bytes(f'{hint}\n"note","IC50 (µM)","Drug"\n'.encode("cp1252") + b'"\xc2\xa0","1","CCO"\n' * 4)
        assert read(path).columns == ("note", "IC50 (µM)", "Drug")


def test_separators_at_the_end_of_lines(tmp_path: Path) -> None:
    rows = list(read(write(tmp_path / "a.csv", "smiles,y\nCCO,1,,\nCCN,2\nCCC,3,x\n")))
    assert [row.reason for row in rows] == ["", "", "wrong number of fields: 3, header has 2, line 4"]


def test_cases_with_other_separators_and_marks() -> None:
    assert read(CASES / "pipe.csv").targets == ("y",)
    assert labels(CASES / "de_excel.csv", "Solubility (mg/L)")[:2] == [3.2, 20.72]
    assert labels(CASES / "thousands.csv", "Ki")[:2] == [1771.0, 7903.0]
    assert "IC50 (µM)" in read(CASES / "cp1252.csv").columns
    for name in ("missing_dash", "missing_div", "missing_minusnan", "missing_nd"):
        table = read(CASES / f"{name}.csv")
        assert table.targets == ("y",) and sum("y" in record.targets for record in table) < len(list(table))
    rows = list(read(CASES / "tabs.tsv"))
    assert [row.structure for row in rows[:1]] == ["CCO"] and len(rows) >= 3


def test_packed_files(tmp_path: Path) -> None:
    text = b"smiles,y\nCCO,1.5\nCCN,2.5\n"
    (tmp_path / "a.csv.bz2").write_bytes(bz2.compress(text))
    (tmp_path / "a.csv.xz").write_bytes(lzma.compress(text))
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        archive.writestr("inner/a.csv", text)
        archive.writestr("__MACOSX/._a.csv", b"x")
    for ending in ("bz2", "xz", "zip"):
        assert labels(tmp_path / f"a.csv.{ending}", "y") == [1.5, 2.5]
        whole = (tmp_path / f"a.csv.{ending}").read_bytes()
        (tmp_path / f"b.csv.{ending}").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match="damaged"):
            list(read(tmp_path / f"b.csv.{ending}"))
    with zipfile.ZipFile(tmp_path / "two.csv.zip", "w") as archive:
        archive.writestr("a.csv", text)
        archive.writestr("b.csv", text)
    with pytest.raises(DataError, match=r"two\.csv\.zip is a zip archive of 2 files; unpack it"):
        read(tmp_path / "two.csv.zip")


def test_files_that_are_something_else(tmp_path: Path) -> None:
    for name, content, what in [
        ("a.csv", b"<!DOCTYPE html>\n<html><body>404</body></html>", "is a web page"),
        ("b.csv", b"\n <HTML lang='en'>", "is a web page"),
        ("c.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 50, r"old Excel workbook \(\.xls\)"),
        ("d.csv", b"PAR1....", "Parquet file"),
        ("e.csv", b"%PDF-1.7", "PDF"),
        ("f.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "pointer of Git LFS"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=what):
            read(tmp_path / name)


def test_workbooks(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append([])
    sheet.append(["Name", "Canonical SMILES", "y\n(nM)", "count", "active"])
    for k, (s, y) in enumerate(BODY):
        sheet.append([f"n{k}", s, y, k % 2 + 2, bool(k % 2)])
    sheet.append([])
    sheet.append(["x", "not one", "=1/0", None, None])
    sheet.cell(row=40, column=1).value = None
    book.create_sheet("other").append(["nothing"])
    book.save(tmp_path / "a.xlsx")
    table = read(tmp_path / "a.xlsx")
    assert table.columns == ("Name", "Canonical SMILES", "y (nM)", "count", "active") and table.smiles_column == "Canonical SMILES"
    assert table.targets == ("y (nM)", "count", "active") and table.left_out == {"Name": "text: 'n0', 'n1', 'n2'"}
    rows = list(table)
    assert [row.structure for row in rows] == [s for s, _ in BODY] + [None, "not one"]
    assert [float(row.targets["y (nM)"]) for row in rows[:4]] == [y for _, y in BODY]
    assert rows[4].reason == "blank line: row 7"
    (tmp_path / "b.csv").write_bytes((tmp_path / "a.xlsx").read_bytes())
    with pytest.raises(DataError, match=r"b\.csv is an Excel workbook, whatever its name says: call it b\.xlsx"):
        read(tmp_path / "b.csv")
    (tmp_path / "c.xlsx").write_bytes((tmp_path / "a.xlsx").read_bytes()[:500])
    with pytest.raises(DataError, match=r"c\.xlsx is no Excel workbook, or is damaged"):
        read(tmp_path / "c.xlsx")


def test_standard_input() -> None:
    program = "from heliograph.data.formats import read; t = read('-'); print(t.targets, len(list(t)), len(list(t)))"
    done = subprocess.run([sys.executable, "-c", program], input=b"smiles;y\nCCO;1,5\nCCN;2\n", capture_output=True, check=True)
    assert done.stdout.decode().strip() == "('y',) 2 2"


# ---- the structure column ---------------------------------------------------------------------------------------------


def test_the_structure_column_is_found_and_said(tmp_path: Path) -> None:
    table = read(CASES / "first_name.csv")
    assert table.smiles_column == "Canonical_SMILES" and table.targets == ("y",)
    assert table.notes == ("Structures are read from the column 'Canonical_SMILES', by its name.",)
    by_content = read(write(tmp_path / "a.csv", "Name,Drug,y\nCO,CCCCO,1\nSN,CCCN,2\nxx,c1ccccc1,3\nNo,CCF,4\nfoo,CCCl,5\n"))
    assert by_content.smiles_column == "Drug"
    assert by_content.notes[0].startswith("Structures are read from the column 'Drug': 100 % of its first cells are molecules")
    several = read(write(tmp_path / "b.csv", "id,canonical_smiles,isomeric_smiles,y\n1,CCO,CCO,1\n"))
    assert several.smiles_column == "isomeric_smiles"
    assert read(write(tmp_path / "c.csv", "mol,y\nxx,1\nyy,2\n")).smiles_column == "mol"
    usual = read(write(tmp_path / "d.csv", "smiles,other\nCCO,CCN\n"), usual_column="other", target_columns=())
    assert usual.smiles_column == "other" and usual.notes == ("Structures are read from the column 'other', as in training.",)


def test_two_columns_of_structures_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"two\.csv has several columns of structures: 'solute', 'solvent'\. One is read: name it with"):
        read(CASES / "two.csv")
    assert read(CASES / "two.csv", smiles_column="solute").targets == ("logS",)
    with pytest.raises(DataError, match="several columns of structures: 'solute_smiles', 'solvent_smiles'"):
        read(write(tmp_path / "a.csv", "solute_smiles,solvent_smiles,y\nCCO,O,1\n"))


# ---- targets chosen ---------------------------------------------------------------------------------------------------


def test_targets_are_chosen_by_what_they_hold() -> None:
    assert read(CASES / "target_NO.csv").targets == ("NO", "logP")
    table = read(CASES / "filtered_index.parquet")
    assert table.left_out["__index_level_0__"] == "an index that pandas left" and "__index_level_0__" not in table.targets
    assert read(CASES / "censored10.csv").targets == ("IC50",)
    assert read(CASES / "pm1.csv").targets == ("label",) and read(CASES / "onetwo.csv").targets == ("CLASS",)


def test_charge_and_spin_are_inputs_and_one_energy_is_chosen() -> None:
    charged = read(CASES / "charged.extxyz")
    assert charged.targets == ("energy",) and {"charge", "spin"} <= set(charged.left_out)
    flags = read(CASES / "flags.extxyz")
    assert flags.targets == ("REF_energy",)
    assert flags.left_out["energy"] == flags.left_out["free_energy"] == "another energy beside 'REF_energy'"


# ---- SDF --------------------------------------------------------------------------------------------------------------


def test_sdf_out_of_the_letter_of_the_standard(tmp_path: Path) -> None:
    for name in ("no_blank.sdf", "nl_prop.sdf", "name_prop.sdf"):
        rows = list(read(CASES / name))
        assert rows and not any(row.reason for row in rows)
    block = (CASES / "no_blank.sdf").read_text().split("M  END")[0] + "M  END\n"
    path = write(tmp_path / "a.sdf", "T1" + block.split("\n", 1)[0] + "\n" + block.split("\n", 1)[1]
                 + "> <a>\n1.5\n> 25 <b> (x)\nline one\n\nline two\n\n>  <name>\nmine\n> <a>\nagain\n$$$$\n")  # fmt: skip
    row = next(iter(read(path)))
    assert dict(row.meta) == {"title": "T1", "a": "1.5", "b": "line one\n\nline two", "name": "mine", "a.1": "again"}


def test_smi_with_commas_headers_and_extensions(tmp_path: Path) -> None:
    rows = list(read(CASES / "comma.smi"))
    assert [(row.structure, row.meta["name"]) for row in rows] == [("CCO", "ethanol"), ("CCN", "ethylamine")]
    assert [row.structure for row in read(CASES / "header.smi")][:1] == ["CCO"]
    row = next(iter(read(write(tmp_path / "a.smi", "C[C@H](N)O |a:1| alanine like\n"))))
    assert row.structure == "C[C@H](N)O |a:1|" and row.meta["name"] == "alanine like"


# ---- other notations --------------------------------------------------------------------------------------------------

NOTATIONS = {
    "InChI=1S/CH4O/c1-2/h2H,1H3": "not SMILES: InChI",
    "OKKJLVBELUTLKV-UHFFFAOYSA-N": "not SMILES: an InChIKey",
    "CCO>>CC=O": "not SMILES: a reaction",
    "CCO>[Na+].[OH-]>CC=O": "not SMILES: a reaction",
    "[C][C][O]": "not SMILES: SELFIES",
    "[C][=C][Branch1][C][O][C]": "not SMILES: SELFIES",
    "[#6]-[#8]": "not SMILES: a SMARTS pattern",
    "[C,N]C": "not SMILES: a SMARTS pattern",
    "[$(C=O)]": "not SMILES: a SMARTS pattern",
    "C~O": "not SMILES: a SMARTS pattern",
    "50-00-0": "not SMILES: a CAS number",
    "CAS 64-17-5": "not SMILES: a CAS number",
    "CHEMBL25": "not valid SMILES: looks like a number in a catalogue",
    "ZINC000000895": "not valid SMILES: looks like a number in a catalogue",
    "DB00945": "not valid SMILES: looks like a number in a catalogue",
    "C6H12O6": "not valid SMILES: looks like a formula",
    "aspirin": "not valid SMILES: looks like a name",
    "sodium chloride": "not valid SMILES: looks like a name",
    "C[C@H](O)[C@@H](C)N |&1:1,3|": "not one molecule",
    "C[C@H](O)N |o1:1|": "not one molecule",
}
_SMILES = """CCO [Na+].[Cl-] [H][H] [C-]#[O+] C[N+](=O)[O-] [O][O] C->[Pt](Cl)Cl [Fe]->N [13CH4] c1cc[nH]c1 *C [CH3:1][OH:2] [2H]OC [Xe] CO
[Co@OH26](C)(N)(O)(F)(Cl)Br [OH-].[Na+].[K+] [NH4+].[Cl-].[H+]"""
SMILES = [*_SMILES.split(), "C[C@H](N)O |a:1|", "CC |$;R1$|"]


@pytest.mark.parametrize("text", NOTATIONS)
def test_other_notations_are_named(text: str) -> None:
    from heliograph.chem.featurizer import preset
    from heliograph.chem.worker import attempts

    for scaffold in (True, False):  # one at a time; many at once
        found = attempts([text, "CCO"], preset("chemprop_cip"), scaffold)
        assert isinstance(found[0], str) and found[0].startswith(NOTATIONS[text]), found[0]
        assert found[1] is not None and not isinstance(found[1], str)


def test_smiles_are_smiles() -> None:
    from heliograph.chem.notation import foreign, guess
    from heliograph.chem.parse import parse_smiles

    for text in SMILES:
        assert foreign(text) == "", text
        assert parse_smiles(text).GetNumAtoms()
    assert guess("c1ccccc1C(") == "" and guess("CC(C)(C)(C)C") == ""


def test_real_tables_hold_no_other_notation() -> None:
    from heliograph.chem.notation import foreign
    from tests.chem.real import moleculenet

    for name in ("hiv.csv.gz", "tox21.csv.gz", "bbbp.csv.gz"):
        table = read(moleculenet(name), target_columns=())
        assert not [record.structure for record in table if record.structure and foreign(str(record.structure))]


def test_csv_of_inchi_and_reactions_say_so() -> None:
    from heliograph.chem.parse import parse_smiles
    from heliograph.errors import StructureError

    for record in read(CASES / "rxn.csv"):
        with pytest.raises(StructureError, match="a reaction"):
            parse_smiles(str(record.structure))
    assert [record.reason for record in read(CASES / "inchi.csv")] == [
        "wrong number of fields: 3, header has 2 (InChI holds commas: it must be quoted, and is not SMILES), line 2"
    ]


# ---- what is no header, and other notations of tables -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "# made by x\nsmiles,y\nCCO,1\nCCN,2\n", "begins with '# made by x', which names no columns; line 2 does (smiles, y)"),
        ("a.csv", "# x\n# y, z\nsmiles;y\nCCO;1\nCCN;2\n", "line 3 does (smiles, y)"),
        ("a.csv", "Table S1. Solubility,\nID,Canonical SMILES\n1,CCO\n2,CCN\n", "line 2 does (ID, Canonical SMILES)"),
        ("a.tsv", "Table S1\nsmiles\ty\nCCO\t1\n", "line 2 does (smiles, y)"),
        ("a.csv", '"Solubility, all"\nsmiles,y\nCCO,1\n', "begins with 'Solubility, all'"),
        ("a.txt", "smiles   y\nCCO      1.0\nCCN      2.0\n", "has blanks between its columns ('smiles   y')"),
        ("a.csv", "smiles name y\nCCO a 1\nCCN b 2\n", "has blanks between its columns"),
        ("a.csv", '{"smiles": ["CCO"], "y": [1]}', "is JSON, not a table"),
        ("a.csv", '[{"smiles": "CCO", "y": 1}]', "is JSON, not a table"),
        ("a.csv", '<?xml version="1.0"?>\n<a/>', "is XML, not a table"),
        ("a.csv", "{\\rtf1 smiles}", "Rich Text Format"),
    ],
)
def test_what_names_no_columns(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        read(write(tmp_path / name, text))
    assert message in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["smiles\nCCO\nCCN\n", "canonical smiles\nCCO\nCCN\n", 'name\n"Doe, J"\n"x, y"\nz\n', "inchi\nInChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3\n" * 3,
     "smiles\nC[C@H](N)O |a:1|\nCCN |x|\n", ",smiles\n0,CCO\n1,CCN\n"],
)  # fmt: skip
def test_a_single_column_is_a_table(tmp_path: Path, text: str) -> None:
    assert len(list(read(write(tmp_path / "a.csv", text)))) >= 2


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\x80\x04\x95\x0a\x00")
    with pytest.raises(DataError, match="is a pickle, which is not opened"):
        read(tmp_path / "a.csv")


def test_points_beside_decimal_commas_are_doubted(tmp_path: Path) -> None:
    table = read(write(tmp_path / "a.csv", "smiles;y;z\nCCO;1,5;1.234\nCCN;2,5;12.345\n"))
    assert any("'z' like 1.234 are read with a decimal point, though 'y' has a decimal comma" in note for note in table.notes)
    for text in ("smiles;y;z\nCCO;1,5;0.234\nCCN;2,5;1.345\n", "smiles;y;z\nCCO;15;1.234\nCCN;25;12.345\n", "smiles,y,z\nCCO,1.234,2\n"):
        assert not any("doubt" in note or "though" in note for note in read(write(tmp_path / "b.csv", text)).notes)


def test_columns_of_a_few_words_are_said_to_be_classes(tmp_path: Path) -> None:
    rows = [f"{'C' * (k + 1)},{('low', 'mid', 'high')[k % 3]},name {k},{k}.5" for k in range(12)]
    left = read(write(tmp_path / "a.csv", "\n".join(["smiles,class,name,y", *rows]))).left_out
    assert left["class"] == "text: 'low', 'mid', 'high'; 3 classes: --task-type multiclass"
    assert left["name"] == "text: 'name 0', 'name 1', 'name 2'"
