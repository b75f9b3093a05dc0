"""A small plotter: SVG that is styled by the page's CSS, prints as lines, and tells each point's story on hover.

Why not a plotting library: an interactive one adds 4.7 MB to each report, a static one a second of import and no hover. A report's
plots need axes, lines, points and bars, no more. All texts are escaped here; colours are CSS classes (see templates/style.css).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup, escape

from heliograph.report.digits import fixed, number, shorten

LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 28.0, 46.0
LONGEST, WIDEST = 22, 140.0  # a name beside the vertical axis: characters, and room for it
LIMIT = 1e150  # beyond it differences and squares overflow


@dataclass(frozen=True)
class Axis:
    """A range of values with its label; `categories` replaces ticks at 0, 1, 2, ... by names."""

    low: float
    high: float
    label: str = ""
    log: bool = False
    integer: bool = False
    categories: tuple[str, ...] = ()

    @classmethod
    def fit(cls, values: Sequence[float] | np.ndarray, label: str, *, pad: float = 0.04, zero: bool = False, log: bool = False) -> Axis:
        """An axis that shows all finite values; something sensible where there are none, or one alone. `log` only where it can be."""
        array = np.asarray(values, dtype=np.float64)
        array = np.clip(array[np.isfinite(array)], -LIMIT, LIMIT)
        array[np.abs(array) < 1 / LIMIT] = 0.0
        if zero:
            array = np.append(array, 0.0)
        if not len(array):
            return cls(0.0, 1.0, label)
        low, high = float(array.min()), float(array.max())
        if log and low > 0 and high / low > 1.0001:
            room = (high / low) ** pad
            return cls(low / room, high * room, label, log=True)
        if not high - low > 1e-12 * max(abs(low), abs(high)):
            room = 0.5 * abs(high) if zero and high else max(abs(high) * 0.05, 1e-9 if high else 0.5)
            return cls(0.0 if zero and low >= 0 else low - room, high + room, label)
        room = pad * (high - low)
        return cls(low if zero and low == 0 else low - room, high if zero and high == 0 else high + room, label)

    def at(self, values: np.ndarray | Sequence[float]) -> np.ndarray:
        """Position of values as a fraction of the axis; NaN stays NaN, what is outside is pinned to the border."""
        array = np.asarray(values, dtype=np.float64)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                share = (np.log(array) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        else:
            share = (np.clip(array, -2 * LIMIT, 2 * LIMIT) - self.low) / (self.high - self.low)
        return np.clip(share, 0.0, 1.0)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        if self.categories:
            return [(float(k), name) for k, name in enumerate(self.categories)]
        if self.log:
            return self._log_ticks()
        step = _nice((self.high - self.low) / most)
        if self.integer:
            step = max(1.0, round(step))
        first = math.ceil(self.low / step - 1e-9)
        values = [k * step for k in range(first, first + most * 3) if k * step <= self.high + 1e-9 * step]
        places = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
        far = max(abs(self.low), abs(self.high))
        plain = step >= 1e-4 and far < 1e6
        return [(v, fixed(v, places) if plain or v == 0 else number(v, 3)) for v in values]

    def _log_ticks(self) -> list[tuple[float, str]]:
        """Powers of ten where there are enough of them, else finer steps; on a narrow range the ticks of a plain axis."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1,), (1, 3), (1, 2, 5)):
            values = [v for d in decades for m in steps if self.low <= (v := m * 10.0**d) <= self.high]
            if len(values) >= 3:
                return [(v, number(v, 1)) for v in values[:: math.ceil(len(values) / 7)]]
        return replace(self, log=False).ticks(5)


