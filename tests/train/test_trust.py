"""Members by folds, calibration and domain in the model file, and what a prediction makes of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph import train
from heliograph.data.targets import Target
from heliograph.errors import DataError, UsageError
from heliograph.learn.heads import HEADS
from heliograph.learn.objectives.spread import Spread
from heliograph.predictor import Predictor
from heliograph.predictor.stream import PredictConfig, predict_file
from heliograph.report import write as write_report
from heliograph.train import folds
from heliograph.train.config import TrainConfig
from heliograph.train.labelled import CalibrateConfig, EvaluateConfig, calibrate, evaluate
from heliograph.train.result import TrainResult
from heliograph.uncertainty.domain import Domain
from tests.train.conftest import MOLECULES

Make = Callable[..., TrainConfig]


def records(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_molecule_is_new_to_the_member_that_answers_for_it() -> None:
    parts = {"train": np.arange(0, 90), "val": np.arange(90, 100), "test": np.arange(100, 110)}
    for groups in (None, [f"g{k // 3}" for k in range(110)]):
        found = folds.divide(parts, 5, groups, seed=1)
        assert found.rows.tolist() == list(range(100)) and np.bincount(found.fold).max() <= 21
        for k, own in enumerate(found.parts):
            mine, following = found.rows[found.fold == k], found.rows[found.fold == (k + 1) % 5]
            assert not set(mine) & (set(own["train"]) | set(own["val"]))
            assert set(own["val"]) < set(following) and 5 <= len(own["val"]) <= 10
            assert set(own["train"]) | set(own["val"]) | set(mine) == set(range(100))
            assert own["test"] is parts["test"]
        if groups is not None:
            for rows in (found.rows[found.fold == k] for k in range(5)):
                inside = {groups[r] for r in rows}
                assert all(r in set(rows) for r in range(100) if groups[r] in inside)
    with pytest.raises(DataError, match="too few for 5 folds"):
        folds.divide(parts, 5, ["one"] * 110, seed=0)


def test_averaging_is_what_the_mean_of_members_gains() -> None:
    """Members with a common bias and errors of their own, on 4,000 rows: the factor of one member's
    error is known.
    """
    random = np.random.default_rng(0)
    truth = random.normal(size=4000)
    common = truth + random.normal(0, 1.0, 4000)
    members = common + random.normal(0, 0.8, (5, 4000))
    found = folds.averaging(members[0], members[1], truth, 5)
    own = np.sqrt(np.square(members - truth).mean())
    together = np.sqrt(np.square(members.mean(0) - truth).mean())
    assert found == pytest.approx(together / own, rel=0.03) and found < 0.9
    assert folds.averaging(members[0, :5], members[1, :5], truth[:5], 5) == 1.0


@pytest.fixture
def trained(config: Make, table: Path) -> tuple[TrainResult, TrainConfig]:
    asked = config(
        members="folds",
        ensemble_size=3,
        domain="full",
        coverage=(0.5, 0.9),
        uncertainty_method="mve",
        split_sizes=(0.7, 0.0, 0.3),
    )
    return train.run(asked), asked


def test_a_model_file_alone_reproduces_the_report(trained: tuple[TrainResult, TrainConfig], table: Path, tmp_path: Path) -> None:
    result, asked = trained
    assert set(result.trust) == {"test", "out_of_fold"} and set(result.predictions) == {
        "test",
        "out_of_fold",
    }
    assert len(result.predictions["out_of_fold"]) == 42 and result.model_files == ("model.safetensors",)
    again = TrainResult.load(asked.output_dir)
    assert again.trust == result.trust
    rows = records(table)
    only_test = tmp_path / "test.csv"
    with only_test.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows[r] for r in result.rows["test"])
    model = tmp_path / "alone.safetensors"
    model.write_bytes((asked.output_dir / "model.safetensors").read_bytes())
    found = evaluate(EvaluateConfig(model_path=model, data_path=only_test, num_workers=0))
    for name, value in result.trust["test"]["y"]["figures"].items():
        assert found["trust"]["y"]["figures"][name] == pytest.approx(value, abs=1e-6, nan_ok=True), name
    assert found["trust"]["y"]["coverage"][0]["held"] == result.trust["test"]["y"]["coverage"][0]["held"]
    out = tmp_path / "out.csv"
    predict_file(PredictConfig(model_path=model, data_path=only_test, output_path=out, num_workers=0))
    lines = records(out)
    added = [
        "y_pred",
        "y_std",
        "y_lower_50",
        "y_upper_50",
        "y_lower_90",
        "y_upper_90",
        "in_domain",
        "domain_distance",
        "new_atoms",
        "reason",
    ]
    assert list(lines[0])[4:] == added
    truth = np.array([float(line["y"]) for line in lines])
    low, high = (np.array([float(line[f"y_{end}_90"]) for line in lines]) for end in ("lower", "upper"))
    assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(found["trust"]["y"]["coverage"][2]["held"], abs=1e-6)
    std = np.array([float(line["y_std"]) for line in lines])
    assert std == pytest.approx(result.predictions["test"].y_std[:, 0], rel=1e-6)  # type: ignore[index]
    page = write_report(result, tmp_path / "report.html").read_text()
    assert 'id="trust"' in page and "if the error bars were right" in page


def test_foreign_molecules_bad_rows_and_other_coverages(trained: tuple[TrainResult, TrainConfig], tmp_path: Path) -> None:
    _, asked = trained
    table = tmp_path / "odd.csv"
    table.write_text("smiles\nCCO\nnot a molecule\n[Na+].[Cl-]\n" + "CCO" * 40 + "\n")
    out = tmp_path / "odd_out.csv"
    ask = {"model_path": asked.output_dir, "data_path": table, "output_path": out, "num_workers": 0}
    predict_file(PredictConfig(**ask, coverage=(0.8,)))  # type: ignore[arg-type]
    lines = records(out)
    assert [line["in_domain"] for line in lines] == ["true", "", "false", "false"]
    assert lines[2]["new_atoms"] == "1" and lines[1]["reason"] and lines[1]["y_lower"] == ""
    assert float(lines[0]["y_lower"]) < float(lines[0]["y_pred"]) < float(lines[0]["y_upper"])
    table.write_text("smiles\nnot a molecule\n")
    predict_file(PredictConfig(**ask), overwrite=True)  # type: ignore[arg-type]
    with out.open(newline="") as file:
        header, line = csv.reader(file)
    assert len(header) == len(line) and line[-1] and not any(line[1:-1])


def test_a_killed_training_by_folds_goes_on_to_the_same_file(config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.learn import ensemble

    asked = config(members="folds", ensemble_size=2, epochs=2)
    train.run(asked)
    whole = (asked.output_dir / "model.safetensors").read_bytes()
    finished = ensemble._finished
    stopped = config(members="folds", ensemble_size=2, epochs=2, output_dir=asked.output_dir.with_name("stopped"))

    def stop(job: object, counters: object, member: object) -> object:
        if counters.member == 1:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return finished(job, counters, member)  # type: ignore[arg-type]

    monkeypatch.setattr(ensemble, "_finished", stop)
    with pytest.raises(KeyboardInterrupt):
        train.run(stopped)
    monkeypatch.setattr(ensemble, "_finished", finished)
    train.run(stopped, resume=True)
    assert (stopped.output_dir / "model.safetensors").read_bytes() == whole


def test_classes_and_several_targets_with_gaps(config: Make, table: Path, tmp_path: Path) -> None:
    lines = table.read_text().splitlines()
    lines = [
        lines[0],
        *(line.rsplit(",", 2)[0] + ",," if k % 4 == 0 else line for k, line in enumerate(lines[1:] * 3)),
    ]
    table.write_text("\n".join(lines) + "\n")
    result = train.run(config(target_columns=("o",), members="folds", ensemble_size=3, calibrate="venn-abers"))
    assert result.trust["out_of_fold"]["o"]["bins"] and "before" in result.trust["test"]["o"]
    out = tmp_path / "out.csv"
    predict_file(PredictConfig(model_path=tmp_path / "run", data_path=table, output_path=out, num_workers=0))
    first = records(out)[0]
    assert float(first["o_prob_lower"]) <= float(first["o_pred"]) <= float(first["o_prob_upper"])
    assert set(first["o_set"].split("|")) <= {"0", "1", ""}
    both = train.run(
        config(
            target_columns=("y", "o"),
            task_type="regression",
            members="folds",
            ensemble_size=2,
            output_dir=tmp_path / "b",
        )
    )
    assert set(both.trust["out_of_fold"]) == {"y", "o"}
    n = {t: both.trust["out_of_fold"][t]["n"] for t in ("y", "o")}
    assert n["o"] < n["y"] < len(lines)
    classes = config(
        target_columns=("kind",),
        task_type="multiclass",
        members="folds",
        ensemble_size=2,
        output_dir=tmp_path / "m",
    )
    train.run(classes)
    predict_file(
        PredictConfig(model_path=tmp_path / "m", data_path=table, output_path=out, num_workers=0),
        overwrite=True,
    )
    assert records(out)[0]["kind_set"]


def test_calibration_on_a_table_of_ones_own(config: Make, table: Path, tmp_path: Path) -> None:
    plain = config()
    result = train.run(plain)
    assert not result.trust
    out, model = tmp_path / "new.safetensors", plain.output_dir / "model.safetensors"
    notes, factors = calibrate(CalibrateConfig(model_path=model, data_path=table, output_path=out, num_workers=0, group_by="kind"))
    assert any("Calibration of y" in note for note in notes) and set(factors["y"]) == {
        "ring",
        "o",
        "other",
    }
    assert Predictor.load(out).trust.calibrated and not Predictor.load(model).trust.calibrated
    ask = {"model_path": model, "num_workers": 0}
    for text, words in [
        ("smiles,y\nCCO,1\n", "at least 10 residuals.*there are 1"),
        ("smiles,y\nnonsense,1\n", "no usable row"),
        ("smiles,z\nCCO,1\n", "'?y'?"),
        ("smiles,y\nCCO,\nCC,\n", "no label"),
        ("smiles,y\nCCO,nan\nCC,nan\n", "no label"),
    ]:
        bad = tmp_path / "bad.csv"
        bad.write_text(text)
        with pytest.raises(DataError, match=words):
            calibrate(CalibrateConfig(**ask, data_path=bad, output_path=tmp_path / "never.safetensors"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="exists"):
        calibrate(CalibrateConfig(**ask, data_path=table, output_path=out))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has no calibration"):
        ask_more = {"data_path": table, "output_path": tmp_path / "x.csv", "coverage": (0.9,)}
        predict_file(PredictConfig(**ask, **ask_more))  # type: ignore[arg-type]


def test_rows_that_the_model_has_no_answer_for_are_not_judged(tmp_path: Path, config: Make) -> None:
    """Energies by composition: an element that training did not have gets no number from `evaluate` and `calibrate` either."""
    smiles = ["C" * (k % 9 + 1) + end for k in range(45) for end in ("O", "N")]
    energy = [-38.0 * s.count("C") - 75.0 * s.count("O") - 55.0 * s.count("N") for s in smiles]
    data = tmp_path / "energy.csv"
    data.write_text("smiles,y\n" + "".join(f"{s},{e}\n" for s, e in zip(smiles, energy, strict=True)))
    plain = config(data_path=data)
    train.run(plain)
    new = tmp_path / "new.csv"
    known = "".join(f"{s},{e}\n" for s, e in zip(smiles[:20], energy[:20], strict=True))
    new.write_text(f"smiles,y\nCCBr,-2650\n{known}nonsense,1\n[Na+].[Cl-],-620\n")
    model = plain.output_dir / "model.safetensors"
    found = evaluate(EvaluateConfig(model_path=model, data_path=new, num_workers=0))
    assert found["rows"] == 23 and found["usable"] == 20 and found["reasons"] == {"not valid SMILES": 1, "outside training": 2}
    assert found["metrics"]["y"]["rmse"] < 1.0
    out = tmp_path / "calibrated.safetensors"
    calibrate(CalibrateConfig(model_path=model, data_path=new, output_path=out, num_workers=0))
    entry = Predictor.load(out).document.calibration["targets"][0]
    assert entry["n"] == 20
    new.write_text("smiles,y\nCCBr,-2650\n")
    with pytest.raises(DataError, match="no row that the model answers"):
        evaluate(EvaluateConfig(model_path=model, data_path=new, num_workers=0))


def test_marks_for_missing_are_no_class(config: Make, table: Path, tmp_path: Path) -> None:
    plain = config(target_columns=("kind",), task_type="multiclass")
    train.run(plain)
    new = tmp_path / "new.csv"
    new.write_text("smiles,kind\nCCO,o\nC1CC1,ring\nCCC,other\nCCN,NA\nCCF,-\nCCCC,\n")
    found = evaluate(EvaluateConfig(model_path=plain.output_dir / "model.safetensors", data_path=new, num_workers=0))
    assert found["usable"] == 6 and 0.0 <= found["metrics"]["kind"]["accuracy"] <= 1.0
    new.write_text("smiles,kind\nCCO,unheard\n")
    with pytest.raises(DataError, match="'unheard' is no class of the model's"):
        evaluate(EvaluateConfig(model_path=plain.output_dir / "model.safetensors", data_path=new, num_workers=0))


def test_groups_have_error_bars_of_their_own(config: Make, table: Path, tmp_path: Path) -> None:
    """calibrate --group-by: what it learned of a group holds for new rows of it, in predict and evaluate."""
    plain = config()
    train.run(plain)
    model, out = plain.output_dir / "model.safetensors", tmp_path / "grouped.safetensors"
    random = np.random.default_rng(0)
    smiles = [f"{'C' * (k % 15 + 1)}{end}" for k in range(60) for end in ("O", "N", "F", "Cl")]  # copies: noise of repeated measurements
    y = Predictor.load(model).predict(smiles)[:, 0]
    noisy = np.array([k % 2 == 0 for k in range(len(smiles))])
    labels = y + random.standard_normal(len(smiles)) * np.where(noisy, 5.0, 0.5)
    data, new = tmp_path / "labelled.csv", tmp_path / "new.csv"
    data.write_text("smiles,y,lab\n" + "".join(f"{s},{v},{'A' if n else 'B'}\n" for s, v, n in zip(smiles, labels, noisy, strict=True)))
    ask = {"model_path": model, "data_path": data, "num_workers": 0}
    _, factors = calibrate(CalibrateConfig(**ask, output_path=out, group_by="lab", calibrate="conformal-regression"))  # type: ignore[arg-type]
    assert 1.2 < factors["y"]["A"] < 1.5 and 0.3 < factors["y"]["B"] < 0.5  # of 10 to 1: each borrows 20 rows of all
    assert Predictor.load(out).trust.group_by == "lab"

    new.write_text("smiles,lab\nCCO,A\nCCO,B\nCCO,C\nCCO,\n")
    predict_file(PredictConfig(model_path=out, data_path=new, output_path=tmp_path / "p.csv", num_workers=0))
    rows = records(tmp_path / "p.csv")
    std = [float(row["y_std"]) for row in rows]
    assert std[0] / std[1] == pytest.approx(factors["y"]["A"] / factors["y"]["B"]) and std[2] == std[3]
    width = [float(row["y_upper"]) - float(row["y_lower"]) for row in rows]
    assert width[0] / width[1] == pytest.approx(std[0] / std[1]) and len({row["y_pred"] for row in rows}) == 1

    found = evaluate(EvaluateConfig(model_path=out, data_path=data, num_workers=0))["trust"]["y"]["coverage"]
    plainly = tmp_path / "plain.safetensors"
    calibrate(CalibrateConfig(**ask, output_path=plainly, calibrate="conformal-regression"))  # type: ignore[arg-type]
    other = evaluate(EvaluateConfig(model_path=plainly, data_path=data, num_workers=0))["trust"]["y"]["coverage"]
    for own, one in zip(found, other, strict=True):
        assert own["held"] == pytest.approx(own["claimed"], abs=0.06)
        if own["claimed"] == 0.9:
            assert own["width"] < 0.9 * one["width"]
    without = tmp_path / "without.csv"
    without.write_text("smiles,y\n" + "".join(f"{s},{v}\n" for s, v in zip(smiles, labels, strict=True)))
    assert evaluate(EvaluateConfig(model_path=out, data_path=without, num_workers=0))["usable"] == len(smiles)
    said = Said()
    predict_file(PredictConfig(model_path=out, data_path=without, output_path=tmp_path / "q.csv", num_workers=0), progress=said)
    assert any("calibrated by groups of 'lab', which without.csv has not" in line for line in said.lines)


class Said:
    """Progress that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, stage: str, done: int, total: int | None = None) -> None: ...

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_what_does_not_go_together(config: Make) -> None:
    for changes, words in [
        ({"members": "folds"}, "--ensemble-size of 2 or more"),
        ({"calibrate_for": "scaffold"}, "needs --members folds"),
        ({"members": "folds", "ensemble_size": 2, "calibrate": "platt"}, "not for regression"),
        ({"uncertainty_method": "mve", "loss": "mae"}, "loss of its own"),
        ({"uncertainty_method": "mve", "target_columns": ("o",)}, "is for numbers"),
    ]:
        with pytest.raises(UsageError, match=words):
            train.run(config(**changes), overwrite=True)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_a_head_learns_the_noise_that_was_planted(name: str) -> None:
    """One number per row through a linear layer, noise of two sizes: the head's spread tells which."""
    torch.manual_seed(0)
    head = HEADS[name]
    x = torch.randint(0, 2, (4000, 1)).double()
    y = 1.0 + x + (0.1 + 0.9 * x) * torch.randn(4000, 1, dtype=torch.float64)
    layer = torch.nn.Linear(1, head.width).double()
    optimizer = torch.optim.Adam(layer.parameters(), 0.03)
    for _ in range(600):
        optimizer.zero_grad()
        head.losses(layer(x), y).mean().backward()
        optimizer.step()
    with torch.no_grad():
        mean, std = head.answers(layer(torch.tensor([[0.0], [1.0]], dtype=torch.float64)))
    assert mean.squeeze().tolist() == pytest.approx([1.0, 2.0], abs=0.15)
    assert std[1] > 3 * std[0] and (name == "evidential" or float(std[1]) == pytest.approx(1.0, rel=0.15))


