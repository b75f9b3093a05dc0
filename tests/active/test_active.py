"""Active learning: the acquisitions' formulas, simulations and campaigns that go on where they stopped, oracles that fail."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from heliograph.active import CampaignConfig, SimulateConfig, SuggestConfig, run, simulate, suggest
from heliograph.active.acquisition import NAMES, Beliefs, Terms, bald, choose, ei, pi, ucb
from heliograph.data.sets import smallmol
from heliograph.errors import DataError, HeliographError, UsageError
from heliograph.screen.oracle import oracle
from tests.cli.conftest import make_run

SMILES = [str(text) for text in smallmol.load().smiles[::20]]
GAP = smallmol.load().gap[::20]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of the shipped molecules with their gap, one twice, and two rows that can't be read."""
    path = tmp_path_factory.mktemp("pool") / "pool.csv"
    rows = [f"{text},{gap:.4f}" for text, gap in zip(SMILES, GAP, strict=True)]
    path.write_text("\n".join(["smiles,gap", *rows, rows[0], "nonsense,1.0", "CCCCCCCCC,"]) + "\n")
    return path


def beliefs(n: int = 40, members: int = 6, seed: int = 0) -> Beliefs:
    return Beliefs.of(np.random.default_rng(seed).normal(size=(members, n)))


def test_ei_and_pi_are_integrals() -> None:
    b, best = beliefs(), 0.3
    for k in range(len(b.mean)):
        density = stats.norm(b.mean[k], b.std[k])
        expected, _ = integrate.quad(lambda y, d=density: (y - best) * d.pdf(y), best, best + 12)
        assert ei(b, Terms(best))[k] == pytest.approx(expected, abs=1e-7)
        assert np.exp(pi(b, Terms(best))[k]) == pytest.approx(density.sf(best), rel=1e-6)
    sure = Beliefs(np.array([1.0, 2.0]), np.zeros(2), np.zeros((1, 2)))
    assert ei(sure, Terms(1.5)).tolist() == [0.0, 0.5]
    np.testing.assert_allclose(ucb(b, Terms(0.0, 2.0)), b.mean + 2 * b.std)


def test_bald_is_mutual_information() -> None:
    p = np.array([[0.5, 0.0, 0.9], [0.5, 1.0, 0.9]])  # agree on doubt; contradict; agree
    found = bald(Beliefs.of(p), Terms(0.0))
    assert found[0] == pytest.approx(0.0, abs=1e-9) and found[1] == pytest.approx(np.log(2)) and found[2] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_choices_are_distinct_and_repeatable(name: str) -> None:
    b = Beliefs.of(1 / (1 + np.exp(-beliefs().members)))
    one, two = (choose(name, b, 15, Terms(0.5), np.random.default_rng(3)) for _ in range(2))
    assert one == two and len(set(one)) == 15 and all(0 <= k < 40 for k in one)
    assert len(choose(name, b, 99, Terms(0.5), np.random.default_rng(3))) == 40
    assert name == "random" or one != choose("random", b, 15, Terms(0.5), np.random.default_rng(3))


def test_thompson_draws_a_member_for_each() -> None:
    members = np.zeros((4, 20))
    members[np.arange(4), [3, 7, 11, 15]] = 1.0
    firsts = [choose("thompson", Beliefs.of(members), 1, Terms(0.0), np.random.default_rng(seed))[0] for seed in range(200)]
    counts = {k: firsts.count(k) for k in set(firsts)}
    assert set(counts) == {3, 7, 11, 15} and min(counts.values()) > 25


def test_a_diverse_batch_is_diverse_and_full() -> None:
    from heliograph.chem.diversity import most_similar

    rng = np.random.default_rng(0)
    b = Beliefs.of(rng.normal(size=(5, len(SMILES))))
    chosen = choose("greedy+diverse", b, 20, Terms(0.0), rng, SMILES, 0.4)
    assert len(set(chosen)) == 20 and most_similar([SMILES[k] for k in chosen])[0] <= 0.4
    assert chosen[0] == choose("greedy", b, 1, Terms(0.0), rng)[0]
    alike = ["C" * k for k in range(4, 44)]
    assert len(choose("ucb+diverse", beliefs(), 10, Terms(0.0), rng, alike, 0.2)) == 10


