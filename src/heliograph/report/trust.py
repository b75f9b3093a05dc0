"""Whether the error bars hold: coverage with intervals, figures beside what perfect error bars have, and groups of molecules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliograph.report.digits import count, number, percent, shorten, with_unit
from heliograph.report.words import PART_WORDS
from heliograph.train.result import TrainResult

MOST_TARGETS = 12
FIGURES = {
    "ence": ("ENCE", "mean over bins of |expected - true error| / expected; 0 is best"),
    "miscalibration_area": ("miscalibration area", "between the curve of coverage and the diagonal; 0 is best"),
    "nll": ("negative log likelihood", "of normal distributions; lower is better"),
    "crps": ("CRPS", "in the target's unit; lower is better"),
    "sharpness": ("sharpness", "root mean square sigma, in the target's unit"),
    "spearman": ("rank correlation", "of sigma and |error|; even true sigmas reach only the value beside it"),
    "ause": ("AUSE", "what the ranking by sigma lacks of the ranking by error, over the RMSE; 0 is best"),
    "ece": ("calibration error", "ECE, 15 bins of equal mass; 0 is best"),
    "brier": ("Brier score", "lower is better"),
    "log_loss": ("log loss", "lower is better"),
}
PARTS = {
    "out_of_fold": "each training molecule judged by the member that left it out, and by a calibration fitted without its fold",
    "test": "test molecules, judged as a prediction from the model file would be",
}


def section(result: TrainResult) -> list[dict[str, Any]]:
    """One block for each part and target that was judged; empty where nothing was calibrated."""
    blocks = []
    for part in ("test", "out_of_fold"):
        for target, judged in list(result.trust.get(part, {}).items())[:MOST_TARGETS]:
            block = _block(judged, result.unit(target) if target in result.targets else "")
            name = f"{shorten(target, 60)}, {PART_WORDS[part]}"
            blocks.append(block | {"title": name, "what": PARTS[part], "n": count(judged["n"])})
    return blocks


def _block(judged: Mapping[str, Any], unit: str) -> dict[str, Any]:
    simulated, before = judged["simulated"], judged.get("before", {})
    figures = [
        {
            "name": FIGURES[name][0],
            "meaning": FIGURES[name][1],
            "value": _number(value),
            "before": _number(before[name]) if name in before else "",
            "simulated": _with_range(simulated.get(name)),
        }
        for name, value in judged["figures"].items()
        if name in FIGURES
    ]
    return {
        "coverage": [_coverage(row, unit) for row in judged.get("coverage", [])],
        "figures": figures,
        "before": bool(before),
        "groups": [
            {"by": heading, "rows": [_group(row, unit) for row in rows]} for heading, rows in judged.get("groups", {}).items() if rows
        ],
        "sets": [_set(row) for row in judged.get("sets", [])],
    }


def _coverage(row: Mapping[str, Any], unit: str) -> dict[str, Any]:
    return {
        "claimed": percent(row["claimed"]),
        "held": percent(row["held"], 1),
        "range": f"{percent(row['low'], 1)} to {percent(row['high'], 1)}",
        "width": _width(row["width"], unit),
        "score": _number(row["interval_score"]),
        "off": not row["low"] <= row["claimed"] <= row["high"],
    }


def _group(row: Mapping[str, Any], unit: str) -> dict[str, str]:
    return {
        "name": str(row["group"]).partition(". ")[2] or str(row["group"]),
        "n": count(row["n"]),
        "rmse": with_unit(number(row["rmse"]), unit),
        "held": percent(row["held"], 1),
        "range": f"{percent(row['low'], 1)} to {percent(row['high'], 1)}",
        "claimed": percent(row["claimed"]),
        "width": _width(row["width"], unit),
    }


def _set(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "claimed": percent(row["claimed"]),
        "class": str(row["class"]),
        "n": count(row["n"]),
        "held": percent(row["held"], 1),
        "range": f"{percent(row['low'], 1)} to {percent(row['high'], 1)}",
        "both": percent(row["both"], 1),
    }


def _with_range(values: list[float] | None) -> str:
    if not values or values[0] is None:
        return "–"
    return f"{_number(values[0])} ({_number(values[1])} to {_number(values[2])})"


def _number(value: float | None) -> str:
    return "–" if value is None else number(value)


def _width(value: float | None, unit: str) -> str:
    """A mean width; None stands for an infinite one."""
    return "infinite" if value is None else with_unit(number(value), unit)
