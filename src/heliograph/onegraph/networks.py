"""The network of a training on one graph: an architecture of the zoo, learned vectors where nodes have no features, a readout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from torch import nn

from heliograph import zoo
from heliograph.blocks import Dot, Embed, Hadamard, Head, NodeWise, Ordered, Turned, Unordered, Vectors
from heliograph.blocks.decoders import DECODERS, Items, Tails, decoder
from heliograph.graph import Graph
from heliograph.learn.adam import Adam
from heliograph.learn.config import FitConfig
from heliograph.model import MPNN, Inputs

WIDTH = 64  # of states where there is no architecture
RAW = ("none", "lightgcn")  # their states are compared as they are


class AsGiven(nn.Module):
    """h_i = x_i: learned vectors are the states."""

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=graph.nodes["x"])


@final
@dataclass(frozen=True, eq=False)
class Network:
    """`build` of a job. `arch` "none" passes no messages. `level`: "node", "edge" or "link".

    `inputs`: features from tables; `n`, `vectors`: how many nodes have a learned vector and how wide it is (0: none).
    `decoder`: "dot" or "mlp" of links, "direction" of edges, "items" of a bipartite graph, or one of `blocks.decoders.DECODERS`, with
    `relations` in all, inverse ones too. `out`: answers of a node or an edge.
    """

    arch: str | Mapping[str, Any]
    args: Mapping[str, Any]
    inputs: Inputs
    out: int
    level: str
    decoder: str = "mlp"
    directed: bool = False
    n: int = 0
    vectors: int = 0
    relations: int = 0
    first_side: int = 0
    dropout: float = 0.0
    kinds: tuple[int, ...] = ()  # the type of the tail of each relation, inverse ones too, where there are several types

    @property
    def name(self) -> str:
        """Of the architecture."""
        return self.arch if isinstance(self.arch, str) else "composition"

    def __call__(self) -> MPNN:
        # drawn first, whatever comes after
        first = [Vectors(self.n, self.vectors, partial=bool(self.inputs.nodes))] if self.vectors else []
        inputs = Inputs(self.inputs.nodes + self.vectors, self.inputs.edges)
        if self.arch == "none":
            plain = MPNN(Embed(inputs.nodes, WIDTH) if self.inputs.nodes else AsGiven(), [], NodeWise(Head(WIDTH, self.out)))
        else:
            plain = zoo.build(self.arch, inputs, self.out, dict(self.args), level="node")
        readout = plain.readout if self.level == "node" else self._pairs(plain, inputs)
        return MPNN(nn.Sequential(*first, plain.embed) if first else plain.embed, plain.layers, readout, plain.view)

    def _pairs(self, plain: MPNN, inputs: Inputs) -> nn.Module:
        of = str(getattr(plain.readout, "of", "h"))
        d = zoo.width(plain, inputs, of)
        if self.decoder == "direction":
            return Turned(Head(2 * d, 1, hidden=d), of)
        if self.level == "edge":
            return Unordered(Head(2 * d + inputs.edges, self.out, hidden=d), of)
        if self.decoder == "items":
            return Items(self.first_side, of)
        if self.decoder in DECODERS:
            made = self.arch == "compgcn"
            return Tails(decoder(self.decoder, d), self.relations, d, self.dropout, made=made, of=of, kinds=self.kinds)
        if self.decoder == "dot":
            return Dot(None if self.arch in RAW else nn.Linear(d, d), of)
        return Ordered(Head(2 * d, 1, hidden=d), of) if self.directed else Hadamard(nn.Linear(d, d), Head(d, 1), of)


def optimizer(module: nn.Module, fit: FitConfig) -> Adam:
    """AdamW without a decay of learned vectors."""
    tables = [p for m in module.modules() if getattr(m, "undecayed", False) for p in m.parameters()]
    kept = {id(p) for p in tables}
    groups: list[dict[str, Any]] = [{"params": [p for p in module.parameters() if id(p) not in kept]}]
    if tables:
        groups.append({"params": tables, "weight_decay": 0.0})
    return Adam([g for g in groups if g["params"]], fit.init_lr, fit.weight_decay)
