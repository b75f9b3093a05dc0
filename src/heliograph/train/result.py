"""What a training leaves behind: figures, predictions and the story of the run, typed, without pickle and without torch.

`heliograph.train.run` fills a `TrainResult`, `heliograph.report.write` draws it. In the run folder it is `results.json`
and, one line per molecule, `test_predictions.csv` and `val_predictions.csv`; `TrainResult.load` gives back the same
numbers to the last bit.
A number that is missing is NaN (`null` in JSON, blank in CSV).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from heliograph.errors import DataError, suggest
from heliograph.files import atomic
from heliograph.learn.figures import Epoch, Kind, Metrics
from heliograph.train.predictions import Predictions, read_predictions, write_predictions

FORMAT = 1
RESULTS = "results.json"
MAX_BAD_ROWS = 1000


@dataclass(frozen=True)
class Baseline:
    """A simple model on the same parts. Names: "mean", "random forest on ECFP4", "kernel ridge on Coulomb matrices"."""

    metrics: dict[str, Metrics]  # "test", "val"
    seconds: float = math.nan


@dataclass(frozen=True)
class Cost:
    """What it took. Seconds are wall time; `molecules_per_second` is for training (forward and backward)."""

    parameters: int = 0
    seconds_featurize: float = math.nan
    seconds_train: float = math.nan
    seconds_predict: float = math.nan
    epochs: int = 0
    molecules_per_second: float = math.nan
    peak_memory_mb: float = math.nan
    device: str = "cpu"
    threads: int = 1


class BadRow(NamedTuple):
    row: int
    text: str
    reason: str


@dataclass(frozen=True)
class DataSummary:
    """What came in. `bad_rows` holds the first 1,000; `reasons` counts all of them."""

    path: str
    columns: tuple[str, ...] = ()
    rows_read: int = 0
    rows_usable: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    bad_rows: tuple[BadRow, ...] = ()


@dataclass(frozen=True)
class PartFigures:
    """One part of the split in figures, made by `describe`; lists are per target."""

    size: int
    labelled: list[int]
    mean: list[float]
    std: list[float]
    counts: list[list[int]]  # per target, per bin of SplitFigures.edges
    scaffolds: int  # distinct ones
    shared_scaffolds: int  # molecules whose scaffold also occurs in the training part


@dataclass(frozen=True)
class SplitFigures:
    """`edges[t]` are the bin edges of target t (classes: k - 0.5 .. k + 0.5); `parts` has train, val, test.

    `shared_scaffolds`: those of validation and test that the training part has too.
    """

    edges: list[list[float]]
    parts: dict[str, PartFigures]
    shared_scaffolds: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Replicate:
    """One of several trainings on different splits: its figures only."""

    name: str
    metrics: dict[str, Metrics]
    baselines: dict[str, Baseline] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TrainResult:
    """A finished training. With replicates, everything but `replicates` is the first one's."""

    config: dict[str, Any]  # the resolved TrainConfig, plain
    kind: Kind
    targets: tuple[str, ...]
    main_metric: str
    predictions: dict[str, Predictions]  # "val", "test"; a part that is empty may be absent
    metrics: dict[str, Metrics]  # "val", "test"
    data: DataSummary
    split: SplitFigures
    units: tuple[str, ...] = ()  # one per target, "" = none
    classes: tuple[tuple[str, ...], ...] = ()  # names of the classes per target, in the order of their indices
    rows: dict[str, np.ndarray] = field(default_factory=dict)  # "train", "val", "test" -> [n] row numbers in the input
    history: tuple[Epoch, ...] = ()
    best_epochs: tuple[int, ...] = ()  # per member
    baselines: dict[str, Baseline] = field(default_factory=dict)
    replicates: tuple[Replicate, ...] = ()
    cost: Cost = Cost()
    notes: tuple[str, ...] = ()
    model_files: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    trust: dict[str, Any] = field(default_factory=dict)  # "out_of_fold", "test" -> target -> what `uncertainty.judge` says
    command: str = ""
    finished: str = ""  # date and time, ISO 8601

    def save(self, run_dir: str | Path) -> None:
        """Write `PART_predictions.csv` for each part, then `results.json`: where that is, the rest is whole."""
        folder = Path(run_dir)
        for part, predictions in self.predictions.items():
            write_predictions(folder / f"{part}_predictions.csv", predictions, self.targets, self.classes)
        skip = ("predictions", "history", "data")
        document: dict[str, Any] = {"format": FORMAT} | {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skip}
        document["data"] = asdict(self.data) | {"bad_rows": self.data.bad_rows[:MAX_BAD_ROWS]}
        document["history"] = [row._asdict() for row in self.history]
        document["predictions"] = {part: _dtypes(p) for part, p in self.predictions.items()}
        with atomic(folder / RESULTS) as temporary:
            temporary.write_text(json.dumps(_plain(document), allow_nan=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, run_dir: str | Path) -> TrainResult:
        """Read what `save` wrote. Raises DataError where the folder has no results or they are damaged."""
        path = Path(run_dir) / RESULTS
        if not path.is_file():
            raise DataError(f"no {RESULTS} in {run_dir}: it is written at the end of a training. Give the folder of a finished run.")
        try:
            return _from_document(json.loads(path.read_text(encoding="utf-8")), Path(run_dir))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            why = f"{type(error).__name__}: {error}"
            raise DataError(f"{path} is damaged or not ours ({why}). Train again, or restore the file.") from error

    def unit(self, target: str) -> str:
        """The target's unit, "" where none was given."""
        if target not in self.targets:
            raise DataError(f"no target {target!r} in this result; {suggest(target, self.targets)}")
        index = self.targets.index(target)
        return self.units[index] if index < len(self.units) else ""


def describe(y: Mapping[str, np.ndarray], scaffolds: Mapping[str, tuple[str, ...] | list[str]], kind: Kind) -> SplitFigures:
    """The split in figures: `y[part]` [n, T] with NaN for missing, `scaffolds[part]` [n]; parts named train, val, test."""
    everything = np.concatenate([np.asarray(v, dtype=np.float64) for v in y.values()])  # [n, T]
    edges = [_edges(column[np.isfinite(column)], kind) for column in everything.T]
    known = set(scaffolds.get("train", ()))
    parts = {}
    for part, values in y.items():
        columns = [column[np.isfinite(column)] for column in np.asarray(values, dtype=np.float64).T]
        mine = list(scaffolds.get(part, ()))
        parts[part] = PartFigures(
            size=len(values),
            labelled=[len(c) for c in columns],
            mean=[float(c.mean()) if len(c) else math.nan for c in columns],
            std=[_spread(c) for c in columns],
            counts=[np.histogram(c, bins=np.asarray(e))[0].tolist() for c, e in zip(columns, edges, strict=True)],
            scaffolds=len(set(mine)),
            shared_scaffolds=sum(s in known for s in mine),
        )
    others = {s for part, of_part in scaffolds.items() if part != "train" for s in of_part}
    return SplitFigures(edges, parts, sorted(known & others))


def _spread(values: np.ndarray) -> float:
    with np.errstate(over="ignore"):
        return float(values.std()) if len(values) else math.nan


def _edges(values: np.ndarray, kind: Kind) -> list[float]:
    """Bins of equal width, about 2 sqrt(n) and at most 30 of them; a class is a bin."""
    if kind != "regression":
        top = max(int(values.max()), 1) if len(values) else 1
        return [k - 0.5 for k in range(top + 2)]
    if not len(values):
        return [0.0, 1.0]
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high, min(30, max(2, round(2 * math.sqrt(len(values))))) + 1)
    if not np.all(np.diff(edges) > 0) or not np.isfinite(high - low):  # constant, or too narrow for as many bins
        room = max(abs(low), 1.0) * 0.5
        edges = np.array([low - room, high + room])
    return [float(v) for v in edges]


