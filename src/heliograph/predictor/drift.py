"""Has the question moved away from what a model learned? A table of new molecules against its
training's, a sentence each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from heliograph.errors import DataError, UsageError
from heliograph.predictor.predictor import Answers, Predictor, joined
from heliograph.predictor.predictor import open as open_model
from heliograph.uncertainty.domain import OUTSIDE

MOST = 20_000  # rows that are looked at


class DriftConfig(BaseModel):
    """Which model meets which table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_path: Path = Field(description="a model file with a domain, or a run folder")
    data_path: Path = Field(description="table of molecules that are asked about now")
    smiles_columns: str | None = Field(None, description="column with the SMILES (default: 'smiles', else the first)")
    arch: Path | None = Field(None, description="your architecture file, where the model was trained with one")
    num_workers: int = Field(2, ge=0, description="processes that featurize (0: in this one)")


@dataclass(frozen=True)
class Drift:
    """`figures` by name, and what they mean in `sentences`."""

    figures: dict[str, Any]
    sentences: tuple[str, ...]


def drift(config: DriftConfig) -> Drift:
    """Compare the first MOST rows of a table with a model's training. Raises UsageError for a model
    without a domain.
    """
    predictor = open_model(config.model_path, config.arch)
    if predictor.trust.domain is None:
        raise UsageError(f"{config.model_path} has no domain: train with --members folds (--domain hashes or full)")
    answers = joined(list(_answers(predictor, config)))
    assert answers.in_domain is not None and answers.domain_distance is not None and answers.new_atoms is not None
    n = len(answers.y)
    outside = float((answers.in_domain < 0.5).mean())
    p = kolmogorov(answers.domain_distance)
    figures: dict[str, Any] = {
        "n": n,
        "out_of_domain": outside,
        "p_value": p,
        "new_atoms": float(answers.new_atoms.mean()),
    }
    like = "no larger than" if p >= 0.01 else "larger than"
    sentences = [
        f"{outside:.1%} of {n:,} molecules are out of domain; of molecules like those of training it would be about {OUTSIDE:.0%}.",
        f"Their distances to training are {like} those of training from each other (one-sided Kolmogorov-Smirnov test, p = {p:.2g}).",
        f"{figures['new_atoms']:.1%} of their atoms stand, with their neighbours, in no training molecule.",
    ]
    usual = predictor.document.calibration.get("residual_std") or []
    if answers.std is not None and predictor.trust.calibrated and predictor.task.kind == "regression":
        for t, target in enumerate(predictor.targets):
            sigma = float(np.sqrt(np.nanmean(np.square(answers.std[:, t]))))
            if t < len(usual) and usual[t]:
                figures[f"sigma of {target}"] = sigma
                sentences.append(f"Errors of {target} to be expected here: {sigma:.3g}, against {usual[t]:.3g} in training's folds.")
    return Drift(figures, tuple(sentences))


def _answers(predictor: Predictor, config: DriftConfig) -> Iterator[Answers]:
    from itertools import islice

    from heliograph.chem.pool import featurize_table
    from heliograph.data.formats import read
    from heliograph.data.store import Store

    usual = predictor.document.training.get("structure_column")
    table = read(config.data_path, smiles_column=config.smiles_columns, target_columns=(), usual_column=usual)
    outcomes = islice(featurize_table(iter(table), predictor.featurizer, config.num_workers, scaffold=False), MOST)
    molecules, reasons = [], Counter[str]()
    found = False
    for _, molecule, reason in outcomes:
        if molecule is None:
            reasons[reason] += 1
            continue
        molecules.append(molecule)
        if len(molecules) == 2048:
            found = True
            yield predictor.predict_store(Store.build(molecules, predictor.featurizer))
            molecules = []
    if molecules:
        found = True
        yield predictor.predict_store(Store.build(molecules, predictor.featurizer))
    if not found:
        raise DataError(f"{table.name} has no usable row: {dict(reasons) or 'it is empty'}")


def kolmogorov(ranks: Sequence[float] | np.ndarray) -> float:
    """Return the probability of ranks so far above uniform ones, if they were uniform (one-sided Kolmogorov-Smirnov test)."""
    from scipy import stats

    jitter = np.random.default_rng(0).random(len(ranks)) * 1e-6  # equal ranks are many
    return float(stats.kstest(np.clip(np.asarray(ranks) + jitter, 0.0, 1.0), "uniform", alternative="less").pvalue)
