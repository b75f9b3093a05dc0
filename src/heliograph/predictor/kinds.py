"""Kinds of model files, and which verbs read them: said where a file of one kind is given to what reads another."""

from __future__ import annotations

import os
from dataclasses import dataclass

from heliograph.errors import ModelFileError


@dataclass(frozen=True)
class Kind:
    """How people call it, its verbs with an example, and the Python function that opens it."""

    name: str
    verbs: str
    opens: str


KINDS = {
    "molecules": Kind(
        "a model of molecules",
        "`heliograph predict MODEL molecules.csv`, and screen, evaluate, calibrate, explain, embed, drift, serve, active suggest",
        "heliograph.predictor.open",
    ),
    "structures": Kind("a potential", "`heliograph predict MODEL frames.extxyz`, and relax and md", "heliograph.potential.Potential.load"),
    "graph": Kind(
        "a model of one graph",
        "`heliograph predict MODEL --edges edges.csv` (or --pairs, --top-k), and explain with --do",
        "heliograph.onegraph.predictor.GraphPredictor.load",
    ),
    "generator": Kind(
        "a generator", "`heliograph generate sample MODEL`, and generate conformers and evaluate", "heliograph.generate.runner.load"
    ),
}


def expect(found: str, wanted: str, path: str | os.PathLike[str]) -> None:
    """Raise ModelFileError where a file is of another kind; it names the verbs for what was given."""
    if found == wanted:
        return
    if not isinstance(found, str) or found not in KINDS:  # a file may say anything
        raise ModelFileError(f"{path} is of the kind {str(found)[:60]!r}, which this version does not know: it knows {', '.join(KINDS)}")
    kind = KINDS[found]
    raise ModelFileError(f"{path} is {kind.name}, not {KINDS[wanted].name}. It is for {kind.verbs}; in Python, {kind.opens}.")