def simulation(pool: Path, folder: Path, **changes: Any) -> SimulateConfig:
    given = {"data_path": pool, "output_dir": folder, "acquisitions": ("random", "greedy"), "members": 10, "start": 20, "batch": 10}
    return SimulateConfig.model_validate(given | {"rounds": 4, "repeats": 3, "top": 0.05} | changes)


def test_simulation(pool: Path, tmp_path: Path) -> None:
    result = simulate(simulation(pool, tmp_path / "s"))
    assert result.target == "gap" and result.pool == round(0.9 * len(SMILES)) and result.notes == ["3 rows left out"]
    random, greedy = result.curves
    assert random.labelled == greedy.labelled == [20, 30, 40, 50, 60]
    assert random.mean["found"][0] == greedy.mean["found"][0]  # the same start
    assert greedy.mean["found"][-1] > 2 * random.mean["found"][-1]
    for curve in result.curves:
        assert all(a <= b for a, b in zip(curve.mean["found"], curve.mean["found"][1:], strict=False))
        bounds = zip(curve.low["rmse"], curve.mean["rmse"], curve.high["rmse"], strict=True)
        assert all(low <= mean <= high for low, mean, high in bounds)
    low = simulate(simulation(pool, tmp_path / "min", goal="min", acquisitions=("greedy",)))
    assert low.curves[0].mean["best"][-1] < greedy.mean["best"][-1]
    flat = simulate(simulation(pool, tmp_path / "null", shuffle_labels=True))
    assert flat.curves[1].mean["found"][-1] < greedy.mean["found"][-1]


