"""Which molecules to buy next, out of what a model believes of each.

EI: D. R. Jones, M. Schonlau, W. J. Welch, J. Global Optim. 1998, 13, 455, eq. 15; PI: H. J. Kushner, J. Basic Eng. 1964, 86, 97; UCB:
N. Srinivas et al., arXiv:0912.3995; Thompson: D. Russo et al., arXiv:1707.02038; BALD: N. Houlsby et al., arXiv:1112.5745. High is good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from heliograph.errors import UsageError, suggest

DIVERSE = "+diverse"
CONSIDERED = 20  # times as many molecules as are wanted, from the best down, among which a diverse batch is sought


@dataclass(frozen=True, eq=False)
class Beliefs:
    """Of n molecules: `mean` and `std` [n], and what each of M members of an ensemble says, `members` [M, n]. High is good."""

    mean: np.ndarray
    std: np.ndarray
    members: np.ndarray

    @classmethod
    def of(cls, members: np.ndarray) -> Beliefs:
        """Mean and standard deviation of the members."""
        return cls(members.mean(0), members.std(0), members)


@dataclass(frozen=True)
class Terms:
    """What an acquisition needs beside beliefs: the best value that is known, and `beta` of ucb."""

    best: float
    beta: float = 2.0


def greedy(b: Beliefs, t: Terms) -> np.ndarray:
    """The mean."""
    return b.mean


def ucb(b: Beliefs, t: Terms) -> np.ndarray:
    """mean + beta std."""
    return np.asarray(b.mean + t.beta * b.std)


def ei(b: Beliefs, t: Terms) -> np.ndarray:
    """E[max(y - best, 0)] for a normal y."""
    gain = b.mean - t.best
    z = gain / np.maximum(b.std, 1e-12)
    return np.where(b.std > 1e-12, gain * norm.cdf(z) + b.std * norm.pdf(z), np.maximum(gain, 0.0))


def pi(b: Beliefs, t: Terms) -> np.ndarray:
    """log P[y > best] for a normal y; the logarithm ranks where the chance is all but nothing."""
    return np.asarray(norm.logcdf((b.mean - t.best) / np.maximum(b.std, 1e-12)))


def std(b: Beliefs, t: Terms) -> np.ndarray:
    """Where the members differ most."""
    return b.std


def bald(b: Beliefs, t: Terms) -> np.ndarray:
    """H[mean p] - mean H[p] in nats, for members that give a probability."""
    return np.asarray(_entropy(b.members.mean(0)) - _entropy(b.members).mean(0))


def _entropy(p: np.ndarray) -> np.ndarray:
    q = np.clip(p, 1e-12, 1 - 1e-12)
    return np.asarray(-(q * np.log(q) + (1 - q) * np.log(1 - q)))


SCORES: dict[str, Callable[[Beliefs, Terms], np.ndarray]] = {"greedy": greedy, "ucb": ucb, "ei": ei, "pi": pi, "std": std, "bald": bald}
NAMES = ("random", *SCORES, "thompson")


def parse(name: str) -> tuple[str, bool]:
    """(acquisition, whether its batches are diverse). Raises UsageError."""
    plain = name.removesuffix(DIVERSE)
    if plain not in NAMES:
        raise UsageError(f"there is no acquisition {name!r}; {suggest(plain, NAMES)}")
    return plain, name.endswith(DIVERSE)


def choose(
    name: str, beliefs: Beliefs, count: int, terms: Terms, rng: np.random.Generator, smiles: Sequence[str] = (), similarity: float = 0.65
) -> list[int]:
    """Places of up to `count` molecules, the most wanted first; ties go by place. `smiles` [n]: for a diverse batch."""
    plain, diverse = parse(name)
    order = _order(plain, beliefs, count, terms, rng)
    if not diverse:
        return order[:count]
    from heliograph.chem.diversity import choose as spread

    some = order[: CONSIDERED * count]
    chosen = [some[k] for k in spread([smiles[k] for k in some], count, similarity)]
    taken = set(chosen)
    return (chosen + [k for k in order if k not in taken])[:count]  # where too few differ, the best of the rest


def _order(plain: str, beliefs: Beliefs, count: int, terms: Terms, rng: np.random.Generator) -> list[int]:
    n = len(beliefs.mean)
    if plain == "random":
        return [int(k) for k in rng.permutation(n)]
    if plain != "thompson":
        return [int(k) for k in np.argsort(-SCORES[plain](beliefs, terms), kind="stable")]
    orders = np.argsort(-beliefs.members, axis=1, kind="stable")  # [M, n]
    at, taken, found = np.zeros(len(orders), int), np.zeros(n, bool), list[int]()
    wanted = min(n, CONSIDERED * count)
    while len(found) < wanted:
        m = int(rng.integers(len(orders)))  # a member a draw
        while taken[orders[m, at[m]]]:
            at[m] += 1
        taken[orders[m, at[m]]] = True
        found.append(int(orders[m, at[m]]))
    return found
