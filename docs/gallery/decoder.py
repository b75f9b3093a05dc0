"""Learned decoding: belief propagation whose messages have weights corrects more bits where the graph of the code has rings.

Idea: on a tree belief propagation is exact and no weight can better it. On rings the checks hear their own words again and grow too sure
of them. One number for each edge and round scales what a check says (Nachmani, Be'ery & Burshtein 2016, arXiv:1607.04793), learned from
noise alone: the code is linear, so the word of zeros stands for all. The layers are those of belief.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from belief import HAMMING, TREE, channel, decode, error_rate, marginals
from page import Claim, gap, main
from torch import Tensor
from torch.nn import functional as F

ROUNDS = 5


def gallager(n: int, column: int, row: int, seed: int) -> np.ndarray:
    """A low-density code's checks (Gallager 1962): `column` bands of n / row checks, each a random order of the bits."""
    rng = np.random.default_rng(seed)
    band = np.kron(np.eye(n // row, dtype=np.int64), np.ones(row, dtype=np.int64))
    return np.concatenate([band, *(band[:, rng.permutation(n)] for _ in range(column - 1))])


CODES = {"Hamming (7, 4)": (HAMMING, 4 / 7), "low density, 24 bits": (gallager(24, 3, 6, seed=1), 0.5)}


@cache
def learned(code: str, steps: int = 60) -> Tensor:
    """Weights [rounds, edges, 1] that were trained on noise of 2 to 6 dB, all 1 at first."""
    H, rate = CODES[code]
    weights = torch.ones(ROUNDS, 2 * int(H.sum()), 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=0.02)
    for k in range(steps):
        llr = torch.cat([channel(H.shape[1], 60, float(d), rate, seed=100 + 5 * k + d) for d in (2, 3, 4, 5, 6)])
        loss = F.softplus(-decode(H, llr, ROUNDS, weights)).mean()  # of the right word, all zeros
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weights.detach()


def rates(H: np.ndarray, rate: float, weights: Tensor, decibel: float, words: int) -> tuple[float, float]:
    """Bit error rates on the same fresh noise: plain messages, weighted messages."""
    llr = channel(H.shape[1], words, decibel, rate, seed=7)
    return error_rate(decode(H, llr, ROUNDS)), error_rate(decode(H, llr, ROUNDS, weights))


def claims(small: bool) -> list[Claim]:
    words = 4_000 if small else 10_000
    tree = channel(8, 50, 0.0, 0.5)
    found = []
    for name, (H, rate) in list(CODES.items())[: 1 if small else 2]:
        plain, better = rates(H, rate, learned(name), 4.0, words)
        found.append(Claim(f"{name}, 4 dB: bit errors with learned weights over those without", better / plain, 0.97))
    one = torch.ones(6, 2 * int(TREE.sum()), 1, dtype=torch.float64)
    return [*found, Claim("weights of 1 on a tree = enumeration", gap(decode(TREE, tree, 6, one), marginals(TREE, tree)), 1e-12)]


def draw(figure: Any) -> None:
    at = np.arange(0, 7)
    for axes, (name, (H, rate)) in zip(figure.subplots(1, 2), CODES.items(), strict=True):
        weights = learned(name)
        found = np.array([rates(H, rate, weights, float(d), 2_000) for d in at])
        axes.semilogy(at, [error_rate(channel(H.shape[1], 2_000, float(d), rate, seed=7)) for d in at], "k:", label="as received")
        axes.semilogy(at, found[:, 0], "o-", label="belief propagation, 5 rounds")
        axes.semilogy(at, found[:, 1], "s-", label="learned weights")
        axes.set(xlabel="signal to noise per bit, dB", ylabel="bit error rate", title=name)
        axes.legend(fontsize="small")


if __name__ == "__main__":
    main(__file__, claims, draw)
