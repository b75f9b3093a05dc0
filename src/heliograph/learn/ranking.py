"""Ranks of right answers among others, and figures of them. Ties count by their average: a constant score earns what chance does.

Z. Sun et al. 2020, arXiv:1911.03903 (why ties matter); M. Berrendorf et al. 2020, arXiv:2002.06914.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

HITS = (1, 3, 10)


def ranks(scores: Tensor, answers: Tensor, known: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Rank, from 1, of the answer of each query: 1 + how many score more + half of those that score the same, [Q].

    `scores` [Q, N], higher is better; `answers` [Q] long. `known` (query, candidate), two [K] long: other right answers, which are left
    out. Scores that are not finite count as the worst.
    """
    scores = scores.nan_to_num(nan=-torch.inf)
    rows = torch.arange(len(scores), device=scores.device)
    own = scores[rows, answers][:, None]
    above, equal = scores > own, scores == own
    equal[rows, answers] = False
    if known is not None:
        above[known], equal[known] = False, False
    return 1.0 + above.sum(1).to(torch.float64) + 0.5 * equal.sum(1).to(torch.float64)


def among_negatives(y: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Rank of each link [n] among its own pairs without one [n, k], from 1, ties by their average."""
    above, equal = (negatives > y[:, None]).sum(1), (negatives == y[:, None]).sum(1)
    return np.asarray(1.0 + above + 0.5 * equal)


def figures(found: np.ndarray) -> dict[str, float]:
    """Mean reciprocal rank, mean rank and the shares of ranks up to 1, 3 and 10."""
    if not len(found):
        return {"mrr": float("nan"), "mean_rank": float("nan")} | {f"hits@{k}": float("nan") for k in HITS}
    named = {"mrr": float((1.0 / found).mean()), "mean_rank": float(found.mean())}
    return named | {f"hits@{k}": float((found <= k).mean()) for k in HITS}


def recall_and_ndcg(hits: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and normalised discounted cumulative gain of each user's list.

    `hits` [n, k] bool: whether the item in each place of the list is right; `relevant` [n]: how many right ones there are.
    """
    k = hits.shape[1]
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(relevant, k)]
    return hits.sum(1) / np.maximum(relevant, 1), (hits * discount).sum(1) / np.maximum(ideal, 1e-12)