def test_losses_of_heads_are_those_of_chemprop() -> None:
    metrics = pytest.importorskip("chemprop.nn.metrics")
    torch.manual_seed(0)
    raw, target = torch.randn(50, 4, dtype=torch.float64), torch.randn(50, 1, dtype=torch.float64)
    head = HEADS["evidential"]
    parts = torch.stack(head._split(raw), -1)  # type: ignore[attr-defined]
    theirs = metrics.EvidentialLoss(v_kl=0.2, eps=0.0)._calc_unreduced_loss(parts, target)
    assert torch.allclose(head.losses(raw, target), theirs, atol=1e-9)
    head, raw = HEADS["mve"], raw[:, :2]
    mean, variance = head._split(raw)  # type: ignore[attr-defined]
    theirs = metrics.MVELoss()._calc_unreduced_loss(torch.stack([mean, variance], -1), target) - 0.5 * np.log(2 * np.pi)
    assert torch.allclose(head.losses(raw, target) / variance.sqrt(), theirs, atol=1e-9)  # beta-NLL: times the variance to the half


def test_gaps_count_for_nothing_in_a_head() -> None:
    objective = Spread("mve")
    raw = torch.randn(6, 4, requires_grad=True)
    value = torch.randn(6, 2)
    value[2, 1] = torch.nan
    answers, std = objective.head.answers(raw)
    outputs = {"y": answers, "y_std": std, "y_raw": raw}
    targets = {"y": Target(value, weight=torch.arange(6.0))}
    objective.losses(outputs, targets)["y"].backward()
    assert raw.grad is not None and torch.isfinite(raw.grad).all()
    assert (raw.grad[2, [1, 3]] == 0).all() and (raw.grad[0] == 0).all() and objective.counts(targets) == {"y": 11.0}