def _nice(step: float) -> float:
    """The smallest of 1, 2, 5 x 10^k that is no less than `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next((m * power for m in (1.0, 2.0, 5.0) if m * power >= step * 0.999), 10.0 * power)


class Plot:
    """A frame with two axes; draw in data coordinates, then `svg()`. Hover texts are native titles that the page shows at once."""

    def __init__(self, x: Axis, y: Axis, describe: str, *, width: float = 460.0, height: float = 340.0) -> None:
        self.x, self.y, self.describe = x, y, describe
        self.width, self.height = width, height
        self.left = LEFT if not y.categories else 16 + min(WIDEST, 6.4 * max(len(shorten(c, LONGEST)) for c in y.categories))
        self._parts: list[str] = []
        self._legend: list[tuple[str, str, str]] = []  # class, text, shape

    def _px(self, values: Sequence[float] | np.ndarray) -> np.ndarray:
        return np.asarray(self.left + self.x.at(values) * (self.width - self.left - RIGHT))

    def _py(self, values: Sequence[float] | np.ndarray) -> np.ndarray:
        return np.asarray(self.height - BOTTOM - self.y.at(values) * (self.height - TOP - BOTTOM))

    def line(self, xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray, style: str) -> None:
        """A polyline that breaks where y is not finite."""
        px, py = self._px(xs), self._py(np.where(np.isfinite(ys), ys, np.nan))
        pieces, pen = [], "M"
        for a, b in zip(px, py, strict=True):
            if math.isnan(a) or math.isnan(b):
                pen = "M"
                continue
            pieces.append(f"{pen}{a:.1f} {b:.1f}")
            pen = "L"
        if pieces:
            self._parts.append(f'<path class="line {style}" d="{"".join(pieces)}"/>')

    def points(
        self, xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray, style: str, titles: Sequence[str] = (), r: float = 3.0
    ) -> None:
        for k, (a, b) in enumerate(zip(self._px(xs), self._py(ys), strict=True)):
            if math.isfinite(a) and math.isfinite(b):
                self._parts.append(f'<circle class="{style}" cx="{a:.1f}" cy="{b:.1f}" r="{r:g}"{_titled("circle", titles, k)}')

    def boxes(self, x0: np.ndarray, x1: np.ndarray, y0: np.ndarray, y1: np.ndarray, style: str, titles: Sequence[str] = ()) -> None:
        """Rectangles between two corners (bars, cells); a bar of nothing is left out."""
        left, right, low, high = self._px(x0), self._px(x1), self._py(y0), self._py(y1)
        for k in range(len(left)):
            width, height = abs(right[k] - left[k]), abs(low[k] - high[k])
            if height > 0 and width > 0:
                where = f'x="{min(left[k], right[k]):.1f}" y="{min(low[k], high[k]):.1f}" width="{width:.1f}" height="{height:.1f}"'
                self._parts.append(f'<rect class="{style}" {where}{_titled("rect", titles, k)}')

    def cells(self, xs: np.ndarray, ys: np.ndarray, size: tuple[float, float], style: str) -> None:
        """Equal rectangles from their lower left corners, in one path: thousands stay light. For linear axes."""
        if len(xs):
            left, bottom = self._px(xs), self._py(ys)
            width, height = float(self._px(xs[:1] + size[0])[0] - left[0]), float(bottom[0] - self._py(ys[:1] + size[1])[0])
            pieces = [f"M{a:.1f} {b:.1f}h{width:.1f}v{-height:.1f}h{-width:.1f}z" for a, b in zip(left, bottom, strict=True)]
            self._parts.append(f'<path class="{style}" d="{"".join(pieces)}"/>')

    def labels(self, xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray, words: Sequence[str]) -> None:
        """A name beside each point where there is room for it, the first ones first; "" names none and keeps its room."""
        px, py = self._px(xs), self._py(ys)
        taken = [(a - 5, b - 5, a + 5, b + 5) for a, b in zip(px, py, strict=True)]
        for a, b, text in ((a, b, text) for a, b, text in zip(px, py, words, strict=True) if text):
            wide = 7.6 * len(text)
            places = (
                (a + 8, b + 4, "start", 0.0),
                (a - 8, b + 4, "end", wide),
                (a, b - 9, "middle", wide / 2),
                (a, b + 17, "middle", wide / 2),
            )
            for at, base, anchor, before in places:
                box = (at - before, base - 10, at - before + wide, base + 2)
                inside = box[0] >= self.left and box[2] <= self.width - 2 and box[1] >= TOP - 8 and box[3] <= self.height - BOTTOM
                if inside and not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken):
                    self._parts.append(f'<text class="key" x="{at:.1f}" y="{base:.1f}" text-anchor="{anchor}">{escape(text)}</text>')
                    taken.append(box)
                    break

    def legend(self, style: str, words: str, shape: str = "line") -> None:
        """One entry of the row above the frame: a stroke (`line`), a dot (`dot`) or a block (`bar`)."""
        self._legend.append((style, words, shape))

    def svg(self) -> Markup:
        """The picture, safe to put into HTML."""
        box = f'viewBox="0 0 {self.width:g} {self.height:g}"'
        head = f'<svg class="plot" {box} role="img" aria-label="{escape(self.describe)}">'
        return Markup("".join([head, *self._frame(), *self._parts, *self._legend_row(), "</svg>"]))

    def _frame(self) -> list[str]:
        left, right, top, bottom = self.left, self.width - RIGHT, TOP, self.height - BOTTOM
        longest = LONGEST if self.y.categories else 14
        out = []
        for value, words in self.y.ticks(6 if self.height > 350 else 5):
            b = float(self._py([value])[0])
            out.append(f'<path class="grid" d="M{left:.1f} {b:.1f}H{right:.1f}"/>')
            out.append(f'<text class="tick" x="{left - 6:.1f}" y="{b + 4:.1f}" text-anchor="end">{escape(shorten(words, longest))}</text>')
        for value, words in self.x.ticks(6):
            a = float(self._px([value])[0])
            out.append(f'<path class="axis" d="M{a:.1f} {bottom:.1f}v4"/>')
            out.append(f'<text class="tick" x="{a:.1f}" y="{bottom + 17:.1f}" text-anchor="middle">{escape(shorten(words, 16))}</text>')
        out.append(f'<path class="axis" d="M{left:.1f} {bottom:.1f}H{right:.1f}"/>')
        middle, centre = (left + right) / 2, (top + bottom) / 2
        below = f'x="{middle:.1f}" y="{self.height - 8:.1f}"'
        out.append(f'<text class="label" {below} text-anchor="middle">{escape(shorten(self.x.label, 62))}</text>')
        turned = f'transform="translate(13 {centre:.1f}) rotate(-90)"'
        out.append(f'<text class="label" {turned} text-anchor="middle">{escape(shorten(self.y.label, 44))}</text>')
        return out

    def _legend_row(self) -> list[str]:
        out, a = [], self.left
        for style, words, shape in self._legend:
            if shape == "line":
                out.append(f'<path class="line {style}" d="M{a:.1f} 13h16"/>')
            elif shape == "dot":
                out.append(f'<circle class="{style}" cx="{a + 8:.1f}" cy="13" r="3.5"/>')
            else:
                out.append(f'<rect class="{style}" x="{a + 2:.1f}" y="8" width="12" height="10"/>')
            out.append(f'<text class="key" x="{a + 21:.1f}" y="17">{escape(words)}</text>')
            a += 33 + 6.3 * len(words)
        return out


def _titled(element: str, titles: Sequence[str], k: int) -> str:
    return f"><title>{escape(titles[k])}</title></{element}>" if k < len(titles) else "/>"
