"""Numbers for readers: sensible digits, a real minus sign, thin spaces between thousands, a dash for what is missing."""

from __future__ import annotations

import math

MISSING = "–"
NBSP = "\u00a0"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, significant: int = 3) -> str:
    """`value` to so many significant digits: 0.0912, 1.10, 153, 12 300, 1.2 × 10⁻⁷."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    rounded = float(f"{value:.{significant - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    if exponent < -4 or exponent > 6:
        mantissa, _, power = f"{value:.{significant - 1}e}".partition("e")
        return f"{mantissa} × 10{str(int(power)).translate(_SUPERSCRIPT)}".replace("-", "−")
    return _grouped(f"{rounded:,.{max(0, significant - 1 - exponent)}f}")


def fixed(value: float, decimals: int) -> str:
    """`value` with so many decimals, for columns and for values far from zero that differ little."""
    if not math.isfinite(value) or abs(value) >= 1e9:
        return number(value)
    text = f"{value:,.{decimals}f}"
    return _grouped(text.lstrip("-") if float(text.replace(",", "")) == 0 else text)


def decimals(scale: float, significant: int = 3) -> int:
    """Decimals that show `significant` digits of numbers as large as `scale`."""
    if not math.isfinite(scale) or scale <= 0:
        return significant
    return min(12, max(0, significant - 1 - math.floor(math.log10(scale))))


def count(value: int) -> str:
    return _grouped(f"{value:,}")


def percent(share: float, places: int = 0) -> str:
    """A share as a percentage; a positive one is never rounded to 0 %, nor one below 1 to 100 %."""
    if not math.isfinite(share):
        return MISSING
    text = f"{100 * share:.{places}f}"
    if float(text) == 0 and share > 0:
        return f"<{NBSP}{10**-places:g}{NBSP}%"
    if float(text) == 100 and share < 1:
        return f">{NBSP}{100 - 10**-places:g}{NBSP}%"
    return f"{text}{NBSP}%".replace("-", "−")


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def megabytes(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{number(value)}{NBSP}MB" if value < 1000 else f"{number(value / 1024)}{NBSP}GB"


def with_unit(text: str, unit: str) -> str:
    return f"{text}{NBSP}{unit}" if unit and text != MISSING else text


def plural(n: int, one: str, many: str = "") -> str:
    """`1 molecule`, `12 300 molecules`."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def listed(names: list[str], most: int = 5) -> str:
    """`a, b and c`; `a, b, c, d, e and 12 more`."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {count(len(names) - most)} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def shorten(text: str, most: int = 60) -> str:
    """The text, or its beginning and end: a 10,000-character field must not fill the page. Bytes that were not UTF-8 become U+FFFD."""
    shown = text if len(text) <= most else f"{text[: most - 12]}…{text[-10:]}"
    return shown.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd") if not shown.isascii() or "\0" in shown else shown


def _grouped(text: str) -> str:
    if len(text.partition(".")[0].lstrip("-")) <= 5:  # 9,999 is read as easily without the gap
        text = text.replace(",", "")
    return text.replace(",", "\u2009").replace("-", "−")
