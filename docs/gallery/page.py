"""What every page of the gallery uses: claims that a test asserts, a layer from plain functions, small graphs, and the figure."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heliograph import Graph, Layer, segment


@dataclass(frozen=True)
class Claim:
    """A measured `value` that must be at most `bound`, or at least where `at_least` says so."""

    what: str
    value: float
    bound: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        return f"{'ok ' if self.holds else 'NOT'} {self.what}: {self.value:.3g} ({'>=' if self.at_least else '<='} {self.bound:g})"


class Function(nn.Module):
    """A message or an update from a plain function."""

    lazy = True

    def __init__(self, f: Callable[..., Any]):
        super().__init__()
        self.f = f

    def forward(self, *given: Any) -> dict[str, Any]:
        return self.f(*given)


def step(message: Callable[..., Any], update: Callable[..., Any], aggregate: Any = segment.sum) -> Layer:
    """One message passing layer from functions: message(edge) and update(nodes, messages) return named tensors."""
    return Layer(Function(message), Function(update), aggregate)


def graph_of(
    pairs: Iterable[Sequence[int]], n: int, directed: bool = False, edges: dict[str, Tensor] | None = None, **nodes: Tensor
) -> Graph:
    """A graph of n nodes. Undirected pairs become two edges each, whose features `edges` are given once a pair."""
    ends = torch.tensor([list(p) for p in pairs], dtype=torch.long).reshape(-1, 2)
    values = dict(edges or {})
    if not directed:
        ends, values = torch.cat([ends, ends.flip(1)]), {k: torch.cat([v, v]) for k, v in values.items()}
    return Graph.build(ends[:, 0], ends[:, 1], [n], [len(ends)], nodes=nodes, edges=values)


def gap(a: Any, b: Any) -> float:
    """The largest difference between two tensors or arrays."""

    def double(x: Any) -> Tensor:
        return x.detach().double() if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x, dtype=np.float64))

    return float((double(a) - double(b)).abs().max())


def main(file: str, claims: Callable[[bool], list[Claim]], draw: Callable[[Any], None], size: tuple[float, float] = (7, 3.2)) -> None:
    """Run a page: print its claims, keep them and its figure in figures/ beside it, and fail if a claim does not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output-dir", type=Path, default=Path(file).parent / "figures")
    parser.add_argument("--small", action="store_true", help="the size that the tests run")
    options = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = claims(options.small)
    print(*found, sep="\n")
    figure = pyplot.figure(figsize=size, layout="constrained")
    draw(figure)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    path = options.output_dir / f"{Path(file).stem}.png"
    figure.savefig(path, dpi=150)
    path.with_suffix(".txt").write_text("\n".join(map(str, found)) + "\n", encoding="utf-8")
    print(path)
    if not all(claim.holds for claim in found):
        raise SystemExit(1)
