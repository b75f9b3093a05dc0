"""A 3 x 3 convolution is a graph network with nine relations; a 1 x 1 convolution has loops only.

Idea: an image is a grid graph. A pixel hears each of its eight neighbours and itself through a matrix of its own, chosen by the
neighbour's direction: nine relations. A 1 x 1 convolution hears itself alone. Correction: the usual graph convolution is not that, as it
has one matrix for all directions. And three layers reach 7 x 7 pixels on the grid with diagonals, a diamond of radius 3 without.
"""

from __future__ import annotations

from typing import Any

import torch
from page import Claim, gap, main, step
from torch import Tensor, nn

from heliograph import Graph
from heliograph.blocks import apply_matrix
from heliograph.graph import dense

NINE = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
CROSS = [(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)]


def grid(height: int, width: int, offsets: list[tuple[int, int]] = NINE) -> Graph:
    """Pixels, and an edge from each neighbour that lies inside; `relation` [E, offsets] one-hot says in which direction it lies."""
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    ends, relation = [], []
    for k, (a, b) in enumerate(offsets):
        inside = (row + a >= 0) & (row + a < height) & (column + b >= 0) & (column + b < width)
        i = (row * width + column)[inside]
        ends.append(torch.stack([i + a * width + b, i]))
        relation.append(torch.full_like(i, k))
    j_i = torch.cat(ends, 1)
    one_hot = nn.functional.one_hot(torch.cat(relation), len(offsets)).double()
    return Graph.build(j_i[0], j_i[1], [height * width], [j_i.shape[1]], edges={"relation": one_hot})


def convolved(graph: Graph, image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """m_i = sum_r sum_{j in N_r(i)} W_r h_j + b; `weight` [out, in, 3, 3] as Conv2d has it (or 1 x 1)."""
    W = weight.flatten(2).permute(2, 0, 1).flatten(1)  # [relations, out in]
    layer = step(lambda e: {"m": apply_matrix(e.e["relation"] @ W, e.j["h"])}, lambda n, m: {"h": m["m"] + bias})
    h = dense(layer(graph.with_nodes(h=image.flatten(1).T)).nodes["h"])
    return h.T.reshape(-1, *image.shape[1:])


def weights(layers: int, offsets: list[tuple[int, int]], size: int = 11, seed: int = 0) -> Tensor:
    """How much the middle pixel's state after some layers depends on each pixel: |Jacobian| summed over channels, [size, size]."""
    torch.manual_seed(seed)
    graph, d = grid(size, size, offsets), 8
    maps = [(torch.randn(d, d, len(offsets), dtype=torch.float64) / (d * len(offsets)) ** 0.5) for _ in range(layers)]
    image = torch.randn(d, size, size, dtype=torch.float64, requires_grad=True)
    h = image
    for W in maps:
        h = torch.tanh(convolved(graph, h, W[..., None], torch.zeros(d, dtype=torch.float64)))
    (gradient,) = torch.autograd.grad((h[:, size // 2, size // 2] * torch.randn(d, dtype=torch.float64)).sum(), image)
    return gradient.abs().sum(0)


def claims(small: bool) -> list[Claim]:
    torch.manual_seed(0)
    image = torch.randn(3, *((9, 7) if small else (64, 48)), dtype=torch.float64)
    conv, one = nn.Conv2d(3, 5, 3, padding=1).double(), nn.Conv2d(3, 5, 1).double()
    size = image.shape[1:]
    return [
        Claim("nine relations = Conv2d 3 x 3", gap(convolved(grid(*size), image, conv.weight, conv.bias), conv(image[None])[0]), 1e-12),
        Claim("loops only = Conv2d 1 x 1", gap(convolved(grid(*size, [(0, 0)]), image, one.weight, one.bias), one(image[None])[0]), 1e-12),
        Claim("pixels that three layers read, off by", abs(int((weights(3, NINE) > 0).sum()) - 7 * 7), 0),
        Claim("the same along rows and columns only: the ball of radius 3, off by", abs(int((weights(3, CROSS) > 0).sum()) - 25), 0),
    ]


def draw(figure: Any) -> None:
    for axes, (name, offsets) in zip(figure.subplots(1, 2), {"nine relations": NINE, "five relations": CROSS}.items(), strict=True):
        mean = torch.stack([weights(3, offsets, seed=s) for s in range(20)]).mean(0)
        shown = axes.imshow(mean / mean.sum(), cmap="viridis")
        axes.set(title=f"{name}: {int((mean > 0).sum())} pixels", xticks=[], yticks=[])
        figure.colorbar(shown)
    figure.suptitle("Share of the middle pixel's Jacobian after three layers (mean of 20 networks)")


if __name__ == "__main__":
    main(__file__, claims, draw)
