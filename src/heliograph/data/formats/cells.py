"""Reading one cell of a table: a number, a missing value, a bound, one of two words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

# pandas' marks, those of spreadsheets and of laboratories; compared in lower case
_PANDAS = ("nan", "-nan", "na", "n/a", "#n/a", "#na", "<na>", "null", "none", "nil", "nat", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan")
_HAND = ("-", "--", "---", "\u2010", "\u2011", "\u2013", "\u2014", "\u2212", ".", "?", "nd", "n.d.", "n.d", "n.a.", "n.a", "missing")
_SHEET = ("#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!", "#wert!")
MISSING = frozenset(["", "#n/a n/a", "n. d.", *_PANDAS, *_HAND, *_SHEET])
_NUMBER = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE | re.ASCII)
_GAP = "\u0020\u00a0\u2009\u202f'\u2019"  # between groups of three digits: kinds of space, apostrophes
_GROUPED = re.compile(rf"([+-]?\d{{1,3}})((?:[,{_GAP}]\d{{3}})+)(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(rf"([+-]?(?:\d{{1,3}}(?:[.{_GAP}]\d{{3}})+|\d*)),(\d*)([eE][+-]?\d+)?", re.ASCII)
_POINTS = re.compile(rf"[+-]?\d{{1,3}}(?:[.{_GAP}]\d{{3}})+", re.ASCII)
_BOUND = re.compile(r"\s*([<>\u2264\u2265]=?|&[lg]t;)\s*")
_SIGN = {"<": "<", "<=": "<", "\u2264": "<", "&lt;": "<", ">": ">", ">=": ">", "\u2265": ">", "&gt;": ">"}
Convention = Literal["plain", "comma", "grouped"]  # 1234.5 | 1.234,5 | 1,234.5
_TWO = (  # words for the two classes of a test: those that stand for 0, those that stand for 1
    (("false", "f"), ("true", "t")),
    (("no", "n"), ("yes", "y")),
    (("inactive", "negative", "neg", "-", "non-active"), ("active", "positive", "pos", "+")),
    (("nontoxic", "non-toxic"), ("toxic",)),
    (("fail", "failed"), ("pass", "passed")),
    (("off",), ("on",)),
)


def is_missing(cell: str, more: Iterable[str] = ()) -> bool:
    """Blank, or one of the marks that stand for missing (NaN, NA, null, -, N.D., #DIV/0! ...), or one of `more`."""
    text = cell.strip()
    if text.lower() in MISSING:
        return True
    return bool(more) and any(text == mark or same_number(text, mark) for mark in more)


def same_number(cell: str, mark: str) -> bool:
    """Whether two texts are one number: -999 and -999.0."""
    a, b = as_number(cell), as_number(mark)
    return a is not None and a == b


def as_number(cell: str) -> float | None:
    """The number in a cell as a table writes one (`1e-3`, `-.5`, `inf`, a minus of typography too), else None.

    `1_000` and other alphabets are no numbers.
    """
    text = cell.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    text = text.replace("\u2212", "-")
    return float(text) if _NUMBER.fullmatch(text) else None


def bound(cell: str) -> tuple[str, str]:
    """The sign of a censored value and what follows it: `>10` is (">", "10"); ("", cell) where there is none."""
    found = _BOUND.match(cell)
    return (_SIGN[found[1]], cell[found.end() :].strip()) if found else ("", cell)


def plain(cell: str, convention: Convention) -> str:
    """The cell with its number as a program writes one, a sign of a bound kept; anything else as it is."""
    sign, text = bound(cell)
    text = text.strip().replace("\u2212", "-")
    if convention == "comma" and (found := _COMMA.fullmatch(text)) and (found[1].strip("+-") or found[2]):
        return f"{sign}{_digits(found[1])}.{found[2] or '0'}{found[3] or ''}"
    if convention == "comma" and _POINTS.fullmatch(text):
        return sign + _digits(text)
    if convention == "grouped" and (found := _GROUPED.fullmatch(text)):
        return f"{sign}{found[1]}{_digits(found[2])}{found[3] or ''}{found[4] or ''}"
    return sign + text if sign else cell


def _digits(text: str) -> str:
    return re.sub(r"[^\d+-]", "", text) or "0"


def convention(cells: Sequence[str], separator: str | None) -> Convention:
    """How a column writes its numbers, by most of its cells; `separator` of the table, where it has one.

    `1,234` alone is a thousand in a table with commas between its cells, and one and a bit where these are something else.
    """
    texts = [bound(cell)[1].strip().replace("\u2212", "-") for cell in cells]
    odd = [text for text in texts if not _NUMBER.fullmatch(text)]
    commas = [text for text in odd if _COMMA.fullmatch(text)]
    grouped = [text for text in odd if _GROUPED.fullmatch(text)]
    if not commas and not grouped:
        return "plain"
    if len(grouped) == len(commas):
        return "grouped" if separator in (",", None) or not any("," in text for text in grouped) else "comma"
    return "comma" if len(commas) > len(grouped) else "grouped"


def numbers(cells: Sequence[str], how: Convention) -> list[float]:
    """The numbers among the cells, bounds counted with their number."""
    found = (as_number(bound(plain(cell, how))[1]) for cell in cells)
    return [number for number in found if number is not None]


def two_words(cells: Iterable[str]) -> tuple[str, str] | None:
    """The words of a column of two classes (no and yes, inactive and active ...): which is 0, which is 1; None where it is none.

    Cells are those that are filled, "-" among them where it stands beside "+".
    """
    words = {cell.strip() for cell in cells}
    lower = {word.lower() for word in words}
    for zero, one in _TWO:
        if len(lower) == 2 and lower & set(zero) and lower & set(one):
            first = min(word for word in words if word.lower() in zero)
            return first, min(word for word in words if word.lower() in one)
    return None