def _dtypes(predictions: Predictions) -> dict[str, str]:
    arrays = {name: getattr(predictions, name) for name in ("y_true", "y_pred", "y_std", "probabilities")}
    return {name: array.dtype.name for name, array in arrays.items() if array is not None}


def _plain(value: Any) -> Any:
    """The value in JSON's types: NaN is null, infinities are text, tuples and arrays are lists."""
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None if math.isnan(value) else str(float(value))
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, SplitFigures | Baseline | Replicate | Cost):
        return _plain(asdict(value))
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _number(value: float | str | None) -> float:
    return math.nan if value is None else float(value)


def _numbers(nest: Any) -> Any:
    """Metrics, whatever their depth: leaves become floats."""
    return {k: _numbers(v) for k, v in nest.items()} if isinstance(nest, dict) else _number(nest)


def _baselines(nest: dict[str, Any]) -> dict[str, Baseline]:
    return {name: Baseline(_numbers(b["metrics"]), _number(b["seconds"])) for name, b in nest.items()}


def _part_figures(part: dict[str, Any]) -> PartFigures:
    return PartFigures(**part | {k: [_number(v) for v in part[k]] for k in ("mean", "std")})


def _epoch(row: dict[str, Any]) -> Epoch:
    numbers = {k: _number(v) for k, v in row.items() if k not in ("member", "epoch", "val_metrics")}
    return Epoch(member=row["member"], epoch=row["epoch"], val_metrics=_numbers(row["val_metrics"]), **numbers)


def _from_document(d: dict[str, Any], folder: Path) -> TrainResult:
    if d["format"] != FORMAT:
        found = f"{folder / RESULTS} has format {d['format']}, this version reads {FORMAT}"
        raise DataError(f"{found}. Use the version that wrote it: {d.get('versions')}")
    targets, classes = tuple(d["targets"]), tuple(tuple(c) for c in d["classes"])
    summary = d["data"] | {"columns": tuple(d["data"]["columns"]), "bad_rows": tuple(BadRow(*r) for r in d["data"]["bad_rows"])}
    cost: dict[str, Any] = {k: v if k in ("parameters", "epochs", "threads", "device") else _number(v) for k, v in d["cost"].items()}
    edges, shared = [[float(v) for v in e] for e in d["split"]["edges"]], d["split"]["shared_scaffolds"]
    rest: dict[str, Any] = {k: tuple(d[k]) for k in ("units", "best_epochs", "notes", "model_files")}
    rest["trust"] = d.get("trust") or {}
    rest |= {k: d[k] for k in ("config", "kind", "main_metric", "versions", "command", "finished")}
    return TrainResult(
        targets=targets,
        classes=classes,
        predictions={
            part: read_predictions(folder / f"{part}_predictions.csv", dtypes, targets) for part, dtypes in d["predictions"].items()
        },
        metrics=_numbers(d["metrics"]),
        data=DataSummary(**summary),
        split=SplitFigures(edges, {part: _part_figures(v) for part, v in d["split"]["parts"].items()}, shared),
        rows={part: np.array(rows, dtype=np.int64) for part, rows in d["rows"].items()},
        history=tuple(_epoch(row) for row in d["history"]),
        baselines=_baselines(d["baselines"]),
        replicates=tuple(Replicate(r["name"], _numbers(r["metrics"]), _baselines(r["baselines"])) for r in d["replicates"]),
        cost=Cost(**cost),
        **rest,
    )
