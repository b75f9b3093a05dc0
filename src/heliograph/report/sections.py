"""What was asked, the data, the split, the training, the cost, the use: from a result to what the template prints."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from heliograph.learn.figures import Epoch, metric
from heliograph.report import plots
from heliograph.report.digits import count, decimals, duration, fixed, listed, megabytes, number, percent, plural, shorten, with_unit
from heliograph.report.scores import class_names
from heliograph.train.result import PartFigures, TrainResult

OVER_SMOOTHED = "They have become nearly indistinguishable (over-smoothing): try fewer message passing steps, or residual connections."
JUMPS = "Such jumps unsettle a training: a lower max-lr, or a grad-clip near the median, would calm it."
HISTOGRAMS = 12
BAD_ROWS = 50
KEY_OPTIONS = (
    "arch",
    "arch_args",
    "ensemble_size",
    "split",
    "split_sizes",
    "splits_column",
    "num_replicates",
    "epochs",
    "budget",
    "batch_size",
    "loss",
    "max_lr",
    "ema",
    "seed",
)
WORDS = dict(plots.PARTS)
Curve = tuple[str, str, np.ndarray, np.ndarray]  # style, legend, epochs from 1, values
ALIKE = 0.95  # node similarity above which we speak of over-smoothing


def asked(result: TrainResult) -> dict[str, Any]:
    """The command, the options that matter and all the others."""
    targets = listed([_titled(result, t, 60) for t in result.targets], 6)
    notes = [shorten(n, 400) for n in result.notes]
    chosen = options(result.config, KEY_OPTIONS, {"ensemble_size": 1, "num_replicates": 1, "ema": 0})
    return {"command": shorten(result.command, 2000), "targets": targets, "notes": notes} | chosen


def options(config: Mapping[str, Any], key_options: Sequence[str], usual: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """`key`: those options that are given and not as usual; `all` of them."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= value if isinstance(value, Mapping) else {key: value}
    given = [k for k in key_options if k in flat and flat[k] not in (None, "", [], (), {}, usual.get(k))]
    return {"key": [(_flag(k), _option(flat[k])) for k in given], "all": [(_flag(k), _option(v)) for k, v in flat.items()]}


def _titled(result: TrainResult, target: str, most: int) -> str:
    """The target with its unit in brackets."""
    unit = result.unit(target)
    return with_unit(shorten(target, most), f"({shorten(unit, 30)})" if unit else "")


def _flag(key: str) -> str:
    return shorten(str(key), 60).replace("_", "-")


def _option(value: Any) -> str:
    if isinstance(value, Mapping):
        return shorten(", ".join(f"{k} = {v}" for k, v in value.items()) or "–", 200)
    if isinstance(value, list | tuple):
        return shorten(" ".join(str(v) for v in value) or "–", 200)
    return "–" if value is None or value == "" else shorten(str(value), 200)


def data(result: TrainResult) -> dict[str, Any]:
    """Rows, reasons, first bad rows, and a histogram of each of the first targets."""
    d = result.data
    bad = d.rows_read - d.rows_usable
    reasons = [(shorten(reason, 100), count(n)) for reason, n in sorted(d.reasons.items(), key=lambda item: -item[1])]
    histograms = []
    for t, target in enumerate(result.targets[:HISTOGRAMS]):
        figures = result.split.parts
        if t >= len(result.split.edges) or not any(sum(part.counts[t]) for part in figures.values()):
            continue
        counts = {name: part.counts[t] for name, part in figures.items()}
        bins = len(result.split.edges[t]) - 1
        known = [] if result.kind == "regression" else [shorten(n, 14) for n in class_names(result, t)]
        names = [] if result.kind == "regression" else [known[k] if k < len(known) else str(k) for k in range(bins)]
        histograms.append(plots.target_histogram(result.split.edges[t], counts, _titled(result, target, 44), names))
    return {
        "path": shorten(d.path, 200),
        "columns": listed([shorten(c, 40) for c in d.columns], 12) if d.columns else "",
        "read": plural(d.rows_read, "row"),
        "usable": count(d.rows_usable),
        "bad": plural(bad, "row") if bad > 0 else "",
        "reasons": reasons,
        "bad_rows": [(count(r.row), shorten(r.text, 70) or "(blank)", shorten(r.reason, 120)) for r in d.bad_rows[:BAD_ROWS]],
        "more": count(bad - BAD_ROWS) if bad > BAD_ROWS else "",
        "histograms": histograms,
        "unplotted": max(0, len(result.targets) - HISTOGRAMS),
    }


