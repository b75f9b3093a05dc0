"""Belief propagation on the graph of bits and checks: exact on trees, and how it decodes where there are rings.

Idea: telecoms are graphs of bits and checksums. On the line graph (a node for each message, none turns back):

    bit -> check   m = llr_bit + sum of what its other checks say        check -> bit   m = 2 atanh(prod tanh(m / 2)) over its other bits

On trees the marginals are those of enumeration; a Hamming code's graph has rings, and belief propagation still corrects most errors.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
from page import Claim, gap, main, step
from torch import Tensor

from heliograph import Graph, segment
from heliograph.graph import dense
from heliograph.views import line_graph

HAMMING = np.array([[1, 0, 1, 0, 1, 0, 1], [0, 1, 1, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1, 1]])  # (7, 4)
TREE = np.array([[1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1, 1]])


def code_graph(H: np.ndarray, llr: Tensor) -> Graph:
    """Bits 0 .. n - 1, then checks; `llr` [bits + checks, words] of the channel, zero at checks, and which are checks."""
    (checks, n), (c, b) = H.shape, map(torch.from_numpy, np.nonzero(H))
    own, check = torch.cat([llr.T, llr.new_zeros(checks, len(llr))]), (torch.arange(n + checks) >= n)[:, None]
    return Graph.build(torch.cat([b, c + n]), torch.cat([c + n, b]), [n + checks], [2 * len(b)], nodes={"llr": own, "check": check})


def decode(H: np.ndarray, llr: Tensor, rounds: int, weights: Tensor | None = None) -> Tensor:
    """Log-likelihood ratios log P(0) / P(1) of the bits [words, n] from those of the channel; `weights` [rounds] scale what checks say."""
    graph = code_graph(H, llr)
    line = line_graph(graph).with_nodes(m=llr.new_zeros(graph.E, len(llr)))
    for k in range(rounds):
        w = 1.0 if weights is None else weights[k]
        bits = step(lambda e: {"m": e.j["m"]},
                    lambda n, got: {"m": torch.where(dense(n["check_j"]), dense(n["m"]), dense(n["llr_j"]) + got["m"])})  # fmt: skip
        checks = step(lambda e: {"m": torch.tanh(e.j["m"] / 2)},
                      lambda n, got, w=w: {"m": torch.where(dense(n["check_j"]), 2 * w * torch.atanh(got["m"].clamp(-1 + 1e-14, 1 - 1e-14)),
                                                            dense(n["m"]))}, segment.prod)  # fmt: skip
        line = checks(bits(line))
    belief = step(lambda e: {"m": e.e["m"]}, lambda n, got: {"h": dense(n["llr"]) + got["m"]})
    return dense(belief(graph.with_edges(m=dense(line.nodes["m"]))).nodes["h"])[: H.shape[1]].T


def marginals(H: np.ndarray, llr: Tensor) -> Tensor:
    """By enumeration of all words that satisfy every check, [words, n]."""
    words = torch.tensor([w for w in product((0, 1), repeat=H.shape[1]) if not (H @ w % 2).any()], dtype=torch.float64)
    score = -llr @ words.T  # [words, code words]
    return torch.stack([torch.logsumexp(score[:, w == 0], 1) - torch.logsumexp(score[:, w == 1], 1) for w in words.T], 1)


def channel(n: int, words: int, decibel: float, rate: float, seed: int = 0) -> Tensor:
    """The ratios [words, n] of the word of zeros, sent as +1 through Gaussian noise; the code is linear, so it stands for all words."""
    sigma = (2 * rate * 10 ** (decibel / 10)) ** -0.5  # decibel of energy per bit of information over the noise's density
    y = 1 + sigma * torch.randn(words, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return 2 * y / sigma**2


def error_rate(belief: Tensor) -> float:
    return float((belief < 0).double().mean())


def claims(small: bool) -> list[Claim]:
    words = 500 if small else 20_000
    tree, noisy = channel(8, 50, 0.0, 0.5), channel(7, words, 4.0, 4 / 7)
    best, found, raw = error_rate(marginals(HAMMING, noisy)), error_rate(decode(HAMMING, noisy, 10)), error_rate(noisy)
    return [
        Claim("marginals on a tree = enumeration", gap(decode(TREE, tree, 6), marginals(TREE, tree)), 1e-12),
        Claim("marginals on the Hamming code's rings differ", gap(decode(HAMMING, noisy, 10), marginals(HAMMING, noisy)), 0.1, True),
        Claim("bit error rate of Hamming at 4 dB, belief propagation over none", found / raw, 0.8),
        Claim("the same over the best possible (enumeration)", found / best, 1.8),
    ]


def draw(figure: Any) -> None:
    axes, at = figure.subplots(), np.arange(0, 7)
    received = {float(d): channel(7, 20_000, float(d), 4 / 7) for d in at}
    axes.semilogy(at, [error_rate(y) for y in received.values()], "k:", label="bits as received")
    axes.semilogy(at, [error_rate(decode(HAMMING, y, 10)) for y in received.values()], "o-", label="belief propagation, 10 rounds")
    axes.semilogy(at, [error_rate(marginals(HAMMING, y)) for y in received.values()], "s--", label="enumeration of all 16 words")
    axes.set(xlabel="signal to noise, dB per bit of information", ylabel="bit error rate", title="Hamming (7, 4)")
    axes.legend()


if __name__ == "__main__":
    main(__file__, claims, draw)
