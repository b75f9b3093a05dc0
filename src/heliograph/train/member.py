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

from heliograph import zoo
from heliograph.errors import HeliographError
from heliograph.graph import Graph, dense
from heliograph.model import MPNN, Inputs
from heliograph.predictor.modelfile import tensors_of
from heliograph.topology import Segments
from heliograph.train import log, loss, metrics, state
from heliograph.train.job import Job
from heliograph.train.progress import Progress
from heliograph.train.result import Epoch, Metrics
from heliograph.train.schedule import Schedule
from heliograph.train.state import Counters, seed_of
from heliograph.views import keep_encodings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EVALUATE_FACTOR = 4  # molecules per batch without gradients, times the batch size
SAVING_SHARE = 0.02  # share of the time that saving the state at ends of epochs may take


class Objective(nn.Module):
    """The loss as one module, so that precision and distribution wrap all of it: a float64 network is not rounded on its way out."""

    def __init__(self, model: MPNN, total: loss.Loss):
        super().__init__()
        self.model, self.total = model, total

    def forward(self, graph: Graph, targets: Tensor, weights: Tensor) -> Tensor:
        return self.total(self.model(graph)["y"], targets, weights)


def batches(n: int, size: int, least: int) -> list[slice]:
    """`n` rows in runs of `size`; a last run of fewer than `least` joins the one before (batch norm can't use one row)."""
    starts = list(range(0, n, size))
    if len(starts) > 1 and n - starts[-1] < least:
        starts.pop()
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], n], strict=True)]


