"""Six architectures as four functions: message, aggregate, update, readout.

Idea: architectures are not different machines, they fill the same slots differently. Computed here: the layer made of slots equals the
formula that each paper prints, written with dense matrices and no graph library; and the table of slots is what was run.
"""

from __future__ import annotations

from typing import Any

import torch
from page import Claim, gap, graph_of, main, step
from torch import Tensor

from heliograph import Graph, segment
from heliograph.graph import dense

TABLE = {  # name: message, aggregate, update
    "GCN": ("h_j / sqrt(d_i d_j)", "sum", "relu(W m)"),
    "GraphSAGE": ("h_j", "mean", "relu(W [h, m])"),
    "GAT": ("softmax_j(a(h_i, h_j)) W h_j", "sum", "elu(m)"),
    "interaction": ("tanh(R [h_i, h_j, e_ij])", "sum", "tanh(O [h, m])"),
    "non-local": ("softmax_j(h_i . h_j) h_j, all j", "sum", "h + m"),
    "relation": ("tanh(R [h_i, h_j]), all j", "sum", "m, then a sum over i"),
}


def layers(W: Tensor, a: Tensor, R: Tensor, O: Tensor) -> dict[str, Any]:  # noqa: E741
    """The six, each from its slots."""

    def attend(score: Any) -> Any:
        return lambda e: segment.softmax(torch.as_tensor(score(e).dense()), e.graph.topology.incoming)

    dot = attend(lambda e: (e.i["h"] * e.j["h"]).sum(-1, keepdim=True))
    additive = attend(lambda e: torch.nn.functional.leaky_relu(e.i["h"] @ W @ a[:, None] + e.j["h"] @ W @ a[:, None].flip(0), 0.2))
    return {
        "GCN": step(lambda e: {"m": e.j["h"] * e.j["norm"] * e.i["norm"]}, lambda n, m: {"h": (m["m"] @ W).relu()}),
        "GraphSAGE": step(lambda e: {"m": e.j["h"]}, lambda n, m: {"h": (torch.cat([dense(n["h"]), m["m"]], -1) @ O).relu()}, segment.mean),
        "GAT": step(lambda e: {"m": e.j["h"] @ W * additive(e)}, lambda n, m: {"h": torch.nn.functional.elu(m["m"])}),
        "interaction": step(lambda e: {"m": torch.tanh(torch.cat([e.i["h"], e.j["h"], e.e["e"]], -1) @ R)},
                            lambda n, m: {"h": torch.tanh(torch.cat([dense(n["h"]), m["m"]], -1) @ O)}),
        "non-local": step(lambda e: {"m": e.j["h"] * dot(e)}, lambda n, m: {"h": dense(n["h"]) + m["m"]}),
        "relation": step(lambda e: {"m": torch.tanh(torch.cat([e.i["h"], e.j["h"]], -1) @ R[:-1])}, lambda n, m: {"h": m["m"]}),
    }  # fmt: skip


def dense_formulas(h: Tensor, A: Tensor, E: Tensor, W: Tensor, a: Tensor, R: Tensor, O: Tensor) -> dict[str, Tensor]:  # noqa: E741
    """The papers' formulas on matrices: A [n, n] with loops, E [n, n, 1] edge features."""
    n, d = h.shape
    i, j = h[:, None].expand(n, n, d), h[None].expand(n, n, d)
    norm = A.sum(1).rsqrt()
    bare = A - torch.eye(n)
    score = torch.nn.functional.leaky_relu(h @ W @ a[:, None] + (h @ W @ a[:, None].flip(0)).T, 0.2).masked_fill(A == 0, -torch.inf)
    pairs, triples = torch.tanh(torch.cat([i, j], -1) @ R[:-1]), torch.tanh(torch.cat([i, j, E], -1) @ R)
    return {
        "GCN": (norm[:, None] * A * norm @ h @ W).relu(),
        "GraphSAGE": (torch.cat([h, bare @ h / bare.sum(1, keepdim=True)], -1) @ O).relu(),
        "GAT": torch.nn.functional.elu(score.softmax(1) @ h @ W),
        "interaction": torch.tanh(torch.cat([h, (bare[..., None] * triples).sum(1)], -1) @ O),
        "non-local": h + torch.nn.functional.scaled_dot_product_attention(h[None], h[None], h[None], scale=1.0)[0],
        "relation": pairs.sum(1),
    }


def results(n: int = 12, d: int = 6) -> dict[str, tuple[Tensor, Tensor]]:
    """Each architecture's states by slots and by matrices."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    W, a, R, O = torch.randn(d, d), torch.randn(d), torch.randn(2 * d + 1, d), torch.randn(2 * d, d)  # noqa: E741
    ring = [(k, (k + s) % n) for k in range(n) for s in (1, 3)]
    h, e = torch.randn(n, d), torch.randn(len(ring), 1)
    A, E = torch.eye(n), torch.zeros(n, n, 1)
    for (p, q), value in zip(ring, e, strict=True):
        A[p, q] = A[q, p] = 1
        E[p, q] = E[q, p] = value
    loops = [(k, k) for k in range(n)]
    bare, norm = graph_of(ring, n, edges={"e": e}, h=h), A.sum(1).rsqrt()[:, None]
    looped = graph_of([*ring, *[(q, p) for p, q in ring], *loops], n, directed=True, h=h, norm=norm)
    every = graph_of([(p, q) for p in range(n) for q in range(n)], n, directed=True, h=h)
    on: dict[str, Graph] = {"GCN": looped, "GAT": looped, "non-local": every, "relation": every}
    made, wanted = layers(W, a, R, O), dense_formulas(h, A, E, W, a, R, O)
    torch.set_default_dtype(torch.float32)
    return {name: (dense(layer(on.get(name, bare)).nodes["h"]), wanted[name]) for name, layer in made.items()}


def claims(small: bool) -> list[Claim]:
    return [Claim(f"{name}: slots = matrices", gap(*pair), 1e-11) for name, pair in results(12 if small else 60).items()]


def draw(figure: Any) -> None:
    table = figure.subplots().table([[name, *row] for name, row in TABLE.items()], colLabels=["", "message", "aggregate", "update"],
                                    loc="center", cellLoc="left", colWidths=[0.16, 0.4, 0.14, 0.3])  # fmt: skip
    table.scale(1, 1.5)
    figure.axes[0].axis("off")
    figure.suptitle("One layer, six papers: what fills the slots")


if __name__ == "__main__":
    main(__file__, claims, draw, (8, 3))
