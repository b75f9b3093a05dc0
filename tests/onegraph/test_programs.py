"""The example of program graphs: what is planted is what differs, and the tables train."""

from __future__ import annotations

import ast
import importlib.util
import json
import random
from pathlib import Path
from types import ModuleType

import pytest

from heliograph.learn.progress import Lines
from heliograph.onegraph import GraphTrainConfig, run

EXAMPLE = Path(__file__).parents[2] / "examples" / "programs.py"
TEXT = "def f(a, b):\n    c = a + b\n    return c * a\n\ndef g(x):\n    return f(x, 1)\n"


@pytest.fixture(scope="module")
def programs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("programs", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_use_of_a_variable_is_changed_and_named(programs: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SHARE", 1.0)
    before, after = ast.parse(TEXT), ast.parse(TEXT)
    labels = programs.plant(after, random.Random(0))
    names = [[n.id for n in ast.walk(t) if isinstance(n, ast.Name)] for t in (before, after)]
    changed = [k for k, (a, b) in enumerate(zip(*names, strict=True)) if a != b]
    (wrong,) = [n for n, label in labels.items() if label]
    assert len(changed) == 1 and names[1][changed[0]] == wrong.id and sorted(labels.values()) == [0, 1]
    assert not programs.plant(ast.parse("def f(a):\n    return a + a + a\n"), random.Random(0))


def test_edges_are_those_of_the_tree_of_uses_and_of_calls(programs: ModuleType) -> None:
    tree = ast.parse(TEXT)
    found = list(programs.edges(tree))
    assert sum(r == "child" for r, _, _ in found) == sum(not isinstance(n, ast.expr_context) for n in ast.walk(tree)) - 1
    uses = [(a.arg if isinstance(a, ast.arg) else a.id, b.lineno) for r, a, b in found if r == "use"]
    assert uses == [("a", 2), ("b", 2), ("c", 3), ("a", 3), ("x", 6)]
    assert [(a.lineno, b.name) for r, a, b in found if r == "call"] == [(6, "f")]


def test_the_tables_train(programs: ModuleType, tmp_path: Path) -> None:
    counts = programs.write(sorted(Path(json.__file__).parent.glob("*.py")) * 1, tmp_path / "p", seed=3)
    assert counts["mistakes"] > 3 and counts["child"] > 1000 and counts["use"] > 100
    config = GraphTrainConfig.model_validate({
        "data": {"data_path": tmp_path / "p" / "programs.toml", "target_columns": ["node.misused"]},
        "split": {"split_sizes": (0.6, 0.2, 0.2)}, "model": {"arch_args": {"d": 8}}, "fit": {"epochs": 2, "baselines": False},
        "output_dir": tmp_path / "run",
    })  # fmt: skip
    result = run(config, progress=Lines(lambda text: None))
    assert result.kind == "binary" and result.facts.relations == 4
