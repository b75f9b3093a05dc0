"""Settings found by trials: what is searched for a learner, and what to try next given what was tried.

A trial is judged on the validation rows of its fold, never on the rows that are scored. The first takes the learner as it comes, the
next few are drawn at random, the others follow from all before (the tree of Parzen estimators of Bergstra et al. 2011, as in Optuna). A
seed settles it, so that a comparison that was killed tries the same things.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from heliograph.errors import UsageError

Value = int | float
Settings = dict[str, Value]
AT_RANDOM = 5  # trials
OF_FIT = ("max_lr",)  # settings of the training; all others are arguments of the architecture, or of the baseline


@dataclass(frozen=True)
class Range:
    """From `low` to `high`; integers where both are. `log`: evenly on a logarithmic scale; `step`: in multiples of it. `as_is`: its value
    in a learner as it comes, where that is known."""

    low: Value
    high: Value
    log: bool = False
    step: Value | None = None
    as_is: Value | None = None


@dataclass(frozen=True)
class Choice:
    """One of a few."""

    values: tuple[Value, ...]
    as_is: Value | None = None


Space = dict[str, Range | Choice]
BASELINES: dict[str, Space] = {
    "random forest": {"max_features": Range(0.02, 1.0, log=True), "min_samples_leaf": Range(1, 10, log=True)},
    "gradient boosting": {
        "learning_rate": Range(0.02, 0.3, log=True),
        "max_leaf_nodes": Range(7, 127, log=True),
        "min_samples_leaf": Range(5, 40, log=True),
    },
}


@dataclass(frozen=True)
class Tried:
    """A finished trial: its settings, and what it made of the validation rows: smaller is better, infinite where that is not defined
    on them, None where it failed."""

    settings: Settings
    loss: float | None


def of_network(build: Callable[..., Any], max_lr: float, width_is_set: bool) -> Space:
    """A fifth to five times the learning rate; half to twice as many steps, half to twice the width, dropout, where `build` has them.

    `width_is_set`: the width follows from a number of parameters.
    """
    defaults = {name: p.default for name, p in inspect.signature(build).parameters.items()}
    found: Space = {"max_lr": Range(max_lr / 5, max_lr * 5, log=True, as_is=max_lr)}
    deep = next((name for name in ("depth", "steps") if type(defaults.get(name)) is int), None)
    if deep:
        found[deep] = Range(max(1, defaults[deep] // 2), 2 * defaults[deep], as_is=defaults[deep])
    if type(defaults.get("d")) is int and not width_is_set:
        found["d"] = Choice(tuple(sorted({_multiple_of_8(defaults["d"] * factor) for factor in (0.5, 1, 2)})), as_is=defaults["d"])
    if type(defaults.get("dropout")) is float:
        found["dropout"] = Range(0.0, 0.4, step=0.1, as_is=defaults["dropout"])
    return found


def _multiple_of_8(width: float) -> int:
    """Heads of attention divide it."""
    return 8 * max(1, round(width / 8))


def suggest(space: Space, tried: Sequence[Tried], seed: int) -> Settings:
    """What to try next. Raises UsageError where Optuna is not installed."""
    if not tried or not space:
        return {}
    optuna = library()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=AT_RANDOM))
    of = {name: _distribution(optuna, one) for name, one in space.items()}
    as_is = {name: one.as_is for name, one in space.items()}
    for one in tried:
        if one.loss is None or not math.isfinite(one.loss):
            continue
        # what the first had is not always known, or in the space
        with contextlib.nullcontext() if one.settings else contextlib.suppress(ValueError):
            study.add_trial(optuna.trial.create_trial(params=one.settings or as_is, distributions=of, value=one.loss))
    return dict(study.ask(of).params)


def best(tried: Sequence[Tried]) -> int | None:
    """Place of the best trial, the first of equals; None where all failed."""
    done = [(one.loss, place) for place, one in enumerate(tried) if one.loss is not None]
    return min(done)[1] if done else None


def typical(chosen: Sequence[Mapping[str, Value]], space: Space) -> Settings:
    """Join the settings of all folds: the median of each, or the most frequent choice. A learner without settings does not count.

    Empty where most folds left it as it comes.
    """
    changed = [settings for settings in chosen if settings]
    if len(changed) * 2 <= len(chosen):
        return {}
    found: Settings = {}
    for name, one in space.items():
        values = [settings[name] for settings in changed]
        found[name] = Counter(values).most_common(1)[0][0] if isinstance(one, Choice) else median_low(values)
    return found


def library() -> Any:
    """Optuna. Raises UsageError where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise UsageError("--tune needs Optuna: pip install 'heliograph[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(optuna: Any, one: Range | Choice) -> Any:
    if isinstance(one, Choice):
        return optuna.distributions.CategoricalDistribution(one.values)
    if isinstance(one.low, int) and isinstance(one.high, int):
        return optuna.distributions.IntDistribution(one.low, one.high, log=one.log)
    return optuna.distributions.FloatDistribution(one.low, one.high, log=one.log, step=one.step)
