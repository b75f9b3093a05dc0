"""Contributions as colours, in one scale for all molecules that are shown together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heliograph.explain.explain import Explained

RED, BLUE = (0.84, 0.19, 0.15), (0.13, 0.40, 0.67)


def scale_of(found: Sequence[Explained]) -> float:
    """The contribution of the fullest colour, one for all molecules: the 99 % quantile of their
    sizes.
    """
    sizes = np.concatenate([np.abs(one.atoms) for one in found if not one.reason] or [np.zeros(0)])
    return float(np.quantile(sizes, 0.99)) if len(sizes) and sizes.any() else 1.0


def colours(one: Explained, scale: float) -> dict[int, tuple[float, float, float]]:
    """Red for atoms that raise the answer, blue for those that lower it, white for none."""
    found = {}
    for atom, value in enumerate(one.atoms):
        share = min(abs(float(value)) / scale, 1.0)
        if share > 0.02:
            red, green, blue = RED if value > 0 else BLUE
            found[atom] = tuple(1.0 - share * (1.0 - c) for c in (red, green, blue))
    return found  # type: ignore[return-value]
