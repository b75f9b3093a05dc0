"""Training steps on a GPU against PyTorch Geometric: same weights, same graphs.

    python bench/gpu.py [--only gilmer schnet ...] [--molecules 64 512] [--precision float32 bf16] [--modes eager ...] [-o FILE.jsonl]

The networks and complete graphs of 18 atoms of `training_step.py`, forward, backward and Adam, from a batch that nothing has been derived
from yet and that is on the device already. Ours eager, and all that follows the view under torch.compile; peers eager, under torch.compile
and with its CUDA graphs (reduce-overhead), in turns of three steps, the first left out; values are compared first (in bf16 the difference
is told, whatever it is: float32 is what shows that both are one network). Memory is the largest that PyTorch allocated in a contestant's
first steps, less what was held before it was built. Products in float32 are not TF32. `epoch_seconds` is what 110,000 molecules, about
QM9's usual training set, take at that rate: reckoned, not trained. RDKit is not needed. Without a GPU it says so; `--device cpu` runs the
same on the CPU, to try it.
"""

from __future__ import annotations

import gc
import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import peers
import torch
from common import Lines, parser, spread
from torch import Tensor, nn
from training_step import CASES, COMPLETE, TOLERANCE, case

TURN = 3
EPOCH = 110_000
NAMES = [name for name, (graphs, _) in CASES.items() if graphs == COMPLETE]


class Steps:
    """One contestant: `step()` trains once and returns its seconds, `values()` are its output and its gradient's norm."""

    def __init__(self, model: nn.Module, prepare: Callable[[], tuple], forward: Callable[..., Tensor], device: str, precision: str):
        self.model, self.prepare, self.forward, self.device, self.precision = model, prepare, forward, device, precision
        self.optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def _backward(self, arguments: tuple) -> Tensor:
        self.optimizer.zero_grad()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            y = self.forward(*arguments)
        y.float().square().mean().backward()
        return y.detach().float()

    def values(self) -> list[Tensor]:
        y = self._backward(self.prepare())
        return [y, torch.stack([p.grad.float().norm() for p in self.model.parameters() if p.grad is not None]).norm()]

    def step(self) -> float:
        arguments = self.prepare()
        self._settle()
        start = time.perf_counter()
        self._backward(arguments)
        self.optimizer.step()
        self._settle()
        return time.perf_counter() - start

    def _settle(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def ours(name: str, molecules: int, device: str, precision: str, compiled: bool) -> Steps:
    net, fresh = case(name, molecules)
    net = net.to(device)
    if not compiled:
        return Steps(net, lambda: (fresh().to(device),), lambda graph: net(graph)["y"], device, precision)
    view, net.view = net.view, None
    assert view is not None
    program = torch.compile(net, fullgraph=True)
    return Steps(net, lambda: (fresh().to(device),), lambda graph: program(view(graph))["y"], device, precision)


def theirs(name: str, function: str, molecules: int, device: str, precision: str, mode: str | None) -> Steps:
    net, fresh = case(name, molecules)
    net = net.to(device)
    module, arguments = getattr(peers, function)(net, fresh().to(device))
    module = module.to(device)
    forward = torch.compile(module, mode=mode) if mode else module
    return Steps(module, lambda: arguments, forward, device, precision)


def built(make: Callable[[], Steps], device: str) -> tuple[Steps, float | None]:
    """A contestant after three steps, and the MB that it needed for them."""
    if device != "cuda":
        made = make()
    else:
        gc.collect()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        made = make()
    for _ in range(3):
        made.step()
    return made, round((torch.cuda.max_memory_allocated() - before) / 1e6, 1) if device == "cuda" else None


def duel(us: Steps, them: Steps, steps: int) -> dict[str, Any]:
    """Turns of a few steps: milliseconds, and the ratio of paired turns."""
    rounds = []
    for k in range(steps):
        both = {side: statistics.mean([side.step() for _ in range(TURN)][1:]) for side in ((us, them) if k % 2 == 0 else (them, us))}
        rounds.append((both[us], both[them]))
    mine, its = (statistics.median(r[k] for r in rounds) for k in (0, 1))
    return {"milliseconds": round(1e3 * mine, 2), "peer_milliseconds": round(1e3 * its, 2),
            "ratio_min_median_max": spread([b / a for a, b in rounds])}  # fmt: skip


def against(name: str, function: str, molecules: int, precision: str, modes: tuple[bool, str | None], options: Any) -> dict[str, Any]:
    device, tolerance, (compiled, mode) = options.device, TOLERANCE[precision], modes
    torch.compiler.reset()
    first = [
        side.values()
        for side in (ours(name, molecules, device, precision, compiled), theirs(name, function, molecules, device, precision, mode))
    ]
    apart = max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-30)) for a, b in zip(*first, strict=True))
    if not apart <= (math.inf if precision == "bf16" else tolerance):
        return {"failed": f"values differ by {apart:.1e}; nothing was timed"}
    us, mine = built(lambda: ours(name, molecules, device, precision, compiled), device)
    them, its = built(lambda: theirs(name, function, molecules, device, precision, mode), device)
    found = duel(us, them, options.steps)
    return found | {"epoch_seconds": round(EPOCH / molecules * found["milliseconds"] / 1e3, 1), "peak_mb": mine, "peer_peak_mb": its,
                    "largest_relative_difference": apart}  # fmt: skip


def run(name: str, molecules: int, precision: str, options: Any, lines: Lines) -> None:
    about = {"benchmark": f"training step, {name}, {COMPLETE}, batch {molecules}", "device": options.device, "precision": precision}
    every = ((r, w, f, o, m) for r, ways in CASES[name][1].items() for w, f in ways.items() for o in options.ours for m in options.modes)
    for rival, way, function, own, mode in every:
        how = {"ours": own, "peer": rival, "way": way, "mode": mode}
        try:
            found = against(name, function, molecules, precision, (own == "compiled", None if mode == "eager" else mode), options)
        except Exception as error:  # a network that can't be compiled is a line, not an end
            found = {"failed": f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"}
        lines(about | how | found)


def main() -> None:
    made = parser(__doc__, steps=7)
    made.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    made.add_argument("--molecules", type=int, nargs="+", default=[64, 512], help="a batch")
    made.add_argument("--precision", nargs="+", choices=list(TOLERANCE), default=list(TOLERANCE))
    made.add_argument("--ours", nargs="+", choices=["eager", "compiled"], default=["eager", "compiled"])
    made.add_argument(
        "--modes", nargs="+", default=["eager", "default", "reduce-overhead"], help="of peers: eager, or one of torch.compile"
    )
    made.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    options = made.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no usable GPU here; --device cpu tries the script. Nothing was run.")
    lines = Lines(options)
    for name in options.only:
        for molecules in options.molecules:
            for precision in options.precision:
                run(name, molecules, precision, options, lines)


if __name__ == "__main__":
    main()
