"""A campaign: buy labels from an oracle round after round, and go on where it stopped."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from heliograph import manifest
from heliograph.active.acquisition import Terms, choose
from heliograph.active.config import CampaignConfig
from heliograph.active.learner import learner, readable
from heliograph.active.simulation import JOURNAL, Progress, opened
from heliograph.errors import DataError
from heliograph.files import JsonLines, atomic
from heliograph.manifest import Kind
from heliograph.screen.oracle import oracle

RESULTS, LABELLED, REPORT = "results.json", "labelled.csv", "report.html"
WRITTEN = (JOURNAL, RESULTS, LABELLED, REPORT)
CAMPAIGN = Kind("a campaign", re.compile("|".join(map(re.escape, WRITTEN))))
PIECE = 8  # molecules that an oracle of this process labels before they stand in the journal


@dataclass(eq=False)
class Campaign:
    """What was bought, in order: rows with `smiles`, `round` (0: at random), `y` or `reason`, and what was `predicted` before."""

    bought: list[dict[str, Any]]
    best: list[float | None]  # after each round
    stopped: str
    goal: str
    pool: int


def run(config: CampaignConfig, *, resume: bool = False, overwrite: bool = False, progress: Progress | None = None) -> Campaign:
    """Buy `start` molecules at random, then `batch` a round. A label that fails is a row with its reason, and is not bought again.

    Raises UsageError, DataError (no label at all; an oracle's command that fails).
    """
    from heliograph.data.formats import read

    table = read(config.data_path, smiles_column=config.smiles_columns, target_columns=())
    smiles, _, _, cells = readable(table)
    ask = oracle(config.oracle, smiles, cells, config.timeout)
    free = {"output_dir", "data_path", "rounds", "no_gain", "timeout"}
    about = {"molecules": len(smiles)} | {k: v for k, v in config.model_dump(mode="json").items() if k not in free}
    journal = opened(config.output_dir, about, resume, overwrite, WRITTEN, CAMPAIGN)
    state = _State(config, smiles, journal, progress)
    campaign = state.advance(ask, PIECE if "{" not in config.oracle else config.batch)
    _save(campaign, config)
    manifest.seal(config.output_dir)
    return campaign


class _State:
    """What stands in the journal: rounds (what was chosen) and labels (what it came to)."""

    def __init__(self, config: CampaignConfig, smiles: Sequence[str], journal: JsonLines, progress: Progress | None):
        self.config, self.smiles, self.journal, self.progress = config, smiles, journal, progress
        self.chosen: list[dict[str, Any]] = []  # {"round", "rows", "predicted"}
        self.labels: dict[int, tuple[float | None, str]] = {}
        for line in journal.read()[1:]:
            if "rows" in line:
                self.chosen.append(line)
            else:
                self.labels[line["row"]] = (line["y"], line["reason"])

    def advance(self, ask: Any, piece: int) -> Campaign:
        c, sign = self.config, 1.0 if self.config.goal == "max" else -1.0
        model, best, stopped = learner(c, self.smiles), list[float | None](), "all rounds were run"
        for step in range(c.rounds + 1):
            if step >= len(self.chosen):
                chosen = self._choose(model, step, sign)
                if chosen is None:
                    stopped = "nothing is left to buy"
                    break
                self.journal.append(chosen)
                self.chosen.append(chosen)
            self._buy(ask, self.chosen[step]["rows"], piece, step)
            known = [sign * y for y, _ in self.labels.values() if y is not None]
            here = [sign * y for r in range(step + 1) for k in self.chosen[r]["rows"] if (y := self.labels[k][0]) is not None]
            if not known:
                reasons = [why for _, why in self.labels.values()]
                raise DataError(f"the oracle gave no label for {len(reasons)} molecules; the first: {reasons[0]}")
            best.append(sign * max(here) if here else None)
            if c.no_gain is not None and step >= c.no_gain and best[-1] == best[-1 - c.no_gain]:
                stopped = f"no better molecule in {c.no_gain} rounds"
                break
        return Campaign(self._bought(len(best)), best, stopped, c.goal, len(self.smiles))

    def _choose(self, model: Any, step: int, sign: float) -> dict[str, Any] | None:
        c = self.config
        rng = np.random.default_rng([c.seed, step])
        taken = {k for line in self.chosen for k in line["rows"]}
        rest = np.array([k for k in range(len(self.smiles)) if k not in taken], dtype=np.int64)
        if not len(rest):
            return None
        if step == 0:
            rows = np.sort(rng.choice(rest, min(c.start, len(rest)), replace=False))
            return {"round": 0, "rows": rows.tolist(), "predicted": None}
        known = [k for k, (y, _) in self.labels.items() if y is not None]
        labels = [y for k in known if (y := self.labels[k][0]) is not None]
        beliefs = model.beliefs(np.array(known), sign * np.array(labels), rest, c.seed + step)
        terms = Terms(float((sign * np.array(labels)).max()), c.beta)
        places = choose(c.acquisition, beliefs, c.batch, terms, rng, [self.smiles[k] for k in rest], c.similarity)
        predicted = [[sign * float(beliefs.mean[k]), float(beliefs.std[k])] for k in places]
        return {"round": step, "rows": rest[places].tolist(), "predicted": predicted}

    def _buy(self, ask: Any, rows: Sequence[int], piece: int, step: int) -> None:
        left = [k for k in rows if k not in self.labels]
        for start in range(0, len(left), piece):
            some = left[start : start + piece]
            for k, (y, reason) in zip(some, ask(some), strict=True):
                self.labels[k] = (y, reason)
                self.journal.append({"row": k, "y": y, "reason": reason})
            if self.progress is not None:
                self.progress(f"round {step} of {self.config.rounds}: labelling", len(rows) - len(left) + start + len(some), len(rows))

    def _bought(self, rounds: int) -> list[dict[str, Any]]:
        found = []
        for line in self.chosen[:rounds]:
            for place, k in enumerate(line["rows"]):
                mean, std = line["predicted"][place] if line["predicted"] is not None else (None, None)
                y, reason = self.labels[k]
                found.append({"round": line["round"], "smiles": self.smiles[k], "y": y, "predicted": mean, "std": std, "reason": reason})
        return found


def _save(campaign: Campaign, config: CampaignConfig) -> None:
    import csv

    with atomic(config.output_dir / LABELLED) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["round", "smiles", "y", "predicted", "std", "reason"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(campaign.bought)
    with atomic(config.output_dir / RESULTS) as temporary:
        data = {k: v for k, v in asdict(campaign).items() if k != "bought"} | {"bought": len(campaign.bought)}
        temporary.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
