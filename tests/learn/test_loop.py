"""The wiring of the loop: which weights are validated, kept, averaged; whose labels count; where a killed run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from heliograph.blocks import NodeWise, Pool
from heliograph.data.sources.graphs import Graphs
from heliograph.data.targets import Target
from heliograph.errors import DataError, UsageError
from heliograph.graph import Graph, dense
from heliograph.learn import FitConfig, Job, Supervised, infer, network, train
from heliograph.learn.figures import Metrics
from heliograph.learn.loop import Member
from heliograph.learn.losses import Loss
from heliograph.learn.schedule import Schedule
from heliograph.model import MPNN


class Take(nn.Module):
    """h = x, and a parameter, so that the network is on a device."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=dense(graph.nodes["x"]) * self.scale)


def linear() -> MPNN:
    return MPNN(Take(), [], Pool(nn.Linear(3, 1)))


def of_nodes() -> MPNN:
    return MPNN(Take(), [], NodeWise(nn.Linear(3, 1)))


def source(n: int = 24, level: str = "graph", gaps: bool = False) -> Graphs:
    """Graphs of 1 to 4 nodes whose label is linear in their features."""
    rng = torch.Generator().manual_seed(0)
    graphs, targets = [], []
    for k in range(n):
        x = torch.randn(k % 4 + 1, 3, generator=rng)
        graphs.append(Graph.build(torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), [len(x)], [0], nodes={"x": x}))
        y = x @ torch.tensor([[1.0], [-2.0], [0.5]])
        y = y if level == "node" else y.sum(0, keepdim=True)
        if gaps and k % 3 == 0:
            y = torch.full_like(y, torch.nan)
        targets.append({"y": Target(y, level)})  # type: ignore[arg-type]
    return Graphs(graphs, targets)


PARTS = {"train": np.arange(16), "val": np.arange(16, 24)}
FIT = FitConfig(epochs=6, batch_size=5, max_lr=0.1, init_lr=0.1, final_lr=0.05)


def job(**changes: object) -> Job:
    return replace(Job(source(), PARTS, linear, Supervised({"y": "mse"}), FIT), **changes)  # type: ignore[arg-type]


def loss(made: Job, model: MPNN, rows: np.ndarray) -> float:
    y = infer(model, made.source, rows, made.objective, 100)["y"]
    return float((y - made.source.targets(rows)["y"].value).square().nanmean())


def test_the_best_epoch_by_validation_is_kept_and_no_other() -> None:
    made = job(fit=FIT.model_copy(update={"max_lr": 1.5, "final_lr": 1.5, "epochs": 8}))  # too fast: it goes up and down
    counters, (member,) = train(made)
    losses = [row.val_loss for row in counters.history]
    assert int(np.argmin(losses)) not in (0, len(losses) - 1), "the case must be one where it matters"
    assert counters.best_epochs == (int(np.argmin(losses)),)
    assert loss(made, network(made, member), PARTS["val"]) == pytest.approx(min(losses), rel=1e-5)
    assert member.summary["val_loss"] == pytest.approx(min(losses), rel=1e-5)


@pytest.mark.parametrize("name", ["r2", "rmse"])
def test_a_score_chooses_in_its_own_direction(name: str) -> None:
    values = iter([0.1, 0.5, 0.9, 0.4, 0.2, 0.3, 0.0, 0.0])

    def score(outputs: Mapping[str, Tensor], rows: np.ndarray) -> Metrics:
        return {"mean": {name: next(values)}}

    counters, _ = train(job(score=score, metrics=(name,), select=name))
    assert counters.best_epochs == ({"r2": 2, "rmse": 0}[name],)


def test_the_average_is_what_is_validated_and_kept() -> None:
    made = job(fit=FIT.model_copy(update={"ema": 0.9}))
    counters, (member,) = train(made)
    kept = network(made, member)
    assert loss(made, kept, PARTS["val"]) == pytest.approx(min(row.val_loss for row in counters.history), rel=1e-5)
    plain = network(made, train(job())[1][0])
    assert not torch.equal(next(iter(plain.parameters())), next(iter(kept.parameters())))
    # the first epoch's average of four steps is (1 + k) / (10 + k) of old and the rest of new weights
    first = job(fit=FIT.model_copy(update={"ema": 0.999, "epochs": 1}))
    weights, average = [], None
    original = Member.step

    def step(self: Member, *args: object) -> object:
        nonlocal average
        if average is None:
            average = {k: v.detach().clone() for k, v in self.model.named_parameters()}
        out = original(self, *args)  # type: ignore[arg-type]
        for k, v in self.model.named_parameters():
            decay = min(0.999, (1 + len(weights)) / (10 + len(weights)))
            average[k] = decay * average[k] + (1 - decay) * v.detach()
        weights.append(1)
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Member, "step", step)
        _, (member,) = train(first)
    assert average is not None
    for name, value in average.items():
        torch.testing.assert_close(member.tensors[name], value)


