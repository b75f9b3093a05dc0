"""Why a row can't be used, in words that can be counted: `kind: detail`, the kind from this short list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def kind(reason: str) -> str:
    """The part of a reason that is the same for all rows that fail alike: the text before the first colon."""
    return reason.partition(":")[0].strip()


def count(reasons: Iterable[str]) -> dict[str, int]:
    """How many rows per kind, the most frequent first; empty reasons (usable rows) are not counted."""
    return dict(Counter(kind(reason) for reason in reasons if reason).most_common())
