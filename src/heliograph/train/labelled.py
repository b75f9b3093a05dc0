"""A table with truths for a trained predictor: to judge its answers (`evaluate`), or to calibrate it anew (`calibrate`)."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from heliograph.chem.reasons import kind
from heliograph.data.formats.cells import is_missing
from heliograph.data.store import Store
from heliograph.errors import DataError, UsageError
from heliograph.files import atomic
from heliograph.learn import metrics
from heliograph.learn.ensemble import plain
from heliograph.learn.figures import Metrics
from heliograph.learn.progress import Progress, silent
from heliograph.learn.task import Task
from heliograph.predictor import Predictor
from heliograph.predictor import open as open_model
from heliograph.predictor.predictor import Answers
from heliograph.train import trust
from heliograph.train.config import Calibrate, TrustConfig
from heliograph.train.targets import Cell, read_labels
from heliograph.uncertainty import regression


class LabelledConfig(BaseModel):
    """Which model meets which table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_path: Path = Field(description="a model file, or a run folder")
    data_path: Path = Field(description="table of molecules with the model's target columns: csv, tsv, parquet, sdf, xyz")
    smiles_columns: str | None = Field(None, description="column with the SMILES (default: 'smiles', else the first)")
    arch: Path | None = Field(None, description="your architecture file, where the model was trained with one")
    num_workers: int = Field(2, ge=0, description="processes that featurize (0: in this one)")


class EvaluateConfig(LabelledConfig):
    """What is judged, and where the figures go."""

    output_path: Path | None = Field(None, description="write the figures to this JSON file too")


class CalibrateConfig(LabelledConfig):
    """What the calibration is to be, and where the model file goes."""

    output_path: Path = Field(description="the new model file, NAME.safetensors")
    calibrate: Calibrate = Field("auto", description="method that calibrates error bars; auto: the one that does best on rows left out")
    coverage: tuple[float, ...] = Field((0.9,), min_length=1, description="share of the truths that an interval should hold")
    group_by: str | None = Field(None, description="column whose groups get error bars of their own; small ones borrow from all")


@dataclass(frozen=True, eq=False)
class Labelled:
    """Molecules with labels `y` [n, T] of the predictor's targets (NaN: missing, or the model has no answer) and `groups` [n].

    `read`: rows of the table; `reasons`: why some of them are not judged.
    """

    store: Store
    y: np.ndarray
    groups: tuple[str, ...]
    reasons: dict[str, int]
    read: int


def read(predictor: Predictor, config: LabelledConfig, group_by: str | None, progress: Progress, needed: bool = True) -> Labelled:
    """Read and featurize a table for a predictor. `needed`: the column `group_by` must be there.

    Raises DataError where targets, usable rows or labels are missing, UsageError for that column.
    """
    from heliograph.chem.pool import featurize_table
    from heliograph.data.formats import read as read_table

    usual = predictor.document.training.get("structure_column")
    table = read_table(config.data_path, smiles_column=config.smiles_columns, target_columns=predictor.targets, usual_column=usual)
    if group_by is not None and group_by not in table.columns and needed:
        raise UsageError(f"--group-by {group_by}: {table.name} has no such column; it has {', '.join(table.columns)}")
    molecules, groups, reasons = [], [], Counter[str]()
    cells: dict[str, list[Cell]] = {name: [] for name in predictor.targets}
    rows: list[str] = []
    outcomes = featurize_table(iter(table), predictor.featurizer, config.num_workers, lambda done: progress("featurizing", done))
    for row, (record, molecule, reason) in enumerate(outcomes):
        if molecule is None:
            reasons[kind(reason)] += 1
            continue
        molecules.append(molecule)
        groups.append(record.meta.get(group_by, "") if group_by else "")
        rows.append(str(row + 1))
        for name, column in cells.items():
            column.append(record.targets.get(name))
    if not molecules:
        raise DataError(f"{table.name} has no usable row: {dict(reasons) or 'it is empty'}")
    y, store = _labels(predictor.task, cells, rows), Store.build(molecules, predictor.featurizer)
    total = len(rows) + sum(reasons.values())
    founded = predictor.founded(Answers(np.zeros(y.shape), reasons=("",) * len(rows)), store)
    none = np.isnan(founded.y)  # what the model has no answer for is not judged
    reasons.update(kind(reason) for reason, without in zip(founded.reasons, none.all(1).tolist(), strict=True) if without)
    if none.all():
        raise DataError(f"{table.name} has no row that the model answers: {dict(reasons)}")
    return Labelled(store, np.where(none, np.nan, y), tuple(groups), dict(reasons), total)