def split(result: TrainResult) -> dict[str, Any]:
    """Sizes, target means and scaffolds of the parts; means of the first 12 targets."""
    parts = [(name, result.split.parts[name]) for name, _ in plots.PARTS if name in result.split.parts]
    total = sum(p.size for _, p in parts)
    rows = []
    for name, p in parts:
        shared = f"{count(p.shared_scaffolds)} ({percent(p.shared_scaffolds / p.size)})" if p.size else "–"
        share = percent(p.size / total, 1) if total else "–"
        row = {"name": WORDS[name], "size": count(p.size), "share": share, "scaffolds": count(p.scaffolds)}
        rows.append(row | {"shared": "" if name == "train" else shared})
    config = result.config.get("split", {})
    how = "by the column " + str(config["splits_column"]) if config.get("splits_column") else str(config.get("split") or "")
    return {
        "rows": rows,
        "means": _means(result, [p for _, p in parts]),
        "names": [WORDS[n] for n, _ in parts],
        "words": _kinds_in_test(result),
        "how": shorten(how, 80),
        "binary": result.kind == "binary",
        "unlisted": max(0, len(result.targets) - HISTOGRAMS),
    }


def _means(result: TrainResult, parts: list[PartFigures]) -> list[dict[str, Any]]:
    """Mean and standard deviation (binary: share of positives) of each target in each part; classes have no mean."""
    if result.kind == "multiclass":
        return []
    out = []
    for t, target in enumerate(result.targets[:HISTOGRAMS]):
        places = decimals(max((p.std[t] for p in parts if math.isfinite(p.std[t]) and p.std[t] > 0), default=1.0))
        cells = []
        for p in parts:
            mean = percent(p.mean[t], 1) if result.kind == "binary" else f"{fixed(p.mean[t], places)} ± {fixed(p.std[t], places)}"
            cells.append(mean if p.labelled[t] else "no label")
        out.append({"target": _titled(result, target, 60), "cells": cells, "labelled": [count(p.labelled[t]) for p in parts]})
    return out


def _kinds_in_test(result: TrainResult) -> str:
    test = result.split.parts.get("test")
    if not test or not test.size:
        return ""
    share = test.shared_scaffolds / test.size
    meaning = "the others are of new kinds"
    if not 0.2 < share < 0.8:
        meaning = "the figures hold for molecules of such kinds" if share > 0.5 else "the test asks about new kinds of molecules"
    return f"{percent(share)} of the test molecules have a scaffold (rings and their linkers) that the training set has too; {meaning}."


def _curves(history: tuple[Epoch, ...], value: Callable[[Epoch], float], style: str, legend: str) -> list[Curve]:
    """One curve per member, finite values only; the legend on the first."""
    out: list[Curve] = []
    for member in sorted({row.member for row in history}):
        pairs = [(row.epoch + 1, value(row)) for row in history if row.member == member and math.isfinite(value(row))]
        if pairs:
            epochs, values = np.array(pairs, dtype=float).T
            out.append((style, "" if out else legend, epochs, values))
    return out


def training(result: TrainResult) -> dict[str, Any]:
    """Learning curves: the loss of both parts and the main metric; which of them chose the kept epoch (no metric asked for: the loss)."""
    history, name = result.history, result.main_metric
    by_loss = not result.config.get("fit", {}).get("metrics")
    figures: list[tuple[Markup, str]] = []
    loss = [*_curves(history, lambda r: r.train_loss, "train", "training"), *_curves(history, lambda r: r.val_loss, "model", "validation")]
    if loss:
        marks = _kept(result, lambda r: r.val_loss)
        caption = "Loss on training and validation molecules" + ("; the latter chose the kept epoch." if by_loss else ".")
        figures.append((plots.learning_curves(loss, "loss", marks, log=_positive(loss)), caption))
    curves = _curves(history, lambda r: r.val_metrics.get(name, math.nan), "model", "validation")
    if curves:
        marks = _kept(result, lambda r: r.val_metrics.get(name, math.nan))
        label, log = f"validation {metric(name).label}", not metric(name).higher_is_better and _positive(curves)
        caption = f"Validation {metric(name).label}" + ("." if by_loss else ", which chose the kept epoch.")
        figures.append((plots.learning_curves(curves, label, marks, log=log), caption))
    return {"figures": figures, "words": _kept_in_words(result)}


