"""Learners by name: architectures with arguments, and the ladder."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.compare import CompareOptions, evaluations, runner
from heliograph.compare.learners import LADDER, check, parted
from heliograph.compare.training import training
from heliograph.compare.verdict import chosen, verdict
from heliograph.errors import UsageError
from heliograph.learn.progress import silent
from tests.compare.conftest import Config


def test_a_name_is_taken_apart() -> None:
    assert parted("gcn") == ("gcn", {})
    assert parted("gin:depth=2:aggregate=mean:dropout=0.1") == ("gin", {"depth": 2, "aggregate": "mean", "dropout": 0.1})
    assert parted("mine.py") == ("mine.py", {}) and parted("c:/mine.py:depth=2") == ("c:/mine.py:depth=2", {})
    with pytest.raises(UsageError, match=r"gcn:depth: 'depth' is no argument\. Write gcn:NAME=VALUE"):
        parted("gcn:depth")
    with pytest.raises(UsageError, match=r"gcn has no argument 'deep'; .*depth"):
        check("gcn:deep=2")
    with pytest.raises(UsageError, match="there is no such architecture"):
        check("mine.py:depth=2")  # a file of one's own gets no arguments, and is not run under another name
    for rung in LADDER:
        check(rung)


def test_the_ladder_is_its_rungs_once_each() -> None:
    assert CompareOptions(archs=("ladder",)).archs == tuple(LADDER)
    assert CompareOptions(archs=("gin", "ladder")).archs == ("gin", *(rung for rung in LADDER if rung != "gin"))
    assert next(iter(LADDER)) == "gcn:depth=2"


def test_arguments_reach_the_network_and_what_is_chosen(config: Config, tmp_path: Path) -> None:
    asked = config(archs=("gcn:depth=2:d=16", "gcn:depth=1:d=16"), cv="1x2", epochs=1)
    result = runner.run(asked, progress=silent())
    deep, shallow = result.learner("gcn:depth=2:d=16"), result.learner("gcn:depth=1:d=16")
    assert deep.arguments == {"depth": 2, "d": 16} and deep.parameters > shallow.parameters
    assert sorted(p.name for p in (tmp_path / "comparison" / "answers").glob("gcn*"))[0].startswith("gcn-depth=1-d=16-1.1")
    assert "gcn:depth=2:d=16" in result.bounds[0].bounded
    model = training(tmp_path / "comparison").model
    assert (model.arch, model.arch_args) == ("gcn", result.learner(chosen(result)).arguments)


def test_trials_leave_what_the_name_says(config: Config) -> None:
    m = evaluations.prepare(config(archs=("gcn:depth=2", "gcn")), silent())
    assert "depth" not in m.space("gcn:depth=2") and "depth" in m.space("gcn") and "max_lr" in m.space("gcn:depth=2")
    assert evaluations.arguments(m, "gcn:depth=2", {"d": 8}) == {"depth": 2, "d": 8}


def test_the_verdict_goes_up_the_ladder(config: Config) -> None:
    result = runner.run(config(archs=("gcn:depth=2", "gcn"), cv="1x2", epochs=1), progress=silent())
    said = next(sentence for sentence in verdict(result) if sentence.startswith("Up the ladder: gcn:depth=2 "))
    assert "; gcn " in said and ("not told apart from gcn:depth=2." in said or "than gcn:depth=2." in said)
