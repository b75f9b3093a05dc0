"""A simulation: labels that are known are hidden and bought, to see which acquisition finds the best molecules with the fewest."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy import stats

from heliograph import manifest
from heliograph.active.acquisition import Terms, choose
from heliograph.active.config import SimulateConfig
from heliograph.active.learner import Learner, learner, readable
from heliograph.errors import DataError, UsageError
from heliograph.files import JsonLines, atomic
from heliograph.manifest import Kind

JOURNAL, RESULTS, CURVES, REPORT = WRITTEN = ("journal.jsonl", "results.json", "curves.csv", "report.html")
SIMULATION = Kind("a simulation", re.compile("|".join(map(re.escape, WRITTEN))))
MEASURES = ("found", "best", "rmse", "coverage")
CLAIMED = 0.9  # of the truths that mean +- 1.645 std should hold


class Progress(Protocol):
    """How far it is, and lines that stay."""

    def __call__(self, stage: str, done: int, total: int | None = None) -> None: ...

    def say(self, text: str) -> None: ...


@dataclass(frozen=True)
class Point:
    """After a round: labels bought, share of the wanted that is among them, best value, and on what is never bought RMSE and coverage."""

    labelled: int
    found: float
    best: float
    rmse: float | None
    coverage: float | None


@dataclass(eq=False)
class Curve:
    """One acquisition: for each number of labels the mean over repeats of each measure, with a 95 % t interval."""

    acquisition: str
    labelled: list[int]
    mean: dict[str, list[float]]
    low: dict[str, list[float]]
    high: dict[str, list[float]]


@dataclass(eq=False)
class Simulation:
    """The curves, and what was simulated."""

    curves: list[Curve]
    target: str
    pool: int
    wanted: int
    repeats: int
    learner: str
    notes: list[str] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """`results.json` and `curves.csv`."""
        with atomic(folder / RESULTS) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        lines = ["acquisition,labelled," + ",".join(f"{m},{m}_low,{m}_high" for m in MEASURES)]
        for curve in self.curves:
            for k, n in enumerate(curve.labelled):
                cells = [f"{v[m][k]:.6g}" for m in MEASURES for v in (curve.mean, curve.low, curve.high)]
                lines.append(f"{curve.acquisition},{n},{','.join(cells)}")
        with atomic(folder / CURVES) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def simulate(config: SimulateConfig, *, resume: bool = False, overwrite: bool = False, progress: Progress | None = None) -> Simulation:
    """Run every acquisition `repeats` times from the same starts. An interrupted one goes on with `resume`.

    Raises UsageError (a simulation in the folder), DataError (no label).
    """
    from heliograph.data.formats import read

    table = read(config.data_path, smiles_column=config.smiles_columns, target_columns=[config.target] if config.target else None)
    if not table.targets:
        raise DataError(f"{table.name} has no numeric column to take for a label")
    target = table.targets[0]
    smiles, y, reasons, _ = readable(table, target)
    rng = np.random.default_rng(config.seed)
    if config.sample is not None and config.sample < len(smiles):
        rows = np.sort(rng.choice(len(smiles), config.sample, replace=False))
        smiles, y = [smiles[k] for k in rows], y[rows]
    if config.shuffle_labels:
        y = rng.permutation(y)
    world = _World(config, smiles, y, learner(config, smiles))
    about = {"target": target, "molecules": len(smiles), **_about(config)}
    journal = opened(config.output_dir, about, resume, overwrite, WRITTEN, SIMULATION)
    done = {(line["acquisition"], line["repeat"]): line["points"] for line in journal.read()[1:]}
    units = [(a, r) for r in range(config.repeats) for a in dict.fromkeys(config.acquisitions)]
    for k, (acquisition, repeat) in enumerate(units):
        if (acquisition, repeat) not in done:
            points = [asdict(point) for point in world.simulate(acquisition, repeat)]
            journal.append({"acquisition": acquisition, "repeat": repeat, "points": points})
            done[acquisition, repeat] = points
        if progress is not None:
            progress("simulating", k + 1, len(units))
    curves = [_curve(a, [done[a, r] for r in range(config.repeats)]) for a in dict.fromkeys(config.acquisitions)]
    notes = [f"{len(reasons):,} rows left out"] if reasons else []
    found = Simulation(curves, target, len(world.pool(0)), int(world.wanted.sum()), config.repeats, config.learner, notes)
    found.save(config.output_dir)
    manifest.seal(config.output_dir)
    return found


class _World:
    """Molecules whose labels can be bought."""

    def __init__(self, config: SimulateConfig, smiles: Sequence[str], y: np.ndarray, model: Learner):
        self.config, self.smiles, self.model = config, smiles, model
        self.y = y if config.goal == "max" else -y  # high is good
        self.wanted = self.y >= np.sort(self.y)[::-1][max(1, round(config.top * len(y))) - 1]
        if set(np.unique(y)) <= {0.0, 1.0}:
            self.wanted = self.y == self.y.max()
        if len(y) < config.start + config.batch:
            raise DataError(f"{len(y)} molecules are too few for --start {config.start} and --batch {config.batch}")

    def pool(self, repeat: int) -> np.ndarray:
        """Rows that can be bought in a repeat; the others measure the model."""
        n = len(self.y)
        rows = np.random.default_rng([self.config.seed, repeat]).permutation(n)
        return rows[round(self.config.holdout * n) :]

    def simulate(self, acquisition: str, repeat: int) -> list[Point]:
        """One curve: what each batch that was bought came to."""
        c, pool = self.config, self.pool(repeat)
        aside = np.setdiff1d(np.arange(len(self.y)), pool)
        labelled, rest = pool[: c.start], pool[c.start :]
        rng = np.random.default_rng([c.seed, repeat, 1])
        points = []
        for step in range(c.rounds + 1):
            last = step == c.rounds or not len(rest)
            asked = aside if last else np.concatenate([rest, aside])
            beliefs = self.model.beliefs(labelled, self.y[labelled], asked, c.seed + 1000 * repeat + step) if len(asked) else None
            points.append(self._point(labelled, pool, aside, beliefs))
            if last or beliefs is None:
                break
            here = type(beliefs)(beliefs.mean[: len(rest)], beliefs.std[: len(rest)], beliefs.members[:, : len(rest)])
            terms = Terms(float(self.y[labelled].max()), c.beta)
            chosen = choose(acquisition, here, c.batch, terms, rng, [self.smiles[k] for k in rest], c.similarity)
            labelled, rest = np.concatenate([labelled, rest[chosen]]), np.delete(rest, chosen)
        return points

    def _point(self, labelled: np.ndarray, pool: np.ndarray, aside: np.ndarray, beliefs: Any) -> Point:
        wanted = self.wanted[pool].sum()
        found = float(self.wanted[labelled].sum() / wanted) if wanted else 0.0
        best = float(self.y[labelled].max())
        best = best if self.config.goal == "max" else -best
        if not len(aside) or beliefs is None:
            return Point(len(labelled), found, best, None, None)
        mean, std, y = beliefs.mean[-len(aside) :], beliefs.std[-len(aside) :], self.y[aside]
        inside = np.abs(y - mean) <= stats.norm.ppf((1 + CLAIMED) / 2) * std
        return Point(len(labelled), found, best, float(np.sqrt(((y - mean) ** 2).mean())), float(inside.mean()))


def _curve(acquisition: str, runs: list[list[dict[str, Any]]]) -> Curve:
    n = min(map(len, runs))
    curve = Curve(acquisition, [runs[0][k]["labelled"] for k in range(n)], {}, {}, {})
    t = stats.t.ppf(0.975, len(runs) - 1) if len(runs) > 1 else float("nan")
    for measure in MEASURES:
        values = np.array([[np.nan if run[k][measure] is None else run[k][measure] for k in range(n)] for run in runs])
        mean = values.mean(0)
        half = t * values.std(0, ddof=1) / np.sqrt(len(runs)) if len(runs) > 1 else np.full(n, np.nan)
        low, high = mean - half, mean + half
        if measure in ("found", "coverage"):  # shares
            low, high = np.maximum(low, 0.0), np.minimum(high, 1.0)
        curve.mean[measure], curve.low[measure], curve.high[measure] = mean.tolist(), low.tolist(), high.tolist()
    return curve


def _about(config: SimulateConfig) -> dict[str, Any]:
    free = {"output_dir", "acquisitions", "repeats", "data_path"}
    return {"data": config.data_path.name} | {k: v for k, v in config.model_dump(mode="json").items() if k not in free}


def opened(folder: Path, about: dict[str, Any], resume: bool, overwrite: bool, ours: Sequence[str], kind: Kind) -> JsonLines:
    """The journal of a folder, begun if it is new. Raises UsageError where one of something else, or unasked for, is there."""
    held, journal, what = manifest.held(folder, kind), JsonLines(folder / JOURNAL), kind.name.removeprefix("a ")
    if held is not None and journal.path.exists() and not resume and not overwrite:
        raise UsageError(f"there is a {what} in {folder}. Go on with it by --resume, replace it by --overwrite, or give another -o.")
    if resume and not journal.path.exists():
        raise UsageError(f"nothing to resume: there is no {what} in {folder}. Leave out --resume.")
    manifest.claim(folder, kind, [name for name in ours if name != JOURNAL or not resume], replace=not resume)  # a journal is added to
    lines = journal.read()
    if not lines:
        journal.append({"about": about})
    elif (old := lines[0].get("about", {})) != about:
        other = [f"{k} was {old.get(k)!r}, is {v!r}" for k, v in about.items() if old.get(k) != v]
        raise UsageError(f"{journal.path} is of another {what}: {'; '.join(other)[:600]}. Begin again with --overwrite.")
    return journal
