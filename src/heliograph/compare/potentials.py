"""Potentials compared on the same frames: every architecture is trained on the same random divisions, and the answer is in words.

A division draws a test part of 1 / K and a validation part of a tenth; R x K of them are made. Trainings share frames, so the tests are
those for overlapping folds (`statistics`). Each training is a run folder of its own, `ARCHITECTURE-NUMBER`; one that is whole is not
done again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heliograph.compare.learners import check, parted
from heliograph.compare.statistics import Scores, pairs
from heliograph.compare.statistics.paired import needed, practical
from heliograph.errors import DataError, UsageError
from heliograph.files import atomic
from heliograph.learn import budget
from heliograph.learn.progress import Lines, Progress
from heliograph.potential.config import TrainPotential
from heliograph.potential.result import LABELS, RESULTS, PotentialResult

FILE, SAVED = "comparison.json", "potentials.json"
FAST = 1.5  # times cheaper is worth a sentence
MATTERS = 0.05  # of the best error: differences below do not matter, unless --rope says otherwise


@dataclass(frozen=True, eq=False)
class PotentialComparison:
    """`values` [J, L]: test errors of L architectures on J divisions, by `metric`; training `seconds` [J, L]; `parameters` [L]."""

    archs: tuple[str, ...]
    metric: str
    values: np.ndarray
    seconds: np.ndarray
    parameters: tuple[int, ...]
    frames: int
    folds: int
    rope: float

    @property
    def scores(self) -> Scores:
        return Scores(self.values, self.archs, 1, 1 / (self.folds - 1))

    @property
    def ranking(self) -> tuple[str, ...]:
        """Architectures, the best first."""
        return self.scores.best_first()

    @staticmethod
    def folder(arch: str, division: int) -> str:
        """Name of the run folder of a training."""
        return f"{Path(arch).stem.replace(':', '-').replace('=', '-').replace(',', '-')}-{division + 1}"

    def cost(self, arch: str) -> float:
        """Mean training time in seconds."""
        return float(self.seconds[:, self.archs.index(arch)].mean())

    def verdict(self) -> list[str]:
        """Sentences, the most important first."""
        scores, (what, unit) = self.scores, LABELS[self.metric]
        ranking = self.ranking
        best, mean = ranking[0], {arch: float(scores.of(arch).mean()) for arch in ranking}
        apart = {(p.a, p.b): p for p in pairs(scores)}
        differ = lambda a, b: (apart.get((a, b)) or apart[b, a]).differ  # noqa: E731
        equal = [arch for arch in ranking[1:] if not differ(best, arch)]
        over = f"over {len(self.values)} divisions of {self.frames:,} frames (95 %, all pairs together)"
        lead = f"{best} has the best {what}, {mean[best]:.3g} {unit}"
        if not equal:
            said = [f"{lead}, and it differs from every other architecture {over}.", f"Train {best}."]
        else:
            pick = min([best, *equal], key=self.cost)
            said = [f"{lead}, but {' and '.join(equal)} can't be told apart from it {over}."]
            if pick != best and self.cost(best) >= FAST * self.cost(pick):
                said.append(f"Train {pick}: it is {self.cost(best) / self.cost(pick):.2g} times faster to train than {best}.")
            else:
                said.append(f"Train {best}.")
            more = needed(scores, best, equal[0], family=len(self.archs))
            if more.folds is not None:
                said.append(f"To tell {best} from {equal[0]}, {more.folds} divisions would be needed, at even odds.")
            elif math.isfinite(more.molecules):
                said.append(f"No number of divisions would tell {best} from {equal[0]} on these frames.")
        p = practical(scores, best, ranking[1], self.rope)
        said.append(f"{best} is better than {ranking[1]} by more than {self.rope:.3g} {unit} with probability {p.better:.2f}.")
        return said

    def rows(self) -> list[tuple[str, ...]]:
        """A row of text for each architecture, the best first: name, error, its spread over divisions, parameters, seconds."""
        scores = self.scores
        return [
            (a, f"{scores.of(a).mean():.4g}", f"{scores.of(a).std(ddof=1):.2g}", f"{self.parameters[self.archs.index(a)]:,}",
             f"{self.cost(a):.0f}")
            for a in self.ranking
        ]  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write `potentials.json`."""
        document = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in self.__dict__.items()} | {"verdict": self.verdict()}
        with atomic(folder / SAVED) as temporary:
            temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> PotentialComparison:
        """Read `potentials.json`. Raises DataError where it is missing or damaged."""
        try:
            found = json.loads((folder / SAVED).read_text(encoding="utf-8"))
            values, seconds = (np.array(found[name], dtype=np.float64) for name in ("values", "seconds"))
            archs, counts = tuple(map(str, found["archs"])), tuple(map(int, found["parameters"]))
            metric, frames, folds, rope = str(found["metric"]), int(found["frames"]), int(found["folds"]), float(found["rope"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{folder / SAVED} can't be read: {error}") from None
        fits = values.shape == seconds.shape == (len(values), len(archs)) and len(counts) == len(archs) > 1 < folds
        if not fits or not np.isfinite(values).all() or metric not in LABELS:
            raise DataError(f"{folder / SAVED} is damaged: it does not fit together")
        return cls(archs, metric, values, seconds, counts, frames, folds, rope)


def run(
    config: TrainPotential, archs: Sequence[str], cv: tuple[int, int], rope: float | None = None, resume: bool = False,
    progress: Progress | None = None,
) -> PotentialComparison:  # fmt: skip
    """Train each of `archs` as `config` says on R x K divisions, into folders of `config.output_dir`, and compare their test errors.

    `config.fit.budget` is the time for all together, in equal shares. `cv` is (R, K). Raises UsageError: fewer than two architectures,
    parts given as files, another comparison in the folder; DataError, HeliographError as a training does.
    """
    from heliograph.potential import runner

    progress, here, (repeats, folds) = progress or Lines(), config.output_dir, cv
    if len(archs) < 2:
        raise UsageError("--archs: a comparison needs at least two architectures")
    if config.frames.val_path or config.frames.test_path:
        raise UsageError("a comparison draws its parts itself: leave --val-path and --test-path out")
    for arch in archs:
        check(arch)
    J = repeats * folds
    _claim(config, archs, cv, resume)
    sizes = (1 - 1 / folds - 0.1, 0.1, 1 / folds)
    share = f"{budget.seconds(config.fit.budget) / (J * len(archs)) / 60:.4g}m" if config.fit.budget else None
    found: dict[tuple[int, int], PotentialResult] = {}
    for j in range(J):
        for k, arch in enumerate(archs):
            name, args = parted(arch)
            folder = here / PotentialComparison.folder(arch, j)
            fit = config.fit.model_copy(update={"seed": config.fit.seed + j, "budget": share})
            one = config.model_copy(update={
                "frames": config.frames.model_copy(update={"split_sizes": sizes}), "fit": fit, "output_dir": folder,
                "potential": config.potential.model_copy(update={"arch": name, "arch_args": args}),
            })  # fmt: skip
            found[j, k] = runner.run(one, resume=(folder / RESULTS).is_file() or (folder / "config.toml").is_file(), progress=progress)
            progress("compare", j * len(archs) + k + 1, J * len(archs), f"{arch}, division {j + 1}")
    return _collected(found, tuple(archs), J, cv, rope, here)


def _collected(
    found: dict[tuple[int, int], PotentialResult], archs: tuple[str, ...], J: int, cv: tuple[int, int], rope: float | None, here: Path
) -> PotentialComparison:
    """The errors of all, by forces where there are any."""
    tests = [result.metrics.get("test", {}) for result in found.values()]
    metric = next((m for m in ("forces_mae", "energy_mae_per_atom") if all(m in test for test in tests)), None)
    if metric is None:
        raise DataError("no division has test frames with forces or energies that all architectures answer for")
    values = np.array([[found[j, k].metrics["test"][metric] for k in range(len(archs))] for j in range(J)])
    seconds = np.array([[found[j, k].seconds for k in range(len(archs))] for j in range(J)])
    counts = tuple(found[0, k].parameters for k in range(len(archs)))
    frames = sum(found[0, 0].sizes.values())
    matters = MATTERS * float(values.mean(0).min()) if rope is None else rope
    result = PotentialComparison(archs, metric, values, seconds, counts, frames, cv[1], matters)
    result.save(here)
    return result


def _claim(config: TrainPotential, archs: Sequence[str], cv: tuple[int, int], resume: bool) -> None:
    """Write down what is compared, or see that it is the same. Raises UsageError."""
    here = config.output_dir
    about = {"archs": list(archs), "cv": list(cv), "config": config.model_dump(mode="json", exclude={"output_dir"})}
    path = here / FILE
    if path.is_file():
        if not resume:
            raise UsageError(f"{here} holds a comparison already: --resume goes on with it, or choose another --output-dir.")
        if json.loads(path.read_text(encoding="utf-8")) != about:
            raise UsageError(f"--resume: {here} holds a comparison with other settings. Give the same ones, or another --output-dir.")
        return
    if resume:
        raise UsageError(f"--resume: there is no comparison of potentials in {here}")
    if here.exists() and any(here.iterdir()):
        raise UsageError(f"{here} is not empty: choose another --output-dir.")
    here.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(about, indent=1), encoding="utf-8")
