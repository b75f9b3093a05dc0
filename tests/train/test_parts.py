"""Schedule, losses, metrics, labels, scaling and configuration files, each against something that nobody here wrote."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from heliograph import zoo
from heliograph.data.targets import Target
from heliograph.errors import DataError, UsageError
from heliograph.learn import losses, metrics
from heliograph.learn.budget import seconds
from heliograph.learn.figures import METRICS
from heliograph.learn.loop import batches, node_similarity
from heliograph.learn.schedule import Schedule
from heliograph.learn.state import seed_of
from heliograph.predictor import Scaling, Task
from heliograph.topology import Segments
from heliograph.train import scale, toml
from heliograph.train.assemble import arguments
from heliograph.train.config import DataConfig, ModelConfig, TrainConfig
from heliograph.train.targets import check_training_labels, read_labels


def test_schedule_is_chemprops() -> None:
    schedulers = pytest.importorskip("chemprop.schedulers")
    ours = Schedule.of_epochs((1e-4, 1e-3, 1e-5), 2.0, 10, 7)
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], 1e-4)
    theirs = schedulers.build_NoamLike_LRSched(optimizer, 14, 56, 1e-4, 1e-3, 1e-5).lr_lambdas[0]
    for step in range(75):
        assert ours(step) == pytest.approx(1e-4 * theirs(step), rel=1e-12)


def test_schedule_of_one_epoch_comes_down_again() -> None:
    rates = [Schedule.of_epochs((1e-4, 1e-3, 1e-4), 2.0, 1, 10)(k) for k in range(10)]
    assert max(rates) == 1e-3
    assert rates[0] == 1e-4
    assert rates[-1] < 2e-4
    assert Schedule.of_epochs((1e-4, 1e-3, 1e-4), 0.0, 1, 1)(0) == 1e-3


@pytest.mark.parametrize(
    ("n", "size", "least", "sizes"),
    [
        (10, 4, 2, [4, 4, 2]),
        (9, 4, 2, [4, 5]),
        (1, 4, 2, [1]),
        (4, 4, 2, [4]),
        (8, 4, 2, [4, 4]),
        (5, 4, 2, [5]),
        (7, 3, 3, [3, 4]),
    ],
)
def test_batches(n: int, size: int, least: int, sizes: list[int]) -> None:
    pieces = batches(n, size, least)
    assert [p.stop - p.start for p in pieces] == sizes
    assert np.concatenate([np.arange(n)[p] for p in pieces]).tolist() == list(range(n))


def test_seeds_differ_and_stay() -> None:
    assert len({seed_of("step", s, m, k) for s in range(3) for m in range(3) for k in range(50)}) == 450
    assert seed_of("weights", 0, 0) == seed_of("weights", 0, 0) < 2**63


def some(kind: str) -> tuple[Task, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    classes = {"regression": (), "binary": (("0", "1"),) * 2, "multiclass": (("a", "b", "c"), ("x", "y"))}[kind]
    task = Task(kind, ("s", "t"), classes=classes)  # type: ignore[arg-type]
    targets = torch.randint(0, 2, (7, 2)).float() if kind != "regression" else torch.randn(7, 2)
    targets[0, 0] = targets[3, 1] = targets[5, 1] = math.nan
    return task, torch.randn(7, task.out), targets


@pytest.mark.parametrize(
    ("kind", "name", "theirs"),
    [
        ("regression", "mse", torch.nn.functional.mse_loss),
        ("regression", "mae", torch.nn.functional.l1_loss),
        ("regression", "huber", torch.nn.functional.huber_loss),
        ("binary", "bce", torch.nn.functional.binary_cross_entropy_with_logits),
    ],
)
def test_loss_is_torchs_over_the_labels_there_are(kind: str, name: str, theirs: Callable[..., torch.Tensor]) -> None:
    task, y, targets = some(kind)
    there = targets.isfinite()
    expected = theirs(y[there], targets[there], reduction="sum")
    torch.testing.assert_close(losses.Loss(name, task)(y, Target(targets)), expected)
    weights = torch.arange(7.0)
    expected = (theirs(y[there], targets[there], reduction="none") * weights[:, None].expand(7, 2)[there]).sum()
    torch.testing.assert_close(losses.Loss(name, task)(y, Target(targets, weight=weights)), expected)


def test_cross_entropy_masks_classes_that_a_target_has_not() -> None:
    task, y, targets = some("multiclass")
    y.requires_grad_()
    value = losses.Loss("ce", task)(y, Target(targets))
    first, second = y[:, :3], y[:, 3:5]
    expected = sum(
        torch.nn.functional.cross_entropy(p[t.isfinite()], t[t.isfinite()].long(), reduction="sum")
        for p, t in ((first, targets[:, 0]), (second, targets[:, 1]))
    )
    torch.testing.assert_close(value, torch.as_tensor(expected))
    value.backward()
    assert y.grad is not None
    assert y.grad.isfinite().all()
    assert not y.grad[:, 5].any()


def test_a_missing_label_sends_no_gradient() -> None:
    task, y, targets = some("regression")
    y.requires_grad_()
    losses.Loss("mse", task)(y, Target(targets)).backward()
    assert y.grad is not None
    assert (y.grad == 0).equal(targets.isnan())


def test_regression_metrics() -> None:
    rng = np.random.default_rng(0)
    t, y = rng.normal(size=50), rng.normal(size=50)
    for name, theirs in {
        "rmse": sklearn_metrics.root_mean_squared_error,
        "mae": sklearn_metrics.mean_absolute_error,
        "r2": sklearn_metrics.r2_score,
        "mse": sklearn_metrics.mean_squared_error,
        "median_ae": sklearn_metrics.median_absolute_error,
        "max_error": sklearn_metrics.max_error,
    }.items():
        assert metrics.score("regression", name, t, y) == pytest.approx(theirs(t, y), rel=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_binary_metrics(ties: bool) -> None:
    rng = np.random.default_rng(1)
    t, y = rng.integers(0, 2, 80).astype(float), rng.random(80)
    y = np.round(y, 1) if ties else y
    chosen = y >= 0.5
    for name, value in {
        "roc_auc": sklearn_metrics.roc_auc_score(t, y),
        "pr_auc": sklearn_metrics.average_precision_score(t, y),
        "accuracy": sklearn_metrics.accuracy_score(t, chosen),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(t, chosen),
        "f1": sklearn_metrics.f1_score(t, chosen),
        "mcc": sklearn_metrics.matthews_corrcoef(t, chosen),
        "brier": sklearn_metrics.brier_score_loss(t, y),
        "log_loss": sklearn_metrics.log_loss(t, y),
    }.items():
        assert metrics.score("binary", name, t, y) == pytest.approx(value, rel=1e-9), name


def test_multiclass_metrics() -> None:
    rng = np.random.default_rng(2)
    t, p = rng.integers(0, 4, 90), rng.dirichlet(np.ones(4), 90)
    chosen = p.argmax(1)
    for name, value in {
        "accuracy": sklearn_metrics.accuracy_score(t, chosen),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(t, chosen),
        "f1": sklearn_metrics.f1_score(t, chosen, average="macro"),
        "mcc": sklearn_metrics.matthews_corrcoef(t, chosen),
        "log_loss": sklearn_metrics.log_loss(t, p),
        "roc_auc": sklearn_metrics.roc_auc_score(t, p, multi_class="ovr"),
    }.items():
        assert metrics.score("multiclass", name, t, chosen, p) == pytest.approx(value, rel=1e-9), name


def test_metrics_that_cannot_be_had() -> None:
    task = Task("binary", ("a", "b"), classes=(("0", "1"),) * 2)
    truth = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, math.nan]])
    y = np.array([[0.9, 0.2], [0.8, 0.7], [0.4, 0.5]])
    found = metrics.evaluate(task, ("roc_auc", "accuracy"), truth, y)
    assert math.isnan(found["a"]["roc_auc"])
    assert found["mean"]["roc_auc"] == found["b"]["roc_auc"] == 1.0
    assert found["mean"]["accuracy"] == pytest.approx((2 / 3 + 1.0) / 2)
    assert math.isnan(metrics.evaluate(task, ("f1",), np.full((2, 2), np.nan), np.zeros((2, 2)))["mean"]["f1"])
    assert math.isnan(metrics.score("regression", "r2", np.array([1.0]), np.array([1.0])))


def test_metric_names() -> None:
    assert metrics.resolve(["ROC-AUC", "prc"], "binary")[:2] == ("roc_auc", "pr_auc")
    assert all(name in METRICS for table in metrics.OF_KIND.values() for name in table)
    with pytest.raises(UsageError, match=r"--metrics rmse: this metric is for regression targets, these are binary"):
        metrics.resolve(["rmse"], "binary")
    with pytest.raises(UsageError, match=r"is unknown; did you mean 'rmse'"):
        metrics.resolve(["rmsee"], "regression")
    with pytest.raises(UsageError, match=r"--loss bce is not for regression targets; use mse or mae or huber"):
        losses.resolve("bce", "regression")


def test_labels() -> None:
    found = read_labels({"a": ["1", "0", None, "1.0"], "b": [1.0, None, "nan", "0"]}, "auto")
    assert found.task.kind == "binary"
    assert np.isnan(found.y).tolist() == [[False, False], [False, True], [True, True], [False, False]]
    assert read_labels({"a": ["1", "1"]}, "auto").task.kind == "regression"
    classes = read_labels({"a": ["10", "9", "10.0", "red", None]}, "multiclass").task.classes
    assert classes == (("10", "9", "red"),)
    assert read_labels({"a": ["10", "9", "10.0"]}, "multiclass").task.classes == (("9", "10"),)


def test_a_few_labels_that_are_no_numbers_count_as_missing() -> None:
    found = read_labels({"a": [*("1.5" for _ in range(50)), ">10"]}, "auto")
    assert np.isnan(found.y[50, 0])
    assert found.notes == [
        "target 'a': 1 of 51 labels (1.96 %) are bounds, 1 '>' (row 51 has '>10'); left out (--censored bound or loss keeps them)."
    ]
    odd = read_labels({"a": [*("1.5" for _ in range(50)), "broken"]}, "auto")
    assert odd.notes == ["target 'a': 1 of 51 labels (1.96 %) are not numbers: row 51 has 'broken'; counted as missing."]


@pytest.mark.parametrize(
    ("cells", "kind", "message"),
    [
        (
            ["low", "high", "1"],
            "auto",
            r"target 'a': 2 of 3 labels \(66.7 %\) are not numbers: row 1 has 'low', .*Regression needs numbers.*multiclass",
        ),
        (["1.25 mg/L", " 2 mg/L", "-3e-2mg/L"], "auto", r"numbers with the unit 'mg/L': take it out of the cells"),
        (["1.25 mg/L", "2 g/L"], "auto", r"--task-type multiclass"),
        (["1.25 mg/L", "high"], "auto", r"--task-type multiclass"),
        (["0", "1", "2"], "binary", r"target 'a': binary labels are 0 or 1; 1 are not \(row 3 has 2\)"),
        ([None, "", "nan"], "auto", r"target 'a' has no label in any usable row"),
        (["x", "x"], "multiclass", r"target 'a' has 1 class; multiclass needs two"),
        ([str(k) for k in range(300)], "multiclass", r"target 'a' has 300 classes, at most 200"),
    ],
)
def test_labels_that_do_not_fit(cells: list[str | float | None], kind: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labels({"a": cells}, kind)


def test_units_must_be_as_many_as_targets() -> None:
    with pytest.raises(UsageError, match=r"--units has 1 entries for 2 targets \(a, b\)"):
        read_labels({"a": ["1"], "b": ["2"]}, "auto", units=("eV",))


def test_constant_targets() -> None:
    with pytest.raises(DataError, match=r"nothing to learn in the training part: 'a' has the same label \(3\) in all 4 molecules"):
        check_training_labels(Task("regression", ("a",)), np.full((4, 1), 3.0))
    y = np.column_stack([np.full(4, 3.0), np.arange(4.0)])
    assert "nothing can be learned of it" in check_training_labels(Task("regression", ("a", "b")), y)[0]


def compositions(n: int, seed: int = 0) -> np.ndarray:
    counts = np.zeros((n, 119), np.int64)
    rng = np.random.default_rng(seed)
    for z, most in ((1, 12), (6, 8), (7, 3), (8, 3)):
        counts[:, z] = rng.integers(1 if z == 6 else 0, most, n)
    return counts


def test_references_of_an_extensive_target() -> None:
    counts = compositions(300)
    noise = np.random.default_rng(1).normal(size=300)
    y = (-13.6 * counts[:, 1] - 1029.0 * counts[:, 6] - 1485.0 * counts[:, 7] - 2042.0 * counts[:, 8] + noise)[:, None]
    found = scale.fit(Task("regression", ("energy",), ("eV",)), y, counts, "auto")
    assert found.extensive == (True,)
    assert found.scaling.references[6][0] == pytest.approx(-1029.0, abs=0.5)
    assert found.scaling.std[0] == pytest.approx(1.0, abs=0.2)
    assert "Per-element references explain 100.0 % of the variance of 'energy'" in found.notes[0]
    scaled = found.scaling.scale(y, counts)
    assert abs(scaled.mean()) < 1e-9
    assert scaled.std() == pytest.approx(1.0)
    np.testing.assert_allclose(found.scaling.unscale(scaled, counts), y, rtol=1e-12)
    assert not scale.fit(Task("regression", ("energy",)), y, counts, "none").scaling.references


def test_no_references_for_an_intensive_target() -> None:
    counts = compositions(300)
    y = (10.0 + np.random.default_rng(1).normal(size=300) - 2.0 * (counts[:, 8] > 0))[:, None]
    found = scale.fit(Task("regression", ("gap",)), y, counts, "auto")
    assert (found.extensive, found.intensive, found.scaling.references) == ((False,), (True,), {})
    assert scale.fit(Task("regression", ("gap",)), y, counts, "fit").scaling.references


@pytest.mark.parametrize(
    ("arch", "given", "want"),
    [
        ("schnet", {}, {"aggregate": "mean"}),
        ("schnet", {"aggregate": "sum"}, {"aggregate": "sum"}),
        ("egnn", {}, {}),
        ("gcn", {}, {}),
    ],
)
def test_a_sum_over_atoms_is_a_mean_for_an_intensive_target(arch: str, given: dict[str, str], want: dict[str, str]) -> None:
    counts, rng = compositions(300), np.random.default_rng(1)
    task = Task("regression", ("gap",))
    gap, energy = rng.normal(size=(300, 1)), counts @ np.arange(119.0)[:, None] + rng.normal(size=(300, 1))
    model = ModelConfig(arch=arch, arch_args=given)
    args, notes = arguments(zoo.load(arch), model, scale.fit(task, gap, counts, "auto"), task)
    assert args == want and len(notes) == (args != given)
    assert arguments(zoo.load(arch), model, scale.fit(task, energy, counts, "auto"), task) == (given, [])


def test_an_extensive_and_an_intensive_target_together() -> None:
    counts = compositions(300)
    rng = np.random.default_rng(3)
    y = np.column_stack([counts @ np.arange(119.0) + rng.normal(size=300), rng.normal(size=300)])
    y[:5, 0] = np.nan
    found = scale.fit(Task("regression", ("e", "g")), y, counts, "auto")
    assert found.extensive == (True, False)
    assert all(values[1] == 0.0 for values in found.scaling.references.values())
    assert Scaling.from_dict(found.scaling.to_dict()) == found.scaling


def test_isomers_have_no_references() -> None:
    counts = np.repeat(compositions(1), 100, 0)
    y = np.random.default_rng(0).normal(-4000.0, 1.0, (100, 1))
    found = scale.fit(Task("regression", ("e",)), y, counts, "auto")
    assert not found.scaling.references
    assert found.scaling.std[0] == pytest.approx(y.std())


def test_node_similarity() -> None:
    h = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 3.0], [5.0, 5.0]])
    assert node_similarity(h[:2], Segments(torch.tensor([0, 0]), 1)) == pytest.approx(1.0)
    assert node_similarity(h[2:4], Segments(torch.tensor([0, 0]), 1)) == pytest.approx(0.0)
    assert node_similarity(h, Segments(torch.tensor([0, 0, 1, 1, 2]), 4)) == pytest.approx(0.5)
    assert math.isnan(node_similarity(h[:2], Segments(torch.tensor([0, 1]), 2)))


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1.5h", 5400), ("1h30m", 5400), ("3", 180), ("2 min", 120)]
)
def test_budget(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "10x", "-5m", "0s", "m"])
def test_budget_that_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        seconds(text)


def test_toml_gives_the_same_configuration_back(tmp_path: Path) -> None:
    config = TrainConfig(data=DataConfig(data_path=Path('a "b"\\c.csv'), target_columns=("é\t\x7f", "'", "# no"), units=("eV", "", "Å")))
    config = config.model_copy(
        update={"model": config.model.model_copy(update={"arch_args": {"d": 3, "p": 0.5, "aggregate": "mean", "b": True}})}
    )
    toml.save(config, tmp_path)
    assert toml.load(tmp_path) == config
    assert tomllib.loads(toml.dump(config))["fit"]["max_lr"] == 1e-3
    (tmp_path / "config.toml").write_text("[fit]\nepochs = 'many'")
    with pytest.raises(DataError, match=r"config.toml can't be read"):
        toml.load(tmp_path)