def test_domain_in_a_file_is_the_same_and_flags_what_is_foreign(
    trained: tuple[TrainResult, TrainConfig],
) -> None:
    _, asked = trained
    predictor = Predictor.load(asked.output_dir / "model.safetensors")
    domain = predictor.trust.domain
    assert domain is not None
    again = Domain.from_dict(json.loads(json.dumps(domain.to_dict())))
    answers = predictor.predict_records(["CCO", "[SiH3]C", "OCC"])
    other = Predictor(predictor.models, replace(predictor.document, domain=again.to_dict())).predict_records(["CCO", "[SiH3]C", "OCC"])
    assert answers.in_domain is not None and answers.in_domain.tolist() == [1.0, 0.0, 1.0]
    assert (answers.domain_distance == other.domain_distance).all() and (answers.new_atoms == other.new_atoms).all()  # type: ignore[union-attr]
    assert answers.domain_distance[0] == answers.domain_distance[2]  # type: ignore[index]
    with pytest.raises(DataError, match="radius"):
        Domain.from_dict(domain.to_dict() | {"radius": 9})


def test_errors_near_are_those_of_other_folds_by_similarity() -> None:
    """Against a loop over molecules; in the training molecules' own places, and in those of new
    ones, from a file too.
    """
    from heliograph.chem import featurize
    from heliograph.chem.featurizer import preset
    from heliograph.data.store import Store
    from heliograph.predictor.trust import features
    from heliograph.uncertainty import environments

    featurizer = preset("chemprop_v2")
    store = Store.build([featurize(s, featurizer) for s in MOLECULES], featurizer)
    random, n = np.random.default_rng(0), 50
    fold, errors = random.permutation(n) % 3, random.random((n, 2))
    errors[::4, 1] = np.nan
    domain, place = Domain.fit(store, np.arange(n), fold, "full", errors)
    again = Domain.from_dict(json.loads(json.dumps(domain.to_dict())))(store)
    bits = environments.fingerprints(environments.hashes(store, 1), store)

    def expected(k: int, t: int, known: np.ndarray) -> float:
        similar = np.array([(bits[k] & bits[j]).sum() / (bits[k] | bits[j]).sum() for j in known])
        best = known[np.argsort(-similar, kind="stable")[:5]]
        w = np.sort(similar)[::-1][:5] ** 2 * np.isfinite(errors[best, t])
        return float((w @ np.nan_to_num(errors[best, t]) + np.nanmean(errors[known, t])) / (w.sum() + 1))

    for k in (3, 17, 29):
        similar = np.sort([(bits[k] & b).sum() / (bits[k] | b).sum() for b in bits[:n][fold != fold[k]]])
        if similar[-5] > similar[-6]:  # ties may go either way
            assert place.near is not None
            for t in (0, 1):
                assert place.near[k, t] == pytest.approx(expected(k, t, np.flatnonzero(fold != fold[k])))
    k = 55
    for t in (0, 1):
        assert again.near is not None and again.near.shape == (len(store), 2)
        assert again.near[k, t] == pytest.approx(expected(k, t, np.arange(n)), rel=1e-6)
        assert features(store, np.zeros(len(store)), None, again, (), t)["errors near"][k] == again.near[k, t]
    plain = Domain.fit(store, np.arange(n), fold, "full")[0]  # of classes, and in files of before
    without = Domain.from_dict(json.loads(json.dumps(plain.to_dict())))(store)
    assert without.near is None and (without.distance == again.distance).all() and not np.isnan(without.distance).any()


