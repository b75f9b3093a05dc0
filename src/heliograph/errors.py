"""One family of errors: what was wanted, what came, where, and what to do.

The command line prints the text alone (a traceback only with `--verbose`) and exits with `exit_code`.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class HeliographError(Exception):
    """Base of all errors that are the user's to read; data or run-time by default."""

    exit_code = 1


class DataError(HeliographError):
    """The input can't be used: a missing file, a wrong column, no usable row."""


class UsageError(HeliographError):
    """The question was put wrongly: an unknown option, an impossible combination."""

    exit_code = 2


class ModelFileError(HeliographError):
    """A model file is truncated, damaged, foreign, or from a later version."""


class StructureError(HeliographError):
    """One structure can't be used. Never ends a run: its text becomes the row's reason."""


def suggest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` where something is near, else the list of what there is."""
    known = sorted(known)
    lower = {k.lower(): k for k in known}
    near = get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    if near:
        return f"did you mean {lower[near[0]]!r}?"
    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    return f"known: {shown}" if known else "there are none"
