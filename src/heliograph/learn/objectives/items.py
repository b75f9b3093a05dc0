"""Items that a user has had above those that he has not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph.data.targets import Targets
from heliograph.graph import Graph
from heliograph.learn import ranking
from heliograph.learn.objective import Objective
from heliograph.model import MPNN

K = 20  # length of a list
Lists = tuple[np.ndarray, np.ndarray]  # where each user's items begin [U + 1], and which they are


@final
class Items(Objective):
    """-log sigmoid(y_ui - y_uj) for an item i of user u and one that is not, j (Rendle et al. 2009, arXiv:1205.2618; LightGCN eq. 15).

    `squares` weights half the squared lengths of the first states. In evaluation a row is a user: "recall" and "ndcg" [n] of the best
    `K` items that are not among those of training (nor of validation, where the row is of the test). `items`: part -> lists; `pairs` M and
    `users` U as in `heliograph.data.sources.items.Interactions`.
    """

    def __init__(self, items: Mapping[str, Lists], pairs: int, users: int, squares: float = 1e-4):
        super().__init__()
        self.items, self.M, self.U, self.weights = dict(items), pairs, users, {"squares": squares}

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        found, rows = model(graph), targets["row"]
        if len(rows) and not bool(rows.present.any()):
            return self.lists(found["y"], rows.value.cpu().numpy())
        n = len(rows)
        y, squares = found["y"], found["squares"]
        return {"y": y[:n], "negatives": y[n:].view(n, -1), "squares": squares[:n] + squares[n:].view(n, -1).mean(1)}

    def lists(self, y: Tensor, rows: np.ndarray) -> dict[str, Tensor]:
        """Recall and NDCG of the users of `rows` [n] from their scores of all items `y` [n, I]."""
        users, part = (rows - self.M) % self.U, "val" if rows[0] < self.M + self.U else "test"
        hidden = ("train",) if part == "val" else ("train", "val")
        y = y.clone()
        for name in hidden:
            query, item = _flat(self.items[name], users)
            y[query, item] = -torch.inf
        best = y.topk(min(K, y.shape[1]), dim=1).indices.cpu()  # [n, K]
        start, items = self.items[part]
        right = np.zeros(y.shape, bool)
        right[tuple(x.numpy() for x in _flat((start, items), users))] = True
        hits = np.take_along_axis(right, best.numpy(), axis=1)
        recall, ndcg = ranking.recall_and_ndcg(hits, start[users + 1] - start[users])
        return {"recall": torch.from_numpy(recall), "ndcg": torch.from_numpy(ndcg)}

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        if "y" not in outputs:
            return {"pair": torch.zeros(()), "squares": torch.zeros(())}
        pair = -F.logsigmoid(outputs["y"][:, None] - outputs["negatives"]).mean(1)
        return {"pair": pair.sum(), "squares": outputs["squares"].sum()}

    def counts(self, targets: Targets) -> dict[str, float]:
        return dict.fromkeys(("pair", "squares"), float(targets["row"].present.sum()))


def _flat(lists: Lists, users: np.ndarray) -> tuple[Tensor, Tensor]:
    """(row, item) of all items of `users`, two [K] long."""
    start, items = lists
    count = start[users + 1] - start[users]
    row = np.repeat(np.arange(len(users)), count)
    within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    return torch.from_numpy(row), torch.from_numpy(items[start[users][row] + within].astype(np.int64))
