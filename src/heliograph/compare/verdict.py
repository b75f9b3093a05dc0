"""The answer in words: which learners can't be told apart from the best, the cheapest of them, and what it would take to know more."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from heliograph.compare import curve
from heliograph.compare.bounds import words
from heliograph.compare.learners import LADDER
from heliograph.compare.result import CompareResult, Learner
from heliograph.compare.statistics import pairs
from heliograph.learn.figures import METRICS

FAST = 1.5  # times cheaper is worth a sentence, and a network that may be a little worse
LIKELY = 0.95  # that a network is worse by more than matters: then it is not the one to train, however cheap


def verdict(result: CompareResult) -> list[str]:
    """Sentences, the most important first."""
    said = (_best(result), _cheapest(result), _baselines(result), _surest(result), _ladder(result), _apart(result), _practical(result))
    return [sentence for sentence in (*said, *_floors(result), _more(result)) if sentence]


def equals_of_best(result: CompareResult) -> list[str]:
    """The best learner and those that can't be told apart from it, the best first."""
    best = result.ranking[0]
    return [name for name in result.ranking if name == best or not result.pair(best, name).differ]


def chosen(result: CompareResult) -> str:
    """What to train: the cheapest network that can't be told apart from the best one, and is not in all likelihood worse all the same.

    Intervals for all pairs together are wide: within them a network may be worse by more than matters with a probability of 95 %. Where
    the cheapest saves little, the best.
    """
    best, equal = _candidates(result)
    pick = min((name for name in equal if _worse(result, best, name) < LIKELY), key=lambda name: result.learner(name).seconds)
    return pick if result.learner(best).seconds >= FAST * result.learner(pick).seconds else best


def _candidates(result: CompareResult) -> tuple[str, list[str]]:
    """The best network, and all that can't be told apart from it."""
    networks = [name for name in result.ranking if result.learner(name).network]
    return networks[0], [name for name in networks if name == networks[0] or not result.pair(networks[0], name).differ]


def _worse(result: CompareResult, best: str, name: str) -> float:
    """The probability that it is worse than the best by more than what does not matter."""
    return 0.0 if name == best else result.practical(best, name).better


def score(result: CompareResult, value: float) -> str:
    """A score with its unit."""
    power = METRICS[result.metric].unit_power
    unit = result.units[0] if result.units and power == 1 and len(result.targets) == 1 else ""
    return f"{value:.3g}{f' {unit}' if unit else ''}"


def _best(result: CompareResult) -> str:
    label, best, equal = METRICS[result.metric].label, result.ranking[0], equals_of_best(result)
    lead = f"{best} has the best {label}, {score(result, result.mean(best))}"
    folds = f"over {len(result.folds)} folds of {result.molecules:,} molecules"
    if len(equal) == 1:
        return f"{lead}, and it differs from every other learner {folds} (95 %, all pairs together)."
    return f"{lead}, but {_listed(equal[1:])} can't be told apart from it {folds} (95 %, all pairs together)."


def _beaten(result: CompareResult) -> str:
    """Name the baseline that is better than every network, beyond doubt; "" where there is none."""
    best, (network, _) = result.ranking[0], _candidates(result)
    return best if not result.learner(best).network and result.pair(best, network).differ else ""


def _cheapest(result: CompareResult) -> str:
    """What to train; of networks only, since no other is trained here, and with a word where a baseline would do better."""
    (best, equal), pick = _candidates(result), chosen(result)
    if baseline := _beaten(result):
        return f"No network is worth its training on these molecules: {baseline} is better than all of them. The best network is {best}."
    if sum(learner.network for learner in result.learners) < 2:
        return ""
    passed = [name for name in equal if _worse(result, best, name) >= LIKELY]
    cheaper = [name for name in passed if FAST * result.learner(name).seconds <= result.learner(pick).seconds]
    but = ""
    if cheaper:
        least = min(_worse(result, best, name) for name in cheaper)
        said = f"{least:.2f}" if least < 0.995 else "above 0.99"
        but = f" {_listed(cheaper)} would be cheaper, but worse by more than {score(result, result.rope)} with probability {said}"
        but += " or more." if len(cheaper) > 1 else "."
    if pick == best:
        spared = min((result.learner(name) for name in equal if name not in passed), key=lambda learner: learner.seconds)
        if spared.name != best:
            but = f" {spared.name} can't be told apart from it, but would save little: {_cheaper(spared, result.learner(best))}.{but}"
        return f"Train {pick}.{but}"
    a, b = result.learner(pick), result.learner(best)
    among = "the best network" if best == result.ranking[0] else f"{best}, the best network,"
    likely = " and are not likely worse by more than matters" if passed else ""
    return f"Train {pick}: of the networks that can't be told apart from {among}{likely} it is the cheapest, {_cheaper(a, b)}.{but}"


