"""scikit-learn estimators over structures: SMILES, RDKit molecules, ASE atoms.

    model = MoleculeRegressor(epochs=30).fit(smiles, y)
    y, std = model.predict(["CCO", "c1ccccc1"], return_std=True)

They work where scikit-learn's do: `Pipeline`, `cross_val_score`, `GridSearchCV`, `clone`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state

from heliograph import zoo
from heliograph.data.record import Geometry, MolBlock, Structure
from heliograph.data.splits import random_split
from heliograph.data.store import Store
from heliograph.errors import DataError, StructureError, UsageError
from heliograph.learn.ensemble import train
from heliograph.learn.progress import silent
from heliograph.learn.task import Task
from heliograph.predictor import Answers
from heliograph.predictor.structures import is_missing, one_column
from heliograph.train import trust
from heliograph.train.assemble import assemble
from heliograph.train.config import DataConfig, FitConfig, ModelConfig, TrustConfig
from heliograph.train.data import featurizer_for
from heliograph.train.folds import divide
from heliograph.train.targets import Labels


class _MoleculeEstimator(BaseEstimator):
    """What regressor and classifier share. Fitted: `predictor_`, `notes_`, `history_`, `reasons_` ("" = used)."""

    def __init__(
        self,
        arch: str = "dmpnn",
        arch_args: dict[str, Any] | None = None,
        geometry: str = "auto",
        ensemble_size: int = 1,
        validation_fraction: float = 0.1,
        epochs: int = 50,
        fit_args: dict[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = 0,
        members: str = "seeds",
    ):
        self.arch = arch
        self.arch_args = arch_args
        self.geometry = geometry
        self.ensemble_size = ensemble_size
        self.validation_fraction = validation_fraction
        self.epochs = epochs
        self.fit_args = fit_args
        self.random_state = random_state
        self.members = members

    def _fit(self, X: Iterable[Any], y: np.ndarray, task: Task, sample_weight: Any) -> Any:
        """Train on structures `X` [n] and labels `y` [n, T] (NaN = missing)."""
        structures = one_column(X)
        if len(structures) != len(y):
            raise DataError(f"X has {len(structures)} structures and y has {len(y)} rows; they must be as many")
        module = zoo.load(self.arch)
        state = self.random_state
        self._seed = int(check_random_state(state).randint(2**31)) if isinstance(state, np.random.RandomState) else int(state or 0)
        store, used, notes = self._featurize(structures, module)
        weights = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if weights.shape != (len(y),) or not np.isfinite(weights).all() or (weights < 0).any():
            raise DataError(f"sample_weight must be {len(y)} numbers >= 0, got an array of shape {weights.shape}")
        labels, weights, parts = Labels(task, y[used]), weights[used], self._parts(y[used])
        model = self._model()
        folds = divide(parts, self.ensemble_size, None, self._seed) if model.members == "folds" and self.ensemble_size > 1 else None
        about = {"data": "scikit-learn"}
        training, decided = assemble(module, store, labels, weights, parts, model, self._settings(), folds=folds, about=about)
        counters, members = train(training.job, silent())
        self.predictor_ = training.predictor(members)
        if folds is not None:
            learned = trust.learn(self.predictor_, store, labels.y, folds, parts["val"], TrustConfig(calibrate="auto"))
            self.predictor_ = self.predictor_.with_trust(learned.calibration, learned.domain)
            decided += learned.notes
        self.history_ = counters.history
        self.notes_ = [*notes, *decided]
        self.n_outputs_ = y.shape[1]
        return self

    def _model(self) -> ModelConfig:
        if self.members not in ("seeds", "folds"):
            raise UsageError(f"members is 'seeds' or 'folds'; got {self.members!r}")
        if self.members == "folds" and self.ensemble_size < 2:
            raise UsageError("members='folds' needs an ensemble_size of 2 or more, for instance 5")
        return ModelConfig(arch=self.arch, arch_args=self.arch_args or {}, ensemble_size=self.ensemble_size, members=self.members)  # type: ignore[arg-type]

    def _settings(self) -> FitConfig:
        given = dict(self.fit_args or {})
        for name in given:
            if name not in FitConfig.model_fields or name in ("epochs", "seed", "budget", "devices", "baselines"):
                raise UsageError(f"fit_args[{name!r}]: no such setting; known: {', '.join(sorted(FitConfig.model_fields))}")
        return FitConfig(**given, epochs=self.epochs, seed=self._seed)

    def _featurize(self, structures: list[Any], module: Any) -> tuple[Store, np.ndarray, list[str]]:
        """The store of the usable ones, which they are, and what was decided. Warns of those that are not."""
        from heliograph.chem import featurize, to_structure
        from heliograph.chem.reasons import count

        self.reasons_ = [""] * len(structures)
        plain: list[Structure | None] = []
        for k, item in enumerate(structures):
            try:
                plain.append(to_structure(item))
            except StructureError as error:
                plain.append(None)
                self.reasons_[k] = str(error)
        data = DataConfig(data_path=Path("X"), geometry=self.geometry)  # type: ignore[arg-type]
        featurizer, notes = featurizer_for(data, module, _kind(plain), self.arch)
        molecules, used = [], []
        for k, structure in enumerate(plain):
            if structure is None:
                continue
            try:
                molecules.append(featurize(structure, featurizer, scaffold=False))
                used.append(k)
            except StructureError as error:
                self.reasons_[k] = str(error)
        bad = [reason for reason in self.reasons_ if reason]
        counts = ", ".join(f"{n} {why}" for why, n in count(bad).items())
        if not molecules:
            raise DataError(f"none of the {len(structures)} structures can be used: {counts or 'X is empty'}")
        if bad:
            warnings.warn(f"{len(bad)} of {len(structures)} structures can't be used and are left out: {counts}", UserWarning, stacklevel=4)
        return Store.build(molecules, featurizer), np.array(used), notes

    def _parts(self, y: np.ndarray) -> dict[str, np.ndarray]:
        rows = np.flatnonzero(np.isfinite(y).any(1))
        share = self.validation_fraction
        if not 0.0 <= share < 1.0:
            raise UsageError(f"validation_fraction is at least 0 and less than 1; got {share}")
        if round(share * len(rows)) == 0:  # too few to validate: the last epoch's weights are kept
            return {"train": rows, "val": rows[:0], "test": rows[:0]}
        parts = random_split(len(rows), (1.0 - share, share, 0.0), self._seed)
        return {part: rows[chosen] for part, chosen in parts.items()}

    def _answers(self, X: Iterable[Any]) -> Answers:
        if not hasattr(self, "predictor_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit(X, y) first")
        found = self.predictor_.predict_records(one_column(X))
        nothing = [r for r, y in zip(found.reasons, found.y, strict=True) if r.startswith("outside training") and np.isnan(y).any()]
        if nothing:
            warnings.warn(f"{len(nothing)} of {len(found.y)} structures are NaN: {nothing[0]}", UserWarning, stacklevel=3)
        return found

    def in_domain(self, X: Iterable[Any]) -> np.ndarray:
        """Return whether each structure is like those of training, bool [n]; false where it can't be used. Needs members="folds"."""
        found = self._answers(X).in_domain
        if found is None:
            raise UsageError("in_domain needs members='folds' and an ensemble_size of 2 or more")
        return np.asarray(found == 1.0)


