"""One GCN layer on one large graph, forward and backward, against PyTorch Geometric's scatter and sparse ways.

    python bench/gcn_layer.py [--nodes 170000] [--edges 2400000] [-o FILE.jsonl]

The size of ogbn-arxiv, edges at random (the worst locality). As in full-batch training the graph stays: what follows from it alone (row
pointers, the normalised adjacency matrix) is there before the first step, on both sides. A step is relu(conv(h)), its mean square and
the gradients of h and of the weights.
"""

from __future__ import annotations

import sys

import inputs
import torch
from common import Lines, parser, timed
from torch import Tensor, nn
from worker import Contestant, Failed, Worker, difference, duel

from heliograph.blocks import Propagate
from heliograph.graph import Graph
from heliograph.layer import Layer
from heliograph.zoo import gcn

WAYS = ("scatter", "sparse CSR", "torch.sparse.mm")
TINY = {"nodes": 10, "edges": 40, "d": 8}


def start(nodes: int, d: int) -> tuple[Tensor, nn.Linear]:
    """Seeded states and weights."""
    torch.manual_seed(0)
    return torch.randn(nodes, d).requires_grad_(), nn.Linear(d, d)


def ours(nodes: int, edges: int, d: int) -> Contestant:
    h, W = start(nodes, d)
    layer = Layer(Propagate(), gcn.Update(d, 0.0))
    layer.update.W.load_state_dict(W.state_dict())
    topology = inputs.random_graph(nodes, edges)
    norm = (1 + topology.incoming.count).to(h.dtype).rsqrt()[:, None]  # [N, 1]
    return contestant(h, layer, lambda: layer(Graph(topology, {"h": h, "norm": norm})).nodes["h"])


def theirs(way: str, nodes: int, edges: int, d: int) -> Contestant:
    import peers

    h, W = start(nodes, d)
    topology = inputs.random_graph(nodes, edges)
    index = torch.stack([topology.senders, topology.receivers])  # sorted by receiver, which suits a scatter
    if way == "scatter":
        conv, graph = peers.gcn_conv(W, False), peers.gcn_norm(index, num_nodes=nodes)
        return contestant(h, conv, lambda: conv(h, *graph).relu())
    matrix = peers.csr(index, nodes)
    if way == "sparse CSR":
        conv = peers.gcn_conv(W, False)
        return contestant(h, conv, lambda: conv(h, matrix).relu())
    return contestant(h, W, lambda: W(torch.sparse.mm(matrix, h)).relu())


def contestant(h: Tensor, module: nn.Module, forward) -> Contestant:
    def backward() -> Tensor:
        h.grad = None
        module.zero_grad()
        out = forward()
        out.square().mean().backward()
        return out.detach()

    def values() -> list:
        out = backward()
        return [out[:1000].numpy(), h.grad[:1000].numpy(), torch.stack([p.grad.norm() for p in module.parameters()]).norm().numpy()]

    return Contestant(timed(backward), values)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--nodes", type=int, default=170_000)
    made.add_argument("--edges", type=int, default=2_400_000, help="directed")
    made.add_argument("--width", type=int, default=128)
    options = made.parse_args()
    lines = Lines(options)
    size = {"nodes": options.nodes, "edges": options.edges, "d": options.width}
    about = {"benchmark": "one GCN layer, forward and backward"} | size
    found = []
    for way in WAYS:
        for kept in (True, False):
            how = {"peer": "plain torch" if way == "torch.sparse.mm" else "PyG GCNConv", "way": way, "peer_keeps_freed_memory": kept}
            try:
                with Worker(ours, size, TINY) as us, Worker(theirs, size | {"way": way}, TINY, kept, peer=True) as them:
                    apart = difference(us.ask("values"), them.ask("values"))
                    if not apart <= 1e-4:
                        raise Failed(f"values differ by {apart:.1e}; nothing was timed")
                    found.append(about | how | duel(us, them, options.steps) | {"largest_relative_difference": apart})
                lines(found[-1])
            except Failed as error:
                lines(about | how | {"failed": str(error)})
    if not found:
        sys.exit("no way of the peer ran")
    lines({"best": True} | min(found, key=lambda line: line["ratio_min_median_max"][1]))


if __name__ == "__main__":
    main()
