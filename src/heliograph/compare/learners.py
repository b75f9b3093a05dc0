"""Names of learners: an architecture, with arguments where they are not the defaults, and the ladder.

"gcn", "gcn:depth=2", "gin:depth=3:aggregate=mean", "path/to/mine.py", "mine.toml"
"""

from __future__ import annotations

import inspect
import json
from typing import Any

from heliograph import zoo
from heliograph.errors import UsageError, suggest

# From the simplest network upwards; each rung adds one thing to the one below.
LADDER = {
    "gcn:depth=2": "means over neighbours, two steps, no bonds",
    "gcn": "more steps",
    "gin": "sums, and bonds",
    "gatedgcn": "gates, and states of bonds",
    "dmpnn": "messages on directed bonds",
    "gps": "attention between all atoms, and random walks, which see beyond 1-WL",
}


def parted(learner: str) -> tuple[str, dict[str, Any]]:
    """Return the architecture and its arguments: ("gcn", {"depth": 2}) of "gcn:depth=2". A value is JSON, else text.

    Only architectures of the zoo take arguments here; any other name is returned as it is. Raises UsageError for an argument without "=".
    """
    arch, *pairs = learner.split(":")
    if not pairs or arch not in zoo.names():
        return learner, {}
    arguments = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--archs {learner}: {pair!r} is no argument. Write {arch}:NAME=VALUE, as in gcn:depth=2.")
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value
    return arch, arguments


def check(learner: str) -> None:
    """Raise UsageError where there is no such architecture, or it has no such argument."""
    arch, arguments = parted(learner)
    known = set(inspect.signature(zoo.load(arch).build).parameters) - {"inputs", "out"}
    for name in arguments:
        if name not in known:
            raise UsageError(f"--archs {learner}: {arch} has no argument {name!r}; {suggest(name, known)}")
