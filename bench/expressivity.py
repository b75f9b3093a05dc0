"""What architectures tell apart on EXP, CSL and SR25: with random weights, and trained.

    python bench/expressivity.py [--archs gin gps ...] [--train gin gps ...] [--sets EXP CSL SR25] [--device cuda] [-o FILE.jsonl]

Needs expressivity/ in $HELIOGRAPH_DATA or ../shared/data. First, without training: how many pairs get unequal outputs from any of five
networks with random weights in float64 (600 pairs of EXP that 1-WL does not tell apart, Abboud et al. 2021, arXiv:2010.01179; the 45
pairs of classes of CSL; the 105 pairs of SR25), the smallest relative difference beside it: what is unequal by 1e-8 can hardly be
learned. Then, for `--train`: accuracy in percent of four layers of width 32 (kgnn: four on nodes, four on sets), EXP (60 epochs; pairs
stay together) and CSL (600) in five stratified folds, rows held out scored after the last epoch; SR25 (200) on its own 15 graphs, as is
usual. Training ends before its time after ten epochs in a row without an error. Where there is batch norm, "settled" is the accuracy with
its statistics taken anew from the training graphs ("folds": with the running averages of training, which can lag behind the weights).
1-WL gives 50, 10 and 6.67. A file that holds some of the lines already is gone on with: they are not done again.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from classify import Labelled, csl, folds, halved, sr25, text, training
from common import DATA, Lines, parser
from torch import Tensor, nn

from heliograph import learn, zoo
from heliograph.batching import batch
from heliograph.graph import Graph
from heliograph.model import MPNN, Inputs

FLAT = [name for name in zoo.names() if zoo.load(name).GEOMETRY != "required"]
TRAINED = ["gin", "gps", "graphormer", "san", "kgnn"]
SMALL = {"d": 32, "depth": 4}
ARGS = dict.fromkeys(FLAT, SMALL) | {"kgnn": SMALL | {"set_depth": 4}}  # its sets are what sees more than 1-WL
DRAWS = 5  # of random weights: units that are zero everywhere hide what a network could tell apart
EPOCHS = {"EXP": 60, "CSL": 600, "SR25": 200}


def pairs(name: str, data: Labelled) -> list[tuple[Graph, Graph]]:
    """Those that matter: consecutive ones of EXP, one graph a class of CSL with one of another, all of SR25."""
    if name == "EXP":
        return list(zip(data.graphs[::2], data.graphs[1::2], strict=True))
    first = [data.graphs[int((data.y == k).nonzero()[0])] for k in range(data.classes)]
    return list(itertools.combinations(first, 2))


def apart(arch: str, name: str, data: Labelled) -> dict[str, object]:
    """Pairs told apart by random weights, any of DRAWS, and the smallest of their largest differences, relative to the output."""
    largest = np.zeros(len(pairs(name, data)))
    for seed in range(DRAWS):
        torch.manual_seed(seed)
        net = zoo.build(arch, Inputs(data.tags, 1), data.classes).double().eval()
        with torch.no_grad():
            for k, (a, b) in enumerate(pairs(name, data)):
                y, z = net(a)["y"], net(b)["y"]
                largest[k] = max(largest[k], float((y - z).abs().max() / y.abs().max()))
    told = largest[largest > 1e-10]
    smallest = float(f"{told.min():.2g}") if len(told) else None
    return {"pairs": len(largest), "apart": len(told), "smallest_difference": smallest, "draws": DRAWS}


@torch.no_grad()
def settle(net: nn.Module, data: Labelled, rows: Tensor, device: str) -> bool:
    """Let batch norm take its statistics from these graphs, with the weights as they are now. Whether there is any."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm1d)]
    for norm in norms:
        norm.momentum = None  # the mean over all that comes
        norm.reset_running_stats()
    net.train()
    for part in rows.split(256) if norms else ():
        net(batch([data.graphs[k] for k in part]).to(device))
    net.eval()
    return bool(norms)


@torch.no_grad()
def score(net: nn.Module, data: Labelled, held: Tensor, device: str) -> float:
    found = torch.cat([net(batch([data.graphs[k] for k in part]).to(device))["y"].argmax(1).cpu() for part in held.split(256)])
    return 100 * float((found == data.y[held]).float().mean())


def network(arch: str, data: Labelled) -> MPNN:
    """Without its view."""
    net = zoo.build(arch, Inputs(data.tags, 1), data.classes, ARGS[arch])
    net.view = None
    return net


def accuracy(arch: str, name: str, data: Labelled, device: str) -> dict[str, object]:
    found, settled, ran, start, epochs = [], [], [], time.perf_counter(), EPOCHS[name]
    everything = torch.arange(len(data.y))
    for k, (rows, held) in enumerate([(everything, everything)] if name == "SR25" else folds(data.y, 5, 0, 2 if name == "EXP" else 1)):
        view = zoo.build(arch, Inputs(data.tags, 1), data.classes, ARGS[arch]).view
        seen = data if view is None else replace(data, graphs=[view(graph) for graph in data.graphs])  # once, not at each step
        fit = halved(1e-3, max(1, epochs // 3), epochs, batch_size=16, seed=k, accelerator=device)
        job = training(seen, partial(network, arch, data), fit, rows, enough=10)
        counters, (member,) = learn.train(job)
        net = learn.network(job, member).to(device)
        found.append(score(net, seen, held, device))
        ran.append(len(counters.history))
        if settle(net, seen, rows, device):
            settled.append(score(net, seen, held, device))
    return {
        "accuracy": [round(float(f(found)), 2) for f in (np.mean, np.std)],
        "folds": [round(x, 2) for x in found],
        **(
            {"settled": [round(float(f(settled)), 2) for f in (np.mean, np.std)], "settled_folds": [round(x, 2) for x in settled]}
            if settled
            else {}
        ),
        "epochs": ran,
        "args": ARGS[arch],
        "seconds": round(time.perf_counter() - start),
        "device": device,
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--archs", nargs="*", default=FLAT)
    options.add_argument("--train", nargs="*", default=TRAINED)
    options.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="of the trainings")
    options.add_argument("--sets", nargs="+", default=["EXP", "CSL", "SR25"], choices=["EXP", "CSL", "SR25"])
    given = options.parse_args()
    if not (DATA / "expressivity").is_dir():
        raise SystemExit(f"{DATA / 'expressivity'} is absent: set HELIOGRAPH_DATA to the folder that has it. Nothing was run.")
    sets = {"EXP": lambda: text("expressivity/EXP_GRAPHSAT.txt.gz"), "CSL": csl, "SR25": sr25}
    lines = Lines(given)
    kept = [line for line in lines.kept if line.get("draws") == DRAWS or ("args" in line and line["args"] == ARGS.get(line["arch"]))]
    done = {(line["set"], line["arch"], line["weights"]) for line in kept}
    for name in given.sets:
        data = sets[name]()
        for arch in given.archs:
            if (name, arch, "random") not in done:
                lines({"set": name, "arch": arch, "weights": "random"} | apart(arch, name, data))
        for arch in given.train:
            if (name, arch, "trained") not in done:
                lines({"set": name, "arch": arch, "weights": "trained"} | accuracy(arch, name, data, given.device))


if __name__ == "__main__":
    main()
