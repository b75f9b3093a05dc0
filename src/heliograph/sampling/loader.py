"""Batches drawn ahead in threads: the loops that draw release the interpreter."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from heliograph.data.graph_store import GraphStore
from heliograph.data.sources.one_graph import key_of
from heliograph.graph import Graph
from heliograph.sampling.sample import Sampler


def loader(
    store: GraphStore,
    rows: np.ndarray,
    sampler: Sampler,
    batch_size: int,
    seed: int = 0,
    *,
    threads: int = 2,
    ahead: int = 2,
) -> Iterator[Graph]:
    """Draw a graph for each `batch_size` of the nodes `rows`, shuffled with `seed`; the same whatever the number of `threads`.

    `ahead`: how many batches are drawn before they are asked for.
    """
    order = np.random.default_rng([seed]).permutation(len(rows))
    batches = [rows[order[k : k + batch_size]] for k in range(0, len(rows), batch_size)]
    keys = [key_of(seed, k) for k in range(len(batches))]
    waiting: deque[Future[Graph]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for k in range(len(batches) + ahead):
            if k < len(batches):
                waiting.append(pool.submit(sampler, store, batches[k], keys[k]))
            if k >= ahead:
                yield waiting.popleft().result()
