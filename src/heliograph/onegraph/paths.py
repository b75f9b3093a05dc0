"""Questions of one or two hops to a model of a knowledge graph: (head, relation, ?), or (head, relation, x), (x, relation_2, ?) for any x.

Of two hops the score of a tail is its logarithmic probability, summed over what may stand between: p(t) = sum_x p(x | h, r) p(t | x, r_2),
each a softmax of the model's scores over all nodes, as it was trained (Lacroix et al. 2018), with the likeliest x alone (the beam of
Arakelyan et al. 2021, arXiv:2011.03459, sec. 3.3, who take the best x and a t-norm instead of the sum).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from heliograph.data.sources.triples import Known
from heliograph.onegraph.data import OneGraph
from heliograph.onegraph.predictor import GraphPredictor

BEAM = 64  # nodes between
AT_ONCE = 16  # questions of two hops, each of which asks `BEAM` of one hop


@dataclass(frozen=True, eq=False)
class Questions:
    """Heads `h` [n] and relations `hops`, one or two times [n], all as numbers; -1 where one is unknown."""

    h: np.ndarray
    hops: tuple[np.ndarray, ...]

    @property
    def good(self) -> np.ndarray:
        """Rows in which everything is known."""
        return np.flatnonzero((self.h >= 0) & np.all([r >= 0 for r in self.hops], axis=0))

    def scores(self, predictor: GraphPredictor, graph: OneGraph, rows: np.ndarray) -> Tensor:
        """The score of every node as the answer of some rows, [n, N]."""
        if len(self.hops) == 1:
            return _one(predictor, graph, self.h[rows], self.hops[0][rows])
        return torch.cat([_two(predictor, graph, *self._of(rows[k : k + AT_ONCE])) for k in range(0, len(rows), AT_ONCE)])

    def answers(self, known: Known, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """(row of `rows`, node): all answers that known triples give, two [K] long."""
        query, node = known(_asked(self.h[rows], self.hops[0][rows]))
        if len(self.hops) == 2:
            between = query
            query, node = known(_asked(node.numpy(), self.hops[1][rows][between.numpy()]))
            query = between[query]
        return query, node

    def _of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.h[rows], self.hops[0][rows], self.hops[1][rows]


def _asked(h: np.ndarray, r: np.ndarray) -> Tensor:
    return torch.from_numpy(np.column_stack([h, r, np.zeros_like(h)]).astype(np.int64))


def _one(predictor: GraphPredictor, graph: OneGraph, h: np.ndarray, r: np.ndarray) -> Tensor:
    return torch.stack(predictor.of_pairs(predictor.placed(graph)[0], _asked(h, r).numpy())).mean(0)


def _two(predictor: GraphPredictor, graph: OneGraph, h: np.ndarray, r: np.ndarray, r_2: np.ndarray) -> Tensor:
    p = _one(predictor, graph, h, r).softmax(1)
    best = p.topk(min(BEAM, p.shape[1]), dim=1)  # [n, B]
    hops, which = np.unique(np.stack([best.indices.numpy().ravel(), np.repeat(r_2, best.indices.shape[1])], 1), axis=0, return_inverse=True)
    q = _one(predictor, graph, hops[:, 0], hops[:, 1]).softmax(1)  # [U, N]
    each = torch.zeros(len(h), len(hops), dtype=q.dtype)
    rows = torch.arange(len(h)).repeat_interleave(best.indices.shape[1])
    each.index_put_((rows, torch.from_numpy(which.ravel())), best.values.flatten(), accumulate=True)
    return (each @ q).log()
