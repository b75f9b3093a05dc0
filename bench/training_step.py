"""Training steps per second against PyTorch Geometric: same weights, same graphs, steps in turn.

    python bench/training_step.py [--only schnet gilmer ...] [--precision bf16] [--compile] [-o FILE.jsonl]

schnet, gilmer and interaction (a pair MLP as message, d = 128, 4 layers) on complete graphs of 18 atoms, as QM9's molecules with hydrogens
are; gcn and gin (d = 300, depth 4), gat, gatv2 and gps (d = 64, depth 2, 2 and 5) on bond graphs of lipophilicity, the random walks of
gps computed beforehand on both sides. 64 molecules a batch. A step is forward, backward and Adam, from a
batch that nothing has been derived from yet; building that batch is not in it. Outputs and the gradient's norm are compared before anything
is timed. Every way of the peer is run with freed memory kept, as ours is, and as it is by default. With --precision bf16 (autocast) ours is
run in bf16, and the peer in bf16 and in float32. The line "best" is against the fastest of the peer's ways. See `worker.py` for the rest.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import inputs
import torch
from common import Lines, parser
from torch import Tensor, nn
from worker import Contestant, Failed, Worker, difference, duel

from heliograph import zoo
from heliograph.model import MPNN, Inputs
from heliograph.views import keep_encodings

COMPLETE = "complete graphs of 18 atoms"
BONDS = "bond graphs of lipophilicity"
CASES: dict[str, tuple[str, dict[str, dict[str, str]]]] = {  # name -> graphs, peer -> its ways -> function of peers.py
    "schnet": (COMPLETE, {"PyG SchNet": {"edge_index": "schnet"}}),
    "gilmer": (COMPLETE, {"PyG NNConv, GRU, Set2Set": {"edge_index": "gilmer"}, "plain torch, A(e) computed once": {"bmm": "gilmer_once"}}),
    "interaction": (COMPLETE, {"PyG MessagePassing": {"edge_index": "interaction"}}),
    "gcn": (BONDS, {"PyG GCNConv": {"edge_index": "gcn", "edge_index, normalised beforehand": "gcn_weighted",
                                    "sparse CSR, normalised beforehand": "gcn_sparse"}}),
    "gin": (BONDS, {"PyG GINEConv": {"edge_index": "gin"}}),
    "gat": (BONDS, {"PyG GATConv": {"edge_index": "gat"}}),
    "gatv2": (BONDS, {"PyG GATv2Conv": {"edge_index": "gatv2"}}),
    "gps": (BONDS, {"PyG GPSConv, GINEConv": {"padded batches": "gps"}}),
}  # fmt: skip
TOLERANCE = {"float32": 1e-4, "bf16": 5e-2}


def case(name: str, molecules: int) -> tuple[MPNN, inputs.Fresh]:
    """The seeded network and its batch."""
    arch = str(Path(__file__).with_name("interaction.py")) if name == "interaction" else name
    torch.manual_seed(0)
    if CASES[name][0] == COMPLETE:
        return zoo.build(arch, Inputs(inputs.ATOMS, inputs.BONDS, geometry=True), 1), inputs.chains(molecules)
    store = inputs.lipophilicity(molecules)
    net = zoo.build(arch, Inputs(store.featurizer.atom_width, store.featurizer.bond_width), 1)
    keep_encodings(net.view, store)  # as training does
    return net, lambda: store.batch(range(len(store)))


def ours(name: str, molecules: int, precision: str) -> Contestant:
    net, fresh = case(name, molecules)
    return training(net, lambda: (fresh(),), lambda graph: net(graph)["y"], precision)


def theirs(name: str, way: str, molecules: int, precision: str, compiled: bool) -> Contestant:
    import peers

    net, fresh = case(name, molecules)
    module, arguments = getattr(peers, way)(net, fresh())
    forward = torch.compile(module) if compiled else module
    return training(module, lambda: arguments, forward, precision)


def training(model: nn.Module, prepare: Callable[[], tuple], forward: Callable[..., Tensor], precision: str) -> Contestant:
    """Forward, backward, Adam."""
    optimizer = torch.optim.Adam(model.parameters())

    def backward(arguments: tuple) -> Tensor:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            y = forward(*arguments)
        y.float().square().mean().backward()
        return y.detach().float()

    def step() -> float:
        arguments = prepare()
        start = time.perf_counter()
        backward(arguments)
        optimizer.step()
        return time.perf_counter() - start

    def values() -> list:
        y = backward(prepare())
        gradients = [p.grad.float().norm() for p in model.parameters() if p.grad is not None]
        return [y.numpy(), torch.stack(gradients).norm().numpy()]

    return Contestant(step, values)


def variants(options: argparse.Namespace) -> list[tuple[str, bool, bool]]:
    """How a peer is run: precision, compiled, freed memory kept (when compiled, kept alone)."""
    precisions = ["float32"] if options.precision == "float32" else ["bf16", "float32"]
    return [(p, *how) for p in precisions for how in [(False, True), (False, False)] + [(True, True)] * options.compile]


def run(name: str, options: argparse.Namespace, lines: Lines) -> None:
    graphs, rivals = CASES[name]
    about = {"benchmark": f"training step, {name}, {graphs}, batch {options.molecules}", "precision": options.precision}
    mine = {"name": name, "molecules": options.molecules, "precision": options.precision}
    with Worker(ours, mine, {"molecules": 2}) as us:
        lines(about | {"matmul_flop": us.ask("flops")} | ({"profile_ms": us.ask("profile")} if options.profile else {}))
    for rival, ways in rivals.items():
        found = []
        for way, function in ways.items():
            for precision, compiled, kept in variants(options):
                how = {"peer": rival, "way": way, "peer_precision": precision, "compiled": compiled, "peer_keeps_freed_memory": kept}
                asked = {"name": name, "way": function, "molecules": options.molecules, "precision": precision, "compiled": compiled}
                try:
                    # both anew for each duel: neither has trained before, and a peak is of this duel alone
                    with (
                        Worker(ours, mine, {"molecules": 2}) as us,
                        Worker(theirs, asked, None if compiled else {"molecules": 2}, kept, peer=True) as them,
                    ):
                        line = about | how | against(us, them, options, max(TOLERANCE[precision], TOLERANCE[options.precision]))
                    found.append(line)
                except Failed as error:
                    line = about | how | {"failed": str(error)}
                lines(line)
        if found:
            lines({"best": True} | min(found, key=lambda line: line["ratio_min_median_max"][1]))


def against(us: Worker, them: Worker, options: argparse.Namespace, tolerance: float) -> dict[str, object]:
    """Values, then steps."""
    apart = difference(us.ask("values"), them.ask("values"))
    if not apart <= tolerance:
        raise Failed(f"values differ by {apart:.1e}; nothing was timed")
    figures = duel(us, them, options.steps)
    rates = {f"{who}molecules_per_second": round(options.molecules / figures[f"{who}seconds"], 1) for who in ("", "peer_")}
    return rates | figures | {"largest_relative_difference": apart, "freed_memory_kept": us.kept}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="NAME", help=f"of {', '.join(CASES)}")
    made.add_argument("--precision", choices=TOLERANCE, default="float32", help="bf16: autocast")
    made.add_argument("--compile", action="store_true", help="the peer under torch.compile too")
    made.add_argument("--molecules", type=int, default=64, help="a batch (64)")
    made.add_argument("--profile", action="store_true", help="milliseconds of our step by operation")
    options = made.parse_args()
    lines = Lines(options)
    for name in options.only:
        if CASES[name][0] == BONDS and not inputs.LIPOPHILICITY.is_file():
            print(f"skipped: {name} needs {inputs.LIPOPHILICITY} (set HELIOGRAPH_DATA)", file=sys.stderr)
            continue
        run(name, options, lines)


if __name__ == "__main__":
    main()