def test_patience_ends_it_and_a_second_descent_is_said() -> None:
    values = iter([1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 0.5, *[3.0] * 20])

    def score(outputs: Mapping[str, Tensor], rows: np.ndarray) -> Metrics:
        return {"mean": {"rmse": next(values)}}

    said: list[str] = []

    class Listen:
        def __call__(self, *args: object) -> None: ...

        def say(self, text: str) -> None:
            said.append(text)

    made = job(score=score, metrics=("rmse",), select="rmse", fit=FIT.model_copy(update={"epochs": 20, "patience": 7}))
    counters, _ = train(made, Listen())  # type: ignore[arg-type]
    assert len(counters.history) == 15 and counters.best_epochs == (7,)
    assert [line for line in said if "Second descent at epoch 8" in line and "--patience 6 or less" in line]


def test_of_several_figures_all_choose_and_any_keeps_it_going() -> None:
    """As GAT's authors stop: kept is an epoch without a worse figure; patience waits while one of them is as good as ever."""
    r2 = iter([0.1, 0.5, 0.4, 0.5, 0.5, 0.2, 0.2, 0.9])
    rmse = iter([3.0, 2.0, 1.0, 1.5, 0.5, 0.6, 0.7, 0.8])

    def score(outputs: Mapping[str, Tensor], rows: np.ndarray) -> Metrics:
        return {"mean": {"r2": next(r2, 0.0), "rmse": next(rmse, 9.0)}}

    both = job(score=score, metrics=("r2", "rmse"), select=("r2", "rmse"), fit=FIT.model_copy(update={"epochs": 8, "patience": 2}))
    counters, _ = train(both)
    assert counters.best_epochs == (4,) and len(counters.history) == 7


def test_a_job_says_when_it_has_enough(tmp_path: Path) -> None:
    made = job(stop=lambda row: row.epoch == 2, members=2, folder=tmp_path)
    counters, members = train(made)
    assert [(row.member, row.epoch) for row in counters.history] == [(m, k) for m in (0, 1) for k in (0, 1, 2)]
    assert [one.summary["epochs"] for one in members] == [3, 3]


def test_training_sees_training_rows_alone() -> None:
    """Other labels of validation or test rows change no weight."""
    one, other = source(), source()
    for k in PARTS["val"]:
        other.each[k] = {"y": Target(other.each[k]["y"].value + 100.0)}
    a = train(job(source=one, parts={"train": PARTS["train"], "val": PARTS["val"][:0]}))[1][0]
    b = train(job(source=other, parts={"train": PARTS["train"], "val": PARTS["val"][:0]}))[1][0]
    assert all(torch.equal(a.tensors[k], b.tensors[k]) for k in a.tensors)


def test_labels_that_are_missing_and_weights() -> None:
    gaps, clean = source(gaps=True), source()
    rows = np.array([k for k in PARTS["train"] if k % 3])
    whole = FIT.model_copy(update={"batch_size": 100, "epochs": 3})
    a = train(job(source=gaps, fit=whole, parts={"train": PARTS["train"], "val": PARTS["val"][:0]}))[1][0]
    b = train(job(source=clean, fit=whole, parts={"train": rows, "val": PARTS["val"][:0]}))[1][0]
    for k in a.tensors:
        torch.testing.assert_close(a.tensors[k], b.tensors[k], rtol=1e-5, atol=1e-6)
    for k in PARTS["train"]:
        clean.each[k] = {"y": Target(clean.each[k]["y"].value, weight=torch.tensor([float(k % 3 > 0)]))}
    one_step = job(fit=whole.model_copy(update={"epochs": 1}), objective=Supervised({"y": "mae"}))
    weighted = replace(one_step, source=clean, objective=Supervised({"y": Loss("mae")}))
    assert train(weighted)[0].history[0].train_loss < train(one_step)[0].history[0].train_loss


