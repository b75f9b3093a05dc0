"""What a training on one graph leaves behind: figures and the story of the run, as plain data."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.errors import DataError
from heliograph.files import atomic
from heliograph.learn.figures import Epoch, Metrics, metric
from heliograph.train.result import Baseline

FORMAT = 1
RESULTS = "results.json"


@dataclass(frozen=True)
class Facts:
    """The graph in figures. `rows_read`, `reasons`: by table, what came and what was left out, and why."""

    nodes: int
    edges: int
    features: int
    directed: bool
    relations: int = 0
    isolated: int = 0
    mean_degree: float = math.nan
    max_degree: int = 0
    homophily: float = math.nan  # share of edges between nodes of one class
    rows_read: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)


FROM_EDGES = ("label propagation", "Correct & Smooth")  # simple models that see along edges which labels are near


@dataclass(frozen=True)
class GraphResult:
    """A finished training. `metrics`, `baselines`: "val", "test". `sizes`: rows of each part. `seconds`: of the steps of the run."""

    config: dict[str, Any]
    level: str
    kind: str  # "regression", "binary", "multiclass", "link", "triples", "items"
    targets: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    main_metric: str
    metrics: dict[str, Metrics]
    baselines: dict[str, Baseline]
    facts: Facts
    sizes: dict[str, int]
    history: tuple[Epoch, ...]
    best_epochs: tuple[int, ...]
    parameters: int
    seconds: dict[str, float]
    peak_memory_mb: float
    notes: tuple[str, ...]
    model_file: str
    versions: dict[str, str]
    command: str
    finished: str

    def save(self, folder: Path) -> None:
        """Write `results.json`."""
        document = {"format": FORMAT, "of": "one graph", **asdict(self)}
        document["history"] = [row._asdict() for row in self.history]
        with atomic(folder / RESULTS) as temporary:
            temporary.write_text(json.dumps(_plain(document)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> GraphResult:
        """Read it back. Raises DataError where it is missing, damaged or of another kind."""
        path = folder / RESULTS
        try:
            d = json.loads(path.read_text(encoding="utf-8"))
            if d.pop("of") != "one graph" or d.pop("format") != FORMAT:
                raise ValueError("it is of another kind or version")
            d |= {k: tuple(d[k]) for k in ("targets", "best_epochs", "notes")}
            d["classes"] = tuple(tuple(c) for c in d["classes"])
            d["history"] = tuple(Epoch(**_filled(row)) for row in d["history"])
            d["facts"] = Facts(**_filled(d["facts"]))
            d["metrics"] = _numbers(d["metrics"])
            d["baselines"] = {name: Baseline(_numbers(b["metrics"]), _number(b["seconds"])) for name, b in d["baselines"].items()}
            d["peak_memory_mb"], d["seconds"] = _number(d["peak_memory_mb"]), _numbers(d["seconds"])
            return cls(**d)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is no result of a training on one graph: {error}") from None


def verdict(result: GraphResult, part: str) -> str:
    """Return a sentence on the network beside the best simple model of a part, and what to try where that one is ahead; "" without one."""
    name, higher = result.main_metric, metric(result.main_metric).higher_is_better
    scores = {b: r.metrics.get(part, {}).get("mean", {}).get(name, math.nan) for b, r in result.baselines.items()}
    known = {b: v for b, v in scores.items() if math.isfinite(v)}
    if not known:
        return ""
    best = (max if higher else min)(known, key=lambda b: known[b])
    value, lead = result.metrics[part]["mean"].get(name, math.nan), f"The best simple model, {best}, reaches {known[best]:.3g}: "
    if value > known[best] if higher else value < known[best]:
        return lead + "the network was worth it."
    lead += "the network has not earned its cost here."
    if best in FROM_EDGES and result.facts.features and not result.config["model"].get("node_vectors"):
        lead += " The edges say more than the columns do: try --node-vectors 64, a learned vector for each node."
    return lead


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    return {k: math.nan if v is None else v for k, v in row.items()}


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _numbers(nest: Any) -> Any:
    return {k: _numbers(v) for k, v in nest.items()} if isinstance(nest, dict) else _number(nest)
