"""Which molecules of a pool to measure next, by a model that is there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from heliograph.active.acquisition import Beliefs, Terms, choose, parse
from heliograph.active.config import SuggestConfig
from heliograph.active.simulation import Progress
from heliograph.data.writer import check_output, open_writer
from heliograph.errors import DataError, StructureError, UsageError
from heliograph.errors import suggest as near
from heliograph.files import atomic

CHUNK = 4096


@dataclass(frozen=True)
class Suggestion:
    """What was written: molecules chosen, of how many that could be, and how many were known or could not be used."""

    chosen: int
    pool: int
    known: int
    bad: int


def suggest(config: SuggestConfig, *, overwrite: bool = False, progress: Progress | None = None) -> Suggestion:
    """Write the `count` most wanted molecules of the pool with what the model believes of them.

    Raises UsageError (the output exists; an acquisition that needs a spread and a model without one), DataError.
    """
    from heliograph.predictor.predictor import open as open_model

    check_output(config.output_path, [config.model_path, config.data_path], overwrite)
    predictor = open_model(config.model_path)
    task = predictor.task
    target = config.target if config.target is not None else task.targets[0]
    if target not in task.targets or task.kind == "multiclass":
        raise UsageError(f"--target: the model predicts no number {target!r}; {near(target, task.targets)}")
    plain, _ = parse(config.acquisition)
    if plain in ("thompson", "bald") and len(predictor.models) < 2:
        raise UsageError(f"--acquisition {config.acquisition} needs an ensemble; this model file has one network. Use ucb or ei.")
    t, sign = task.targets.index(target), 1.0 if config.goal == "max" else -1.0
    known = _known(config)
    smiles, members, y, std, counts = _believed(config, predictor, t, known, progress)
    if plain in ("ucb", "ei", "pi", "std") and not np.isfinite(std).any():
        ways = "Use greedy, or train an ensemble"
        raise UsageError(f"--acquisition {config.acquisition} needs error bars, which this model file has not. {ways}.")
    beliefs = Beliefs(sign * y, np.nan_to_num(std), sign * members)
    best = sign * config.best if config.best is not None else float((sign * y).max())
    rng = np.random.default_rng(config.seed)
    places = choose(config.acquisition, beliefs, config.count, Terms(best, config.beta), rng, smiles, config.similarity)
    columns = ["rank", "smiles", f"{target}_pred", f"{target}_std"]
    with atomic(config.output_path) as temporary, open_writer(temporary, config.output_path.name, [*columns, "reason"], set()) as writer:
        for rank, k in enumerate(places, 1):
            writer.row([str(rank), smiles[k]], [float(y[k]), float(std[k])], "")
    return Suggestion(len(places), len(smiles), *counts)


def _known(config: SuggestConfig) -> set[str]:
    from heliograph.active.learner import readable
    from heliograph.data.formats import read

    return set(readable(read(config.known, target_columns=()))[0]) if config.known is not None else set()


def _believed(config: SuggestConfig, predictor: Any, t: int, known: set[str], progress: Progress | None) -> tuple[Any, ...]:
    """Canonical SMILES, members' values [M, n], values and standard deviations [n], and (known, unusable)."""
    from heliograph.chem.parse import canonical
    from heliograph.chem.pool import featurize_table
    from heliograph.data.formats import read
    from heliograph.predictor.stream import answer

    usual = predictor.document.training.get("structure_column")
    table = read(config.data_path, smiles_column=config.smiles_columns, target_columns=(), usual_column=usual)
    rows = iter(featurize_table(table, predictor.featurizer, config.num_workers, scaffold=False))
    wanted = parse(config.acquisition)[0] in ("thompson", "bald")
    smiles: dict[str, None] = {}
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    skipped = bad = 0
    while chunk := list(islice(rows, CHUNK)):
        kept = []
        for record, molecule, reason in chunk:
            try:
                text = canonical(record.structure) if molecule is not None and isinstance(record.structure, str) else ""
            except StructureError:
                text = ""
            bad += not text
            skipped += text in known
            if text and text not in known and text not in smiles:
                smiles[text] = None
                kept.append((record, molecule, reason))
        found = answer(kept, predictor, None)
        y = found.y[:, t]
        std = np.full(len(y), np.nan) if found.std is None else found.std[:, t]
        each = [answer(kept, member, None).y[:, t] for member in predictor.members] if wanted else [y]
        parts.append((np.stack(each) if kept else np.zeros((len(each), 0)), y, std))
        if progress is not None:
            progress("predicting", len(smiles))
    if not smiles:
        raise DataError(f"{table.name} has no molecule to choose from: {skipped} are known, {bad} can't be used")
    members, y, std = (np.concatenate([part[k] for part in parts], axis=-1) for k in range(3))
    texts = list(smiles)
    fine = np.isfinite(y)
    return [texts[k] for k in np.flatnonzero(fine)], members[:, fine], y[fine], std[fine], (skipped, bad + int((~fine).sum()))
