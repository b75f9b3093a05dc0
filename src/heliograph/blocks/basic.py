"""Functions of one row."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, final

from torch import Tensor, nn

from heliograph import kernels
from heliograph.algebra import colour
from heliograph.algebra.activation import shifted_softplus
from heliograph.blocks.dropout import Dropout
from heliograph.graph import Feature, Indexed


def on_rows(f: Callable[[Tensor], Tensor], feature: Feature) -> Any:
    """f of every row of a feature [n, ...]; on the distinct rows where it is held as a small table, and held as one where that pays."""
    if isinstance(feature, Indexed) and len(feature.table) <= len(feature):
        table = f(feature.table)
        pays = colour.pays(len(feature), table) and len(feature.table) <= colour.MOST_TYPES * len(feature)
        return Indexed(table, feature.index) if pays else kernels.gather(table, feature.index)
    return f(feature.dense() if isinstance(feature, Indexed) else feature)


@final
class ShiftedSoftplus(nn.Module):
    """ln(exp(x) / 2 + 1 / 2), zero at zero (Schuett et al. 2018, doi:10.1063/1.5019779, sec. II B)."""

    def forward(self, x: Tensor) -> Tensor:
        return shifted_softplus(x)


def MLP(*widths: int, act: Callable[[], nn.Module] = nn.ReLU, dropout: float = 0.0) -> nn.Sequential:
    """linear, activation, ..., linear through the given widths."""
    modules: list[nn.Module] = []
    for a, b in itertools.pairwise(widths[:-1]):
        modules += [nn.Linear(a, b), act()] + ([Dropout(dropout)] if dropout else [])
    return nn.Sequential(*modules, nn.Linear(widths[-2], widths[-1]))


def Head(d: int, out: int, hidden: int = 0, dropout: float = 0.0) -> nn.Sequential:
    """The usual end of a graph-level model: one hidden layer, then `out` values."""
    return MLP(d, hidden or d, out, dropout=dropout)