class Member:
    """Training of member `counters.member`; `tensors` is its saved state, empty at its start."""

    def __init__(self, job: Job, fabric: Fabric, counters: Counters, tensors: Mapping[str, Tensor], progress: Progress):
        self.job, self.fabric, self.counters, self.progress = job, fabric, counters, progress
        fit, train = job.fit, job.parts["train"]
        torch.manual_seed(seed_of("weights", fit.seed, counters.member))
        self.model = zoo.build(job.arch, Inputs(**job.document.inputs), job.task.out, job.document.arch_args)
        if fit.precision != "64":  # they are kept in float32
            keep_encodings(self.model.view, job.store)
        optimizer = torch.optim.AdamW if fit.weight_decay else torch.optim.Adam
        objective = Objective(self.model, loss.total(job.loss, job.task))
        self.objective, self.optimizer = fabric.setup(
            objective, optimizer(objective.parameters(), lr=fit.init_lr, weight_decay=fit.weight_decay, fused=True)
        )
        self.batches = batches(len(train), fit.batch_size, max(2, fabric.world_size))
        rates = (fit.init_lr, fit.max_lr, fit.final_lr)
        self.schedule = Schedule.of_epochs(rates, fit.warmup_epochs, fit.epochs, len(self.batches))
        dtype = torch.float64 if fit.precision == "64" else torch.float32
        self.scaled = torch.from_numpy(job.scaling.scale(job.y, job.composition)).to(dtype)  # [G, T]
        weights = job.weights / job.weights[train].mean()
        self.weights = torch.from_numpy(weights).to(dtype)  # [G]
        self.ema = {k: v.detach().clone() for k, v in self.model.named_parameters()} if fit.ema else {}
        self.best: dict[str, Tensor] = {}
        self.log = log.Log(job.folder if fabric.is_global_zero else None)
        self.saved, self.save_cost = time.monotonic(), 0.0
        self._restore(tensors)

    def run(self) -> Counters:
        """All epochs that remain. Afterwards the model holds the best weights."""
        fit = self.job.fit
        while self.counters.epoch < fit.epochs and not (fit.patience and self.counters.stale >= fit.patience):
            self._epoch()
            if time.monotonic() - self.saved >= min(self.job.save_every, self.save_cost / SAVING_SHARE):
                self.save()
        with torch.no_grad():
            for name, tensor in tensors_of(self.model).items():
                tensor.copy_(self.best[name])
        return self.counters

    def _epoch(self) -> None:
        c, fit, rows = self.counters, self.job.fit, self.job.parts["train"]
        order = rows[np.random.default_rng([fit.seed, c.member, c.epoch]).permutation(len(rows))]
        started, before = time.monotonic(), c.seconds
        for k in range(c.step, len(self.batches)):
            value, labels, norm = self.step(order[self.batches[k]], c.epoch * len(self.batches) + k)
            c = self.counters
            self.counters = replace(c, step=k + 1, loss=c.loss + value, labels=c.labels + labels, norms=c.norms + norm,
                                    seconds=before + time.monotonic() - started)  # fmt: skip
            self._tell(k + 1)
            if time.monotonic() - self.saved > self.job.save_every:
                self.save()
        self._end_of_epoch()

    def step(self, rows: np.ndarray, step: int) -> tuple[float, float, float]:
        """One step: the loss summed over the batch's labels, how many there are, and the gradient's norm."""
        fabric, fit = self.fabric, self.job.fit
        torch.manual_seed(seed_of("step", fit.seed, self.counters.member, step, fabric.global_rank))
        labels = float(np.isfinite(self.job.y[rows]).sum())
        mine = rows[fabric.global_rank :: fabric.world_size]
        self.objective.train()
        total = self.objective(self.job.store.batch(mine), *self._labels(mine))
        self.optimizer.zero_grad()
        fabric.backward(total * (fabric.world_size / labels))  # averaged over processes: the mean over the whole batch's labels
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, math.inf if fit.grad_clip is None else fit.grad_clip))
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule(step)
        self.optimizer.step()
        self._average(step)
        summed: Any = fabric.all_reduce(total.detach(), reduce_op="sum") if fabric.world_size > 1 else total.detach()
        value = float(summed)
        if not math.isfinite(value) or not math.isfinite(norm):
            raise HeliographError(
                f"the loss is no longer finite at epoch {self.counters.epoch + 1}, step {step + 1} (loss {value}, gradient norm {norm}). "
                "Try a smaller --max-lr, --grad-clip 1, or look for extreme target values."
            )
        return value, labels, norm

    def _labels(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        index = torch.from_numpy(rows)
        return self.scaled[index].to(self.fabric.device), self.weights[index].to(self.fabric.device)

    def _average(self, step: int) -> None:
        """The moving average of weights; it forgets the start sooner than `ema` says (Izmailov et al. 2018; TensorFlow's warm-up)."""
        if not self.ema:
            return
        decay = min(self.job.fit.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                self.ema[name].lerp_(parameter, 1.0 - decay)

    def _end_of_epoch(self) -> None:
        job, c = self.job, self.counters
        started = time.monotonic()
        with self._averaged():
            val_loss, scores, similarity = self._validate()
            score = val_loss if job.select == "loss" else scores["mean"][job.select]
            sign = -1.0 if job.select != "loss" and metrics.higher_is_better(job.select) else 1.0
            better = math.isfinite(score) and not sign * score >= sign * c.best
            if better or c.best_epoch < 0 or math.isnan(c.best):
                c = replace(c, best=score, best_epoch=c.epoch, stale=0)
                self.best = {name: t.detach().to("cpu").clone() for name, t in tensors_of(self.model).items()}
            else:
                c = replace(c, stale=c.stale + 1)
        row = Epoch(
            c.member, c.epoch, c.loss / c.labels, val_loss, {k: scores["mean"][k] for k in job.metrics} if scores else {},
            self.schedule(c.epoch * len(self.batches) + len(self.batches) - 1), c.norms / len(self.batches), similarity, c.seconds,
        )  # fmt: skip
        self.counters = c.next_epoch(row)
        self._report(row, time.monotonic() - started)

    def _validate(self) -> tuple[float, Metrics, float]:
        """Done by one process for all: running averages of batch norm differ between them, a decision to stop must not."""
        found = (*self.evaluate(self.job.parts["val"]), self._similarity()) if self.fabric.is_global_zero else None
        return self.fabric.broadcast(found) if self.fabric.world_size > 1 else found  # type: ignore[return-value]

    def evaluate(self, rows: np.ndarray) -> tuple[float, Metrics]:
        """Loss per label on the network's scale, and metrics in the targets' units; nothing for no rows."""
        if not len(rows):
            return math.nan, {}
        job, y = self.job, self._outputs(rows)
        total = loss.total(job.loss, job.task)(y, self.scaled[torch.from_numpy(rows)], torch.ones(len(rows), dtype=y.dtype))
        figures = metrics.evaluate(job.task, job.metrics, job.y[rows], *self._answers(y, rows))
        return float(total) / float(np.isfinite(job.y[rows]).sum()), figures

    def residual_std(self, rows: np.ndarray) -> list[float]:
        """Root mean square error per target over `rows`, in the targets' units."""
        errors = self._answers(self._outputs(rows), rows)[0] - self.job.y[rows]
        return [float(np.sqrt(np.square(e[np.isfinite(e)]).mean())) if np.isfinite(e).any() else math.nan for e in errors.T]

    def _answers(self, y: Tensor, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        answers, probabilities = self.job.task.answers(y)
        if self.job.task.kind == "regression":
            answers = self.job.scaling.unscale(answers, None if self.job.composition is None else self.job.composition[rows])
        return answers, probabilities

    def _outputs(self, rows: np.ndarray) -> Tensor:
        """[n, out] on the CPU, dropout off."""
        size, parts = EVALUATE_FACTOR * self.job.fit.batch_size, []
        self.model.eval()
        for start in range(0, len(rows), size):
            graph = self.job.store.batch(rows[start : start + size])
            with torch.no_grad(), self.fabric.autocast():  # not inference mode: it hides what is changed in place (`colour`)
                parts.append(self.model(graph)["y"].cpu())
        return torch.cat(parts).to(self.scaled.dtype)

    def _similarity(self) -> float:
        """Over-smoothing: the mean cosine similarity of two nodes' last states within a molecule, over one batch. 1: all alike."""
        rows = self.job.parts["val"] if len(self.job.parts["val"]) else self.job.parts["train"]
        self.model.eval()
        graph = self.job.store.batch(rows[: self.job.fit.batch_size])
        with torch.inference_mode(), self.fabric.autocast():
            graph = self.model.states(graph)
        return node_similarity(dense(graph.nodes["h"]).float(), graph.topology.members) if "h" in graph.nodes else math.nan

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
        molecules = len(self.job.parts["train"])
        line = log.sentence(row, self.job.fit.epochs, self.job.members, molecules)
        self.progress.say(line)
        self.log.line(line)
        if self.job.folder is not None:
            log.append_metrics(self.job.folder, row, self.job.metrics, molecules)

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
