"""One network from its first weights to its best: the loop, written out."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.data.targets import Targets
from heliograph.errors import HeliographError
from heliograph.graph import Graph, dense
from heliograph.learn import log, state
from heliograph.learn.adam import Adam
from heliograph.learn.ahead import Ahead
from heliograph.learn.config import FitConfig
from heliograph.learn.device import OneDevice
from heliograph.learn.figures import Epoch, Metrics, metric
from heliograph.learn.inference import infer
from heliograph.learn.job import Job, Optimizer
from heliograph.learn.objective import Objective
from heliograph.learn.progress import Progress
from heliograph.learn.schedule import Schedule
from heliograph.learn.source import DrawsRows
from heliograph.learn.state import Counters, seed_of, tensors_of
from heliograph.model import MPNN
from heliograph.topology import Segments

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EVALUATE_FACTOR = 4  # rows per batch without gradients, times the batch size
SECOND_DESCENT = 0.05  # share of all epochs without a better score after which an improvement is called a second descent
SAVING_SHARE = 0.02  # share of the time that saving the state at ends of epochs may take


class Whole(nn.Module):
    """Network and losses as one module, so that precision and distribution wrap all of it: a float64 network is not rounded."""

    def __init__(self, model: MPNN, objective: Objective):
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        return self.objective.losses(self.objective.outputs(self.model, graph, targets), targets)


def adam(module: nn.Module, fit: FitConfig) -> Optimizer:
    """Return Adam or, with a weight decay, AdamW."""
    return Adam([{"params": list(module.parameters())}], fit.init_lr, fit.weight_decay)


def batches(n: int, size: int, least: int) -> list[slice]:
    """`n` rows in runs of `size`; a last run of fewer than `least` joins the one before (batch norm can't use one row)."""
    starts = list(range(0, n, size))
    if len(starts) > 1 and n - starts[-1] < least:
        starts.pop()
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], n], strict=True)]


