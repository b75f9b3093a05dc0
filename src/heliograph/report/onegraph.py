"""The report of a training on one graph: the answer beside the baselines, then the graph, the training, the cost, the use."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from heliograph.learn.figures import Epoch, metric
from heliograph.onegraph.result import GraphResult, verdict
from heliograph.report import page, plots, sections
from heliograph.report.digits import count, duration, listed, megabytes, number, percent, shorten

KEY_OPTIONS = ("arch", "arch_args", "ensemble_size", "num_neighbors", "decoder", "num_negatives", "splits_column", "split",
               "split_sizes", "directed", "bipartite", "epochs", "batch_size", "max_lr", "weight_decay", "seed")  # fmt: skip
KINDS = {"link": "link prediction", "triples": "knowledge graph", "items": "recommendation"}


def write(result: GraphResult, path: str | Path) -> Path:
    """Draw `result` into one HTML file. Returns the path; HeliographError where it can't be written."""
    with np.errstate(all="ignore"):
        return page.write("onegraph.html", _content(result), path)


def _arch(result: GraphResult) -> str:
    arch = str(result.config.get("model", {}).get("arch") or "model")
    return Path(arch).stem


def _content(result: GraphResult) -> dict[str, Any]:
    part = "test" if "test" in result.metrics else "val" if "val" in result.metrics else ""
    what = listed(list(result.targets), 4) if result.kind in page.KINDS else "missing edges"
    return {
        "title": f"{shorten(_arch(result), 40)} on {shorten(what, 60)}",
        "finished": result.finished.replace("T", " ")[:16],
        "kind": page.KINDS.get(result.kind) or KINDS.get(result.kind, result.kind),
        "headline": _headline(result, part),
        "part": {"test": "test", "val": "validation"}.get(part, ""),
        "asked": {
            "command": shorten(result.command, 2000),
            "notes": [shorten(n, 400) for n in result.notes],
            "targets": what,
        }
        | sections.options(result.config, KEY_OPTIONS, {"ensemble_size": 1}),
        "graph": _graph(result),
        "reasons": [(table, reason, count(n)) for table, reasons in result.facts.reasons.items() for reason, n in reasons.items()],
        "sizes": [(word, count(result.sizes[p])) for p, word in plots.PARTS if p in result.sizes],
        "scores": _scores(result),
        "figures": _curves(result),
        "cost": _cost(result),
        "model": result.model_file,
        "level": result.level,
        "versions": list(result.versions.items()),
    }


def _headline(result: GraphResult, part: str) -> dict[str, Any]:
    if not part:
        return {"lead": "Trained; no part was left to judge it by.", "rest": [], "figures": []}
    name = result.main_metric
    label, value = metric(name).label, result.metrics[part]["mean"].get(name, math.nan)
    word = "test" if part == "test" else "validation"
    rest = [sentence] if (sentence := verdict(result, part)) else []
    figures = [(number(v), metric(k).label) for k, v in list(result.metrics[part]["mean"].items())[:4] if math.isfinite(v)]
    return {"lead": f"{_arch(result)} reaches {label} {number(value)} on {count(result.sizes[part])} {word} {result.level}s.", "rest": rest,
            "figures": figures}  # fmt: skip


def _graph(result: GraphResult) -> list[tuple[str, str]]:
    f = result.facts
    rows = [
        ("nodes", count(f.nodes)),
        ("edges", count(f.edges)),
        ("direction", "directed" if f.directed else "undirected"),
    ]
    rows += [("relations", count(f.relations))] if f.relations else []
    rows += [("features of a node", count(f.features)), ("mean degree", number(f.mean_degree)), ("largest degree", count(f.max_degree)),
             ("nodes without an edge", count(f.isolated))]  # fmt: skip
    if math.isfinite(f.homophily):
        rows.append(("edges between nodes of one class", percent(f.homophily)))
    return rows


def _scores(result: GraphResult) -> dict[str, Any]:
    """Rows: the network, then each baseline; columns: the metrics of each part."""
    parts = [p for p in ("test", "val") if p in result.metrics]
    names = list(result.metrics[parts[0]]["mean"]) if parts else []
    head = [f"{'test' if p == 'test' else 'validation'} {metric(n).label}" for p in parts for n in names]

    def cells(metrics: dict[str, Any]) -> list[str]:
        values = [metrics.get(p, {}).get("mean", {}).get(n, math.nan) for p in parts for n in names]
        return [number(v) if math.isfinite(v) else "" for v in values]

    return {
        "head": head,
        "rows": [(_arch(result), cells(result.metrics)), *((b, cells(r.metrics)) for b, r in result.baselines.items())],
    }


def _curves(result: GraphResult) -> list[tuple[Markup, str]]:
    figures = []

    def curve(style: str, legend: str, value: Callable[[Epoch], float]) -> list[sections.Curve]:
        found = []
        for member in sorted({r.member for r in result.history}):
            rows = [(r.epoch + 1, value(r)) for r in result.history if r.member == member and math.isfinite(value(r))]
            if len(rows) > 1:
                x, y = np.array(rows, float).T
                found.append((style, legend, x, y))
        return found

    loss = curve("train", "training", lambda r: r.train_loss) + curve("model", "validation", lambda r: r.val_loss)
    if loss:
        figures.append((plots.learning_curves(loss, "loss", [], log=all((c[3] > 0).all() for c in loss)), "Loss a label."))
    name = result.main_metric
    scored = curve("model", "validation", lambda r: r.val_metrics.get(name, math.nan))
    if scored:
        figures.append((plots.learning_curves(scored, metric(name).label, [], log=False), f"Validation {metric(name).label}."))
    return figures


def _cost(result: GraphResult) -> list[tuple[str, str]]:
    rows = [(name, duration(s)) for name, s in result.seconds.items()]
    rows += [
        ("epochs", count(len(result.history))),
        ("parameters", count(result.parameters)),
        ("peak memory", megabytes(result.peak_memory_mb)),
    ]
    return rows