def _labels(task: Task, cells: dict[str, list[Cell]], rows: list[str]) -> np.ndarray:
    """[n, T] as the predictor's task numbers them. Raises DataError for a class that it does not know."""
    if task.kind != "multiclass":
        return read_labels(cells, task.kind, (), rows, missing=("none",), classes=task.classes).known
    y = np.full((len(rows), len(task.targets)), math.nan)
    for t, name in enumerate(task.targets):
        number = {text: float(k) for k, text in enumerate(task.classes[t])}
        for k, cell in enumerate(cells[name]):
            text = "" if cell is None or is_missing(str(cell)) else str(cell).strip()
            if text and text not in number:
                raise DataError(f"target {name!r}, row {rows[k]}: {text[:40]!r} is no class of the model's: {', '.join(number)}")
            y[k, t] = number.get(text, math.nan)
    return y


def evaluate(config: EvaluateConfig, progress: Progress | None = None) -> dict[str, Any]:
    """Judge a predictor's answers and error bars on a table with truths: {"metrics", "trust", "rows", "reasons"}, plain JSON data."""
    if config.output_path is not None and config.output_path.exists():
        raise UsageError(f"{config.output_path} exists. Give another name with -o.")
    predictor = open_model(config.model_path, config.arch)
    data = read(predictor, config, predictor.trust.group_by, progress or silent(), needed=False)
    answers = predictor.trust.by_group(predictor.predict_store(data.store), data.groups)
    before = predictor.with_trust({}, {}).predict_store(data.store) if predictor.task.kind == "binary" else answers
    names = metrics.resolve((), predictor.task.kind)
    figures: Metrics = metrics.evaluate(predictor.task, names, data.y, answers.y, answers.probabilities)
    judged = trust.judged(predictor.trust, data.store, data.y, answers, before) if predictor.trust.calibrated else {}
    found: dict[str, Any] = plain(
        {"metrics": figures, "trust": judged, "rows": data.read, "usable": data.read - sum(data.reasons.values()), "reasons": data.reasons}
    )
    if config.output_path is not None:
        with atomic(config.output_path) as temporary:
            temporary.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def calibrate(config: CalibrateConfig, progress: Progress | None = None) -> tuple[list[str], dict[str, dict[str, float]]]:
    """Calibrate a predictor on a table that it was not trained on, and write it to a new file; its domain stays.

    Returns sentences on what was chosen and, with `group_by`, target -> group -> the factor on sigma. Raises DataError where no target
    can be calibrated.
    """
    if config.output_path.exists():
        raise UsageError(f"{config.output_path} exists. Give another name with -o.")
    predictor = open_model(config.model_path, config.arch)
    asked = TrustConfig(calibrate=config.calibrate, coverage=config.coverage)
    trust.check(predictor.task, asked)
    data = read(predictor, config, config.group_by, progress or silent())
    learned = trust.relearn(predictor, data.store, data.y, asked)
    if all(entry is None for entry in learned.calibration["targets"]):
        raise DataError(" ".join(learned.notes) or "no target could be calibrated")
    calibrated = predictor.with_trust(learned.calibration, predictor.document.domain)
    factors: dict[str, dict[str, float]] = {}
    if config.group_by is not None and predictor.task.kind == "regression":
        answers = calibrated.predict_store(data.store)
        for t, target in enumerate(predictor.targets):
            there = np.isfinite(data.y[:, t])
            entry = learned.calibration["targets"][t]
            if entry is None or answers.std is None:
                continue
            own = regression.Calibration.from_dict(entry)
            unit = replace(own, scale=replace(own.scale, kind="constant", intercept=1.0, weights={}, least=0.0))
            z = (data.y[there, t] - answers.y[there, t]) / answers.std[there, t]
            groups = [g for g, k in zip(data.groups, there, strict=True) if k]
            found = regression.grouped(unit, regression.Rows(z), groups)
            factors[target] = found.factors
            learned.calibration["targets"][t] = replace(own, shape=found.shape, factors=found.factors).to_dict()
        learned.calibration["group_by"] = config.group_by
        calibrated = predictor.with_trust(learned.calibration, predictor.document.domain)
    calibrated.save(config.output_path)
    return learned.notes, factors
