"""JK-Net: jumping knowledge around an architecture's layers (Xu, Li, Tian et al. 2018, arXiv:1806.03536).

    m_i, h_i^t = those of the architecture `of`, t = 1 .. L
    h_i' = [h_i^1, ..., h_i^L]                                concat
    h_i' = max_t h_i^t                                        max, in each channel
    h_i' = sum_t w_it h_i^t                                   lstm: w_it = softmax_t(a . [f_it, b_it]), f and b the states of an
                                                              LSTM that reads the layers forwards and backwards
    y    = head(mean_i h_i')

Sec. 4, where a node may take what it needs from each radius; `blocks.JumpingKnowledge` and what it joins by. The paper has it around
gcn, sage and gat; here `of` is any architecture that has a width `d`, a `depth` and a state of that width after each of its layers.
Departures: the pooled head is for graphs and takes the place of the architecture's own; an LSTM of width L d / 2, which the paper
leaves open, as in PyTorch Geometric.
Expressivity: that of the architecture inside; gcn's, at most 1-WL.
"""

from __future__ import annotations

import torch
from torch import nn

from heliograph import segment, zoo
from heliograph.blocks import Head, JumpingKnowledge, Largest, LSTMAttention, Pool, SideBySide
from heliograph.blocks.trial import smallest
from heliograph.errors import UsageError, suggest
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"
PARTS = False


def jumping(layers: nn.ModuleList, mode: str, d: int, depth: int) -> JumpingKnowledge:
    """The layers, whose states are joined as `mode` says."""
    if mode == "lstm":
        return JumpingKnowledge(layers, LSTMAttention(d, max(1, depth * d // 2)))
    modes = {"concat": SideBySide, "max": Largest}
    if mode not in modes:
        raise UsageError(f"jk has no mode {mode!r}: {suggest(mode, [*modes, 'lstm'])}")
    return JumpingKnowledge(layers, modes[mode]())


def shapes(net: MPNN, inputs: Inputs) -> list[torch.Size]:
    """Of the states after the layers, found by sending two joined nodes through."""
    found: list[torch.Size] = []
    before = None
    with torch.no_grad():
        for name, _, two in net.eval().steps(smallest(inputs)):
            h = two.nodes.get("h")
            if name.startswith("layer") and h is not None and h is not before:
                found.append(h.shape)
            before = h
    net.train()
    return found


def build(
    inputs: Inputs,
    out: int,
    of: str = "gcn",
    mode: str = "concat",
    d: int = 32,
    depth: int = 6,
    dropout: float = 0.0,
    aggregate: Aggregate = segment.mean,
) -> MPNN:
    """`depth` layers of width `d` of the architecture named `of`, joined by `mode`: concat, max or lstm; `aggregate` pools nodes."""
    if of not in zoo.names():  # never a path: `of` may come out of a stranger's model file, which runs no code
        raise UsageError(f"jk goes around an architecture of the zoo, not {of!r}: {suggest(of, zoo.names())}")
    net = zoo.build(of, inputs, out, {"d": d, "depth": depth} | ({"dropout": dropout} if dropout else {}))
    found = shapes(net, inputs)
    if found != [(2, d)] * depth:
        raise UsageError(f"jk needs {depth} states of width {d}; two nodes in the {depth} layers of {of} give {[list(s) for s in found]}")
    layer = jumping(net.layers, mode, d, depth)
    return MPNN(net.embed, [layer], Pool(Head(depth * d if mode == "concat" else d, out, hidden=d, dropout=dropout), aggregate), net.view)
