"""Where the errors are: by size, by scaffold, molecule by molecule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from heliograph.report import plots, scores
from heliograph.report.digits import count, decimals, fixed, number, plural, shorten
from heliograph.report.drawing import picture
from heliograph.report.stats import quantile_bins
from heliograph.train.predictions import Predictions
from heliograph.train.result import TrainResult

SHOWN = 8  # worst and best molecules
SCAFFOLDS = 8


@dataclass(frozen=True, eq=False)
class MoleculeErrors:
    """One error per molecule, all targets together: `size` [n] (NaN: no label), `worst` [n] the target that is most wrong.

    `label` with the unit is what it is called; `meaning` says how it was made, where that needs saying.
    """

    size: np.ndarray
    worst: np.ndarray
    label: str
    unit: str
    meaning: str


def molecule_errors(result: TrainResult, p: Predictions) -> MoleculeErrors:
    """Single regression target: |error| in its unit; several: in units of each target's spread; classes: what the truth was not given."""
    table = np.stack([scores.errors_of(result, p, t) for t in range(len(result.targets))], axis=1)  # [n, T]
    size = np.abs(table)
    if result.kind != "regression":
        label, unit, meaning = "error", "", "Error: 1 minus the probability given to the true class."
    elif len(result.targets) == 1:
        label, unit, meaning = "|error|", result.unit(result.targets[0]), ""
    else:
        label, unit, meaning = (
            "error",
            "",
            "Error of a molecule: |error| divided by the standard deviation of the target, mean over its targets.",
        )
        for t in range(size.shape[1]):
            truth = p.y_true[np.isfinite(p.y_true[:, t]), t]
            spread = float(truth.std()) if len(truth) > 1 else math.nan
            size[:, t] = size[:, t] / spread if spread > 0 else np.nan
    known = np.isfinite(size)
    sums, counts = np.where(known, size, 0.0).sum(axis=1), known.sum(axis=1)
    mean = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return MoleculeErrors(mean, np.where(known, size, -1.0).argmax(axis=1), label, unit, meaning)


def by_size(p: Predictions, errors: MoleculeErrors) -> Markup | None:
    """Mean error of groups of about equal number of molecules, by heavy atoms."""
    good = np.isfinite(errors.size)
    if good.sum() < 2:
        return None
    atoms, size = p.n_atoms[good], errors.size[good]
    masks = quantile_bins(atoms, 6)
    names = [f"{a}" if a == b else f"{a}–{b}" for a, b in ((int(atoms[m].min()), int(atoms[m].max())) for m in masks)]
    values = [float(size[m].mean()) for m in masks]
    titles = [
        f"{name} heavy atoms: {plural(int(m.sum()), 'molecule')}, mean {number(v)} {errors.unit}".rstrip()
        for name, m, v in zip(names, masks, values, strict=True)
    ]
    suffix = f" ({errors.unit})" if errors.unit else ""
    return plots.group_bars(names, values, titles, ("heavy atoms", f"mean {errors.label}{suffix}"), float(size.mean()))


def by_scaffold(result: TrainResult, p: Predictions, errors: MoleculeErrors) -> dict[str, Any] | None:
    """The most frequent scaffolds with their errors, and seen against unseen ones."""
    good = np.isfinite(errors.size)
    if not good.any():
        return None
    scaffolds = np.array(p.scaffolds, dtype=object)
    signed = scores.errors_of(result, p, 0) if len(result.targets) == 1 and result.kind == "regression" else None
    places = decimals(float(np.mean(errors.size[good])))
    names, which, counts = np.unique(scaffolds[good].astype(str), return_inverse=True, return_counts=True)
    rows = []
    for k in np.argsort(-counts, kind="stable")[:SCAFFOLDS]:
        mask = which == k
        name = str(names[k])
        bias = "" if signed is None else f"{'+' if (b := float(signed[good][mask].mean())) > 0 else ''}{fixed(b, places)}"
        rows.append(
            {
                "image": picture(name, 130, 80),
                "text": shorten(name, 48) if name else "no ring",
                "n": count(int(mask.sum())),
                "error": fixed(float(errors.size[good][mask].mean()), places),
                "bias": bias,
            }
        )
    known = set(result.split.shared_scaffolds)
    seen = np.array([s in known for s in p.scaffolds])
    sides = [(word, errors.size[good & side]) for word, side in (("seen in training", seen), ("new to the model", ~seen))]
    told = [{"word": w, "n": plural(len(v), "molecule"), "error": fixed(float(v.mean()), places)} for w, v in sides if len(v)]
    return {"rows": rows, "distinct": count(len(names)), "signed": signed is not None, "sides": told if len(told) == 2 else []}


def cards(result: TrainResult, p: Predictions, errors: MoleculeErrors) -> dict[str, list[dict[str, str]]]:
    """The worst and the best molecules, never one in both."""
    order = np.argsort(np.where(np.isfinite(errors.size), errors.size, -1.0), kind="stable")
    order = order[np.isfinite(errors.size[order])]
    half = min(SHOWN, (len(order) + 1) // 2)
    worst, best = order[::-1][:half], order[: min(half, len(order) - half)]
    return {"worst": [_card(result, p, errors, int(i)) for i in worst], "best": [_card(result, p, errors, int(i)) for i in best]}


def _card(result: TrainResult, p: Predictions, errors: MoleculeErrors, i: int) -> dict[str, str]:
    t = int(errors.worst[i])
    card = {
        "image": picture(p.structures[i]),
        "text": shorten(p.structures[i], 90),
        "id": "" if p.ids[i] in (p.structures[i], str(int(p.rows[i]))) else shorten(p.ids[i], 40),
        "row": count(int(p.rows[i])),
        "target": shorten(result.targets[t], 40) if len(result.targets) > 1 else "",
    }
    y, predicted = float(p.y_true[i, t]), float(p.y_pred[i, t])
    if result.kind == "regression":
        truth = p.y_true[np.isfinite(p.y_true[:, t]), t]
        spread = float(truth.std()) if len(truth) > 1 and truth.std() > 0 else abs(y) or 1.0
        places = decimals(spread)
        std = "" if p.y_std is None or not math.isfinite(p.y_std[i, t]) else f" ± {fixed(float(p.y_std[i, t]), places)}"
        error = predicted - y
        signed = f"{'+' if error > 0 else ''}{fixed(error, places)}"
        return card | {"true": fixed(y, places), "predicted": fixed(predicted, places) + std, "error": signed}
    names = scores.class_names(result, t)
    of_truth = 1 - float(scores.errors_of(result, p, t)[i])
    chosen = int(predicted >= 0.5) if result.kind == "binary" else int(predicted)
    return card | {"true": shorten(names[int(y)], 24), "predicted": shorten(names[chosen], 24), "error": number(of_truth, 2)}
