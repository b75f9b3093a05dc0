"""The estimators keep scikit-learn's promises."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from heliograph import MoleculeClassifier, MoleculeRegressor
from heliograph.errors import DataError, UsageError
from tests.train.conftest import MOLECULES

Y = np.array([float(len(s)) for s in MOLECULES])
FAST = {"arch": "gcn", "arch_args": {"d": 16, "depth": 2}, "epochs": 2}


def swap(X: list[str]) -> list[str]:
    return [s.replace("F", "Cl") for s in X]


@pytest.mark.parametrize("kind", [MoleculeRegressor, MoleculeClassifier])
def test_init_stores_arguments_and_nothing_else(kind: type) -> None:
    given = {name: object() for name in inspect.signature(kind).parameters}
    assert vars(kind(**given)) == given
    made = kind(epochs=7, arch_args={"d": 3})
    assert clone(made).get_params() == made.get_params()
    with pytest.raises(NotFittedError, match=r"call fit\(X, y\) first"):
        made.predict(["C"])


def test_regressor() -> None:
    model = MoleculeRegressor(**FAST)
    assert is_regressor(model)
    assert model.fit(MOLECULES, Y) is model
    y, std = model.predict(MOLECULES[:3], return_std=True)
    assert y.shape == std.shape == (3,)
    assert (std > 0).all()
    np.testing.assert_array_equal(model.predict(MOLECULES[:3]), y)
    np.testing.assert_array_equal(clone(model).fit(MOLECULES, Y).predict(MOLECULES[:3]), y)
    assert not np.array_equal(MoleculeRegressor(**FAST, random_state=1).fit(MOLECULES, Y).predict(MOLECULES[:3]), y)
    assert len(model.history_) == 2


def test_several_targets_with_gaps_and_an_ensemble() -> None:
    labels = np.column_stack([Y, -Y])
    labels[::4, 1] = np.nan
    model = MoleculeRegressor(**FAST, ensemble_size=2).fit(MOLECULES, labels, sample_weight=np.ones(len(Y)))
    y, std = model.predict(np.array(MOLECULES[:5])[:, None], return_std=True)
    assert y.shape == std.shape == (5, 2)
    assert len(model.predictor_.models) == 2
    np.testing.assert_allclose(y, np.mean([p.predict(MOLECULES[:5]) for p in model.predictor_.members], axis=0))


def test_without_validation_the_last_epoch_is_kept() -> None:
    model = MoleculeRegressor(**FAST, validation_fraction=0.0).fit(MOLECULES, Y)
    assert np.isnan(model.history_[0].val_loss)
    y, std = model.predict(["CCO"], return_std=True)
    assert np.isfinite(y).all()
    assert np.isnan(std).all()
    MoleculeRegressor(**FAST).fit(MOLECULES[:3], Y[:3])


def test_classifier() -> None:
    labels = np.array(["ring" if "1" in s else "chain" for s in MOLECULES])
    model = MoleculeClassifier(**FAST | {"epochs": 30}, fit_args={"batch_size": 16, "max_lr": 3e-3}).fit(MOLECULES, labels)
    assert is_classifier(model)
    assert model.classes_.tolist() == ["chain", "ring"]
    assert model.score(MOLECULES, labels) > 0.7
    p = model.predict_proba([*MOLECULES[:3], "nonsense"])
    np.testing.assert_allclose(p[:3].sum(1), 1.0)
    assert np.isnan(p[3]).all()
    with pytest.raises(DataError, match=r"1 of 2 structures can't be used, the first at 1 \(nonsense\)"):
        model.predict(["C", "nonsense"])


def test_many_classes() -> None:
    labels = np.array([min(len(s), 5) for s in MOLECULES])
    model = MoleculeClassifier(**FAST).fit(MOLECULES, labels)
    assert set(model.predict(MOLECULES)) <= set(labels)
    assert model.predict_proba(MOLECULES).shape == (len(MOLECULES), len(set(labels)))


def test_where_scikit_learn_goes() -> None:
    model = MoleculeRegressor(**FAST)
    assert np.isfinite(cross_val_score(model, MOLECULES, Y, cv=3)).all()
    assert np.isfinite(cross_val_score(MoleculeClassifier(**FAST), np.array(MOLECULES), Y > 6, cv=2)).all()
    search = GridSearchCV(model, {"epochs": [1, 2]}, cv=2).fit(MOLECULES, Y)
    assert search.best_params_["epochs"] in (1, 2)
    pipeline = make_pipeline(FunctionTransformer(swap), model).fit(MOLECULES, Y)
    np.testing.assert_array_equal(pipeline.predict(["CF"]), pipeline.predict(["CCl"]))


def test_molecules_of_other_libraries() -> None:
    ase, chem = pytest.importorskip("ase"), pytest.importorskip("rdkit.Chem")
    pandas = pytest.importorskip("pandas")
    model = MoleculeRegressor(**FAST).fit(pandas.Series(MOLECULES, index=range(5, 66)), pandas.Series(Y, name="letters"))
    assert model.predictor_.targets == ("letters",)
    np.testing.assert_allclose(model.predict([chem.MolFromSmiles(s) for s in MOLECULES[:4]]), model.predict(MOLECULES[:4]), rtol=1e-6)
    water = ase.Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    atoms = [water, ase.Atoms("HF", [[0, 0, 0], [0, 0, 0.92]])] * 6
    spatial = MoleculeRegressor(arch="schnet", arch_args={"d": 8, "depth": 1}, epochs=1).fit(atoms, np.arange(12.0))
    assert spatial.predict([water]).shape == (1,)


def test_structures_that_cannot_be_used() -> None:
    with pytest.warns(UserWarning, match=r"2 of 63 structures can't be used and are left out: 1 empty structure, 1 not valid SMILES"):
        model = MoleculeRegressor(**FAST).fit([None, "xx", *MOLECULES], [0.0, 0.0, *Y])
    assert [bool(r) for r in model.reasons_] == [True, True] + [False] * 61
    assert np.isnan(model.predict(["CC", "xx", None])).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("X", "y", "changes", "error", "message"),
    [
        (["xx"], [1.0], {}, DataError, "none of the 1 structures can be used: 1 not valid SMILES"),
        (["C"], [1.0, 2.0], {}, DataError, "X has 1 structures and y has 2 rows"),
        ("CCO", [1.0], {}, DataError, "X must be a sequence of structures"),
        (MOLECULES, ["a"] * 61, {}, DataError, "y must be numbers; for classes use MoleculeClassifier"),
        (MOLECULES, [np.inf] * 61, {}, DataError, "y must be finite"),
        (MOLECULES, Y, {"arch": "gcnn"}, UsageError, "did you mean 'gcn'"),
        (MOLECULES, Y, {"fit_args": {"batchsize": 3}}, UsageError, r"fit_args\['batchsize'\]: no such setting"),
        (MOLECULES, Y, {"validation_fraction": 1.5}, UsageError, "validation_fraction is at least 0"),
        (MOLECULES, [1.0] * 61, {}, DataError, "nothing to learn"),
        ([["C", "C"]] * 3, [1.0] * 3, {}, DataError, "none of the 3 structures"),
    ],
)
def test_errors(X: object, y: object, changes: dict[str, object], error: type[Exception], message: str) -> None:
    with warnings.catch_warnings(), pytest.raises(error, match=message):
        warnings.simplefilter("ignore")
        MoleculeRegressor(**FAST | changes).fit(X, y)  # type: ignore[arg-type]


PANDAS_NA = [None, float("nan"), "NA", "NaT"]


@pytest.mark.parametrize("missing", PANDAS_NA, ids=str)
@pytest.mark.parametrize("texts", [True, False])
def test_missing_labels_are_no_class(missing: object, texts: bool) -> None:
    pandas = pytest.importorskip("pandas")
    gap = {"NA": pandas.NA, "NaT": pandas.NaT}.get(missing, missing) if isinstance(missing, str) else missing
    whole = ["good" if s.count("C") > 2 else "bad" for s in MOLECULES] if texts else [int(s.count("C") > 2) for s in MOLECULES]
    some = [gap if k % 7 == 0 else label for k, label in enumerate(whole)]
    for y in (some, np.array(some, dtype=object), pandas.Series(some, dtype=object)):
        model = MoleculeClassifier(**FAST | {"epochs": 1}).fit(MOLECULES, y)
        assert model.classes_.tolist() == (["bad", "good"] if texts else [0, 1])
        assert set(model.predict(MOLECULES[:4])) <= set(model.classes_.tolist())
    kept = [k for k in range(len(whole)) if k % 7]
    alone = MoleculeClassifier(**FAST | {"epochs": 1}).fit([MOLECULES[k] for k in kept], [whole[k] for k in kept])
    np.testing.assert_array_equal(alone.predict_proba(MOLECULES[:4]), model.predict_proba(MOLECULES[:4]))
    with pytest.raises(DataError, match=f"y has no label: all {len(MOLECULES)} are missing"):
        MoleculeClassifier(**FAST).fit(MOLECULES, [gap] * len(MOLECULES))


def test_missing_numbers_and_nullable_columns() -> None:
    pandas = pytest.importorskip("pandas")
    gaps = [None if k % 5 == 0 else float(v) for k, v in enumerate(Y)]
    nan = MoleculeRegressor(**FAST).fit(MOLECULES, [np.nan if v is None else v for v in gaps]).predict(MOLECULES[:3])
    for y in (gaps, pandas.Series(gaps, dtype="Float64"), pandas.Series([pandas.NA if v is None else v for v in gaps], dtype=object)):
        np.testing.assert_array_equal(MoleculeRegressor(**FAST).fit(MOLECULES, y).predict(MOLECULES[:3]), nan)
    with pytest.raises(DataError, match="nothing to learn in the training part: 'y' has no label"):
        MoleculeRegressor(**FAST).fit(MOLECULES, [None] * len(MOLECULES))
    model = MoleculeClassifier(**FAST | {"epochs": 1}).fit(MOLECULES, pandas.Series([None, *[v > 6 for v in Y[1:]]], dtype="boolean"))
    assert model.classes_.tolist() == [False, True] and model.predict(MOLECULES[:2]).dtype == bool
    with pytest.raises(DataError, match="classes of one type that sorts; got int, str"):
        MoleculeClassifier(**FAST).fit(MOLECULES[:4], ["a", 1, "b", 2])


def test_a_random_state_of_numpy() -> None:
    states = [np.random.RandomState(0), np.random.RandomState(0)]
    first, second = (MoleculeRegressor(**FAST, random_state=state).fit(MOLECULES, Y).predict(MOLECULES[:3]) for state in states)
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(MoleculeRegressor(**FAST, random_state=None).fit(MOLECULES, Y).predict(MOLECULES[:1])).all()


def test_structures_in_every_form_and_one_outside_a_list() -> None:
    pandas, chem = pytest.importorskip("pandas"), pytest.importorskip("rdkit.Chem")
    build = pytest.importorskip("ase.build")
    model = MoleculeRegressor(**FAST | {"epochs": 1}).fit(MOLECULES, Y)
    three = MOLECULES[:3]
    wanted = model.predictor_.predict(three)
    table = pandas.DataFrame({"smiles": three})
    mols = [chem.MolFromSmiles(s) for s in three]
    for X in (tuple(three), np.array(three), np.array(three)[:, None], table["smiles"], table, iter(three), mols):
        np.testing.assert_allclose(model.predictor_.predict(X), wanted, rtol=1e-6)
    for predict in (model.predict, model.predictor_.predict, model.predictor_.predict_records):
        with pytest.raises(DataError, match=r"got one text \('CCO'\); give \['CCO'\]"):
            predict("CCO")
        with pytest.raises(DataError, match="got one Mol; put it into a list"):
            predict(chem.MolFromSmiles("CCO"))
        with pytest.raises(DataError, match="got one Atoms; put it into a list"):
            predict(build.molecule("CH4"))
        with pytest.raises(DataError, match=r"got a table of 2 \(name, smiles\); give one, for instance X\['name'\]"):
            predict(table.assign(name="x")[["name", "smiles"]])
        with pytest.raises(DataError, match=r"one column of structures, got an array of shape \(3, 2\)"):
            predict(np.array([three, three]).T)


def test_error_bars_from_folds() -> None:
    smiles = [f"{'C' * k}{end}" for k in range(1, 13) for end in ("O", "N", "F", "Cl", "S")]
    y = np.array([len(s) for s in smiles], dtype=np.float64)
    model = MoleculeRegressor(
        arch="gcn", arch_args={"d": 16}, epochs=2, ensemble_size=3, members="folds", fit_args={"accelerator": "cpu"}
    ).fit(smiles, y)
    mean, std = model.predict(smiles[:4], return_std=True)
    narrow, wide = (model.predict_interval(smiles[:4], coverage) for coverage in (0.5, 0.9))
    assert narrow.shape == (4, 2) and (wide[:, 0] < narrow[:, 0]).all() and (narrow[:, 1] < wide[:, 1]).all()
    assert (std > 0).all() and (narrow[:, 0] < mean).all() and (mean < narrow[:, 1]).all()
    assert model.in_domain(["CCO", "C" * 40 + "O"]).tolist() == [True, False]
    assert model.predict_interval(smiles[:4]).tolist() == wide.tolist()
    plain = MoleculeRegressor(arch="gcn", arch_args={"d": 16}, epochs=1, fit_args={"accelerator": "cpu"}).fit(smiles, y)
    for ask in (plain.in_domain, plain.predict_interval):
        with pytest.raises(UsageError, match="members='folds'"):
            ask(["CCO"])
    with pytest.raises(UsageError, match="ensemble_size of 2"):
        MoleculeRegressor(members="folds").fit(smiles, y)