class Member:
    """Training of member `counters.member`; `tensors` is its saved state, empty at its start."""

    def __init__(self, job: Job, fabric: OneDevice | Fabric, counters: Counters, tensors: Mapping[str, Tensor], progress: Progress):
        self.job, self.fabric, self.counters, self.progress = job, fabric, counters, progress
        fit, train = job.fit, job.parts["train"]
        torch.manual_seed(seed_of("weights", fit.seed, counters.member))
        self.model = job.build()
        self.dtype = torch.float64 if fit.precision == "64" else torch.float32
        whole = Whole(self.model, job.objective)
        self.whole = fabric.setup(whole)
        self.optimizer = (job.optimizer or adam)(whole, fit)
        self.rates = [group["lr"] / fit.init_lr for group in self.optimizer.param_groups]
        self.batches = batches(len(train), fit.batch_size, max(2, fabric.world_size))
        self.schedule = Schedule.of(fit, len(self.batches))
        self.ema = {k: v.detach().clone() for k, v in self.model.named_parameters()} if fit.ema else {}
        self.best: dict[str, Tensor] = {}
        self.log = log.Log(job.folder if fabric.is_global_zero else None)
        self.saved, self.save_cost = time.monotonic(), 0.0
        self._restore(tensors)

    def train(self) -> Counters:
        """All epochs that remain. Afterwards the model holds the best weights."""
        fit = self.job.fit
        while self.counters.epoch < fit.epochs and not (fit.patience and self.counters.stale >= fit.patience):
            if self._epoch():
                break
            if time.monotonic() - self.saved >= min(self.job.save_every, self.save_cost / SAVING_SHARE):
                self.save()
        with torch.no_grad():
            for name, tensor in tensors_of(self.model).items():
                tensor.copy_(self.best[name])
        return self.counters

    def _epoch(self) -> bool:
        """One epoch, or what remains of it. Whether it is the last, as the job says."""
        c, fit, rows = self.counters, self.job.fit, self.job.parts["train"]
        order = rows[np.random.default_rng([fit.seed, c.member, c.epoch]).permutation(len(rows))]
        started, before, first = time.monotonic(), c.seconds, c.epoch * len(self.batches)

        def make(k: int) -> tuple[np.ndarray, Graph | None]:
            rows = self.drawn(order[self.batches[k]], first + k)
            return rows, self.job.source.batch(self._mine(rows), first + k) if self.job.ahead else None

        with Ahead(make, c.step, len(self.batches), self.job.ahead) as made:
            for k in range(c.step, len(self.batches)):
                rows, graph = made(k)
                sums, counts, norm = self.step(rows, first + k, graph)
                c = self.counters
                self.counters = replace(c, step=k + 1, sums=_added(c.sums, sums), counts=_added(c.counts, counts), norms=c.norms + norm,
                                        seconds=before + time.monotonic() - started)  # fmt: skip
                self._tell(k + 1)
                if time.monotonic() - self.saved > self.job.save_every:
                    self.save()
        row = self._end_of_epoch()
        return self.job.stop is not None and self.job.stop(row)

    def drawn(self, rows: np.ndarray, step: int) -> np.ndarray:
        """The rows of a step, where the source has a say in it."""
        source = self.job.source
        return source.drawn(rows, step) if isinstance(source, DrawsRows) else rows

    def _mine(self, rows: np.ndarray) -> np.ndarray:
        """This process's share."""
        return rows[self.fabric.global_rank :: self.fabric.world_size]

    def step(self, rows: np.ndarray, step: int, graph: Graph | None = None) -> tuple[dict[str, float], dict[str, float], float]:
        """Take one step: each term's loss summed over the batch's labels, how many there are, and the gradient's norm.

        `graph`: the batch, where it is made already.
        """
        fabric, fit, objective, source = self.fabric, self.job.fit, self.job.objective, self.job.source
        torch.manual_seed(seed_of("step", fit.seed, self.counters.member, step, fabric.global_rank))
        mine = self._mine(rows)
        targets = source.targets(mine)
        counts = objective.counts(targets if fabric.world_size == 1 else source.targets(rows))
        self.whole.train()
        with fabric.autocast():
            sums = self._in_full(self.whole(source.batch(mine, step) if graph is None else graph, self._placed(targets)))
        done = step / (fit.epochs * len(self.batches))
        total: Tensor = sum(  # averaged over processes: the mean over the whole batch's labels
            value * (objective.weight(term, done) * fabric.world_size / max(counts[term], 1.0)) for term, value in sums.items()
        )  # type: ignore[assignment]
        self.optimizer.zero_grad()
        fabric.backward(total)
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, math.inf if fit.grad_clip is None else fit.grad_clip))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * self._rate(step)
        self.optimizer.step()
        self._average(step)
        values = {term: self._summed(value) for term, value in sums.items()}
        if not all(map(math.isfinite, values.values())) or not math.isfinite(norm):
            raise HeliographError(
                f"the loss is no longer finite at epoch {self.counters.epoch + 1}, step {step + 1} (loss {values}, gradient norm {norm}). "
                "Try a smaller --max-lr, --grad-clip 1, or look for extreme target values."
            )
        return values, counts, norm

    def _summed(self, value: Tensor) -> float:
        """A sum over the labels of all processes."""
        found: Any = self.fabric.all_reduce(value.detach(), reduce_op="sum")
        return float(found)

    def _rate(self, step: int) -> float:
        """The learning rate of a step; on a plateau it falls by what the epochs of this member have shown."""
        if self.schedule.decay != "plateau":
            return self.schedule(step)
        losses = [row.val_loss for row in self.counters.history if row.member == self.counters.member]
        return self.schedule(step) * self.schedule.fallen(losses)

    def _placed(self, targets: Targets) -> Targets:
        return {name: target.to(self.fabric.device, self.dtype) for name, target in targets.items()}

    def _average(self, step: int) -> None:
        """The moving average of weights; it forgets the start sooner than `ema` says (Izmailov et al. 2018; TensorFlow's warm-up)."""
        if not self.ema:
            return
        decay = min(self.job.fit.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                self.ema[name].lerp_(parameter, 1.0 - decay)

    def _end_of_epoch(self) -> Epoch:
        job, c = self.job, self.counters
        started = time.monotonic()
        with self._averaged():
            val_loss, scores, similarity = self._validate()
            figures = self._figures(val_loss, scores)
            best = c.best or (math.nan,) * len(figures)
            better = [math.isfinite(v) and not (v > b or (v == b and len(best) == 1)) for v, b in zip(figures, best, strict=True)]
            if all(better) or c.best_epoch < 0 or any(map(math.isnan, best)):
                self._second_descent(c)
                c = replace(c, best_epoch=c.epoch, stale=0)
                self.best = {name: t.detach().to("cpu").clone() for name, t in tensors_of(self.model).items()}
            else:
                c = replace(c, stale=0 if any(better) else c.stale + 1)
            c = replace(c, best=tuple(v if math.isnan(b) or v < b else b for v, b in zip(figures, best, strict=True)))
        means = {k: scores["mean"].get(k, math.nan) for k in job.metrics} if scores else {}  # a part may lack labels
        rate = self._rate(c.epoch * len(self.batches) + len(self.batches) - 1)
        train_loss, norm = self._loss(c.sums, c.counts), c.norms / len(self.batches)
        row = Epoch(c.member, c.epoch, train_loss, val_loss, means, rate, norm, similarity, c.seconds)
        self.counters = c.next_epoch(row)
        self._report(row, time.monotonic() - started)
        return row

    def _figures(self, val_loss: float, scores: Metrics) -> tuple[float, ...]:
        """What selects the best epoch; smaller is better, NaN is not defined."""
        names = (self.job.select,) if isinstance(self.job.select, str) else self.job.select
        found = {"loss": val_loss, **scores.get("mean", {})}
        return tuple(found.get(n, math.nan) * (-1 if n != "loss" and metric(n).higher_is_better else 1) for n in names)

    def _second_descent(self, c: Counters) -> None:
        """Mark in the log that validation improves again after a long rise, which an early stop would have missed."""
        if c.stale < max(SECOND_DESCENT * self.job.fit.epochs, 5) or not self.fabric.is_global_zero:
            return
        line = (
            f"Second descent at epoch {c.epoch + 1}: validation improves again after {c.stale} epochs without a better score; "
            f"--patience {c.stale} or less would have missed it."
        )
        self.progress.say(line)
        self.log.line(line)

    def _validate(self) -> tuple[float, Metrics, float]:
        """Done by one process for all: running averages of batch norm differ between them, a decision to stop must not."""
        found = (*self.evaluate(self.job.parts["val"]), self._similarity()) if self.fabric.is_global_zero else None
        return self.fabric.broadcast(found)  # type: ignore[return-value]

    def evaluate(self, rows: np.ndarray) -> tuple[float, Metrics]:
        """The loss on the network's scale, each row counted once, and the job's figures; nothing for no rows."""
        if not len(rows):
            return math.nan, {}
        job, outputs = self.job, self.outputs(rows)
        targets = {name: target.unweighted().to("cpu", self.dtype) for name, target in job.source.targets(rows).items()}
        with torch.no_grad():
            sums = {term: float(value) for term, value in job.objective.losses(outputs, targets).items()}
        return self._loss(sums, job.objective.counts(targets)), {} if job.score is None else job.score(outputs, rows)

    def outputs(self, rows: np.ndarray) -> dict[str, Tensor]:
        """The objective's outputs of `rows` on the CPU, dropout off."""
        size = self.job.at_once or EVALUATE_FACTOR * self.job.fit.batch_size
        seed = seed_of("evaluate", self.job.fit.seed, self.counters.member)
        with self.fabric.autocast():  # not inference mode: it hides what is changed in place (`colour`)
            found = infer(self.model, self.job.source, rows, self.job.objective, size, seed)
        return self._in_full(found)

    def _in_full(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Floating point in the network's precision."""
        return {name: value.to(self.dtype) if value.is_floating_point() else value for name, value in found.items()}

    def _loss(self, sums: Mapping[str, float], counts: Mapping[str, float]) -> float:
        """Per label: the weighted sum of all terms that have any."""
        there = [term for term in sums if counts[term]]
        return sum(self.job.objective.weight(term) * sums[term] / counts[term] for term in there) if there else math.nan

    def _similarity(self) -> float:
        """Over-smoothing: the mean cosine similarity of two nodes' last states within a molecule, over one batch. 1: all alike."""
        rows = self.job.parts["val"] if len(self.job.parts["val"]) else self.job.parts["train"]
        self.model.eval()
        graph = self.job.source.batch(rows[: self.job.fit.batch_size], None)
        with torch.inference_mode(), self.fabric.autocast():
            graph = self.model.states(graph)
        return node_similarity(dense(graph.nodes["h"]).float(), graph.topology.nodes_by_graph) if "h" in graph.nodes else math.nan

    def _averaged(self) -> _Swapped:
        return _Swapped(self.model, self.ema)

    def _tell(self, done: int) -> None:
        if self.fabric.is_global_zero:
            c, job = self.counters, self.job
            train, rows = len(job.parts["train"]), self.batches[done - 1].stop
            note = f"epoch {c.epoch + 1}/{job.fit.epochs}"
            stage = f"training {c.member + 1}/{job.members}" if job.members > 1 else "training"
            self.progress(stage, c.epoch * train + rows, job.fit.epochs * train, note)

    def _report(self, row: Epoch, seconds: float) -> None:
        if not self.fabric.is_global_zero:
            return
        rows = len(self.job.parts["train"])
        line = log.sentence(row, self.job.fit.epochs, self.job.members, rows, self.job.unit)
        self.progress.say(line)
        self.log.line(line)
        if self.job.folder is not None:
            log.append_metrics(self.job.folder, row, self.job.metrics, rows, self.job.unit)

    def save(self) -> None:
        """The state as it is between two steps."""
        started = time.monotonic()
        if self.job.folder is not None and self.fabric.is_global_zero:
            state.save(self.job.folder, replace(self.counters, log_bytes=self.log.size), self._tensors())
        self.saved = time.monotonic()
        self.save_cost = self.saved - started

    def _tensors(self) -> dict[str, Tensor]:
        out = {f"model.{k}": v for k, v in tensors_of(self.model).items()}
        out |= {f"ema.{k}": v for k, v in self.ema.items()} | {f"best.{k}": v for k, v in self.best.items()}
        for name, parameter in self.model.named_parameters():
            out |= {f"optimizer.{name}.{k}": v for k, v in self.optimizer.state.get(parameter, {}).items()}
        return out

    def _restore(self, tensors: Mapping[str, Tensor]) -> None:
        if not tensors:
            return
        with torch.no_grad():
            for name, tensor in tensors_of(self.model).items():
                tensor.copy_(tensors[f"model.{name}"])
            for name in self.ema:
                self.ema[name].copy_(tensors[f"ema.{name}"])
            for name, parameter in self.model.named_parameters():
                start = f"optimizer.{name}."
                own = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
                if own:
                    self.optimizer.state[parameter] = {k: v.to(parameter.device, copy=True) for k, v in own.items()}
        self.best = {k.removeprefix("best."): v.clone() for k, v in tensors.items() if k.startswith("best.")}


class _Swapped:
    """Within the block the model has other values for some of its parameters."""

    def __init__(self, model: MPNN, values: Mapping[str, Tensor]):
        self.model, self.values = model, values

    def _exchange(self) -> None:
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name in self.values:
                    parameter.data, self.values[name].data = self.values[name].data, parameter.data

    def __enter__(self) -> None:
        self._exchange()

    def __exit__(self, *exception: object) -> None:
        self._exchange()


def _added(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    return {name: a.get(name, 0.0) + value for name, value in b.items()}


def node_similarity(h: Tensor, members: Segments) -> float:
    """Mean over graphs of the mean cosine similarity between two different nodes of a graph; `h` [N, d]. NaN without pairs.

    From the sum s of a graph's n unit vectors: (|s|^2 - n) / (n (n - 1)).
    """
    unit = torch.nn.functional.normalize(h, dim=-1)  # [N, d]
    total = torch.zeros(members.n, h.shape[1], dtype=h.dtype, device=h.device).index_add_(0, members.index, unit)  # [G, d]
    n = members.count.to(h.dtype)
    known = torch.zeros_like(n).index_add_(0, members.index, unit.square().sum(-1))  # n, less the nodes whose state is zero
    pairs = n > 1
    values = (total.square().sum(-1) - known)[pairs] / (n * (n - 1))[pairs]
    return float(values.mean()) if len(values) else math.nan
