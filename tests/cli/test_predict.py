"""Prediction as a stream: every row, every column, the order, the reasons."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from heliograph.algebra.colour import Distinct
from heliograph.errors import DataError, UsageError
from heliograph.predictor import open as open_model
from heliograph.predictor.environments import Environments
from heliograph.predictor.stream import PredictConfig, answer_columns, batches, count_rows, predict_file
from tests.cli.conftest import Run, make_run

LONG = "C" * 10_000
ROWS = [
    "id,smiles,note",
    "1,CCO,plain",
    '2,c1ccccc1,"a, ""quoted"" note"',
    "3,not a molecule,x",
    "4,,no structure",
    "5,C(C)(C)(C)(C)C,valence",
    "",
    "7,[Na+].[Cl-],salt",
]


def read_rows(path: Path) -> list[dict[str, str]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(io.StringIO(raw.decode("utf-8", "surrogateescape"), newline="")))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("\n".join(ROWS) + "\n")
    return path


def config(model: Path, data: Path, out: Path, **more: object) -> PredictConfig:
    return PredictConfig.model_validate({"model_path": model, "data_path": data, "output_path": out, "num_workers": 0} | more)


def test_rows_columns_order_and_reasons(model_run: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    summary = predict_file(config(model_run, table, out))
    rows = read_rows(out)
    assert list(rows[0]) == ["id", "smiles", "note", "a_pred", "a_std", "b_pred", "b_std", "reason"]
    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5", "", "7"]
    assert rows[1]["note"] == 'a, "quoted" note'
    assert [bool(row["reason"]) for row in rows] == [False, False, True, True, True, True, False]
    assert all(bool(row["a_pred"]) != bool(row["reason"]) for row in rows)
    assert summary.rows == 7 and summary.predicted == 3 and sum(summary.reasons.values()) == 4
    assert not list(tmp_path.glob(".*.part"))


def test_numbers_are_those_of_the_predictor(model_run: Path, table: Path, tmp_path: Path) -> None:
    predict_file(config(model_run, table, tmp_path / "out.csv", batch_size=2))
    rows = read_rows(tmp_path / "out.csv")
    smiles = ["CCO", "c1ccccc1", "[Na+].[Cl-]"]
    expected = open_model(model_run).predict_records(smiles)
    found = np.array([[float(r["a_pred"]), float(r["b_pred"])] for r in rows if not r["reason"]])
    spread = np.array([[float(r["a_std"]), float(r["b_std"])] for r in rows if not r["reason"]])
    np.testing.assert_allclose(found, expected.y, rtol=1e-5)
    np.testing.assert_allclose(spread, expected.std, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("arch", ["gcn", "dmpnn"])
def test_environments_of_chunks_before_are_looked_up(arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Atoms and bonds are numbered alike in all chunks: whatever order new ones come in, the numbers are those of single batches."""
    monkeypatch.setattr("heliograph.algebra.colour.LEAST_WIDTH", 1)
    monkeypatch.setattr("heliograph.algebra.colour.LEAST_ROWS", 1)
    monkeypatch.setattr("heliograph.predictor.stream.CHUNK", 8)
    monkeypatch.setattr("heliograph.predictor.stream.LEAST_KEPT", 1)
    run = make_run(tmp_path / "run", arch=arch)
    ends = ["C", "N", "O", "F", "S", "Cl", "c1ccccc1", "C#N", "[N+](C)(C)C", "B(O)O"]
    texts = [f"{a}C{'C' * (k % 3)}{b}" for k, a in enumerate(ends) for b in ends if a not in ("C#N", "[N+](C)(C)C")]
    data, kept = tmp_path / "in.csv", []
    data.write_text("smiles\n" + "\n".join(texts) + "\n")
    recall = Environments.recall

    def watched(self: Environments, what: object, distinct: Distinct, compute: object, most: int) -> object:
        if (self.at, what) in self.tables:
            kept.append(int((self.tables[self.at, what].find(distinct.hashes) >= 0).sum()))  # type: ignore[index, arg-type]
        return recall(self, what, distinct, compute, most)  # type: ignore[arg-type]

    monkeypatch.setattr(Environments, "recall", watched)
    predict_file(config(run, data, tmp_path / "out.csv"))
    assert sum(kept) > 100
    found = np.array([[float(r["a_pred"]), float(r["b_pred"])] for r in read_rows(tmp_path / "out.csv")])
    np.testing.assert_allclose(found, open_model(run).predict(texts), rtol=1e-4)


