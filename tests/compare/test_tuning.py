"""What is searched, what is tried next, what comes of it."""

from __future__ import annotations

import builtins
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from heliograph import zoo
from heliograph.compare.tuning import BASELINES, Choice, Range, Space, Tried, best, of_network, suggest, typical
from heliograph.errors import UsageError
from heliograph.model import Inputs

SPACE: Space = {"max_lr": Range(1e-4, 1e-2, log=True), "depth": Range(1, 6), "dropout": Range(0.0, 0.4, step=0.1), "d": Choice((8, 16))}


def walk(n: int, seed: int) -> list[Tried]:
    """The loss is the distance of log10(max_lr) from -3, and a little for depth."""
    tried: list[Tried] = []
    for k in range(n):
        settings = suggest(SPACE, tried, seed + k)
        tried.append(Tried(settings, abs(math.log10(settings.get("max_lr", 1e-2)) + 3) + 0.1 * abs(settings.get("depth", 1) - 4)))
    return tried


def test_the_first_trial_is_the_learner_as_it_comes_and_all_follow_from_the_seed() -> None:
    tried = walk(15, 3)
    assert tried[0].settings == {} and all(one.settings.keys() == SPACE.keys() for one in tried[1:])
    assert tried == walk(15, 3) and tried[1:] != walk(15, 4)[1:]
    assert tried[:9] == walk(9, 3)  # going on from nine gives what 15 gave
    for one in tried[1:]:
        s = one.settings
        assert 1e-4 <= s["max_lr"] <= 1e-2 and s["depth"] in range(1, 7) and s["d"] in (8, 16)
        assert round(10 * s["dropout"]) in range(5) and isinstance(s["depth"], int)


def test_trials_learn_from_those_before() -> None:
    tried = walk(8, 0)
    assert suggest(SPACE, tried, 7) != suggest(SPACE, [Tried(one.settings, -(one.loss or 0)) for one in tried], 7)
    runs = [walk(30, 100 * seed) for seed in range(3)]
    late = [one.loss for tried in runs for one in tried[20:]]
    early = [one.loss for tried in runs for one in tried[1:6]]
    assert np.mean(np.array(late, dtype=float)) < 0.75 * np.mean(np.array(early, dtype=float))


def test_the_best_and_the_typical() -> None:
    assert best([]) is None and best([Tried({}, None)]) is None
    assert best([Tried({}, 2.0), Tried({}, None), Tried({}, 1.0), Tried({}, 1.0)]) == 2
    folds: list[dict[str, Any]] = [{"depth": 2, "d": 8}, {}, {"depth": 5, "d": 8}, {"depth": 3, "d": 16}]
    space: Space = {"depth": Range(1, 6), "d": Choice((8, 16))}
    assert typical(folds, space) == {"depth": 3, "d": 8}
    assert typical([{}, {}, {"depth": 2, "d": 8}], space) == {} == typical([{}], {})


def test_trials_without_a_loss_teach_nothing() -> None:
    tried = walk(9, 0)
    worse = [Tried(one.settings, loss) for one, loss in zip(tried[1:3], (None, math.inf), strict=True)]
    assert suggest(SPACE, [*tried, *worse], 7) == suggest(SPACE, tried, 7)
    assert best([Tried({}, None), Tried({}, math.inf), Tried({}, math.inf)]) == 1


def test_the_first_trial_teaches_too_where_its_settings_are_known() -> None:
    as_it_comes = {"max_lr": 1e-3, "depth": 3, "dropout": 0.1, "d": 16}
    space: Space = {name: replace(one, as_is=as_it_comes[name]) for name, one in SPACE.items()}
    tried = walk(9, 0)
    first, others = Tried({}, -5.0), tried[1:]
    found = suggest(space, [first, *others], 7)
    assert found == suggest(SPACE, [Tried(as_it_comes, -5.0), *others], 7) != suggest(SPACE, [first, *others], 7)
    outside = {**space, "d": Choice((8, 32), as_is=16)}
    assert suggest(outside, [first, Tried({}, 0.0)], 7).keys() == SPACE.keys()


@pytest.mark.parametrize("arch", ["gcn", "gin", "dmpnn", "ggnn", "gps", "gat", "san", "graphormer", "dtnn", "schnet", "sgc", "attentivefp"])
def test_the_ends_of_a_space_can_be_built(arch: str) -> None:
    module = zoo.load(arch)
    space = of_network(module.build, 1e-3, width_is_set=False)
    assert space.pop("max_lr") == Range(2e-4, 5e-3, log=True, as_is=1e-3)
    inputs = Inputs(nodes=7, edges=5, geometry=module.GEOMETRY == "required")
    for end in (0, -1):
        args = {name: one.values[end] if isinstance(one, Choice) else (one.low, one.high)[end] for name, one in space.items()}
        zoo.build(arch, inputs, 1, args)
    assert "d" not in of_network(module.build, 1e-3, width_is_set=True)


def test_without_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "optuna":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UsageError, match=r"--tune needs Optuna: pip install 'heliograph\[tune\]'"):
        suggest(SPACE, [Tried({}, 1.0)], 0)


def test_baselines_take_their_settings() -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor

    RandomForestRegressor(**{name: one.low for name, one in BASELINES["random forest"].items() if isinstance(one, Range)})
    HistGradientBoostingRegressor(**{name: one.high for name, one in BASELINES["gradient boosting"].items() if isinstance(one, Range)})