def _cheaper(a: Learner, b: Learner) -> str:
    said = [f"{b.seconds / a.seconds:.2g} times faster to train than {b.name}"]
    if a.parameters and b.parameters and b.parameters / a.parameters > FAST:
        said.append(f"with {a.parameters:,} parameters instead of {b.parameters:,}")
    return " ".join(said)


def _ladder(result: CompareResult) -> str:
    """What each rung of the ladder buys over the one below; nothing where its first rung is not here."""
    here = {learner.name for learner in result.learners}
    rungs = [name for name in LADDER if name in here]
    if next(iter(LADDER)) not in rungs or len(rungs) < 2:
        return ""
    said = [f"{rungs[0]} {result.mean(rungs[0]):.3g}"]
    for below, name in pairwise(rungs):
        pair = result.pair(below, name)
        gain = (result.mean(name) > result.mean(below)) == result.higher_is_better
        how = f"{'better' if gain else 'worse'} than {below}" if pair.differ else f"not told apart from {below}"
        said.append(f"{name} {result.mean(name):.3g}, {how}")
    return f"Up the ladder: {'; '.join(said)}."


def _baselines(result: CompareResult) -> str:
    networks = [name for name in result.ranking if result.learner(name).network]
    simple = [name for name in result.ranking if not result.learner(name).network]
    if not simple:
        return ""
    p = result.pair(networks[0], simple[0])
    better = (p.difference > 0) == result.higher_is_better
    size = score(result, abs(p.difference))
    if p.differ:
        how = "is beaten" if better else "beats every network"
        near, far = sorted((abs(p.low), abs(p.high)))
        return f"The best baseline, {simple[0]}, {how}: by {size} ({score(result, near)} to {score(result, far)})."
    return f"No network is shown to beat the best baseline, {simple[0]}: the difference to {networks[0]} is {size}, and may be nothing."


def _surest(result: CompareResult) -> str:
    """Say which learner's answers make the truths most likely once error bars are calibrated, beside the one of smallest error."""
    table = result.sureness
    if table is None:
        return ""
    surest, best = table.best_first()[0], result.ranking[0]
    value = {name: float(table.of(name).mean()) for name in (surest, best)}
    lead = f"With error bars calibrated on the other folds, {surest} makes the truths most likely"
    if surest == best:
        return f"{lead}, too (calibrated NLL {value[best]:.3g})."
    pair = next(p for p in pairs(table) if {p.a, p.b} == {surest, best})
    how = f"{best} is worse by that" if pair.p < 0.05 else f"{best} can't be told apart from it by that"
    return f"{lead} (calibrated NLL {value[surest]:.3g}; {best} {value[best]:.3g}): {how}."


def _apart(result: CompareResult) -> str:
    equal = equals_of_best(result)
    if len(equal) == 1:
        return ""
    a, b = equal[:2]
    needed = result.needed(a, b)
    gap = score(result, abs(result.pair(a, b).difference))
    if needed.folds is not None:
        have = len(result.folds)
        return f"To tell {a} from {b} (they are {gap} apart), {needed.folds} folds instead of {have} would be needed, at even odds."
    if math.isfinite(needed.molecules):
        return (
            f"No number of folds would tell {a} from {b} ({gap} apart) on these molecules; "
            f"{_times(needed.molecules)} as many molecules would, at even odds."
        )
    return f"{a} and {b} have the same mean; nothing would tell them apart."


def _times(factor: float) -> str:
    return "more than a hundred times" if factor > 100 else f"about {factor:.0f} times" if factor >= 10 else f"about {factor:.2g} times"


def _practical(result: CompareResult) -> str:
    a, b = result.ranking[:2]
    p = result.practical(a, b)
    size = score(result, result.rope)
    return f"{a} is better than {b} by more than {size} with probability {p.better:.2f}; within {size} with {p.equivalent:.2f}."


def _more(result: CompareResult) -> str:
    curves = {c.learner: c for c in result.curves}
    pick = chosen(result)
    return curve.words(curves[pick], METRICS[result.metric].label) if pick in curves else ""


def _floors(result: CompareResult) -> list[str]:
    """Beside the best network that each bounds: those whose file says `BOUND = "1-WL"`."""
    said = []
    for bound in result.bounds:
        bounded = [name for name in result.ranking if name in bound.bounded]
        if bounded:
            k = [learner.name for learner in result.learners].index(bounded[0])
            reached = float(np.nanmean(result.scores[bound.metric][:, k])) if bound.metric in result.scores else None
            said.append(words(bound, reached))
    return said


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