def test_chunks_do_not_matter(model_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "in.csv"
    data.write_text("smiles\n" + "\n".join("C" * k + "O" for k in range(1, 30)) + "\n")
    predict_file(config(model_run, data, tmp_path / "whole.csv"))
    monkeypatch.setattr("heliograph.predictor.stream.CHUNK", 4)
    predict_file(config(model_run, data, tmp_path / "parts.csv", batch_size=3))
    whole, parts = read_rows(tmp_path / "whole.csv"), read_rows(tmp_path / "parts.csv")
    assert [r["smiles"] for r in whole] == [r["smiles"] for r in parts]
    np.testing.assert_allclose([float(r["a_pred"]) for r in whole], [float(r["a_pred"]) for r in parts], rtol=1e-5)


def test_bytes_that_are_not_utf8_and_long_fields_survive(model_run: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "in.csv", tmp_path / "out.csv"
    data.write_bytes(b"smiles,n\xe4me\nCCO,Gr\xfc\xdfe\nC\xff\xfeC,bad\n" + LONG.encode() + b",long\n")
    predict_file(config(model_run, data, out))
    lines = out.read_bytes().split(b"\n")
    assert lines[0].startswith("smiles,näme,a_pred".encode())  # cp1252, for want of a letter of UTF-8; written as UTF-8
    assert lines[1].startswith("CCO,Grüße,".encode()) and lines[2].startswith("CÿþC,bad,,".encode()) and lines[3].startswith(LONG.encode())
    assert len(lines) == 5
    data.write_bytes("smiles,näme\n".encode() + b"CCO,Gr\xfc\xdfe\nC\xff\xfeC,bad\n")  # damaged UTF-8: bytes go out as they came in
    predict_file(config(model_run, data, tmp_path / "two.csv"))
    lines = (tmp_path / "two.csv").read_bytes().split(b"\n")
    assert lines[1].startswith(b"CCO,Gr\xfc\xdfe,") and lines[2].startswith(b"C\xff\xfeC,bad,,")


def test_a_column_is_never_written_over(model_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "in.csv"
    data.write_text("smiles,a,a_pred,reason\nCCO,1,mine,because\n")
    summary = predict_file(config(model_run, data, tmp_path / "out.csv"))
    (row,) = read_rows(tmp_path / "out.csv")
    assert row["a_pred"] == "mine" and row["reason"] == "because" and row["a"] == "1"
    assert float(row["a_pred_2"]) and row["reason_2"] == ""
    assert summary.renamed == {"a_pred": "a_pred_2", "reason": "reason_2"}


def test_classes_have_names_and_probabilities(tmp_path: Path, table: Path) -> None:
    model = make_run(tmp_path / "classes", kind="multiclass")
    predict_file(config(model, table, tmp_path / "out.csv"))
    first = read_rows(tmp_path / "out.csv")[0]
    probabilities = {name: float(first[f"a_prob_{name}"]) for name in ("low", "mid", "high")}
    assert sum(probabilities.values()) == pytest.approx(1)
    assert first["a_pred"] == max(probabilities, key=probabilities.__getitem__)
    assert first["b_pred"] in ("no", "yes") and "b_prob_2" not in first


def test_binary_predictions_are_probabilities(tmp_path: Path, table: Path) -> None:
    predict_file(config(make_run(tmp_path / "binary", kind="binary"), table, tmp_path / "out.csv"))
    assert all(0 < float(row["a_pred"]) < 1 for row in read_rows(tmp_path / "out.csv") if not row["reason"])


def test_strict_ends_at_the_first_bad_row_and_leaves_nothing(model_run: Path, table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 3 .*--strict"):
        predict_file(config(model_run, table, tmp_path / "out.csv", strict=True))
    assert not (tmp_path / "out.csv").exists() and not list(tmp_path.glob(".*.part"))


def test_formats_of_the_output(model_run: Path, table: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    for name in ("out.csv.gz", "out.tsv", "out.parquet"):
        predict_file(config(model_run, table, tmp_path / name))
    zipped = read_rows(tmp_path / "out.csv.gz")
    columns = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert columns["smiles"] == [row["smiles"] for row in zipped]
    assert [v is None for v in columns["a_pred"]] == [not row["a_pred"] for row in zipped]
    assert (tmp_path / "out.tsv").read_text().startswith("id\tsmiles\tnote\ta_pred")
    with pytest.raises(UsageError, match="format"):
        predict_file(config(model_run, table, tmp_path / "out.docx"))


def test_output_is_not_replaced_unasked(model_run: Path, table: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the input itself"):
        predict_file(config(model_run, table, table), overwrite=True)
    out = tmp_path / "out.csv"
    out.write_text("precious")
    with pytest.raises(UsageError, match="--overwrite"):
        predict_file(config(model_run, table, out))
    assert out.read_text() == "precious"
    predict_file(config(model_run, table, out), overwrite=True)
    assert out.read_text().startswith("id,")


def test_an_sdf_gets_its_structure_column(model_run: Path, tmp_path: Path) -> None:
    from rdkit import Chem

    with Chem.SDWriter(str(tmp_path / "in.sdf")) as writer:
        molecule = Chem.MolFromSmiles("CCO")
        molecule.SetProp("name", "ethanol")
        writer.write(molecule)
    predict_file(config(model_run, tmp_path / "in.sdf", tmp_path / "out.csv"))
    (row,) = read_rows(tmp_path / "out.csv")
    assert row["smiles"] == "CCO" and row["name"] == "ethanol" and row["a_pred"]


def test_a_model_that_needs_coordinates_embeds_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Talk:
        said: list[str] = []  # noqa: RUF012

        def __call__(self, stage: str, done: int, total: int | None = None) -> None: ...

        def say(self, text: str) -> None:
            self.said.append(text)

    data = tmp_path / "in.csv"
    data.write_text("smiles\nCCO\nC\n")
    model = make_run(tmp_path / "schnet", arch="schnet", geometry="given")
    summary = predict_file(config(model, data, tmp_path / "out.csv"), progress=Talk())
    assert summary.predicted == 2
    assert any("conformers are embedded" in text for text in Talk.said)


def test_rows_are_counted_for_the_time_left(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("smiles\nC\nCC\n")
    assert count_rows(tmp_path / "a.csv") == 2
    with gzip.open(tmp_path / "b.smi.gz", "wt") as file:
        file.write("C\nCC\n")
    assert count_rows(tmp_path / "b.smi.gz") == 2
    assert count_rows(tmp_path / "nothing.csv") is None


def test_batches_cost_alike() -> None:
    sizes = np.random.default_rng(0).integers(1, 200, 500)
    found = list(batches(sizes, 16))
    assert sorted(np.concatenate(found).tolist()) == list(range(500))
    assert all((np.maximum(sizes[rows], 24) ** 2 / 24**2).sum() < 16 + 200**2 / 24**2 or sizes[rows].max() <= 24 for rows in found)
    assert [len(rows) for rows in batches(np.full(64, 24), 16)][1:-1] == [16] * 3


def test_names_of_answers_never_clash(model_run: Path) -> None:
    names, renamed = answer_columns(open_model(model_run), ["a_pred", "a_pred_2"])
    assert names == ["a_pred_3", "a_std", "b_pred", "b_std", "reason"] and renamed == {"a_pred": "a_pred_3"}


def test_the_command(run: Run, model_run: Path, table: Path, tmp_path: Path) -> None:
    done = run("predict", model_run, table, "-o", "out.csv")
    assert done.returncode == 0, done.stderr
    assert "3 of 7 rows predicted" in done.stdout and "blank line" in done.stdout
    assert len(read_rows(tmp_path / "out.csv")) == 7
    again = run("predict", model_run, table, "-o", "out.csv")
    assert again.returncode == 2 and "--overwrite" in again.stderr


def test_no_row_predicted_is_an_error_in_a_sentence(model_run: Path, tmp_path: Path, run: Run) -> None:
    data = tmp_path / "in.csv"
    data.write_text("smiles,n\nnot one,1\nxx,2\n")
    done = run("predict", model_run, data, "-o", tmp_path / "out.csv")
    assert done.returncode == 1
    assert "none of the 2 rows could be predicted: 2 not valid SMILES" in done.stderr and "--smiles-columns" in done.stderr
    assert len(read_rows(tmp_path / "out.csv")) == 2