def test_simulation_goes_on_where_it_stopped(pool: Path, tmp_path: Path) -> None:
    simulate(simulation(pool, tmp_path / "whole"))
    simulate(simulation(pool, tmp_path / "cut"))
    journal = tmp_path / "cut" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4]) + lines[4][:30])
    with pytest.raises(UsageError, match="--resume"):
        simulate(simulation(pool, tmp_path / "cut"))
    simulate(simulation(pool, tmp_path / "cut"), resume=True)
    for name in ("results.json", "curves.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    more = simulate(simulation(pool, tmp_path / "cut", acquisitions=("random", "greedy", "ei")), resume=True)
    assert [curve.acquisition for curve in more.curves] == ["random", "greedy", "ei"]
    with pytest.raises(UsageError, match="batch was 10, is 11"):
        simulate(simulation(pool, tmp_path / "cut", batch=11), resume=True)


def test_a_network_as_learner(pool: Path, tmp_path: Path) -> None:
    config = simulation(pool, tmp_path / "n", learner="gcn", members=2, epochs=1, rounds=1, repeats=1, acquisitions=("ucb",), sample=80)
    assert simulate(config).curves[0].labelled == [20, 30]


LABELLER = """
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))
with open(sys.argv[2], "w") as out:
    print("smiles,y,reason", file=out)
    for row in rows:
        if "F" in row["smiles"]:
            print(f'{row["smiles"]},,no fluorine here', file=out)
        elif "Cl" not in row["smiles"]:
            print(f'{row["smiles"]},{len(row["smiles"])},', file=out)
"""


def campaign(pool: Path, folder: Path, **changes: Any) -> CampaignConfig:
    given = {"data_path": pool, "output_dir": folder, "oracle": "column:gap", "members": 10, "start": 20, "batch": 10, "rounds": 3}
    return CampaignConfig.model_validate(given | changes)


def test_campaign_with_a_column(pool: Path, tmp_path: Path) -> None:
    found = run(campaign(pool, tmp_path / "c", acquisition="ei"))
    assert len(found.bought) == 50 and len({row["smiles"] for row in found.bought}) == 50
    assert found.best == sorted(found.best) and found.best[-1] > found.best[0]  # type: ignore[type-var, operator]
    assert [row["predicted"] is None for row in found.bought] == [True] * 20 + [False] * 30
    with open(tmp_path / "c" / "labelled.csv", newline="") as file:
        assert [float(row["y"]) for row in csv.DictReader(file)] == [row["y"] for row in found.bought]
    stopped = run(campaign(pool, tmp_path / "g", rounds=30, no_gain=2, goal="min"))
    assert stopped.stopped == "no better molecule in 2 rounds" and len(stopped.bought) < 320


def test_campaign_with_a_command_and_labels_that_fail(pool: Path, tmp_path: Path) -> None:
    script = tmp_path / "label me.py"
    script.write_text(LABELLER)
    words = f"{sys.executable} '{script}' {{in}} {{out}}"
    found = run(campaign(pool, tmp_path / "c", oracle=words))
    reasons = {row["reason"] for row in found.bought if row["y"] is None}
    assert reasons <= {"no fluorine here", "no answer"} and "no fluorine here" in reasons
    assert all(row["y"] == len(row["smiles"]) for row in found.bought if row["y"] is not None)
    assert len(found.bought) == 50
    for text, said in (("label:colour", "no 'colour'"), ("column:gup", "did you mean 'gap'"), ("rm -rf /", "names {in} and {out}")):
        with pytest.raises(UsageError, match=said):
            run(campaign(pool, tmp_path / "x", oracle=text))
    with pytest.raises(DataError, match="ended with 3"):
        run(campaign(pool, tmp_path / "e", oracle=f"{sys.executable} -c 'raise SystemExit(3)' {{in}} {{out}}"))


def test_no_shell_runs_a_command(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    ask = oracle(f"{sys.executable} -c 'import sys; print(sys.argv[1:])' ; touch {mark} ; {{in}} {{out}}", ["C"], [{}], 30.0)
    with pytest.raises(HeliographError):
        ask([0])
    assert not mark.exists()


def test_campaign_goes_on_in_the_middle_of_a_round(pool: Path, tmp_path: Path) -> None:
    run(campaign(pool, tmp_path / "whole"))
    run(campaign(pool, tmp_path / "cut"))
    journal = tmp_path / "cut" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    for keep in (5, 30, 45):  # in the start, between, in a later round
        journal.write_bytes(b"".join(lines[:keep]) + b'{"row"')
        run(campaign(pool, tmp_path / "cut"), resume=True)
        for name in ("results.json", "labelled.csv"):
            assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_suggest(pool: Path, tmp_path: Path) -> None:
    model = make_run(tmp_path / "model", members=3)
    known = tmp_path / "known.csv"
    known.write_text("smiles\n" + "\n".join(SMILES[:100]) + "\n")

    def ask(**changes: Any) -> list[dict[str, str]]:
        given = {"model_path": model, "data_path": pool, "output_path": tmp_path / "b.csv", "count": 12, "known": known, "num_workers": 0}
        found = suggest(SuggestConfig.model_validate(given | changes), overwrite=True)
        assert found.known == 101 and found.bad == 1
        with open(tmp_path / "b.csv", newline="") as file:
            return list(csv.DictReader(file))

    greedy = ask(acquisition="greedy")
    values = [float(row["a_pred"]) for row in greedy]
    assert values == sorted(values, reverse=True) and len(greedy) == 12 and not {row["smiles"] for row in greedy} & set(SMILES[:100])
    low = [float(row["a_pred"]) for row in ask(acquisition="greedy", goal="min")]
    assert low == sorted(low) and low[-1] < values[-1]
    spread = [float(row["a_std"]) for row in ask(acquisition="std")]
    assert spread == sorted(spread, reverse=True)
    assert len(ask(acquisition="thompson+diverse", target="b")) == 12
    single = make_run(tmp_path / "single")
    with pytest.raises(UsageError, match="needs error bars"):
        ask(model_path=single, acquisition="ucb")
    with pytest.raises(UsageError, match="needs an ensemble"):
        ask(model_path=single, acquisition="thompson")


def test_commands(command_line: Callable[..., Any], pool: Path, tmp_path: Path) -> None:
    args = ["active", "simulate", pool, "--acquisitions", "random", "greedy", "--rounds", "2", "--batch", "10", "--repeats", "2"]
    done = command_line(*args, "--members", "5", "-o", "s")
    assert done.returncode == 0 and "greedy" in done.stdout, done.stderr
    page = (tmp_path / "s" / "report.html").read_text()
    assert "greedy" in page and "<svg" in page and "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")
    args = ["active", "run", pool, "--oracle", "column:gap", "--rounds", "2", "--members", "5", "--start", "20", "--batch", "5"]
    bought = command_line(*args, "-o", "c")
    assert bought.returncode == 0 and "30 molecules bought, 0 without a label" in bought.stdout, bought.stderr
    assert json.loads((tmp_path / "c" / "results.json").read_text())["bought"] == 30
    assert command_line("active", "simulate", pool, "--acquisitions", "gredy", "-o", "x").returncode == 2
