"""Training steps per second against PyTorch Geometric: same weights, same graphs, both in one run, alternating.

    python bench/training_step.py [--steps 7] [--threads 2]

Graphs: 64 random molecules of 18 atoms, complete, as QM9's with hydrogens. A step is forward, backward and Adam. Values are
compared before anything is timed. Prints one JSON line a model: molecules/s of both and the ratio of paired steps
(min, median, max). PyG runs eagerly; its `torch.compile` and the bf16 columns belong to the kernels' own benchmarks.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from heliograph import zoo
from heliograph.allocator import keep_freed_memory
from heliograph.graph import Graph, Indexed, batch, dense
from heliograph.model import MPNN, Inputs
from heliograph.views import CompleteGraph, with_distances

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch_geometric.nn import NNConv
    from torch_geometric.nn.aggr import Set2Set
    from torch_geometric.nn.models import SchNet

ATOMS, BONDS, SIZE, MOLECULES = 28, 11, 18, 64


def molecules() -> Graph:
    """Chains with random features and positions."""
    rng = torch.Generator().manual_seed(0)
    x, e = torch.randn(30, ATOMS, generator=rng), torch.randn(8, BONDS, generator=rng)
    chain = torch.arange(SIZE - 1)
    graphs = []
    for _ in range(MOLECULES):
        bond = torch.randint(8, (SIZE - 1,), generator=rng)
        nodes = {"x": Indexed(x, torch.randint(30, (SIZE,), generator=rng)), "z": torch.randint(1, 9, (SIZE,), generator=rng),
                 "pos": 1.2 * torch.randn(SIZE, 3, generator=rng)}  # fmt: skip
        graphs.append(Graph.build(torch.cat([chain, chain + 1]), torch.cat([chain + 1, chain]), [SIZE], [2 * SIZE - 2], nodes=nodes,
                                  edges={"edge_attr": Indexed(e, torch.cat([bond, bond]))}))  # fmt: skip
    return batch(graphs)


def schnet_peer(net: MPNN, graph: Graph) -> tuple[nn.Module, Callable[[], Tensor]]:
    """PyG's SchNet with the weights of ours; the pairs are handed to it, so that it doesn't search for them."""
    t = with_distances(CompleteGraph()(graph))
    index, z, pos, members = (
        torch.stack([t.topology.senders, t.topology.receivers]),
        dense(graph.nodes["z"]),
        dense(graph.nodes["pos"]),
        graph.topology.members.index,
    )

    def pairs(pos: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        return index, (pos[index[0]] - pos[index[1]]).norm(dim=-1)

    theirs = SchNet(128, 128, 6, 50, 10.0, interaction_graph=pairs)
    theirs.embedding.weight.data = net.embed.element.weight.data[:100].clone()
    for block, layer in zip(theirs.interactions, net.layers, strict=True):
        for mine, its in (
            (layer.message.W, block.mlp),
            (layer.message.U, block.conv.lin1),
            (layer.update.V[0], block.conv.lin2),
            (layer.update.V[2], block.lin),
        ):
            its.load_state_dict(mine.state_dict())
    theirs.lin1.load_state_dict(net.readout.mlp[0].state_dict())
    theirs.lin2.load_state_dict(net.readout.mlp[2].state_dict())
    return theirs, lambda: theirs(z, pos, members)


class GilmerPeer(nn.Module):
    """NNConv, GRU and Set2Set of PyG's documented QM9 example, with the weights of ours."""

    def __init__(self, net: MPNN, d: int = 64, hidden: int = 128):
        super().__init__()
        self.start, self.project, self.head = (
            nn.Linear(ATOMS, d),
            nn.Linear(d + ATOMS, d),
            nn.Sequential(nn.Linear(2 * d, d), nn.ReLU(), nn.Linear(d, 1)),
        )
        network = nn.Sequential(nn.Linear(BONDS + 1, hidden), nn.ReLU(), nn.Linear(hidden, d * d))
        self.conv, self.cell = NNConv(d, d, network, aggr="add", root_weight=False, bias=False), nn.GRUCell(d, d)
        self.set2set = Set2Set(d, processing_steps=6)
        W2 = net.layers[0].message.W2
        network[0].load_state_dict(net.embed.W1.state_dict())
        network[2].weight.data = W2.weight.data.view(d, d, hidden).transpose(0, 1).reshape(d * d, hidden).clone()
        network[2].bias.data = W2.bias.data.view(d, d).T.reshape(-1).clone()
        for mine, its in (
            (net.embed.W, self.start),
            (net.readout.W, self.project),
            (net.readout.head, self.head),
            (net.layers[0].update.cell, self.cell),
        ):
            its.load_state_dict(mine.state_dict())
        self.set2set.lstm.load_state_dict({f"{k}_l0": v for k, v in net.readout.set2set.lstm.state_dict().items()})

    def forward(self, x: Tensor, index: Tensor, attr: Tensor, members: Tensor) -> Tensor:
        h = self.start(x)
        for _ in range(6):
            h = self.cell(self.conv(h, index, attr), h)
        return self.head(self.set2set(self.project(torch.cat([h, x], -1)), members, dim_size=MOLECULES))


def gilmer_peer(net: MPNN, graph: Graph) -> tuple[nn.Module, Callable[[], Tensor]]:
    full = with_distances(CompleteGraph()(graph))
    data = full.to_pyg()
    attr = torch.cat([data.edge_attr, data.distance], -1)
    theirs = GilmerPeer(net)
    return theirs, lambda: theirs(data.x, data.edge_index, attr, data.batch)


def step(model: nn.Module, forward: Callable[[], Tensor]) -> Callable[[], float]:
    optimizer = torch.optim.Adam(model.parameters())

    def run() -> float:
        start = time.perf_counter()
        optimizer.zero_grad()
        forward().square().mean().backward()
        optimizer.step()
        return time.perf_counter() - start

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kept = keep_freed_memory()  # for both: the allocator is the process's
    graph = molecules()
    for name, peer in (("schnet", schnet_peer), ("gilmer", gilmer_peer)):
        torch.manual_seed(0)
        net = zoo.build(name, Inputs(ATOMS, BONDS, True), 1)
        theirs, forward = peer(net, graph)
        with torch.no_grad():
            difference = float((net(graph)["y"] - forward()).abs().max() / forward().abs().max())
        if difference > 1e-4:
            raise SystemExit(f"{name}: values differ by {difference:.1e}; nothing was timed")
        ours, its = step(net, lambda net=net: net(graph)["y"]), step(theirs, forward)  # type: ignore[misc]
        ours(), its()
        times = [(ours(), its()) for _ in range(options.steps)]
        ratios = sorted(b / a for a, b in times)
        print(json.dumps({
            "benchmark": f"training step, {name}, complete graphs of {SIZE} atoms, batch {MOLECULES}", "peer": "PyTorch Geometric, eager",
            "molecules_per_second": round(MOLECULES / statistics.median(a for a, _ in times), 1),
            "peer_molecules_per_second": round(MOLECULES / statistics.median(b for _, b in times), 1),
            "ratio_min_median_max": [round(r, 2) for r in (ratios[0], statistics.median(ratios), ratios[-1])],
            "largest_relative_difference": difference, "threads": options.threads, "freed_memory_kept": kept, "torch": torch.__version__,
            "machine": platform.processor() or platform.machine()}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
