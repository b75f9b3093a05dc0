"""EMPNN: messages that deform a crystal's lattice (Klipfel et al. 2023, arXiv:2302.00485).

    m_ij  = mlp(h_i, h_j, b(|r_ij|)),   h_i' = GRU(h_i, mean_j m_ij)
    D'    = (I + E) D,   E = mean_ij w_ij u_ij (x) u_ij + mean_ijk (w_ijk bend(u_ij, u_ik) + w'_ijk spread(u_ij, u_ik))
    r_ij' = D' r_ij                                   vectors of the deformed lattice, for the next step
    y     = sum_i mlp(h_i),   and `deformation` D [G, 3, 3]

w_ij = mlp(h_i, h_j, b), w_ijk = mlp(h_i, h_j, h_k, b, b', cos): numbers for each edge and each pair of edges at an atom, times how its
length, angle and area answer to a strain (`blocks.invariants`). Atoms keep their fractional coordinates, so D acts on all vectors and on
the lattice alike: it is the same whatever basis describes the lattice, and turns along with the crystal. We could not read the paper: this
follows the authors' code (aklipf/pegnn and GemsNet; nothing is copied) as to messages, actions and their order. Here the angle enters by
its cosine and the area by sin^2, which are finite where edges are collinear, weights fade at the cutoff, and E is symmetric and bounded.
Expressivity: above 1-WL on distances, since angles enter. For structures without periods D acts on vectors alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from heliograph import kernels, segment
from heliograph.blocks import MLP, Bessel, Elements, PolynomialCutoff
from heliograph.blocks.invariants import direction, length, stretch
from heliograph.geometry import pair_vectors
from heliograph.graph import Graph, dense
from heliograph.model import MPNN, Inputs
from heliograph.topology import Segments
from heliograph.views import Neighbours

FEATURIZER, GEOMETRY, BOUND = "elements", "required", "above 1-WL"
LIMIT = 0.2  # of |E|


class Start(nn.Module):
    """h_i from the element; no deformation yet; vectors of edges from receiver to sender."""

    def __init__(self, d: int):
        super().__init__()
        self.elements = Elements(d)

    def forward(self, graph: Graph) -> Graph:
        t, r = graph.topology, pair_vectors(graph)
        vector = r.index_select(0, t.pairs.index) * t.pairs.sign[:, None].to(r.dtype)  # [E, 3]
        D = torch.eye(3, dtype=r.dtype, device=r.device).expand(graph.G, 3, 3)
        return self.elements(graph).with_edges(vector=vector).with_globals(deformation=D)


class Step(nn.Module):
    """New states, then a deformation of all vectors."""

    def __init__(self, d: int, radial: int, cutoff: float, deforms: bool = True):
        super().__init__()
        self.b, self.c = Bessel(radial, cutoff), PolynomialCutoff(cutoff, p=6)
        self.message, self.gru = MLP(2 * d + radial, d, d, act=nn.SiLU), nn.GRUCell(d, d)
        self.w_edge = MLP(2 * d + radial, d, 1, act=nn.SiLU) if deforms else None
        self.w_triangle = MLP(3 * d + 2 * radial + 1, d, 2, act=nn.SiLU) if deforms else None

    def forward(self, graph: Graph) -> Graph:
        t, h, r = graph.topology, dense(graph.nodes["h"]), dense(graph.edges["vector"])
        distance = length(r)[:, None]  # [E, 1]
        c = self.c(distance)
        b = self.b(distance) * c  # [E, radial]
        i, j = t.receivers, t.senders
        inputs = torch.cat([kernels.gather(h, i), kernels.gather(h, j), b], -1)
        weight = segment.sum(c, t.incoming) + 1e-6
        h = self.gru(segment.sum(self.message(inputs) * c, t.incoming) / weight, h)  # [N, d]
        graph = graph.with_nodes(h=h)
        if self.w_edge is None or self.w_triangle is None:
            return graph
        of, u = Segments(t.nodes_by_graph.index[i], graph.G), direction(r)
        mean = lambda terms, weight: segment.sum(terms, of) / (segment.sum(weight, of) + 1e-6)[:, :, None]  # noqa: E731
        inputs = torch.cat([kernels.gather(h, i), kernels.gather(h, j), b], -1)
        E = mean((self.w_edge(inputs) * c)[:, :, None] * stretch(u), c)
        E = E + mean(*self._triangles(self.w_triangle, h, b, c, u, graph))
        # a strain of LIMIT at most, turning along, as a tanh of components would not
        size = E.square().sum((1, 2), keepdim=True)
        act = torch.eye(3, dtype=E.dtype, device=E.device) + E / (1 + size / LIMIT**2).sqrt()
        moved = (act.index_select(0, of.index) @ r[:, :, None])[:, :, 0]
        return graph.with_edges(vector=moved).with_globals(deformation=act @ dense(graph.globals["deformation"]))

    @staticmethod
    def _triangles(mlp: nn.Sequential, h: Tensor, b: Tensor, c: Tensor, u: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """For each edge k -> j, the sums over i of weight * (w bend + w' spread) [E, 3, 3] and of the weight [E, 1].

        The first linear map of `mlp` is computed on edges. With x = u_jk, y = u_ji, the two terms are p (x y' + y x') + q (x x' + y y'),
        p = w - cos w', q = w' - cos w: vectors and numbers are summed over triangles, matrices are made for edges alone.
        """
        t, (first, second) = graph.topology, [layer for layer in mlp if isinstance(layer, nn.Linear)]
        kj, ji = t.continuations  # both at atom j: from k, and to i
        here, start, end, of_kj, of_ji, of_cos = first.weight.T.split([h.shape[1]] * 3 + [b.shape[1]] * 2 + [1])
        at = lambda W, nodes: kernels.gather(h @ W, nodes)  # noqa: E731
        into, out_of = at(start, t.senders) + at(here, t.receivers) + b @ of_kj + first.bias, at(end, t.receivers) + b @ of_ji
        cos = -kernels.dot(u, kj, u, ji)[:, None]
        fades = kernels.gather(c, kj) * kernels.gather(c, ji)
        w = second(nn.functional.silu(kernels.gather(into, kj) + kernels.gather(out_of, ji) + cos * of_cos)) * fades
        p, q = w[:, :1] - cos * w[:, 1:], w[:, 1:] - cos * w[:, :1]
        by_kj = Segments(kj, t.E)
        xy = u[:, :, None] * kernels.product_sum(p, None, -u, ji, by_kj)[:, None]  # [E, 3, 3]
        squares = (segment.sum(q, by_kj) + q.new_zeros(t.E, 1).index_add(0, ji, q))[:, :, None] * stretch(u)
        return xy + xy.transpose(1, 2) + squares, segment.sum(fades, by_kj)


class Readout(nn.Module):
    """y_g = sum_i mlp(h_i), [G, out], and the `deformation` [G, 3, 3]."""

    def __init__(self, d: int, out: int):
        super().__init__()
        self.mlp = MLP(d, d, out, act=nn.SiLU)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        y = segment.sum(self.mlp(dense(graph.nodes["h"])), graph.topology.nodes_by_graph)
        return {"y": y, "deformation": dense(graph.globals["deformation"])}


def build(inputs: Inputs, out: int, d: int = 64, depth: int = 3, radial: int = 8, cutoff: float = 5.0) -> MPNN:
    """`depth` steps of width `d` that deform, and one that sees the result; `radial` functions within `cutoff` angstrom."""
    steps = [Step(d, radial, cutoff, deforms=k < depth) for k in range(depth + 1)]
    return MPNN(Start(d), steps, Readout(d, out), view=Neighbours(cutoff))