def _positive(curves: list[Curve]) -> bool:
    return all(bool((c[3] > 0).all()) for c in curves)


def _kept(result: TrainResult, value: Callable[[Epoch], float]) -> list[tuple[float, float]]:
    """Each member's kept epoch (from 1) with its value there."""
    rows = {(r.member, r.epoch): r for r in result.history}
    found = [rows[member, epoch] for member, epoch in enumerate(result.best_epochs) if (member, epoch) in rows]
    return [(r.epoch + 1.0, value(r)) for r in found if math.isfinite(value(r))]


def _kept_in_words(result: TrainResult) -> str:
    if not result.best_epochs or not result.history:
        return ""
    kept = listed([str(epoch + 1) for epoch in result.best_epochs], 10)
    words = f"Kept: epochs {kept}, one for each member." if len(result.best_epochs) > 1 else f"Kept: epoch {kept}."
    last = {member: max(r.epoch for r in result.history if r.member == member) for member in {r.member for r in result.history}}
    late = sum(last.get(m, 0) >= 9 and epoch >= 0.97 * last[m] for m, epoch in enumerate(result.best_epochs))
    return words + (" The best epoch is among the very last: training longer may still pay." if 2 * late >= len(result.best_epochs) else "")


def diagnostics(result: TrainResult) -> dict[str, Any]:
    """Gradient norm and node similarity over epochs, and what they say."""
    figures: list[tuple[Markup, str]] = []
    words = []
    similar = _curves(result.history, lambda r: r.node_similarity, "model", "")
    if similar:
        last = float(np.mean([c[3][-1] for c in similar]))
        figures.append((plots.learning_curves(similar, "node similarity", [], log=False), "Mean cosine similarity of the atoms' states."))
        words.append(
            f"After the last layer the states of a molecule's atoms have a mean cosine similarity of {number(last)} (1: all alike)."
        )
        words.append(OVER_SMOOTHED if last > ALIKE else "The atoms of a molecule remain distinguishable: no sign of over-smoothing.")
    norms = _curves(result.history, lambda r: r.gradient_norm, "model", "")
    if norms:
        values = np.concatenate([c[3] for c in norms])
        figures.append(
            (plots.learning_curves(norms, "gradient norm", [], log=_positive(norms)), "Norm of the gradient, mean of each epoch.")
        )
        middle, largest = float(np.median(values)), float(values.max())
        words.append(f"The gradient's norm has a median of {number(middle)} and a largest value of {number(largest)}.")
        words.append(JUMPS if middle > 0 and largest > 20 * middle else "It shows no jumps.")
    return {"figures": figures, "words": words}


def cost(result: TrainResult) -> list[tuple[str, str]]:
    """Time and memory, only what is known."""
    c = result.cost
    speed = with_unit(number(c.molecules_per_second), "molecules/s")
    rows = [
        ("parameters", count(c.parameters) if c.parameters else "–"),
        ("epochs", count(c.epochs) if c.epochs else "–"),
        ("featurization", duration(c.seconds_featurize)),
        ("training", duration(c.seconds_train)),
        ("training speed", speed),
        ("prediction", duration(c.seconds_predict)),
        ("peak memory", megabytes(c.peak_memory_mb)),
        ("device", f"{shorten(c.device, 60)}, {plural(c.threads, 'thread')}"),
    ]
    rows += [(f"baseline: {shorten(name, 50)}", duration(b.seconds)) for name, b in result.baselines.items()]
    return [(k, v) for k, v in rows if v != "–"]


def use(result: TrainResult) -> dict[str, Any]:
    """How to predict with what was trained, ready to be copied."""
    run = str(result.config.get("output_dir") or "run")
    files = list(result.model_files)
    first = files[0] if files else "model.safetensors"
    path = first if "/" in first or run in ("", ".") else str(Path(run) / first)
    example = next((s for p in result.predictions.values() for s in p.structures if 0 < len(s) < 60 and s.isascii()), "CCO")
    note = "  # one member: the command above averages all" if len(files) > 1 else ""
    python = f"from heliograph import Predictor\n\npredictor = Predictor.load({path!r}){note}\npredictor.predict([{example!r}])"
    return {
        "command": f"heliograph predict {shlex.quote(run)} molecules.csv -o predictions.csv",
        "python": python,
        "files": [shorten(f, 200) for f in files],
        "targets": [shorten(f"{t}_pred", 60) for t in result.targets[:3]],
        "std": any(p.y_std is not None for p in result.predictions.values()),
    }