def test_kinds_of_atoms_find_a_noise_that_sizes_do_not_tell() -> None:
    """Labels whose noise depends on a carbonyl, and answers that are the true mean: sigma follows
    the carbonyl.
    """
    from heliograph.chem import featurize
    from heliograph.chem.featurizer import preset
    from heliograph.data.store import Store
    from heliograph.predictor.trust import features, kinds_of
    from heliograph.uncertainty import metrics, regression

    smiles = [f"{'C' * k}{end}" for k in range(1, 21) for end in ("C(C)=O", "C(C)O", "C(C)N", "OC", "C(=O)CC", "C(O)CC") for _ in range(3)]
    featurizer = preset("chemprop_v2")
    store = Store.build([featurize(s, featurizer, scaffold=False) for s in smiles], featurizer)
    truth = np.array([1.0 if "=O" in s else 0.2 for s in smiles])
    residual = truth * np.random.default_rng(0).normal(size=len(smiles))
    kinds = kinds_of(store)
    assert 3 <= len(kinds) <= 60
    known = features(store, np.zeros(len(smiles)), None, None, kinds)
    rows = regression.Rows(residual, known)
    found = regression.fit(rows)
    assert found.method == "environments" and metrics.spearman(found.sigma(known, len(rows)), truth) > 0.8
    again = features(store.take(np.arange(5)), np.zeros(5), None, None, kinds)
    assert all((again[name] == known[name][:5]).all() for name in kinds)