class MoleculeRegressor(RegressorMixin, _MoleculeEstimator):
    """Regression over structures with a message passing network.

    `arch`, `arch_args`: a file of the zoo and arguments of its `build`. `geometry`: "auto", "none", "given", "embed". `fit_args`: other
    settings of `heliograph.train.FitConfig` (batch_size, max_lr, loss, patience ...). `validation_fraction` of the data chooses the
    best epoch (0: the last one is kept). `members="folds"` with an `ensemble_size` calibrates error bars on the folds that its members
    leave out: `predict(X, return_std=True)` is then the calibrated standard deviation, and there are `predict_interval` and `in_domain`.
    A structure that can't be used is left out of `fit` with a warning and is NaN in `predict`, as is one that nothing in training speaks
    for; `predictor_.predict_records(X).reasons` says why, and what speaks against a number.
    """

    def fit(self, X: Iterable[Any], y: Any, sample_weight: Any = None) -> MoleculeRegressor:
        """Train on n structures and `y` [n] or [n, T] (NaN = missing). Raises DataError, UsageError."""
        try:
            labels = _numbers(y)
        except (TypeError, ValueError):
            raise DataError("y must be numbers; for classes use MoleculeClassifier") from None
        self._flat = labels.ndim == 1
        labels = labels[:, None] if self._flat else labels
        if labels.ndim != 2 or np.isinf(labels).any():
            raise DataError(f"y must be finite numbers (NaN = missing) of shape [n] or [n, T]; got an array of shape {np.shape(y)}")
        names = getattr(y, "columns", None)
        if names is None:
            names = [getattr(y, "name", None) or "y"] if self._flat else [f"y{t}" for t in range(labels.shape[1])]
        self._fit(X, labels, Task("regression", tuple(str(name) for name in names)), sample_weight)
        return self

    def predict(self, X: Iterable[Any], return_std: bool = False) -> Any:
        """[n] or [n, T]. With `return_std` also the spread of the ensemble or, for one member, its error on the validation part."""
        found = self._answers(X)
        y = found.y[:, 0] if self._flat else found.y
        if not return_std:
            return y
        std = found.std
        if std is None:
            error = self.predictor_.document.calibration.get("residual_std") or [np.nan] * found.y.shape[1]
            std = np.where(np.isnan(found.y), np.nan, np.array(error, dtype=np.float64))
        return y, (std[:, 0] if self._flat else std)

    def predict_interval(self, X: Iterable[Any], coverage: float = 0.9) -> np.ndarray:
        """Return the ends of intervals that should hold `coverage` of the truths, [n, 2] or [n, T, 2]. Needs members="folds"."""
        if not hasattr(self, "predictor_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit(X, y) first")
        trust_ = self.predictor_.trust
        if not trust_.calibrated:
            raise UsageError("predict_interval needs members='folds' and an ensemble_size of 2 or more")
        self.predictor_.trust = trust_.asking((coverage,))
        try:
            found = self._answers(X)
        finally:
            self.predictor_.trust = trust_
        assert found.lower is not None and found.upper is not None
        both = np.concatenate([found.lower, found.upper], -1)  # [n, T, 2]
        return both[:, 0] if self._flat else both

    def score(self, X: Iterable[Any], y: Any, sample_weight: Any = None) -> float:
        """R2 over the rows that have a label and an answer; warns of those that have a label and no answer."""
        truth, found = np.asarray(y, dtype=np.float64), self.predict(X)
        there = np.isfinite(truth.reshape(len(truth), -1)).all(1)
        used = there & np.isfinite(found.reshape(len(found), -1)).all(1)
        if not used.any():
            raise DataError("no structure has a label and an answer: there is nothing to score")
        if lost := int(there.sum() - used.sum()):
            text = f"{lost} of {int(there.sum())} structures have no answer and are left out of the score"
            warnings.warn(text, UserWarning, stacklevel=2)
        weight = None if sample_weight is None else np.asarray(sample_weight)[used]
        return float(r2_score(truth[used], found[used], sample_weight=weight))


