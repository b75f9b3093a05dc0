"""What is asked of samples, from the words of the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from heliograph.errors import UsageError


def atoms(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text.strip())
    if match is None or not 2 <= int(match[1]) <= int(match[2] or match[1]) <= 200:
        raise UsageError(f"--atoms {text}: expected a number from 2 to 200 or a range like 15..18")
    return int(match[1]), int(match[2] or match[1])


def formula(text: str | None) -> dict[int, int]:
    from heliograph.chem.elements import SYMBOLS

    if text is None:
        return {}
    if not re.fullmatch(r"([A-Z][a-z]?\d*)+", text) or re.search(r"[A-Za-z]0", text):
        raise UsageError(f"--formula {text}: expected element symbols with counts, like C7H10O2")
    found: dict[int, int] = {}
    for symbol, count in re.findall(r"([A-Z][a-z]?)(\d*)", text):
        z = _number(symbol, SYMBOLS)
        found[z] = found.get(z, 0) + int(count or 1)
    if not 2 <= sum(found.values()) <= 200:
        raise UsageError(f"--formula {text}: it has {sum(found.values())} atoms; from 2 to 200 can be drawn")
    return found


def elements(texts: Sequence[str]) -> tuple[int, ...]:
    from heliograph.chem.elements import SYMBOLS

    return tuple(dict.fromkeys(_number(symbol, SYMBOLS) for text in texts for symbol in re.split(r"[,\s]+", text.strip()) if symbol))


def _number(symbol: str, symbols: Sequence[str]) -> int:
    if symbol not in symbols[1:]:
        raise UsageError(f"{symbol!r} is not the symbol of an element")
    return list(symbols).index(symbol)


def properties(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    found = {}
    for text in texts:
        number = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
        match = re.fullmatch(rf"\s*(.+?)\s*=\s*({number})(?:\.\.({number}))?\s*", text)
        if match is None or float(match[2]) > float(match[3] or match[2]):
            raise UsageError(f"--where {text}: expected NAME=VALUE or NAME=LEAST..MOST, like gap=5.5 or dipole=2..3")
        found[match[1]] = (float(match[2]), float(match[3] or match[2]))
    return found
