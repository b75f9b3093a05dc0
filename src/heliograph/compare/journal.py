"""The journal of a comparison: one JSON line for each thing that was settled or finished, appended as it comes.

A killed comparison leaves at most one broken line at the end, which is dropped; what stands in whole lines is not done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heliograph.errors import DataError
from heliograph.files import JsonLines

FILE = "journal.jsonl"


class Journal:
    """`about` says what is compared; a journal of something else is refused (DataError)."""

    def __init__(self, folder: Path, about: Mapping[str, Any]):
        self.path = folder / FILE
        self._lines = JsonLines(self.path)
        lines = [_renamed(line) for line in self._lines.read()]
        if not lines:
            folder.mkdir(parents=True, exist_ok=True)
            self._lines.append({"about": dict(about)})
        elif lines[0].get("about") != dict(about):
            old = lines[0].get("about", {})
            other = [f"{k} was {old.get(k)!r}, is {v!r}" for k, v in about.items() if old.get(k) != v]
            raise DataError(
                f"{self.path} is of another comparison: {'; '.join(other)}. Begin again with --overwrite, or in another folder."
            )
        self.epochs: dict[str, int] = {line["learner"]: line["epochs"] for line in lines if line.get("what") == "epochs"}
        self.sources: dict[str, str] = {line["learner"]: line["source"] for line in lines if line.get("source")}
        self.evaluations: dict[tuple[str, str], dict[str, Any]] = {
            (line["learner"], line["fold"]): line for line in lines if line.get("what") == "evaluation" and "failed" not in line
        }
        self.trials: dict[tuple[str, str], list[dict[str, Any]]] = {}  # in the order of their numbers
        for line in lines:
            if line.get("what") == "trial":
                self._try(line)
        for key in [key for key, lines in self.trials.items() if all("failed" in line for line in lines)]:
            del self.trials[key]
        self.failed: dict[tuple[str, str], str] = {}  # in this run; what failed before is tried again

    def settle(self, learner: str, epochs: int, source: str = "") -> None:
        """Note the epochs that a budget of time came to for one learner; `source`: the digest of your architecture file, else ""."""
        self.epochs[learner], self.sources[learner] = epochs, source
        self._lines.append({"what": "epochs", "learner": learner, "epochs": epochs} | ({"source": source} if source else {}))

    def trained(self, learner: str) -> bool:
        """Whether any training of it came to an end."""
        return any(learner == name for name, _ in (*self.evaluations, *self.trials))

    def finish(self, evaluation: Mapping[str, Any]) -> None:
        """One learner on one fold: "learner", "fold", and "scores" and "cost", or why it "failed"."""
        key = evaluation["learner"], evaluation["fold"]
        if "failed" in evaluation:
            self.failed[key] = evaluation["failed"]
        else:
            self.evaluations[key] = dict(evaluation)
        self._lines.append({"what": "evaluation"} | dict(evaluation))

    def tried(self, trial: Mapping[str, Any]) -> None:
        """One trial of a learner on a fold: an evaluation with its number in "trial", its "settings" and, unless it failed, its "loss"."""
        self._try(trial)
        self._lines.append({"what": "trial"} | dict(trial))

    def _try(self, trial: Mapping[str, Any]) -> None:
        before = self.trials.setdefault((trial["learner"], trial["fold"]), [])
        if trial["trial"] == 0 and all("failed" in line for line in before):  # all failed, and were begun again
            before.clear()
        if trial["trial"] == len(before):
            before.append(dict(trial))


def _renamed(line: dict[str, Any]) -> dict[str, Any]:
    """The line with today's names, where an earlier version wrote it."""
    if line.get("what") == "unit":
        line["what"] = "evaluation"
    if "signals" in line:
        line["propagation"] = line.pop("signals")
    return line