def test_no_sigma_is_less_than_the_noise_of_repeated_measurements(config: Make, table: Path) -> None:
    """Each molecule three times, with labels that differ by a known noise: folds by scaffold or
    not, sigma is at least that.
    """
    from heliograph.uncertainty.replicates import replicates

    random = np.random.default_rng(0)
    lines = table.read_text().splitlines()
    rows = [line.split(",") for line in lines[1:] for _ in range(3)]
    y = [float(row[1]) + random.normal() for row in rows]
    table.write_text("smiles,y\n" + "\n".join(f"{row[0]},{v}" for row, v in zip(rows, y, strict=True)) + "\n")
    result = train.run(config(members="folds", ensemble_size=2, split_sizes=(0.8, 0.0, 0.2)))
    oof, test = result.predictions["out_of_fold"], result.predictions["test"]
    noise = replicates(oof.structures, oof.y_true[:, 0])
    assert noise is not None and noise.sd > 0.5 and test.y_std is not None
    assert test.y_std.min() >= noise.sd - 1e-9


def test_what_averaging_takes_off_is_taken_off_sigma(config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the error of one member: half the sigma."""
    from heliograph.train import trust

    stds = []
    for factor in (1.0, 0.5):
        monkeypatch.setattr(trust, "_factor", lambda *given, factor=factor: factor)
        result = train.run(
            config(members="folds", ensemble_size=2, calibrate="conformal-regression"),
            overwrite=True,
        )
        assert result.predictions["test"].y_std is not None
        stds.append(result.predictions["test"].y_std)
    assert stds[1] == pytest.approx(stds[0] / 2)


def test_a_map_of_probabilities_comes_before_the_mean_of_members(config: Make, table: Path, tmp_path: Path) -> None:
    """The answer is the mean of the members' calibrated probabilities, the ends that of their ends."""
    from heliograph.uncertainty.classes import Map

    table.write_text(table.read_text() + "\n".join(table.read_text().splitlines()[1:]) + "\n")
    train.run(config(target_columns=("o",), members="folds", ensemble_size=3, calibrate="platt"))
    predictor = Predictor.load(tmp_path / "run" / "model.safetensors")
    found = Map.from_dict(predictor.document.calibration["targets"][0]["map"])
    asked = ["CCO", "CCN", "c1ccccc1"]
    wanted = np.mean([found(m.predict_records(asked).y[:, 0]) for m in predictor.members], axis=0)
    assert predictor.predict_records(asked).y[:, 0] == pytest.approx(wanted, abs=1e-9)
    assert abs(found(np.array([0.3]))[0] - 0.3) > 1e-3