def test_nodes_are_learned_as_graphs_are() -> None:
    made = job(source=source(level="node"), build=of_nodes, fit=FIT.model_copy(update={"epochs": 40}))
    counters, (member,) = train(made)
    assert counters.history[-1].val_loss < 0.01 * counters.history[0].val_loss
    assert infer(network(made, member), made.source, PARTS["val"], made.objective, 3)["y"].shape == (20, 1)


@pytest.mark.parametrize("stop", [1, 4, 9, 13])
def test_a_killed_ensemble_goes_on_to_the_same_weights(tmp_path: Path, stop: int) -> None:
    fit = FIT.model_copy(update={"ema": 0.9, "epochs": 3, "schedule": "plateau"})
    whole = train(job(members=2, fit=fit))[1]
    original, left = Member.step, [stop]

    def step(self: Member, *args: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return original(self, *args)  # type: ignore[arg-type]

    cut = job(members=2, fit=fit, folder=tmp_path / "run", save_every=-1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Member, "step", step)
        with pytest.raises(KeyboardInterrupt):
            train(cut)
    again = train(cut)[1]
    assert len(again) == 2
    for a, b in zip(whole, again, strict=True):
        assert a.summary == b.summary
        assert all(torch.equal(a.tensors[k], b.tensors[k]) for k in a.tensors)
    assert not torch.equal(whole[0].tensors["readout.head.weight"], whole[1].tensors["readout.head.weight"])


def test_another_training_in_the_folder_is_refused(tmp_path: Path) -> None:
    train(job(folder=tmp_path), about={"data": "a"})
    with pytest.raises(DataError, match="data was a, is b"):
        train(job(folder=tmp_path), about={"data": "b"})


def test_an_optimizer_of_ones_own_keeps_its_rates() -> None:
    """Two groups, one at a tenth of the other's rate: the schedule moves both."""
    seen: list[list[float]] = []

    def optimizer(module: nn.Module, fit: FitConfig) -> torch.optim.Optimizer:
        head = [p for n, p in module.named_parameters() if "head" in n]
        rest = [p for n, p in module.named_parameters() if "head" not in n]
        made = torch.optim.SGD([{"params": head, "lr": fit.init_lr}, {"params": rest, "lr": 0.1 * fit.init_lr}])
        made.register_step_post_hook(lambda o, *_: seen.append([group["lr"] for group in o.param_groups]))
        return made

    train(job(optimizer=optimizer))
    assert all(b == pytest.approx(0.1 * a) for a, b in seen)
    assert len({a for a, _ in seen}) > 3


def test_schedules() -> None:
    def rates(name: str, **more: float) -> list[float]:
        fit = FitConfig(epochs=10, warmup_epochs=0, max_lr=1.0, final_lr=0.1, schedule=name, **more)  # type: ignore[arg-type]
        return [Schedule.of(fit, 2)(k) for k in range(20)]

    linear_from_half = rates("linear", decay_from=0.5)
    assert linear_from_half[:11] == [1.0] * 11
    assert linear_from_half[15] == pytest.approx(0.55)
    cosine = rates("cosine")
    assert cosine[0] == 1.0 and cosine[10] == pytest.approx(0.55) and cosine[5] == pytest.approx(0.1 + 0.9 * (1 + np.cos(np.pi / 4)) / 2)
    halving = [Schedule.of(FitConfig(epochs=30, warmup_epochs=0, max_lr=1.0, final_lr=0.125, schedule="halving"), 2)(k) for k in range(61)]
    assert halving == [1.0] * 20 + [0.5] * 20 + [0.25] * 20 + [0.125]
    assert rates("plateau") == [1.0] * 20
    plateau = Schedule.of(FitConfig(epochs=100, schedule="plateau", max_lr=1.0, final_lr=0.2), 1)
    assert plateau.fallen([1.0, *[2.0] * 9]) == 1.0
    assert plateau.fallen([1.0, *[2.0] * 10]) == 0.5
    assert plateau.fallen([1.0, *[2.0] * 10, 0.5, *[2.0] * 10]) == 0.25
    assert plateau.fallen([1.0, *[2.0] * 90]) == 0.2


def test_errors() -> None:
    with pytest.raises(UsageError, match="there is no loss 'mes': did you mean 'mse'"):
        Supervised({"y": "mes"})
    with pytest.raises(DataError, match="the source has no target 'z'"):
        train(job(objective=Supervised({"z": "mse"})))
    named = source()
    for k, each in enumerate(named.each):
        named.each[k] = {"z": each["y"]}
    with pytest.raises(DataError, match="readout has no output 'z'"):
        train(job(source=named, objective=Supervised({"z": "mse"})))
    with pytest.raises(UsageError, match=r"outputs of shape \(5, 1\) with labels of"):
        train(job(source=source(level="node"), fit=FIT.model_copy(update={"seed": 0})))
    with pytest.raises(DataError, match="3 graphs and targets of 2"):
        Graphs(source().graphs[:3], source().each[:2])
    with pytest.raises(DataError, match="a target of 3 rows has a mask of 2"):
        Target(torch.zeros(3), mask=torch.ones(2, dtype=torch.bool))


def test_several_outputs_of_several_levels() -> None:
    """A network that ends in two named tensors, each with a loss and a weight of its own."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.of_graph, self.of_node = Pool(nn.Linear(3, 1)), NodeWise(nn.Linear(3, 1))

        def forward(self, graph: Graph) -> dict[str, Tensor]:
            return {"y": self.of_graph(graph)["y"], "charge": self.of_node(graph)["y"]}

    both = source()
    for k, graph in enumerate(both.graphs):
        both.each[k] = both.each[k] | {"charge": Target(dense(graph.nodes["x"])[:, :1] * 3.0, "node")}
    objective = Supervised({"y": "mse", "charge": "huber"}, {"charge": 5.0})
    made = job(source=both, build=lambda: MPNN(Take(), [], Both()), objective=objective, fit=FIT.model_copy(update={"epochs": 60}))
    counters, (member,) = train(made)
    assert counters.history[-1].val_loss < 0.02 * counters.history[0].val_loss
    outputs = infer(network(made, member), both, PARTS["val"], objective, 8)
    assert outputs["y"].shape == (8, 1) and outputs["charge"].shape == (20, 1)


def test_learn_knows_no_chemistry() -> None:
    import re

    import heliograph.learn

    folder = Path(heliograph.learn.__file__).parent
    for path in folder.rglob("*.py"):
        assert not re.search(r"\b(chem|rdkit|ase|smiles)\b", path.read_text(), re.IGNORECASE), path


def test_validation_counts_each_row_once() -> None:
    weighted = source()
    for k in PARTS["val"]:
        weighted.each[k] = {"y": Target(weighted.each[k]["y"].value, weight=torch.tensor([float(k)]))}
    one, other = (train(job(source=s, fit=FIT.model_copy(update={"epochs": 1})))[0].history[0] for s in (source(), weighted))
    assert one.val_loss == other.val_loss and one.train_loss == other.train_loss


def test_a_step_follows_the_weighted_mean_of_all_terms() -> None:
    """One step of plain gradient descent at rate 1 moves a network's bias by the gradient of the total."""

    class Columns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

        def forward(self, graph: Graph) -> dict[str, Tensor]:
            y = self.head(dense(graph.nodes["h"]))
            return {"a": y[:, :1], "b": y[:, 1:]}

    both = source(level="node")
    for k, each in enumerate(both.each):
        both.each[k] = {"a": Target(torch.ones_like(each["y"].value), "node"), "b": Target(torch.ones_like(each["y"].value), "node")}

    def sgd(module: nn.Module, fit: FitConfig) -> torch.optim.Optimizer:
        return torch.optim.SGD(module.parameters(), lr=fit.init_lr)

    fit = FIT.model_copy(update={"epochs": 1, "batch_size": 100, "init_lr": 1.0, "max_lr": 1.0, "final_lr": 1.0})
    objective = Supervised({"a": "mse", "b": "mse"}, {"a": 0.25, "b": 0.125})
    parts = {"train": PARTS["train"], "val": PARTS["val"][:0]}
    made = job(source=both, build=lambda: MPNN(Take(), [], Columns()), objective=objective, optimizer=sgd, fit=fit, parts=parts)
    (member,) = train(made)[1]
    torch.testing.assert_close(member.tensors["readout.head.bias"], torch.tensor([0.5, 0.25]))  # -d/db w (b - 1)^2 = 2 w


def test_a_plateau_is_each_members_own() -> None:
    fit = FIT.model_copy(
        update={"epochs": 13, "schedule": "plateau", "init_lr": 1e-12, "max_lr": 1e-12, "final_lr": 1e-14, "batch_size": 16}
    )
    counters, _ = train(job(members=2, fit=fit))
    rates = [[row.learning_rate for row in counters.history if row.member == k] for k in (0, 1)]
    assert rates[0] == rates[1]
    assert rates[0][0] == 1e-12 and rates[0][-1] == 5e-13