class MoleculeClassifier(ClassifierMixin, _MoleculeEstimator):
    """Classification over structures, two classes or more; arguments as for `MoleculeRegressor`. Fitted: `classes_`."""

    def fit(self, X: Iterable[Any], y: Any, sample_weight: Any = None) -> MoleculeClassifier:
        """Train on n structures and their classes `y` [n], of any type that sorts; None, NaN and pandas' NA are missing.

        Raises DataError, UsageError.
        """
        labels = np.asarray(y, dtype=object)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.ndim != 1:
            raise DataError(f"y must have shape [n], one class per structure; got {labels.shape}. Fit one classifier per column.")
        there = np.array([not is_missing(label) for label in labels], dtype=bool)
        if not there.any():
            raise DataError(f"y has no label: all {len(labels)} are missing")
        kinds = sorted({type(label).__name__ for label in labels[there]})
        try:
            if "str" in kinds and len(kinds) > 1:
                raise TypeError
            self.classes_, index = np.unique(np.array(labels[there].tolist()), return_inverse=True)
            self.classes_ = self.classes_.astype(np.asarray(y).dtype if np.asarray(y).dtype != object else self.classes_.dtype)
        except TypeError:
            raise DataError(f"y must have classes of one type that sorts; got {', '.join(kinds)}") from None
        if len(self.classes_) < 2:
            raise DataError(f"y has one class only ({self.classes_[:1]}); a classifier needs two or more")
        kind = "binary" if len(self.classes_) == 2 else "multiclass"
        task = Task(kind, (str(getattr(y, "name", None) or "y"),), classes=(tuple(str(c) for c in self.classes_),))  # type: ignore[arg-type]
        y = np.full((len(labels), 1), np.nan)
        y[there, 0] = index
        self._fit(X, y, task, sample_weight)
        return self

    def predict_proba(self, X: Iterable[Any]) -> np.ndarray:
        """[n, C], columns in the order of `classes_`; NaN where a structure can't be used."""
        found = self._answers(X)
        if found.probabilities is not None:
            return found.probabilities[:, 0]
        return np.column_stack([1.0 - found.y[:, 0], found.y[:, 0]])

    def predict(self, X: Iterable[Any]) -> np.ndarray:
        """Return the likeliest class of each, [n]. Raises DataError where a structure can't be used: a class can't be NaN."""
        structures = one_column(X)
        p = self.predict_proba(structures)
        bad = np.flatnonzero(np.isnan(p[:, 0]))
        if len(bad):
            shown = str(structures[bad[0]])[:60]
            raise DataError(f"{len(bad)} of {len(p)} structures can't be used, the first at {bad[0]} ({shown}): predict_proba has NaN")
        return np.asarray(self.classes_[p.argmax(1)])


def _numbers(y: Any) -> np.ndarray:
    """Labels as float64, NaN for None and pandas' NA. Raises TypeError or ValueError where one is no number."""
    labels = np.asarray(y)
    if labels.dtype != object:
        return labels.astype(np.float64)
    flat = [np.nan if is_missing(value) else float(value) for value in labels.ravel()]
    return np.array(flat, dtype=np.float64).reshape(labels.shape)


def _kind(structures: Sequence[Structure | None]) -> str:
    """What a table of such structures would be: "xyz", "sdf" or "smiles", by the first one."""
    first = next((s for s in structures if s is not None), "")
    return "xyz" if isinstance(first, Geometry) else "sdf" if isinstance(first, MolBlock) else "smiles"
